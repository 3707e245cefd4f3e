"""An image of the project file that is built again, somewhere else, to be compared.

Invariants: nothing is written where the file says; nothing of what was built before is reused.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.project.chosen import Chosen, choose
from imgpack.cli.project.command import ProjectFlags
from imgpack.cli.project.file import listed, shown
from imgpack.cli.project.images import ProjectImage
from imgpack.files.scratch import directory_for_a_while
from imgpack.files.streams import STDOUT

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal

_LABEL = "imgpack-rebuild"


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """The ``image`` of a file that a user means, and what it is built of (``chosen``)."""

    chosen: Chosen
    image: ProjectImage

    @contextmanager
    def built(self, ctx: click.Context) -> Iterator[str]:
        """Build it, and say where it is inside the ``with``. Raises what ``build`` does."""
        parent = ctx.parent
        assert parent is not None
        assert isinstance(parent.command, click.Group)
        build = parent.command.get_command(parent, "build")
        assert build is not None
        with directory_for_a_while(scratch_directory(), _LABEL) as directory:
            outputs = {image.name: _output(directory, image) for image in self.chosen.images}
            settings = [
                f"--set={shown(('image', name, 'output'))}={output}"
                for name, output in outputs.items()
            ]
            words = [self.image.name, "--file", self.chosen.file.path, "--no-cache", *settings]
            with (
                build.make_context("build", words, parent=parent) as sub,
                redirect_stdout(io.StringIO()),  # the names of what was built
            ):
                build.invoke(sub)
            yield outputs[self.image.name]


def find_rebuilding(location: str, path: str | None, terminal: Terminal) -> Rebuilding:
    """What ``location`` is in the project file: the name of an image, or where one is written.

    Raises ``ProjectError`` and ``UsageError``, and what reading the file does.
    """
    flags = ProjectFlags(path, (), False)
    everything = choose(flags, (), terminal, os.environ)
    if everything is None:
        raise click.UsageError("there is no imgpack.toml here; name one with --file")
    images = {image.name: image for image in everything.images}
    name = next((name for name, image in images.items() if _is_at(image, location)), None)
    if name is None and location in images and not os.path.lexists(location):
        name = location
    if name is None:
        raise click.UsageError(
            f"{location} is no image of {everything.file.path}, nor where one is written; "
            f"it has {listed([*images])}"
        )
    if images[name].output == STDOUT:
        raise click.UsageError(f"the image {name} is written to a stream; name an archive")
    chosen = choose(ProjectFlags(everything.file.path, (), False), (name,), terminal, os.environ)
    assert chosen is not None
    return Rebuilding(chosen, images[name])


def _is_at(image: ProjectImage, location: str) -> bool:
    return os.path.normpath(image.output) == os.path.normpath(location)


def _output(directory: str, image: ProjectImage) -> str:
    """A place of the same kind, which decides whose media types an image has."""
    return os.path.join(
        directory, f"{image.name}/" if api.is_layout(image.output) else image.name + ".tar"
    )
