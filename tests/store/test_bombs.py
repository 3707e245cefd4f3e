"""Small archives that would make much work: what is named a thousand times is read once."""

import json
import os
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from imgpack.api import Descriptor, Digest, Image, ImageConfig, Reference
from imgpack.errors import LimitError
from imgpack.image.image import walk
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from imgpack.spec.json import MAX_DOCUMENTS, encode
from imgpack.spec.manifest import build_index, build_manifest, parse_document
from imgpack.store.archive.docker_save import MAX_TAGS
from imgpack.store.open import open_images
from imgpack.tar.extension import MAX_NAME
from imgpack.tar.index import TarFile

from .samples import LAYERS, make_config, make_tar, opened_images


def _calls(action: Callable[[], object]) -> Counter[CodeType]:
    """How often ``action`` calls each function."""
    counts: Counter[CodeType] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counts


def _code(function: Any) -> CodeType:
    code: CodeType = getattr(function, "__func__", function).__code__
    return code


def _layout(path: Path, entries: Sequence[Descriptor], blobs: Sequence[bytes]) -> Path:
    index = {"schemaVersion": 2, "manifests": [entry.as_json() for entry in entries]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": encode(index)}
    return make_tar(path, files | {f"blobs/sha256/{Digest.of(raw).hex}": raw for raw in blobs})


def _tower(path: Path, width: int) -> Path:
    """Four documents, of which each names the next ``width`` times."""
    documents = [build_index([])]
    for _ in range(3):
        documents.append(build_index([documents[-1].descriptor] * width))
    return _layout(path, [documents[-1].descriptor], [document.raw for document in documents])


def test_nested_indexes_that_repeat_are_read_once(tmp_path: Path) -> None:
    """A thousand names of one document are no thousand documents."""
    path = _tower(tmp_path / "x.tar", 10)

    def read() -> None:
        with open_images(str(path)) as opened:
            assert len(list(walk(opened.image().image))) == 1111

    calls = _calls(read)
    assert calls[_code(TarFile.chunks)] < 30
    assert calls[_code(parse_document)] == 4


def test_nested_indexes_that_repeat_are_bounded(tmp_path: Path) -> None:
    """A thousand times a thousand names are no image."""
    with (
        open_images(str(_tower(tmp_path / "x.tar", 1024))) as opened,
        pytest.raises(LimitError, match=r"x\.tar names manifests"),
    ):
        opened.images()


def _sharing(path: Path, count: int, label: str) -> Path:
    """An archive of ``count`` manifests with one configuration."""
    obj = json.loads(make_config([]).raw) | {"config": {"Labels": {"x": label}}}
    config = encode(obj)
    manifests = [
        build_manifest(
            describe(mediatype.OCI_CONFIG, config), [], mediatype.OCI_MANIFEST, {"n": str(number)}
        )
        for number in range(count)
    ]
    raws = [config, *(manifest.raw for manifest in manifests)]
    return _layout(path, [manifest.descriptor for manifest in manifests], raws)


def test_a_configuration_that_many_manifests_name_is_in_memory_once(tmp_path: Path) -> None:
    """Read once, parsed once."""
    path = _sharing(tmp_path / "x.tar", 20, "small")
    with open_images(str(path)) as opened:
        images = opened_images(opened)
        assert len(images) == 20
        assert len({id(one.config) for one in images if isinstance(one, Image)}) == 1


def test_all_documents_together_are_bounded(tmp_path: Path) -> None:
    """However often a large one is named: each time it would be shown."""
    path = _sharing(tmp_path / "x.tar", MAX_DOCUMENTS // 4_000_000 + 1, "x" * 4_000_000)
    with (
        open_images(str(path)) as opened,
        pytest.raises(LimitError, match=r"x\.tar names manifests and configurations of more"),
    ):
        opened.images()


def _saved(
    path: Path, items: Sequence[Mapping[str, Any]], files: Mapping[str, bytes], **links: str
) -> Path:
    return make_tar(path, {"manifest.json": json.dumps(items).encode(), **files}, links)


def test_items_with_one_configuration_parse_it_once_and_its_names_once(tmp_path: Path) -> None:
    """Every name of every item counts, those that are no names too."""
    items = [
        {"Config": "c", "RepoTags": [f"a{n}:{m}" for m in range(20)] + [f"?{n}"], "Layers": []}
        for n in range(20)
    ]
    path = _saved(tmp_path / "x.tar", items, {"c": make_config([]).raw})

    def read() -> None:
        with open_images(str(path)) as opened:
            (image,) = opened.images()
            assert len(image.names) == 400
            assert opened.select("?3") is opened.select("?19") is opened.roots[0]

    calls = _calls(read)
    assert calls[_code(ImageConfig.parse)] == 1
    assert calls[_code(Reference.parse)] < 450


def test_the_names_of_an_archive_are_bounded(tmp_path: Path) -> None:
    """Over all its images."""
    items = [{"Config": "c", "RepoTags": ["a"] * (MAX_TAGS // 2 + 1), "Layers": []}] * 2
    path = _saved(tmp_path / "x.tar", items, {"c": make_config([]).raw})
    with pytest.raises(LimitError, match=r"x\.tar: .* more than 10000 RepoTags"):
        open_images(str(path))


def test_the_manifests_that_are_made_are_bounded(tmp_path: Path) -> None:
    """A few bytes of ``manifest.json`` name a layer, of which a manifest says much more."""
    rows = [["a"] * 1000 + ["b"] * number for number in range(1, 25)]
    items = [{"Config": "c", "RepoTags": None, "Layers": row} for row in rows] * 10
    config = make_config([LAYERS[0]] * 1000).raw
    path = _saved(tmp_path / "x.tar", items, {"c": config, "a": LAYERS[0], "b": LAYERS[0]})
    with pytest.raises(LimitError, match=r"x\.tar names manifests"):
        open_images(str(path))


def test_links_to_one_layer_read_it_once(tmp_path: Path) -> None:
    """Whatever they are called."""
    names = [f"l{number}" for number in range(20)]
    items = [{"Config": "c", "RepoTags": None, "Layers": ["l", *names]}]
    config = make_config([LAYERS[0]] * 21).raw
    links = dict.fromkeys(names, "l")
    path = _saved(tmp_path / "x.tar", items, {"c": config, "l": LAYERS[0]}, **links)
    assert _calls(lambda: open_images(str(path)).close())[_code(TarFile.chunks)] < 10


def _one_member(path: Path, name: str, link: str = "", form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        member = tarfile.TarInfo(name)
        if link:
            member.type = tarfile.SYMTYPE
            member.linkname = link
        tar.addfile(member)
    return path


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_of_many_dots_is_the_name_behind_them(tmp_path: Path, form: int) -> None:
    """However many there are; what is only a dot in front of a name stays."""
    for name, found in (("./" * 30_000 + "x", "x"), ("./" * 9 + ".x/./y", ".x/./y")):
        path = _one_member(tmp_path / "x.tar", name, form=form)
        tar_file = TarFile(os.open(path, os.O_RDONLY), "x.tar")
        assert tar_file.size(found) == 0
        tar_file.close()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(("name", "link"), [("n" * (MAX_NAME + 1), ""), ("x", "n" * 70_000)])
def test_a_name_longer_than_any_path_is_refused(
    tmp_path: Path, form: int, name: str, link: str
) -> None:
    """Of a member or of a link's target, in either spelling of long names."""
    path = _one_member(tmp_path / "x.tar", name, link, form)
    with pytest.raises(LimitError, match=r"x\.tar: a member has a name of \d+ bytes"):
        open_images(str(path))
