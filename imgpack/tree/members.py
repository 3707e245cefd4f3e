"""What a member of a layer means: an entry, or the deletion of what lies below.

Source: image-spec ``layer.md``, "Whiteouts"; moby ``pkg/archive``, which passes over what
else AUFS left in a layer (names that start with ``.wh..wh.``).
"""

import stat
from typing import Final

from imgpack.errors import TreeError, brief
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import OPAQUE_NAME, Content, Entry, opaque, whiteout
from imgpack.tree.tree import MAX_NAME, WHITEOUT_PREFIX, check_length, join

_BOOKKEEPING: Final = WHITEOUT_PREFIX + WHITEOUT_PREFIX
_new = tuple.__new__


def member_entry(member: StreamMember, content: bytes | Content) -> Entry | None:
    """The entry of ``member``, whose bytes, target and attributes ``content`` has.

    A whiteout or the opaque marker becomes what it means; ``None`` for what AUFS left. A hard
    link has no type: what it names has all that it is. Raises ``TreeError`` for another name
    that means a deletion, ``LimitError`` for one that no Linux can unpack.
    """
    path = member.path
    if is_reserved(path):
        return _deletion(path)
    check_path(path)
    kind = member.kind
    size = len(member.link) if kind == stat.S_IFLNK else member.size
    return _new(
        Entry,
        (
            path, content, kind | member.mode, 0, 0, 1, member.uid, member.gid, size,
            member.mtime_ns, 0, member.rdev, b"", None, (),
        ),
    )  # fmt: skip


def is_reserved(path: bytes) -> bool:
    """Whether a member's ``path`` means a deletion, or something else that is no file."""
    return path.startswith(WHITEOUT_PREFIX) or b"/" + WHITEOUT_PREFIX in path


def check_path(path: bytes) -> None:
    """Raise ``LimitError`` for a ``path`` that no Linux can unpack."""
    if len(path) > MAX_NAME:
        for part in path.split(b"/"):
            check_length(part, path)


def _deletion(path: bytes) -> Entry | None:
    above, _, name = path.rpartition(b"/")
    parts = path.split(b"/")
    reserved = [part for part in parts if part.startswith(WHITEOUT_PREFIX)]
    if reserved == [name] == [OPAQUE_NAME]:
        return opaque(above)
    if reserved[0].startswith(_BOOKKEEPING):
        return None
    deleted = name.removeprefix(WHITEOUT_PREFIX)
    if reserved != [name] or deleted in (b"", b".", b".."):
        raise TreeError(
            f"{brief(path)} cannot be in a layer: a name that starts with .wh. means a deletion, "
            "and this one deletes nothing",
            "rename or remove it",
        )
    for part in parts:
        check_length(part, path)
    return whiteout(join(above, deleted))
