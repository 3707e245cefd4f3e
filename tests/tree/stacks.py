"""Trees on top of trees, as ``build`` lays them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from imgpack.api import Entry, Placed, Tree
from imgpack.tree.below import Below, View
from imgpack.tree.merge.over import Over
from imgpack.tree.merge.survey import survey
from imgpack.tree.problems import Problems


def nothing(entry: Entry) -> Entry | None:
    """No rule names any directory."""
    return None


def placed(tree: Tree) -> Placed[Tree]:
    """At the image's root, unless it is somewhere already."""
    return tree if isinstance(tree, Placed) else Placed(tree)


def over(
    upper: Tree, lower: Sequence[Tree], naming: View = nothing, *, keep_identical: bool = False
) -> Over:
    """How ``upper`` lies over the others, bottom first."""
    below = below_of(lower)
    tree = placed(upper)
    tree = replace(tree, dest=below.resolve(tree.dest, b"/" + tree.dest))
    return Over(tree, below, survey(tree, below), naming=naming, keep_identical=keep_identical)


def below_of(lower: Sequence[Tree]) -> Below:
    """The image that they make."""
    below = Below()
    for count, tree in enumerate(lower):
        below = below.over(over(tree, lower[:count]).laid)
    return below


def written(
    upper: Tree, *lower: Tree, naming: View = nothing, keep_identical: bool = False
) -> list[Entry]:
    """What the layer of ``upper`` over the others has, in order."""
    problems = Problems()
    arranged = over(upper, lower, naming, keep_identical=keep_identical)
    entries = [
        entry for _, entry in arranged((one, one) for one in arranged.tree.entries(problems))
    ]
    problems.check()
    return entries


def paths(entries: Iterable[Entry]) -> list[bytes]:
    """Their paths."""
    return [entry.path for entry in entries]


def dest(text: bytes, *lower: Tree) -> bytes:
    """Where ``text`` leads over the others."""
    return below_of(lower).resolve(text.strip(b"/"), text)
