"""``imgpack.toml`` as it was read: its values, and where each of them stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import click

from imgpack.cli.options.clock import recorded_epoch
from imgpack.cli.project.record.values import Recorded
from imgpack.files.toml_lines import Path

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LONGEST_WORD: Final = 64
"""Characters of a word that are shown, and for which a similar one is looked for."""
TABLES: Final = ("image", "variables")
"""What a file is made of."""


class ProjectError(click.UsageError):
    """What is wrong in a project file: one line that names it."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """The tables of the file at ``path``, which lie below ``prefix`` in it.

    ``settings`` are the keys that ``--set`` gave, ``recorded`` what is said beside the tables if
    it is what a build recorded.
    """

    path: str
    prefix: Path
    tables: dict[str, Any]
    lines: dict[Path, int]
    settings: frozenset[Path] = frozenset()
    recorded: Recorded | None = None

    @property
    def images(self) -> dict[str, Any]:
        """The table of each image."""
        images: dict[str, Any] = self.tables.get("image", {})
        return images

    @property
    def directory(self) -> str:
        """Where relative paths begin: empty for here, else so that it looks like a path."""
        recorded = self.recorded
        directory = os.path.dirname(self.path) if recorded is None else recorded.directory
        plain = not directory or directory.startswith(("/", "./", "../")) or directory == ".."
        return directory if plain else f"./{directory}"

    def epoch(self) -> AbstractContextManager[None]:
        """Inside the ``with``, the ``SOURCE_DATE_EPOCH`` of the build that was recorded."""
        return nullcontext() if self.recorded is None else recorded_epoch(self.recorded.epoch)

    @property
    def checkout(self) -> str:
        """The directory whose git repository it is about."""
        return (self.directory if self.recorded is None else self.recorded.checkout) or "."

    def joined(self, path: str) -> str:
        """A path of the file as one of the working directory."""
        return os.path.join(self.directory, path) if self.directory and path else path

    def error(self, path: Path, problem: str, hint: str) -> ProjectError:
        """What is wrong with the value at ``path``, as one line."""
        return ProjectError(f"{self.where(path)}: {problem}; {hint}")

    def where(self, path: Path) -> str:
        """File, line and key of ``path``, or the ``--set`` that gave it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.settings:
                return f"--set {shown(path)}"
        whole = (*self.prefix, *path)
        known = whole in self.lines or self.recorded is not None  # which has no lines
        for setting in () if known else self.settings:
            if setting[: len(path)] == path:
                return f"--set {shown(setting)}"
        numbers = (self.lines.get(whole[:length]) for length in range(len(whole), -1, -1))
        line = next((f":{number}" for number in numbers if number is not None), "")
        return f"{self.path}{line}: {shown(whole)}" if whole else f"{self.path}{line}"


def is_image_name(text: str) -> bool:
    """Whether an image may be called ``text`` in a file."""
    return _IMAGE.fullmatch(text) is not None


def shown(path: Path) -> str:
    """A path as TOML writes it, as ``image.web.expose[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _BARE.fullmatch(part) else f'"{part}"'
    return text if len(text) <= 2 * _LONGEST_WORD else f"{text[: 2 * _LONGEST_WORD]}..."


def nearest(word: str, there: Iterable[str], otherwise: str) -> str:
    """What was probably meant by ``word``, or ``otherwise``."""
    import difflib

    if len(word) > _LONGEST_WORD:
        return otherwise
    word, there = word.replace("_", "-"), sorted(there)
    found = difflib.get_close_matches(word, there, 1)
    if len(word) > 2:  # the beginning of one is near, however long the rest
        found += [one for one in there if one.startswith(word) or word.startswith(one)]
    return f"did you mean {found[0]}?" if found else otherwise


def listed(names: Sequence[str], most: int = 8) -> str:
    """Some of ``names``, for people."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
