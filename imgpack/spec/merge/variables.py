"""Variables in a value, as ``ENV`` of a Dockerfile expands them.

Source: Dockerfile reference, "Environment replacement", and BuildKit's
``frontend/dockerfile/shell``. ``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME:+word}``,
``${NAME:?word}``, each also without the colon; ``\\$`` and ``$$`` are a dollar sign. Not as
there: quotes and other backslashes are kept, for whoever called has read the quotes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from imgpack.errors import ConfigError, LimitError, printable

MAX_DEPTH: Final = 32
"""Levels of variables within the words of variables."""
MAX_EXPANDED: Final = 1 << 17
"""Characters that variables may add to a value: Linux gives no program a longer one."""

# The run of backslashes counts as a whole: an odd one escapes what follows.
_PART: Final = re.compile(r"(?<!\\)(\\*+)(\$[A-Za-z_][A-Za-z0-9_]*+|\$[${]?|\})")
_BRACED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:?[-+?])?")


def expand(text: str, values: Mapping[str, str], missing: Callable[[str], object]) -> str:
    """``text`` with its variables replaced by ``values``.

    ``missing`` is told the name of each that is not there and has no word instead: it is
    empty. Raises ``ConfigError`` for what is no variable, and what ``${NAME:?word}`` says,
    ``LimitError``.
    """
    return _Expansion(text, values, missing).word(0)


class _Expansion:
    def __init__(
        self, text: str, values: Mapping[str, str], missing: Callable[[str], object]
    ) -> None:
        self._text = text
        self._values = values
        self._missing = missing
        self._at = 0
        self._added = 0

    def word(self, depth: int, *, counts: bool = True) -> str:
        """Up to the brace that ends it, or at no ``depth`` to the end.

        ``counts``: whether the word is used, so that what it lacks matters.
        """
        out = []
        while found := _PART.search(self._text, self._at):
            slashes, part = found.groups()
            out.append(self._text[self._at : found.start()])
            self._at = found.end()
            if part == "}" and not depth:
                out.append(found[0])
                continue
            out.append(slashes[: len(slashes) // 2])
            if len(slashes) % 2:
                self._at = found.end(1) + 1
                out.append(part[0])
            elif part == "}":
                return "".join(out)
            elif part == "${":
                out.append(self._braced(depth + 1, counts=counts))
            else:
                name = part[1:]
                out.append("$" if name in ("", "$") else self._value(name, counts=counts))
        if depth:
            raise _malformed("there is a ${ without its }")
        return "".join((*out, self._text[self._at :]))

    def _braced(self, depth: int, *, counts: bool) -> str:
        if depth > MAX_DEPTH:
            raise _malformed("there are too many variables within each other")
        found = _BRACED.match(self._text, self._at)
        if found is None:
            raise _malformed("there is a ${ without a name behind it")
        name, how = found[1], found[2] or ""
        self._at = found.end()
        value = self._values.get(name)
        there = value is not None and not (how.startswith(":") and value == "")
        wanted = there if how.endswith("+") else not there
        rest = self.word(depth, counts=counts and bool(how) and wanted)
        if not how:
            if rest or self._text[found.end() : self._at] != "}":
                raise _malformed(f"{name} has something behind it that is not known")
            return self._value(name, counts=counts)
        if how.endswith("?") and not there and counts:
            raise ConfigError(f"{name} is needed: {printable(rest) or 'it is not set'}")
        if how.endswith("+"):
            return rest if there else ""
        return self._value(name, counts=counts) if there else rest

    def _value(self, name: str, *, counts: bool) -> str:
        if name not in self._values and counts:
            self._missing(name)
        value = self._values.get(name, "")
        self._added += len(value)
        if self._added > MAX_EXPANDED:
            raise LimitError(
                "its variables make it too long",
                f"at most {MAX_EXPANDED} characters can be given to a program",
            )
        return value


def _malformed(problem: str) -> ConfigError:
    return ConfigError(
        problem, r"write ${NAME}, ${NAME:-word} or ${NAME:+word}, and \$ for a dollar sign"
    )
