"""Images that are changed without a build: what is kept, what goes, and what is refused."""

import gzip
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import (
    Annotations,
    Codec,
    Descriptor,
    Format,
    Image,
    ImageIndex,
    Named,
    Placed,
    Platform,
    Runtime,
    RuntimeChanges,
    annotated,
    append,
    configure,
    directory,
    parse_name,
    raw_layer,
    recompress,
)
from imgpack.compression.codec import decompress
from imgpack.errors import ConfigError, DigestError, DocumentError, LimitError, UnsupportedError
from imgpack.files.scratch import ScratchBlobs, ScratchFile
from imgpack.image.edit.in_place import moving
from imgpack.image.edit.recompressed import Recompressing, segments
from imgpack.spec import mediatype
from imgpack.spec.format import Compression
from imgpack.spec.json import decode
from imgpack.spec.manifest import BASE_NAME, build_index, build_manifest
from tests.image.base.members import Warnings, changed
from tests.store.samples import (
    LAYERS,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    make_tar,
    read_layers,
)

SET = Runtime(env=("A=1",))


def configured(image: Image, changes: Any = SET, **options: Any) -> Image:
    """An image with another configuration."""
    found = configure(image, changes, **options)
    assert isinstance(found, Image)
    return found


def test_what_nobody_here_knows_stays_in_a_configuration() -> None:
    """Keys of others, and annotations, also of what the image is on."""
    more = {"os.features": ["x"], "config": {"Memory": 1, "Env": ["B=2"]}}
    image = changed(make_image(Memory(), docker=False), {BASE_NAME: "x"}, **more)
    new = configured(image)
    assert decode(new.config.raw)["os.features"] == ["x"]
    assert new.config.config == {"Memory": 1, "Env": ["B=2", "A=1"]}
    assert new.manifest.annotations == ((BASE_NAME, "x"),)
    assert (new.manifest.layers, new.config.diff_ids) == (
        image.manifest.layers,
        image.config.diff_ids,
    )


def test_an_image_without_a_time_gets_none() -> None:
    """An empty one is no time to a program in Go."""
    image = changed(make_image(Memory()), created="")
    raw = decode(image.config.raw)
    del raw["created"]
    image = changed(image, history=[])
    assert configured(image, history=False).config.created == image.config.created
    with pytest.raises(ConfigError, match="RFC 3339"):
        configured(image, created="yesterday")


def test_a_configuration_that_is_malformed_is_refused_with_its_place() -> None:
    """It is the image's, and not that of a base."""
    image = changed(make_image(Memory()), config={"Env": [1]})
    with pytest.raises(DocumentError, match="here: the configuration: one of the 'Env'"):
        configured(image, where="here")


def test_a_remark_that_all_platforms_have_is_told_once() -> None:
    """As most have the same configuration."""
    warnings = Warnings()
    multi = make_multi(Memory(), "linux/amd64", "linux/arm64")
    configure(multi, RuntimeChanges(unset_env=("Z",)), where="x", reporter=warnings)
    assert warnings.warned == ["x: the image has no ENV Z to unset"]


def attested() -> ImageIndex:
    """Two platforms, and for each what is about it; and what is about nobody says what."""
    source = Memory()
    multi, chart = make_multi(source, "linux/amd64", "linux/arm64"), make_artifact(source)
    about = [
        replace(
            chart.manifest.descriptor,
            annotations=(("vnd.docker.reference.digest", str(one.digest)),),
        )
        for one in multi.index.manifests
    ]
    entries = [*multi.index.manifests, *about]
    index = build_index(entries, multi.index.media_type)
    return ImageIndex(index, (*multi.members, chart, chart))


def test_only_the_platform_that_is_asked_for_changes_and_what_is_about_it_goes() -> None:
    """Attestations of the others are as true as before."""
    multi, warnings = attested(), Warnings()
    arm = Platform.parse("linux/arm64")
    new = configure(multi, SET, where="x", platform=arm, reporter=warnings)
    assert isinstance(new, ImageIndex)
    old = multi.index.manifests
    left = zip(new.index.manifests, old, strict=False)
    assert [one.digest == before.digest for one, before in left] == [True, False, True]
    assert "1 attestations or artifacts of the index are about what it held" in warnings.warned[0]
    assert configure(multi, RuntimeChanges(), history=False, platform=arm) == multi


