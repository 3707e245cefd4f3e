"""``${NAME}`` in the values of the project file, as in a compose file.

``$${`` is a ``${`` that stays. Invariants: only what is listed under ``variables`` is replaced;
nothing that was put in is looked at again; what is put together has at most ``_LONGEST``
characters, and what is put into all of a file at most ``_MOST``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imgpack.cli.project.file.file import ProjectFile, listed, nearest
from imgpack.cli.project.schema.kinds import found
from imgpack.files.toml_lines import Path

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_LONGEST: Final = 1 << 16
_MOST: Final = 1 << 22
"""Characters: four times what the largest file has."""


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


class VariableTexts:
    """Puts ``values`` into the texts of a file."""

    def __init__(self, file: ProjectFile, values: Mapping[str, str]) -> None:
        self._file = file
        self._values = values
        self._room = _MOST

    def of(self, value: Any, path: Path) -> Any:
        """``value``, which stands at ``path``, with all its texts expanded.

        Raises ``ProjectError``.
        """
        if isinstance(value, list):
            return [self.of(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, dict):
            for name in value:
                _check(name, (*path, name), self._file)
            return {name: self.of(item, (*path, name)) for name, item in value.items()}
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: Path) -> str:
        _check(text, path, self._file)
        room = _LONGEST - len(text)

        def replaced(use: re.Match[str]) -> str:
            nonlocal room
            if use[1] is None:
                return "${"
            value = self._value(use, path)
            room -= len(value)
            self._room -= len(value)
            if room < 0:
                problem = f"it has more than {_LONGEST} characters"
                raise self._file.error(path, problem, "make it shorter")
            if self._room < 0:
                problem = f"the variables of the file come to more than {_MOST} characters"
                raise self._file.error(path, problem, "use shorter ones")
            return value

        return _USE.sub(replaced, text)

    def _value(self, use: re.Match[str], path: Path) -> str:
        name, end = use.groups()
        if name in self._values and end:
            return self._values[name]
        known = f"listed are {listed([*self._values])}" if self._values else "none is listed"
        hint = nearest(name, self._values, f"{known}; $${{ is a ${{ that stays")
        problem = f"{use[0]!r} is no variable" if len(use[0]) < 80 else "a ${ has no variable"
        raise self._file.error(path, f"{problem} under [variables]", hint)


def _check(text: str, path: Path, file: ProjectFile) -> None:
    if "\0" in text:
        raise file.error(path, "it has a NUL in it", "write it without")
