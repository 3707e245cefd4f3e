"""Parts of a tree with deletions, a layer each, over a base."""

import stat
from collections.abc import Sequence

from hypothesis import assume, example, given
from hypothesis import strategies as st

from imgpack.api import Entries, Placed, Tree, directory_entry, file
from imgpack.errors import ConfigError, TreeError
from imgpack.tree.entry import WHITEOUT, opaque, order
from imgpack.tree.rules.split import Group, split
from tests.layer.test_squash import apart, arranged
from tests.tree.merge.shapes import NAMES, Listed, image, trees
from tests.tree.merge.test_union import layers

EMPTIED = Listed(
    [directory_entry("a", mode=0o700), opaque(b"a"), file("a/b", b"1"), file("a/c", b"2")]
)


def as_read(tree: Listed) -> Listed:
    """Without the deletions of what it has itself, as all that is read is."""
    names = {entry.path for entry in tree.listed if stat.S_IFMT(entry.mode) != WHITEOUT}
    gone = (e for e in tree.listed if stat.S_IFMT(e.mode) == WHITEOUT and e.path not in names)
    return Listed([*gone, *(e for e in tree.listed if stat.S_IFMT(e.mode) != WHITEOUT)])


PATTERNS = st.sampled_from([f"{over}{name.decode()}" for name in NAMES for over in ("", "*/")])


@given(trees(), layers().map(as_read), PATTERNS, PATTERNS)
@example(Entries([file("a/b", b"1"), file("a/c", b"2")]), EMPTIED, "a/b", "a/c")
def test_they_show_what_the_tree_shows(base: Entries, tree: Tree, one: str, other: str) -> None:
    """What an emptied directory has in another part is there; what it had below is not."""

    def shown(made: Sequence[Placed[Tree]]) -> object:
        written = list(apart(arranged(base, made)))
        assume(all(len(set(map(order, layer))) == len(layer) for layer in written))
        return image(base.entries(), *written).facts()

    try:
        parts = split([Placed(tree)], [Group.parse(f"one={one}"), Group.parse(f"two={other}")])
        whole = shown([Placed(tree)])
    except (ConfigError, TreeError):
        return
    assert shown(parts) == whole
    for part in parts:
        for entry in part.entries():
            assert not entry.path or part.find(entry.path) is not None
