"""One layer of an image's layers: what it has where others got it wrong, and what is kept."""

import gzip
import io
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from imgpack.api import (
    Format,
    Image,
    ImageIndex,
    Named,
    copy,
    create,
    flatten,
    images_in,
)
from imgpack.errors import ConfigError, DigestError, UnsupportedError
from imgpack.spec import mediatype
from imgpack.spec.json import decode
from imgpack.spec.manifest import BASE_DIGEST, BASE_NAME, build_index
from tests.image.base.members import (
    DIRECTORY,
    FILE,
    LINK,
    SYMLINK,
    Member,
    Warnings,
    changed,
    layer_of,
    members_of,
)
from tests.store.samples import (
    CREATED,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    read_layers,
)


def made(image: Image, **options: Any) -> tuple[Image, list[bytes]]:
    """The image with one layer, and its layers uncompressed."""
    with flatten(image, **options) as found:
        assert isinstance(found, Image)
        blobs = read_layers(found)
    return found, [gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for one in blobs]


CASES: dict[str, tuple[list[list[Member]], dict[str, tuple[bytes, str]]]] = {
    "a file is replaced under one of its names": (
        [
            [("t1", FILE, "old"), ("t2", LINK, "t1"), ("t3", LINK, "t1")],
            [("t1", FILE, "new")],
        ],
        {"t1": (FILE, "new"), "t2": (FILE, "old"), "t3": (LINK, "t2")},
    ),
    "the first name of a file is deleted": (
        [[("a", FILE, "data"), ("b", LINK, "a")], [(".wh.a", FILE, "")]],
        {"b": (FILE, "data")},
    ),
    "a directory is opaque": (
        [
            [("d", DIRECTORY, ""), ("d/low", FILE, "1")],
            [("d/high", FILE, "2"), ("d/.wh..wh..opq", FILE, "")],
        ],
        {"d": (DIRECTORY, ""), "d/high": (FILE, "2")},
    ),
    "a directory is deleted and comes back": (
        [
            [("a", DIRECTORY, ""), ("a/foo", FILE, "1")],
            [(".wh.a", FILE, "")],
            [("a", DIRECTORY, ""), ("a/baz", FILE, "3")],
        ],
        {"a": (DIRECTORY, ""), "a/baz": (FILE, "3")},
    ),
    "the only layer deletes": (
        [[("x", FILE, "1"), (".wh.y", FILE, ""), ("d", DIRECTORY, ""), ("d/.wh.z", FILE, "")]],
        {"d": (DIRECTORY, ""), "x": (FILE, "1")},
    ),
    "a symlink is absolute": (
        [[("lib64", SYMLINK, "/usr/lib64")], [("usr", DIRECTORY, "")]],
        {"lib64": (SYMLINK, "/usr/lib64"), "usr": (DIRECTORY, "")},
    ),
    "a directory becomes a file and a directory again": (
        [
            [("d", DIRECTORY, ""), ("d/child", FILE, "1")],
            [("d", FILE, "file")],
            [("d", DIRECTORY, "")],
        ],
        {"d": (DIRECTORY, "")},
    ),
    "a hard link leads to a lower layer": (
        [[("a", FILE, "data")], [("b", LINK, "a")]],
        {"a": (FILE, "data"), "b": (LINK, "a")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_layer_has_what_the_image_shows(case: str) -> None:
    """Whatever lies on top of what."""
    layers, expected = CASES[case]
    image = make_image(Memory(), [layer_of(one) for one in layers])
    _, (layer,) = made(image)
    assert members_of(layer) == expected


@pytest.mark.parametrize("compress", [True, False])
def test_each_layer_is_read_once_and_to_its_end(compress: bool) -> None:
    """Bytes behind the end of the archive count to the digest, and to nothing else."""
    source = Memory()
    trailing = layer_of([("x", FILE, "1")]) + b"\0" * 20_000
    image = make_image(source, [trailing, layer_of([("y", FILE, "2")])], compress=compress)
    made(image)
    assert source.reads == [layer.digest for layer in image.manifest.layers]

    damaged = gzip.compress(trailing[:-1] + b"\1") if compress else trailing[:-1] + b"\1"
    source.blobs[image.manifest.layers[0].digest] = damaged
    with pytest.raises(DigestError, match="layer sha256"), flatten(image):
        pass


def test_the_configuration_is_kept() -> None:
    """With its time and what nobody knows; what is about the layers that were is not."""
    image = changed(
        make_image(Memory()),
        {BASE_NAME: "x", BASE_DIGEST: "y", "kept": "z"},
        config={"Env": ["A=b"], "Labels": {BASE_NAME: "x", "a": "b"}, "Unknown": [1]},
        author="me",
        container_config={"Cmd": ["x"]},
        **{"moby.buildkit.cache.v0": "x", "os.version": "7"},
    )
    found, _ = made(image)
    before, after = decode(image.config.raw), decode(found.config.raw)
    assert found.manifest.annotations == (("kept", "z"),)
    assert after["config"] == before["config"] | {"Labels": {"a": "b"}}
    assert after["created"] == CREATED
    unlike = {"config", "history", "rootfs", "moby.buildkit.cache.v0"}
    assert {k: v for k, v in after.items() if k not in unlike} == {
        k: v for k, v in before.items() if k not in unlike
    }
    assert unlike & after.keys() == unlike - {"moby.buildkit.cache.v0"}


def test_the_history_says_what_was_done_of_no_layer() -> None:
    """As docker's --squash: the entries stay, and one for the layer is behind them."""
    image = make_image(Memory())
    found, _ = made(image)
    before, after = (decode(one.config.raw)["history"] for one in (image, found))
    assert after[:-1] == [step | {"empty_layer": True} for step in before]
    assert after[-1] == {
        "created": CREATED, "created_by": f"FLATTEN {image.config.digest} # imgpack"
    }  # fmt: skip


@pytest.mark.parametrize("docker", [True, False])
def test_the_family_of_media_types_is_kept(docker: bool) -> None:
    """Unless another one is asked for, and one that has such layers."""
    image = make_image(Memory(), docker=docker)
    found, _ = made(image)
    assert found.manifest.media_type == image.manifest.media_type
    assert found.manifest.layers[0].media_type == image.manifest.layers[0].media_type
    other, _ = made(image, format=Format.OCI, compression="none")
    assert other.manifest.media_type == mediatype.OCI_MANIFEST
    assert other.manifest.layers[0].media_type == mediatype.OCI_LAYER
    with (
        pytest.raises(UnsupportedError, match="zstd"),
        flatten(image, format=Format.DOCKER, compression="zstd"),
    ):
        pass


def test_the_same_files_make_the_same_layer() -> None:
    """However many layers they come in, and in which order."""
    low, high = [("a", FILE, "1"), ("b", FILE, "2")], [("c", FILE, "3")]
    one, _ = made(make_image(Memory(), [layer_of(low), layer_of(high)]))
    other, _ = made(make_image(Memory(), [layer_of([*high, *reversed(low)])], docker=False))
    assert one.config.diff_ids == other.config.diff_ids
    with flatten(make_image(Memory(), [layer_of(low), layer_of(high)])) as found:
        again, _ = made(next(images_in(found)))
    assert again.config.diff_ids == one.config.diff_ids


def test_every_platform_of_an_index_is_flattened(tmp_path: Any) -> None:
    """Its attestations are about what was there, and left out, which is said."""
    source = Memory()
    multi, chart = make_multi(source, "linux/amd64", "linux/arm64"), make_artifact(source)
    beside = replace(
        chart.manifest.descriptor, annotations=(("vnd.docker.reference.digest", "sha256:x"),)
    )
    annotations = {BASE_NAME: "x", "kept": "y"}
    entries = [*multi.index.manifests, beside]
    index = build_index(entries, multi.index.media_type, annotations)
    warnings = Warnings()
    with flatten(
        ImageIndex(index, (*multi.members, chart)), where="here", reporter=warnings
    ) as new:
        assert isinstance(new, ImageIndex)
        assert [str(one.platform) for one in new.index.manifests] == ["linux/amd64", "linux/arm64"]
        assert new.index.annotations == (("kept", "y"),)
        with create(str(tmp_path / "x.tar")) as sink:
            copy([Named(new)], sink)
    assert warnings.warned == [
        "here: 1 attestations or artifacts of the index are about what it held, and left out"
    ]


def test_an_artifact_is_refused() -> None:
    """It has no file system."""
    with pytest.raises(UnsupportedError, match="no image, but an artifact"):
        flatten(make_artifact(Memory())).__enter__()


def test_what_a_layer_says_of_the_root_is_lost_and_told() -> None:
    """A layer of ours has no entry for it."""
    root = tarfile.TarInfo("./")
    root.type, root.mode, root.uid = DIRECTORY, 0o700, 5
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(root)
    warnings = Warnings()
    made(make_image(Memory(), [buffer.getvalue()]), where="here", reporter=warnings)
    assert [line.partition(",")[0] for line in warnings.warned] == [
        "here: the root directory is 0700 5:0"
    ]


def test_above_a_base_deletions_of_what_it_has_stay(tmp_path: Any) -> None:
    """And those of what only layers above it have go; its own layers are not touched."""
    source = Memory()
    low = layer_of([("gone", FILE, "1"), ("d", DIRECTORY, ""), ("d/x", FILE, "1")])
    middle = layer_of([("new", FILE, "2"), ("short", FILE, "2"), ("d/.wh..wh..opq", FILE, "")])
    high = layer_of([(".wh.gone", FILE, ""), (".wh.short", FILE, "")])
    base, image = make_image(source, [low]), make_image(source, [low, middle, high])
    with create(str(tmp_path / "base.tar")) as sink:
        copy([Named(base)], sink)

    found, layers = made(image, above=str(tmp_path / "base.tar"))

    assert found.manifest.layers[0] == base.manifest.layers[0]
    assert members_of(layers[1]) == {
        ".wh.gone": (FILE, ""),
        "d": (DIRECTORY, ""),
        "d/.wh.x": (FILE, ""),
        "new": (FILE, "2"),
    }
    history = decode(found.config.raw)["history"]
    assert [step.get("empty_layer", False) for step in history] == [False, True, True, False]

    with create(str(tmp_path / "other.tar")) as sink:
        copy([Named(make_image(source, [high]))], sink)
    with pytest.raises(ConfigError, match="is not on that base: its layer 1 is sha256"):
        flatten(image, above=str(tmp_path / "other.tar")).__enter__()
