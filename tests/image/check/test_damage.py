"""Whatever is damaged in an archive or a layout is found, and hides nothing else."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Platform, Verification, verify
from imgpack.errors import ImgpackError
from tests.store.samples import LAYERS, Memory, make_image, make_multi, write_image

Damage = Callable[[Path], None]


def _blob(layout: Path, kind: str) -> Path:
    """The file of a document or layer of the one image of ``layout``."""
    index = json.loads((layout / "index.json").read_bytes())
    manifest = _path(layout, index["manifests"][0]["digest"])
    if kind == "manifest":
        return manifest
    told = json.loads(manifest.read_bytes())
    one = told["config"] if kind == "config" else told["layers"][int(kind)]
    return _path(layout, one["digest"])


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _flipped(kind: str) -> Damage:
    def damage(layout: Path) -> None:
        path = _blob(layout, kind)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)

    return damage


def _cut(kind: str) -> Damage:
    def damage(layout: Path) -> None:
        path = _blob(layout, kind)
        path.write_bytes(path.read_bytes()[:-9])

    return damage


def _longer(kind: str) -> Damage:
    def damage(layout: Path) -> None:
        path = _blob(layout, kind)
        path.write_bytes(path.read_bytes() + b" ")

    return damage


def _removed(kind: str) -> Damage:
    return lambda layout: _blob(layout, kind).unlink()


def _index(raw: bytes) -> Damage:
    def damage(layout: Path) -> None:
        (layout / "index.json").write_bytes(raw)

    return damage


DAMAGES: dict[str, tuple[Damage, str, int]] = {
    "a layer's byte": (_flipped("0"), "blob", 12),
    "the other layer's byte": (_flipped("1"), "blob", 12),
    "a layer's end": (_cut("1"), "blob", 12),
    "a byte too many": (_longer("1"), "blob", 12),
    "a layer": (_removed("0"), "blob", 20),
    "a configuration's byte": (_flipped("config"), "document", 12),
    "a configuration's end": (_cut("config"), "document", 12),
    "a configuration": (_removed("config"), "document", 20),
    "a manifest's byte": (_flipped("manifest"), "document", 12),
    "a manifest": (_removed("manifest"), "document", 20),
    "index.json": (_index(b"{"), "document", 10),
    "its version": (lambda layout: _version(layout), "document", 11),
}


def _version(layout: Path) -> None:
    (layout / "oci-layout").write_bytes(b'{"imageLayoutVersion":"9"}')


def _tarred(layout: Path, *, more: dict[str, bytes] | None = None) -> Path:
    """An archive of the files of ``layout``."""
    path = layout.parent / "image.tar"
    with tarfile.open(path, "w") as tar:
        for file in sorted(one for one in layout.rglob("*") if one.is_file()):
            tar.add(file, file.relative_to(layout).as_posix())
        for name, data in (more or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def _ids(found: Verification) -> list[str]:
    return [problem.check.id for problem in found.problems]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An image of two layers."""
    return write_image(f"{tmp_path}/layout/", make_image(Memory(), docker=False))


@pytest.mark.parametrize("archive", [False, True], ids=["layout", "archive"])
def test_a_sound_image_has_no_problem(layout: Path, *, archive: bool) -> None:
    """All that was looked at is told."""
    found = verify(str(_tarred(layout) if archive else layout), jobs=2)

    assert found.problems == ()
    assert found.sound
    assert found.error is None
    assert found.blobs == 2
    assert [(image.kind, image.platform) for image in found.images] == [("image", "linux/amd64")]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("archive", [False, True], ids=["layout", "archive"])
@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found(layout: Path, what: str, jobs: int, *, archive: bool) -> None:
    """With the exit code of its kind, wherever it is."""
    damage, check, code = DAMAGES[what]
    damage(layout)

    found = verify(str(_tarred(layout) if archive else layout), jobs=jobs)

    assert _ids(found) == [check]
    assert not found.sound
    assert found.error is not None
    assert found.error.exit_code == code
    assert str(layout) not in found.problems[0].text
    if check == "blob":
        assert found.problems[0].text.startswith("it ")


@pytest.mark.parametrize("archive", [False, True], ids=["layout", "archive"])
def test_the_platform_that_index_json_says_is_compared(layout: Path, *, archive: bool) -> None:
    """``ctr`` and others choose by it, and leave an image out that is another."""
    index = json.loads((layout / "index.json").read_bytes())
    for architecture, ids in (("amd64", []), ("arm64", ["platform"])):
        for entry in index["manifests"]:
            entry["platform"] = {"os": "linux", "architecture": architecture}
        _index(json.dumps(index).encode())(layout)
        found = verify(str(_tarred(layout) if archive else layout))
        assert _ids(found) == ids
        assert [image.kind for image in found.images] == ["image"]


def test_all_damage_is_told(layout: Path) -> None:
    """One problem does not hide another."""
    _flipped("0")(layout)
    _cut("1")(layout)

    found = verify(str(layout))

    assert _ids(found) == ["blob", "blob"]
    assert len({problem.where for problem in found.problems}) == 2
    assert found.error is not None
    assert "(and 1 more)" in found.error.message


def test_layers_are_checked_without_their_configuration(layout: Path) -> None:
    """Digests and sizes are said by the manifest."""
    _flipped("config")(layout)
    _flipped("1")(layout)
    assert _ids(verify(str(layout))) == ["document", "blob"]


def test_both_halves_of_an_archive_are_compared(layout: Path) -> None:
    """And the half that counts is checked all the same."""
    item = {"Config": f"blobs/sha256/{'0' * 64}", "RepoTags": None, "Layers": []}
    _flipped("1")(layout)
    path = _tarred(layout, more={"manifest.json": json.dumps([item]).encode()})

    found = verify(str(path))

    assert _ids(found) == ["agreement", "blob"]
    assert found.error is not None
    assert found.error.exit_code == 11


def test_the_platform_and_the_name_choose(tmp_path: Path) -> None:
    """What is not chosen is not read."""
    multi = make_multi(Memory(), "linux/amd64", "linux/arm64")
    path = str(write_image(tmp_path / "multi.tar", multi))
    arm = verify(path, platform=Platform.parse("linux/arm64"))
    assert [image.kind for image in arm.images] == ["index", "image"]
    assert arm.blobs == 1
    assert verify(f"{path}:foo:1").blobs == 2
    with pytest.raises(ImgpackError, match="no image for linux/s390x"):
        verify(path, platform=Platform.parse("linux/s390x"))
    with pytest.raises(ImgpackError, match="no image 'bar'"):
        verify(path, image="bar")


_RAW: dict[str, bytes] = {}


def _archive(directory: Path) -> bytes:
    if not _RAW:
        path = write_image(directory / "whole.tar", make_image(Memory(), LAYERS))
        _RAW["raw"] = path.read_bytes()
    return _RAW["raw"]


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_no_damage_is_missed_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int, *, cut: bool
) -> None:
    """A flipped bit or a lost end: an error of ours, or a sound image with the same blobs."""
    directory = tmp_path_factory.mktemp("damage")
    raw = bytearray(_archive(directory))
    place = int(at * len(raw))
    if cut:
        del raw[place:]
    else:
        raw[place] ^= 1 << bit
    path = directory / "image.tar"
    path.write_bytes(raw)
    try:
        found = verify(str(path))
    except ImgpackError:
        return
    assert found.sound != bool(found.error)
    if found.sound:
        assert found.blobs == 2
