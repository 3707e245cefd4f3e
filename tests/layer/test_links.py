"""Hard links: the first name stands for all, and memory for the rest is bounded."""

import stat
import tracemalloc

import pytest

from imgpack.api import Entry
from imgpack.errors import LimitError
from imgpack.layer.links import MAX_NAMES, Links
from imgpack.layer.segments import Segments
from imgpack.layer.stages import NO_STAGES
from imgpack.tree.problems import Problems
from tests.layer.trees import entry


def named(path: bytes, inode: int, links: int, device: int = 1) -> Entry:
    """A name of a file that has several."""
    return entry(path, stat.S_IFIFO | 0o644, device=device, inode=inode, links=links)


@pytest.mark.parametrize("in_memory", [1000, 2, 0])
def test_later_names_are_links_to_the_first(in_memory: int) -> None:
    """Wherever that is kept; after the last one it is forgotten."""
    links = Links(in_memory)
    files = [(inode, device) for inode in (1, 2, 2**64 - 1) for device in (1, 2**32)]

    for name in (b"a", b"b", b"c"):
        for inode, device in files:
            one = named(b"%s%d.%d" % (name, inode, device), inode, 3, device)
            first = b"a%d.%d" % (inode, device)
            assert (one in links) is (name != b"a")
            assert links.first(one) == (None if name == b"a" else first)

    assert not any(named(b"x", *file) in links for file in [(1, 3), (2, 3)])


def test_files_with_names_outside_the_tree_take_no_memory() -> None:
    """Nobody knows that their other names will never come."""
    links = Links(1000)
    for inode in range(1000):
        links.first(named(b"%0200d" % inode, inode, 2))
    tracemalloc.start()
    for inode in range(1000, 20_000):
        links.first(named(b"%0200d" % inode, inode, 2))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert grown < 1_000_000
    assert links.first(named(b"late", 5, 2)) == b"%0200d" % 5


def test_more_links_than_engines_unpack_are_refused() -> None:
    """65,000 names, which ext4 holds, and not one more; it is named."""
    names = [named(b"l%05d" % number, 7, MAX_NAMES + 2) for number in range(MAX_NAMES + 1)]
    for _ in Segments(NO_STAGES, Problems()).cut(names[:-1]):
        pass

    with pytest.raises(LimitError, match="l65000 is one of more than 65,000 hard links"):
        for _ in Segments(NO_STAGES, Problems()).cut(names):
            pass
