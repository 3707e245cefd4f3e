"""How a project file is found and read.

TOML 1.0.0; of ``pyproject.toml`` the table ``tool.imgpack``, of a metadata file ``inputs``.
Invariant: whatever is in the file, reading it ends soon and with values or one error that names
file, line and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import click

from imgpack.cli.project.file.file import TABLES, ProjectError, ProjectFile, is_image_name, nearest
from imgpack.cli.project.file.names import FILES
from imgpack.cli.project.file.settings import with_settings
from imgpack.cli.project.schema.kinds import found
from imgpack.errors import ArchiveError, ImgpackError, SourceError
from imgpack.files.reading import input_errors, read_regular
from imgpack.files.toml_lines import Path, TooDeepError, lines_of

_LARGEST: Final = 1 << 20
"""Bytes of a file: a hundred times what people write."""
_LARGEST_RECORD: Final = 4 << 20
"""Of what a build recorded, which says what was made, too."""
_MOST_IMAGES: Final = 1000
_MOST_ABOVE: Final = 16
_OTHER_FILES: Final = re.compile(r"(?i)(.*\.)?(docker|container)file(\..*)?")
_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_HELP: Final = "see docs/project-file.md for what it holds"


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
    file = with_settings(file, settings)
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
        raise ProjectError(f"{path}: it is larger than {largest} bytes; {_HELP}")
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
        if name not in TABLES:
            hint = nearest(name, TABLES, "an image is a table [image.NAME]")
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
