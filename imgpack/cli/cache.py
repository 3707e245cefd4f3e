"""``imgpack cache``: what the segment cache holds, and making it smaller."""

import json

import click

from imgpack.cli.caching import default_directory, parse_size, trim
from imgpack.cli.display import human_size
from imgpack.cli.terminal import Terminal
from imgpack.layer.cache import SegmentCache

_directory = click.option(
    "--cache-dir", type=click.Path(), metavar="DIR", help="The cache, if not the default one."
)


@click.group("cache")
def command() -> None:
    """Show or prune the segment cache."""


@command.command("info")
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.pass_obj
def info(terminal: Terminal, *, cache_dir: str | None, as_json: bool) -> None:
    """Show where the cache is and what it holds."""
    cache = SegmentCache(cache_dir or default_directory(), terminal.warn)
    usage = cache.usage()
    if as_json:
        document = {
            "directory": cache.directory,
            "segments": usage.segments,
            "layers": usage.layers,
            "size": usage.size,
        }
        click.echo(json.dumps(document))
        return
    click.echo(f"directory  {cache.directory}")
    click.echo(f"segments   {usage.segments}")
    click.echo(f"layers     {usage.layers}")
    click.echo(f"size       {human_size(usage.size)}")


@command.command("prune")
@_directory
@click.option(
    "--keep", default="0", show_default=True, metavar="SIZE", help="Leave the newest, up to SIZE."
)
@click.pass_obj
def prune(terminal: Terminal, *, cache_dir: str | None, keep: str) -> None:
    """Drop the least recently used entries; by default all of them."""
    cache = SegmentCache(cache_dir or default_directory(), terminal.warn)
    count, size = trim(cache, parse_size(keep, "--keep"))
    click.echo(f"dropped {count} entries, {human_size(size)}")
