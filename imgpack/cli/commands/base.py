"""``imgpack base``: locks of base images, and their layers in the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.build.base import SCRATCH
from imgpack.cli.options.cache import CacheFlags, cache_options, trim, usable_cpus
from imgpack.cli.options.location import (
    base_place,
    connect_for,
    from_standard_input,
    scratch_directory,
)
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import jobs_option
from imgpack.cli.output.display import available, counted, folded, shortened
from imgpack.cli.output.usage import Subcommands
from imgpack.errors import ImgpackError, MovedError, OutputError, Remedy, UnsupportedError
from imgpack.events import human_size
from imgpack.files.atomic import write_file

if TYPE_CHECKING:
    from imgpack.api import Lock, Moved
    from imgpack.cli.output.terminal import Terminal

platforms_option = click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Which ones of a multi-platform base (repeatable). [default: what build takes]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")


@click.group("base", cls=Subcommands)
def base() -> None:
    """Lock base images, update the locks, and fetch their layers."""


@base.command("lock")
@click.argument("location", type=FILE, metavar="BASE")
@platforms_option
@click.option("-o", "--output", required=True, type=FILE, metavar="FILE", help="The lock.")
@json_option
@cache_options
@registry_options
@click.pass_obj
def lock(
    terminal: Terminal,
    *,
    location: str,
    platforms: tuple[str, ...],
    output: str,
    as_json: bool,
    cache: CacheFlags,
    registry: RegistryOptions,
) -> None:
    """Write a lock of BASE: with it, images are built without network and without its layers.

    BASE is as for build --from. The lock is small text, to be committed.
    """
    wanted = [api.Platform.parse(text) for text in platforms]
    _check_base(location)
    _check_output(output)
    where = from_standard_input(location)
    segments = cache.open((), terminal)
    with connect_for(base_place(where), terminal, registry) as registries:
        made = api.lock_base(
            where,
            platforms=wanted,
            registries=registries,
            scratch=scratch_directory,
            cache=segments,
            jobs=usable_cpus(),
            reporter=terminal,
        )
    _write(output, made)
    if segments is not None:
        trim(segments, cache.limit)
    if as_json:
        click.echo(json.dumps(_described(output, made)))
        return
    terminal.result(f"{output}: {_name(made)}@{made.target.digest}")


@base.command("update")
@click.argument("path", type=FILE, metavar="LOCK")
@click.option("--check", is_flag=True, help="Change nothing; fail if the base has moved.")
@json_option
@cache_options
@registry_options
@click.pass_obj
def update(
    terminal: Terminal,
    *,
    path: str,
    check: bool,
    as_json: bool,
    cache: CacheFlags,
    registry: RegistryOptions,
) -> None:
    """Move LOCK to what its name points to now, and say what changed."""
    known = api.read_lock(path)
    place = known.asked if known.reference is None else str(known.reference)
    segments = cache.open((), terminal)
    with connect_for(base_place(place), terminal, registry) as registries:
        old, new = api.update_lock(
            path,
            registries=registries,
            scratch=scratch_directory,
            cache=segments,
            jobs=usable_cpus(),
            reporter=terminal,
        )
    changes = api.moved(old, new)
    same = old.target.digest == new.target.digest
    if as_json:
        told = {"moved": not same, "from": old.target.as_json()}
        differ = {"changes": [one.as_json() for one in changes]}
        click.echo(json.dumps(_described(path, new) | told | differ))
    else:
        columns = available()
        for line in _changes(old, new, changes):
            click.echo("\n".join(folded(shortened(line, columns), columns, 12)))
    if check and not same:
        raise MovedError(f"{path}: {_name(new)} has moved", Remedy.UPDATE_LOCK(path))
    if not same:
        _write(path, new)


@base.command("fetch")
@click.argument("location", type=FILE, metavar="LOCK|BASE")
@platforms_option
@json_option
@jobs_option
@cache_options
@registry_options
@click.pass_obj
def fetch(
    terminal: Terminal,
    *,
    location: str,
    platforms: tuple[str, ...],
    as_json: bool,
    jobs: int,
    cache: CacheFlags,
    registry: RegistryOptions,
) -> None:
    """Fetch the layers of a lock or base into the cache, for whole images without network."""
    _check_base(location)
    wanted = [api.Platform.parse(text) for text in platforms]
    segments = cache.open((), terminal)
    if segments is None:
        raise UnsupportedError(
            "layers are fetched into the cache, and there is none",
            "leave out --no-cache, or name one with --cache-dir",
        )
    where = from_standard_input(location)
    place = where
    if api.is_lock(where):
        known = api.read_lock(where)
        place = known.asked if known.reference is None else str(known.reference)
    with connect_for(base_place(place), terminal, registry, jobs=jobs) as registries:
        layers = api.fetch_base(
            where,
            segments,
            platforms=wanted,
            limit=cache.limit,
            registries=registries,
            scratch=scratch_directory,
            jobs=jobs,
            reporter=terminal,
        )
    trim(segments, cache.limit)
    size = sum(layer.size for layer in layers)
    if as_json:
        told = [layer.as_json() for layer in layers]
        click.echo(json.dumps({"directory": segments.directory, "layers": told}))
        return
    click.echo(f"{counted(len(layers), 'layer')}, {human_size(size)}, in {segments.directory}")


def _check_base(location: str) -> None:
    if location == SCRATCH:
        raise click.UsageError(f"{SCRATCH} is no base at all; name an image")


def _check_output(path: str) -> None:
    """Refuse to replace what is no lock. Raises ``OutputError``."""
    if path.endswith("/") or os.path.isdir(path):
        raise OutputError(f"the lock {path} would be a directory", "name a file")
    if os.path.isfile(path) and os.path.getsize(path):
        try:
            api.read_lock(path)
        except ImgpackError as error:
            raise OutputError(
                f"{path} is there, and is no lock that can be read",
                "remove it, or name another file",
            ) from error


def _write(path: str, lock: Lock) -> None:
    write_file(path, lock.encode())


def _name(lock: Lock) -> str:
    return lock.asked if lock.reference is None else lock.reference.shown().partition("@")[0]


def _described(path: str, lock: Lock) -> dict[str, object]:
    """A lock for programs."""
    return {
        "lock": path,
        "asked": lock.asked,
        "name": None if lock.name is None else str(lock.name),
        "pointsTo": lock.target.as_json(),
        "images": [
            {
                "platform": image.platform.as_json(),
                "manifest": image.manifest.descriptor.as_json(),
                "config": image.manifest.config.as_json(),
                "layers": [layer.as_json() for layer in image.manifest.layers],
            }
            for image in lock.images
        ],
    }


def _changes(old: Lock, new: Lock, changes: tuple[Moved, ...]) -> Iterator[str]:
    if old.target.digest == new.target.digest:
        yield f"{_name(new)} has not moved: {new.target.digest}"
        return
    yield f"{_name(new)} has moved"
    yield f"  from      {old.target.digest}"
    yield f"  to        {new.target.digest}"
    if not changes:
        yield "  the locked images are the same"
    for change in changes:
        yield change.platform
        yield f"  from      {change.before}"
        yield f"  to        {change.after}"
        yield f"  layers    {change.layers_kept} kept, {len(change.layers_new)} new"
        yield f"  config    {', '.join(change.config) or 'the same'}"
        counts = f"{change.added} added, {change.removed} removed, {change.changed} changed"
        yield f"  files     {counts}"
