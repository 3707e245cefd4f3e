"""``${NAME}`` in the values of the project file, as in a compose file.

``$${`` is a ``${`` that stays. Invariants: only what is listed under ``variables`` is replaced;
nothing that was put in is looked at again; what is put together has at most ``_LONGEST``
characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imgpack.cli.project.file import ProjectFile, listed, nearest
from imgpack.cli.project.kinds import Path, found

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_LONGEST: Final = 1 << 16


def variables(file: ProjectFile, environment: Mapping[str, str]) -> dict[str, str]:
    """The value of each: what ``--set`` gave, else the environment's, else the default.

    Raises ``ProjectError``.
    """
    values = {}
    for name, default in file.tables.get("variables", {}).items():
        path = ("variables", name)
        if not _NAME.fullmatch(name):
            raise file.error(path, "no variable can be called so", "use letters, digits and _")
        if type(default) not in (str, int):
            problem = f"text is expected, and not {found(default)}"
            raise file.error(path, problem, f'write {name} = "default"')
        text = str(default)
        if "${" in text:
            raise file.error(path, "a default is taken as it stands", "write it without ${")
        given = None if path in file.settings else environment.get(name)
        values[name] = text if given is None else given
    return values


def expanded(value: Any, path: Path, file: ProjectFile, values: Mapping[str, str]) -> Any:
    """``value``, which stands at ``path``, with ``values`` in all its texts.

    Raises ``ProjectError``.
    """
    if isinstance(value, list):
        return [expanded(item, (*path, i), file, values) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for name in value:
            _check(name, (*path, name), file)
        return {name: expanded(item, (*path, name), file, values) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    _check(value, path, file)
    room = _LONGEST - len(value)

    def replaced(use: re.Match[str]) -> str:
        nonlocal room
        name, end = use.groups()
        if name is None:
            return "${"
        if name not in values or not end:
            known = f"listed are {listed([*values])}" if values else "none is listed"
            hint = nearest(name, values, f"{known}; $${{ is a ${{ that stays")
            problem = f"{use[0]!r} is no variable" if len(use[0]) < 80 else "a ${ has no variable"
            raise file.error(path, f"{problem} under [variables]", hint)
        room -= len(values[name])
        if room < 0:
            raise file.error(path, f"it has more than {_LONGEST} characters", "make it shorter")
        return values[name]

    return _USE.sub(replaced, value)


def _check(text: str, path: Path, file: ProjectFile) -> None:
    if "\0" in text:
        raise file.error(path, "it has a NUL in it", "write it without")
