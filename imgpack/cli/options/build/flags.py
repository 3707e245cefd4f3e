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
from imgpack.cli.options.index.annotations import AnnotationFlags, annotation_options
from imgpack.cli.options.parameters import gathered
from imgpack.files.streams import STDIN, STDIN_PATH

if TYPE_CHECKING:
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.options.build.shape import Parse


@dataclass(frozen=True, slots=True)
class BuildFlags:
    """The values of all groups; ``project_file`` is where they come from, if it is a file."""

    base: BaseFlags
    image: ImageFlags
    runtime: RuntimeFlags
    unset: UnsetFlags
    exclude: ExcludeFlags
    layers: LayerFlags
    rules: RuleFlags
    shape: ShapeFlags
    annotated: AnnotationFlags
    dry_run: DryRunFlags
    project_file: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """What is read beside trees, base and archives."""
        given = (self.project_file, self.rules.mtree, self.rules.fakeroot_state)
        return (*filter(None, given), *self.exclude.files)

    def __post_init__(self) -> None:
        for name in ("image", "runtime", "unset", "annotated"):
            object.__setattr__(self, name, in_unicode(getattr(self, name)))
        self.annotated.check_format(self.image.image_format)
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
            self.base.check_base()
            self.unset.check_base()

    def read(
        self, sources: Sequence[str], parse: Parse, warn: Callable[[str], None]
    ) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
        """What goes in, as ``ShapeFlags.read``.

        Raises ``UsageError`` if it is nothing at all, and for options that would do nothing.
        """
        raw, shape = self.layers.raw_layers, self.shape
        if not (sources or raw or shape.overlay_uppers or shape.diff or self.base.base):
            raise click.UsageError(
                "nothing goes into the image; name a directory, or a base with --from, or write "
                "imgpack.toml"
            )
        if not (sources or shape.overlay_uppers):
            self._check_packed()
        if not (self.base.given or shape.diff or len(sources) > 1) and self.base.keep_identical:
            raise click.UsageError("--keep-identical is about a base; add --from BASE")
        self._check_input(sources)
        return shape.read(sources, raw, parse, warn)

    def _check_packed(self) -> None:
        """Refuse what is about the files of a SRC, where there is none."""
        exclude, rules = self.exclude, self.rules
        given = {
            "--exclude": exclude.exclude,
            "--ignore-file": exclude.ignore_file,
            "--chown": rules.chown,
            "--chmod": rules.chmod,
            "--cap": rules.cap,
            "--xattr": rules.xattr,
            "--idmap": rules.idmap,
            "--fakeroot-state": rules.fakeroot_state,
            "--split": self.shape.splits,
        }
        for option, value in given.items():
            if value:
                raise click.UsageError(
                    f"{option} is about what a SRC has, and there is none; name a directory"
                )

    def _check_input(self, sources: Sequence[str]) -> None:
        """Refuse to read two things from standard input, of which one would get nothing."""
        piped = self._piped(sources)
        if len(piped) > 1:
            raise click.UsageError(
                f"{piped[0]} and {piped[1]} both read standard input; let one read a file"
            )

    def check_reread(self, sources: Sequence[str]) -> None:
        """Refuse what can be read once, where several images are built of it."""
        # A base is opened once, and has them all.
        if piped := [one for one in self._piped(sources) if not one.startswith("--from")]:
            raise click.UsageError(
                f"{piped[0]} reads standard input, and each platform needs it; let it read a file"
            )

    def _piped(self, sources: Sequence[str]) -> list[str]:
        piped = [text for text in sources if text.partition(":")[0] in (STDIN, STDIN_PATH)]
        piped += [f"--from {STDIN}"] if self.base.base == STDIN else []
        return piped + [f"--whiteout {STDIN}" for text in self.shape.whiteouts if text == STDIN]


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
    annotation_options,
    dry_run_options,
)
