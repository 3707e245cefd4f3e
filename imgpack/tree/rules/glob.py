"""The pattern language of Docker's ignore files, as regular expressions.

Source: moby/patternmatcher (``Pattern.compile``) and Go's ``path/filepath.Match``, by whose
rules a pattern is refused. Where moby does otherwise by mistake (``|``, ``^`` and ``x{2}``
are not escaped, ``\\d`` and ``[[:alpha:]]`` leak into its regular expression, and so do ``*``
and ``?`` in a class), a character means itself here, and ``read_otherwise`` says so.

A pattern is matched in two halves where that can be done: the path of a directory, which is
asked once, and the names in it.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

_SPECIAL: Final = frozenset("*?[]\\")
_OTHERWISE: Final = re.compile(r"(?:\\[^A-Za-z0-9])+|(\\[A-Za-z0-9]|\||\{\d+(?:,\d*)?\}|\^)")
_IN_CLASS: Final = re.compile(r"\[:\w+:\]?|\\[A-Za-z0-9]|[*?]")


class _GlobToken(NamedTuple):
    """A part of a pattern: as a regular expression, as text if it is one character.

    ``crosses``: it may match a slash.
    """

    regexp: str
    text: str = ""
    crosses: bool = False


_STAR: Final = _GlobToken("[^/]*")
_ANY: Final = _GlobToken("[^/]")
_SLASH: Final = _GlobToken("/", "/", crosses=True)
# What moby compares without a regular expression may hold newlines, which its . does not match.
_DEEP: Final = _GlobToken("(?:.*/)?", crosses=True)
_DEEP_LINES: Final = _GlobToken("(?s:.*/)?", crosses=True)
_REST: Final = _GlobToken(".*", crosses=True)
_REST_LINES: Final = _GlobToken("(?s:.*)", crosses=True)
_BETWEEN: Final = {_REST: (_DEEP, _GlobToken("[^/\n]*")), _REST_LINES: (_DEEP_LINES, _STAR)}
"""What a rest at the end is in halves: directories, and a name."""


class Half(NamedTuple):
    """One side of a pattern: what it matches, and what a match starts and ends with.

    ``regexp`` is for text without newlines. ``literal`` says that it matches ``start`` alone;
    ``inside`` is the longest text that is anywhere in it.
    """

    regexp: str
    start: str
    end: str
    inside: str
    literal: bool


_Compiled = tuple[re.Pattern[str], re.Pattern[str] | None]
"""A pattern, or its two halves."""


class Glob:
    """A pattern that is known to be right, from the root: ``text`` without ``!``.

    Raises ``ValueError``, whose text says what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = _tokens(text)
        self._whole = tokens
        self._halves = _halves(tokens)

    @property
    def above(self) -> Half | None:
        """What the directory's path matches, with a slash behind it (empty: the root)."""
        return self._halves and _half(self._halves[0])

    @property
    def name(self) -> Half | None:
        """What the name in it matches then; ``None`` if there are no halves."""
        return self._halves and _half(self._halves[1])

    @cached_property
    def start(self) -> str:
        """What every path that matches begins with."""
        return _half(self._whole).start

    @cached_property
    def literal(self) -> bool:
        """Whether only that matches."""
        return _half(self._whole).literal

    @cached_property
    def _matches(self) -> _Compiled:
        return self._compiled(lines=False)

    @cached_property
    def _matches_lines(self) -> _Compiled:
        return self._compiled(lines=True)

    def _compiled(self, *, lines: bool) -> _Compiled:
        if self._halves is None:
            return re.compile(_joined(self._whole, lines=lines)), None
        above, name = self._halves
        return re.compile(_joined(above, lines=lines)), re.compile(_joined(name, lines=lines))

    def matches(self, above: str, name: str) -> bool:
        """Whether ``name`` in the directory ``above``, with a slash behind it, matches."""
        lines = "\n" in above or "\n" in name
        whole, last = self._matches_lines if lines else self._matches
        if last is None:
            return whole.fullmatch(above + name) is not None
        return last.fullmatch(name) is not None and whole.fullmatch(above) is not None


def _tokens(text: str) -> list[_GlobToken]:
    if text == "**":
        return [_REST_LINES]
    if text.startswith("**") and _SPECIAL.isdisjoint(text[2:]):
        if text[2] == "/":
            return [_DEEP_LINES, *map(_literal, text[3:])]
        return [_REST_LINES, *map(_literal, text[2:])]
    if text.endswith("**") and _SPECIAL.isdisjoint(text[:-2]):
        return [*map(_literal, text[:-2]), _REST_LINES]
    tokens = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*" and text[at : at + 1] == "*":
            at += 2 if text[at + 1 : at + 2] == "/" else 1
            tokens.append(_DEEP if at < len(text) else _REST)
        elif char == "*":
            tokens.append(_STAR)
        elif char == "?":
            tokens.append(_ANY)
        elif char == "[":
            token, at = _class(text, at)
            tokens.append(token)
        elif char == "\\":
            if at == len(text):
                raise ValueError("it ends with a backslash")
            tokens.append(_literal(text[at]))
            at += 1
        else:
            tokens.append(_literal(char))
    return tokens