@pytest.mark.parametrize("kind", list(Compression))
@pytest.mark.parametrize("docker", [True, False])
def test_layers_are_compressed_as_is_wanted(kind: Compression, docker: bool) -> None:
    """With the type that the format has for it; the same bytes with any number of jobs."""
    image = make_image(Memory(), docker=docker, compress=kind is Compression.NONE)
    if docker and kind is Compression.ZSTD:
        with (
            pytest.raises(UnsupportedError, match="no media type for zstd"),
            recompress(image, Codec(kind)),
        ):
            pass
        return
    for jobs in (1, 3):
        with recompress(image, Codec(kind), jobs=jobs) as new:
            assert isinstance(new, Image)
            assert new.config is image.config
            wanted = Format.DOCKER if docker else Format.OCI
            assert {one.media_type for one in new.manifest.layers} == {wanted.layer_type(kind)}
            layers = read_layers(new)
            assert [b"".join(decompress([one], kind)) for one in layers] == list(LAYERS)
            assert [len(one) for one in layers] == [one.size for one in new.manifest.layers]


def test_a_blob_that_is_said_to_unpack_to_two_things_is_read_for_each() -> None:
    """What one of several images says of it proves nothing of the other."""
    source = Memory()
    good, other = make_image(source, LAYERS), make_image(source, LAYERS[::-1])
    manifest = build_manifest(
        other.manifest.config, good.manifest.layers, other.manifest.media_type
    )
    wrong = replace(other, manifest=manifest)
    file = ScratchFile(tempfile.gettempdir())
    recompressing = Recompressing("x", ScratchBlobs(file), Codec(Compression.NONE))
    recompressing.recompress(good)
    with pytest.raises(DigestError, match="the configuration says"):
        recompressing.recompress(wrong)


def test_annotations_about_places_in_the_blob_go() -> None:
    """An estargz without its table of contents is none; foreign layers stay what they are."""
    image = make_image(Memory(), docker=False)
    told = (("containerd.io/snapshot/stargz/toc.digest", "x"), ("kept", "y"))
    first, second = image.manifest.layers
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layers = [replace(first, annotations=told), replace(second, media_type=foreign)]
    manifest = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    with recompress(replace(image, manifest=manifest), "none") as new:
        assert isinstance(new, Image)
        assert new.manifest.layers[0].annotations == (("kept", "y"),)
        assert new.manifest.layers[1] == layers[1]


def test_a_layer_that_is_not_what_it_says_ends_it() -> None:
    """By its digest, or by what it unpacks to."""
    source = Memory()
    image = make_image(source, docker=False)
    wrong = gzip.compress(b"other")
    digest = source.add(wrong)
    layers = [Descriptor(mediatype.OCI_LAYER_GZIP, digest, len(wrong)), image.manifest.layers[1]]
    manifest = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    with (
        pytest.raises(DigestError, match=r"x: layer sha256:.*the configuration says"),
        recompress(replace(image, manifest=manifest), "none", where="x"),
    ):
        pass
    source.blobs[digest] = gzip.compress(b"third")
    with pytest.raises(DigestError), recompress(replace(image, manifest=manifest), "none"):
        pass


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_segments_do_not_depend_on_how_a_stream_comes(pieces: list[bytes], size: int) -> None:
    """They are all of it, each of one size but the last, which says so."""
    found = list(segments(pieces, size))
    whole = b"".join(pieces)
    assert b"".join(bytes(one.data) for one in found) == whole
    assert [len(one.data) for one in found[:-1]] == [size] * (len(found) - 1)
    assert found[-1].data or not whole, "none is empty but that of an empty stream"
    assert [one.last for one in found] == [False] * (len(found) - 1) + [True]
    assert found == list(segments([whole], size))


def test_a_tar_file_is_appended_without_a_look_at_the_other_layers(tmp_path: Path) -> None:
    """Their bytes are not there at all."""
    image = replace(make_image(Memory(), docker=False), source=Memory())
    tar = make_tar(tmp_path / "x.tar", {"new": b"1"})
    with append(image, [raw_layer(str(tar))], created="2020-01-01T00:00:00Z") as new:
        assert isinstance(new, Image)
        assert new.manifest.layers[:-1] == image.manifest.layers
        last = new.layers[-1]
        assert last.diff_id == last.descriptor.digest
        assert b"".join(new.source.read_blob(last.descriptor)) == tar.read_bytes()
        assert new.config.history[-1].created_by == "COPY . / # imgpack"
        assert new.config.created == "2020-01-01T00:00:00Z"


def test_too_many_layers_are_refused(tmp_path: Path) -> None:
    """As many as Docker takes, and before anything is written."""
    tar = make_tar(tmp_path / "x.tar", {"new": b"1"})
    with (
        pytest.raises(LimitError, match="x would have 127 layers"),
        append(make_image(Memory()), [raw_layer(str(tar))] * 125, where="x"),
    ):
        pass
    with pytest.raises(ValueError, match="no layer"), append(make_image(Memory()), []):
        pass


