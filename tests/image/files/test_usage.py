"""What takes the space: the sums of a plain count, however it is added up."""

import hashlib
import tarfile
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from imgpack.image.files.usage import image_usage
from imgpack.tree.merge.merged import HashedMember, LayerMembers
from imgpack.tree.tables.applied import Applied
from imgpack.tree.tables.making import layer_table
from tests.image.base.test_tree import linked
from tests.image.files.test_files import files_of
from tests.store.samples import Memory, make_image
from tests.tree.merge.layers import DIR, REG, member

NAMES = st.sampled_from(
    [b"a", b"b", b"d/a", b"d/b", b"d/e/a", b"f", b".wh.a", b"d/.wh.b", b".wh.d"]
)
CONTENTS = st.integers(0, 3)


def applied(layers: list[dict[bytes, int]]) -> Applied:
    """A tree of files that have as many bytes as their number says, and so the same digest."""
    tables = []
    for number, layer in enumerate(layers):
        members = [HashedMember(member(b"d", DIR)), HashedMember(member(b"d/e", DIR))]
        for path, content in layer.items():
            digest = hashlib.sha256(b"%d" % content).digest()
            size = 0 if b".wh." in path else content
            members.append(HashedMember(member(path, REG, size=size), digest))
        tables.append(layer_table(LayerMembers(f"L{number}", iter(members)), lambda: "/tmp"))
    return Applied(tables)


@given(st.lists(st.dictionaries(NAMES, CONTENTS), min_size=1, max_size=3), st.integers(0, 3))
def test_sums_are_those_of_a_plain_count(layers: list[dict[bytes, int]], depth: int) -> None:
    """Of layers, directories, what is hidden, and what is double."""
    tree = applied(layers)
    laid = [one for one in tree.laid() if one.row.sha256]
    shown = [one for one in laid if one.shown]

    usage = image_usage(tree, depth=depth, top=100)

    assert usage.size == sum(one.row.size for one in laid)
    assert usage.hidden_size == sum(one.row.size for one in laid if not one.shown)
    assert {one.file for one in usage.hidden} == {
        one for one in laid if not one.shown and one.row.size
    }
    gone = [one for one in laid if one.deleted and one.row.size]
    for directory in usage.deleted:
        files = [
            one.row.size for one in gone
            if one.row.path.startswith(directory.path + b"/")
            and (one.layer, one.by) == (directory.layer, directory.by)
        ]  # fmt: skip
        assert (directory.size, directory.files) == (sum(files), len(files))
    whole = {(one.by, one.row.path) for one in tree.laid() if one.deleted and one.row.is_directory}
    assert sum(one.size for one in usage.deleted) == sum(
        one.row.size for one in gone
        if any(one.by == by and one.row.path.startswith(path + b"/") for by, path in whole)
    )  # fmt: skip
    sizes = Counter(one.row.size for one in shown if one.row.size)
    assert usage.duplicate_size == sum(size * (count - 1) for size, count in sizes.items())
    assert usage.duplicate_files == sum(count - 1 for count in sizes.values())
    assert usage.hidden_files == len(usage.hidden)
    assert {one.size: len(one.files) for one in usage.duplicates} == {
        size: count for size, count in sizes.items() if count > 1
    }
    for one in usage.directories:
        inside = one.path + b"/" if one.path else b""
        there = [found for found in shown if found.row.path.startswith(inside)]
        assert (one.size, one.files) == (sum(f.row.size for f in there), len(there))
        assert one.path.count(b"/") < max(depth, 1) and (depth or not one.path)


def test_a_file_with_several_names_counts_once_where_it_shows() -> None:
    """Whichever names are deleted; a link to a lower layer's file takes nothing."""
    names = [("a", tarfile.REGTYPE, "data"), ("b", tarfile.LNKTYPE, "a"), ("c", b"1", "a")]
    low = linked(*names)
    most = linked((".wh.a", tarfile.REGTYPE, ""), ("d", tarfile.LNKTYPE, "c"))
    rest = linked((".wh.b", tarfile.REGTYPE, ""), (".wh.c", tarfile.REGTYPE, ""))

    def sums(*layers: bytes) -> tuple[int, int, int]:
        usage = image_usage(files_of(make_image(Memory(), layers)))
        return usage.size, usage.hidden_size, usage.duplicate_size

    assert sums(low) == (4, 0, 0)
    assert sums(low, most) == (4, 0, 0)
    assert sums(low, linked((".wh.a", tarfile.REGTYPE, "")), rest) == (4, 4, 0)
