"""How options are declared: several as one frozen value, and names of files for completion.

Invariant: no path is looked at here. Whoever opens it says what is wrong with it, with the
exit code of that cause.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_F = TypeVar("_F", bound=Callable[..., Any])

Decorator = Callable[[Any], Any]


def gathered(name: str, kind: type[Any], *options: Decorator) -> Callable[[_F], _F]:
    """What adds click ``options`` to a command, which gets them as one ``kind`` named ``name``.

    ``kind`` is a dataclass whose fields are called as the options are; one that no option
    gives has a default.
    """
    fields = tuple(kind.__dataclass_fields__)

    def decorate(command: _F) -> _F:
        @functools.wraps(command)
        def gathering(*args: Any, **kwargs: Any) -> Any:
            values = {field: kwargs.pop(field) for field in fields if field in kwargs}
            return command(*args, **{name: kind(**values)}, **kwargs)

        result: Any = gathering
        for option in reversed(options):
            result = option(result)
        return result  # type: ignore[no-any-return]

    return decorate


def once(hint: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], str | None]:
    """The callback of a ``multiple`` option of which one value is taken, and more are refused."""

    def only(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
        if len(values) > 1:
            raise click.UsageError(f"{param.opts[0]} is given {len(values)} times; {hint}", ctx)
        return values[0] if values else None

    return only


def separated(values: Iterable[str]) -> Iterator[str]:
    """The words of an option that may be given again, with commas between several.

    What is behind a colon is one, to the end.
    """
    for value in values:
        words, colon, rest = value.partition(":")
        *before, last = words.split(",")
        yield from filter(None, map(str.strip, before))
        if last.strip() or colon:
            yield f"{last.strip()}{colon}{rest}"


class KnownWords(click.types.StringParamType):
    """KnownWords that are ``known``, several with commas (see ``separated``)."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = tuple(known)

    def of(self, values: Iterable[str], option: str) -> list[str]:
        """All of the ``values`` of an ``option``. Raises ``click.UsageError`` for another."""
        words = [*separated(values)]
        for word in words:
            if word not in self.known:
                raise click.UsageError(f"{option} {word!r} is none of {', '.join(self.known)}")
        return words


class PathName(click.types.StringParamType):
    """A text that may be a path of the ``kind`` that click's completion knows."""

    name = "path"

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=self._kind)]


class _OutputName(PathName):
    """A path or name of what is made; the ``type=…`` of other builders is answered."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(("type=", "dest=")):
            from imgpack.cli.habits.outputs import answer

            if told := answer(value):
                raise click.UsageError(f"-o {value} is of another program; {told}", ctx)
        return super().convert(value, param, ctx)


FILE: Final = PathName("file")
OUTPUT: Final = _OutputName("file")
DIRECTORY: Final = PathName("dir")
