"""Layers on top of each other: how each lies over those before it and the base's."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

from imgpack.events import SILENT, Reporter
from imgpack.layer.stages import Stages
from imgpack.spec.digest import Digest
from imgpack.tree.below import Below, Laid
from imgpack.tree.destination import Placed
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.merge.over import Over
from imgpack.tree.merge.survey import Survey, survey
from imgpack.tree.tree import Tree

if TYPE_CHECKING:  # most builds need none of these, and starting them takes time
    from imgpack.files.blobs import BlobWriter
    from imgpack.layer.build import Built
    from imgpack.layer.cache.record import Written
    from imgpack.layer.squash import Squash
    from imgpack.spec.format import Compression

Group = tuple[Placed[Tree], ...]
"""The trees that one layer is made of, bottom first."""


@runtime_checkable
class FinishedLayer(Tree, Protocol):
    """A tree whose layer is there, byte for byte."""

    compression: Compression
    written: Written

    def write(
        self,
        blob: BlobWriter,
        outputs: Iterable[tuple[int, int]] = (),
        reporter: Reporter = SILENT,
    ) -> Built:
        """Write the layer to ``blob``; its file must be none of ``outputs``."""


@runtime_checkable
class ComparedTree(Tree, Protocol):
    """What differs between two trees; rules of these numbers changed what is the same."""

    matched: Set[int]


def grouped(trees: Sequence[Placed[Tree]], *, squash: bool) -> tuple[Group, ...]:
    """The groups that layers are made of: one tree each, or all but the raw ones together."""
    groups: list[Group] = []
    for raw, run in itertools.groupby(trees, lambda tree: is_finished(tree.tree)):
        together = tuple(run)
        groups += [together] if squash and not raw else [(tree,) for tree in together]
    return tuple(groups)


class LayerStack:
    """What is below the next layer: ``lower``, and the layers that were staged before."""

    def __init__(
        self,
        groups: Sequence[Group],
        stages: Stages,
        lower: Tree | None,
        chain: Iterable[str],
        reporter: Reporter,
        *,
        keep_identical: bool,
    ) -> None:
        """``chain`` says what ``lower`` is: its ``diff_id``s, and what they make."""
        self.below = self._lowest = Below(() if lower is None else (Laid(lower),))
        self._groups = groups
        self._stages = stages
        self._chain = list(chain)
        self._reporter = reporter
        self._keep_identical = keep_identical

    def staged(self) -> Iterator[tuple[Placed[Tree], Stages | Squash]]:
        """Each layer: its tree where it lies in the end, and what is done to its entries.

        ``built`` is to be told of one before the next is asked for. Raises ``TreeError``.
        """
        top = next((one for one in reversed(self._groups) if not _is_raw(one)), None)
        for group in self._groups:
            tree = group[0]
            if _is_raw(group):
                self.below = self.below.over(Laid(tree.tree, exact=True))
                yield tree, Stages()
            elif len(group) > 1:
                lowest, layers = self.below, [*map(self._laid, group)]
                added = self._added(top=group is top)
                layers[-1] = _adding(layers[-1], added)
                from imgpack.layer.squash import Squash

                squash = Squash(tuple(layers), self._stages, lowest, added)
                yield squash.tree, squash
            else:
                over = self._laid(tree)
                added = self._added(top=group is top)
                yield over.tree, self._arranged(_adding(over, added), added)

    def check(self, matched: Collection[int]) -> None:
        """Raise ``ConfigError`` if a rule is not among those that matched in some layer."""
        found = set(matched)
        for tree in itertools.chain(*self._groups):
            if isinstance(tree.tree, ComparedTree):  # what is the same is in no layer
                found |= tree.tree.matched
        self._stages.treatment.rules.check(found)

    def built(self, diff_id: Digest) -> None:
        """The last layer is this one."""
        self._chain.append(str(diff_id))

    def _added(self, *, top: bool) -> Additions | None:
        """What goes into the top layer beside its tree, and is of the image from now on."""
        adding = self._stages.treatment.adding if top else None
        if adding is None:
            return None
        from imgpack.tree.entries import Entries

        added = adding(self.below, self._lowest)
        self.below = self.below.over(Laid(Entries(added.entries), named=added.named))
        return added

    def _arranged(self, over: Over, additions: Additions | None) -> Stages:
        # What is below, and the directories on its way, make another layer of it; a directory
        # on disk has no deletions, which delete nothing in the lowest layer.
        tree = over.tree
        matters = bool(over.below or tree.dest or tree.stamps is None)
        arrangement = over if matters else None
        return replace(self._stages, arrangement=arrangement, additions=additions)

    def _laid(self, tree: Placed[Tree]) -> Over:
        """How ``tree`` lies over what is there, of which it is from now on."""
        below = self.below
        if tree.stamps is None:  # a directory is where it is said to be
            from imgpack.tree.inputs.single_file import as_copied

            tree = as_copied(tree, below)
        tree = replace(tree, dest=below.resolve(tree.dest, b"/" + tree.dest))
        over = Over(
            tree,
            below,
            survey(tree, below) if below else Survey(),
            " ".join(self._chain),
            keep_identical=self._keep_identical,
            view=self._stages.view,
            naming=self._stages.treatment.rules.naming,
        )
        for warning in over.survey.warnings:
            self._reporter.warn(warning)
        self.below = below.over(over.laid)
        return over


def _adding(over: Over, additions: Additions | None) -> Over:
    """``over`` with the directories that ``additions`` name."""
    return replace(over, named=additions.named) if additions and additions.named else over


def _is_raw(group: Group) -> bool:
    return is_finished(group[0].tree)


def is_finished(tree: Tree) -> TypeGuard[FinishedLayer]:
    """Whether its layer is there already."""
    return isinstance(tree, FinishedLayer)
