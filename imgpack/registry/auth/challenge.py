"""``WWW-Authenticate``: RFC 9110, section 11.6.1, and the bearer form of the distribution spec.

Invariant: whatever the header holds, parsing ends quickly and raises nothing;
what cannot be read is left out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_HEADER: Final = 16384
"""Characters of one header that are looked at."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=\s|,|$)")
_TOKEN68 = re.compile(r"\s+[A-Za-z0-9._~+/-]+=*\s*(?=,|$)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: the scheme and the parameter names in lower case."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The parameter's value, or the empty string."""
        return next((value for key, value in self.parameters if key == name), "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of the ``WWW-Authenticate`` headers, in their order."""
    return tuple(challenge for header in headers for challenge in _parse(header[:MAX_HEADER]))


def _parse(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    parameters: list[tuple[str, str]] = []
    scheme = ""
    position = 0
    while position < len(text):
        if text[position] in " \t,":
            position += 1
            continue
        found = _PARAMETER.match(text, position)
        if found and scheme:
            quoted, plain = found.group(2), found.group(3)
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters.append((found.group(1).lower(), value))
            position = found.end()
            continue
        start = _SCHEME.match(text, position)
        if start is None:
            position = _next_comma(text, position)
            continue
        if scheme:
            challenges.append(Challenge(scheme, tuple(parameters)))
        scheme, parameters = start.group(1).lower(), []
        token = _TOKEN68.match(text, start.end())
        position = token.end() if token else start.end()
    if scheme:
        challenges.append(Challenge(scheme, tuple(parameters)))
    return challenges


def _next_comma(text: str, position: int) -> int:
    comma = text.find(",", position)
    return len(text) if comma < 0 else comma + 1
