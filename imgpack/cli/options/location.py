"""Where an image is: ``ARCHIVE|REF``, told apart by form, and opened the same way.

A text is an archive or layout if such a path exists, or if it looks like a path:
it ends in ``.tar`` or ``/``, or starts with ``/``, ``./`` or ``../``. Anything
else is a reference. Invariant: an archive needs none of the network's modules.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from imgpack.cli.options.group import gathered
from imgpack.cli.options.registry import RegistryOptions, connector
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ArchiveError
from imgpack.image.image import Named
from imgpack.image.location import is_path, parse_reference
from imgpack.image.opened import Opened
from imgpack.spec.platform import Platform
from imgpack.store.open import open_images

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of a location's images is meant: the values of ``--image`` and ``--platform``."""

    image: str | None = None
    platform: str | None = None

    def __post_init__(self) -> None:
        self._platform  # noqa: B018 - a mistyped one is told before anything is opened

    def all(self, opened: Opened) -> tuple[Named, ...]:
        """What is chosen of ``opened``: all of it, without the options."""
        if self.image is None:
            return opened.images(self._platform)
        return (self.one(opened),)

    def one(self, opened: Opened) -> Named:
        """The one image. Raises ``NotFoundError`` listing them if there are several."""
        return opened.image(opened.select(self.image), self._platform)

    @property
    def _platform(self) -> Platform | None:
        return None if self.platform is None else Platform.parse(self.platform)


def choice_options(command: _F) -> _F:
    """``--image NAME`` and ``--platform P``, as one ``Choice`` named ``choice``."""
    return gathered("choice", Choice, _OPTIONS, command)


_OPTIONS: Final = (
    click.option("--image", metavar="NAME", help="Which one of several images in an archive."),
    click.option("--platform", metavar="OS/ARCH", help="Which one of a multi-platform image."),
)


@contextmanager
def open_location(
    text: str,
    terminal: Terminal,
    registry: RegistryOptions,
    *,
    choice: Choice | None = None,
    creds_option: str = "--creds",
    jobs: int = 4,
) -> Iterator[Opened]:
    """Open an archive, a layout or a reference; blobs can be read inside the ``with``.

    ``choice`` is refused where it cannot be made. ``creds_option`` and ``jobs`` are as
    for ``connector``.
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
    if choice is not None and choice.image is not None:
        raise click.UsageError("--image is for archives; a reference names one image")
    from imgpack.registry.pull.image import open_remote

    reference = parse_reference(text)
    with connector(registry, terminal, jobs=jobs, creds_option=creds_option) as connections:
        yield open_remote(connections, reference, scratch=scratch_directory)
