"""Images with something wrong, and programs that want what is not there."""

import gzip
import io
import struct
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from imgpack.api import Descriptor, Digest, Image, Linted, LintIgnore, Platform, lint
from imgpack.image.files.files import image_contents
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.manifest import build_manifest
from tests.store.samples import CREATED, Memory

GITHUB = "ghp_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA7bq3" * 4 + b"\n"
AMD64, ARM64 = 62, 183

Content = bytes | tuple[bytes, int] | tarfile.TarInfo


def member(name: str, kind: bytes, mode: int = 0o644, link: str = "") -> tarfile.TarInfo:
    """A member of a tar that is no regular file."""
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname = kind, mode, link
    return made


def link(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    return member(name, tarfile.SYMTYPE, 0o777, target)


def layer(files: Mapping[str, bytes | tuple[bytes, int]], *others: tarfile.TarInfo) -> bytes:
    """A layer of ``files``, with modes if they are not 0644, and of ``others``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, said in files.items():
            data, mode = (said, 0o644) if isinstance(said, bytes) else said
            made = tarfile.TarInfo(name)
            made.size, made.mode = len(data), mode
            tar.addfile(made, io.BytesIO(data))
        for one in others:
            tar.addfile(one)
    return buffer.getvalue()


def image(
    layers: Sequence[bytes],
    config: Mapping[str, Any] | None = None,
    *,
    history: Sequence[str] = (),
    platform: str = "linux/amd64",
) -> Image:
    """An image of ``layers``, bottom first, whose history has ``history`` besides."""
    source = Memory()
    made = build_config(
        Platform.parse(platform),
        [Digest.of(one) for one in layers],
        [History(CREATED, text, empty_layer=True) for text in history],
        created=CREATED,
        runtime=config,
    )
    source.add(made.raw)
    descriptors = []
    for one in layers:
        blob = gzip.compress(one, mtime=0)
        descriptors.append(Descriptor(mediatype.OCI_LAYER_GZIP, source.add(blob), len(blob)))
    manifest = build_manifest(
        Descriptor(mediatype.OCI_CONFIG, made.digest, len(made.raw)),
        descriptors,
        mediatype.OCI_MANIFEST,
    )
    source.add(manifest.raw)
    return Image(manifest, made, source)


def linted(one: Image, *ignored: str) -> Linted:
    """What is found in it."""
    files = image_contents(one, "here", tempfile.gettempdir)
    return lint(files, ignore=[LintIgnore.parse(text) for text in ignored])


def found(one: Image, *ignored: str) -> list[tuple[str, bytes | str]]:
    """The rules that find something, and where; not those that all images here break."""
    told = linted(one, "user-root", "command-missing", *ignored).findings
    return [(each.rule.id, each.place if each.path is None else each.path) for each in told]


def program(
    *needed: bytes,
    interpreter: bytes = b"/lib64/ld-linux-x86-64.so.2",
    runpath: bytes = b"",
    rpath: bytes = b"",
    machine: int = AMD64,
) -> bytes:
    """A dynamic ELF file, or without an ``interpreter`` a library."""
    headers, head = 3 if interpreter else 2, 64
    texts = b"\0"
    entries: list[tuple[int, int]] = []
    for tag, text in (*((1, name) for name in needed), (29, runpath), (15, rpath)):
        if text:
            entries.append((tag, len(texts)))
            texts += text + b"\0"
    at = head + 56 * headers
    strings = at + len(interpreter) + 1
    dynamic = strings + len(texts)
    raw = b"".join(struct.pack("<qQ", *one) for one in (*entries, (5, 0x1000 + strings), (0, 0)))
    size = dynamic + len(raw)

    def segment(kind: int, offset: int, length: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, 4, offset, 0x1000 + offset, 0, length, length, 1)

    parts = [segment(1, 0, size), segment(2, dynamic, len(raw))]
    if interpreter:
        parts.insert(0, segment(3, at, len(interpreter) + 1))
    start = (
        b"\x7fELF\2\1\1"
        + bytes(9)
        + struct.pack("<HHIQQQIHHH", 3, machine, 1, 0, head, 0, 0, 64, 56, headers)
    )
    return start.ljust(head, b"\0") + b"".join(parts) + interpreter + b"\0" + texts + raw
