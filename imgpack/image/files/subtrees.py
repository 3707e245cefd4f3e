"""What of an image's files is meant: all of it, or what lies at some paths.

Invariant: links on the way are followed as the image has them, never as the host does; at the end
only if the path ends in a slash.
"""

from collections.abc import Iterable, Iterator

from imgpack.image.files.files import ImageFiles
from imgpack.image.files.paths import find_path
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tables.applied import FileBytes, LayerRow, RowContent
from imgpack.tree.tree import Stamps, join


class ShownTree:
    """What an image shows of what is ``chosen``, as a tree: its bytes are those of ``source``.

    Hard links are known by what their layer says of them, without a look at all the others.
    """

    def __init__(self, files: ImageFiles, source: FileBytes, chosen: "Subtrees") -> None:
        self._files = files
        self._source = source
        self._chosen = chosen

    def __str__(self) -> str:
        return str(self._files)

    @property
    def stamps(self) -> Stamps | None:
        """None: it is no tree on disk."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        root = self.find(b"") if under else None
        if root is not None:
            yield root._replace(path=under)
        for one in self._files.shown():
            if one.row.path and one.row.path in self._chosen:
                entry = self._entry(one)
                yield entry._replace(path=join(under, entry.path)) if under else entry

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        found = self._files.at(path)
        return None if found is None else self._entry(found)

    def _entry(self, found: LayerRow) -> Entry:
        row, layer = found.row, found.held
        return Entry(
            row.path, RowContent(row, layer, self._source), row.mode, row.inode,
            layer + 1 if row.inode else 0, row.links if row.inode else 1, row.uid, row.gid,
            row.size, row.mtime_ns, 0, row.rdev,
        )  # fmt: skip


class Subtrees:
    """What lies at ``paths`` of the image with these ``files``, and the directories above.

    Without any it is all. Raises ``NoSuchPathError`` for a path that the image does not have.
    """

    def __init__(self, files: ImageFiles, paths: Iterable[bytes]) -> None:
        self._chosen = {_resolved(files, path) for path in paths}
        self._above = {above for path in self._chosen for above in _parents(path)}
        self.all = not self._chosen or b"" in self._chosen
        """Whether it is the whole image."""
        self._inside: bytes | None = None

    def __contains__(self, path: bytes) -> bool:
        """Whether ``path`` is meant; asked for in the order of a tree it costs least."""
        if self.all or path in self._above:
            return True
        if self._inside is not None and path.startswith(self._inside):
            return True
        if path in self._chosen:
            self._inside = path + b"/"
            return True
        return any(above in self._chosen for above in _parents(path))


def _parents(path: bytes) -> Iterator[bytes]:
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _resolved(files: ImageFiles, path: bytes) -> bytes:
    return find_path(files, path, follow=path.endswith((b"/", b"/.", b".."))).row.path
