"""``imgpack append``: more layers on top of an image."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.sources import parse_sources
from imgpack.cli.options.cache import CacheFlags, cache_options
from imgpack.cli.options.clock import now_ns, parse_time
from imgpack.cli.options.image.changing import Changing, changing_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import FILE
from imgpack.spec.config import rfc3339

if TYPE_CHECKING:
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.output.terminal import Terminal


@click.command("append")
@click.argument("source", type=FILE, metavar="IMAGE")
@click.argument("layers", type=FILE, metavar="LAYER...", nargs=-1, required=True)
@click.option(
    "--compression",
    metavar="gzip[:1-12]|zstd[:1-19]|none",
    help="How layers of directories are compressed. [default: gzip]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["docker", "oci"]),
    help="Whose media types the image gets. [default: its own]",
)
@click.option("--created", metavar="TIME", help="The image's time. [default: the newest file's]")
@click.option("--author", metavar="TEXT", help="The author.")
@click.option("--comment", metavar="TEXT", help="A comment for the history.")
@cache_options
@changing_options
@click.pass_obj
def append(
    terminal: Terminal,
    *,
    source: str,
    layers: tuple[str, ...],
    compression: str | None,
    kind: str | None,
    created: str | None,
    author: str | None,
    comment: str | None,
    cache: CacheFlags,
    changing: Changing,
) -> None:
    """Put a layer of each LAYER on top of IMAGE, the first one lowest.

    A tar file (plain, gzip or zstd) is a layer as it is, byte for byte; a directory, or
    DIR:/dest, is packed as a build on IMAGE packs it. Each platform gets the layers, unless
    --platform chooses one. The configuration stays.
    """
    codec = api.Codec.parse(compression or "gzip")
    time = "" if created is None else rfc3339(parse_time(created, "--created"))
    trees = [_layer(one, terminal) for one in layers]
    if compression is not None and all(map(_is_raw, trees)):
        raise click.UsageError("--compression is for directories: a tar file is a layer as it is")
    with (
        cache.opened([tree for tree in trees if not _is_raw(tree)], terminal) as segments,
        changing.open(source, terminal, trees) as change,
        api.append(
            change.named.image,
            trees,
            where=change.where,
            format=None if kind is None else api.Format(kind),
            compression=codec,
            created=time,
            author=author or "",
            comment=comment or "",
            platform=change.platform,
            scratch=scratch_directory,
            cache=segments,
            jobs=changing.jobs,
            clock=now_ns,
            reporter=terminal,
        ) as image,
    ):
        if image == change.named.image:
            terminal.warn(f"{change.where}: there is nothing to change: no layer has anything new")
        change.write(replace(change.named, image=image))


def _layer(text: str, terminal: Terminal) -> Source:
    raw = os.path.isfile(text) and not text.endswith(".mtree")
    (tree,) = parse_sources(() if raw else (text,), terminal, (text,) if raw else (), option="")
    return tree


def _is_raw(tree: Source) -> bool:
    return isinstance(tree.tree, api.RawLayer)
