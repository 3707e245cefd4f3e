"""Several layers written as one: each arranged over those below it, then all together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from imgpack.layer.stages import Stages
from imgpack.tree.below import Below, Laid
from imgpack.tree.destination import Placed
from imgpack.tree.entries import Entries
from imgpack.tree.entry import Entry, Pair, order
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.merge.over import Over
from imgpack.tree.merge.survey import Survey
from imgpack.tree.merge.union import united
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, Tree


@dataclass(frozen=True, slots=True)
class _Whole:
    """What some layers make together, as far as anybody asks before they are read."""

    name: str
    below: Below

    def __str__(self) -> str:
        return self.name

    @property
    def stamps(self) -> Stamps | None:
        """None: it is read each time."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """None: ``Squash`` reads the layers side by side."""
        return iter(())

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        return self.below.find(path)


@dataclass(frozen=True, slots=True)
class Squash:
    """The stages of one layer that shows what ``layers`` would, bottom first, over ``below``.

    Each of them goes through ``stages``, and is arranged over ``below`` and those before it;
    the ``additions`` go with the last.
    """

    layers: tuple[Over, ...]
    stages: Stages
    below: Below
    additions: Additions | None = None

    @property
    def tree(self) -> Placed[Tree]:
        """What the layer is made of, for what asks only for its name or a path."""
        name = " + ".join(str(layer.tree) for layer in self.layers)
        return Placed(_Whole(name, self._shown(0, len(self.layers))), exact=True)

    @property
    def identity(self) -> str:
        """That of all stages."""
        return repr([self._staged(layer).identity for layer in self.layers])

    def pairs(
        self, entries: Iterable[Entry], problems: Problems, matched: set[int] | None = None
    ) -> Iterator[Pair]:
        """The pairs of all layers, whatever the ``entries``, which are none."""
        streams = [self._arranged(layer, problems, matched) for layer in self.layers]
        return Over(self.tree, self.below, Survey())(united(streams, self._find))

    def _staged(self, layer: Over) -> Stages:
        added = self.additions if layer is self.layers[-1] else None
        return replace(self.stages, arrangement=layer, additions=added)

    def _arranged(
        self, layer: Over, problems: Problems, matched: set[int] | None
    ) -> Iterable[Pair]:
        """The pairs of one layer, in the order of where they lie in the image."""
        pairs = self._staged(layer).pairs(layer.tree.entries(problems), problems, matched)
        if layer.survey.redirects:
            return sorted(pairs, key=lambda pair: order(pair[1]))
        return pairs

    def _find(self, path: bytes, first: int, end: int) -> Entry | None:
        return self._shown(first, end).find(path)

    def _shown(self, first: int, end: int) -> Below:
        """What the layers from one number to before another have, with what is added."""
        shown = Below([layer.laid for layer in self.layers[first:end]])
        if self.additions is None or end < len(self.layers):
            return shown
        return shown.over(Laid(Entries(self.additions.entries)))
