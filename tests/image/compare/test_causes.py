"""Two builds that differ in one known thing: that thing is what is told as the cause."""

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from stat import S_IFREG
from typing import Any

import pytest

from imgpack.api import (
    Cause,
    CauseKind,
    ComparedImages,
    ComparedSide,
    ComparisonScope,
    Descriptor,
    Digest,
    Ignored,
    Image,
    ImageConfig,
    Section,
)
from imgpack.compression.codec import Codec
from imgpack.image.compare.causes import field_text
from imgpack.image.files.files import image_contents
from imgpack.spec import mediatype
from imgpack.spec.json import decode, encode
from imgpack.spec.manifest import build_manifest
from imgpack.tree.entry import OPAQUE, WHITEOUT
from imgpack.tree.tables.rows import TableRow
from tests.store.samples import Memory, make_config

FILES = (("etc/motd", b"hello\n"), ("etc/passwd", b"root\n"), ("usr/" + "long/" * 30 + "x", b"x"))


class Tar:
    """A layer's tar as it is changed before it is written."""

    def __init__(self) -> None:
        self.members: list[tuple[tarfile.TarInfo, bytes]] = []
        for name, data in FILES:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1
            self.members.append((member, data))
        node = tarfile.TarInfo("dev")
        node.type, node.mtime, node.devmajor, node.devminor = tarfile.CHRTYPE, 1, 1, 3
        copy = tarfile.TarInfo("copy")
        copy.size, copy.mtime = 6, 1
        self.members += [(node, b""), (copy, b"hello\n")]
        self.format = tarfile.PAX_FORMAT
        self.end = b""

    def member(self, path: str) -> tarfile.TarInfo:
        """One of them."""
        return next(member for member, _ in self.members if member.name == path)

    def write(self) -> bytes:
        """The bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=self.format) as tar:
            for member, data in self.members:
                tar.addfile(member, io.BytesIO(data))
        return buffer.getvalue() + self.end


Change = Callable[[Tar], object]


def device(tar: Tar) -> None:
    """Another device."""
    tar.member("dev").devminor = 5


def hard_link(tar: Tar) -> None:
    """A file that is the other one, and has the same bytes."""
    member = tar.member("copy")
    member.type, member.size, member.linkname = tarfile.LNKTYPE, 0, "etc/motd"


def set_field(path: str, field: str, value: Any) -> Change:
    """Change one field of one member."""
    return lambda tar: setattr(tar.member(path), field, value)


def rewrite(tar: Tar) -> None:
    """Other bytes of the same length."""
    tar.members[0] = (tar.members[0][0], b"HELLO\n")


def swap(tar: Tar) -> None:
    """Two members in the other order."""
    tar.members[:2] = tar.members[1::-1]


def link(tar: Tar) -> None:
    """A file becomes a symbolic link."""
    member = tar.member("etc/motd")
    member.type, member.size, member.linkname = tarfile.SYMTYPE, 0, "issue"


def set_format(kind: int) -> Change:
    """Another way to write what ustar cannot."""
    return lambda tar: setattr(tar, "format", kind)


def set_end(tar: Tar) -> None:
    """More zeros behind the last member."""
    tar.end = bytes(10240)


def xattr(tar: Tar) -> None:
    """An attribute."""
    tar.member("etc/motd").pax_headers = {"SCHILY.xattr.user.k": "v"}


def comment(tar: Tar) -> None:
    """A record that says nothing of the file."""
    tar.member("etc/motd").pax_headers = {"comment": "v"}


LAYERS: tuple[tuple[Change, CauseKind, str, str, str, str], ...] = (
    (set_field("etc/motd", "mtime", 2), CauseKind.CONTENT, "etc/motd", "mtime", "1", "2"),
    (set_field("etc/passwd", "mode", 0), CauseKind.CONTENT, "etc/passwd", "mode", "0644", "0000"),
    (set_field("etc/passwd", "uid", 7), CauseKind.CONTENT, "etc/passwd", "uid", "0", "7"),
    (set_field("etc/passwd", "gid", 7), CauseKind.CONTENT, "etc/passwd", "gid", "0", "7"),
    (set_field("etc/motd", "name", "etc/A"), CauseKind.CONTENT, "etc/A", "path", "nothing", "file"),
    (rewrite, CauseKind.CONTENT, "etc/motd", "content", "sha256:5891b5b5", "sha256:"),
    (device, CauseKind.CONTENT, "dev", "device", "1:3", "1:5"),
    (hard_link, CauseKind.CONTENT, "copy", "links", "1 name", "2 names"),
    (link, CauseKind.CONTENT, "etc/motd", "type", "file", "symbolic link"),
    (xattr, CauseKind.CONTENT, "etc/motd", "xattrs", "none", "user.k=76"),
    (lambda tar: tar.members.pop(2), CauseKind.CONTENT, FILES[2][0], "path", "file", "nothing"),
    (swap, CauseKind.ORDER, "etc/motd", "order", "member 1", "member 2"),
    (set_format(tarfile.GNU_FORMAT), CauseKind.FRAMING, "etc/motd", "header field magic",
     "ustar", "ustar  "),
    (set_field("etc/passwd", "uname", "root"), CauseKind.FRAMING, "etc/passwd",
     "header field uname", "", "root"),
    (comment, CauseKind.FRAMING, "etc/motd", "header", "a file", "a pax header"),
    (set_end, CauseKind.FRAMING, "", "after the last member", "nothing", "byte 0x00"),
)  # fmt: skip


PACK = partial(gzip.compress, mtime=0)


def image_of(
    source: Memory,
    layer: bytes,
    pack: Callable[[bytes], bytes] = PACK,
    *,
    media_type: str = mediatype.OCI_LAYER_GZIP,
    manifest_type: str = mediatype.OCI_MANIFEST,
    annotations: dict[str, str] | None = None,
    change: Callable[[dict[str, Any]], object] = lambda config: None,
) -> Image:
    """An image of one layer."""
    document = decode(make_config([layer]).raw)
    change(document)
    config = ImageConfig.parse(encode(document))
    blob = pack(layer)
    manifest = build_manifest(
        Descriptor(mediatype.OCI_CONFIG, config.digest, len(config.raw)),
        [Descriptor(media_type, source.add(blob), len(blob))],
        manifest_type,
        annotations,
    )
    return Image(manifest, config, source)


ALL = ComparisonScope()


def side_of(image: Image) -> ComparedSide:
    """An image that lies here, to be compared."""
    return ComparedSide(image, lambda: image_contents(image, "here", tempfile.gettempdir))


def compared(a: Image, b: Image, scope: ComparisonScope = ALL) -> ComparedImages:
    """Two images that lie here."""
    return ComparedImages("linux/amd64", side_of(a), side_of(b), scope)


def changed(change: Change, scope: ComparisonScope = ALL) -> ComparedImages:
    """Two images of one layer, of which the second is changed."""
    source, tar, other = Memory(), Tar(), Tar()
    change(other)
    return compared(image_of(source, tar.write()), image_of(source, other.write()), scope)


@pytest.mark.parametrize(("change", "kind", "path", "what", "a", "b"), LAYERS)
def test_a_layer_that_differs_in_one_thing_says_which(
    change: Change, kind: CauseKind, path: str, what: str, a: str, b: str
) -> None:
    """With the member, the field, and what each of the two says."""
    (cause,) = changed(change).causes

    assert (cause.kind, cause.what, cause.layers) == (kind, what, (1, 1))
    assert (cause.path or b"").decode() == path
    assert cause.a.startswith(a)
    assert cause.b.startswith(b)


@pytest.mark.parametrize(("change", "kind"), [(case[0], case[1]) for case in LAYERS])
def test_files_differ_only_where_the_layers_say_other_things(
    change: Change, kind: CauseKind
) -> None:
    """Order, tar and compression make no other files."""
    assert bool(list(changed(change).files())) is (kind is CauseKind.CONTENT)


def test_a_long_name_that_gnu_and_pax_write_otherwise_is_told() -> None:
    """By what kind of header it is in."""
    a, b = Tar(), Tar()
    for tar in (a, b):
        tar.members = tar.members[2:3]
    b.format = tarfile.USTAR_FORMAT
    first, second = a.write(), b"".join(_gnu(b))
    source = Memory()

    (cause,) = compared(image_of(source, first), image_of(source, second)).causes

    assert cause.kind is CauseKind.FRAMING
    assert cause.what == "header"
    assert (cause.a, cause.b) == ("a pax header", "a GNU long name")


def _gnu(tar: Tar) -> Iterator[bytes]:
    """The tar with a GNU long name in front of a member that ustar could say."""
    raw = tar.write()
    name = FILES[2][0].encode() + b"\0"
    header = tarfile.TarInfo("././@LongLink")
    header.size, header.type = len(name), tarfile.GNUTYPE_LONGNAME
    yield header.tobuf(tarfile.USTAR_FORMAT)
    yield name.ljust(512, b"\0")
    yield raw


def cause_of(**changes: Any) -> tuple[Cause, ...]:
    """The causes, where something besides the layer's tar changed."""
    source, layer = Memory(), Tar().write()
    return compared(image_of(source, layer), image_of(source, layer, **changes)).causes