def _literal(char: str) -> _GlobToken:
    return _SLASH if char == "/" else _GlobToken(re.escape(char), char)


def _class(text: str, at: int) -> tuple[_GlobToken, int]:
    """The class whose bracket stands before ``at``, and where it ends."""
    negated = text[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while text[at : at + 1] != "]" or not ranges:
        low, at = _member(text, at)
        high = low
        if text[at : at + 1] == "-":
            high, at = _member(text, at + 1)
        if high < low:
            raise ValueError(f"the range {low}-{high} is the wrong way round")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    regexp = f"[{'^' if negated else ''}{''.join(ranges)}]"
    return _GlobToken(regexp, crosses=re.fullmatch(regexp, "/") is not None), at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    char = text[at : at + 1]
    if char in ("-", "]"):
        raise ValueError(f"a {char} in brackets needs a backslash before it")
    at += char == "\\"
    if at + 1 >= len(text):
        raise ValueError("a bracket is not closed")
    return text[at], at + 1


def _halves(
    tokens: Sequence[_GlobToken],
) -> tuple[Sequence[_GlobToken], Sequence[_GlobToken]] | None:
    """The tokens before and behind the last slash of whatever matches, if that is one place."""
    cut = len(tokens)
    while cut and not tokens[cut - 1].crosses:
        cut -= 1
    if not cut:
        return (), tokens
    last, before = tokens[cut - 1], tokens[: cut - 1]
    if _ends_at_slash(tokens[:cut]):
        return tokens[:cut], tokens[cut:]
    if last not in _BETWEEN or not _ends_at_slash(before):
        return None
    directories, name = _BETWEEN[last]
    if cut == len(tokens):
        return (*before, directories), (name,)
    return None if before else ((directories,), (_STAR, *tokens[cut:]))


def _ends_at_slash(tokens: Sequence[_GlobToken]) -> bool:
    """Whether whatever matches is empty or ends with a slash."""
    while tokens and tokens[-1] in (_DEEP, _DEEP_LINES):
        tokens = tokens[:-1]
    return not tokens or tokens[-1] is _SLASH


def _half(tokens: Sequence[_GlobToken]) -> Half:
    texts = [""]
    for token in tokens:
        if token.text:
            texts[-1] += token.text
        else:
            texts.append("")
    return Half(_joined(tokens), texts[0], texts[-1], max(texts, key=len), len(texts) == 1)


def _joined(tokens: Sequence[_GlobToken], *, lines: bool = False) -> str:
    """One regular expression, whose stars do not look for one text again and again.

    What stands between two stars of one component may as well be found where it comes first.
    So may whole components between two ``**``, unless there may be newlines (``lines``): what
    is behind the first may be another place then.
    """
    out = []
    at = 0
    while at < len(tokens):
        token, end = tokens[at], at + 1
        if token is _STAR:
            while end < len(tokens) and tokens[end] is not _STAR and not tokens[end].crosses:
                end += 1
            if end < len(tokens) and tokens[end] is _STAR:
                between = "".join(token.regexp for token in tokens[at + 1 : end])
                out.append(f"(?>[^/]*?{between})")
                at = end
                continue
        elif token is _DEEP:
            while end < len(tokens) and (tokens[end] is _SLASH or not tokens[end].crosses):
                end += 1
            if end < len(tokens) and tokens[end] is _DEEP:
                between = _joined(tokens[at + 1 : end])
                if end == at + 1:
                    at = end
                    continue
                if tokens[end - 1] is _SLASH and not lines:
                    out.append(f"(?>(?:[^/]*/)*?{between})")
                    at = end
                    continue
        out.append(token.regexp)
        at += 1
    return "".join(out)


def as_text(name: str | bytes) -> str:
    """A name or a pattern as UTF-8, in any locale: a byte that is none is a character.

    So is what an argument has of such bytes. Raises ``UnicodeEncodeError`` for no text at all.
    """
    raw = as_bytes(name) if isinstance(name, str) else name
    return raw.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """What ``as_text`` was made of. Raises ``UnicodeEncodeError``."""
    return text.encode("utf-8", "surrogateescape")


def read_otherwise(text: str) -> str:
    """The part of a pattern that Docker reads otherwise, by mistake; empty if there is none."""
    if (
        _SPECIAL.isdisjoint(text)
        or (text.startswith("**") and _SPECIAL.isdisjoint(text[2:]))
        or (text.endswith("**") and _SPECIAL.isdisjoint(text[:-2]))
    ):
        return ""
    outside, at = "", 0
    while (start := text.find("[", at)) >= 0:
        if start and text[start - 1] == "\\":
            outside += text[at : start + 1]
            at = start + 1
            continue
        outside += text[at:start]
        end = _class(text, start + 1)[1]
        if found := _IN_CLASS.search(text[start:end]):
            return found[0]
        at = end
    return next((found[1] for found in _OTHERWISE.finditer(outside + text[at:]) if found[1]), "")
