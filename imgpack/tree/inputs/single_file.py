"""One file on disk as a tree."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imgpack.errors import OutputError, SourceError, printable
from imgpack.tree.below import Below
from imgpack.tree.destination import Placed
from imgpack.tree.disk.directory import entry_of
from imgpack.tree.entry import Entry, made_up_directory
from imgpack.tree.problems import Problems, changed
from imgpack.tree.rules.filtered import Filtered
from imgpack.tree.tree import Stamps, Tree, check_length, check_name, join


@dataclass(frozen=True, slots=True)
class SingleFile:
    """The tree of the file ``root``, an absolute path, which is called ``name`` in it.

    ``source`` is what it was given as. The ids ``caller`` are read as 0:0, as those of a
    directory are. With ``as_copied`` it goes into a directory that is at its path.
    """

    root: bytes
    name: bytes
    source: bytes
    caller: tuple[int, int] | None = None
    as_copied: bool = False

    def __str__(self) -> str:
        return printable(self.source)

    @property
    def stamps(self) -> Stamps | None:
        """None: one file is read each time."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``. Raises ``SourceChangedError``: it was there before."""
        found = self.find(self.name)
        if found is None:
            raise changed(self.root, "vanished")
        if problems and (found.device, found.inode) in problems.outputs:
            raise OutputError(
                f"{printable(self.root)} is a source of what would be written over it",
                "choose another output",
            )
        if under:
            yield made_up_directory(under, found.mtime_ns)
        yield found._replace(path=join(under, self.name))

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``; the directory that the file is in is made up, with its time."""
        try:
            found = os.lstat(self.root)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        if not path:
            return made_up_directory(b"", found.st_mtime_ns)
        # Its other names lie elsewhere, and are none of the image's.
        entry = entry_of(path, self.root, found, self.caller)._replace(links=1)
        return entry if path == self.name else None


def as_copied(placed: Placed[Tree], below: Below) -> Placed[Tree]:
    """A single file where ``cp`` puts it: a directory of lower layers at its path gets it.

    Any other tree is left as it is. Raises ``TreeError`` for links that lead nowhere.
    """
    outer = placed.tree
    file: Tree = outer.tree if isinstance(outer, Filtered) else outer
    if not isinstance(file, SingleFile) or not file.as_copied:
        return placed
    path = join(placed.dest, file.name)
    found = below.find(below.resolve(path, b"/" + path, file=True))
    if found is None or not found.is_directory:
        return placed
    tree: Tree = replace(file, name=os.path.basename(file.source), as_copied=False)
    if isinstance(outer, Filtered):
        tree = replace(outer, tree=tree)
    return replace(placed, tree=tree, dest=path)


def single_file(
    path: bytes,
    name: bytes,
    caller: tuple[int, int] | None = None,
    *,
    as_copied: bool = False,
) -> SingleFile:
    """The tree of the file at ``path``, of which symbolic links are followed.

    Raises ``SourceError`` unless it is a regular file, ``TreeError`` and ``LimitError`` for a
    ``name`` that no layer can have.
    """
    shown = printable(path)
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: it has a NUL
        raise SourceError(
            f"{shown} does not exist", "name a directory, a file or a tar archive"
        ) from None
    except OSError as error:
        raise SourceError(f"cannot read {shown}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(
            f"{shown} is not a regular file", "what a layer is made of is a directory or a file"
        )
    check_name(name, name)
    check_length(name, name)
    return SingleFile(os.path.realpath(path), name, path, caller, as_copied)
