"""One of two images that are compared, and how what is in it is found."""

from collections.abc import Callable, Sequence
from functools import cached_property

from imgpack.errors import NoSuchPathError, brief
from imgpack.image.compare.scope import ComparisonScope, Section
from imgpack.image.files.files import ImageFiles
from imgpack.image.files.paths import find_path
from imgpack.image.image import Artifact, Image


class ComparedSide:
    """One of two images: ``image``, and how its files are opened.

    ``layered``: its layers are at hand one by one, as those of a lock are not.
    """

    def __init__(
        self, image: Image | Artifact, opening: Callable[[], ImageFiles], *, layered: bool = True
    ) -> None:
        self.image = image
        self.layered = layered
        self._opening = opening

    @cached_property
    def files(self) -> ImageFiles:
        """What is in it. Raises as ``open_files``."""
        return self._opening()

    @property
    def by_layer(self) -> ImageFiles | None:
        """The same, if the layers are told apart."""
        return self.files if self.layered and isinstance(self.image, Image) else None


def check_paths(sides: Sequence[ComparedSide], scope: ComparisonScope) -> None:
    """Raise ``NoSuchPathError`` for a path of ``scope`` that no layer of any side says.

    Nothing would differ there, and a slip of the fingers would pass for two equal images.
    """
    files = [side.files for side in sides if isinstance(side.image, Image)]
    if not files or not scope.sections & {Section.FILES, Section.LAYERS}:
        return
    for path in scope.paths:
        if not path or any(table.has(path) for one in files for table in one.tables):
            continue
        raise NoSuchPathError(f"/{brief(path)} is in neither image", _meant(files[0], path))


def _meant(files: ImageFiles, path: bytes) -> str:
    """What may be meant by a path that is not there as it is."""
    try:
        found = find_path(files, path)
    except NoSuchPathError as error:
        return str(error.hint)
    return f"links lead to /{brief(found.row.path)}"
