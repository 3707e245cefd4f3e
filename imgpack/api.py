"""The public Python API: build, open, create, copy.

``import imgpack`` gives these names and loads what they need when they are called.
Nothing here reads the environment: credentials, proxies, caches and clocks are given.
Errors are those of ``imgpack.errors``; progress goes to a ``Reporter``.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from imgpack.compression.codec import Codec
from imgpack.errors import UnsupportedError
from imgpack.events import SILENT, Reporter
from imgpack.image.build import build_image
from imgpack.image.documents import Recipe
from imgpack.image.image import Image, ImageSink, LayerSink, Named, Published
from imgpack.image.location import is_path, parse_reference
from imgpack.image.opened import Opened
from imgpack.layer.build import Explain, Options
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.config import Runtime
from imgpack.spec.format import Format
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference, parse_name
from imgpack.store.archive.write import open_writer
from imgpack.store.open import open_images
from imgpack.tree.destination import Placed, place
from imgpack.tree.directory import Directory
from imgpack.tree.directory import directory as read_directory
from imgpack.tree.elf import guess_platform
from imgpack.tree.entries import Entries
from imgpack.tree.entry import Entry
from imgpack.tree.transform import Transform
from imgpack.tree.tree import Tree

if TYPE_CHECKING:
    from imgpack.registry.push.push import PushOptions
    from imgpack.registry.registries import Registries

Names = Sequence[str | Reference] | None
"""What an image is to be called instead."""


@contextmanager
def open(
    location: str,
    *,
    registries: "Registries | None" = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Iterator[Opened]:
    """The images of an archive, an OCI layout or a reference, to be read inside the ``with``.

    A location that exists, ends in ``.tar`` or ``/``, or starts with ``/``, ``./`` or
    ``../`` is a path; any other is a reference, which is asked for through
    ``registries`` (without: anonymously). ``scratch`` finds a directory for the layers of
    a schema1 image. Raises ``ArchiveError``, ``NotFoundError``, ``DocumentError``,
    ``DigestError``, ``LimitError``, and what registries and their connections raise.
    """
    if is_path(location):
        with open_images(location) as opened:
            yield opened
        return
    from imgpack.registry.pull.image import open_remote

    reference = parse_reference(location)
    with _connected(registries) as connected:
        yield open_remote(connected, reference, scratch=scratch)


@contextmanager
def create(
    location: str,
    *,
    stdout: BinaryIO | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
) -> Iterator[LayerSink]:
    """An archive, an OCI layout or a stream, to be written by ``build`` or ``copy``.

    A path that ends in ``/``, or is a directory, is a layout; ``-`` streams to ``stdout``;
    any other is an archive. Nothing appears under its final name before all of it is
    there. Raises ``OutputError``.
    """
    with open_writer(location, stdout=stdout, scratch=scratch, reporter=reporter) as writer:
        yield writer


def copy(
    images: Iterable[Named], sink: ImageSink, names: Names = None, *, jobs: int = 4
) -> tuple[Published, ...]:
    """Write ``images`` to ``sink``, ``jobs`` blobs at once, every byte verified.

    ``names`` replaces the names of the one image there is. Raises what source and sink raise.
    """
    return sink.write(_renamed(images, names), jobs=jobs)


def push(
    images: Iterable[Named],
    names: Names = None,
    *,
    registries: "Registries | None" = None,
    options: "PushOptions | None" = None,
    jobs: int = 4,
) -> tuple[Published, ...]:
    """Push ``images`` to their names, or the one image there is to ``names``.

    Through ``registries`` (without: anonymously). No tag is written before all that it
    stands for is there. Raises what source, registries and connections raise.
    """
    from imgpack.registry.push.push import RegistrySink

    with _connected(registries) as connected:
        return copy(images, RegistrySink(connected, options), names, jobs=jobs)


@contextmanager
def _connected(registries: "Registries | None") -> Iterator["Registries"]:
    if registries is not None:
        yield registries
        return
    from imgpack.registry.registries import Registries

    with Registries() as anonymous:
        yield anonymous


def _renamed(images: Iterable[Named], names: Names) -> tuple[Named, ...]:
    found = tuple(images)
    if names is None:
        return found
    if len(found) != 1:
        raise UnsupportedError(
            f"names are for one image, and there are {len(found)}", "give each its own in Named"
        )
    return (Named(found[0].image, tuple(map(_reference, names))),)


def _reference(name: str | Reference) -> Reference:
    return parse_name(name) if isinstance(name, str) else name


def directory(
    path: str | bytes,
    *,
    dest: str | bytes = "/",
    below: Sequence[Tree] = (),
    caller: tuple[int, int] | None = None,
) -> Placed[Directory]:
    """The tree of a directory on disk, at ``dest`` of the image above the trees ``below``.

    What belongs to the ids ``caller`` is read as root's. Raises ``SourceError``, ``TreeError``.
    """
    return place(read_directory(os.fsencode(path), caller), os.fsencode(dest), below)


def entries(
    items: Iterable[Entry], *, dest: str | bytes = "/", below: Sequence[Tree] = ()
) -> Placed[Entries]:
    """The tree of entries in memory (``imgpack.tree.entries`` makes them), as ``directory``.

    Missing parents are made up. Raises ``TreeError``.
    """
    return place(Entries(items), os.fsencode(dest), below)


def build(
    layers: Sequence[Placed[Tree]],
    *,
    into: LayerSink,
    names: Sequence[str | Reference] = (),
    config: Runtime | None = None,
    platform: Platform | None = None,
    format: Format = Format.DOCKER,
    compression: str = "gzip",
    transforms: Sequence[Transform] = (),
    created: str | None = None,
    author: str = "",
    comment: str = "",
    cache: SegmentCache | None = None,
    check_contents: bool = False,
    jobs: int = 1,
    clock: Callable[[], int] = time.time_ns,
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
) -> Image:
    """An image of ``layers``, bottom first, written ``into`` a sink under ``names``.

    ``platform``: what the programs in the layers are for, else linux/amd64, if it is not
    given. ``compression`` is ``gzip[:1-12]``, ``zstd[:1-19]`` or ``none``; ``created`` is
    RFC 3339 in UTC (``None``: the newest time in the layers). The bytes depend on none of
    ``cache``, ``jobs`` and ``clock`` (nanoseconds since 1970, to tell what changed too
    recently). Raises ``ConfigError``, ``UnsupportedError``, source, tree and output errors.
    """
    runtime = config or Runtime()
    if platform is None:
        programs = [words[0] for words in (runtime.entrypoint, runtime.cmd) if words]
        platform = guess_platform(layers, programs) or Platform()
    options = Options(
        tuple(transforms), Codec.parse(compression), jobs, cache, clock(), check_contents
    )
    return build_image(
        layers,
        into,
        Recipe(platform, runtime, author, comment, format),
        tuple(map(_reference, names)),
        options,
        created=created,
        reporter=reporter,
        explain=explain,
    )
