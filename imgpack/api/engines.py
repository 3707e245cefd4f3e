"""Images into a container engine of this machine: docker, podman, containerd or kind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgpack.api.locations import renamed
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.api.locations import Names
    from imgpack.engine.loading import Engine, Loaded
    from imgpack.image.image import Named, ReadableSink


def find_engine(
    kind: str | None = None,
    *,
    environment: Mapping[str, str],
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
) -> Engine:
    """The engine ``kind`` (``docker``, ``podman``, ``containerd``, ``kind``), or the one there is.

    Of several the first of docker, podman and containerd that answers is taken; those that
    ``DOCKER_HOST``, ``DOCKER_CONTEXT``, ``CONTAINER_HOST``, ``CONTAINER_CONNECTION`` or
    ``CONTAINERD_ADDRESS`` speak of go first, and nothing else is tried then. An engine is
    spoken to through its command, which ``PATH`` of the ``environment`` says where to find; it
    is run without a shell, with that environment and nothing else. ``scratch`` finds a
    directory for what an engine cannot be fed. Raises ``EngineError``, ``ConfigError``.
    """
    from imgpack.engine.find import find_engine as find

    return find(kind, environment=environment, scratch=scratch, reporter=reporter)


def load(
    images: Iterable[Named], engine: Engine, names: Names = None, *, reporter: Reporter = SILENT
) -> tuple[Loaded, ...]:
    """Load ``images`` into ``engine``, or the one image there is under ``names``.

    Each byte is verified on the way, and nothing is sent that the engine says to have. Engines
    that unpack layers (docker with its classic store, podman) get tar streams (OCI image-spec
    ``layer.md``), and of an index the image for their platform; others get the blobs as they
    are. In the end the engine is asked whether it has the image whole: ``Loaded.id`` is what
    it knows it by, the digest of the configuration, or of the manifest or index in a store of
    containerd. Raises ``EngineError``, and what the images' source raises.
    """
    from imgpack.engine.loading import load_images

    return load_images(engine, renamed(images, names), reporter)


@contextmanager
def loading(
    engine: Engine,
    also: ReadableSink | None = None,
    *,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
    on_loaded: Callable[[Loaded], object] = lambda loaded: None,
) -> Iterator[ReadableSink]:
    """A sink for ``build`` that loads what is built into ``engine``.

    The image goes into ``also`` first, which ``create`` gives; without it no archive is made,
    and layers wait in a directory that ``scratch`` finds. Whoever wants no other copy compresses
    nothing. ``on_loaded`` is told of each name. Raises what ``load`` does.
    """
    from imgpack.engine.sink import LoadingSink

    with LoadingSink(engine, also, scratch, reporter=reporter, on_loaded=on_loaded) as sink:
        yield sink
