"""``imgpack.toml`` as it is read: its values, and where each of them stands.

TOML 1.0.0; of ``pyproject.toml`` the table ``tool.imgpack``, of a metadata file ``inputs``.
Invariant: whatever is in the
file, reading it ends soon and with values or one error that names file, line and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from imgpack.cli.options.clock import recorded_epoch
from imgpack.cli.project.names import FILES
from imgpack.cli.project.record.values import Recorded
from imgpack.cli.project.schema.keys import ALIASES, KEYS
from imgpack.cli.project.schema.kinds import ValueKind, found
from imgpack.errors import ArchiveError, ImgpackError, SourceError
from imgpack.files.reading import input_errors, read_regular
from imgpack.files.toml_lines import Path, TooDeepError, key_of, lines_of

_LARGEST: Final = 1 << 20
"""Bytes of a file: a hundred times what people write."""
_LARGEST_RECORD: Final = 4 << 20
"""Of what a build recorded, which says what was made, too."""
_MOST_IMAGES: Final = 1000
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MOST_ABOVE: Final = 16
_LONGEST_WORD: Final = 64
"""Characters of a word that are shown, and for which a similar one is looked for."""
_OTHER_FILES: Final = re.compile(r"(?i)(.*\.)?(docker|container)file(\..*)?")
_TABLES: Final = ("image", "variables")
_SETTING: Final = "write image.NAME.KEY=VALUE or variables.NAME=VALUE"
_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_HELP: Final = "see docs/project-file.md for what it holds"


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
        # Of a record no lines are known; that has the tables of all images.
        said = whole in self.lines or self.recorded is not None
        for setting in () if said else self.settings:
            if setting[: len(path)] == path:
                return f"--set {shown(setting)}"
        known = (self.lines.get(whole[:length]) for length in range(len(whole), -1, -1))
        line = next((f":{number}" for number in known if number is not None), "")
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


def find() -> str | None:
    """The file of the working directory that there is: the first of ``FILES``.

    The second is one only if it speaks of imgpack.
    """
    for name in FILES:
        if os.path.lexists(name) and (name == FILES[0] or b"imgpack" in _content(name)):
            return name
    return None


def find_above() -> str | None:
    """The file of the nearest directory above that has one."""
    place = os.pardir
    for _ in range(_MOST_ABOVE):
        for name in FILES:
            path = os.path.join(place, name)
            with suppress(click.UsageError, ImgpackError):
                if os.path.isfile(path) and (name == FILES[0] or read(path) is not None):
                    return path
        if os.path.ismount(place):
            break
        place = os.path.join(place, os.pardir)
    return None


def read(path: str, settings: Sequence[str] = ()) -> ProjectFile | None:
    """The file at ``path`` with ``settings``, each ``KEY=VALUE``; ``None`` without its table.

    Raises ``ProjectError`` and ``SourceError``.
    """
    if _OTHER_FILES.fullmatch(os.path.basename(path)):
        raise ProjectError(
            "there is no Dockerfile in a build; each SRC is a directory that becomes a layer, and "
            f"--file names a file like {FILES[0]}"
        )
    text = _text(path)
    if _is_json(text):
        from imgpack.cli.project.record.reading import read_record

        file: ProjectFile | None = read_record(path, text)
    else:
        file = _read_toml(path, text)
    if file is None:
        return None
    _check(file)
    file = _with(file, settings)
    _check_numbers(file, file.tables)
    return file


def _read_toml(path: str, text: str) -> ProjectFile | None:
    import tomllib

    try:
        lines = lines_of(text)
        document = tomllib.loads(text)
    except (TooDeepError, RecursionError) as error:
        line = f":{error.line}" if isinstance(error, TooDeepError) else ""
        raise ProjectError(f"{path}{line}: it is nested too deeply; make it flatter") from None
    except ValueError as error:
        raise ProjectError(_no_toml(path, text, str(error))) from None
    inner = os.path.basename(path) == FILES[1]
    prefix: Path = ("tool", "imgpack") if inner else ()
    tables: Any = document
    for name in prefix:
        tables = tables.get(name) if isinstance(tables, dict) else None
    return None if tables is None else ProjectFile(path, prefix, tables, lines)


def _no_toml(path: str, text: str, problem: str) -> str:
    """The ``problem`` that ``tomllib`` has with ``text``, with the line in its place."""
    place = _TOML_PLACE.search(problem)
    line = int(place[1]) if place and place[1] else max(1, len(text.splitlines()))
    problem = _TOML_PLACE.sub("", problem)
    twice = problem.startswith(("Cannot overwrite", "Cannot declare"))
    hint = "a key and a table are there once" if twice else _HELP
    return f"{path}:{line}: it is no TOML: {problem}; {hint}"


def _content(path: str) -> bytes:
    try:
        with input_errors(path):
            return read_regular(path, _LARGEST_RECORD + 1, follow=True)
    except ArchiveError as error:
        inside = os.path.join(path, FILES[0])
        hint = f"name a file, as {inside}" if os.path.isdir(path) else "name a file"
        raise SourceError(error.message, hint) from error


def _text(path: str) -> str:
    raw = _content(path)
    largest = _LARGEST_RECORD if _is_json(raw) else _LARGEST
    if len(raw) > largest:
        raise ProjectError(f"{path}: it is larger than {largest} bytes; name a smaller one")
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProjectError(f"{path}:{line}: it is not UTF-8; {_HELP}") from None


def _is_json(text: str | bytes) -> bool:
    """Whether it is an object of JSON, with which no TOML begins."""
    return text.lstrip()[:1] in ("{", b"{")


def _check(file: ProjectFile) -> None:
    """The tables are tables, and called as they may be."""
    if not isinstance(file.tables, dict):
        raise file.error((), f"a table is expected, and not {found(file.tables)}", "write it so")
    for name in file.tables:
        if name not in _TABLES:
            hint = nearest(name, _TABLES, "an image is a table [image.NAME]")
            raise file.error((name,), "there is no such table", hint)
        if not isinstance(file.tables[name], dict):
            kind = found(file.tables[name])
            raise file.error((name,), f"a table is expected, and not {kind}", _example(name))
    if len(file.images) > _MOST_IMAGES:
        raise file.error(("image",), f"there are more than {_MOST_IMAGES}", "write several files")
    for name, table in file.images.items():
        if not is_image_name(name):
            hint = "use letters, digits, dots and dashes"
            raise file.error(("image", name), "no image can be called so", hint)
        if not isinstance(table, dict):
            kind = found(table)
            raise file.error(
                ("image", name), f"a table is expected, and not {kind}", _example("image")
            )


def _check_numbers(file: ProjectFile, value: Any, path: Path = ()) -> None:
    """TOML 1.0.0, "Integer": 64 bits. Python reads longer ones, which it cannot write then."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise file.error(path, "it is a number of more than 64 bits", "write a smaller one")
    items = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else items:
        _check_numbers(file, item, (*path, key))