def _named(raw: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile("x.tar", "wb", fileobj=buffer, mtime=0) as file:
        file.write(raw)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "kind", "what", "a", "b"),
    [
        ({"pack": partial(gzip.compress, mtime=5)},
         CauseKind.COMPRESSION, "gzip header: time", "0", "5"),
        ({"pack": _named}, CauseKind.COMPRESSION, "gzip header: name", "none", "x.tar"),
        ({"pack": Codec.parse("gzip:1").compress}, CauseKind.COMPRESSION, "gzip", "", ""),
        ({"pack": Codec.parse("zstd").compress, "media_type": mediatype.OCI_LAYER_ZSTD},
         CauseKind.COMPRESSION, "compression", "gzip", "zstd"),
        ({"media_type": mediatype.DOCKER_LAYER_GZIP}, CauseKind.MEDIA_TYPE, "mediaType",
         mediatype.OCI_LAYER_GZIP, mediatype.DOCKER_LAYER_GZIP),
        ({"manifest_type": mediatype.DOCKER_MANIFEST}, CauseKind.MEDIA_TYPE, "mediaType",
         mediatype.OCI_MANIFEST, mediatype.DOCKER_MANIFEST),
        ({"annotations": {"a": "b"}}, CauseKind.ANNOTATIONS, "annotations.a", "nothing", "b"),
        ({"change": lambda config: config.update(created="2021-01-01T00:00:00Z")},
         CauseKind.CREATED, "created", "2020-01-02T03:04:05Z", "2021-01-01T00:00:00Z"),
        ({"change": lambda config: config.update(config={"Env": ["A=1"]})},
         CauseKind.CONFIG, "config.Env.A", "nothing", "1"),
        ({"change": lambda config: config.update(architecture="arm64")},
         CauseKind.PLATFORM, "architecture", "amd64", "arm64"),
        ({"change": lambda config: config["history"][0].update(comment="no")},
         CauseKind.HISTORY, "history.1.comment", "nothing", "no"),
        ({"change": lambda config: config.update(os=config.pop("os"))},
         CauseKind.FORM, "the configuration's JSON", "", ""),
    ],
)  # fmt: skip
def test_what_differs_beside_the_layers_is_told(
    changes: dict[str, Any], kind: CauseKind, what: str, a: str, b: str
) -> None:
    """Compression by its header, documents by their fields, and JSON that only looks otherwise."""
    first = cause_of(**changes)[0]

    assert first.kind is kind
    assert first.what.startswith(what)
    assert first.a.startswith(a)
    assert first.b.startswith(b)


