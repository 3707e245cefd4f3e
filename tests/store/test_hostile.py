"""Archives that are damaged, truncated, ambiguous, or made to do harm."""

import gzip
import io
import json
import lzma
import os
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import verify_images
from imgpack.errors import (
    ArchiveError,
    DigestError,
    DocumentError,
    ImgpackError,
    LimitError,
    NotFoundError,
    SourceError,
    UnsupportedError,
)
from imgpack.store.open import open_images
from imgpack.tar.index import MAX_MEMBERS, TarFile

from .samples import LAYERS, Memory, make_config, make_image, make_tar, opened_images, write_image


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A good archive."""
    return write_image(tmp_path / "good.tar", make_image(Memory()))


def _refused(path: Path, reason: str, kind: type[ImgpackError] = ArchiveError) -> None:
    with pytest.raises(kind, match=reason) as caught, open_images(str(path)) as opened:
        opened.images()
    assert str(path) in caught.value.message


def _rewrite(source: Path, target: Path, changes: Mapping[str, bytes | None]) -> Path:
    """``source`` with members replaced, removed (``None``) or added."""
    files: dict[str, bytes] = {}
    with tarfile.open(source) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            if file:
                files[member.name] = file.read()
    for name, data in changes.items():
        files.pop(name, None)
        if data is not None:
            files[name] = data
    return make_tar(target, files)


def test_an_archive_cut_at_any_block_is_refused(archive: Path, tmp_path: Path) -> None:
    """Behind a member, where a reader takes it for the end, what is missing is missed."""
    raw = archive.read_bytes()
    cut = tmp_path / "cut.tar"
    with tarfile.open(archive) as tar:
        end = max(member.offset_data + -(-member.size // 512) * 512 for member in tar)
    for length in range(512, end, 512):
        cut.write_bytes(raw[:length])
        with (
            pytest.raises((ArchiveError, NotFoundError), match=r"truncated|has no|and no|no image"),
            open_images(str(cut)) as opened,
        ):
            opened.images()


@pytest.mark.parametrize("zeros", [0, 512])
def test_an_archive_without_its_last_zeros_is_read(
    archive: Path, tmp_path: Path, zeros: int
) -> None:
    """As Go's reader, and so Docker, podman and skopeo read it."""
    raw = archive.read_bytes()
    bare = tmp_path / "bare.tar"
    bare.write_bytes(raw.rstrip(b"\0").ljust(len(raw) - 1024, b"\0") + bytes(zeros))
    with open_images(str(bare)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 2


@pytest.mark.parametrize("length", [1, 100, 511, 513, 5000])
def test_an_archive_cut_inside_a_block_is_refused(
    archive: Path, tmp_path: Path, length: int
) -> None:
    """Wherever it is cut, it is no image."""
    cut = tmp_path / "cut.tar"
    cut.write_bytes(archive.read_bytes()[:length])
    with (
        pytest.raises((ArchiveError, NotFoundError), match=r"truncated|has no|no image|not a tar"),
        open_images(str(cut)) as opened,
    ):
        opened.images()


def test_a_changed_byte_anywhere_is_noticed(archive: Path, tmp_path: Path) -> None:
    """By a checksum, a digest or a parser, when opened or when fully verified.

    Padding, the directories' and schema1's bytes and header fields that nobody
    reads are not the image.
    """
    raw = archive.read_bytes()
    with tarfile.open(archive) as tar:
        regions = [
            (member.offset_data, member.size)
            for member in tar.getmembers()
            if member.name.startswith("blobs/sha256/")
        ]
    bad = tmp_path / "bad.tar"
    for start, size in regions:
        for at in {start, start + size // 2, start + size - 1}:
            bad.write_bytes(raw[:at] + bytes([raw[at] ^ 0x20]) + raw[at + 1 :])
            with pytest.raises((DigestError, ArchiveError)), open_images(str(bad)) as opened:
                verify_images(opened_images(opened), opened.location)


@given(data=st.data())
def test_no_damage_makes_a_traceback(tmp_path: Path, data: st.DataObject) -> None:
    """Random bytes over random places of the metadata: an imgpack error, or an image."""
    good = tmp_path / "fuzz.tar"
    if not good.exists():
        write_image(good, make_image(Memory(), [b"small"]))
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=16))
        raw[at : at + len(patch)] = patch
    bad = tmp_path / "bad.tar"
    bad.write_bytes(raw)
    try:
        with open_images(str(bad)) as opened:
            verify_images(opened_images(opened), opened.location)
    except ImgpackError as error:
        assert error.message


