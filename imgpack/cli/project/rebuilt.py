"""An image of a file that is built again, somewhere else, to be compared.

The file is a project file, or a metadata file with what a build recorded. Invariants: nothing is
written where the file says; nothing of what was built before is reused.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.api.bases import split
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.registry import RegistryOptions
from imgpack.cli.project.chosen import Chosen, choose
from imgpack.cli.project.file.file import listed, shown
from imgpack.cli.project.file.reading import read
from imgpack.cli.project.flags import ProjectFlags
from imgpack.cli.project.images import ProjectImage, as_texts
from imgpack.cli.project.record.values import InputChange
from imgpack.errors import SourceError
from imgpack.files.scratch import directory_for_a_while
from imgpack.files.streams import STDIN, STDOUT, is_stream
from imgpack.files.writing import real_path

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal
    from imgpack.cli.project.record.values import Recorded

_LABEL: Final = "imgpack-rebuild"
_SHARED: Final = {"jobs", *RegistryOptions.__dataclass_fields__} - {"password_stdin"}
"""Parameters of ``verify`` that are those of ``build``, too: a password is read once."""
_READ_ONCE: Final = ("sources", "platform", "base", "diff_from", "whiteouts")
"""Parameters of ``build`` that may name standard input."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Where an image is that was built again, and what that was done with otherwise."""

    location: str
    changes: tuple[InputChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """The ``image`` of a file that a user means, and what it is built of (``chosen``).

    ``location`` is where it is, and ``member`` which of the images there.
    """

    chosen: Chosen
    image: ProjectImage
    location: str
    member: str | None

    @property
    def digest(self) -> str | None:
        """That of what was built, if the file says so."""
        recorded = self.chosen.file.recorded
        return None if recorded is None else recorded.digests.get(self.image.name)

    @contextmanager
    def built(self, ctx: click.Context) -> Iterator[Rebuilt]:
        """Build it, and say where it is inside the ``with``. Raises what ``build`` does."""
        parent = ctx.parent
        assert parent is not None
        assert isinstance(parent.command, click.Group)
        build = parent.command.get_command(parent, "build")
        assert build is not None
        recorded = self.chosen.file.recorded
        with directory_for_a_while(scratch_directory(), _LABEL) as directory:
            outputs = {image.name: _output(directory, image) for image in self.chosen.images}
            settings = [
                f"--set={shown(('image', name, 'output'))}={output}"
                for name, output in outputs.items()
            ]
            words = [self.image.name, "--file", self.chosen.file.path, "--no-cache", *settings]
            metadata = os.path.join(directory, "metadata.json")
            words += [] if recorded is None else ["--metadata-file", metadata]
            with (
                build.make_context("build", words, parent=parent) as sub,
                redirect_stdout(io.StringIO()),  # the names of what was built
            ):
                given = _SHARED - ({"creds"} if ctx.params["password_stdin"] else set())
                sub.params |= {name: ctx.params[name] for name in given}
                with self._located():
                    build.invoke(sub)
            changes = () if recorded is None else self._changes(recorded, metadata)
            yield Rebuilt(outputs[self.image.name], tuple(changes))

    @contextmanager
    def _located(self) -> Iterator[None]:
        """What is not there was perhaps looked for in the wrong place."""
        file = self.chosen.file
        try:
            yield
        except SourceError as error:
            if file.recorded is None:
                raise
            hint = f"paths begin at {file.directory or '.'}, as {file.path} says from where it lies"
            raise error.reworded(error.message, hint) from error

    def _changes(self, recorded: Recorded, metadata: str) -> Iterator[InputChange]:
        file = read(metadata)
        assert file is not None
        assert file.recorded is not None
        return recorded.changes(file.recorded, self.image.name)


def find_rebuilding(
    location: str, member: str | None, path: str | None, terminal: Terminal
) -> Rebuilding:
    """What ``location`` is in the file: the name of an image, or where one is written.

    Of several that are written there it is ``member``, or what ``PATH:NAME`` says; of one image
    that a build recorded, anywhere it may have gone since. Raises ``ProjectError`` and
    ``UsageError``, and what reading the file does.
    """
    if location == STDIN or is_stream(location):
        raise click.UsageError(f"{location} is read once, and --rebuild compares it; name a file")
    flags = ProjectFlags(path, (), False)
    everything = choose(flags, (), terminal, os.environ)
    if everything is None:
        raise click.UsageError(
            "there is no imgpack.toml here; name one, or what a build recorded, with --file"
        )
    name, place = _meant(location, member, everything)
    chosen = choose(ProjectFlags(everything.file.path, (), False), (name,), terminal, os.environ)
    assert chosen is not None
    image = chosen.images[-1]
    for one in chosen.images:
        _check_read_again(chosen, one)
    if place is None:
        return Rebuilding(chosen, image, location, None)
    if place == STDOUT:
        raise click.UsageError(f"the image {name} is written to a stream; name an archive")
    return Rebuilding(chosen, image, place, image.member)


def _meant(location: str, member: str | None, everything: Chosen) -> tuple[str, str | None]:
    """The name of the image that ``location`` is, and where that is; ``None``: at ``location``."""
    images = {image.name: image for image in everything.images}
    there, own = split(location)
    wanted = member or own
    at = [name for name, image in images.items() if _is_at(image, str(there))]
    if wanted is not None:
        at = [name for name in at if wanted in (name, *images[name].names)]
    if len(at) > 1:
        raise click.UsageError(
            f"{location} has several images of {everything.file.path}; name one: {listed(at)}"
        )
    if at:
        return at[0], str(there)
    if location in images and not os.path.lexists(location):
        return location, images[location].output
    recorded = everything.file.recorded
    built = [] if recorded is None else [*recorded.digests]
    called = [name for name in built if location in images[name].names]
    for found in (called, built):
        if len(found) == 1:
            return found[0], None
    raise click.UsageError(
        f"{location} is no image of {everything.file.path}, nor where one is written; "
        f"it has {listed([*images])}"
    )


def _is_at(image: ProjectImage, location: str) -> bool:
    return real_path(image.output) == real_path(location)


def _check_read_again(chosen: Chosen, image: ProjectImage) -> None:
    """Refuse what was there once. Raises ``ProjectError``."""
    for name in _READ_ONCE:
        for text in as_texts(image.values.get(name, ())):
            place = (text.partition("=")[2] or text if name == "platform" else text).partition(":")
            if place[0] == STDIN or is_stream(place[0]):
                raise chosen.file.error(
                    image.paths.get(name, image.path),
                    "it was read from standard input or a pipe, and is not there again",
                    "build it from a file to be able to verify that",
                )


def _output(directory: str, image: ProjectImage) -> str:
    """A place of the same kind, which decides whose media types an image has."""
    return os.path.join(
        directory, f"{image.name}/" if api.is_layout(image.output) else image.name + ".tar"
    )
