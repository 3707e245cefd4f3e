"""What an entry on disk means: ids of a user namespace, and what rootless tools recorded.

Sources: user_namespaces(7); umoci's and buildah's ``container:host:size``; for ids within
attributes, ``linux/posix_acl_xattr.h`` and ``linux/capability.h``. Invariants: an id that no
range has is refused, or kept where it was asked for: nothing is guessed. A record is more
than the id on disk, for whoever wrote it could not write that; its ids are those of the image
already, and so are those of entries that are not on disk.
"""

import itertools
import re
import struct
from dataclasses import dataclass, replace
from typing import Final

from imgpack.errors import ConfigError, TreeError, printable, quoted
from imgpack.tree import xattrs
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.transform import MAX_OWNER
from imgpack.tree.xattrs import Attributes

_RANGE: Final = re.compile(r"(?:(uid|gid):)?(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?")
_ACL: Final = frozenset({b"system.posix_acl_access", b"system.posix_acl_default"})
_ACL_VERSION: Final = 2
_ACL_ENTRY: Final = struct.Struct("<HHI")
_ACL_USER: Final = 0x02
_ACL_GROUP: Final = 0x08
_MOST: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class IdRange:
    """``size`` ids from ``host`` on, which are those from ``container`` on in the image."""

    container: int
    host: int
    size: int

    def __post_init__(self) -> None:
        if not self.size or max(self.container, self.host) + self.size > _MOST:
            raise ConfigError(
                f"{self.container}:{self.host}:{self.size} is not a range of ids",
                f"it has at least one, and none above {MAX_OWNER}",
            )


@dataclass(frozen=True, slots=True)
class IdMap:
    """The ids of users and of groups; with ``keep``, those that no range has stay as they are."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    keep: bool = False

    @classmethod
    def parse(cls, texts: tuple[str, ...], *, keep: bool = False) -> "IdMap":
        """``[uid:|gid:]CONTAINER:HOST[:SIZE]`` each, the size 1 by default.

        Raises ``ConfigError``.
        """
        found: dict[str, list[IdRange]] = {"uid": [], "gid": []}
        for text in texts:
            match = _RANGE.fullmatch(text) if text.isascii() else None
            if match is None:
                raise ConfigError(
                    f"{quoted(text)} does not map ids",
                    "write CONTAINER:HOST:SIZE, or CONTAINER:HOST for one id",
                )
            container, host, size = int(match[2]), int(match[3]), int(match[4] or 1)
            one = IdRange(container, host, size)
            for kind in (match[1],) if match[1] else ("uid", "gid"):
                found[kind].append(one)
        for kind, ranges in found.items():
            _check_disjoint(kind, ranges)
        return cls(tuple(found["uid"]), tuple(found["gid"]), keep)

    def uid(self, host: int, shown: bytes) -> int:
        """The uid that ``host`` is in the image. Raises ``TreeError`` naming ``shown``."""
        return self._mapped(host, self.uids, "uid", shown)

    def gid(self, host: int, shown: bytes) -> int:
        """The gid that ``host`` is in the image. Raises ``TreeError`` naming ``shown``."""
        return self._mapped(host, self.gids, "gid", shown)

    def _mapped(self, host: int, ranges: tuple[IdRange, ...], kind: str, shown: bytes) -> int:
        for one in ranges:
            if one.host <= host < one.host + one.size:
                return one.container + host - one.host
        if self.keep:
            return host
        raise TreeError(
            f"{printable(shown)} has the {kind} {host}, which no range maps",
            "map it as well, or give the file another owner on disk",
        )

    def attributes(self, found: Attributes, shown: bytes) -> Attributes:
        """``found`` with the ids in access lists mapped.

        Raises ``TreeError``, also for capabilities of a root that is not the image's.
        """
        if found.root is not None and self.uid(found.root, shown):
            raise TreeError(
                f"{printable(shown)} has capabilities of the root {found.root}, "
                "which is not the root of the image",
                "map that id to 0, or set the capabilities anew",
            )
        if not any(name in _ACL for name, _ in found.xattrs):
            return found
        return replace(
            found,
            xattrs=tuple(
                (name, self._list(name, value, shown) if name in _ACL else value)
                for name, value in found.xattrs
            ),
        )

    def _list(self, name: bytes, value: bytes, shown: bytes) -> bytes:
        """An access list with its named users and groups mapped."""
        if value[:4] != struct.pack("<I", _ACL_VERSION) or len(value[4:]) % _ACL_ENTRY.size:
            raise TreeError(
                f"{printable(shown)} has a malformed {name.decode()} attribute",
                f"remove it: setfattr -x {name.decode()} PATH",
            )
        mapped = bytearray(value[:4])
        for tag, permissions, number in _ACL_ENTRY.iter_unpack(value[4:]):
            if tag == _ACL_USER:
                number = self.uid(number, shown)
            elif tag == _ACL_GROUP:
                number = self.gid(number, shown)
            mapped += _ACL_ENTRY.pack(tag, permissions, number)
        return bytes(mapped)


def _check_disjoint(kind: str, ranges: list[IdRange]) -> None:
    """Refuse overlaps, as the kernel does: which range was meant, nobody can say."""
    ordered = sorted(ranges, key=lambda one: one.host)
    for one, other in itertools.pairwise(ordered):
        if one.host + one.size > other.host:
            raise ConfigError(
                f"two ranges map the {kind} {other.host} of the host", "leave one out"
            )


@dataclass(frozen=True, slots=True)
class Reading:
    """How entries are read: which ids those on disk stand for, and whether records count.

    What records them is never written, counted or not. ``repr`` differs whenever other
    entries may come out.
    """

    ids: IdMap | None = None
    records: bool = True

    def __call__(self, seen: Entry, problems: Problems) -> Entry | None:
        """What ``seen`` means; ``None`` if it cannot be read, which is remembered.

        Raises ``SourceChangedError``, and ``TreeError`` for a malformed record, a kind that it
        cannot stand for, and an id that is not mapped.
        """
        found = xattrs.attributes(seen, problems)
        if found is None:
            return None
        if not self.records:
            found = replace(found, uid=None, gid=None, mode=None, kind=None)
        entry = seen
        if self.ids is not None and seen.content and isinstance(seen.content, bytes):
            entry = self._mapped(self.ids, seen, found)
        return entry if found is xattrs.NONE else found.recorded(entry)

    @staticmethod
    def _mapped(ids: IdMap, seen: Entry, found: xattrs.Attributes) -> Entry:
        """``seen`` with the ids of the image, but where there is a record instead."""
        uid = seen.uid if found.uid is not None else ids.uid(seen.uid, seen.shown)
        gid = seen.gid if found.gid is not None else ids.gid(seen.gid, seen.shown)
        mapped = ids.attributes(found, seen.shown)
        said = dict(seen.xattrs) | dict(set(mapped.xattrs) - set(found.xattrs))
        return seen._replace(uid=uid, gid=gid, xattrs=tuple(said.items()))


AS_RECORDED = Reading()
"""Ids as they are on disk, or else as they are recorded."""
