"""Where the segment cache is, how large it may grow, and how many cores there are."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.build.sources import containing
from imgpack.cli.options.clock import now_ns, parse_time, whole_nanoseconds
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import DIRECTORY, gathered
from imgpack.errors import CacheError, ConfigError, Remedy, printable
from imgpack.files.scratch import directory_for_a_while

if TYPE_CHECKING:
    from imgpack.api import SegmentCache
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
SHARED: Final = "imgpack-cache"
"""What the cache of one run is called."""
_DAY_NS: Final = 86_400 * 10**9
"""Nanoseconds after which a build takes an unfinished file for one that a killed build left."""


def default_directory() -> str:
    """imgpack's directory in the XDG cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(base):
        home = os.path.expanduser("~") if os.environ.get("HOME") != "" else ""
        base = os.path.join(home, ".cache")
    if not os.path.isabs(base):
        raise CacheError("there is no home directory for a cache", "name one with --cache-dir")
    return os.path.join(base, "imgpack")


def chosen_directory(directory: str | None) -> str:
    """What ``--cache-dir`` says, or the default."""
    if directory == "":
        raise click.UsageError("--cache-dir is empty; name a directory")
    return default_directory() if directory is None else directory


@dataclass(frozen=True, slots=True)
class CacheFlags:
    """Which cache a build uses, if it uses one."""

    cache_dir: str | None
    no_cache: bool
    cache_limit: str

    @property
    def limit(self) -> int:
        """Bytes that it may hold. Raises ``click.UsageError``."""
        return parse_size(self.cache_limit, "--cache-limit")

    def open(self, trees: Sequence[Source], terminal: Terminal) -> SegmentCache | None:
        """The cache, which must not lie in one of ``trees``.

        The default one is done without if it cannot be used.
        """
        if self.no_cache:
            return None
        try:
            place = chosen_directory(self.cache_dir)
            if tree := containing(trees, place):
                raise CacheError(
                    f"the cache {place} lies inside the source {printable(tree.tree.root)}",
                    Remedy.OTHER_CACHE(),
                )
            return api.SegmentCache(place, terminal.warn)
        except CacheError as error:
            if self.cache_dir is not None:
                raise
            terminal.warn(f"going on without a cache: {error.message}")
            return None

    @contextmanager
    def opened(self, trees: Sequence[Source], terminal: Terminal) -> Iterator[SegmentCache | None]:
        """As ``open``, and trimmed after a build that ends well.

        Without a cache it is one of this run if a tree is in several images, so that it is
        compressed once.
        """
        limit, cache = self.limit, self.open(trees, terminal)
        if cache is not None:
            yield cache
            if cache.stored:
                trim(cache, limit)
            return
        roots = [tree.tree.root for tree in trees]
        if len(set(roots)) == len(roots) or containing(trees, scratch_directory()):
            yield None
            return
        with directory_for_a_while(scratch_directory(), SHARED) as place:
            yield api.SegmentCache(place, terminal.warn)


cache_dir_option = click.option(
    "--cache-dir", type=DIRECTORY, metavar="DIR", help="Where segments are cached."
)
_others: Final = (
    click.option("--no-cache", is_flag=True, help="Neither read nor write the cache."),
    click.option(
        "--cache-limit",
        default="10GiB",
        show_default=True,
        metavar="SIZE",
        help="Bytes that the cache may hold.",
    ),
)
cache_options = gathered("cache", CacheFlags, cache_dir_option, *_others)
tables_cache_options = gathered(
    "cache",
    CacheFlags,
    click.option(
        "--cache-dir",
        type=DIRECTORY,
        metavar="DIR",
        help="Where it is remembered which files layers have.",
    ),
    *_others,
)
"""For commands that look at images, and compress nothing."""


def trim(cache: SegmentCache, limit: int) -> None:
    """Bring the cache under ``limit`` bytes after a build, and drop what killed ones left."""
    cache.trim(limit, stale_ns=now_ns() - _DAY_NS)


def parse_since(text: str, option: str) -> int:
    """A time that has gone by, in nanoseconds since 1970.

    Written as a duration until now (``7d``), as ``parse_time`` has it, or as the path of a file,
    whose mtime it is. Raises ``click.UsageError``.
    """
    now = now_ns()
    if match := _DURATION.fullmatch(text):
        return now - int(match[1]) * _UNITS[match[2]] * 10**9
    try:
        since = whole_nanoseconds(parse_time(text, option))
    except ConfigError:
        try:
            since = os.stat(text).st_mtime_ns
        except (OSError, ValueError):
            raise click.UsageError(
                f"{option} {text!r} is neither a time nor a file; write 7d, 12h, "
                "2026-01-31T12:00:00Z, or the path of a file whose mtime counts"
            ) from None
    if since > now:
        raise click.UsageError(f"{option} {text!r} is in the future, and nothing was used since")
    return since


def parse_size(text: str, option: str) -> int:
    """A number of bytes, as ``10GiB``, ``500M`` or ``0``; units are powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.UsageError(f"{option} {text!r} is not a size; write 10GiB, 500M or a number")
    size = float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " ")
    if size >= 1 << 63:
        raise click.UsageError(f"{option} {text!r} is too large; write 10GiB, 500M or a number")
    return int(size)


def usable_cpus() -> int:
    """The CPUs that this process may use: its affinity, bounded by its cgroup's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            return max(1, min(count or 1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count or 1
