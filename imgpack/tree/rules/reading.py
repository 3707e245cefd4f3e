"""What an entry on disk means: ids of a user namespace, and what rootless tools recorded.

Invariant: a record is more than the id on disk, for whoever wrote it could not write that.
Its ids are those of the image already, and so are those of entries that are not on disk.
"""

from dataclasses import dataclass, replace

from imgpack.tree import xattrs
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.rules.idmap import IdMap


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
