"""An mtree(5) file as what it says of each path: keywords, with the defaults of ``/set``.

Sources as in ``lines``. A name without a slash lies in the directory that was last named
so; one with a slash is a path from the root and moves nothing, as libarchive and go-mtree
have it. A path may come again: keyword by keyword the later line counts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imgpack.errors import LimitError, TreeError, about, printable, quoted
from imgpack.tree.inputs.mtree.lines import lines, unescaped
from imgpack.tree.tree import check_length, check_name

MAX_ENTRIES: Final = 10_000_000
_ALONE: Final = frozenset({"ignore", "optional", "nochange"})
_READ: Final = frozenset(
    {
        "type", "uid", "gid", "uname", "gname", "mode", "time", "tar_time", "size", "link",
        "device", "contents", "content", "nlink", "inode",
    }
)  # fmt: skip
_PASSED_OVER: Final = frozenset(
    {
        "resdevice", "flags", "tags", "cksum", "md5", "md5digest", "rmd160", "rmd160digest",
        "ripemd160digest", "sha1", "sha1digest", "sha256", "sha256digest", "sha384",
        "sha384digest", "sha512", "sha512digest", "sha512256", "sha512256digest",
    }
)  # fmt: skip
_SAME: Final = tuple(
    map(
        frozenset,
        (("uid", "uname"), ("gid", "gname"), ("time", "tar_time"), ("contents", "content")),
    )
)
_KEYWORD: Final = re.compile(rb"([a-z][a-z0-9_]*(?:\.[^=]+)?)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of a path, and the number of the line that said it last."""

    path: bytes
    number: int
    keywords: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class MtreeFile:
    """What an mtree(5) file says, each path once, in its order, and what it was warned of.

    ``name`` is what messages call it; the root has the empty path.
    """

    name: str
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]


def read_lines(data: bytes, name: str) -> MtreeFile:
    """What ``data`` says. Raises ``TreeError`` and ``LimitError`` naming the line."""
    reader = _Reader(name)
    for number, words in lines(data, name):
        with about(f"{name}:{number}"):
            reader.read(number, words)
    return MtreeFile(name, tuple(reader.found.values()), tuple(reader.warnings))


class _Reader:
    """The state of a pass: defaults, and the directory that plain names lie in."""

    def __init__(self, name: str) -> None:
        self.found: dict[bytes, Line] = {}
        self.warnings: list[str] = []
        self._name = name
        self._unknown: set[str] = set()
        self._defaults: dict[str, bytes] = {}
        self._directory: list[bytes] = []

    def read(self, number: int, words: list[bytes]) -> None:
        """Take one line."""
        first = words[0]
        if first == b"/set":
            self._defaults = _over(self._defaults, self._keywords(number, [*_paired(words[1:])]))
        elif first == b"/unset":
            for word in words[1:]:
                self._defaults.pop(word.decode("latin-1"), None)
            if b"all" in words[1:]:
                self._defaults.clear()
        elif first == b"..":
            if not self._directory:
                raise TreeError("the name .. leads out of the tree", "remove the line")
            self._directory.pop()
        elif _is_path_last(words):
            self._entry(number, words[-1], words[:-1])
        else:
            self._entry(number, first, words[1:])

    def _entry(self, number: int, name: bytes, words: Sequence[bytes]) -> None:
        keywords = _over(self._defaults, self._keywords(number, words))
        plain = b"/" not in name and name != b"."
        parts = [unescaped(part) for part in name.split(b"/") if part not in (b"", b".")]
        for part in parts:
            if part in (b"", b".", b"..") or b"/" in part or b"\0" in part:
                raise TreeError(
                    f"the path {quoted(name)} cannot be in a tree",
                    "write it as it is in the image, without ..",
                )
            check_name(part, name)
            check_length(part, name)
        if plain:
            parts = [*self._directory, *parts]
        path = b"/".join(parts)
        before = self.found.get(path)
        if before is not None:
            keywords = _over(before.keywords, keywords)
        self.found[path] = Line(path, number, keywords)
        if len(self.found) > MAX_ENTRIES:
            raise LimitError(f"there are more than {MAX_ENTRIES:,} paths")
        if name == b"." or (plain and keywords.get("type") == b"dir"):
            self._directory = parts

    def _keywords(self, number: int, words: Sequence[bytes]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for word in words:
            match = _KEYWORD.fullmatch(word)
            if match is None:
                raise TreeError(f"{quoted(word)} is no keyword", "write KEYWORD=VALUE")
            key, value = match[1].decode("latin-1"), match[2]
            known = key in _READ or key.startswith("xattr.")
            if value is None and known:
                raise TreeError(f"the keyword {key} has no value", f"write {key}=VALUE")
            if known or key in _ALONE:
                found[key] = value or b""
            elif key not in _PASSED_OVER and key not in self._unknown:
                self._unknown.add(key)
                self.warnings.append(
                    f"{self._name}:{number}: the keyword {printable(key)} is not known "
                    "and is passed over"
                )
        return found


def _over(before: dict[str, bytes], later: dict[str, bytes]) -> dict[str, bytes]:
    """The later keywords over those before: two names of one thing are one thing."""
    gone = {old for pair in _SAME for old in pair if pair & later.keys() and old not in later}
    return {key: value for key, value in before.items() if key not in gone} | later


def _paired(words: Sequence[bytes]) -> Iterator[bytes]:
    """Keywords of ``/set``, where a blank may stand for the equals sign, as NetBSD has it."""
    rest = iter(words)
    for word in rest:
        if b"=" in word or word.decode("latin-1") in _ALONE:
            yield word
        elif (value := next(rest, None)) is not None:
            yield word + b"=" + value
        else:
            yield word


def _is_path_last(words: Sequence[bytes]) -> bool:
    """Whether a line ends with its path, as those of NetBSD's ``mtree -D``."""
    first, last = words[0], words[-1]
    path = last == b"." or (b"/" in last and not _is_keyword(last))
    return len(words) > 1 and path and _is_keyword(first)


def _is_keyword(word: bytes) -> bool:
    match = _KEYWORD.fullmatch(word)
    if match is None:
        return False
    key = match[1].decode("latin-1")
    if match[2] is None:
        return key in _ALONE
    return key in _READ or key in _PASSED_OVER or key.startswith("xattr.")