def test_a_blob_that_is_not_here_is_not_looked_at() -> None:
    """Of either image: that the blobs differ is all that is said."""
    source, layer = Memory(), Tar().write()
    here = image_of(source, layer)
    other = image_of(source, layer, partial(gzip.compress, mtime=9))
    away = [replace(one, absent=frozenset({one.manifest.layers[0].digest}), source=Memory())
            for one in (here, other)]  # fmt: skip
    for a, b in ((here, away[1]), (away[0], other), (away[0], away[1])):
        (cause,) = compared(a, b).causes
        assert (cause.kind, cause.what, cause.a, cause.b) == (
            CauseKind.COMPRESSION, "the blob", "", "",
        )  # fmt: skip


def test_layers_that_are_not_at_hand_are_told_by_their_diff_ids() -> None:
    """As those of a lock; nothing of them is opened."""
    source, other = Memory(), Tar()
    rewrite(other)
    a, b = image_of(source, Tar().write()), image_of(source, other.write())
    for first, second in ((False, False), (True, False), (False, True)):
        one_side, other_side = (
            ComparedSide(one, lambda: pytest.fail("it is opened"), layered=layered)
            if not layered
            else side_of(one)
            for one, layered in ((a, first), (b, second))
        )
        loose = ComparisonScope(ignored=frozenset({Ignored.CONTENT}))
        (pair,) = ComparedImages("linux/amd64", one_side, other_side, loose).layers
        assert pair.counts, "nobody knows whether they are alike"
        (cause,) = ComparedImages("linux/amd64", one_side, other_side, ALL).causes
        assert (cause.kind, cause.what, cause.layers) == (CauseKind.CONTENT, "diff_id", (1, 1))
        assert (cause.a, cause.b) == (str(a.config.diff_ids[0]), str(b.config.diff_ids[0]))


