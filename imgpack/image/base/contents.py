"""The files of an image, with their bytes: its layers unpacked into a file without a name."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from imgpack.events import SILENT, Reporter
from imgpack.files.scratch import ScratchFile
from imgpack.image.base.layer import BaseLayer
from imgpack.image.image import Image
from imgpack.tree.merge.merged import Merged


@contextmanager
def image_files(
    image: Image,
    where: str,
    scratch: Callable[[], str],
    *,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Iterator[Merged]:
    """The tree of ``image``, which lies ``where``; files can be opened inside the ``with``.

    ``scratch`` finds a directory with room for all layers, uncompressed. Raises what
    ``base_tree`` raises, and ``OutputError``.
    """
    with closing(ScratchFile(scratch())) as file:
        layers = [BaseLayer(image, layer, where, jobs, reporter) for layer in image.layers]
        for layer in layers:
            layer.check_held()
        # Each is asked for when the one before is in the file, and lies behind it.
        yield Merged((layer.stored(file) for layer in layers), where)
