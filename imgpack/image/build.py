"""From trees to an image in a sink: layers first, as they are made, then their documents."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from imgpack.errors import ConfigError, UnsupportedError, printable
from imgpack.events import SILENT, Reporter, human_size
from imgpack.image.documents import Recipe
from imgpack.image.image import Image, LayerSink, Named
from imgpack.layer.build import Explain, LayerBuilder, Options
from imgpack.spec.config import rfc3339
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import MAX_LAYERS
from imgpack.spec.reference import Reference
from imgpack.tree.additions import Additions
from imgpack.tree.destination import Placed
from imgpack.tree.tree import Tree

_EXPECTED_SIZE: Final = 100_000_000
"""Bytes: a guess at a layer's size, good enough to guess how long a manifest will be."""
_MANY_LAYERS: Final = 100
_CREATED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?Z")


@dataclass(frozen=True, slots=True)
class _InSink:
    """Where the layers of a new image are: in its sink, which nobody can read yet."""

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
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
    created: str | None = None,
    reporter: Reporter = SILENT,
    explain: Explain | None = None,
    additions: Additions | None = None,
) -> Image:
    """Write an image of ``trees``, a layer each, bottom first, to ``sink`` under ``names``.

    ``created`` is RFC 3339 in UTC (``None``: the newest time in the layers). ``additions`` are
    entries of the top layer beside those of its tree. Raises
    ``ConfigError``, source, tree and output errors; nothing is visible in the sink then.
    """
    if created is not None:
        _check_time(created)
    if len(trees) > _MANY_LAYERS:
        reporter.warn(
            f"{len(trees)} layers leave little room for images on top: Docker takes {MAX_LAYERS}"
        )
    dests = [tree.dest for tree in trees]
    layer_type = recipe.format.layer_type(options.codec.compression)
    # Each another, as the real ones: what names a layer twice is shorter.
    unknown = [Digest.of(b"%d" % number) for number in range(len(dests))]
    expected = [Layer(Descriptor(layer_type, one, _EXPECTED_SIZE), one) for one in unknown]
    draft = recipe.documents(dests, expected, created or _rfc3339(0))
    sink.reserve(Named(Image(*draft, _InSink()), names))

    builder = LayerBuilder(options, reporter, explain)
    layers = []
    newest = 0
    matched: set[int] = set()
    for tree in trees:
        added = additions if tree is trees[-1] else None
        built = builder.build(tree, sink.open_blob, additions=added)
        matched |= set(built.record.matched)
        record, written = built.record, built.record.written
        layers.append(written.layer(layer_type))
        newest = max(newest, record.newest)
        reporter.detail(
            f"layer {len(layers)} of {len(trees)}, /{printable(tree.dest)}: {written.digest},"
            f" {human_size(written.size)} from {human_size(written.raw_size)};"
            f" {built.reused} of {len(record.segments)} segments reused"
        )
    options.rules.check(matched)
    documents = recipe.documents(dests, layers, created or _rfc3339(newest))
    image = Image(*documents, _InSink())
    sink.write([Named(image, names)])
    return image


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
