"""Layers of named members, and images of them, for the tests of this room."""

import io
import tarfile
from collections.abc import Sequence
from typing import Any

from imgpack.api import Image, ImageConfig
from imgpack.events import Silent
from imgpack.spec.descriptor import describe
from imgpack.spec.json import decode, encode
from imgpack.spec.manifest import build_manifest
from tests.store.samples import Memory

FILE, LINK, SYMLINK, DIRECTORY = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE

Member = tuple[str, bytes, str]
"""A name, a type, and the bytes or the target."""


def layer_of(members: Sequence[Member]) -> bytes:
    """A layer's tar stream."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, said in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755 if kind == DIRECTORY else 0o644
            data = said.encode() if kind == FILE else b""
            info.linkname = said if kind in (LINK, SYMLINK) else ""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def members_of(layer: bytes) -> dict[str, tuple[bytes, str]]:
    """What a layer has at each path: the type, and the bytes or the target."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = member.type, file.read().decode() if file else member.linkname
    return found


def changed(image: Image, annotations: dict[str, str] | None = None, **more: Any) -> Image:
    """``image`` with ``more`` in its configuration, and with annotations."""
    assert isinstance(image.source, Memory)
    config = ImageConfig.parse(encode(decode(image.config.raw) | more))
    image.source.add(config.raw)
    described = describe(image.manifest.config.media_type, config.raw, config.digest)
    layers = image.manifest.layers
    manifest = build_manifest(described, layers, image.manifest.media_type, annotations)
    return Image(manifest, config, image.source)


class Warnings(Silent):
    """A reporter that keeps what it was warned of."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, message: str, hint: object = "") -> None:
        """Keep it."""
        self.warned.append(message)
