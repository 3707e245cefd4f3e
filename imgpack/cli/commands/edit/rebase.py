"""``imgpack rebase``: an image moved to another base, its own layers as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.cache import CacheFlags, tables_cache_options, trim
from imgpack.cli.options.destination import Destination, destination_options
from imgpack.cli.options.index.annotations import annotated, annotation_option
from imgpack.cli.options.location import (
    Choice,
    choice_options,
    scratch_directory,
)
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.options.transfer import jobs_option
from imgpack.cli.output.display import one_line

if TYPE_CHECKING:
    from imgpack.api import OnNewBase
    from imgpack.cli.output.terminal import Terminal

_SHOWN: Final = 10
"""Findings of one kind that are told without ``--verbose``."""
_AFTERWARDS: Final = {
    "type": "build the image again on the new base: a rebase cannot put this right",
    "attributes": "build the image again on the new base, which keeps its directories as they are",
    "changed": "the image's own are kept; build it again if it should have the new base's",
}


@click.command("rebase")
@click.argument("source", type=FILE, metavar="IMAGE")
@click.option(
    "--onto", type=FILE, required=True, metavar="BASE", help="The base that it gets: as SRC."
)
@click.option(
    "--from",
    "old",
    type=FILE,
    metavar="OLDBASE",
    help="The base that it is on. [default: what its annotations name]",
)
@destination_options
@click.option(
    "--no-look",
    is_flag=True,
    help="Read no layers, and so say nothing of what may not work on the new base.",
)
@tables_cache_options
@annotation_option("manifest")
@record_options
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def rebase(
    terminal: Terminal,
    *,
    source: str,
    onto: str,
    old: str | None,
    destination: Destination,
    no_look: bool,
    cache: CacheFlags,
    annotation: tuple[str, ...],
    record: Record,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Put the layers that IMAGE has on top of its base on another BASE; no layer is made.

    What the configuration has from the old base comes from the new one. What may not work
    there is said on standard error.
    """
    source, choice = choice.at(source)
    sources = (source, onto, old)
    destination.check(sources, record)
    annotations = api.Annotations.parse(annotation)
    segments, limit = cache.open((), terminal), cache.limit
    with (
        destination.connect(registry, terminal, sources, jobs) as registries,
        api.open(source, registries=registries, scratch=scratch_directory) as opened,
    ):
        named = choice.one(opened)
        with api.rebase(
            named.image,
            onto,
            old=old,
            where=source,
            look=not no_look,
            registries=registries,
            scratch=scratch_directory,
            cache=segments,
            jobs=jobs,
            reporter=terminal,
        ) as rebased:
            _tell(terminal, rebased)
            made = replace(named, image=rebased.image, fields=())
            made = annotated(made, annotations, terminal)
            more = {} if rebased.findings is None else {"findings": rebased.as_json()}
            destination.write(made, terminal, registries, sources, jobs, record, more)
    if segments is not None and segments.stored:
        trim(segments, limit)


def _tell(terminal: Terminal, rebased: OnNewBase) -> None:
    """Say what was found, some of each kind, and what to do about it."""
    for platform, findings in (rebased.findings or {}).items():
        where = f"{platform}: " if len(rebased.findings or {}) > 1 else ""
        told: Counter[str] = Counter()
        for one in findings:
            told[one.kind] += 1
            if told[one.kind] <= _SHOWN or terminal.verbose:
                terminal.warn(one_line(f"{where}{one.text}"), _AFTERWARDS.get(one.kind, ""))
        for kind, count in told.items():
            if count > _SHOWN and not terminal.verbose:
                terminal.warn(f"{where}and {count - _SHOWN} more of the kind {kind!r}")
