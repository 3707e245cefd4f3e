"""The files of an image: what there is, where it comes from, and the bytes."""

import itertools
import json
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack import api
from imgpack.api import Image, SegmentCache
from imgpack.errors import ArchiveError, DigestError, NotFoundError, UnsupportedError
from imgpack.image.files import tables
from imgpack.image.files.files import ImageFiles, image_contents
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.manifest import build_manifest
from tests.image.base.members import Warnings
from tests.image.base.test_tree import EXPECTED, LAYERS, LOW, PASSWD, linked
from tests.store.samples import Memory, make_image, tar_of


def files_of(image: Image, cache: SegmentCache | None = None) -> ImageFiles:
    """The files of an image that lies here."""
    return image_contents(image, "here", tempfile.gettempdir, cache=cache)


def said(files: ImageFiles) -> dict[bytes, str | None]:
    """The paths, and the digests of files."""
    return {one.row.path: one.row.sha256 and one.row.sha256.hex() for one in files.shown()}


def test_the_files_are_those_that_all_layers_make_together() -> None:
    """With the digest of each; layers are counted from 0."""
    files = files_of(make_image(Memory(), LAYERS))

    assert said(files) == EXPECTED
    there = {one.row.path: one.layer for one in files.shown()}
    assert there == {b"big": 0, b"etc": 0, b"etc/new": 1, b"etc/passwd": 1}
    assert [(one.row.path, one.by, one.deleted) for one in files.laid() if not one.shown] == [
        (b"etc/old", 1, True),
        (b"etc/passwd", 1, False),
    ]


def test_what_a_layer_holds_is_remembered(tmp_path: Path) -> None:
    """A second look reads none of it, however the image is put together; bytes come when asked."""
    cache = SegmentCache(str(tmp_path / "cache"))
    source = Memory()
    first = files_of(make_image(source, LAYERS), cache)
    reads = len(source.reads)

    again = files_of(make_image(source, LAYERS), cache)
    other = files_of(make_image(source, LAYERS[1:]), cache)

    assert len(source.reads) == reads == 2
    assert list(again.laid()) == list(first.laid())
    assert said(other)[b"etc/new"] == EXPECTED[b"etc/new"]
    entry = again.find(b"etc/passwd")
    assert entry is not None
    with entry.open() as content:
        assert content.read() == PASSWD
    assert len(source.reads) == reads, "the accounts are kept beside the table"
    big = again.find(b"big")
    assert big is not None
    assert b"".join(again.read(big)) == LOW["big"]
    assert len(source.reads) == reads + 1


class Meeting(Memory):
    """A source whose streams begin when as many others do."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(count)

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """As a ``BlobSource``."""
        self.barrier.wait(30)
        yield from super().read_blob(descriptor, offset)


def test_several_layers_are_read_at_once_and_stand_in_their_order() -> None:
    """Each is a stream of its own; with one job they come one after the other."""
    layers = [tar_of({f"f{number}": b"%d" % number}) for number in range(3)]
    image = make_image(Meeting(3), layers)

    files = image_contents(image, "here", tempfile.gettempdir, jobs=2)

    assert [(one.row.path, one.layer) for one in files.shown()] == [
        (b"f0", 0), (b"f1", 1), (b"f2", 2),
    ]  # fmt: skip
    alone = make_image(Meeting(1), layers)
    assert list(image_contents(alone, "here", tempfile.gettempdir).laid()) == list(files.laid())


def test_a_layer_that_fails_ends_the_others() -> None:
    """Nobody waits for them any more."""
    began, ended = threading.Event(), threading.Event()

    class Endless(Memory):
        def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
            if descriptor.size < 1 << 40:
                began.wait(30)
                yield from super().read_blob(descriptor, offset)
                return
            began.set()
            try:
                for number in itertools.count():
                    yield tar_of({f"f{number}": b""})[:512]
            finally:
                ended.set()

    source = Endless()
    whole = make_image(source, [b"", b"no tar" * 1000], compress=False)
    good, bad = whole.manifest.layers
    layers = replace(good, size=1 << 40), bad
    manifest = build_manifest(whole.manifest.config, layers, whole.manifest.media_type)

    with pytest.raises(ArchiveError, match="not a tar archive"):
        image_contents(replace(whole, manifest=manifest), "here", tempfile.gettempdir, jobs=2)

    assert ended.wait(5)


@pytest.mark.parametrize("damage", [b"", b"x", b"{}\n"])
def test_a_damaged_table_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """With a warning, and no other harm."""
    warnings = Warnings()
    cache = SegmentCache(str(tmp_path / "cache"), warnings.warn)
    image = make_image(Memory(), LAYERS)
    files_of(image, cache)
    for path in (tmp_path / "cache" / "trees").rglob("*"):
        if path.is_file():
            path.write_bytes(damage)

    assert said(files_of(image, cache)) == EXPECTED
    assert len(warnings.warned) == 2
    assert all("damaged" in one for one in warnings.warned)


@pytest.mark.parametrize(
    "said_of_it",
    [
        {"key": "0" * 64},
        {"kept": [[0, 1 << 60]]},
        {"kept": [[0, -1 << 60], [1, 1 << 60]]},
        {"size": 1},
        {"remarks": [[1, 2, 3]]},
        {"remarks": [["x", "78", "many"]]},
        {"remarks": 1},
        {"more": "x" * (1 << 25)},
    ],
)
def test_a_table_that_says_what_cannot_be_is_made_anew(
    tmp_path: Path, said_of_it: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before memory is taken for it."""
    packed = tables._packed

    def lying(key: str, layer: tables.ReadLayer) -> Iterator[bytes]:
        head, *rest = packed(key, layer)
        yield json.dumps(json.loads(head) | said_of_it).encode() + b"\n"
        yield from rest

    warnings = Warnings()
    cache = SegmentCache(str(tmp_path / "cache"), warnings.warn)
    image = make_image(Memory(), LAYERS)
    with monkeypatch.context() as patched:
        patched.setattr(tables, "_packed", lying)
        files_of(image, cache)

    assert said(files_of(image, cache)) == EXPECTED
    assert len(warnings.warned) == 2


