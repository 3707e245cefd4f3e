"""The files of an image as one tar: what shows in the end, encoded as a layer is.

The bytes of files are put into a file without a name first, each layer read once, for a tar has
them in the order of paths. Invariant: the same image gives the same bytes anywhere
(``docs/layer-format.md``); the encoder has no entry for the root.
"""

import io
import stat
from array import array
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import BinaryIO, Final

from imgpack.compression.codec import Codec
from imgpack.events import SILENT, Reporter
from imgpack.files.incoming import file_of
from imgpack.files.scratch import ScratchFile
from imgpack.image.base.flatten import warn_of_root
from imgpack.image.files.files import ImageFiles
from imgpack.image.files.subtrees import ShownTree, Subtrees
from imgpack.layer.build import LayerBuilder, Options
from imgpack.layer.cache.record import Written
from imgpack.spec.digest import Digest
from imgpack.tree.tables.rows import TableRow
from imgpack.tree.unpack.waiting import MemberPlaces

_SMALL: Final = 1 << 20
"""Bytes of a file that is read at once."""


def export_files(
    files: ImageFiles,
    write: Callable[[bytes], object],
    paths: Iterable[bytes],
    scratch: Callable[[], str],
    *,
    codec: Codec,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Written:
    """Give ``write`` the tar of what lies at ``paths`` (all, if there are none), in pieces.

    What it returns has the digests and sizes. ``scratch`` finds a directory with room for the
    bytes of all those files. Raises ``NoSuchPathError``, what reading a layer raises,
    ``TreeError`` and ``LimitError`` for what no layer can hold, ``OutputError``.
    """
    chosen = Subtrees(files, paths)
    with closing(_StoredFiles(files, chosen, scratch)) as stored:
        tree = ShownTree(files, stored, chosen)
        if chosen.all:
            warn_of_root(tree.find(b""), str(files), reporter)
        options = Options((), codec, jobs, None, started_ns=0)
        built = LayerBuilder(options, reporter).build(tree, lambda size: _Unnamed(write))
    return built.record.written


class _StoredFiles:
    """The bytes of all ``chosen`` files of an image, in a file without a name; a ``FileBytes``."""

    def __init__(self, files: ImageFiles, chosen: Subtrees, scratch: Callable[[], str]) -> None:
        self._file = ScratchFile(scratch())
        self._starts: dict[int, array[int]] = {}
        try:
            for layer, places in _shown_places(files, chosen).items():
                starts = self._starts[layer] = array("Q", bytes(8 * (max(places) + 1)))
                with closing(files.contents(layer, MemberPlaces(places))) as contents:
                    for content in contents:
                        starts[content.place] = self._file.size
                        for piece in content.pieces:
                            self._file.append(piece)
        except BaseException:
            self.close()
            raise

    def open_row(self, layer: int, row: TableRow) -> BinaryIO:
        """As ``FileBytes.open_row``."""
        if not row.size:
            return io.BytesIO()
        start = self._starts[layer][row.place]
        pieces = self._file.read(start, start + row.size)
        return io.BytesIO(b"".join(pieces)) if row.size <= _SMALL else file_of(pieces)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


def _shown_places(files: ImageFiles, chosen: Subtrees) -> dict[int, "array[int]"]:
    """The ``chosen`` members with bytes that the image shows, by the layer that has them."""
    found: dict[int, array[int]] = {}
    for one in files.shown():
        if stat.S_ISREG(one.row.mode) and one.row.size and one.row.path in chosen:
            found.setdefault(one.held, array("I")).append(one.row.place)
    return dict(sorted(found.items()))


class _Unnamed:
    """A ``BlobWriter`` of bytes that somebody else keeps."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, data: bytes | memoryview) -> None:
        """Hand on ``data``, whose memory is used again."""
        self._write(bytes(data))

    def commit(self, digest: Digest, size: int) -> None:
        """Nothing: whoever wrote it gives it a name."""

    def abort(self) -> None:
        """Nothing: whoever wrote it throws it away."""
