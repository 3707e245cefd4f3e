"""What a build would pack: for people who want to see it first."""

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgpack.layer.links import Links
from imgpack.layer.stack import LayerStack
from imgpack.layer.stages import Stages
from imgpack.tree.destination import Placed
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Tree

if TYPE_CHECKING:
    from imgpack.layer.squash import Squash

PlannedEntry = tuple[Entry, bytes | None]
"""An entry as it would be written, and the path of the first name of a hard link."""


def planned_layers(stack: LayerStack) -> Iterator[tuple[Placed[Tree], Iterator[PlannedEntry]]]:
    """Each layer of ``stack``, to be looked at before the next one is asked for.

    Raises ``ConfigError`` at the end for a rule that changed nothing, source and tree errors.
    """
    matched: set[int] = set()
    for tree, stages in stack.staged():
        yield tree, _planned(tree, stages, matched)
    stack.check(matched)


def _planned(tree: Tree, stages: "Stages | Squash", matched: set[int]) -> Iterator[PlannedEntry]:
    problems, links = Problems(), Links()
    for _, entry in stages.pairs(tree.entries(problems), problems, matched):
        if stat.S_ISSOCK(entry.mode):
            continue
        linked = entry.links > 1 and not entry.is_directory
        yield entry, links.first(entry) if linked else None
    problems.check()
    problems.end()
