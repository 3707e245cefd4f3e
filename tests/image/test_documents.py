"""The documents of an image on a base: manifest, configuration, history."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from imgpack.api import (
    Descriptor,
    Digest,
    Format,
    Image,
    ImageConfig,
    Layer,
    Manifest,
    Platform,
    Runtime,
    RuntimeChanges,
    parse_name,
)
from imgpack.errors import DocumentError, LimitError, Remedy, UnsupportedError
from imgpack.image.documents import BaseName, Recipe, in_format
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from imgpack.spec.json import encode
from imgpack.spec.manifest import BASE_DIGEST, BASE_NAME, MAX_LAYERS, build_manifest
from tests.image.samples import Memory
from tests.strategies import configs

NOW = "2026-01-02T03:04:05Z"
OLD = "2015-04-12T03:04:05.123456789+02:00"
ONE, TWO, THREE = (Digest.of(b"%d" % number) for number in range(3))
OWN = Layer(Descriptor(mediatype.OCI_LAYER_GZIP, THREE, 30), THREE)
DOCUMENT: dict[str, Any] = {
    "id": "00",
    "parent": "11",
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "os.version": "1.2",
    "os.features": ["x"],
    "author": "somebody",
    "created": OLD,
    "container": "22",
    "container_config": {"Cmd": ["x"]},
    "docker_version": "18.09",
    "moby.buildkit.cache.v0": "AAAA",
    "com.example": {"kept": 1.5},
    "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "ArgsEscaped": True},
    "history": [
        {"created": OLD, "created_by": "ADD <x>", "com.example": [None]},
        {"created": None, "empty_layer": True, "comment": "c"},
        {"created_by": "RUN"},
    ],
    "rootfs": {"type": "layers", "diff_ids": [str(ONE), str(TWO)], "base_layer": "b"},
}


def base(
    document: dict[str, Any] | None = None,
    kinds: tuple[str, ...] = (mediatype.OCI_LAYER_GZIP, mediatype.OCI_LAYER),
) -> Image:
    """A base with this configuration, and layers of these types."""
    config = ImageConfig.parse(encode(document or DOCUMENT))
    layers = [
        Descriptor(kind, diff_id, 10, (("a", "b"),), ("https://x.y/z",))
        for kind, diff_id in zip(kinds, config.diff_ids, strict=False)
    ]
    described = describe(mediatype.OCI_CONFIG, config.raw)
    manifest = build_manifest(described, layers, mediatype.OCI_MANIFEST, {"own": "annotation"})
    return Image(manifest, config, Memory())


def recipe(on: Image | None, runtime: Runtime | None = None, **fields: Any) -> Recipe:
    """A recipe for an OCI image on a base."""
    values: dict[str, Any] = {"platform": Platform(), "format": Format.OCI, "base": on}
    values["changes"] = RuntimeChanges(runtime or Runtime())
    return Recipe(**(values | fields))


def made(wanted: Recipe, *dests: bytes) -> tuple[Manifest, dict[str, Any]]:
    """The manifest, and the configuration as decoded JSON."""
    manifest, config = wanted.documents(dests, [OWN] * len(dests), NOW)
    assert (manifest.config.digest, manifest.config.size) == (config.digest, len(config.raw))
    return manifest, json.loads(config.raw)


def test_a_base_is_carried_on() -> None:
    """Every key that is not of its own build, in its place; every entry as it was."""
    runtime = Runtime(env=("A=1",))
    _, found = made(recipe(base(), runtime, comment="c"), b"app")

    gone = {"id", "parent", "container", "container_config", "docker_version"}
    kept = [key for key in DOCUMENT if key not in gone | {"moby.buildkit.cache.v0"}]
    assert list(found) == kept
    changed = {"created", "config", "history", "rootfs"}
    assert all(found[key] == DOCUMENT[key] for key in kept if key not in changed)
    assert found["created"] == NOW
    assert found["config"] == {"Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "ArgsEscaped": True}
    assert found["rootfs"] == DOCUMENT["rootfs"] | {"diff_ids": [str(ONE), str(TWO), str(THREE)]}
    assert found["history"] == [
        *DOCUMENT["history"],
        {"created": NOW, "created_by": "COPY . /app # imgpack", "comment": "c"},
        {"created": NOW, "created_by": "ENV A=1 # imgpack", "comment": "c", "empty_layer": True},
    ]


def test_layers_are_the_bases_and_then_the_new_ones() -> None:
    """Their descriptors as they are; the base's annotations are about the base."""
    manifest, _ = made(recipe(base()), b"", b"")
    assert manifest.layers == (*base().manifest.layers, OWN.descriptor, OWN.descriptor)
    assert manifest.annotations == ()


