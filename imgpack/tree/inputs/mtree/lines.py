"""The lines and words of an mtree(5) file, and the escapes in words.

Sources: libarchive's reader, NetBSD's mtree(8) with unvis(3), and go-mtree: what any of them
reads is read here. A word is cut at a ``#`` only where it begins with it: NetBSD writes a
``#`` in a name as an escape, and others write it as it is. Lines and files are bounded.
"""

import re
from collections.abc import Iterator
from typing import Final

from imgpack.errors import LimitError

MAX_LINE: Final = 1 << 20
"""Bytes of a line with all that is joined to it; libarchive takes 64 KiB."""

_ESCAPE: Final = re.compile(
    rb"\\(?:([0-3][0-7]{2}|[0-7]{1,2})|x([0-9A-Fa-f]{1,2})|(M[-^].|\^.)|([abfnrstvE\\\"#$ ]))",
    re.DOTALL,
)
_LETTERS: Final = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"s": b" ", b"t": b"\t",
    b"v": b"\v", b"E": b"\x1b", b"\\": b"\\", b'"': b'"', b"#": b"#", b"$": b"", b" ": b" ",
}  # fmt: skip


def lines(data: bytes, name: str) -> Iterator[tuple[int, list[bytes]]]:
    """The words of each line that has some, with the number of its first line.

    Raises ``LimitError``.
    """
    pieces: list[bytes] = []
    length = start = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        start = start or number
        length += len(line)
        if length > MAX_LINE:
            raise LimitError(f"{name}:{start}: the line has more than {MAX_LINE:,} bytes")
        if (len(line) - len(line.rstrip(b"\\"))) % 2:
            pieces.append(line[:-1])
            continue
        if words := _words(b" ".join((*pieces, line))):
            yield start, words
        pieces.clear()
        length = start = 0
    if words := _words(b" ".join(pieces)):
        yield start, words


def _words(line: bytes) -> list[bytes]:
    words = re.split(rb"[ \t]+", line.strip(b" \t"))
    for number, word in enumerate(words):
        if word.startswith(b"#"):
            return words[:number]
    return words if words != [b""] else []


def unescaped(word: bytes) -> bytes:
    """The bytes that a word stands for; what is no escape stays as it is."""
    return _ESCAPE.sub(_meant, word) if b"\\" in word else word


def _meant(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, control, letter = match.groups()
    if octal is not None:
        return bytes((int(octal, 8),))
    if hexadecimal is not None:
        return bytes((int(hexadecimal, 16),))
    if letter is not None:
        return _LETTERS[letter]
    code = control[-1]
    if control[-2:-1] == b"^":
        code = 0x7F if code == ord("?") else code & 0x1F
    return bytes((code | 0x80 if control[:1] == b"M" else code,))
