"""Users and groups of an image, by name or number, as engines look them up.

Sources: passwd(5), group(5), and ``GetExecUser`` of github.com/moby/sys/user, which Docker,
containerd and podman ask. Invariant: lines that say no number (of NIS, too short, malformed)
are passed over, as there.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from imgpack.errors import ConfigError, quoted

MAX_ID: Final = 2**31 - 1
"""The largest id that engines run a process as."""


_PASSWD: Final = "/etc/passwd"
_GROUP: Final = "/etc/group"


class Account(NamedTuple):
    """A line of passwd(5), or of group(5), whose one number is both ids."""

    name: str
    uid: int
    gid: int


def users(passwd: bytes) -> Iterator[Account]:
    """The users of a passwd(5), in its order."""
    for name, _, uid, gid, *_ in _lines(passwd, 4):
        ids = _number(_text(uid)), _number(_text(gid))
        if ids[0] is not None and ids[1] is not None:
            yield Account(_text(name), ids[0], ids[1])


def groups(group: bytes) -> Iterator[Account]:
    """The groups of a group(5), in its order."""
    for name, _, gid, *_ in _lines(group, 3):
        if (number := _number(_text(gid))) is not None:
            yield Account(_text(name), number, number)


def find_user(text: str, passwd: bytes | None) -> Account | None:
    """The first user with the name or the number ``text``."""
    number = _number(text)
    found = users(passwd or b"")
    return next((user for user in found if user.name == text or user.uid == number), None)


def find_group(text: str, group: bytes | None) -> Account | None:
    """The first group with the name or the number ``text``."""
    number = _number(text)
    found = groups(group or b"")
    return next((one for one in found if one.name == text or one.gid == number), None)


def resolve_user(text: str, passwd: bytes | None, group: bytes | None) -> tuple[int, int]:
    """The ids that ``USER[:GROUP]`` stands for; a number need not be in the files.

    ``None``: there is no such file. A number without a line has the group 0; empty is root.
    Raises ``ConfigError`` for a name that nobody has, and for a number out of range.
    """
    name, _, own = text.partition(":")
    user = find_user(name, passwd)
    uid, gid = (user.uid, user.gid) if user else (_id(name, "user", "/etc/passwd"), 0)
    if own:
        found = find_group(own, group)
        gid = found.gid if found else _id(own, "group", "/etc/group")
    return uid, gid


def _id(text: str, kind: str, file: str) -> int:
    number = _number(text) if text else 0
    if number is None:
        raise ConfigError(
            f"the {kind} {quoted(text)} is not in {file} of the image",
            f"give the {kind}'s number, or add a line for it there",
        )
    if number > MAX_ID:
        raise ConfigError(f"the {kind} {text} is none", f"at most {MAX_ID} is run by engines")
    return number


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _lines(raw: bytes, fields: int) -> Iterator[list[bytes]]:
    for line in raw.split(b"\n"):
        parts = line.strip().split(b":")
        if len(parts) >= fields and parts[0] and parts[0][:1] not in (b"+", b"-"):
            yield parts


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def check_user(
    text: str, read_file: Callable[[str], bytes | None], *, inherited: bool
) -> str | None:
    """What its user should know of ``USER[:GROUP]``, the ``User`` of an image.

    ``read_file`` reads an absolute path of the image, links followed (``None``: no such
    file). Raises ``ConfigError`` for a name that is not there; of one that is ``inherited``,
    from a base whose files may have been replaced, it is only told.
    """
    if not text:
        return None
    passwd = read_file(_PASSWD)
    try:
        uid, _ = resolve_user(text, passwd, read_file(_GROUP) if ":" in text else None)
    except ConfigError as error:
        if inherited:
            return f"the base's user does not work any more: {error.message}"
        raise
    if inherited or not uid or find_user(text.partition(":")[0], passwd):
        return None
    return f"the user {uid} is not in {_PASSWD} of the image: its $HOME will be /"
