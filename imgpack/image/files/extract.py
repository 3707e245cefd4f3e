"""The files of an image written to a directory: what shows in the end, and nothing else.

Three passes: directories, links and devices in the order of paths; the bytes of files, layer by
layer in the archive's order, each layer read once; then what directories are. What is written is
what the tables say, which were verified. Invariant: memory does not depend on how many there are,
but for some bytes each.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from imgpack.errors import ArchiveError, LimitError, OutputError, Remedy, brief, printable
from imgpack.events import SILENT, Reporter
from imgpack.files.reading import read_range
from imgpack.files.writing import output_errors
from imgpack.image.files.files import FileContent, ImageFiles
from imgpack.image.files.subtrees import Subtrees
from imgpack.tree.below import is_below
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.attributes import AttributeSetter, Unset
from imgpack.tree.unpack.place import new_tree
from imgpack.tree.unpack.waiting import RowFile, WaitingRows
from imgpack.tree.unpack.writer import TreeWriter

_MAX_PATH: Final = 4095
"""Bytes of a path that Linux takes: a longer one could be made, and neither used nor removed."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """How many ``entries`` were written, and how many of them are not what the image says.

    ``owners`` were neither set nor recorded, ``devices`` not made; ``attributes`` are the
    entries that lack one.
    """

    entries: int
    owners: int
    devices: int
    attributes: int


def extract_files(
    files: ImageFiles,
    directory: str,
    paths: Iterable[bytes],
    scratch: Callable[[], str],
    *,
    rootless: bool = False,
    reporter: Reporter = SILENT,
) -> Extracted:
    """Write what lies at ``paths`` (all, if there are none) to ``directory``, new or empty.

    ``rootless`` records owners and devices. ``scratch`` finds a directory for what is still to
    come. Raises ``OutputError``, ``NoSuchPathError``, ``LimitError``, ``TreeError``, and what
    reading a layer raises; then nothing is left of it.
    """
    chosen = Subtrees(files, paths)
    setter = AttributeSetter(rootless=rootless)
    with (
        new_tree(directory) as tree,
        closing(TreeWriter(tree.descriptor, setter)) as writer,
        closing(WaitingRows(scratch)) as waiting,
        closing(RowFile(scratch)) as directories,
    ):
        extraction = _Extraction(files, directory, writer, waiting, directories)
        entries = extraction.lay(chosen)
        extraction.fill()
        if not extraction.end():
            os.fchmod(tree.descriptor, tree.mode)
    unset = setter.unset
    _warn(unset, directory, reporter, rootless=rootless)
    return Extracted(entries, unset.owners, unset.devices, unset.attributes)


@dataclass(slots=True)
class _Extraction:
    """One tree on its way to ``where``; ``now`` is the path that is at work."""

    files: ImageFiles
    where: str
    writer: TreeWriter
    waiting: WaitingRows
    directories: RowFile
    now: bytes = b""

    def lay(self, chosen: Subtrees) -> int:
        """Make all that has no bytes; how many entries there are."""
        count = 0
        with self._refusals():
            for one in self.files.shown():
                row = one.row
                if row.path not in chosen:
                    continue
                self.now = row.path
                self._check(row)
                count += 1
                if row.is_directory:
                    self.writer.directory(row.path)
                    self.directories.append(row)
                elif row.inode or (stat.S_ISREG(row.mode) and row.size):
                    self.waiting.add(one.held, row)
                else:
                    self.writer.other(row)
        return count

    def fill(self) -> None:
        """Make all that has bytes, or several names in its layer."""
        for layer in self.waiting.layers():
            places = self.waiting.places(layer)
            with closing(self.files.contents(layer, places)) as contents:
                rows = self.waiting.in_order(layer)
                for _, names in groupby(rows, key=attrgetter("place")):
                    self._make(names, contents)

    def end(self) -> bool:
        """Give directories what they have, those inside first; whether the root was one of them."""
        inside: list[TableRow] = []
        rooted = False
        with self._refusals():
            for row in self.directories:
                while inside and not is_below(row.path, inside[-1].path):
                    self._end(inside.pop())
                inside.append(row)
                rooted = rooted or not row.path
            while inside:
                self._end(inside.pop())
        return rooted

    def _end(self, row: TableRow) -> None:
        self.now = row.path
        self.writer.end_directory(row)

    def _make(self, names: Iterator[TableRow], contents: Iterator[FileContent]) -> None:
        """Make what one member of a layer is, under all its names."""
        first = next(names)
        if not stat.S_ISREG(first.mode):
            with self._refusals():
                self.now = first.path
                if self.writer.other(first):
                    self._link(names, first.path)
            return
        content = next(contents, None)
        if content is None or content.place != first.place:
            raise ArchiveError(f"{self.files} changed while it was read")
        with self._refusals():
            self.now = first.path
            descriptor = self.writer.file(first, content.pieces)
            try:
                self._copy(names, first, descriptor)
            finally:
                os.close(descriptor)

    def _copy(self, names: Iterator[TableRow], first: TableRow, descriptor: int) -> None:
        """Make the other names of a file, and those files that only have the same bytes."""
        linked = first.path if first.inode else None
        for row in names:
            self.now = row.path
            if row.inode and linked is not None:
                self.writer.link(row.path, linked)
                continue
            os.close(self.writer.file(row, read_range(descriptor, 0, row.size)))
            if row.inode:
                linked = row.path

    def _link(self, names: Iterator[TableRow], first: bytes) -> None:
        for row in names:
            self.now = row.path
            self.writer.link(row.path, first)

    def _check(self, row: TableRow) -> None:
        if len(row.path) > _MAX_PATH:
            raise LimitError(
                f"{brief(row.path)} has a path of {len(row.path)} bytes, and Linux takes "
                f"{_MAX_PATH}",
                "extract only other paths",
            )

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Errors of the system are about the path that is at work."""
        try:
            yield
        except ValueError as error:
            raise ArchiveError(
                f"{self.files}: {brief(self.now)} has a NUL in its name or its target"
            ) from error
        except FileExistsError as error:
            raise OutputError(
                f"cannot write {self._shown}: the file system takes it and another name of the "
                "image for one",
                "choose one that tells upper from lower case",
            ) from error
        except OSError as error:
            with output_errors(self._shown):
                raise error

    @property
    def _shown(self) -> str:
        return brief(os.path.join(os.fsencode(self.where), self.now))


def _warn(unset: Unset, where: str, reporter: Reporter, *, rootless: bool) -> None:
    hint = "" if rootless else Remedy.RECORD_OWNERS()
    done = "set or recorded" if rootless else "set, nor set-id bits"
    for count, first, what, advice in (
        (unset.owners, unset.owner, f"have other owners, which could not be {done}", hint),
        (unset.devices, unset.device, "are devices that could not be made", hint),
        (
            unset.attributes,
            unset.attribute,
            "lack an extended attribute, which could not be set",
            "",
        ),
    ):
        if count:
            reporter.warn(
                f"{printable(where)}: entries that {what}: {count:,}, the first is /{brief(first)}",
                advice,
            )
