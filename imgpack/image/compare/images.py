"""Two images that are compared: documents at once, layers and files when they are asked for."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from imgpack.image.compare.causes import LayerCauses, document_causes, field_text, sorted_causes
from imgpack.image.compare.documents import document_differences
from imgpack.image.compare.layers import layer_differences
from imgpack.image.compare.rows import file_differences
from imgpack.image.compare.scope import ComparisonScope, Section
from imgpack.image.compare.sides import ComparedSide
from imgpack.image.compare.values import (
    Cause,
    CauseKind,
    DocumentDifferences,
    FileDifference,
    LayerDifference,
    LayerMatch,
    Presence,
)
from imgpack.image.image import Image


class ComparedImages:
    """Two images of one ``platform`` (as text; empty for artifacts), *a* and *b*.

    Reading raises what ``open_files`` raises; layers are read only if their ``diff_id``s differ.
    """

    def __init__(
        self, platform: str, a: ComparedSide, b: ComparedSide, scope: ComparisonScope
    ) -> None:
        self.platform = platform
        self.a = a
        self.b = b
        self._scope = scope

    @property
    def identical(self) -> bool:
        """Whether their manifests are the same, byte for byte."""
        return self.a.image.manifest.raw == self.b.image.manifest.raw

    @cached_property
    def documents(self) -> DocumentDifferences:
        """How their documents differ, as far as it is selected."""
        if self.identical:
            return DocumentDifferences()
        return document_differences(self.a.image, self.b.image, self._scope)

    @cached_property
    def layers(self) -> tuple[LayerDifference, ...]:
        """All layers of both; none if layers are not selected."""
        if Section.LAYERS not in self._scope.sections:
            return ()
        pairs = self._pairs
        if not self._scope.loose:
            return pairs
        return tuple(
            replace(pair, match=LayerMatch.ALIKE)
            if pair.match is LayerMatch.UNLIKE and self._behind.alike(pair)
            else pair
            for pair in pairs
        )

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """What the differences come of, the first cause first; empty if nothing differs."""
        return sorted_causes(self._causes())

    def files(self) -> Iterator[FileDifference]:
        """The files that differ, in the order of their paths; none if they are not selected."""
        if Section.FILES not in self._scope.sections or self._same_files:
            return iter(())
        return file_differences(self.a.files, self.b.files, self._scope)

    @cached_property
    def _pairs(self) -> tuple[LayerDifference, ...]:
        return layer_differences(self.a.image, self.b.image, self._scope)

    @cached_property
    def _behind(self) -> LayerCauses:
        return LayerCauses(self.a, self.b, self._scope)

    @property
    def _same_files(self) -> bool:
        """Whether the layers are the same, one after another, or there are no files at all."""
        if not (isinstance(self.a.image, Image) and isinstance(self.b.image, Image)):
            return True
        return self.a.image.config.diff_ids == self.b.image.config.diff_ids

    def _causes(self) -> Iterator[Cause]:
        if self.identical:
            return
        found = False
        for cause in document_causes(self.documents):
            found = True
            yield cause
        if any(pair.counts for pair in self.layers):
            found = True
            yield from self._behind.causes(self.layers)
        elif not self.layers and (first := next(self.files(), None)) is not None:
            found = True
            yield _of_file(first)
        whole = self._scope.sections == frozenset(Section) and not self._scope.ignored
        if not found and whole and not self._scope.loose:
            configs = [getattr(one.image, "config", None) for one in (self.a, self.b)]
            same = configs[0] is None or configs[1] is None or configs[0].raw == configs[1].raw
            what = "the manifest's JSON" if same else "the configuration's JSON"
            yield Cause(CauseKind.FORM, what)


def _of_file(first: FileDifference) -> Cause:
    """The cause, where only files are looked at."""
    if first.presence is Presence.CHANGED:
        what = "content" if "content" in first.fields else first.fields[0]
    else:
        what = "path"
    a, b = ("nothing" if one is None else field_text(one.row, what) for one in (first.a, first.b))
    return Cause(CauseKind.CONTENT, what, a, b, path=first.path)
