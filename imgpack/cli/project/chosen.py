"""Which images of which file a command is about, and which words are images at all.

Invariant: a word that could be an image or something on disk is never taken for one of them in
silence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from imgpack.cli.project.file.file import ProjectError, ProjectFile, listed, nearest
from imgpack.cli.project.file.names import FILES, could_be_image
from imgpack.cli.project.file.reading import find, read
from imgpack.cli.project.flags import ProjectFlags
from imgpack.cli.project.images import ProjectImage, in_order, read_images
from imgpack.cli.project.variables import variables
from imgpack.errors import ImgpackError

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command is to do: ``images`` in order, of which the user named ``names``.

    ``variables`` are the values of the file's.
    """

    file: ProjectFile
    variables: Mapping[str, str]
    images: tuple[ProjectImage, ...]
    names: frozenset[str]

    @property
    def several(self) -> bool:
        """Whether the user meant more than one."""
        return len(self.names) > 1


def choose(
    flags: ProjectFlags, words: Sequence[str], terminal: Terminal, environment: Mapping[str, str]
) -> Chosen | None:
    """The images that are meant; ``None`` if it is no file that says what to do.

    Without ``words`` all are. Raises ``ProjectError`` and what reading the file does.
    """
    if flags.project_file == "":
        raise click.UsageError("--file is empty; name a file")
    path = flags.project_file or find()
    file = None if path is None else read(path, flags.settings)
    if file is None:
        if not flags.given:
            return None
        raise ProjectError(_no_file(flags))
    known = [word for word in words if word in file.images]
    if words and not known and not (flags.given or _is_misspelled(words[0], file)):
        return None
    if others := [word for word in words if word not in known]:
        raise _unknown(others[0], known, file)
    for word in known if flags.project_file is None else ():
        if os.path.lexists(word):
            terminal.remark(f"{word} is an image of {file.path}; ./{word} would be what lies here")
    values = variables(file, environment)
    images = read_images(file, values)
    names = known or [*images]
    return Chosen(file, values, in_order(file, images, names), frozenset(names))


def written_to(name: str) -> str | None:
    """Where the image ``name`` of the file here is written; ``None`` if there is none in it."""
    with suppress(ImgpackError, click.UsageError):
        path = find()
        file = None if path is None else read(path)
        if file is not None and name in file.images:
            return read_images(file, variables(file, {}))[name].output
    return None


def _is_misspelled(word: str, file: ProjectFile) -> bool:
    """Whether ``word`` is nothing, and nearly an image."""
    there = os.path.lexists(word) or not could_be_image(word)
    return not there and nearest(word, file.images, "") != ""


def _no_file(flags: ProjectFlags) -> str:
    if flags.project_file is not None:
        return f"{flags.project_file}: there is no table tool.imgpack in it; write one"
    option = "--print" if flags.print_plan else "--set"
    return f"{option} is about {FILES[0]}, and there is none here; name one with --file"


def _unknown(word: str, known: Sequence[str], file: ProjectFile) -> ProjectError:
    if known and not _is_misspelled(word, file):
        return ProjectError(
            f"{known[0]} is an image of {file.path}, and {word} is none; "
            f"name images alone, or write ./{known[0]} for what lies here"
        )
    hint = nearest(word, file.images, f"it has {listed([*file.images]) or 'none'}")
    return ProjectError(f"there is no image {word} in {file.path}; {hint}")
