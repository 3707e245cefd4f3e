"""What is wrong with images and trees."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgpack.image.files.files import ImageFiles
    from imgpack.image.lint.findings import Linted, LintIgnore
    from imgpack.tree.tree import Tree


def lint(
    source: ImageFiles | Tree,
    *,
    ignore: Iterable[LintIgnore] = (),
    scratch: Callable[[], str] = tempfile.gettempdir,
) -> Linted:
    """What the rules of ``docs/lint.md`` find in ``source``, but for what to ``ignore``.

    Of an image, from ``open_files``, its configuration too, and all layers, also what a higher
    one deletes; a ``Tree``, as ``directory`` gives, has files alone. ``scratch`` finds a
    directory for copies of programs while they are read. Raises ``DigestError``,
    ``ArchiveError``, ``SourceError``, ``TreeError``, ``OutputError``, and what the source raises.
    """
    from imgpack.image.files.files import ImageFiles
    from imgpack.image.lint.lint import lint_image, lint_tree

    if isinstance(source, ImageFiles):
        return lint_image(source, ignore, scratch)
    return lint_tree(source, ignore)
