"""The bytes of several files of an image, in any order, with one pass over each layer."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing

from imgpack.files.scratch import ScratchBlob, ScratchFile
from imgpack.image.files.files import FileContent, ImageFiles
from imgpack.tree.tables.applied import LayerRow

_Place = tuple[int, int]


def read_together(
    files: ImageFiles, wanted: Sequence[LayerRow], scratch: Callable[[], str]
) -> Iterator[Iterator[bytes]]:
    """The bytes of each of ``wanted``, regular files, in that order; each is read before the next.

    What a layer has in front of what is due waits in a file without a name, in the directory that
    ``scratch`` finds. Raises as ``ImageFiles.contents``.
    """
    if len(wanted) == 1:
        yield files.read_row(wanted[0].held, wanted[0].row)
        return
    with ExitStack() as streams:
        passes = _Passes(files, wanted, scratch, streams)
        for one in wanted:
            yield passes.read(one.held, one.row.place)


class _Passes:
    """What was begun to be read of each layer, and what came before its turn."""

    def __init__(
        self,
        files: ImageFiles,
        wanted: Sequence[LayerRow],
        scratch: Callable[[], str],
        streams: ExitStack,
    ) -> None:
        self._files = files
        self._scratch = scratch
        self._open = streams
        self._wanted = Counter((one.held, one.row.place) for one in wanted)
        self._streams: dict[int, Generator[FileContent, None, None]] = {}
        self._waiting: dict[_Place, ScratchBlob] = {}
        self._file: ScratchFile | None = None

    def read(self, layer: int, place: int) -> Iterator[bytes]:
        """The bytes of the file at ``place`` of a layer."""
        if (layer, place) not in self._waiting:
            for found in self._stream(layer):
                if found.place == place and self._wanted[layer, place] == 1:
                    yield from found.pieces
                    return
                self._keep(layer, found)
                if found.place == place:
                    break
        yield from self._waiting[layer, place].read()

    def _stream(self, layer: int) -> Generator[FileContent, None, None]:
        if layer not in self._streams:
            places = {place for number, place in self._wanted if number == layer}
            stream = self._open.enter_context(closing(self._files.contents(layer, places)))
            self._streams[layer] = stream
        return self._streams[layer]

    def _keep(self, layer: int, found: FileContent) -> None:
        self._file = self._file or ScratchFile(self._scratch())
        start = self._file.size
        for piece in found.pieces:
            self._file.append(piece)
        size = self._file.size - start
        self._waiting[layer, found.place] = ScratchBlob(self._file, start, size)