@given(st.data())
def test_damage_anywhere_in_what_is_kept_changes_nothing(data: st.DataObject) -> None:
    """It is seen, and the layer is read again."""
    with tempfile.TemporaryDirectory() as directory:
        cache = SegmentCache(directory)
        image = make_image(Memory(), LAYERS)
        files_of(image, cache)
        for path in Path(directory, "trees").iterdir():
            whole = bytearray(path.read_bytes())
            at = data.draw(st.integers(0, len(whole) - 1))
            whole[at] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), at]))])

        assert said(files_of(image, cache)) == EXPECTED


def test_files_of_a_layer_come_in_its_order_and_the_rest_is_not_read() -> None:
    """The layer is read up to the last that is asked for."""
    files = files_of(make_image(Memory(), LAYERS))
    places = {row.place for row in files.tables[0].rows() if row.path in (b"etc/old", b"big")}

    found = [(one.member.path, b"".join(one.pieces)) for one in files.contents(0, places)]

    assert found == [(b"etc/old", LOW["etc/old"]), (b"big", LOW["big"])]


def test_bytes_that_changed_since_the_layer_was_verified_are_refused(tmp_path: Path) -> None:
    """Even if only a part of the layer is read."""
    cache = SegmentCache(str(tmp_path / "cache"))
    source = Memory()
    image = make_image(source, LAYERS, compress=False)
    files = files_of(image, cache)
    blob = image.manifest.layers[0].digest
    source.blobs[blob] = source.blobs[blob].replace(b"\0old\0", b"\0OLD\0")
    (row,) = files.tables[0].at(b"etc/old")

    with pytest.raises(DigestError, match=r"^here: layer sha256:.*: etc/old is not what it was"):
        list(files.read_row(0, row))


def test_what_a_layer_does_not_have_is_never_given() -> None:
    """A place behind its end, and a layer that is not at hand."""
    image = make_image(Memory(), LAYERS)
    files = files_of(image)
    with pytest.raises(ArchiveError, match="changed while it was read"):
        list(files.contents(0, {0, 99}))
    assert list(files.contents(0, ())) == []
    files.image = replace(image, absent=frozenset({image.layers[0].descriptor.digest}))
    with pytest.raises(NotFoundError, match="not at hand"):
        list(files.stream(0))
    assert b"".join(files.stream(1)) == LAYERS[1]


def test_a_hard_link_has_the_bytes_and_names_of_its_file() -> None:
    """By whichever name it is read; what a higher layer deletes is no name any more."""
    low = linked(("a", tarfile.REGTYPE, "data"), ("b", tarfile.LNKTYPE, "a"), ("c", b"1", "b"))
    high = linked((".wh.a", tarfile.REGTYPE, ""), ("d", tarfile.LNKTYPE, "c"))
    files = files_of(make_image(Memory(), (low, high)))

    links = {entry.path: (entry.links, entry.inode > 0) for entry in files.entries()}

    assert links == {b"b": (2, True), b"c": (2, True), b"d": (1, False)}
    for path in (b"b", b"c", b"d"):
        entry = files.find(path)
        assert entry is not None
        assert b"".join(files.read(entry)) == b"data"


def test_any_image_anywhere_can_be_looked_into(tmp_path: Path) -> None:
    """An archive, one image of a layout by its name, and a lock, which has no bytes."""
    made = [api.entries([api.file("etc/motd", b"hello")])]
    archive, layout = str(tmp_path / "a.tar"), f"{tmp_path}/layout/"
    with api.create(archive) as sink:
        api.build(made, into=sink, names=["a:1"])
    for name in ("a:1", "b:2"):
        with api.create(layout) as sink:
            api.build([*made, api.entries([api.file(name[0], b"x")])], into=sink, names=[name])
    lock = tmp_path / "a.lock"
    lock.write_bytes(api.lock_base(archive).encode())

    with api.open_files(archive) as files:
        entry = files.find(b"etc/motd")
        assert entry is not None
        assert b"".join(files.read(entry)) == b"hello"
    with api.open_files(layout, image="b:2") as files:
        assert list(said(files)) == [b"b", b"etc", b"etc/motd"]
    with api.open_files(f"{layout}:a:1") as files:
        assert list(said(files)) == [b"a", b"etc", b"etc/motd"]
    with api.open_files(str(lock)) as files:
        assert list(said(files)) == [b"", b"etc", b"etc/motd"]
        entry = files.find(b"etc/motd")
        assert entry is not None
        with pytest.raises((UnsupportedError, NotFoundError)):
            list(files.read(entry))


@given(st.lists(st.binary(max_size=9)), st.integers(0, 30))
def test_what_is_kept_is_the_same_in_whatever_pieces_it_comes(
    chunks: list[bytes], size: int
) -> None:
    """A line, so many bytes, and the rest; or it is told that there are fewer."""
    whole = b"".join(chunks)
    line, end, rest = whole.partition(b"\n")
    pieces = tables._KeptPieces(iter(chunks))
    if not end:
        with pytest.raises(ValueError, match="cut short"):
            pieces.line()
        return
    assert pieces.line() == line
    if size > len(rest):
        with pytest.raises(ValueError, match="cut short"):
            pieces.exactly(size)
        return
    assert pieces.exactly(size) == rest[:size]
    assert b"".join(pieces.rest()) == rest[size:]
