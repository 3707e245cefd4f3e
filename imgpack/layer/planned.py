"""What a build would pack, without a look into a file: for people who want to see it first."""

import stat
from collections.abc import Iterator

from imgpack.layer.links import Links
from imgpack.layer.stages import Stages
from imgpack.tree.entry import Entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Tree


def planned(tree: Tree, stages: Stages) -> Iterator[tuple[Entry, bytes | None]]:
    """Each entry as it would be written, and the path of the first name of a hard link.

    Raises ``SourceError`` at the end for what cannot be read, and ``TreeError``.
    """
    problems, links = Problems(), Links()
    for _, entry in stages.pairs(tree.entries(problems), problems):
        if stat.S_ISSOCK(entry.mode):
            continue
        linked = entry.links > 1 and not entry.is_directory
        yield entry, links.first(entry) if linked else None
    problems.check()
    for left_out in problems.left_out:
        left_out.tell()
