"""From trees to an image in a sink: layers first, as they are made, then their documents."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from imgpack.errors import ConfigError, UnsupportedError, printable
from imgpack.events import SILENT, Reporter, human_size
from imgpack.image.documents import BaseName, Recipe
from imgpack.image.image import BlobSource, Image, LayerSink, Named
from imgpack.layer.build import Built, Explain, LayerBuilder, Options
from imgpack.layer.squash import Squash
from imgpack.layer.stages import Stages
from imgpack.spec.config import rfc3339
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer
from imgpack.spec.reference import Reference
from imgpack.tree.below import Below, Laid
from imgpack.tree.destination import Placed
from imgpack.tree.merge.over import Over
from imgpack.tree.merge.survey import Survey, survey
from imgpack.tree.tree import Tree

_EXPECTED_SIZE: Final = 100_000_000
"""Bytes: a guess at a layer's size, good enough to guess how long a manifest will be."""
_CREATED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?Z")


@dataclass(frozen=True, slots=True)
class Base:
    """The image that another goes over, what its layers make together, what it is called."""

    image: Image
    tree: Tree
    name: BaseName | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """What lies below the layers, and what becomes of what it has as well.

    ``said`` are directories that get the attributes that the trees have for them, though
    lower layers have them; what the base has just so is left out, unless ``keep_identical``.
    With ``base_labels`` the base's name is recorded in labels as well. ``squash`` makes one
    layer of all. ``lower`` is what lies below them where no base does: in no layer.
    """

    base: Base | None = None
    said: frozenset[bytes] = frozenset()
    keep_identical: bool = False
    base_labels: bool = False
    squash: bool = False
    lower: Tree | None = None


@dataclass(frozen=True, slots=True)
class _InSink:
    """Where the layers of a new image are: its base's in ``base``, the others in its sink,
    which nobody can read yet.
    """

    base: BlobSource | None = None
    held: frozenset[Digest] = frozenset()

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        if self.base is not None and descriptor.digest in self.held:
            return self.base.read_blob(descriptor, offset)
        raise UnsupportedError(
            f"the layer {descriptor.digest} of a new image is where it was built into",
            "open that to read it",
        )


def build_image(
    trees: Sequence[Placed[Tree]],
    sink: LayerSink,
    recipe: Recipe,
    names: tuple[Reference, ...],
    options: Options,
    *,
    placement: Placement = Placement(),
    created: str | None = None,
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
) -> Image:
    """Write an image of ``trees``, a layer each, bottom first, to ``sink`` under ``names``.

    ``created`` is RFC 3339 in UTC (``None``: the newest time in the layers). Raises
    ``ConfigError``, source, tree and output errors; nothing is visible in the sink then.
    """
    if created is not None:
        _check_time(created)
    for remark in recipe.remarks(len(trees)):
        reporter.warn(remark)
    layer_type = recipe.format.layer_type(options.codec.compression)
    source, nearby = _source(placement.base)
    # Each another, as the real ones: what names a layer twice is shorter.
    places = [b""] if placement.squash and trees else [tree.dest for tree in trees]
    unknown = [Digest.of(b"%d" % number) for number in range(len(places))]
    expected = [Layer(Descriptor(layer_type, one, _EXPECTED_SIZE), one) for one in unknown]
    draft = recipe.documents(places, expected, created or _rfc3339(0))
    sink.reserve(Named(Image(*draft, source, nearby), names))

    builder = LayerBuilder(options, reporter, explain)
    stack = _Stack(options, placement)
    layers: list[Layer] = []
    dests: list[bytes] = []
    newest = 0
    for tree, arrangement in stack.arranged(trees, layers, reporter):
        built = builder.build(tree, sink.open_blob, arrangement)
        record, written = built.record, built.record.written
        layers.append(written.layer(layer_type))
        dests.append(tree.dest)
        newest = max(newest, record.newest)
        where = f"layer {len(layers)} of {len(places)}, /{printable(tree.dest)}"
        reporter.detail(f"{where}: {_told(built)}")
    documents = recipe.documents(dests, layers, created or _rfc3339(newest))
    image = Image(*documents, source, nearby)
    sink.write([Named(image, names)])
    return image


def _told(built: Built) -> str:
    record, written = built.record, built.record.written
    return (
        f"{written.digest}, {human_size(written.size)} from {human_size(written.raw_size)};"
        f" {built.reused} of {len(record.segments)} segments reused"
    )


class _Stack:
    """What lies below the next layer."""

    def __init__(self, options: Options, placement: Placement) -> None:
        base = placement.base
        self._stages = Stages(options.transforms)
        self._placement = placement
        self._base = () if base is None else base.image.config.diff_ids
        lower = placement.lower if base is None else base.tree
        self._below = Below(() if lower is None else (Laid(lower),))

    def arranged(
        self, trees: Sequence[Placed[Tree]], built: Sequence[Layer], reporter: Reporter
    ) -> Iterator[tuple[Placed[Tree], Over | Squash | None]]:
        """Each layer to build, and how; ``built`` are those that are."""
        lowest = self._below
        overs: list[Over] = []
        for tree in trees:
            over = self._over(tree, built)
            for warning in over.survey.warnings:
                reporter.warn(warning)
            if self._placement.squash:
                overs.append(over)
            else:
                yield over.tree, over if self._matters(over) else None
            self._below = self._below.over(over.laid)
        if overs:
            squash = Squash(tuple(overs), self._stages.transforms, lowest)
            yield squash.tree, squash

    def _over(self, tree: Placed[Tree], built: Sequence[Layer]) -> Over:
        """How ``tree`` lies over what is below, of which ``built`` are the new layers."""
        tree = replace(tree, dest=self._below.resolve(tree.dest, b"/" + tree.dest))
        chain = [*self._base, *(layer.diff_id for layer in built)]
        return Over(
            tree,
            self._below,
            survey(tree, self._below) if self._below else Survey(),
            " ".join(map(str, chain)),
            self._placement.said,
            keep_identical=self._placement.keep_identical,
            view=self._stages.view,
        )

    def _matters(self, over: Over) -> bool:
        """Whether a layer is another one for what is below, and for its place."""
        return bool(self._below or over.tree.dest or over.tree.exact)


def _source(base: Base | None) -> tuple[_InSink, frozenset[Digest]]:
    if base is None:
        return _InSink(), frozenset()
    image = base.image
    held = frozenset(layer.digest for layer in image.manifest.layers)
    return _InSink(image.source, held), image.nearby


def _check_time(created: str) -> None:
    try:
        datetime.fromisoformat(created)
        known = _CREATED.fullmatch(created)
    except ValueError:
        known = None
    if not known:
        raise ConfigError(
            f"the time {printable(created)!r} is not RFC 3339 in UTC",
            "write it as 2026-01-31T12:00:00Z",
        )


def _rfc3339(seconds: int) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
