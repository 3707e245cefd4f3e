"""What goes into each of the images that one build makes, and over what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from imgpack import api
from imgpack.cli.options.build.kinds import read_lists
from imgpack.cli.options.build.sources import parse_sources
from imgpack.cli.options.clock import now_ns, source_date_epoch
from imgpack.cli.options.index.annotations import format_for

if TYPE_CHECKING:
    from imgpack.api import (
        Annotations,
        Base,
        ImageBuild,
        Platform,
        Runtime,
        RuntimeChanges,
    )
    from imgpack.cli.options.build.flags import BuildFlags
    from imgpack.cli.options.build.kinds import Source
    from imgpack.cli.options.index.platforms import PlatformSources
    from imgpack.cli.output.explanation import Explainer
    from imgpack.cli.output.terminal import Terminal


class BuildPlace(Protocol):
    """Where the images go."""

    @property
    def target(self) -> str | None:
        """An archive, a layout or a stream, if one is written."""

    @property
    def only_loaded(self) -> bool:
        """Whether an engine alone gets them."""


@dataclass(frozen=True, slots=True)
class PlatformBuild:
    """What goes into one image; ``old`` is what ``--diff`` names."""

    target: PlatformSources
    trees: tuple[Source, ...]
    old: tuple[Source, ...]


def read_parts(
    sources: Sequence[str], flags: BuildFlags, terminal: Terminal, *, explain: bool
) -> tuple[PlatformBuild, ...]:
    """What goes into each image: what all share, and above that its own; as ``BuildFlags.read``."""
    excluded = flags.exclude.reader(terminal, explain=explain)
    parse = partial(
        parse_sources, reporter=terminal, excluded=excluded, as_root=not flags.rules.idmap
    )
    targets = flags.image.targets()
    if len(targets) > 1:
        flags.check_reread([*sources, *(one for target in targets for one in target.sources)])
    return tuple(
        PlatformBuild(target, *flags.read((*sources, *target.sources), parse, terminal.warn))
        for target in targets
    )


def all_trees(parts: Sequence[PlatformBuild]) -> tuple[Source, ...]:
    """All trees that are read."""
    return tuple(tree for part in parts for tree in (*part.trees, *part.old))


def platforms_of(parts: Sequence[PlatformBuild]) -> list[Platform | None]:
    """What each is for."""
    return [part.target.platform for part in parts]


def prepared(
    parts: Iterable[tuple[PlatformBuild, Base | None]],
    flags: BuildFlags,
    place: BuildPlace,
    annotations: Annotations,
    terminal: Terminal,
    explainer: Explainer | None,
    **how: Any,
) -> list[ImageBuild]:
    """What is to be built, each over its base; ``how`` are arguments of ``api.prepare``."""
    there = list(parts)
    return [
        api.prepare(
            **_arguments(part, flags, base, place, annotations, terminal),
            explain=explainer and explainer.of(part.target.platform if len(there) > 1 else None),
            **how,
        )
        for part, base in there
    ]


def _arguments(
    part: PlatformBuild,
    flags: BuildFlags,
    base: Base | None,
    place: BuildPlace,
    annotations: Annotations,
    terminal: Terminal,
) -> dict[str, Any]:
    """What ``api.prepare`` takes: all that decides the image's bytes, parsed and checked."""
    image, layers = flags.image, flags.layers
    kind = image.format(place.target, None if base is None else base.image.format)
    kind = format_for(annotations, kind, terminal)
    config: Runtime | RuntimeChanges
    config = flags.runtime.runtime() if base is None else flags.unset.changes(flags.runtime)
    if flags.runtime.healthcheck_cmd is not None and kind is not api.Format.DOCKER:
        terminal.warn("podman ignores the health check of an OCI image; use --format docker")
    return packing(part, flags, base, terminal) | {
        "config": config,
        "platform": part.target.platform,
        "format": kind,
        "compression": layers.codec(kind, alone=place.only_loaded),
        "created": image.created_at(source_date_epoch()),
        "author": image.author or "",
        "comment": image.comment or "",
        "check_contents": layers.check_contents,
        "clock": now_ns,
    }


def packing(
    part: PlatformBuild, flags: BuildFlags, base: Base | None, terminal: Terminal
) -> dict[str, Any]:
    """What ``api.prepare`` and ``api.planned`` both take: what is packed, and over what."""
    trees, old = read_lists(part.trees, base, terminal), part.old
    written = flags.rules.arguments(trees, flags.layers, terminal, base)
    placement = api.Placement(
        base,
        keep_identical=flags.base.keep_identical,
        base_labels=flags.unset.base_labels,
        squash=flags.shape.squash,
        lower=flags.shape.lower(trees, old),
    )
    layers = flags.shape.layers(trees, old, base, written, terminal.remark)
    return written | {"layers": layers, "placement": placement, "reporter": terminal}