def test_without_a_layer_only_the_configuration_is_new() -> None:
    """The history says what was set, and what was taken away."""
    changes = RuntimeChanges(
        Runtime(entrypoint=("/x",), env=("B=$PATH",)), unset_env=("PATH",), expand=True
    )
    manifest, found = made(recipe(base(), changes=changes))
    assert manifest.layers == base().manifest.layers
    texts = [entry["created_by"] for entry in found["history"][3:] if entry["empty_layer"]]
    assert texts == [
        "ENV B=/bin # imgpack",
        'ENTRYPOINT ["/x"] # imgpack',
        "UNSET ENV PATH # imgpack",
    ]
    assert found["config"] == {"Env": ["B=/bin"], "ArgsEscaped": True, "Entrypoint": ["/x"]}


def test_the_author_is_the_bases_unless_another_is_given() -> None:
    """And entries have that of whoever made them."""
    assert made(recipe(base()), b"")[1]["history"][-1].keys() == {"created", "created_by"}
    _, found = made(recipe(base(), author="me"), b"")
    assert (found["author"], found["history"][-1]["author"]) == ("me", "me")
    assert "author" not in found["history"][0]


@pytest.mark.parametrize("missing", ["os", "architecture", ""])
def test_a_platform_that_a_base_lacks_is_the_recipes(missing: str) -> None:
    """One of the oldest says neither; nothing else of a base is doubted."""
    document = {key: value for key, value in DOCUMENT.items() if key != missing}
    wanted = recipe(base(document), platform=Platform("plan9", "mips"))
    platform = wanted.documents([], [], NOW)[1].platform
    assert platform.os == ("plan9" if missing == "os" else "linux")
    assert platform.architecture == ("mips" if missing == "architecture" else "arm64")
    assert (platform.variant, platform.os_version, platform.os_features) == ("v8", "1.2", ("x",))


@pytest.mark.parametrize(
    ("history", "lost"), [([], 2), (None, 2), ([{"created_by": "x"}, {"empty_layer": True}], 1)]
)
def test_layers_that_the_bases_history_lacks_get_entries(history: Any, lost: int) -> None:
    """In front of ours, so that each of ours is about its own layer; and it is told."""
    wanted = recipe(base(DOCUMENT | {"history": history}))
    _, found = made(wanted, b"app")
    entry = {"created": OLD, "comment": "history missing in base"}
    assert found["history"][:-1] == [*(history or []), *[entry] * lost]
    assert wanted.remarks(1) == (f"the base's history says nothing of {lost} of its layers",)


def test_layers_have_the_types_of_the_format() -> None:
    """Digests, sizes, annotations and URLs stay."""
    manifest, _ = made(recipe(base(), format=Format.DOCKER))
    types = [layer.media_type for layer in manifest.layers]
    assert types == [mediatype.DOCKER_LAYER_GZIP, mediatype.DOCKER_LAYER]
    assert manifest.media_type == mediatype.DOCKER_MANIFEST
    for old, new in zip(base().manifest.layers, manifest.layers, strict=True):
        assert replace(new, media_type=old.media_type) == old


@pytest.mark.parametrize(
    ("old", "kind", "new"),
    [
        (mediatype.DOCKER_LAYER_GZIP, Format.OCI, mediatype.OCI_LAYER_GZIP),
        (mediatype.DOCKER_LAYER, Format.OCI, mediatype.OCI_LAYER),
        (mediatype.DOCKER_LAYER_ZSTD, Format.OCI, mediatype.OCI_LAYER_ZSTD),
        (mediatype.DOCKER_LAYER_ZSTD, Format.DOCKER, mediatype.DOCKER_LAYER_ZSTD),
        *(
            (foreign, kind, foreign)
            for foreign in (
                mediatype.DOCKER_FOREIGN_LAYER_GZIP,
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            )
            for kind in Format
        ),
    ],
)
def test_a_layer_is_named_in_another_format(old: str, kind: Format, new: str) -> None:
    """Foreign ones stay foreign: the bytes are kept elsewhere."""
    layer = Descriptor(old, ONE, 10, urls=("https://x.y/z",))
    assert in_format(layer, kind) == replace(layer, media_type=new)