@given(raw=st.binary(max_size=3000))
def test_any_file_is_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    """Not a tar archive, most of the time."""
    path = tmp_path / "any"
    path.write_bytes(raw)
    with pytest.raises(ImgpackError):
        open_images(str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello\n" * 200, "not a tar archive"),
        (bytes(1024), "no manifest.json and no oci-layout"),
        (gzip.compress(b"x" * 600, mtime=0), "not a tar archive"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(bytes(2000), mtime=0)[:-9], "the gzip stream is damaged"),
        (lzma.compress(b"x" * 600), "decompress it first (unxz)"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "the zstd stream is damaged"),
        (b"BZh91AY&SY" + bytes(600), "decompress it first (bunzip2)"),
    ],
    ids=["empty", "text", "zeros", "gzip", "nothing", "cut", "xz", "zstd", "bzip2"],
)
def test_what_is_no_archive_is_told_so(tmp_path: Path, content: bytes, reason: str) -> None:
    """With the reason, and what to do."""
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises((ArchiveError, UnsupportedError)) as caught:
        open_images(str(tmp_path / "x.tar"))
    assert reason in str(caught.value)
    assert str(tmp_path / "x.tar") in str(caught.value)


def test_missing_files_directories_and_devices_are_told_apart(tmp_path: Path) -> None:
    """None of them hangs or makes a traceback."""
    _refused(tmp_path / "none.tar", "does not exist", SourceError)
    _refused(tmp_path, "no OCI layout")
    _refused(Path("/dev/zero"), "neither a file nor a directory")


def test_a_tree_in_a_tar_is_no_image(tmp_path: Path) -> None:
    """The error says what is missing."""
    _refused(make_tar(tmp_path / "tree.tar", {"etc/passwd": b"root"}), "no image")


@pytest.mark.parametrize(
    "links",
    [
        {"a/layer.tar": "a/layer.tar"},
        {"a/layer.tar": "../b/layer.tar", "b/layer.tar": "../a/layer.tar"},
        {"a/layer.tar": "layer.tar"},
    ],
)
def test_symbolic_links_in_a_circle_end_in_an_error(tmp_path: Path, links: dict[str, str]) -> None:
    """After a bounded number of steps."""
    config = make_config(LAYERS[:1]).raw
    items = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["a/layer.tar"]}]
    files = {"c.json": config, "manifest.json": json.dumps(items).encode()}
    _refused(make_tar(tmp_path / "x.tar", files, links), "do not end|has no layer")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../../../x"])
def test_a_link_never_leaves_the_archive(tmp_path: Path, target: str) -> None:
    """Nothing of this machine is read for an archive."""
    items = [{"Config": "a/c.json", "RepoTags": ["x:1"], "Layers": []}]
    files = {"manifest.json": json.dumps(items).encode()}
    _refused(make_tar(tmp_path / "x.tar", files, {"a/c.json": target}), "out of the archive")


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../../etc/passwd", "etc/passwd"])
def test_manifest_json_cannot_name_a_file_outside(tmp_path: Path, name: str) -> None:
    """Paths are names of members, and nothing else."""
    items = [{"Config": name, "RepoTags": ["x:1"], "Layers": []}]
    files = {"manifest.json": json.dumps(items).encode()}
    _refused(make_tar(tmp_path / "x.tar", files), "has no configuration")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE, b"M"])
