"""The files of images, out of them: on disk, or as one tar."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.compression.codec import Codec
    from imgpack.image.files.extract import Extracted
    from imgpack.image.files.files import ImageFiles
    from imgpack.layer.cache.record import Written


def extract(
    files: ImageFiles,
    directory: str,
    paths: Iterable[str | bytes] = (),
    *,
    rootless: bool = False,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
) -> Extracted:
    """Write what an image shows (OCI image-spec ``layer.md``) to ``directory``, new or empty.

    ``files`` are those of ``open_files``. With ``paths`` only what lies there, links on the way
    followed as the image has them, with the directories above. Nothing outside of ``directory``
    is written, whatever the layers say, and nothing is left if it fails. Owners, devices and
    some attributes only root can set: others are warned of what is not; with ``rootless``
    owners, set-id bits and devices are recorded, as umoci and containers/storage do, in
    attributes that a build reads. ``scratch`` finds a directory for a list of what is to come.
    Raises ``OutputError``, ``NotFoundError``, ``LimitError``, ``ArchiveError``, ``DigestError``.
    """
    from os import fsencode

    from imgpack.image.files.extract import extract_files

    chosen = [fsencode(path) for path in paths]
    return extract_files(files, directory, chosen, scratch, rootless=rootless, reporter=reporter)


def export(
    files: ImageFiles,
    write: Callable[[bytes], object],
    paths: Iterable[str | bytes] = (),
    *,
    compression: str | Codec = "none",
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Written:
    """Give ``write`` one tar of what an image shows, in pieces; its digests and sizes in bytes.

    ``files`` are those of ``open_files``, ``paths`` as for ``extract``. The tar is what a layer of
    the same tree would be (``docs/layer-format.md``): the same bytes anywhere, and no entry for
    the root directory. ``scratch`` finds a directory with room for the bytes of all files. Raises
    ``NotFoundError``, ``TreeError``, ``LimitError``, ``ArchiveError``, ``DigestError``,
    ``OutputError``.
    """
    from os import fsencode

    from imgpack.compression.codec import Codec
    from imgpack.image.files.export import export_files

    codec = Codec.parse(compression) if isinstance(compression, str) else compression
    chosen = [fsencode(path) for path in paths]
    return export_files(files, write, chosen, scratch, codec=codec, jobs=jobs, reporter=reporter)
