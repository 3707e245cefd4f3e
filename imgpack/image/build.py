"""From trees to an image in a sink: layers first, as they are made, then their documents."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from imgpack.errors import printable
from imgpack.events import SILENT, Reporter, human_size
from imgpack.image.documents import Recipe
from imgpack.image.image import Image, LayerSink, Named, RawBlob
from imgpack.layer.build import Explain, LayerBuilder, Options
from imgpack.spec.config import rfc3339
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import MAX_LAYERS
from imgpack.spec.reference import Reference
from imgpack.tree.destination import Placed
from imgpack.tree.tree import Tree

_EXPECTED_SIZE: Final = 100_000_000
"""Bytes: a guess at a layer's size, good enough to guess how long a manifest will be."""
_MANY_LAYERS: Final = 100
_UNKNOWN: Final = Digest("sha256", "0" * 64)


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
) -> Image:
    """Write an image of ``trees``, a layer each, bottom first, to ``sink`` under ``names``.

    ``created`` is RFC 3339 in UTC (``None``: the newest time in the layers). Raises
    source, tree and output errors; nothing is visible in the sink then.
    """
    if len(trees) > _MANY_LAYERS:
        reporter.warn(
            f"{len(trees)} layers leave little room for images on top: Docker takes {MAX_LAYERS}"
        )
    dests = [tree.dest for tree in trees]
    layer_type = recipe.format.layer_type(options.codec.compression)
    expected = Layer(Descriptor(layer_type, _UNKNOWN, _EXPECTED_SIZE), _UNKNOWN)
    draft = recipe.documents(dests, [expected] * len(dests), created or _rfc3339(0))
    sink.reserve(Named(Image(*draft, RawBlob(b"")), names))

    builder = LayerBuilder(options, reporter, explain)
    layers = []
    newest = 0
    for tree in trees:
        built = builder.build(tree, sink.open_blob)
        record, written = built.record, built.record.written
        layers.append(written.layer(layer_type))
        newest = max(newest, record.newest)
        reporter.detail(
            f"layer {len(layers)} of {len(trees)}, /{printable(tree.dest)}: {written.digest},"
            f" {human_size(written.size)} from {human_size(written.raw_size)};"
            f" {built.reused} of {len(record.segments)} segments reused"
        )
    documents = recipe.documents(dests, layers, created or _rfc3339(newest))
    image = Image(*documents, RawBlob(b""))
    sink.write([Named(image, names)])
    return image


def _rfc3339(seconds: int) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