def test_a_layer_that_a_format_cannot_name_is_refused() -> None:
    """Zstd in Docker's, and what is encrypted."""
    with pytest.raises(UnsupportedError, match=f"the layer {ONE} of the base: ") as caught:
        in_format(Descriptor(mediatype.OCI_LAYER_ZSTD, ONE, 10), Format.DOCKER)
    assert caught.value.hint == Remedy.USE_OCI()
    with pytest.raises(UnsupportedError, match="which the docker format does not have"):
        in_format(Descriptor(mediatype.OCI_LAYER_GZIP + "+encrypted", ONE, 10), Format.DOCKER)


def test_layers_are_counted_with_the_bases() -> None:
    """Loaders count them all."""
    many = [str(Digest.of(b"%d" % number)) for number in range(100)]
    document = DOCUMENT | {"rootfs": {"diff_ids": many}, "history": []}
    wanted = recipe(base(document, (mediatype.OCI_LAYER,) * 100))
    assert "101 layers leave little room" in wanted.remarks(1)[-1]
    assert not any("room" in remark for remark in wanted.remarks(0))
    full = MAX_LAYERS - 100
    assert len(wanted.documents([b""] * full, [OWN] * full, NOW)[0].layers) == MAX_LAYERS
    with pytest.raises(LimitError, match="the image has 126 layers, 100 of them the base's"):
        wanted.documents([b""] * (full + 1), [OWN] * (full + 1), NOW)


@pytest.mark.parametrize("kind", Format)
def test_what_the_base_is_called_is_recorded(kind: Format) -> None:
    """On the manifest; in labels, too, if they are asked for, unless they are given."""
    named = BaseName(ONE, parse_name("debian:12"))
    said = {BASE_NAME: "docker.io/library/debian:12", BASE_DIGEST: str(ONE)}
    manifest, found = made(recipe(base(), base_name=named, format=kind))
    assert dict(manifest.annotations) == said
    assert "Labels" not in found["config"]

    _, found = made(recipe(base(), base_name=named, base_labels=True))
    assert found["config"]["Labels"] == said
    own = Runtime(labels=((BASE_NAME, "mine"),))
    _, found = made(recipe(base(), own, base_name=named, base_labels=True))
    assert found["config"]["Labels"] == said | {BASE_NAME: "mine"}


def test_a_base_is_called_by_its_tag_or_else_by_its_digest() -> None:
    """A name without either would be that of another image soon."""
    assert BaseName(ONE).as_annotations() == {BASE_DIGEST: str(ONE)}
    both = replace(parse_name("x.y/a:1"), digest=ONE)
    assert BaseName(ONE, both).as_annotations()[BASE_NAME] == "x.y/a:1"
    pinned = both.with_digest(ONE)
    assert BaseName(ONE, pinned).as_annotations()[BASE_NAME] == f"x.y/a@{ONE}"


def test_a_malformed_base_is_named_as_what_is_wrong() -> None:
    """The fault is in nothing that the user wrote."""
    wanted = recipe(base(DOCUMENT | {"config": {"Env": 1}}))
    with pytest.raises(DocumentError, match="the base's configuration: 'Env'"):
        wanted.documents([], [], NOW)


@given(configs())
def test_any_base_is_carried_on_and_read_again(config: ImageConfig) -> None:
    """Its history and layers come first, its platform stays, and the remarks are few."""
    layers = [Descriptor(mediatype.OCI_LAYER, one, 1) for one in config.diff_ids]
    described = describe(mediatype.OCI_CONFIG, config.raw)
    image = Image(build_manifest(described, layers, mediatype.OCI_MANIFEST), config, Memory())
    changes = RuntimeChanges(ignore_onbuild=True)
    manifest, found = recipe(image, changes=changes).documents([b"a"], [OWN], NOW)

    assert found == ImageConfig.parse(found.raw)
    assert found.history[: len(config.history)] == config.history
    assert found.diff_ids == (*config.diff_ids, THREE)
    assert (found.platform, found.author) == (config.platform, config.author)
    assert manifest.layers == (*layers, OWN.descriptor)
    assert recipe(image, changes=changes).remarks(1) == ()
