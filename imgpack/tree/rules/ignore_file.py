"""Ignore files: from bytes to patterns, line by line as Docker reads them.

Sources: moby/patternmatcher (``ignorefile.ReadAll``, ``New``), Go's ``path.Clean`` and
``unicode.IsSpace``. Names are text with ``surrogateescape``: a byte that is no UTF-8 is a
character of its own.
"""

import contextlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from imgpack.errors import ConfigError, LimitError, SourceError, printable, quoted
from imgpack.tree.exclusion import ExclusionRule
from imgpack.tree.rules.glob import Glob, as_bytes, as_text, read_otherwise

NAMES: Final = (b".containerignore", b".dockerignore")
"""Where a directory says what of it is left out: the first that is there counts."""
_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Go's: Python strips the separators U+001C to U+001F as well."""
_MAX_FILE: Final = 4 << 20
_MAX_LINE: Final = 64 << 10
"""Bytes that a line stays below, in Docker too."""
_BOM: Final = b"\xef\xbb\xbf"
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One pattern that leaves out what it matches, or with ``exception`` does not."""

    rule: ExclusionRule
    glob: Glob
    exception: bool


def find_ignore_file(root: bytes) -> bytes | None:
    """The path of the ignore file of the directory ``root``, if it has one.

    Raises ``SourceError`` for a link that leads out of it, which Docker does not follow.
    """
    paths = (os.path.join(root, name) for name in NAMES)
    path = next(filter(os.path.lexists, paths), None)
    if path is not None and os.path.islink(path):
        inside = os.path.join(os.path.realpath(root), b"")
        if not os.path.realpath(path).startswith(inside):
            raise SourceError(
                f"the ignore file {printable(path)} is a symlink that leads out of its directory",
                "copy what it leads to, or give that file itself as the ignore file",
            )
    return path


def read_ignore_file(path: bytes) -> tuple[IgnorePattern, ...]:
    """The patterns of a file.

    Raises ``SourceError`` if it cannot be read, ``ConfigError`` and ``LimitError`` for what
    is in it, with the line.
    """
    shown = printable(path)
    try:
        with open(os.open(path, _OPEN), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SourceError(f"the ignore file {shown} is not a regular file")
            data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is a NUL in its name"
        raise SourceError(f"cannot read the ignore file {shown}: {why}") from None
    if len(data) > _MAX_FILE:
        raise LimitError(f"the ignore file {shown} has more than {_MAX_FILE >> 20} MiB")
    return tuple(parse_ignore_file(data, shown))


def parse_ignore_file(data: bytes, name: str) -> Iterator[IgnorePattern]:
    """The patterns in the bytes of a file that messages call ``name``. Raises as above."""
    for number, line in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        if len(line) >= _MAX_LINE:
            raise LimitError(f"line {number} of {name} has {len(line)} bytes, and Docker takes "
                             f"less than {_MAX_LINE}")  # fmt: skip
        if not line.startswith(b"#"):
            pattern = parse_ignore_pattern(as_text(line), name, number)
            if pattern is not None:
                yield pattern


def parse_ignore_pattern(text: str, file: str = "", line: int = 0) -> IgnorePattern | None:
    """The pattern of one line of a file, or of a text alone; ``None`` if that is blank.

    Raises ``ConfigError`` if it is no pattern.
    """
    with contextlib.suppress(UnicodeEncodeError):  # of which it is told below
        text = as_text(text)
    written = text.strip(_SPACE)
    if not written:
        return None
    negated, cleaned = written.startswith("!"), written.removeprefix("!").strip(_SPACE)
    if cleaned:
        cleaned = _clean(cleaned)
        if len(cleaned) > 1:
            cleaned = cleaned.removeprefix("/")
    # A second look at the same text, as moby has it: now ./!x is an exception, too.
    cleaned = _clean(("!" if negated else "") + cleaned.strip(_SPACE))
    exception = cleaned.startswith("!")
    rule = ExclusionRule(written, file, line)
    try:
        as_bytes(cleaned)
        if cleaned == "!":
            raise ValueError("nothing stands behind the !")
        return IgnorePattern(rule, Glob(cleaned[exception:]), exception)
    except ValueError as error:
        where = f"line {line} of {file}: " if line else ""
        raise ConfigError(
            f"{where}{quoted(written)} is no pattern: {error}",
            "correct it: a backslash before a special character makes it an ordinary one",
        ) from None


def warnings_of(patterns: Iterable[IgnorePattern]) -> Iterator[str]:
    """What to say of patterns that Docker, by mistake, reads otherwise."""
    for pattern in patterns:
        if part := read_otherwise(pattern.glob.text):
            yield (
                f"{printable(str(pattern.rule))}: {printable(part)} means itself here, and Docker "
                "reads it otherwise, by mistake"
            )


def _clean(path: str) -> str:
    """Go's ``path.Clean``."""
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)
