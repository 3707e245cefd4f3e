"""What ``imgpack diff`` compares: ``--only``, ``--ignore``, ``--path`` and ``--exclude``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from imgpack import api
from imgpack.cli.options.parameters import KnownWords, gathered

_SECTIONS: Final = tuple(one.value for one in api.Section)
_TIMES: Final = "times"
_ONLY: Final = KnownWords(_SECTIONS)
_IGNORE: Final = KnownWords((_TIMES, *(one.value for one in api.Ignored), *_SECTIONS))


@dataclass(frozen=True, slots=True)
class Selected:
    """The values of the options, as they were given."""

    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def parse(self) -> api.ComparisonScope:
        """What they mean. Raises ``click.UsageError``, and ``ConfigError`` for a pattern."""
        only = _ONLY.of(self.only, "--only")
        ignore = _IGNORE.of(self.ignore, "--ignore")
        sections = {api.Section(one) for one in only or _SECTIONS}
        sections -= {api.Section(one) for one in ignore if one in _SECTIONS}
        ignored = {api.Ignored(one) for one in ignore if one not in (_TIMES, *_SECTIONS)}
        if _TIMES in ignore:
            ignored |= {api.Ignored.MTIME, api.Ignored.CREATED}
        if not sections:
            raise click.UsageError("--only and --ignore leave nothing to compare")
        return api.ComparisonScope(
            frozenset(sections),
            frozenset(ignored),
            tuple(_clean(path) for path in self.path),
            api.ignore(self.exclude) if self.exclude else None,
        )


def _clean(path: str) -> bytes:
    """A path of an image without the slashes and dots that it may begin or end with."""
    parts = [part for part in path.encode(errors="surrogateescape").split(b"/") if part]
    parts = [part for part in parts if part != b"."]
    if b".." in parts:
        raise click.UsageError(f"--path {path!r} leads out with ..; write it as it is in the image")
    return b"/".join(parts)


selection_options = gathered(
    "selected",
    Selected,
    click.option(
        "--only",
        type=_ONLY,
        multiple=True,
        metavar="|".join(_SECTIONS),
        help="Compare this part alone; several with commas, or given again.",
    ),
    click.option(
        "--ignore",
        type=_IGNORE,
        multiple=True,
        metavar="WHAT",
        help=f"What is not to count, several with commas: {', '.join(_IGNORE.known)}. "
        "times is mtime and created.",
    ),
    click.option(
        "--path",
        multiple=True,
        metavar="PATH",
        help="Compare files at or below this path of the image alone.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="Leave out files, as a line of an ignore file does.",
    ),
)
