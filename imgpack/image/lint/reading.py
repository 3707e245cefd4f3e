"""The bytes of a few files of an image: of all in one layer in one pass over it."""

from collections.abc import Iterable, Iterator
from typing import Final

from imgpack.files.scratch import ScratchFile
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.dynamic import ReadAt
from imgpack.tree.entry import Entry
from imgpack.tree.tables.applied import RowContent

MAX_PROGRAM: Final = 1 << 30
"""Bytes of a program or library that is looked into."""
_PIECE: Final = 1 << 20
_END: Final = 1 << 62
"""More than the size of any file."""


def read_each(
    files: ImageFiles, entries: Iterable[Entry], directory: str
) -> Iterator[tuple[Entry, ReadAt]]:
    """Regular files of ``files`` and what reads them, until the next is asked for.

    A copy of each lies in ``directory`` so long, for it may be read anywhere. They come in no
    order. Raises as ``ImageFiles.contents``, and ``OutputError``.
    """
    layers: dict[int, dict[int, list[Entry]]] = {}
    for entry in entries:
        content = entry.content
        assert isinstance(content, RowContent)
        places = layers.setdefault(content.layer, {})
        places.setdefault(content.row.place, []).append(entry)
    for layer, places in layers.items():
        for found in files.contents(layer, places):
            file = ScratchFile(directory)
            for piece in found.pieces:
                file.append(piece)
            for entry in places[found.place]:
                yield entry, _reader(file)
            file.close()


def _reader(file: ScratchFile) -> ReadAt:
    def read_at(offset: int, size: int) -> bytes:
        return b"".join(file.read(offset, offset + size)) if offset + size < _END else b""

    return read_at