def _example(name: str) -> str:
    return "write [image.NAME]" if name == "image" else 'write [variables], and NAME = "default"'


def _with(file: ProjectFile, settings: Sequence[str]) -> ProjectFile:
    paths = set()
    for setting in settings:
        try:
            split = key_of(setting)
        except TooDeepError:
            split = None
        if split is None:
            item = "[" in setting.partition("=")[0]
            hint = "set the whole list: image.NAME.KEY=[...]" if item else _SETTING
            raise ProjectError(f"--set {setting!r} is no setting; {hint}")
        paths.add(_set(file, *split))
    return replace(file, settings=frozenset(paths))


def _set(file: ProjectFile, path: Path, text: str) -> Path:
    """Set one key; returns where it is."""
    whole = f"--set {shown(path)}"
    known = file.tables.get(str(path[0]), {}) if path[0] in _TABLES else None
    if known is None or len(path) < (3 if path[0] == "image" else 2):
        raise ProjectError(f"{whole} is no key; {_SETTING}")
    if path[1] not in known:
        hint = nearest(str(path[1]), known, f"{file.path} has {listed([*known]) or 'none'}")
        raise ProjectError(f"{whole}: there is no {str(path[0]).rstrip('s')} {path[1]}; {hint}")
    if path[0] == "image":
        path = (*path[:2], ALIASES.get(str(path[2]), path[2]), *path[3:])
    table = known
    for part in path[1:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ProjectError(f"{whole}: {part} is {found(table)}; set all of it")
    for name, meant in ALIASES.items() if len(path) == 3 else ():
        if meant == path[-1]:
            table.pop(name, None)
    table[path[-1]] = _typed(path, text)
    return path


def _typed(path: Path, text: str) -> Any:
    """The value that ``text`` is for the key at ``path``: TOML, and a text where one is taken.

    So that a version stays what it is: ``1.10`` is no number for a tag.
    """
    import tomllib

    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = document["value"]
    plain = len(document) != 1 or not isinstance(value, str | list | dict)
    return text if plain and _takes_text(path) else value


def _takes_text(path: Path) -> bool:
    if path[0] == "variables":
        return True
    key = KEYS.get(".".join(map(str, path[2:]))) or KEYS.get(str(path[2]))
    kind = key.kind if key is not None else ValueKind()
    return str in kind.scalars
