"""Images into an engine: what it lacks is sent, then it is asked what it has of them.

Invariants: nothing that an engine says to have is sent, unless without it the load fails, as
when an image is deleted meanwhile: then all is sent; what is said to be loaded the engine
has named, by its own account, with the expected identifier.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from imgpack.errors import EngineError, NotFoundError, Remedy
from imgpack.events import SILENT, Reporter
from imgpack.image.image import AnyImage, Image, ImageIndex, Named, images_in
from imgpack.image.plan import one_for_each
from imgpack.spec.digest import Digest
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference

LABEL: Final = "imgpack-load"
"""What directories are called that an engine reads from."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that an engine has now: a name (if any), and what the engine knows it by."""

    name: Reference | None
    id: Digest
    engine: str


class Engine(Protocol):
    """An engine that was found."""

    kind: str
    """``docker``, ``podman``, ``containerd`` or ``kind``."""

    platform: Platform | None
    """The one platform of an index that it takes; ``None`` if it takes all there is."""

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """What ``send`` may leave out, as it knows blobs."""

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """Bring ``images`` under all their names. Raises ``EngineError``, and what reading does."""

    def identify(self, named: Named) -> Digest:
        """By what it knows an image that is there whole, under all its names.

        Raises ``EngineError`` if it is not.
        """


def load_images(
    engine: Engine, images: Sequence[Named], reporter: Reporter = SILENT
) -> tuple[Loaded, ...]:
    """Load ``images``; those of an index for the engine's platform, if it takes but one.

    Raises ``EngineError``, ``NotFoundError`` for a platform that an index has not, and what
    reading raises.
    """
    images = one_for_each([_for_engine(one, engine.platform) for one in images])
    held = engine.held(images)
    reporter.detail(f"{engine.kind} has {len(held)} of what {len(images)} images consist of")
    try:
        return _loaded(engine, images, held)
    except EngineError as error:
        if not held:
            raise
        reporter.warn(f"{error.message}; all is sent now, also what {engine.kind} said to have")
    return _loaded(engine, images, frozenset())


def _loaded(engine: Engine, images: Sequence[Named], held: frozenset[Digest]) -> tuple[Loaded, ...]:
    engine.send(images, held)
    return tuple(
        Loaded(name, found, engine.kind)
        for found, named in [(engine.identify(named), named) for named in images]
        for name in named.tags or (None,)
    )


def _for_engine(named: Named, platform: Platform | None) -> Named:
    image = named.image
    if platform is None or not isinstance(image, ImageIndex):
        return named
    there = list(images_in(image))
    found = next((one for one in there if platform.matches(one.config.platform)), None)
    if found is None:
        names = ", ".join(str(one.config.platform) for one in there)
        raise NotFoundError(
            f"the index {image.index.descriptor.digest} has no image for {platform}; it has "
            f"{names or 'none at all'}",
            Remedy.CHOOSE_PLATFORM(),
        )
    return replace(named, image=found, fields=())


def whole_images(images: Sequence[Named], kind: str) -> Iterator[tuple[Named, Image]]:
    """Those of ``images`` that are one platform's. Raises ``EngineError`` for any other."""
    for named in images:
        if not isinstance(named.image, Image):
            raise EngineError(
                f"{_told(named.image)} is no image, and {kind} loads nothing else",
                "choose an image",
            )
        yield named, named.image


def _told(image: AnyImage) -> str:
    return str(image.document.descriptor.digest)
