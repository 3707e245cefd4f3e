"""Where an image is: ``ARCHIVE|REF``, told apart by form, and opened the same way.

A text is an archive or layout if such a path exists, or if it looks like a path:
it ends in ``.tar`` or ``/``, or starts with ``/``, ``./`` or ``../``. Anything
else is a reference. Invariant: an archive needs none of the network's modules.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

from imgpack.cli.options.registry import RegistryOptions, connector
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ArchiveError, InvalidReferenceError
from imgpack.image.image import Named
from imgpack.image.opened import Opened
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference
from imgpack.store.open import open_images

_F = TypeVar("_F", bound=Callable[..., Any])

_PATH_STARTS: Final = ("/", "./", "../")
_PATH_ENDS: Final = ("/", ".tar")
_BARE_REGISTRY: Final = re.compile(r"(?:localhost|[^/@:]*\.[^/@:]*|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")


def is_path(text: str) -> bool:
    """Whether ``text`` is an archive or layout, not a reference."""
    return text.startswith(_PATH_STARTS) or text.endswith(_PATH_ENDS) or os.path.lexists(text)


def remote_name(text: str) -> Reference:
    """``text`` as a name in a registry; HOST:PORT is a registry, not NAME:TAG on Docker Hub."""
    if _BARE_REGISTRY.fullmatch(text):
        raise InvalidReferenceError(
            f"{text} names a registry and no repository",
            f"write {text}/REPOSITORY (or docker.io/library/{text}, if that is meant)",
        )
    return Reference.parse(text)


def parse_reference(text: str) -> Reference:
    """``text`` as a reference with a tag or digest; the hint says how to write a path."""
    try:
        return remote_name(text).tagged()
    except InvalidReferenceError as error:
        hint = error.hint or "a path is written with ./ in front"
        raise InvalidReferenceError(f"{error.message}, and there is no such file", hint) from error


def choice_options(command: _F) -> _F:
    """``--image NAME`` and ``--platform P``: which one of several."""
    command = click.option(
        "--platform", metavar="OS/ARCH", help="Which one of a multi-platform image."
    )(command)
    return click.option(
        "--image", metavar="NAME", help="Which one of several images in an archive."
    )(command)


@contextmanager
def open_location(
    text: str,
    terminal: Terminal,
    registry: RegistryOptions,
    *,
    image: str | None = None,
    creds_option: str = "--creds",
    jobs: int = 4,
) -> Iterator[Opened]:
    """Open an archive, a layout or a reference; blobs can be read inside the ``with``.

    ``image`` is what ``--image`` says, which is for archives. ``creds_option`` and
    ``jobs`` are as for ``connector``.
    """
    if text == "-":
        raise ArchiveError(
            "an archive cannot come from standard input",
            "it is read at any place, so it cannot be a pipe: save it to a file",
        )
    if is_path(text):
        with open_images(text) as opened:
            yield opened
        return
    if image is not None:
        raise click.UsageError("--image is for archives; a reference names one image")
    from imgpack.registry.pull.image import open_remote

    reference = parse_reference(text)
    with connector(registry, terminal, jobs=jobs, creds_option=creds_option) as connections:
        yield open_remote(connections, reference, scratch=scratch_directory, reporter=terminal)


def chosen(opened: Opened, image: str | None, platform: str | None) -> tuple[Named, ...]:
    """What ``--image`` and ``--platform`` choose of a location: all of it, without them."""
    wanted = None if platform is None else Platform.parse(platform)
    if image is None:
        return opened.images(wanted)
    return (opened.image(opened.select(image), wanted),)


def only(opened: Opened, image: str | None, platform: str | None) -> Named:
    """The one image that is chosen. Raises ``NotFoundError`` listing them if there are several."""
    wanted = None if platform is None else Platform.parse(platform)
    return opened.image(opened.select(image), wanted)
