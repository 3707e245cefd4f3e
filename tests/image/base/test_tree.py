"""What the layers of a base make together: read once, remembered, and what stops it."""

import errno
import gzip
import hashlib
import io
import stat
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import Descriptor, Image, SegmentCache
from imgpack.compression.codec import Codec
from imgpack.errors import (
    ArchiveError,
    DigestError,
    ImgpackError,
    NotFoundError,
    OutputError,
    UnsupportedError,
)
from imgpack.image.base import layer as reading
from imgpack.image.base.contents import image_files
from imgpack.image.base.tree import base_tree
from imgpack.spec import mediatype
from imgpack.spec.manifest import build_manifest
from imgpack.tree.merge.listing import Listing, listed_sha256
from tests.image.base.members import Warnings
from tests.image.samples import Recorder
from tests.store.samples import Memory, make_image, tar_of

PASSWD = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n"
LOW = {"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "etc/old": b"old", "big": b"b" * 3_000_000}
HIGH = {"etc/passwd": PASSWD, "etc/.wh.old": b"", "etc/new": b"new"}
LAYERS = (tar_of(LOW), tar_of(HIGH))


def linked(*members: tuple[str, bytes, str]) -> bytes:
    """A layer of files and links: name, the type flag, and where a link points."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            data = b"" if kind != tarfile.REGTYPE else target.encode()
            member.linkname = "" if kind == tarfile.REGTYPE else target
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def said(tree: Listing) -> dict[bytes, str | None]:
    """The paths, and the digests of files."""
    return {entry.path: listed_sha256(entry) for entry in tree.entries()}


def digests(files: Mapping[str, bytes]) -> dict[bytes, str]:
    """The paths and digests of some files."""
    return {path.encode(): hashlib.sha256(data).hexdigest() for path, data in files.items()}


EXPECTED = {b"etc": None} | digests({"etc/passwd": PASSWD, "etc/new": b"new", "big": LOW["big"]})


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_base_s_layers_are_read_once(compress: bool, jobs: int) -> None:
    """Every file has its digest; what is deleted is not there."""
    source = Memory()
    image = make_image(source, LAYERS, compress=compress)

    tree = base_tree(image, "here", jobs=jobs)

    assert said(tree) == EXPECTED
    assert source.reads == [layer.descriptor.digest for layer in image.layers]
    assert str(tree) == "here"


def test_layers_may_be_compressed_with_zstd() -> None:
    """Whatever their media types say."""
    source = Memory()
    image = _with_blobs(source, LAYERS, [Codec.parse("zstd").compress(one) for one in LAYERS])

    assert said(base_tree(image)) == EXPECTED


def _with_blobs(source: Memory, layers: tuple[bytes, ...], blobs: list[bytes]) -> Image:
    image = make_image(source, layers)
    described = [Descriptor(mediatype.OCI_LAYER, source.add(one), len(one)) for one in blobs]
    manifest = build_manifest(image.manifest.config, described, image.manifest.media_type)
    return replace(image, manifest=manifest)


def test_progress_is_that_of_the_blobs() -> None:
    """Each to its end."""
    recorder = Recorder()
    image = make_image(Memory(), LAYERS)

    base_tree(image, reporter=recorder)

    sizes = [layer.descriptor.size for layer in image.layers]
    assert list(recorder.meters.values()) == [[size, size, True] for size in sizes]


def test_the_accounts_are_kept_as_they_are_in_the_end() -> None:
    """Without the layers; what is not there is not kept."""
    tree = base_tree(make_image(Memory(), LAYERS))

    assert tree.kept == {b"etc/passwd": PASSWD}
    entry, other = tree.find(b"etc/passwd"), tree.find(b"etc/new")
    assert entry is not None and other is not None
    with entry.open() as content:
        assert content.read() == PASSWD
    with pytest.raises(NotFoundError, match="the bytes of etc/new"):
        other.open()


@pytest.mark.parametrize("name", ["share/passwd", "store/accounts"])
def test_accounts_behind_links_are_kept_where_they_lie(name: str) -> None:
    """Also under a name by which nobody knows them while they are read."""
    source = Memory()
    layer = linked(
        ("filler", tarfile.REGTYPE, "x" * 2000),
        (name, tarfile.REGTYPE, "root"),
        ("etc/passwd", tarfile.SYMTYPE, f"../usr/../../{name}"),
        ("usr", tarfile.DIRTYPE, ""),
    )

    assert base_tree(make_image(source, [layer])).kept == {name.encode(): b"root"}


def test_accounts_that_are_no_small_files_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(reading, "MAX_KEPT", 40)
    layer = linked(
        ("etc/passwd", tarfile.REGTYPE, "x" * 41),
        ("etc/group", tarfile.FIFOTYPE, ""),
    )

    monkeypatch.setattr("imgpack.image.base.tree.MAX_KEPT", 40)
    assert base_tree(make_image(Memory(), [layer])).kept == {}


def test_hard_links_are_listed_as_such() -> None:
    """With the digest under every name."""
    layer = linked(
        ("a", tarfile.REGTYPE, "data"), ("b", tarfile.LNKTYPE, "a"), ("c", tarfile.LNKTYPE, "a")
    )
    tree = base_tree(make_image(Memory(), [layer, linked((".wh.a", tarfile.REGTYPE, ""))]))

    assert said(tree) == digests({"b": b"data", "c": b"data"})
    assert {(entry.inode, entry.links) for entry in tree.entries()} == {(1, 2)}


def test_the_second_time_no_layer_is_read(tmp_path: Path) -> None:
    """Another image of the same layers has the same tree."""
    cache = SegmentCache(str(tmp_path / "cache"))
    first = base_tree(make_image(Memory(), LAYERS), cache=cache)
    source = Memory()
    image = make_image(source, LAYERS)

    second = base_tree(image, "there", cache=cache)

    assert source.reads == []
    assert (second.text, second.kept, str(second)) == (first.text, first.kept, "there")
    assert cache.usage().trees == 1


def test_a_layer_that_was_not_read_is_not_taken_for_what_the_configuration_says(
    tmp_path: Path,
) -> None:
    """Though the cache has the tree of those that it says."""
    cache = SegmentCache(str(tmp_path / "cache"))
    true, source = make_image(Memory(), LAYERS), Memory()
    base_tree(true, cache=cache)
    false = make_image(source, LAYERS[::-1])
    manifest = build_manifest(
        true.manifest.config, false.manifest.layers, false.manifest.media_type
    )
    with pytest.raises(DigestError, match="it unpacks to"):
        base_tree(replace(false, manifest=manifest, config=true.config), cache=cache)


def test_other_layers_are_another_tree(tmp_path: Path) -> None:
    """In another order as well."""
    cache = SegmentCache(str(tmp_path / "cache"))
    trees = [
        base_tree(make_image(Memory(), layers), cache=cache)
        for layers in (LAYERS, LAYERS[::-1], LAYERS[:1])
    ]

    assert len({tree.identity for tree in trees}) == 3
    assert cache.usage().trees == 3


def test_what_engines_have_trouble_with_is_told_each_time(tmp_path: Path) -> None:
    """By the cache, too."""
    cache, warnings = SegmentCache(str(tmp_path / "cache")), Warnings()
    image = make_image(Memory(), [tar_of({"a": b""}), linked(("b", tarfile.LNKTYPE, "a"))])

    for _ in range(2):
        base_tree(image, "here", cache=cache, reporter=warnings)

    first, second = warnings.warned
    assert first == second
    assert first.startswith("here: layer sha256:")
    assert "b is a hard link to a file of a lower layer" in first


@pytest.mark.parametrize("damage", ["cut", "text", "key", "kept", "bomb"])
def test_a_damaged_entry_of_the_cache_counts_as_missing(tmp_path: Path, damage: str) -> None:
    """It is made anew, with a warning; one of other layers under the same name as well."""
    warned: list[str] = []
    cache = SegmentCache(str(tmp_path / "cache"), warned.append)
    image = make_image(Memory(), LAYERS)
    expected = base_tree(image, cache=cache)
    (file,) = (tmp_path / "cache/trees").iterdir()
    whole = Codec.parse("zstd")
    raw = b'{"key":"%s","remarks":[],"text":8,"kept":[["zz",1]]}\n#mtree\nx' % file.name.encode()
    payload = {
        "text": whole.compress(b"not JSON"),
        "key": whole.compress(raw.replace(file.name.encode(), b"0")),
        "kept": whole.compress(raw),
        "bomb": whole.compress(bytes(1 << 20)),
    }
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    else:
        cache.keep_tree(file.name, [payload[damage]])

    again = base_tree(image, cache=cache)

    assert again.text == expected.text
    assert "damaged" in warned[0]
    assert len(warned) == 1
    assert base_tree(make_image(Memory(), LAYERS), cache=cache).text == expected.text


def test_a_cache_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a warning for what it cannot take."""
    warned: list[str] = []
    base_tree(make_image(Memory(), LAYERS), cache=SegmentCache(str(tmp_path)))

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(SegmentCache, "_write", refuse)
    source, cache = Memory(), SegmentCache(str(tmp_path), warned.append)
    base_tree(make_image(source, LAYERS), cache=cache)
    assert (source.reads, warned) == ([], [])
    assert said(base_tree(make_image(source, LAYERS[:1]), cache=cache)) == {b"etc": None} | digests(
        LOW
    )
    assert "cannot write to the cache" in warned[0]


def _damaged(raw: bytes) -> bytes:
    return raw[:600] + b"?" + raw[601:]


PACKED = gzip.compress(LAYERS[0], mtime=0)
OUTSIDE = tar_of({"../x": b""})
LATE = tar_of({"d": b""}) + bytes(10_000)


@pytest.mark.parametrize(
    ("diff", "blob", "sent", "kind", "why"),
    [
        (LAYERS[0], PACKED, _damaged(PACKED), DigestError, "it is damaged: its bytes have"),
        (LAYERS[0], PACKED, PACKED[:-1], DigestError, "it is truncated"),
        (LAYERS[0], PACKED, PACKED + b"x", DigestError, "more than the"),
        (LAYERS[0], LAYERS[0], _damaged(LAYERS[0]), DigestError, "it is damaged: its bytes have"),
        (LAYERS[0], LAYERS[0], LAYERS[0][:2] + b"!" + LAYERS[0][3:], DigestError, "is damaged"),
        (LAYERS[1], PACKED, PACKED, DigestError, "it unpacks to sha256:.*the configuration says"),
        (LAYERS[0], PACKED[:-9], PACKED[:-9], ArchiveError, "the gzip stream is damaged"),
        (b"x" * 600, b"x" * 600, b"x" * 600, ArchiveError, "it is not a tar archive"),
        (b"x", b"BZh9", b"BZh9", UnsupportedError, "it is compressed with bzip2"),
        (OUTSIDE, OUTSIDE, OUTSIDE, ArchiveError, "leads out of the archive"),
    ],
    ids=["flip", "cut", "long", "plain", "header", "diff", "gzip", "tar", "bzip2", "dots"],
)  # fmt: skip
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_layer_that_is_wrong_is_named(
    diff: bytes, blob: bytes, sent: bytes, kind: type[ImgpackError], why: str, jobs: int
) -> None:
    """Damage is told as damage, whatever it makes of the archive."""
    source = Memory()
    image = _with_blobs(source, (diff,), [blob])
    (layer,) = image.layers
    source.blobs[layer.descriptor.digest] = sent

    with pytest.raises(kind, match=f"^here: layer {layer.descriptor.digest}: .*{why}"):
        base_tree(image, "here", jobs=jobs)


def test_what_follows_the_end_of_an_archive_is_checked_and_ignored() -> None:
    """It is part of the digest."""
    assert said(base_tree(make_image(Memory(), [LATE]))) == digests({"d": b""})


def test_a_layer_that_is_kept_elsewhere_is_refused() -> None:
    """Nothing is fetched from its addresses."""
    source = Memory()
    image = make_image(source, LAYERS[:1])
    foreign = replace(image.layers[0].descriptor, media_type=mediatype.DOCKER_FOREIGN_LAYER_GZIP)
    manifest = build_manifest(image.manifest.config, [foreign], image.manifest.media_type)

    with pytest.raises(UnsupportedError, match="foreign layer"):
        away = frozenset({foreign.digest})
        base_tree(replace(image, manifest=manifest, absent=away), "here")
    assert source.reads == []


def test_an_image_without_layers_is_empty() -> None:
    """A root, made up."""
    tree = base_tree(make_image(Memory(), []))

    assert list(tree.entries()) == []
    root = tree.find(b"")
    assert root is not None and root.mode == stat.S_IFDIR | 0o755


@pytest.mark.parametrize("compress", [True, False])
def test_the_files_of_an_image_can_be_opened(compress: bool, tmp_path: Path) -> None:
    """All of them, of every layer, inside the block; nothing is left behind."""
    image = make_image(Memory(), LAYERS, compress=compress)
    found = {}

    with image_files(image, "here", lambda: str(tmp_path)) as tree:
        for entry in tree.entries():
            if stat.S_ISREG(entry.mode):
                with entry.open() as content:
                    found[entry.path] = content.read()
        assert list(tmp_path.iterdir()) == []

    assert found == {b"big": LOW["big"], b"etc/new": b"new", b"etc/passwd": PASSWD}


def test_scratch_space_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The directory, that is."""
    with (
        pytest.raises(OutputError, match="nowhere"),
        image_files(make_image(Memory()), "here", lambda: str(tmp_path / "nowhere")),
    ):
        pass


def test_sparse_files_have_their_holes(tmp_path: Path) -> None:
    """GNU tar's records in front of the bytes are no part of these."""
    data = b"x" * 512
    stored = tarfile.TarInfo("disk")
    stored.size = len(data)
    stored.pax_headers = {
        "GNU.sparse.size": "4096",
        "GNU.sparse.map": "1024,512,4096,0",
        "GNU.sparse.numblocks": "2",
    }
    raw = stored.tobuf(tarfile.PAX_FORMAT) + data + bytes(1024)

    with image_files(make_image(Memory(), [raw]), "here", tempfile.gettempdir) as tree:
        entry = tree.find(b"disk")
        assert entry is not None
        with entry.open() as content:
            whole = content.read()
    assert whole == bytes(1024) + data + bytes(4096 - 1536)
    assert listed_sha256(entry) == hashlib.sha256(whole).hexdigest()
