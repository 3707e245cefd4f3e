"""Images of several platforms that are built into one sink."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from imgpack import api
from imgpack.errors import ConfigError, SourceChangedError

NAME = "docker.io/library/app:1"
SHARED = [api.entries([api.file("shared", b"x" * 5000)])]


def part(architecture: str, content: bytes | None = None, **how: object) -> api.ImageBuild:
    """What is to be built for one platform: what is shared, and a file of its own."""
    own = [api.entries([api.file("own", architecture.encode() if content is None else content)])]
    platform = api.Platform("linux", architecture)
    return api.prepare([*SHARED, *own], platform=platform, **how)  # type: ignore[arg-type]


def archive(path: Path) -> AbstractContextManager[api.ReadableSink]:
    """An archive or a layout."""
    return api.create(f"{path}/" if path.suffix == "" else str(path))


def built(path: Path, parts: Sequence[api.ImageBuild]) -> api.Image | api.ImageIndex:
    """All of them in an archive or a layout."""
    with archive(path) as sink:
        return api.build_prepared(parts, into=sink, names=[NAME])


@pytest.mark.parametrize("name", ["app.tar", "app"])
def test_every_layer_is_there_once(tmp_path: Path, name: str) -> None:
    """The second image's first layer is the first one's, and all of it can be read."""
    index = built(tmp_path / name, [part("amd64"), part("arm64")])
    assert isinstance(index, api.ImageIndex)
    layers = [one.manifest.layers for one in api.images_in(index)]
    assert layers[0][0] == layers[1][0]
    place = str(tmp_path / name) + ("/" if name == "app" else "")
    with api.open(place) as opened:
        found = opened.image()
        assert found.image.document == index.document
        with api.create(str(tmp_path / "copy.tar")) as copy:
            api.copy([found], copy)


def test_all_layers_of_an_image_may_be_another_s(tmp_path: Path) -> None:
    """Then nothing of it is new but its documents."""
    index = built(tmp_path / "a.tar", [part("amd64", b"same"), part("arm64", b"same")])
    first, second = api.images_in(index)
    assert first.manifest.layers == second.manifest.layers
    assert first.config.digest != second.config.digest


def test_the_order_of_the_images_is_that_of_the_index(tmp_path: Path) -> None:
    """And it decides nothing about each."""
    one = built(tmp_path / "1.tar", [part("amd64"), part("arm64")])
    other = built(tmp_path / "2.tar", [part("arm64"), part("amd64")])
    documents = [[image.document for image in api.images_in(index)] for index in (one, other)]
    assert documents[0] == documents[1][::-1]


def test_one_alone_is_what_a_build_makes(tmp_path: Path) -> None:
    """No index is around it."""
    image = built(tmp_path / "1.tar", [part("amd64")])
    with archive(tmp_path / "2.tar") as sink:
        other = api.build(
            [*SHARED, api.entries([api.file("own", b"amd64")])],
            into=sink,
            names=[NAME],
            platform=api.Platform(),
        )
    assert image.document == other.document
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_what_is_prepared_may_be_built_again(tmp_path: Path) -> None:
    """Into another sink, with the same outcome."""
    parts = [part("amd64"), part("arm64")]
    for name in ("1.tar", "2.tar"):
        built(tmp_path / name, parts)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_two_of_one_platform_leave_nothing(tmp_path: Path) -> None:
    """It is known before a layer is made; nor is anything made of none."""
    opened: list[int] = []

    def content() -> object:
        opened.append(1)
        raise AssertionError

    own = [api.entries([api.file("own", content, size=1)])]  # type: ignore[arg-type]
    twice = [api.prepare(layers, platform=api.Platform()) for layers in (own, [*SHARED, *own])]
    with pytest.raises(ConfigError, match="two different images are for linux/amd64"):
        built(tmp_path / "a.tar", twice)
    with pytest.raises(ValueError, match="no image"):
        built(tmp_path / "a.tar", [])
    assert list(tmp_path.iterdir()) == []
    assert opened == []


def test_a_failure_of_the_last_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    """Nothing is visible before all of it is there."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x")
    lost = api.prepare(
        [api.directory(str(tmp_path / "tree"))], platform=api.Platform("linux", "arm")
    )
    (tmp_path / "tree" / "file").unlink()
    (tmp_path / "tree").rmdir()
    with pytest.raises(SourceChangedError):
        built(tmp_path / "out", [part("amd64"), lost])
    assert list(tmp_path.iterdir()) == []


def test_annotations_are_in_the_draft_as_well(tmp_path: Path) -> None:
    """So that the archive's front has the room, and what is wrong is known early."""
    said = api.Annotations.parse(["a=1", "index:b=2", "manifest-descriptor[linux/arm64]:c=3"])
    with archive(tmp_path / "a.tar") as sink:
        index = api.build_prepared([part("amd64"), part("arm64")], into=sink, annotations=said)
    assert isinstance(index, api.ImageIndex)
    assert [dict(entry.annotations) for entry in index.index.manifests] == [{}, {"c": "3"}]
    with (
        pytest.raises(ConfigError, match="no such image"),
        archive(tmp_path / "b.tar") as sink,
    ):
        wrong = api.Annotations.parse(["manifest[linux/arm]:a=1"])
        api.build_prepared([part("amd64")], into=sink, annotations=wrong)