def test_devices_and_unknown_kinds_are_no_blobs(tmp_path: Path, kind: bytes) -> None:
    """They are there, and said not to be files."""
    items = json.dumps([{"Config": "c", "RepoTags": [], "Layers": []}]).encode()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(items)
        tar.addfile(member, io.BytesIO(items))
        member = tarfile.TarInfo("c")
        member.type = kind
        member.linkname = "manifest.json"
        tar.addfile(member)
    _refused(tmp_path / "x.tar", "'c' is not a regular file")


def test_a_metadata_file_that_is_there_twice_is_ambiguous(archive: Path, tmp_path: Path) -> None:
    """Docker would take the last, crane the first."""
    twice = tmp_path / "twice.tar"
    twice.write_bytes(archive.read_bytes())
    with tarfile.open(twice, "a") as tar:
        member = tarfile.TarInfo("./manifest.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"[]"))
    _refused(twice, "'manifest.json' twice")


@pytest.mark.parametrize(
    "items",
    [
        b'[{"Config":"a","Config":"b","RepoTags":[],"Layers":[]}]',
        b'[{"Config":"a","config":"b","RepoTags":[],"Layers":[]}]',
        b'[],"more":[]',
        b"{}",
        b"[]",
        b"[1]",
        b'[{"Config":"a","RepoTags":[1],"Layers":[]}]',
        b'[{"Config":1,"RepoTags":[],"Layers":[]}]',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_a_malformed_manifest_json_is_refused(tmp_path: Path, items: bytes) -> None:
    """Duplicate keys, keys in another case, wrong types, endless nesting."""
    path = make_tar(tmp_path / "x.tar", {"manifest.json": items})
    with pytest.raises((DocumentError, ArchiveError), match=r"x\.tar"):
        open_images(str(path))


def test_manifest_json_and_index_json_must_name_the_same_image(
    archive: Path, tmp_path: Path
) -> None:
    """Otherwise Docker would run another image than containerd."""
    other = make_image(Memory(), [b"evil"])
    config = f"blobs/sha256/{other.config.digest.hex}"
    layer = f"blobs/sha256/{other.manifest.layers[0].digest.hex}"
    items = [{"Config": config, "RepoTags": ["foo:1"], "Layers": [layer]}]
    changes: dict[str, bytes | None] = {
        "manifest.json": json.dumps(items).encode(),
        config: other.config.raw,
        layer: b"x",
    }
    _refused(_rewrite(archive, tmp_path / "x.tar", changes), "is ambiguous")
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file
        items = json.load(file)
    items[0]["Layers"].reverse()
    changed = {"manifest.json": json.dumps(items).encode()}
    _refused(_rewrite(archive, tmp_path / "y.tar", changed), "different layers")


def test_documents_with_other_bytes_than_their_digest_are_refused(
    archive: Path, tmp_path: Path
) -> None:
    """Manifests and configurations are verified before they are parsed."""
    image = make_image(Memory())
    for digest in (image.manifest.descriptor.digest, image.config.digest):
        name = f"blobs/sha256/{digest.hex}"
        raw = image.manifest.raw if digest != image.config.digest else image.config.raw
        for wrong in (raw.replace(b"sha256", b"sha255", 1), raw + b" ", raw[:-1]):
            path = _rewrite(archive, tmp_path / "x.tar", {name: wrong})
            _refused(path, digest.hex, DigestError)
        gone = _rewrite(archive, tmp_path / "x.tar", {name: None})
        _refused(gone, f"has no (manifest|configuration) {digest}", NotFoundError)


def test_a_layer_of_another_size_is_refused_unread(archive: Path, tmp_path: Path) -> None:
    """Its content is checked when it is read, its size at once."""
    layer = make_image(Memory()).manifest.layers[0]
    path = _rewrite(archive, tmp_path / "x.tar", {f"blobs/sha256/{layer.digest.hex}": b"short"})
    _refused(path, "has 5 bytes")


def _header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    member = tarfile.TarInfo(name.decode())
    member.type = kind
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = size.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (b"77777777777", "truncated"),
        (b"\x80" + b"\xff" * 11, "truncated"),
        (b"\xff" * 12, "damaged"),
        (b"-1", "damaged"),
        (b"12x4", "damaged"),
    ],
)
def test_absurd_sizes_are_refused(tmp_path: Path, size: bytes, reason: str) -> None:
    """Octal, base-256, negative, or no number at all."""
    (tmp_path / "x.tar").write_bytes(_header(b"manifest.json", size) + bytes(2048))
    _refused(tmp_path / "x.tar", reason)


@pytest.mark.parametrize(
    "records",
    [
        b"999999999 path=x\n",
        b"5 a\n\n\n",
        b"0 path=x\n",
        b"path=x\n",
        b"-9 path=x\n",
        b"11 path=xxx",
        b"19 size=4444444444444444444444\n",
        b"12 size=-44\n",
        b"13 path=a\0bc\n",
        b"9" * 5000,
    ],
)
def test_malformed_pax_records_are_refused(tmp_path: Path, records: bytes) -> None:
    """Lengths that lie, missing signs, zero bytes, negative and endless sizes."""
    pax = _header(b"PaxHeaders.0/x", b"%o" % len(records), b"x")
    body = records + bytes(-len(records) % 512)
    (tmp_path / "x.tar").write_bytes(pax + body + _header(b"a", b"0") + bytes(1024))
    _refused(tmp_path / "x.tar", "damaged|truncated")


def test_a_huge_extension_header_is_refused_unread(tmp_path: Path) -> None:
    """A gibibyte of a name is not read into memory."""
    with (tmp_path / "x.tar").open("wb") as file:
        file.write(_header(b"PaxHeaders.0/x", b"%o" % (1 << 30), b"x"))
        file.truncate(1 << 31)
    _refused(tmp_path / "x.tar", "too large", LimitError)


def test_a_pax_name_and_size_count_and_global_ones_are_refused(tmp_path: Path) -> None:
    """As tarfile writes them for long names."""
    name = "d/" * 120 + "file"
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        member.pax_headers = {"size": "3"}
        tar.addfile(member, io.BytesIO(b"abc"))
    tar_file = TarFile(os.open(tmp_path / "x.tar", os.O_RDONLY), "x.tar")
    assert b"".join(tar_file.chunks(name)) == b"abc"
    tar_file.close()
    with tarfile.open(tmp_path / "y.tar", "w", pax_headers={"path": "manifest.json"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    _refused(tmp_path / "y.tar", "to all members")


def test_gnu_long_names_and_prefixes_are_read(tmp_path: Path) -> None:
    """GNU's ``L`` members and ustar's prefix field."""
    for kind, length in ((tarfile.GNU_FORMAT, 400), (tarfile.USTAR_FORMAT, 100)):
        name = "d/" * (length // 2) + "file"
        with tarfile.open(tmp_path / "x.tar", "w", format=kind) as tar:
            member = tarfile.TarInfo("./" + name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
        tar_file = TarFile(os.open(tmp_path / "x.tar", os.O_RDONLY), "x.tar")
        assert tar_file.size(name) == 3
        tar_file.close()


def test_a_million_empty_members_are_refused_quickly(tmp_path: Path) -> None:
    """The count is bounded, whether they have one name or many."""
    with (tmp_path / "x.tar").open("wb") as file:
        for start in range(0, MAX_MEMBERS + 1000, 1000):
            file.write(_header(b"f%d" % start, b"0") * 1000)
        file.truncate(512 * 1_000_000)
    start_time = time.process_time()
    _refused(tmp_path / "x.tar", "more than 100000 members", LimitError)
    assert time.process_time() - start_time < 20


def test_no_link_leads_out_of_a_layout(tmp_path: Path) -> None:
    """A layout from elsewhere must not name a file of this machine."""
    image = make_image(Memory())
    target = write_image(f"{tmp_path}/layout/", image)
    blob = target / "blobs" / "sha256" / image.manifest.descriptor.digest.hex
    (tmp_path / "outside").write_bytes(image.manifest.raw)
    blob.unlink()
    blob.symlink_to(tmp_path / "outside")
    _refused(target, "out of the layout")
    (target / "index.json").rename(tmp_path / "index.json")
    (target / "index.json").symlink_to(tmp_path / "index.json")
    _refused(target, "out of the layout")
    os.rename(target / "blobs", tmp_path / "blobs")
    (target / "blobs").symlink_to(tmp_path / "blobs")
    (target / "index.json").unlink()
    os.rename(tmp_path / "index.json", target / "index.json")
    _refused(target, "out of the layout")


def test_an_unknown_layout_version_is_refused(archive: Path, tmp_path: Path) -> None:
    """As containerd does."""
    changed = {"oci-layout": b'{"imageLayoutVersion":"1.1.0"}'}
    _refused(_rewrite(archive, tmp_path / "x.tar", changed), "'1.1.0' is unknown")


def test_a_blank_checksum_is_damage_and_no_traceback(tmp_path: Path) -> None:
    """In the first header, and in one further on."""
    good = _header(b"a", b"0")
    for blank in (bytes(8), b" " * 8, b" \0" * 4):
        bad = good[:148] + blank + good[156:]
        (tmp_path / "x.tar").write_bytes(bad + bytes(1024))
        _refused(tmp_path / "x.tar", "is not a tar archive")
        (tmp_path / "x.tar").write_bytes(good + bad + bytes(1024))
        _refused(tmp_path / "x.tar", "damaged: there is no tar header at byte 512")


def test_a_directory_of_the_oldest_format_is_one(tmp_path: Path) -> None:
    """Its type is the zero byte of a file, its name ends in a slash, and no content follows."""
    file = _header(b"d/a", b"3", b"\0") + b"abc".ljust(512, b"\0")
    (tmp_path / "x.tar").write_bytes(_header(b"d/", b"1000", b"\0") + file + bytes(1024))
    tar_file = TarFile(os.open(tmp_path / "x.tar", os.O_RDONLY), "x.tar")
    assert tar_file.size("d/a") == 3
    with pytest.raises(ArchiveError, match="'d' is not a regular file"):
        tar_file.size("d")
    tar_file.close()


def test_a_blob_that_is_there_twice_is_read(archive: Path) -> None:
    """Its digest says what it must be, so both are the same."""
    source = Memory()
    layer = make_image(source).manifest.layers[0]
    with tarfile.open(archive, "a") as tar:
        member = tarfile.TarInfo(f"blobs/sha256/{layer.digest.hex}")
        member.size = layer.size
        tar.addfile(member, io.BytesIO(source.blobs[layer.digest]))
    with open_images(str(archive)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 2


@pytest.mark.parametrize("name", ["index.json", "manifest.json", "oci-layout", "manifest"])
def test_an_index_json_or_manifest_above_four_mebibytes_is_refused_unread(
    archive: Path, tmp_path: Path, name: str
) -> None:
    """A sparse member of 64 MiB costs no memory; neither does a blob that a name promises."""
    large = 64 << 20
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    if name == "manifest":
        name = f"blobs/sha256/{'0' * 64}"
        entry = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{'0' * 64}",
            "size": large,
        }
        index = {"schemaVersion": 2, "manifests": [entry]}
        files["index.json"] = json.dumps(index).encode()
    files.pop(name, None)
    path = make_tar(tmp_path / "x.tar", files)
    with path.open("r+b") as tar:
        # Python's writer ends an archive with zeros up to 10,240 bytes.
        tar.truncate(sum(512 - (-len(data) // 512) * 512 for data in files.values()))
        tar.seek(0, os.SEEK_END)
        tar.write(_header(name.encode(), b"%o" % large))
        tar.truncate(tar.tell() + large + 1024)
    tracemalloc.start()
    try:
        _refused(path, "67108864 bytes", LimitError)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["oci-layout", "index.json", "blob"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_a_pipe_or_directory_in_a_layout_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    """Nothing waits for somebody to write into the pipe."""
    image = make_image(Memory())
    target = write_image(f"{tmp_path}/layout/", image)
    if name == "blob":
        name = f"blobs/sha256/{image.manifest.descriptor.digest.hex}"
    (target / name).unlink()
    make(target / name)
    _refused(target, f"{name} is not a regular file")
