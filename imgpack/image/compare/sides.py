"""One of two images that are compared, and how what is in it is found."""

from collections.abc import Callable
from functools import cached_property

from imgpack.image.files.files import ImageFiles
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
