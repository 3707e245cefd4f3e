"""``imgpack cache``: what the segment cache holds, and making it smaller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.cache import cache_dir_option, chosen_directory, parse_size, trim
from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal

_LEFT_NS: Final = 600 * 10**9
"""Nanoseconds: no build takes minutes for one file, and who prunes wants the space now."""


@click.group("cache")
def cache() -> None:
    """Show or prune the segment cache."""


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
    click.echo(f"directory  {cache.directory}")
    click.echo(f"segments   {usage.segments}")
    click.echo(f"layers     {usage.layers}")
    click.echo(f"trees      {usage.trees}")
    click.echo(f"fetched    {usage.fetched}")
    click.echo(f"unfinished {usage.unfinished}")
    click.echo(f"size       {human_size(usage.size)}")


@cache.command("prune")
@cache_dir_option
@click.option(
    "--keep", default="0", show_default=True, metavar="SIZE", help="Leave the newest, up to SIZE."
)
@click.pass_obj
def prune(terminal: Terminal, *, cache_dir: str | None, keep: str) -> None:
    """Drop the least recently used entries, by default all of them, and what killed builds left."""
    cache = api.SegmentCache(chosen_directory(cache_dir), terminal.warn, create=False)
    count, size = trim(cache, parse_size(keep, "--keep"), _LEFT_NS)
    click.echo(f"dropped {count} entries, {human_size(size)}")