def test_labels_that_are_ignored_do_not_count() -> None:
    """But all else of a configuration does."""
    source, layer = Memory(), Tar().write()
    ignoring = ComparisonScope(ignored=frozenset({Ignored.LABELS}))

    def causes(**config: Any) -> list[str]:
        made = image_of(source, layer, change=lambda document: document.update(config=config))
        return [one.what for one in compared(image_of(source, layer), made, ignoring).causes]

    assert causes(Labels={"a": "b"}) == []
    assert causes(Labels={"a": "b"}, User="5") == ["config.User"]


def test_of_files_alone_the_first_is_the_cause() -> None:
    """With what each image has there."""
    only = ComparisonScope(frozenset({Section.FILES}))
    told = []
    for change in (set_field("etc/motd", "name", "etc/A"), rewrite, set_field("etc/motd", "uid", 3),
                   lambda tar: tar.members.pop(0)):  # fmt: skip
        (cause,) = changed(change, only).causes
        assert (cause.kind, cause.layers) == (CauseKind.CONTENT, None)
        told.append((cause.path, cause.what, cause.a.partition(":")[0], cause.b.partition(":")[0]))
    assert told == [
        (b"etc/A", "path", "nothing", "file"),
        (b"etc/motd", "content", "sha256", "sha256"),
        (b"etc/motd", "uid", "0", "3"),
        (b"etc/motd", "path", "file", "nothing"),
    ]


