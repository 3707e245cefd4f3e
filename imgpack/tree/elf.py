"""Which machine a tree's programs are built for, and what runs them.

Source: the System V ABI, "ELF Header". A pure function of the trees, so it is the
same wherever the build runs; symlinks are not followed, for an absolute one
would lead to the building host's own programs.
"""

import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from imgpack.spec.platform import Platform
from imgpack.tree.tree import Tree

_PROGRAMS: Final = (b"sh", b"bash", b"dash", b"busybox", b"env", b"true", b"ls", b"init")
_PLACES: Final = (b"bin", b"usr/bin", b"sbin", b"usr/sbin", b"usr/local/bin", b"app", b"")
_CLASS_64: Final = 2
_LITTLE: Final = 1

# (e_machine, 64 bits, little endian): Go's architecture
_ARCHITECTURES: Final = {
    (3, False, True): "386",
    (8, True, True): "mips64le",
    (21, True, True): "ppc64le",
    (22, True, False): "s390x",
    (40, False, True): "arm",
    (62, True, True): "amd64",
    (183, True, True): "arm64",
    (243, True, True): "riscv64",
    (258, True, True): "loong64",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A file that runs on one platform only; ``path`` is what messages call it."""

    path: bytes
    platform: Platform


def find_program(trees: Sequence[Tree], programs: Iterable[bytes] = ()) -> Program | None:
    """The first program found whose platform is known, or ``None``.

    ``programs`` are looked at first, as the entrypoint: paths in the image, or names that
    are looked for where programs usually are.
    """
    named = (path for program in programs for path in _named(program))
    for path in (*named, *_usual()):
        for tree in reversed(trees):
            found = _machine(tree, path.lstrip(b"/"))
            if found is not None:
                return found
    return None


def _named(program: bytes) -> Iterator[bytes]:
    return iter((program,)) if b"/" in program else (place + b"/" + program for place in _PLACES)


def _usual() -> Iterator[bytes]:
    for place in _PLACES:
        for program in _PROGRAMS:
            yield place + b"/" + program


def _machine(tree: Tree, path: bytes) -> Program | None:
    entry = tree.find(path)
    if entry is None or not stat.S_ISREG(entry.mode):
        return None
    try:
        with entry.open() as file:
            platform = elf_platform(file.read(20))
    except OSError:
        return None
    return Program(entry.shown, platform) if platform else None


def elf_platform(head: bytes) -> Platform | None:
    """What an ELF file that begins with ``head`` runs on; ``None`` for all else."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    little = head[5] == _LITTLE
    (machine,) = struct.unpack_from("<H" if little else ">H", head, 18)
    architecture = _ARCHITECTURES.get((machine, head[4] == _CLASS_64, little))
    return Platform("linux", architecture) if architecture else None


HEAD: Final = 1 << 16
"""Bytes of a program that say what runs it, mostly within the first few hundred."""
_INTERPRETER: Final = 3
"""``PT_INTERP``, the type of the segment that names it ("Program Header")."""


def interpreter(head: bytes) -> bytes | None:
    """What the kernel starts to run a program that begins with ``head``: of a script, of ELF.

    ``None`` for a program that needs none, and for what is no program.
    """
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        return words[0] if words else None
    for segment in program_headers(head):
        if segment.kind == _INTERPRETER:
            return head[segment.offset :][: segment.size].partition(b"\0")[0] or None
    return None


class ProgramHeader(NamedTuple):
    """A segment of an ELF file: ``size`` bytes at ``offset``, which are loaded to ``address``."""

    kind: int
    offset: int
    address: int
    size: int


def program_headers(head: bytes) -> Iterator[ProgramHeader]:
    """What the program headers in ``head`` say, up to one that is not all in there."""
    if len(head) < 64 or head[:4] != b"\x7fELF":
        return
    order, wide = byte_order(head), is_wide(head)
    start, size, count = _table(head, order, wide=wide)
    length = 56 if wide else 32
    for at in range(start, start + size * count, size or 1):
        if len(header := head[at : at + length]) < length:
            return
        kind, offset, address, _, held, *_ = struct.unpack(
            order + ("I4x6Q" if wide else "8I"), header
        )
        yield ProgramHeader(kind, offset, address, held)


def is_wide(head: bytes) -> bool:
    """Whether an ELF file has 64 bits."""
    return head[4] == _CLASS_64


def byte_order(head: bytes) -> str:
    """That of an ELF file, as ``struct`` writes it."""
    return "<" if head[5] == _LITTLE else ">"


def _table(head: bytes, order: str, *, wide: bool) -> tuple[int, int, int]:
    """Where the program headers are, how long each is, and how many there are."""
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    return start, size, count
