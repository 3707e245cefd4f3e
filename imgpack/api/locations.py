"""What images are read from and written to: opened, created, copied, pushed, deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, BinaryIO

from imgpack.errors import UnsupportedError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from typing import TypeAlias

    from imgpack.image.image import ImageSink, LayerSink, Named, Published, ReadableSink
    from imgpack.image.opened import Opened
    from imgpack.registry.push.push import PushOptions
    from imgpack.registry.registries import Registries
    from imgpack.spec.digest import Digest
    from imgpack.spec.reference import Reference

    Names: TypeAlias = "Sequence[str | Reference] | None"
    """What an image is to be called instead."""


@contextmanager
def open(
    location: str | Reference,
    *,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Iterator[Opened]:
    """The images of an archive, an OCI layout, a lock or a reference, inside the ``with``.

    Those of a lock have no layers; ``open_base`` finds them. A text that exists, ends in ``.tar``
    or ``/``, or starts with ``/``, ``./`` or ``../`` is a path; any other is a reference, which
    is asked for through ``registries`` (without: anonymously). ``scratch`` finds a directory for
    the layers of a schema1 image, and for an archive that is compressed or comes from a pipe.
    Raises ``ArchiveError``, ``NotFoundError``, ``DocumentError``,
    ``DigestError``, ``LimitError``, and what registries and their connections raise.
    """
    from imgpack.image.location import is_path, parse_reference, perhaps_a_file
    from imgpack.store.open import open_images

    with ExitStack() as stack:
        with perhaps_a_file(location) if isinstance(location, str) else nullcontext():
            if isinstance(location, str) and is_path(location):
                opened = stack.enter_context(open_images(location, scratch=scratch))
            else:
                from imgpack.registry.pull.image import open_remote

                name = parse_reference(location) if isinstance(location, str) else location
                connected = stack.enter_context(with_registries(registries))
                opened = open_remote(connected, name, scratch=scratch)
        yield opened


@contextmanager
def open_blob(
    location: str | Reference,
    digest: Digest | str,
    *,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Iterator[Iterator[bytes]]:
    """The bytes of one blob of a ``location`` (see ``open``), to be read inside the ``with``.

    Of an archive or layout, a text may be the beginning of the digest. The bytes are
    verified as they are read: a wrong one ends with ``DigestError``. Raises what ``open``
    raises, and ``NotFoundError`` if it is not there.
    """
    from imgpack.files.blobs import verify_stream
    from imgpack.image.location import is_path, parse_reference
    from imgpack.store.open import open_images

    if isinstance(location, str) and is_path(location):
        with open_images(location, scratch=scratch) as opened:
            digest = opened.complete(digest) if isinstance(digest, str) else digest
            descriptor = opened.describe(digest)
            what = f"{location}: blob {digest}"
            yield verify_stream(opened.read_blob(descriptor), descriptor, what)
        return
    from imgpack.registry.pull.download import read_remote_blob
    from imgpack.spec.digest import Digest

    digest = Digest.parse(digest) if isinstance(digest, str) else digest
    name = parse_reference(location) if isinstance(location, str) else location
    with with_registries(registries) as connected:
        yield read_remote_blob(connected, name.with_digest(digest))


@contextmanager
def create(
    location: str,
    *,
    stdout: BinaryIO | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
    prune: bool = False,
    shallow: bool = False,
    replaced: Collection[Digest] = (),
) -> Iterator[ReadableSink]:
    """An archive, an OCI layout or a stream, to be written by ``build`` or ``copy``.

    A path that ends in ``/``, or is a directory, is a layout; ``-`` streams to ``stdout``;
    any other is an archive. It is written once; an existing layout is added to, and with
    ``prune`` loses the blobs that nothing in it names then. An image whose source lacks
    layers is written without them if it may be ``shallow``. Documents that are ``replaced`` leave
    a layout unless another name has them. Nothing appears under its
    final name before all of it is there. Raises ``OutputError``, and ``SourceChangedError`` for a
    layout that has not any more what is ``replaced``.
    """
    from imgpack.store.archive.write import open_writer

    with open_writer(
        location,
        stdout=stdout,
        scratch=scratch,
        reporter=reporter,
        prune=prune,
        shallow=shallow,
        replaced=replaced,
    ) as writer:
        yield writer


def copy(
    images: Iterable[Named], sink: ImageSink, names: Names = None, *, jobs: int = 4
) -> tuple[Published, ...]:
    """Write ``images`` to ``sink``, ``jobs`` blobs at once, every byte verified.

    ``names`` replaces the names of the one image there is. Raises what source and sink raise.
    """
    return sink.write(renamed(images, names), jobs=jobs)


def push(
    images: Iterable[Named],
    names: Names = None,
    *,
    registries: Registries | None = None,
    options: PushOptions | None = None,
    jobs: int = 4,
    on_published: Callable[[Published], object] = lambda published: None,
) -> tuple[Published, ...]:
    """Push ``images`` to their names, or the one image there is to ``names``.

    Through ``registries`` (without: anonymously). No tag is written before all that it
    stands for is there; ``on_published`` is told of each when it is. Raises what source,
    registries and connections raise.
    """
    from imgpack.registry.push.push import RegistrySink

    with with_registries(registries) as connected:
        sink = RegistrySink(connected, options)
        return sink.write(renamed(images, names), jobs=jobs, on_published=on_published)


@contextmanager
def pushing(
    also: ReadableSink | None = None,
    *,
    registries: Registries | None = None,
    options: PushOptions | None = None,
    jobs: int = 4,
    scratch: Callable[[], str] = tempfile.gettempdir,
    on_published: Callable[[Published], object] = lambda published: None,
) -> Iterator[LayerSink]:
    """A sink for ``build`` that pushes each layer when it is complete, while others are made.

    The image goes to the registries of its names and, once it has all of them, into ``also``,
    which ``create`` gives; without it, layers wait in a directory that ``scratch`` finds until
    they are sent. Nothing is named before all of it is there. ``jobs`` blobs are sent at once;
    the rest is as for ``push``. Raises what registries and their connections raise, a failed
    upload from whichever call comes next.
    """
    from imgpack.registry.push.push import PushOptions
    from imgpack.registry.push.pushing import PushingSink

    with (
        with_registries(registries) as connected,
        PushingSink(
            connected,
            options or PushOptions(),
            also,
            scratch,
            jobs=jobs,
            on_published=on_published,
        ) as sink,
    ):
        yield sink


def tags(repository: str | Reference, *, registries: Registries | None = None) -> Iterator[str]:
    """The tags of a repository, in the registry's order, each once, as they are listed.

    Raises what registries and their connections raise.
    """
    from imgpack.registry.tags import list_tags

    with with_registries(registries) as connected:
        yield from list_tags(connected.repository(_reference(repository)))


def delete(name: str | Reference, *, registries: Registries | None = None) -> None:
    """Delete what ``name`` says: a tag, or by its digest an image and all its tags.

    With both it is the tag, if it has that digest; else ``DigestError``. A text names its
    registry, Docker Hub as well. Raises what registries and their connections raise: many
    refuse the one or the other.
    """
    from imgpack.image.location import writable_name
    from imgpack.registry.tags import delete_name

    with with_registries(registries) as connected:
        reference = writable_name(name) if isinstance(name, str) else name
        delete_name(connected.repository(reference), reference)


@contextmanager
def with_registries(registries: Registries | None) -> Iterator[Registries]:
    """``registries``, or anonymous ones that are closed in the end."""
    if registries is not None:
        yield registries
        return
    from imgpack.registry.registries import Registries

    with Registries() as anonymous:
        yield anonymous


def renamed(images: Iterable[Named], names: Names) -> tuple[Named, ...]:
    """``images``, or the one there is under ``names``. Raises ``UnsupportedError``."""
    from imgpack.image.opened import with_names

    found = tuple(images)
    if names is None:
        return found
    if len(found) != 1:
        raise UnsupportedError(
            f"names are for one image, and there are {len(found)}", "give each its own in Named"
        )
    return (with_names(found[0], references(names)),)


def references(names: Sequence[str | Reference]) -> tuple[Reference, ...]:
    """Names as references. Raises ``TypeError`` for one name instead of a sequence."""
    if isinstance(names, str):  # a sequence of letters, each of which is a name
        raise TypeError(f"names are a sequence, and {names!r} is one name")
    return tuple(map(_reference, names))


def _reference(name: str | Reference) -> Reference:
    from imgpack.spec.reference import parse_name

    return parse_name(name) if isinstance(name, str) else name
