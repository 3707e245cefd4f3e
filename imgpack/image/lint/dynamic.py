"""What an ELF file asks its loader for: its libraries, and where to look for them.

Source: the System V ABI, "Dynamic Section". The file is hostile: nothing in it is believed to be
inside of it, and no more than a bounded part is read.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imgpack.tree.elf import (
    HEAD,
    ProgramHeader,
    byte_order,
    elf_platform,
    interpreter,
    is_wide,
    program_headers,
)

_LOAD: Final = 1
_DYNAMIC: Final = 2
_NULL, _NEEDED, _STRINGS, _RPATH, _RUNPATH = 0, 1, 5, 15, 29
_MOST: Final = 1 << 16
"""Bytes of a dynamic section that are read: 4096 entries."""
_LONGEST: Final = 4096
"""Bytes of a text in it."""
_LIBRARIES: Final = 1000

ReadAt = Callable[[int, int], bytes]
"""The bytes of a file: from an offset, so many of them, or fewer at its end."""


@dataclass(frozen=True, slots=True)
class ElfFile:
    """What is asked of a file: ``architecture`` as Go calls it, empty if it is not known.

    ``interpreter`` runs it; ``needed`` are names of libraries, or paths; ``rpath`` and
    ``runpath`` are directories, parted by colons.
    """

    architecture: str = ""
    interpreter: bytes | None = None
    needed: tuple[bytes, ...] = ()
    rpath: bytes = b""
    runpath: bytes = b""


def read_elf(read: ReadAt) -> ElfFile | None:
    """What the file says; ``None`` if it is no ELF file. Of what is malformed, nothing."""
    head = read(0, HEAD)
    if head[:4] != b"\x7fELF":
        return None
    platform = elf_platform(head)
    architecture = "" if platform is None else platform.architecture
    said: dict[int, list[bytes]] = {}
    for tag, text in _texts(head, tuple(program_headers(head)), read):
        said.setdefault(tag, []).append(text)
    return ElfFile(
        architecture,
        interpreter(head),
        tuple(text for text in said.get(_NEEDED, ())[:_LIBRARIES] if text),
        said.get(_RPATH, [b""])[-1],
        said.get(_RUNPATH, [b""])[-1],
    )


def _texts(
    head: bytes, parts: Sequence[ProgramHeader], read: ReadAt
) -> Iterator[tuple[int, bytes]]:
    """The entries of the dynamic section that are texts, with their tags."""
    dynamic = next((part for part in parts if part.kind == _DYNAMIC), None)
    if dynamic is None:
        return
    entry = struct.Struct(byte_order(head) + ("qQ" if is_wide(head) else "iI"))
    raw = read(dynamic.offset, min(dynamic.size, _MOST))
    entries: list[tuple[int, int]] = []
    for tag, value in entry.iter_unpack(raw[: len(raw) - len(raw) % entry.size]):
        if tag == _NULL:
            break
        entries.append((tag, value))
    address = next((value for tag, value in entries if tag == _STRINGS), None)
    start = None if address is None else _offset(address, parts)
    if start is None:
        return
    texts = [one for one in entries if one[0] in (_NEEDED, _RPATH, _RUNPATH)]
    for tag, value in texts[:_LIBRARIES]:
        yield tag, read(start + value, _LONGEST).partition(b"\0")[0]


def _offset(address: int, parts: Sequence[ProgramHeader]) -> int | None:
    """Where in the file lies what is loaded to ``address``."""
    for part in parts:
        if part.kind == _LOAD and part.address <= address < part.address + part.size:
            return part.offset + address - part.address
    return None
