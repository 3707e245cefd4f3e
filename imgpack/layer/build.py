"""From a tree to a layer in an output: walk, compare with the cache, encode, compress.

A layer whose tree did not change since it was built, by the stat of every entry
and under the same transforms and codec, is copied from the cache without opening a
file. Anything else is read, and only segments that were never seen are compressed.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from imgpack import LAYER_FORMAT_VERSION
from imgpack.compression.codec import Codec
from imgpack.events import SILENT, ExpectingMeter, Meter, Reporter
from imgpack.files.blobs import BlobWriter
from imgpack.layer.cache.record import FORMAT, CachedSegment, LayerRecord
from imgpack.layer.cache.segments import SegmentCache
from imgpack.layer.pipeline import Pipeline
from imgpack.layer.producers.production import Batch, Production, can_divide
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES, NO_TREATMENT, Stages, Treatment
from imgpack.spec.format import Compression
from imgpack.tree.disk import snapshot
from imgpack.tree.disk.sizes import SizeWalk
from imgpack.tree.disk.snapshot import Change
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.transform import Transform
from imgpack.tree.tree import Stamps, Tree

if TYPE_CHECKING:
    from imgpack.layer.squash import Squash


@dataclass(frozen=True, slots=True)
class Options:
    """How layers are built; ``started_ns`` is the time now, for telling racy entries.

    ``outputs`` are devices and inodes that the caller writes to, which no tree may hold.
    """

    transforms: tuple[Transform, ...]
    codec: Codec
    jobs: int
    cache: SegmentCache | None
    started_ns: int
    check_contents: bool = False
    outputs: Set[tuple[int, int]] = frozenset()
    treatment: Treatment | None = None

    @property
    def stages(self) -> Stages:
        """What is done to the entries of all layers."""
        return Stages(self.transforms, None, self.treatment or NO_TREATMENT)


@dataclass(frozen=True, slots=True)
class Built:
    """A layer whose bytes are written, and how it came about.

    ``reused`` of its segments were in the cache before, ``by_stat`` of these were found by the
    stat of their entries and the others by their content; ``copied`` are stored as they are, and
    in no cache. The first of those that were compressed begin at the paths ``made``.
    ``unchanged``: no file was read but for what is copied.
    """

    record: LayerRecord
    reused: int
    unchanged: bool
    by_stat: int = 0
    made: tuple[bytes, ...] = ()
    copied: int = 0


Batches = Generator[Batch, None, None]
OpenBlob = Callable[[int | None], BlobWriter]
Explain = Callable[[str, Iterator[Change] | None, Built], None]
"""Told why a layer was rebuilt or not, with the changes if they are known, and what came of it."""


class LayerBuilder:
    """Builds the layers of one image, one after another."""

    def __init__(
        self, options: Options, reporter: Reporter = SILENT, explain: Explain | None = None
    ) -> None:
        self._options = options
        self._reporter = reporter
        self._explain = explain or (lambda reason, changes, built: None)
        self._stages: Stages | Squash = NO_STAGES
        self._met = Problems()  # of the walk that counts
        self._pipeline = Pipeline(options.codec, options.cache, options.jobs)

    def build(
        self,
        tree: Tree,
        open_blob: OpenBlob,
        stages: "Stages | Squash | None" = None,
    ) -> Built:
        """Write the layer of ``tree`` to a blob; without ``stages``, by those of all layers.

        Raises source, tree and output errors.
        """
        self._stages = self._options.stages if stages is None else stages
        built = self._built(tree, open_blob)
        self._met.end()
        return built

    def _built(self, tree: Tree, open_blob: OpenBlob) -> Built:
        cache, stamps = self._options.cache, tree.stamps
        if cache is None or self._options.codec.compression is Compression.NONE:
            return self._plain(tree, open_blob, "built without a cache")
        if stamps is None:
            return self._plain(tree, open_blob, "always read: it has no times to go by")
        with contextlib.ExitStack() as stack:
            known = cache.record(self._key(stamps))
            if known is not None:
                stack.enter_context(contextlib.closing(known[1]))
            temporary = cache.temporary()
            if temporary is None:
                return self._from_read_only(tree, stamps, known, open_blob)
            new = stack.enter_context(contextlib.closing(temporary))
            return self._cached(tree, stamps, known, new, cache, open_blob)

    def _plain(self, tree: Tree, open_blob: OpenBlob, reason: str) -> Built:
        problems = self._problems()
        built = self._read(self._batches(tree, problems), problems, tree, open_blob)
        self._explain(reason, None, built)
        return built

    def _problems(self) -> Problems:
        self._met = Problems(self._options.outputs)
        return self._met

    def _from_read_only(
        self,
        tree: Tree,
        stamps: Stamps,
        known: tuple[LayerRecord, BinaryIO] | None,
        open_blob: OpenBlob,
    ) -> Built:
        if known is not None and not self._options.check_contents:
            record, old = known
            problems = self._problems()
            with open(os.devnull, "wb", buffering=0) as nowhere:
                recorder = snapshot.Recorder(nowhere, self._options.started_ns)
                comparison = snapshot.Comparison(stamps, problems, old, recorder)
                if comparison.unchanged() and not problems.count:
                    reused = self._replay(record, tree, stamps, open_blob)
                    if reused is not None:
                        return reused
        return self._plain(tree, open_blob, "the cache cannot be written")

    def _cached(
        self,
        tree: Tree,
        stamps: Stamps,
        known: tuple[LayerRecord, BinaryIO] | None,
        new: BinaryIO,
        cache: SegmentCache,
        open_blob: OpenBlob,
    ) -> Built:
        problems = self._problems()
        recorder = snapshot.Recorder(new, self._options.started_ns)
        before: tuple[CachedSegment, ...] = ()
        changes: Iterator[Change] | None = None
        changed = False
        if known is None or self._options.check_contents:
            reason = "contents are checked" if known else "not built before"
            batches = self._batches(tree, problems, recorder)
        else:
            record, old = known
            start, before = old.tell(), record.segments
            comparison = snapshot.Comparison(stamps, problems, old, recorder)
            changed = not comparison.unchanged()
            reason = "changed" if changed else "unchanged, but segments are missing from the cache"
            if not changed and not problems.count:
                reused = self._replay(record, tree, stamps, open_blob)
                if reused is not None:
                    return reused
            again = self._read_again(stamps, recorder, comparison)
            if again is not None:
                batches, problems = again, self._met
            else:
                comparison.record()
                if unwritten := recorder.flush():
                    cache.cannot_write(unwritten)
                    return self._plain(tree, open_blob, "the cache cannot be written")
                batches = _whole(comparison.entries())
        built = self._read(batches, problems, tree, open_blob, before, known and known[0])
        unwritten = recorder.flush()
        if changed and unwritten is None:
            old.seek(start)
            new.seek(0)
            if kind := recorder.distrusted:
                reason = f"read, for the times of {kind} prove nothing"
            changes = snapshot.differences(old, new, stamps)
        self._explain(reason, changes, built)
        if unwritten is None:
            cache.keep(self._key(stamps), built.record, new)
        else:
            cache.cannot_write(unwritten)
        return built

    def _batches(
        self, tree: Tree, problems: Problems, recorder: snapshot.Recorder | None = None
    ) -> Batches:
        """What ``tree`` is made of, recorded if there is a ``recorder``."""
        stamps = tree.stamps
        production = None if stamps is None else self._production(stamps, problems, recorder)
        if production is not None:
            yield from production.batches()
        elif stamps is not None and recorder is not None:
            yield snapshot.recording(stamps, problems, recorder)
        else:
            yield tree.entries(problems)

    def _read_again(
        self, stamps: Stamps, recorder: snapshot.Recorder, comparison: snapshot.Comparison
    ) -> Batches | None:
        """All of a tree that changed, by several processes, if these may read it.

        They walk it once more sooner than one goes on alone, unless that is nearly through.
        """
        production = self._production(stamps, Problems(self._options.outputs), recorder)
        if production is None or not comparison.is_early():
            return None
        comparison.close()
        self._met = production.problems
        return production.batches()

    def _production(
        self, stamps: Stamps, problems: Problems, recorder: snapshot.Recorder | None
    ) -> Production | None:
        """How several processes read a tree; ``None`` if this one does it alone."""
        stages, jobs = self._stages, self._options.jobs
        if jobs < 2 or stamps.part is not None or not can_divide(stages):
            return None
        cutting = self._options.codec.cutting
        return Production(stamps, problems, stages, recorder, jobs, cutting)

    def _replay(
        self, record: LayerRecord, tree: Tree, stamps: Stamps, open_blob: OpenBlob
    ) -> Built | None:
        """Copy the layer from the cache; ``None`` if that does not have all of it."""
        written = record.written
        blob = open_blob(written.size)
        meter = self._reporter.begin(str(tree), written.size)
        try:
            if not self._pipeline.replay(record.segments, stamps.root, blob, meter):
                return None
            blob.commit(written.digest, written.size)
        finally:
            blob.abort()
            meter.end()
        for warning in record.warnings:
            self._reporter.warn(warning)
        built = Built(record, len(record.segments), unchanged=True)
        self._explain("reused: nothing changed", None, built)
        return built

    def _read(
        self,
        batches: Batches,
        problems: Problems,
        tree: Tree,
        open_blob: OpenBlob,
        before: tuple[CachedSegment, ...] = (),
        last: LayerRecord | None = None,
    ) -> Built:
        segments = Segments(self._stages, problems, self._options.codec.cutting)
        blob = open_blob(None)
        # At no cost there is no better guess than what it was last time.
        meter = self._reporter.begin(str(tree), last.written.raw_size if last else None)
        try:
            cut = segments.joined(batches)
            root = tree.stamps.root if tree.stamps else None
            with contextlib.closing(batches), contextlib.closing(cut), _sized(tree, last, meter):
                run = self._pipeline.run(cut, blob, meter, before, root)
            blob.commit(run.written.digest, run.written.size)
        finally:
            blob.abort()
            meter.end()
        for warning in segments.warnings:
            self._reporter.warn(warning)
        for remark in problems.remarks():
            self._reporter.detail(remark)
        warnings = tuple(segments.warnings)
        matched = tuple(sorted(segments.matched))
        record = LayerRecord(run.written, segments.newest, warnings, run.segments, matched)
        made = tuple(snapshot.path_in(stamp) for stamp in run.made if stamp)
        return Built(
            record,
            run.reused,
            unchanged=False,
            by_stat=run.by_stat,
            made=made,
            copied=run.copied,
        )

    def _key(self, stamps: Stamps) -> str:
        parts = (
            FORMAT, str(LAYER_FORMAT_VERSION),
            self._stages.identity, self._options.codec.identity(), stamps.identity,
        )  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sized(
    tree: Tree, last: LayerRecord | None, meter: Meter
) -> contextlib.AbstractContextManager[object]:
    """What tells ``meter`` meanwhile how large a tree on disk is that was not built before."""
    if last is None and tree.stamps is not None and isinstance(meter, ExpectingMeter):
        return SizeWalk(tree.stamps, meter.expect)
    return contextlib.nullcontext()


def _whole(entries: Generator[Entry, None, None]) -> Batches:
    with contextlib.closing(entries):  # before the files that they come from
        yield entries
