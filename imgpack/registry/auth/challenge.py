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
    found: list[tuple[str, list[tuple[str, str]]]] = []
    position = 0
    while position < len(text):
        if text[position] in " \t,":
            position += 1
        elif found and (parameter := _PARAMETER.match(text, position)):
            name, quoted, plain = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1][1].append((name.lower(), value))
            position = parameter.end()
        elif scheme := _SCHEME.match(text, position):
            found.append((scheme[1].lower(), []))
            token = _TOKEN68.match(text, scheme.end())
            position = (token or scheme).end()
        else:
            position = text.find(",", position) + 1 or len(text)
    return [Challenge(name, tuple(parameters)) for name, parameters in found]