def test_as_many_layers_as_docker_takes_are_made(tmp_path: Path) -> None:
    """And not one more."""
    image = make_image(Memory(), [LAYERS[0]] * 124)
    tar = raw_layer(str(make_tar(tmp_path / "x.tar", {"new": b"1"})))
    with append(image, [tar]) as new:
        assert isinstance(new, Image)
        assert len(new.layers) == 125
        with pytest.raises(LimitError, match="would have 126 layers"), append(new, [tar]):
            pass


def test_a_tree_between_finished_layers_goes_over_what_the_image_has(tmp_path: Path) -> None:
    """What is there already is no news, and makes no layer."""
    (tmp_path / "t/etc").mkdir(parents=True)
    (tmp_path / "t/etc/one").write_bytes(b"1")
    tree = directory(os.fsencode(tmp_path / "t"))
    tar = raw_layer(str(make_tar(tmp_path / "x.tar", {"new": b"1"})))
    with append(make_image(Memory(), docker=False), [tree]) as first:
        assert isinstance(first, Image)
        cases: list[tuple[list[Placed[Any]], int]] = [
            ([tree], 0), ([tar, tree], 1), ([tree, tar], 1), ([tar, tar], 2),
        ]  # fmt: skip
        for trees, count in cases:
            with append(first, trees) as new:
                assert isinstance(new, Image)
                assert len(new.layers) == len(first.layers) + count


def test_the_author_alone_is_a_change() -> None:
    """Unless it is the image's already."""
    image = make_image(Memory())
    new = configured(image, RuntimeChanges(), author="me", history=False)
    assert decode(new.config.raw)["author"] == "me"
    assert configured(new, RuntimeChanges(), author="me", history=False) is new
    other = configured(new, RuntimeChanges(), author="you", history=False)
    assert decode(other.config.raw)["author"] == "you"
    assert configured(new, RuntimeChanges(), history=False) is new
    later = configured(new, RuntimeChanges(), created="2031-01-01T00:00:00Z", history=False)
    assert later.config.created == "2031-01-01T00:00:00Z"


def test_an_artifact_is_no_image_to_change(tmp_path: Path) -> None:
    """One clear line, whatever was to be done."""
    artifact = make_artifact(Memory())
    tar = raw_layer(str(make_tar(tmp_path / "x.tar", {"new": b"1"})))
    for change in (append(artifact, [tar]), recompress(artifact, "gzip")):
        with pytest.raises(UnsupportedError, match="is no image, but an artifact"), change:
            pass
    with pytest.raises(UnsupportedError, match="is no image, but an artifact"):
        configure(artifact, SET)
    with pytest.raises(UnsupportedError, match="it is not annotated"):
        annotated(Named(artifact), Annotations(), Annotations.removals(["a"]))


def test_annotations_are_removed_where_they_are() -> None:
    """Of a place, of a platform; nothing else gets another digest."""
    multi = Named(make_multi(Memory(), "linux/amd64", "linux/arm64"))
    said = ("a=1", "index:a=2", "manifest-descriptor:a=3", "layer:a=4", "index-descriptor:a=5")
    full = annotated(multi, Annotations.parse(said))
    assert annotated(full, Annotations(), Annotations.removals(["b", "index:b"])) == full
    gone = annotated(
        full,
        Annotations.parse(["a=9"]),
        Annotations.removals(["index,manifest-descriptor[linux/arm64],index-descriptor:a"]),
    )
    assert gone.annotations == ()
    assert isinstance(gone.image, ImageIndex)
    assert gone.image.index.annotations == ()
    assert [one.annotations for one in gone.image.index.manifests] == [(("a", "3"),), ()]
    for one in gone.image.members:
        assert isinstance(one, Image)
        assert one.manifest.annotations == (("a", "9"),)
    every = ["a", "index:a", "manifest-descriptor:a", "layer:a", "index-descriptor:a"]
    assert annotated(full, Annotations(), Annotations.removals(every)) == multi


def test_removing_makes_no_docker_image_an_oci_one() -> None:
    """There is nothing to say in it."""
    image = Named(make_image(Memory(), docker=True))
    assert annotated(image, Annotations(), Annotations.removals(["a", "layer:a"])) == image


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        (None, "ab", ("l", "m")),
        ("x/a:1", "a", ()),
        ("2", "b", ()),
        ("l", "", ("l",)),
        ("sha256:" + "0" * 64, "ab", ("l", "m")),
    ],
)
def test_the_name_that_is_asked_for_moves(
    text: str | None, names: str, labels: tuple[str, ...]
) -> None:
    """All of them, if it is asked for by no name."""
    every = {"a": parse_name("x/a:1"), "b": parse_name("x/b:2")}
    named = Named(make_image(Memory()), tuple(every.values()), ("l", "m"))
    found = moving(named, text)
    assert (found.names, found.labels) == (tuple(every[one] for one in names), labels)
