"""All that decides what is in an image, as ``build`` takes it: the groups of its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from imgpack.cli.options.build.base import BaseFlags, base_options
from imgpack.cli.options.build.config import (
    ImageFlags,
    RuntimeFlags,
    image_options,
    in_unicode,
    runtime_options,
)
from imgpack.cli.options.build.exclusion import (
    DryRunFlags,
    ExcludeFlags,
    dry_run_options,
    exclude_options,
)
from imgpack.cli.options.build.layers import LayerFlags, layer_options
from imgpack.cli.options.build.rules import RuleFlags, rule_options
from imgpack.cli.options.build.shape import ShapeFlags, shape_options
from imgpack.cli.options.build.unset import UnsetFlags, unset_options
from imgpack.cli.options.parameters import gathered

if TYPE_CHECKING:
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.options.build.shape import Parse


@dataclass(frozen=True, slots=True)
class BuildFlags:
    """The values of all groups."""

    base: BaseFlags
    image: ImageFlags
    runtime: RuntimeFlags
    unset: UnsetFlags
    exclude: ExcludeFlags
    layers: LayerFlags
    rules: RuleFlags
    shape: ShapeFlags
    dry_run: DryRunFlags

    def __post_init__(self) -> None:
        for name in ("image", "runtime", "unset"):
            object.__setattr__(self, name, in_unicode(getattr(self, name)))
        for option, base in ("--from", self.base.base), ("--diff-from", self.shape.diff_from):
            if base == "":
                raise click.UsageError(
                    f"{option} is empty; name the image to build on, or leave it out"
                )
        if self.shape.diff_from is not None:
            if self.base.base is not None:
                raise click.UsageError("--from and --diff-from exclude each other")
            object.__setattr__(self, "base", replace(self.base, base=self.shape.diff_from))
        if not self.base.given:
            self.unset.check_base()

    def read(
        self, sources: Sequence[str], parse: Parse, warn: Callable[[str], None]
    ) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
        """What goes in, as ``ShapeFlags.read``. Raises ``UsageError`` if it is nothing at all."""
        raw, shape = self.layers.raw_layers, self.shape
        if not (sources or raw or shape.overlay_uppers or shape.diff or self.base.base):
            raise click.UsageError(
                "nothing goes into the image; name a directory, or a base with --from"
            )
        return shape.read(sources, raw, parse, warn)


build_options = gathered(
    "flags",
    BuildFlags,
    base_options,
    image_options,
    runtime_options,
    unset_options,
    exclude_options,
    layer_options,
    rule_options,
    shape_options,
    dry_run_options,
)
