"""One file on disk as a tree."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from imgpack.errors import OutputError, SourceError, printable
from imgpack.tree.disk.directory import entry_of
from imgpack.tree.entry import Entry, made_up_directory
from imgpack.tree.problems import Problems, changed
from imgpack.tree.tree import Stamps, check_length, check_name, join


@dataclass(frozen=True, slots=True)
class SingleFile:
    """The tree of the file ``root``, an absolute path, which is called ``name`` in it.

    The ids ``caller`` are read as 0:0, as those of a directory are.
    """

    root: bytes
    name: bytes
    caller: tuple[int, int] | None = None

    def __str__(self) -> str:
        return printable(self.name)

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


def single_file(path: bytes, name: bytes, caller: tuple[int, int] | None = None) -> SingleFile:
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
    return SingleFile(os.path.realpath(path), name, caller)
