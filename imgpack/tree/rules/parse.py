"""Rules as they are written: ``PATTERN=VALUE``, or a value alone for everything.

A value may hold ``=`` as well, so a text is a value alone if all of it is one; else it is
divided at the first ``=`` that has a value behind it. A file that is called as a value is
gets a slash in front: ``/u=rwx``.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from imgpack.errors import ConfigError, printable, quoted
from imgpack.tree.rules.accounts import Account, groups, users
from imgpack.tree.rules.capabilities import capability
from imgpack.tree.rules.changes import (
    CAPABILITY,
    ChangeAttribute,
    ChangeMode,
    ChangeOwner,
)
from imgpack.tree.rules.glob import Glob, as_text
from imgpack.tree.rules.ignore_file import parse_ignore_pattern
from imgpack.tree.rules.modes import ModeChange
from imgpack.tree.rules.rules import Effect, Rule
from imgpack.tree.transform import SetTime

ReadFile = Callable[[str], bytes | None]
"""Reads a file of the image by its absolute path; ``None`` if there is none."""

RuleKind = Literal["chown", "chmod", "xattr", "cap"]

_NUMBER: Final = re.compile(r"\d{1,10}", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"((?:user|trusted|security|system)\.[^=\0]+)=(.*)", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern that paths of the image match as a whole; ``str`` of it is its text."""

    glob: Glob

    def __str__(self) -> str:
        return self.glob.text

    @property
    def literal(self) -> bool:
        """Whether it matches one path only."""
        return self.glob.literal

    def matches(self, path: bytes) -> bool:
        """Whether it is ``path`` itself that is meant."""
        above, slash, name = as_text(path).rpartition("/")
        return self.glob.matches(above + slash, name)


def path_pattern(text: str) -> PathPattern:
    """The pattern of whole paths, with or without a slash in front. Raises ``ConfigError``."""
    found = parse_ignore_pattern(text)
    if found is None or found.exception:
        raise ConfigError(
            f"{quoted(text)} is no pattern of a rule",
            "it says what is meant, without a !; to mean less, let a later rule change it back",
        )
    return PathPattern(found.glob)


def parse_rule(kind: RuleKind, text: str, read: ReadFile) -> Rule:
    """A rule as it is written; names of users and groups are those of the files read.

    ``chown``: ``[PATTERN=]USER[:GROUP]``, see ``owner``. ``chmod``: ``[PATTERN=]MODE``, octal or
    symbolic. ``cap``: ``[PATTERN=]CAPABILITIES``, of which none removes what there are.
    ``xattr``: ``[PATTERN=]NAME=VALUE``, see ``attribute_value``; nothing removes it.
    Raises ``ConfigError``.
    """
    name = f"{kind} {printable(text)}"
    if kind == "chown":
        pattern, equals, value = text.rpartition("=")
        return _rule(name, pattern if equals else None, owner(value, read))
    return _divided(name, text, _VALUES[kind])


def time_rule(pattern: str | None, seconds: int) -> Rule:
    """The time of what ``pattern`` matches, or of everything. Raises ``ConfigError``."""
    return _rule(f"the time of {printable(pattern or '')}", pattern, SetTime(seconds))


def owner(text: str, read: ReadFile) -> ChangeOwner:
    """The owner ``USER[:GROUP]`` or ``:GROUP``, names as the image has them.

    As Docker's ``COPY --chown``: a number is both ids, a name brings the user's own group,
    and ``root`` need not be in any file. Raises ``ConfigError`` for a name that nobody has.
    """
    name, colon, group = text.partition(":")
    if not group and (colon or not name):
        raise ConfigError(f"{quoted(text)} is no owner", "write USER, USER:GROUP or :GROUP")
    uid = gid = None
    if _NUMBER.fullmatch(name):
        uid = gid = int(name)
    elif name:
        user = _named(name, users(read("/etc/passwd") or b""), "user", "/etc/passwd")
        uid, gid = user.uid, user.gid
    if _NUMBER.fullmatch(group):
        gid = int(group)
    elif group:
        gid = _named(group, groups(read("/etc/group") or b""), "group", "/etc/group").gid
    return ChangeOwner(uid, gid)


def _named(name: str, accounts: Iterable[Account], kind: str, file: str) -> Account:
    found = next((one for one in accounts if one.name == name), None)
    if found is None and name == "root":
        return Account("root", 0, 0)
    if found is None:
        raise ConfigError(
            f"the {kind} {quoted(name)} is not in {file} of the image",
            f"give the {kind}'s number, or add a line for it there",
        )
    return found


def attribute_value(text: str) -> bytes:
    """The value that setfattr(1) makes of ``text``: ``0x`` hex, ``0s`` base64, else the text.

    Between double quotes, ``\\"``, ``\\\\`` and three octal digits stand for a byte.
    Raises ``ConfigError``.
    """
    try:
        if text[:2] in ("0x", "0X"):
            return bytes.fromhex(text[2:])
        if text[:2] in ("0s", "0S"):
            return base64.b64decode(text[2:], validate=True)
    except (ValueError, binascii.Error):
        raise ConfigError(
            f"the value {quoted(text)} of an attribute is not what it begins as",
            "behind 0x are hexadecimal digits, behind 0s base64; a text can stand in quotes",
        ) from None
    value = text.encode("utf-8", "surrogateescape")
    if len(value) > 1 and value[:1] == value[-1:] == b'"':
        return _ESCAPED.sub(_unescaped, value[1:-1])
    return value


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 8) & 0xFF,)) if len(match[1]) == 3 else match[1]


def _attribute(text: str) -> ChangeAttribute:
    found = _ATTRIBUTE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{quoted(text)} is no attribute",
            "write NAME=VALUE, the name as user.key: in user, trusted, security or system",
        )
    name = found[1].encode("utf-8", "surrogateescape")
    return ChangeAttribute(name, attribute_value(found[2]) or None)


_VALUES: Final[Mapping[str, Callable[[str], Effect]]] = {
    "chmod": lambda value: ChangeMode(ModeChange.parse(value)),
    "cap": lambda value: ChangeAttribute(CAPABILITY, capability(value)),
    "xattr": _attribute,
}


def _divided(name: str, text: str, parse: Callable[[str], Effect]) -> Rule:
    starts = [0, *(equals.end() for equals in re.finditer("=", text))]
    errors = []
    for start in starts:
        try:
            effect = parse(text[start:])
        except ConfigError as error:
            errors.append(error)
        else:
            return _rule(name, text[: start - 1] if start else None, effect)
    raise errors[1 if len(errors) > 1 else 0]


def _rule(name: str, pattern: str | None, change: Effect) -> Rule:
    if pattern == "":
        raise ConfigError(
            f"{name} has no pattern", "write PATTERN=VALUE, or the value alone for everything"
        )
    return Rule(name, None if pattern is None else path_pattern(pattern), change)
