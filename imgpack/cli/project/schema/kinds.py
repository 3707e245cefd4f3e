"""What a key of the project file may hold, and the texts that the options take for it.

Invariant: nothing is checked here but the type. What a text means, the option says that it
goes to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Final

from imgpack.files.toml_lines import Path

_NAMES: Final[Mapping[type, tuple[str, str]]] = {
    str: ("text", "texts"),
    bool: ("true or false", "truth values"),
    int: ("a number", "numbers"),
    float: ("a number with a point", ""),
    datetime: ("a time", "times"),
    date: ("a date", "dates"),
    time: ("a time of day", ""),
    list: ("a list", ""),
    dict: ("a table", ""),
    type(None): ("nothing", ""),
}
_SCHEMAS: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer"}


class Role(Enum):
    """What the texts of a key are, beside texts."""

    PLAIN = "as it stands"
    PATH = "a path, relative to the file"
    PLACE = "a path relative to the file, or a reference"
    WORDS = "a command, whose words may be a list"


class WrongTypeError(Exception):
    """A value, at the ``path`` below that of its key, is not of the type that is expected."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path, self.expected, self.found = path, expected, found


@dataclass(frozen=True, slots=True)
class ValueKind:
    """The types that are taken: one of ``scalars``, a list of them, a table of them.

    A list holds texts as the option takes them, a table ``NAME=VALUE`` of them.
    """

    scalars: tuple[type, ...] = (str,)
    alone: bool = True
    listed: bool = False
    paired: bool = False
    role: Role = Role.PLAIN

    @property
    def expected(self) -> str:
        """For people."""
        one = " or ".join(_NAMES[each][0] for each in self.scalars)
        many = " or ".join(_NAMES[each][1] for each in self.scalars)
        forms = [one] if self.alone else []
        forms += [f"a table of {many}"] if self.paired else []
        forms += [f"a list of {'texts' if self.paired else many}"] if self.listed else []
        return ", or ".join(forms)

    @property
    def schema(self) -> dict[str, Any]:
        """For programs: JSON Schema 2020-12, of what TOML is as JSON (a time is a text)."""
        types = sorted({_SCHEMAS.get(each, "string") for each in self.scalars})
        one: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
        items = {"type": "string"} if self.paired else one
        forms = [one] if self.alone else []
        names = {"pattern": "^[^=]+$"}
        table = {"type": "object", "propertyNames": names, "additionalProperties": one}
        forms += [table] if self.paired else []
        forms += [{"type": "array", "items": items}] if self.listed else []
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def takes(self, value: object) -> bool:
        """Whether ``value`` is of the type of the whole."""
        if isinstance(value, list):
            return self.listed
        if isinstance(value, dict):
            return self.paired
        return self.alone and type(value) in self.scalars

    def texts(self, value: Any) -> tuple[str, ...] | bool:
        """What the option takes for ``value``. Raises ``WrongTypeError``."""
        if not self.takes(value):
            raise WrongTypeError((), self.expected, found(value))
        if isinstance(value, bool):
            return value
        if isinstance(value, list) and self.role is Role.WORDS:
            return (json.dumps([*self._items(value)], ensure_ascii=False),)
        if isinstance(value, list):
            return tuple(self._items(value))
        if isinstance(value, dict):
            return tuple(self._pairs(value))
        return (_text(value),)

    def _items(self, value: list[Any]) -> Iterator[str]:
        scalars = (str,) if self.paired else self.scalars
        for number, item in enumerate(value):
            self._check(item, number, scalars)
            yield _text(item)

    def _pairs(self, value: dict[str, Any]) -> Iterator[str]:
        for name, item in value.items():
            self._check(item, name, self.scalars)
            if not name or "=" in name:
                raise WrongTypeError((name,), "a name without =", repr(name))
            yield f"{name}={_text(item)}"

    @staticmethod
    def _check(item: object, where: str | int, scalars: tuple[type, ...]) -> None:
        if type(item) not in scalars:
            expected = " or ".join(_NAMES[each][0] for each in scalars)
            raise WrongTypeError((where,), expected, found(item))


def found(value: object) -> str:
    """What ``value`` is, for people."""
    return _NAMES[type(value)][0]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


TEXT: Final = ValueKind()
TEXTS: Final = ValueKind(listed=True)
TEXT_OR_NUMBER: Final = ValueKind((str, int))
FLAG: Final = ValueKind((bool,))
COUNT: Final = ValueKind((int,))
TIME: Final = ValueKind((str, int, datetime, date))
TIMES: Final = ValueKind((str, int, datetime, date), listed=True, paired=True)
PORTS: Final = ValueKind((str, int), listed=True)
PAIRS: Final = ValueKind((str, int), alone=False, listed=True, paired=True)
RULES: Final = ValueKind(listed=True, paired=True)
WORDS: Final = ValueKind(listed=True, role=Role.WORDS)
PATH: Final = ValueKind(role=Role.PATH)
PATHS: Final = ValueKind(listed=True, role=Role.PATH)
PLACE: Final = ValueKind(role=Role.PLACE)
