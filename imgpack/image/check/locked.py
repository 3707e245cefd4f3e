"""What a lock says that the layers of an image make, which are not in it.

Invariant: it is what its digest says, and read to its end, before it stands for the image.
"""

from collections import deque
from dataclasses import dataclass

from imgpack.errors import LimitError
from imgpack.image.base.lock import Lock
from imgpack.image.check.problems import UNREADABLE, Findings, ImageCheck
from imgpack.image.image import Image
from imgpack.tree.tree import Tree


@dataclass(frozen=True, slots=True)
class LockTrees:
    """The trees of the ``lock`` at ``path``; what is wrong with one is told to ``findings``."""

    lock: Lock
    path: str
    findings: Findings

    def of(self, image: Image) -> Tree | None:
        """That of ``image``, if it can be read."""
        for one in self.lock.images:
            if one.manifest.descriptor == image.manifest.descriptor:
                try:
                    tree = one.tree.listing(self.path)
                    deque(tree.entries(), maxlen=0)
                except (*UNREADABLE, LimitError) as error:
                    where = f"tree of {one.platform}"
                    self.findings.caught(ImageCheck.DOCUMENT, where, error)
                    return None
                return tree
        return None
