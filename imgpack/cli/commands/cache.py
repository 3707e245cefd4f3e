"""``imgpack cache``: what the segment cache holds, and making it smaller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.cache import (
    cache_dir_option,
    chosen_directory,
    parse_since,
    parse_size,
)
from imgpack.cli.options.clock import now_ns
from imgpack.cli.output.display import available, folded
from imgpack.cli.output.usage import Subcommands
from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal

_LEFT_NS: Final = 600 * 10**9
"""Nanoseconds: no build takes minutes for one file, and who trims wants the space now."""


@click.group("cache", cls=Subcommands)
def cache() -> None:
    """Show or trim the segment cache."""


@cache.command("info")
@cache_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.pass_obj
def info(terminal: Terminal, *, cache_dir: str | None, as_json: bool) -> None:
    """Show where the cache is and what it holds."""
    cache = api.SegmentCache(chosen_directory(cache_dir), terminal.warn, create=False)
    usage = cache.usage()
    if as_json:
        document = {
            "directory": cache.directory,
            "segments": usage.segments,
            "layers": usage.layers,
            "trees": usage.trees,
            "fetched": usage.fetched,
            "unfinished": usage.unfinished,
            "size": usage.size,
        }
        click.echo(json.dumps(document))
        return
    click.echo("\n".join(folded(f"directory  {cache.directory}", available(), 11)))
    click.echo(f"segments   {usage.segments}")
    click.echo(f"layers     {usage.layers}")
    click.echo(f"trees      {usage.trees}")
    click.echo(f"fetched    {usage.fetched}")
    click.echo(f"unfinished {usage.unfinished}")
    click.echo(f"size       {human_size(usage.size)}")


@cache.command("trim")
@cache_dir_option
@click.option(
    "--max-size", metavar="SIZE", help="Drop the least recently used, until SIZE is left."
)
@click.option(
    "--used-since",
    metavar="TIME|FILE",
    help="Drop what was not used since: 7d, 12h, 2026-01-31T12:00:00Z, or a file's mtime.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.pass_obj
def trim(
    terminal: Terminal,
    *,
    cache_dir: str | None,
    max_size: str | None,
    used_since: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Drop what is old or too much, as before a CI job saves it, and what killed builds left.

    A file whose mtime is the start of the job keeps what the job used.
    """
    if max_size is None and used_since is None:
        raise click.UsageError("say what to keep: --max-size SIZE, --used-since TIME, or both")
    limit = None if max_size is None else parse_size(max_size, "--max-size")
    since = None if used_since is None else parse_since(used_since, "--used-since")
    cache = api.SegmentCache(chosen_directory(cache_dir), terminal.warn, create=False)
    done = cache.trim_whole(limit, since, stale_ns=now_ns() - _LEFT_NS, dry=dry_run)
    if as_json:
        document = {
            "directory": cache.directory,
            "dropped": done.dropped,
            "freed": done.freed,
            "size": done.size,
            "dry_run": dry_run,
        }
        click.echo(json.dumps(document))
        return
    would = "would drop" if dry_run else "dropped"
    freed, size = human_size(done.freed), human_size(done.size)
    click.echo(f"{would} {done.dropped} entries, {freed}; {size} left")


@cache.command("prune", hidden=True)
@cache_dir_option
@click.option("--keep", default="0", metavar="SIZE", help="As trim --max-size.")
@click.pass_obj
def prune(terminal: Terminal, *, cache_dir: str | None, keep: str) -> None:
    """Drop the least recently used entries, by default all of them: as trim --max-size."""
    limit = parse_size(keep, "--keep")
    cache = api.SegmentCache(chosen_directory(cache_dir), terminal.warn, create=False)
    done = cache.trim_whole(limit, None, stale_ns=now_ns() - _LEFT_NS)
    click.echo(f"dropped {done.dropped} entries, {human_size(done.freed)}")