@pytest.mark.parametrize(
    ("field", "row", "text"),
    [
        ("mode", {"mode": S_IFREG | 0o4755}, "4755"),
        ("mtime", {"mtime_ns": 0}, "0"),
        ("mtime", {"mtime_ns": 1_500_000_000}, "1.5"),
        ("mtime", {"mtime_ns": -1_500_000_000}, "-1.5"),
        ("mtime", {"mtime_ns": 10_000_000_000}, "10"),
        ("content", {}, "unknown"),
        ("content", {"sha256": b"\1" * 32}, "sha256:" + "01" * 32),
        ("target", {"link": b"a\n"}, "a\\n"),
        ("device", {"rdev": os.makedev(8, 1)}, "8:1"),
        ("xattrs", {}, "none"),
        ("xattrs", {"xattrs": ((b"b", b"x" * 40), (b"a", b""))}, "a= b=" + "78" * 32),
        ("links", {"links": 3}, "3 names"),
        ("order", {"place": 3}, "member 4"),
        ("uid", {"uid": 7}, "7"),
        ("gid", {"gid": 8}, "8"),
        ("size", {"size": 9}, "9"),
        ("path", {}, "file"),
        ("path", {"mode": 0, "link": b"x"}, "hard link"),
        ("path", {"mode": WHITEOUT}, "deletion"),
        ("path", {"mode": OPAQUE}, "opaque directory"),
    ],
)
def test_a_field_of_a_file_is_a_short_text(field: str, row: dict[str, Any], text: str) -> None:
    """For people, without what acts on a terminal."""
    values: dict[str, Any] = {"path": b"f", "mode": S_IFREG | 0o644}
    assert field_text(TableRow(**(values | row)), field) == text


@pytest.mark.parametrize("compress", [True, False])
def test_what_is_the_same_is_not_read(*, compress: bool) -> None:
    """Nor are layers whose diff_ids are the same, whatever else differs."""
    source, layer = Memory(), Tar().write()
    a = image_of(source, layer)
    b = a if compress else image_of(source, layer, annotations={"a": "b"})

    images = compared(a, b)

    assert not list(images.files())
    assert [bool(pair.counts) for pair in images.layers] == [False]
    assert images.identical is compress
    assert source.reads == []


def test_of_what_is_compressed_otherwise_only_the_beginning_is_read() -> None:
    """No layer is unpacked for it, and no table made."""
    source, layer = Memory(), Tar().write()
    images = compared(
        image_of(source, layer), image_of(source, layer, partial(gzip.compress, mtime=9))
    )

    assert images.causes[0].kind is CauseKind.COMPRESSION
    assert list(images.files()) == []
    assert "files" not in vars(images.a)
    assert "files" not in vars(images.b)


def test_only_the_configuration_is_compared_without_a_look_at_a_layer() -> None:
    """As it is asked for."""
    only = ComparisonScope(frozenset({Section.CONFIG}))

    images = changed(rewrite, only)

    assert images.causes == ()
    assert list(images.files()) == []


@pytest.mark.parametrize(
    ("change", "ignored"),
    [
        (set_field("etc/motd", "mtime", 2), Ignored.MTIME),
        (set_field("etc/motd", "mode", 0o600), Ignored.MODE),
        (set_field("etc/motd", "gid", 6), Ignored.OWNER),
        (xattr, Ignored.XATTRS),
        (rewrite, Ignored.CONTENT),
    ],
)
def test_what_is_ignored_makes_no_layer_another(change: Change, ignored: Ignored) -> None:
    """Though its bytes and digests are others; what is not ignored still counts."""
    images = changed(change, ComparisonScope(ignored=frozenset({ignored})))
    assert images.causes == ()
    assert not any(pair.counts for pair in images.layers)
    assert list(images.files()) == []

    others = frozenset(Ignored) - {ignored}
    assert changed(change, ComparisonScope(ignored=others)).causes != ()


def test_paths_that_are_not_asked_for_do_not_count() -> None:
    """Neither among the files nor in a layer."""
    change = set_field("etc/motd", "mtime", 2)

    assert changed(change, ComparisonScope(paths=(b"usr",))).causes == ()
    assert changed(change, ComparisonScope(paths=(b"etc",))).causes != ()


def test_digests_are_no_cause_of_their_own() -> None:
    """All fields of a layer that follow are told with it, and once."""
    images = changed(rewrite)

    (pair,) = images.layers
    assert {field.name for field in pair.fields} >= {"digest", "diff_id"}
    assert images.documents.config == ()
    assert Digest.parse(str(pair.fields[-1].a))
