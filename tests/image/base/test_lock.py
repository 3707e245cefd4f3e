"""A lock says what a base is, the same each time, and is believed in nothing that it can show."""

import base64
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack import api
from imgpack.compression.codec import Codec
from imgpack.errors import (
    DigestError,
    DocumentError,
    ImgpackError,
    LimitError,
    NotFoundError,
    UnsupportedError,
)
from imgpack.image.base.lock import Lock, LockedTree
from imgpack.image.base.locked import is_lock, locked_base, open_lock, read_lock, with_layers
from imgpack.image.base.moved import moved
from imgpack.image.image import missing_layers
from imgpack.spec.format import Compression
from imgpack.tree.merge.listing import Listing, listing_text
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, make_index, push_to
from tests.store.samples import tar_of

PASSWD = b"root:x:0:0::/:/bin/sh\n"
FILES = {"etc/passwd": PASSWD, "etc/group": b"root:x:0:\n", "usr/bin/tool": b"tool"}


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A base of two layers."""
    with api.create(str(tmp_path / "base.tar")) as sink:
        image = make_image(tar_of(FILES), tar_of({"opt/x": b"x"}))
        sink.write([api.Named(image, (api.parse_name("base:1"),))])
    return str(tmp_path / "base.tar")


@pytest.fixture
def lock(archive: str) -> Lock:
    """Its lock."""
    return api.lock_base(archive)


def test_a_lock_is_the_same_each_time_and_reads_as_it_was(archive: str, lock: Lock) -> None:
    """A value a line, so that a difference shows what moved."""
    raw = lock.encode()
    assert api.lock_base(archive).encode() == raw
    assert Lock.parse(raw) == lock
    assert raw.endswith(b"}\n")
    assert f'     "digest": "{lock.images[0].manifest.layers[1].digest}",'.encode() in raw.split(
        b"\n"
    )


def test_the_base_out_of_a_lock_is_the_base(tmp_path: Path, archive: str, lock: Lock) -> None:
    """Its documents, its name and its tree; only its layers are not there."""
    (tmp_path / "base.lock").write_bytes(lock.encode())
    with api.open_base(archive) as base, api.open_base(str(tmp_path / "base.lock")) as locked:
        assert locked.image.manifest == base.image.manifest
        assert locked.image.config == base.image.config
        assert locked.name == base.name
        assert locked.tree.identity == base.tree.identity
        assert missing_layers(locked.image) == base.image.manifest.layers
        found = locked.tree.find(b"etc/passwd")
        assert found is not None
        with found.open() as content:
            assert content.read() == PASSWD
        with pytest.raises(UnsupportedError, match="does not hold the layer"):
            list(locked.image.source.read_blob(base.image.manifest.layers[0]))


def test_a_lock_is_opened_as_an_archive_is(tmp_path: Path, lock: Lock) -> None:
    """All that needs no layer can be done with it."""
    (tmp_path / "base.lock").write_bytes(lock.encode())
    with api.open(str(tmp_path / "base.lock")) as opened:
        named = opened.image()
    assert named.image.document == lock.images[0].manifest
    assert [str(name) for name in named.names] == ["docker.io/library/base:1"]
    assert missing_layers(named.image) == lock.images[0].manifest.layers


def test_layers_come_from_where_they_are(tmp_path: Path, archive: str, lock: Lock) -> None:
    """An archive, a layout, files named by digests, in one directory or by algorithm."""
    path = str(tmp_path / "base.lock")
    Path(path).write_bytes(lock.encode())
    layers = lock.images[0].manifest.layers
    with api.open(archive) as opened:
        blobs = {layer.digest: b"".join(opened.read_blob(layer)) for layer in layers}
        with api.create(f"{tmp_path}/layout/") as sink:
            api.copy(opened.images(), sink)
    for number, form in enumerate(("{0.hex}", "{0}", "{0.algorithm}/{0.hex}")):
        for digest, blob in blobs.items():
            file = tmp_path / str(number) / form.format(digest)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(blob)
    for place in (archive, f"{tmp_path}/layout", *(str(tmp_path / str(n)) for n in range(3))):
        with api.open_base(path, layers=[place]) as base:
            assert missing_layers(base.image) == ()
            assert {
                layer.digest: b"".join(base.image.source.read_blob(layer)) for layer in layers
            } == blobs
    (tmp_path / "0" / layers[0].digest.hex).write_bytes(b"of another length")
    with api.open_base(path, layers=[str(tmp_path / "0")]) as base:
        assert missing_layers(base.image) == layers[:1]


def test_of_an_index_the_platforms_that_were_asked_for_are_locked(tmp_path: Path) -> None:
    """The index is kept word for word; another platform is refused with those there are."""
    images = [
        make_image(tar_of({"etc/arch": name.encode()}), platform=f"linux/{name}")
        for name in ("amd64", "arm64", "s390x")
    ]
    index = make_index(*images)
    with HostileRegistry() as registry, connect() as registries:
        push_to(registry.host, index, "base:1")
        name = f"{registry.host}/base:1"
        one = api.lock_base(name, registries=registries)
        assert [str(image.platform) for image in one.images] == ["linux/amd64"]
        wanted = [api.Platform.parse(text) for text in ("linux/arm64", "linux/amd64")]
        lock = api.lock_base(name, platforms=wanted, registries=registries)
        assert lock.reference is not None
        assert str(lock.reference) == name
    assert lock.index is not None
    assert lock.index.raw == index.index.raw
    assert lock.target == index.index.descriptor
    assert Lock.parse(lock.encode()) == lock
    arm = locked_base(lock, "base.lock", wanted[0])
    assert arm.image.config == images[1].config
    assert arm.name is not None
    assert arm.name.digest == index.index.descriptor.digest
    assert locked_base(lock, "base.lock").image.config == images[0].config
    with pytest.raises(NotFoundError, match=r"^base.lock has no image for linux/s390x;") as caught:
        locked_base(lock, "base.lock", api.Platform.parse("linux/s390x"))
    assert "linux/arm64, linux/amd64" in str(caught.value.hint)
    (tmp_path / "base.lock").write_bytes(lock.encode())
    with open_lock(str(tmp_path / "base.lock")) as opened:
        assert len(list(api.images_in(opened.image().image))) == 2


def test_the_only_image_is_the_base_unless_another_is_asked_for(tmp_path: Path) -> None:
    """Whatever it is for."""
    with api.create(str(tmp_path / "arm.tar")) as sink:
        image = make_image(tar_of({"x": b""}), platform="linux/arm64")
        sink.write([api.Named(image, (api.parse_name("arm:1"),))])
    lock = api.lock_base(str(tmp_path / "arm.tar"), platforms=[api.Platform.parse("linux/arm64")])

    assert locked_base(lock, "x.lock").image.config == image.config
    with pytest.raises(NotFoundError, match="has no image for linux/amd64"):
        locked_base(lock, "x.lock", api.Platform.parse("linux/amd64"))


def _edit(obj: Any, key: str, value: Any) -> None:
    """Set what is at ``key``; an ellipsis removes it."""
    *parents, last = key.split(".")
    for part in parents:
        obj = obj[int(part)] if isinstance(obj, list) else obj[part]
    if value is ...:
        del obj[last]
    else:
        obj[last] = value


@pytest.mark.parametrize(
    ("key", "value", "kind", "said"),
    [
        ("imgpackLock", 2, DocumentError, "it is a lock of the version 2, and 1 is known"),
        ("imgpackLock", True, DocumentError, "version True"),
        ("imgpackLock", ..., DocumentError, "it is JSON, but no lock of a base"),
        ("asked", ..., DocumentError, "'asked' is missing"),
        ("more", 1, DocumentError, "'more' is no key of a lock"),
        ("asked", 1, DocumentError, "'asked' is missing or is not a string"),
        ("name", "A B", ImgpackError, "A B"),
        ("images", [], DocumentError, "'images' has 0"),
        ("images", [1], DocumentError, r"images\[0\]: it is no object"),
        ("pointsTo.digest", "sha256:12", DocumentError, "pointsTo: invalid digest"),
        ("pointsTo.digest", f"sha256:{'0' * 64}", DigestError, r"images\[0\]: 'manifest'"),
        ("pointsTo.size", 3, DigestError, r"images\[0\]: 'manifest' is not what"),
        ("index", "{}", DigestError, "'index' is not sha256:"),
        ("images.0.manifest", "{}", DigestError, r"images\[0\]: 'manifest' is not what"),
        ("images.0.config", "{}", DigestError, r"images\[0\]: 'config' is not sha256:"),
        ("images.0.platform", "linux/arm64", DocumentError, "'layers' or 'platform'"),
        ("images.0.layers.0.size", 5, DocumentError, "'layers' or 'platform'"),
        ("images.0.layers", [], DocumentError, "'layers' or 'platform'"),
        ("images.0.layers", [1], DocumentError, "it is no object"),
        ("images.0.more", 1, DocumentError, r"images\[0\]: 'more' is no key"),
        ("images.0.layers.0.more", 1, DocumentError, "'more' is no key"),
        ("images.0.tree.more", 1, DocumentError, r"images\[0\]: tree: 'more' is no key"),
        ("images.0.tree.size", 1 << 60, LimitError, r"images\[0\]: tree: its size is"),
        ("images.0.tree.size", 0, LimitError, "tree: its size is 0"),
        ("images.0.tree.kept", {"x": 1}, DocumentError, "'kept' is no list of files"),
        ("images.0.tree.kept", {"x": "*"}, DocumentError, "tree: it is no base64"),
    ],
)
def test_a_lock_that_is_not_what_it_says_is_refused(
    lock: Lock, key: str, value: Any, kind: type[ImgpackError], said: str
) -> None:
    """The key is named."""
    obj = json.loads(lock.encode())
    _edit(obj, key, value)
    with pytest.raises(kind, match=said):
        Lock.parse(json.dumps(obj).encode())


def test_a_lock_has_one_image_for_each_platform(lock: Lock) -> None:
    """Else who reads it would have to choose."""
    with pytest.raises(DocumentError, match="'images' has two of one platform"):
        Lock.parse(replace(lock, images=lock.images * 2).encode())


@pytest.mark.parametrize("end", [1, 100, -2, -1000])
def test_a_lock_that_is_cut_short_is_refused_with_the_place(
    tmp_path: Path, lock: Lock, end: int
) -> None:
    """By its file, the line and the column."""
    (tmp_path / "base.lock").write_bytes(lock.encode()[:end])
    with pytest.raises(DocumentError, match=r"base.lock: the document is not JSON: .*line \d+"):
        read_lock(str(tmp_path / "base.lock"))


def test_a_bomb_is_not_unpacked(lock: Lock) -> None:
    """No more comes out than the lock says, and that is bounded."""
    bomb = base64.b64encode(Codec(Compression.ZSTD, 19).compress(b"\0" * (50 << 20))).decode()
    tree = replace(lock.images[0].tree, packed=bomb)
    with pytest.raises(LimitError, match="it decompresses to more than"):
        tree.listing("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"no list\n", "is no list of files"),
        (b"#mtree\n. type=dir mode=0755 uid=0 gid=0 time=0.000000000\n./../x type=dir\n", "line 3"),
    ],
)
def test_a_hostile_list_of_files_is_refused_by_its_line(text: bytes, said: str) -> None:
    """A path that leaves the tree is no path in one."""
    packed = base64.b64encode(Codec(Compression.ZSTD, 3).compress(text)).decode()
    tree = LockedTree(hashlib.sha256(text).hexdigest(), len(text), packed, {})
    with pytest.raises(DocumentError, match=said):
        list(tree.listing("base.lock").entries())


@pytest.mark.parametrize("packed", ["", "KLUv/f////8=", "KLUv/Q==", "bm90aGluZw=="])
def test_a_damaged_list_of_files_is_refused(lock: Lock, packed: str) -> None:
    """Empty, cut short, or no zstd at all."""
    with pytest.raises(DocumentError):
        replace(lock.images[0].tree, packed=packed).listing("x")


def test_a_list_or_a_file_beside_it_that_was_edited_is_refused(lock: Lock) -> None:
    """The one has a hash in the lock, the other one in the list."""
    tree = lock.images[0].tree
    with pytest.raises(DigestError, match="is not the one whose sha256 it says"):
        replace(tree, sha256="0" * 64).listing("x")
    for kept in ({"etc/passwd": b"evil::0:0::/:/bin/sh\n"}, {"etc/shadow": b""}):
        with pytest.raises(DigestError, match="is not the file in the list"):
            replace(tree, kept=kept).listing("x")


@given(st.binary(max_size=200))
def test_what_is_no_lock_is_never_more_than_an_error(raw: bytes) -> None:
    """Any bytes, also behind a brace."""
    for text in (raw, b"{" + raw):
        with pytest.raises(ImgpackError):
            Lock.parse(text)


@given(st.text(max_size=30), st.binary(max_size=30))
def test_a_tree_of_any_kept_files_reads_as_it_was(path: str, data: bytes) -> None:
    """Whatever their names hold that is text."""
    tree = LockedTree("0" * 64, 1, "", {path: data})
    assert LockedTree.parse(json.loads(json.dumps(tree.as_json()))) == tree


def test_what_moved_is_told(lock: Lock, tmp_path: Path) -> None:
    """Layers kept and new, keys of the configuration, and files; a time alone is no change."""
    newer = {**FILES, "usr/bin/tool": b"tool 2", "usr/bin/more": b""}
    newer.pop("etc/group")
    image = make_image(tar_of(newer), tar_of({"opt/x": b"x"}))
    with api.create(str(tmp_path / "new.tar")) as sink:
        sink.write([api.Named(image, (api.parse_name("base:1"),))])
    new = api.lock_base(str(tmp_path / "new.tar"))
    (change,) = moved(lock, new)
    assert (change.layers_kept, len(change.layers_new)) == (1, 1)
    assert (change.added, change.removed, change.changed) == (1, 1, 1)
    assert change.config == ()
    assert moved(new, new) == ()


def test_only_json_is_a_lock(tmp_path: Path, archive: str) -> None:
    """Not a directory or an archive; and a pipe is not opened, which its writer would notice."""
    (tmp_path / "x.lock").write_bytes(b"{}")
    assert is_lock(str(tmp_path / "x.lock"))
    os.mkfifo(tmp_path / "pipe")
    fd = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(fd, b"{}")
        others = (archive, str(tmp_path), str(tmp_path / "pipe"), str(tmp_path / "none"), "a\0b")
        assert not any(map(is_lock, others))
        assert os.read(fd, 2) == b"{}"
    finally:
        os.close(fd)


def test_nothing_is_looked_for_that_is_there(archive: str) -> None:
    """An image that holds its layers is left as it is."""
    with api.open_base(archive) as base:
        assert with_layers(base.image, []) is base.image
        assert isinstance(base.tree, Listing)
        assert listing_text(base.tree) == base.tree.text
