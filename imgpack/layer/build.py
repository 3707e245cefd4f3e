"""From a tree to a layer in an output: walk, compare with the cache, frame, compress.

A layer whose tree did not change since it was built, by the stat of every entry
and under the same rules and codec, is copied from the cache without opening a
file. Anything else is read, and only segments that were never seen are compressed.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from imgpack.compression.codec import Codec, Kind
from imgpack.errors import printable
from imgpack.events import SILENT, Reporter
from imgpack.files.blobs import BlobWriter
from imgpack.layer.cache.record import FORMAT, CachedSegment, LayerRecord
from imgpack.layer.cache.segments import SegmentCache
from imgpack.layer.pipeline import Pipeline, Written
from imgpack.layer.segments import FORMAT_VERSION, Segments
from imgpack.spec.digest import Digest
from imgpack.tree import snapshot
from imgpack.tree.directory import Problems, Tree, walk
from imgpack.tree.entry import Entry
from imgpack.tree.snapshot import Change
from imgpack.tree.transform import Rules


@dataclass(frozen=True, slots=True)
class Options:
    """How layers are built; ``started_ns`` is the time now, for telling racy entries."""

    rules: Rules
    codec: Codec
    jobs: int
    cache: SegmentCache | None
    started_ns: int
    check_contents: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A layer whose bytes are written: what it is, and how it came about.

    ``newest`` is the newest time in it, in seconds; ``segments`` of which ``reused``
    came from the cache; ``unchanged`` when no file was read.
    """

    diff_id: Digest
    digest: Digest
    raw_size: int
    size: int
    newest: int
    segments: int
    reused: int
    unchanged: bool


OpenBlob = Callable[[int | None], BlobWriter]
Explain = Callable[[str, Iterator[Change] | None], None]
"""Told why a layer was rebuilt or not, with the changes if they are known."""


class LayerBuilder:
    """Builds the layers of one image, one after another."""

    def __init__(
        self, options: Options, reporter: Reporter = SILENT, explain: Explain | None = None
    ) -> None:
        self._options = options
        self._reporter = reporter
        self._explain = explain or (lambda reason, changes: None)
        self._pipeline = Pipeline(options.codec, options.cache, options.jobs)

    def build(self, tree: Tree, open_blob: OpenBlob) -> Built:
        """Write the layer of ``tree`` to a blob. Raises source, tree and output errors."""
        cache = self._options.cache
        if cache is None or self._options.codec.kind is Kind.NONE:
            return self._plain(tree, open_blob, "built without a cache")
        key = self._key(tree)
        with contextlib.ExitStack() as stack:
            temporary = cache.temporary()
            if temporary is None:
                return self._plain(tree, open_blob, "the cache cannot be written")
            new = stack.enter_context(contextlib.closing(temporary))
            known = cache.record(key)
            if known is not None:
                stack.enter_context(contextlib.closing(known[1]))
            return self._cached(tree, key, known, new, cache, open_blob)

    def _plain(self, tree: Tree, open_blob: OpenBlob, reason: str) -> Built:
        self._explain(reason, None)
        problems = Problems()
        return self._read(walk(tree, problems), problems, tree, open_blob)[0]

    def _cached(
        self,
        tree: Tree,
        key: str,
        known: tuple[LayerRecord, BinaryIO] | None,
        new: BinaryIO,
        cache: SegmentCache,
        open_blob: OpenBlob,
    ) -> Built:
        problems = Problems()
        recorder = snapshot.Recorder(new, self._options.started_ns)
        before: tuple[CachedSegment, ...] = ()
        changed = False
        if known is None or self._options.check_contents:
            self._explain("contents are checked" if known else "not built before", None)
            entries = snapshot.recording(tree, problems, recorder)
        else:
            record, old = known
            start, before = old.tell(), record.pieces
            look = snapshot.Look(tree, problems, old, recorder)
            changed = not look.unchanged()
            if not changed and not problems.unreadable:
                reused = self._replay(record, tree, open_blob)
                if reused is not None:
                    return reused
                self._explain("unchanged, but segments are missing from the cache", None)
            if unwritten := recorder.flush():
                cache.cannot_write(unwritten)
                return self._plain(tree, open_blob, "the cache cannot be written")
            entries = look.entries()
        built, written, warnings = self._read(entries, problems, tree, open_blob, before)
        if unwritten := recorder.flush():
            cache.cannot_write(unwritten)
            return built
        if changed:
            old.seek(start)
            new.seek(0)
            self._explain("changed", snapshot.differences(old, new, tree))
        fresh = LayerRecord(
            built.diff_id, built.digest, built.size, built.raw_size,
            built.newest, warnings, written.pieces,
        )  # fmt: skip
        cache.keep(key, fresh, new)
        return built

    def _replay(self, record: LayerRecord, tree: Tree, open_blob: OpenBlob) -> Built | None:
        """Copy the layer from the cache; ``None`` if that does not have all of it."""
        blob = open_blob(record.size)
        meter = self._reporter.begin(_label(tree), record.size)
        try:
            if not self._pipeline.replay(record.pieces, blob, meter):
                return None
            blob.commit(record.digest, record.size)
        finally:
            blob.abort()
            meter.end()
        self._explain("reused: nothing changed", None)
        for warning in record.warnings:
            self._reporter.warn(warning)
        count = len(record.pieces)
        return Built(
            record.diff_id, record.digest, record.raw_size, record.size,
            record.newest, count, count, unchanged=True,
        )  # fmt: skip

    def _read(
        self,
        entries: Iterator[Entry],
        problems: Problems,
        tree: Tree,
        open_blob: OpenBlob,
        before: tuple[CachedSegment, ...] = (),
    ) -> tuple[Built, Written, tuple[str, ...]]:
        segments = Segments(self._options.rules, problems)
        blob = open_blob(None)
        meter = self._reporter.begin(_label(tree), None)
        try:
            cut = segments.cut(entries)
            with contextlib.closing(cut):
                written = self._pipeline.run(cut, blob, meter, before)
            blob.commit(written.digest, written.size)
        finally:
            blob.abort()
            meter.end()
        for warning in segments.warnings:
            self._reporter.warn(warning)
        for remark in problems.remarks():
            self._reporter.detail(remark)
        built = Built(
            written.diff_id, written.digest, written.raw_size, written.size,
            segments.newest, len(written.pieces), written.reused, unchanged=False,
        )  # fmt: skip
        return built, written, tuple(segments.warnings)

    def _key(self, tree: Tree) -> str:
        parts = (
            FORMAT, str(FORMAT_VERSION),
            self._options.rules.identity(), self._options.codec.identity(),
            repr((tree.root, tree.dest, tree.parents)),
        )  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _label(tree: Tree) -> str:
    return printable(tree.root.rsplit(b"/", 1)[-1] or tree.root)
