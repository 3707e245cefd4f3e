"""The layers of two images side by side: which are the same, moved, or only in one of them.

They are the same if their ``diff_id`` is (OCI image-spec ``config.md``), whatever the blob.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from imgpack.image.compare.documents import field_differences, flat
from imgpack.image.compare.scope import ComparisonScope, Ignored
from imgpack.image.compare.values import FieldDifference, LayerDifference, LayerMatch
from imgpack.image.image import Artifact, Image
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest

_Blob = tuple[Descriptor, Digest]
_OF_BLOBS = frozenset({("digest",), ("size",), ("mediaType",)})


def layer_differences(
    a: Image | Artifact, b: Image | Artifact, scope: ComparisonScope
) -> tuple[LayerDifference, ...]:
    """All layers of both, in the order of *b*; those that *b* lacks where they were."""
    return tuple(_Pairing(_blobs(a), _blobs(b), scope.ignored).pairs())


def _blobs(image: Image | Artifact) -> list[_Blob]:
    if isinstance(image, Image):
        return [(layer.descriptor, layer.diff_id) for layer in image.layers]
    return [(layer, layer.digest) for layer in image.manifest.layers]


class _Pairing:
    """Which layer of *a* is compared with which of *b*."""

    def __init__(self, a: Sequence[_Blob], b: Sequence[_Blob], ignored: frozenset[Ignored]) -> None:
        self._a = a
        self._b = b
        self._ignored = ignored

    def pairs(self) -> Iterator[LayerDifference]:
        """A pair, or a layer that has none, after another."""
        ids, others = ([str(diff_id) for _, diff_id in side] for side in (self._a, self._b))
        steps = SequenceMatcher(None, ids, others, autojunk=False).get_opcodes()
        left = [i for tag, i, end, *_ in steps if tag != "equal" for i in range(i, end)]
        moved = self._moved(left, [j for tag, *_, j, end in steps if tag != "equal"
                                   for j in range(j, end)])  # fmt: skip
        places = {i: j for j, i in moved.items()}
        for tag, i, i_end, j, j_end in steps:
            if tag == "equal":
                for step in range(i_end - i):
                    yield self._paired(i + step, j + step)
                continue
            gone = [n for n in range(i, i_end) if n not in places]
            for new in range(j, j_end):
                if new in moved:
                    yield self._paired(moved[new], new, moved=True)
                elif gone:
                    yield self._paired(gone.pop(0), new)
                else:
                    yield LayerDifference(LayerMatch.ADDED, None, new + 1)
            for old in gone:
                yield LayerDifference(LayerMatch.REMOVED, old + 1, None)

    def _moved(self, left: list[int], new: list[int]) -> dict[int, int]:
        """Layers of *b* that *a* has elsewhere, and where."""
        found: dict[int, int] = {}
        for j in new:
            there = next((i for i in left if self._a[i][1] == self._b[j][1]), None)
            if there is not None:
                left.remove(there)
                found[j] = there
        return found

    def _paired(self, i: int, j: int, *, moved: bool = False) -> LayerDifference:
        (old, old_id), (new, new_id) = self._a[i], self._b[j]
        fields = tuple(
            one for one in field_differences(_said(old, old_id), _said(new, new_id))
            if self._counts(one)
        )  # fmt: skip
        match = LayerMatch.SAME
        if old_id != new_id:
            match = LayerMatch.UNLIKE
        elif moved:
            match = LayerMatch.MOVED
        elif old.digest != new.digest and Ignored.COMPRESSION not in self._ignored:
            match = LayerMatch.RECOMPRESSED
        elif old.digest != new.digest:
            fields = tuple(one for one in fields if one.path not in _OF_BLOBS)
        return LayerDifference(match, i + 1, j + 1, fields)

    def _counts(self, one: FieldDifference) -> bool:
        return Ignored.ANNOTATIONS not in self._ignored or one.path[0] != "annotations"


def _said(layer: Descriptor, diff_id: Digest) -> dict[tuple[str, ...], object]:
    return flat(layer.as_json() | {"diff_id": str(diff_id)})
