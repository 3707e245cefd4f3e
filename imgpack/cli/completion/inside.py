"""What is offered for a path inside of an image: names in the directory that is typed.

Invariants: as for ``values``. An image in a registry offers nothing, nor does one of which more
had to be read than ``_LARGEST`` bytes; nothing takes longer than ``_SECONDS``.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from imgpack import api, errors
from imgpack.api.bases import split
from imgpack.cli.options.cache import chosen_directory
from imgpack.cli.options.location import scratch_directory
from imgpack.spec.format import detect

if TYPE_CHECKING:
    from imgpack.api import SegmentCache

_LARGEST: Final = 8 << 20
_SECONDS: Final = 2.0
_NAMES: Final = 1000
_PLAIN: Final = re.compile(r"[\w.,:+@%=^-]+")
"""Names that mean themselves to every shell."""


def paths_inside(ctx: click.Context, incomplete: str) -> list[str]:
    """The paths that ``incomplete`` may become; directories end in a slash."""
    try:
        with _in_time():
            return list(islice(_paths(ctx, incomplete), _NAMES))
    except (errors.ImgpackError, OSError):  # too late is one of them
        return []


def _paths(ctx: click.Context, incomplete: str) -> Iterator[str]:
    location = os.path.expanduser(str(ctx.params.get("location") or ""))
    image, platform = ctx.params.get("image"), ctx.params.get("platform")
    if not _is_near(str(split(location)[0])):
        return
    typed, slash, begun = incomplete.rpartition("/")
    start = f"{typed}{slash}" or ("" if begun else "/")
    with api.open_files(
        location,
        image=image,
        platform=None if platform is None else api.Platform.parse(platform),
        scratch=scratch_directory,
        cache=_cache(ctx),
        at_most=_LARGEST,
    ) as files:
        above = api.find_path(files, os.fsencode(typed)).row.path
        inside = len(above) + 1 if above else 0
        for one in files.shown(above, deep=False):
            name = os.fsdecode(one.row.path[inside:])
            if one.row.path != above and name.startswith(begun) and _PLAIN.fullmatch(name):
                end = "/" if one.row.is_directory else ""
                yield f"{start}{name}{end}"


def _is_near(path: str) -> bool:
    """Whether it is a layout, or an archive that can be read at any place, or is small."""
    if not os.path.isfile(path):  # neither a pipe nor a reference
        return os.path.isdir(path)
    with open(path, "rb") as file:
        return detect(file.read(512)) == "none" or os.path.getsize(path) <= _LARGEST


def _cache(ctx: click.Context) -> SegmentCache | None:
    if ctx.params.get("no_cache"):
        return None
    try:
        return api.SegmentCache(chosen_directory(ctx.params.get("cache_dir")), create=False)
    except errors.CacheError:
        return None


@contextmanager
def _in_time() -> Iterator[None]:
    """Raise ``TimeoutError`` if the block is not done in time."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
