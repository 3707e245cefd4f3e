"""Copying an image into a sink with several blobs at once.

Invariants: as in ``image.copy_image``: documents come after their blobs, names
last; the sink takes blobs from several threads and verifies each.
"""

from collections.abc import Iterator
from functools import partial

from imgpack.image import (
    BlobSource,
    Image,
    ImageSink,
    MultiImage,
    PlanningSink,
    copy_image,
)
from imgpack.registry.parallel import Stop, run_all
from imgpack.report import SILENT, Meter, Reporter
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.reference import Reference


def fetch_into(
    image: Image | MultiImage,
    sink: ImageSink,
    names: tuple[Reference, ...],
    jobs: int,
    reporter: Reporter = SILENT,
) -> None:
    """Copy ``image`` to ``sink``, ``jobs`` layers at once, and name it at the end.

    Raises what the source and the sink raise.
    """
    children = image.images if isinstance(image, MultiImage) else (image,)
    if isinstance(sink, PlanningSink):
        document = image.index if isinstance(image, MultiImage) else image.manifest
        sink.plan(
            document,
            names,
            manifests=[child.manifest for child in children],
            configs=[child.config.raw for child in children],
        )
    stop = Stop()
    layers = {
        layer.digest: partial(_take, sink, layer, child.source, reporter, stop)
        for child in children
        for layer in child.layers
        if not mediatype.is_foreign(layer.media_type)
    }
    run_all(tuple(layers.values()), jobs, stop)
    copy_image(image, sink, names, reporter)


def _take(
    sink: ImageSink, layer: Descriptor, source: BlobSource, reporter: Reporter, stop: Stop
) -> None:
    if sink.has_blob(layer):
        return
    meter = reporter.begin(layer.digest.hex[:12], layer.size)
    try:
        sink.put_blob(layer, _Watched(source, meter, stop))
    finally:
        meter.end()


class _Watched:
    """A source that tells a meter how far it is, and ends when nobody waits for it."""

    def __init__(self, source: BlobSource, meter: Meter, stop: Stop) -> None:
        self._source = source
        self._meter = meter
        self._stop = stop

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        for piece in self._source.read_blob(descriptor, offset):
            self._stop.check()
            self._meter.advance(len(piece))
            yield piece
