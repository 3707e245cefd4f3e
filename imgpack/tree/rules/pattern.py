"""Patterns of paths in the image, in the language of ignore files."""

import fnmatch
import re
from dataclasses import dataclass

from imgpack.tree.rules.rules import Pattern


@dataclass(frozen=True, slots=True)
class _Glob:
    text: str
    regex: re.Pattern[bytes]

    def __str__(self) -> str:
        return self.text

    def matches(self, path: bytes) -> bool:
        return self.regex.fullmatch(path) is not None


def path_pattern(text: str) -> Pattern:
    """The pattern of whole paths, with or without a slash in front. Raises ``ConfigError``."""
    plain = text.strip("/")
    return _Glob(text, re.compile(fnmatch.translate(plain).encode()))
