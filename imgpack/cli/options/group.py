"""Options that belong together, given to a command as one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

Decorator = Callable[[Any], Any]


def gathered(name: str, kind: type[Any], *options: Decorator) -> Callable[[_F], _F]:
    """What adds click ``options`` to a command, which gets them as one ``kind`` named ``name``.

    ``kind`` is a dataclass whose fields are called as the options are.
    """
    fields = tuple(kind.__dataclass_fields__)

    def decorate(command: _F) -> _F:
        @functools.wraps(command)
        def gathering(*args: Any, **kwargs: Any) -> Any:
            values = {field: kwargs.pop(field) for field in fields}
            return command(*args, **{name: kind(**values)}, **kwargs)

        result: Any = gathering
        for option in reversed(options):
            result = option(result)
        return result  # type: ignore[no-any-return]

    return decorate
