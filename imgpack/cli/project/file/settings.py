"""Keys of a project file that ``--set`` gives in the place of what the file says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from imgpack.cli.project.file.file import TABLES, ProjectError, ProjectFile, listed, nearest, shown
from imgpack.cli.project.schema.keys import ALIASES, KEYS
from imgpack.cli.project.schema.kinds import ValueKind, found
from imgpack.files.toml_lines import Path, TooDeepError, key_of

_SETTING: Final = "write image.NAME.KEY=VALUE or variables.NAME=VALUE"


def with_settings(file: ProjectFile, settings: Sequence[str]) -> ProjectFile:
    """``file`` with ``settings``, each ``KEY=VALUE``. Raises ``ProjectError``."""
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
    known = file.tables.get(str(path[0]), {}) if path[0] in TABLES else None
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
