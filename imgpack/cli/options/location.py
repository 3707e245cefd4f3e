"""Where an image is: ``ARCHIVE|REF``, told apart by form, and opened the same way.

Invariant: an archive needs none of the network's modules.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.api.bases import split
from imgpack.cli.options.parameters import gathered, once
from imgpack.cli.options.registry import RegistryOptions, connect
from imgpack.errors import ArchiveError, DigestError, ImgpackError, OutputError
from imgpack.files.streams import STDIN, STDIN_PATH, named_descriptor

if TYPE_CHECKING:
    from imgpack.api import Named, Opened, Platform
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of a location's images is meant: the values of ``--image`` and ``--platform``."""

    image: str | None = None
    platform: str | None = None

    def __post_init__(self) -> None:
        self.only_platform  # noqa: B018 - a mistyped one is told before anything is opened

    def check(self, text: str) -> None:
        """Refuse an image of what names one. Raises ``click.UsageError``."""
        if self.image is not None and not api.is_path(from_standard_input(text)):
            raise click.UsageError("--image is for archives; a reference names one image")

    def within(self, text: str) -> tuple[str, Choice]:
        """Where the image is, and the choice there: of ``PATH:NAME`` that of ``NAME``.

        Raises ``click.UsageError``.
        """
        path, name = split(text)
        if name is None:
            return text, self
        if self.image is not None:
            raise click.UsageError(f"{text} names an image, and --image, too; name it once")
        return str(path), replace(self, image=name)

    def at(self, text: str) -> tuple[str, Choice]:
        """As ``within``, of what may be standard input; refuses as ``check``."""
        place, choice = self.within(from_standard_input(text))
        choice.check(place)
        return place, choice

    def refuse(self, what: str) -> None:
        """Refuse to choose an image of ``what``, which is none. Raises ``click.UsageError``."""
        given = "--image" if self.image is not None else "--platform"
        if self.image is not None or self.platform is not None:
            raise click.UsageError(f"{given} is for images, and {what} is none")

    def all(self, opened: Opened) -> tuple[Named, ...]:
        """What is chosen of ``opened``: all of it, without the options."""
        if self.image is None:
            return opened.images(self.only_platform)
        return (self.one(opened),)

    def one(self, opened: Opened) -> Named:
        """The one image. Raises ``NotFoundError`` listing them if there are several."""
        return opened.image(opened.select(self.image), self.only_platform)

    @property
    def only_platform(self) -> Platform | None:
        """The one that is asked for. Raises as ``Platform.parse``."""
        return None if self.platform is None else api.Platform.parse(self.platform)


choice_options = gathered(
    "choice",
    Choice,
    click.option(
        "--image",
        metavar="NAME",
        help="Which one of several images in an archive; PATH:NAME says it, too.",
    ),
    click.option(
        "--platform",
        multiple=True,
        callback=once("name one"),
        metavar="OS/ARCH",
        help="Which one of a multi-platform image.",
    ),
)


@contextmanager
def open_location(
    text: str,
    terminal: Terminal,
    registry: RegistryOptions,
    *,
    choice: Choice,
    creds_option: str = "--creds",
    jobs: int = 4,
) -> Iterator[Opened]:
    """Open an archive, a layout or a reference; blobs can be read inside the ``with``.

    ``choice`` is refused where it cannot be made. ``creds_option`` and ``jobs`` are as
    for ``connect``.
    """
    given, text = text, from_standard_input(text)
    choice.check(text)
    with (
        _called_standard_input() if given == STDIN else nullcontext(),
        connect_for(text, terminal, registry, creds_option=creds_option, jobs=jobs) as registries,
        api.open(text, registries=registries, scratch=scratch_directory) as opened,
    ):
        try:
            yield opened
        except (ArchiveError, DigestError) as error:
            # Whoever reads a blob knows its digest, and here is known whose it is.
            if text in error.message:
                raise
            raise error.reworded(f"{text}: {error.message}") from error


@contextmanager
def _called_standard_input() -> Iterator[None]:
    """Errors that leave the block say what ``-`` is, and not the path that stands for it."""
    try:
        yield
    except ImgpackError as error:
        raise error.reworded(error.message.replace(STDIN_PATH, "standard input")) from error


def from_standard_input(text: str) -> str:
    """``text``, or the path of standard input for ``-``; a terminal is refused."""
    if text != STDIN:
        return text
    if sys.stdin.isatty():
        raise click.UsageError("an archive does not come from a terminal; pipe it, or name a file")
    return STDIN_PATH


def base_place(text: str) -> str:
    """Where the base ``text`` is: of ``PATH:NAME`` the path."""
    return str(split(text)[0])


@contextmanager
def connect_for(
    text: str,
    terminal: Terminal,
    registry: RegistryOptions,
    *,
    creds_option: str = "--creds",
    jobs: int = 4,
) -> Iterator[api.Registries | None]:
    """As ``connect``, if ``text`` is a reference; nothing for a path."""
    if api.is_path(text):
        if Path(text).is_fifo() and named_descriptor(text) is None:
            terminal.note(f"waiting for what is written to {text}")
        yield None
        return
    api.parse_reference(text)  # a mistyped one is told before a password is asked for
    with connect(registry, terminal, jobs=jobs, creds_option=creds_option) as registries:
        yield registries


def scratch_directory() -> str:
    """Where files without a name go for a while: ``TMPDIR``, or ``/tmp`` mostly.

    Asked for when it is needed. Raises ``OutputError``.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise OutputError(
            "there is no directory for temporary files", "let TMPDIR name one that can be written"
        ) from error
