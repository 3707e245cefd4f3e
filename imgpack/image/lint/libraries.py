"""Where the loaders of glibc and musl look for shared libraries, in the image.

Sources: ld.so(8) and ldconfig(8); for musl ``ldso/dynlink.c``. What may be there by a way that is
not known here (``$PLATFORM``, hardware capabilities) is looked for in the directory itself.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from imgpack.errors import ImgpackError
from imgpack.tree.below import Below
from imgpack.tree.entry import Entry

_GLIBC: Final = (b"/lib", b"/usr/lib", b"/lib64", b"/usr/lib64", b"/lib32", b"/usr/lib32")
_MUSL: Final = (b"/lib", b"/usr/local/lib", b"/usr/lib")
_TRIPLES: Final = {
    "amd64": b"x86_64-linux-gnu", "arm64": b"aarch64-linux-gnu", "386": b"i386-linux-gnu",
    "arm": b"arm-linux-gnueabihf", "ppc64le": b"powerpc64le-linux-gnu",
    "s390x": b"s390x-linux-gnu", "riscv64": b"riscv64-linux-gnu",
    "mips64le": b"mips64el-linux-gnuabi64", "loong64": b"loongarch64-linux-gnu",
}  # fmt: skip
"""What Debian calls the directory of an architecture's libraries."""
_OF_MUSL: Final = re.compile(rb"lib(?:c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries that musl's loader is itself."""
_CACHED: Final = re.compile(rb"/[^\0]*")
_DEPTH: Final = 8
"""Files of directories that one names in another."""
_FILES: Final = 100
"""Such files that are read, each once."""
_DIRECTORIES: Final = 1000
_PATH: Final = 4096
"""Bytes of a path that Linux takes, with its end."""
_STEPS: Final = 200_000
"""Names on the ways to where libraries are looked for, through links as well: some seconds."""


class LibraryPaths:
    """Where the loader ``interpreter`` looks for the libraries of ``architecture``.

    ``configured`` are the paths of the files in /etc/ld.so.conf.d; ``variable`` is the value of
    LD_LIBRARY_PATH.
    """

    def __init__(
        self,
        image: Below,
        interpreter: bytes,
        architecture: str,
        configured: Sequence[bytes] = (),
        variable: bytes = b"",
    ) -> None:
        self._image = image
        self._configured = configured
        self._variable = tuple(filter(None, re.split(rb"[:;]", variable)))
        self.is_musl = b"ld-musl" in interpreter
        self._read: set[bytes] = set()
        self._last = image.steps + _STEPS
        usual = self._musl(interpreter) if self.is_musl else self._glibc(architecture)
        self._usual = tuple(_first(usual, _DIRECTORIES))

    @property
    def is_exhausted(self) -> bool:
        """Whether there were too many places to look at: what was not found may be there."""
        return self._image.steps >= self._last

    def find(self, name: bytes, origin: bytes, own: Sequence[bytes]) -> Entry | None:
        """The library ``name``, or the one at that path, that a file in ``origin`` needs.

        ``own`` are RPATH and RUNPATH of it, and the RPATH of what loads it.
        """
        if b"/" in name:
            return self._image.follow(name)
        places = [part for text in own for part in text.split(b":") if part]
        for place in (*places, *self._variable, *self._usual):
            for directory in _expanded(place, origin):
                if self.is_exhausted:
                    return None
                found = self._image.follow(directory + b"/" + name)
                if found is not None:
                    return found
        return None

    def is_loader(self, name: bytes) -> bool:
        """Whether the loader itself is the library ``name``."""
        return name.startswith((b"ld-linux", b"ld64.so", b"linux-vdso")) or (
            self.is_musl and (_OF_MUSL.match(name) is not None or name.startswith(b"libc.musl-"))
        )

    def _musl(self, interpreter: bytes) -> Iterator[bytes]:
        name = interpreter.rpartition(b"/")[2].partition(b".so")[0]
        said = self._text(b"/etc/" + name + b".path")
        yield from re.split(rb"[:\n]", said) if said else _MUSL

    def _glibc(self, architecture: str) -> Iterator[bytes]:
        yield from self._conf(b"/etc/ld.so.conf", _DEPTH)
        for match in _CACHED.finditer(self._text(b"/etc/ld.so.cache")):
            directory = match[0].rpartition(b"/")[0]
            if 0 < len(directory) < _PATH:
                yield directory
        triple = _TRIPLES.get(architecture)
        for place in _GLIBC:
            if triple is not None:
                yield place + b"/" + triple
            yield place

    def _conf(self, path: bytes, depth: int) -> Iterator[bytes]:
        if path in self._read or len(self._read) >= _FILES:
            return
        self._read.add(path)
        for line in self._text(path).split(b"\n")[:_DIRECTORIES]:
            words = line.partition(b"#")[0].replace(b"\t", b" ").split()
            if words[:1] == [b"include"]:
                for other in self._included(words[1:]) if depth else ():
                    yield from self._conf(other, depth - 1)
            elif words and words[0] != b"hwcap":
                yield words[0].partition(b"=")[0]

    def _included(self, patterns: Sequence[bytes]) -> Iterator[bytes]:
        for pattern in patterns:
            if not re.search(rb"[*?\[]", pattern):
                yield pattern if pattern.startswith(b"/") else b"/etc/" + pattern
            else:  # it is always that of ld.so.conf.d
                yield from self._configured

    def _text(self, path: bytes) -> bytes:
        try:
            return self._image.read_file(path.decode("utf-8", "surrogateescape")) or b""
        except (ImgpackError, ValueError):
            return b""


def _expanded(place: bytes, origin: bytes) -> Iterator[bytes]:
    for name in (b"ORIGIN", b"PLATFORM"):
        value = origin if name == b"ORIGIN" else b""
        place = place.replace(b"$" + name, value).replace(b"${" + name + b"}", value)
    if len(place) >= _PATH:
        return
    for lib in (b"lib", b"lib64"):
        yield place.replace(b"$LIB", lib).replace(b"${LIB}", lib)
        if b"$" not in place:
            return


def _first(places: Iterator[bytes], count: int) -> Iterable[bytes]:
    """The first so many of ``places``, each once; no more are asked for."""
    found: dict[bytes, None] = {}
    for place in places:
        found[place] = None
        if len(found) == count:
            break
    return found
