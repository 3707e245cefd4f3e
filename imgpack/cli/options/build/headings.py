"""The headings under which ``build --help`` lists its many options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

import click

from imgpack.cli.options.build.base import BaseFlags
from imgpack.cli.options.build.config import ImageFlags, RuntimeFlags
from imgpack.cli.options.build.exclusion import DryRunFlags, ExcludeFlags
from imgpack.cli.options.build.kinds import SourcesCommand
from imgpack.cli.options.build.rules import RuleFlags
from imgpack.cli.options.build.shape import ShapeFlags
from imgpack.cli.options.build.unset import UnsetFlags
from imgpack.cli.options.cache import CacheFlags
from imgpack.cli.options.engine import LoadFlags
from imgpack.cli.options.index.annotations import AnnotationFlags
from imgpack.cli.options.metadata import Record
from imgpack.cli.options.push import PushFlags
from imgpack.cli.options.registry import RegistryOptions
from imgpack.cli.options.signing import Schema1Flags
from imgpack.cli.options.transfer import MountFlags


def _names(*kinds: Any) -> tuple[str, ...]:
    return tuple(field.name for kind in kinds for field in fields(kind))


_HEADINGS: Final = (
    ("Output", ("tags", "output", "prune", "image_format", "compression", *_names(Record))),
    ("Project file", ("project_file", "settings", "print_plan")),
    ("Push", ("push", *_names(MountFlags, Schema1Flags, PushFlags))),
    ("Load", _names(LoadFlags)),
    ("Base image", _names(BaseFlags)),
    ("What goes in", (*_names(ExcludeFlags, DryRunFlags), "raw_layers")),
    ("Shape of the layers", _names(ShapeFlags)),
    ("Owners, modes and times", ("owner", "mtime", *_names(RuleFlags))),
    ("Image configuration", _names(ImageFlags, AnnotationFlags, RuntimeFlags, UnsetFlags)),
    ("Speed and cache", ("jobs", "check_contents", "explain", *_names(CacheFlags))),
    ("Registries", _names(RegistryOptions)),
)
"""Each with the parameters below it; the first that has one lists it."""
_OTHERS: Final = "Other options"


class BuildCommand(SourcesCommand):
    """A command whose help has headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, but one list a heading."""
        found: dict[str, list[tuple[str, str]]] = {title: [] for title, _ in _HEADINGS}
        for title, record in self._records(ctx):
            found.setdefault(title, []).append(record)
        for title, records in found.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _records(self, ctx: click.Context) -> Iterator[tuple[str, tuple[str, str]]]:
        """The heading of each option, and its two columns."""
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                titles = (title for title, names in _HEADINGS if param.name in names)
                yield next(titles, _OTHERS), record
