"""Whether images are sound, wherever they are, and what else is wrong with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Final

from imgpack.api.bases import split
from imgpack.api.locations import open as open_location
from imgpack.errors import ArchiveError, DigestError, DocumentError, LimitError
from imgpack.events import SILENT, Reporter

if TYPE_CHECKING:
    from imgpack.image.check.problems import Findings, Verification
    from imgpack.image.check.verify import Against
    from imgpack.image.files.files import ImageFiles
    from imgpack.image.image import Image
    from imgpack.image.lint.findings import Linted, LintIgnore
    from imgpack.image.opened import Opened
    from imgpack.registry.registries import Registries
    from imgpack.spec.platform import Platform
    from imgpack.spec.reference import Reference
    from imgpack.tree.tree import Tree

_UNREADABLE: Final = (ArchiveError, DigestError, DocumentError, LimitError)
"""What is wrong with what is there, and no reason why it cannot be looked at."""


def verify(
    location: str | Reference,
    *,
    image: str | None = None,
    platform: Platform | None = None,
    against: Against | None = None,
    registries: Registries | None = None,
    scratch: Callable[[], str] = tempfile.gettempdir,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Verification:
    """Check all that is at ``location``, and collect what is wrong with it.

    ``location`` is as for ``open``, or ``PATH:NAME``; ``image`` chooses one of an archive or a
    layout, ``platform`` one of an index. Every document is read, every blob once: digests, sizes,
    ``diff_id``s, history, platforms, and what layers say of each other (OCI image-spec). Of
    artifacts and types that nobody knows, digests and sizes are checked; of a lock, which has no
    layers, what it says that they make. The one image that is chosen is compared with the tree
    ``against``. ``scratch`` finds a directory for what is in the layers, without the bytes of
    files; ``jobs`` threads read a layer. What is wrong with the images is in the result; raises
    what says nothing of them: ``SourceError``, ``NotFoundError``, ``AmbiguousError``,
    ``UnsupportedError`` (also if what is in the image is not here to be compared),
    ``OutputError``, and what connections raise.
    """
    from imgpack.image.check.problems import Findings, ImageCheck, Verification
    from imgpack.image.check.verify import verify_opened
    from imgpack.image.location import holds_images

    path, name = split(location)
    where = path if isinstance(path, str) else path.shown()
    findings = Findings(where)
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(_opening(path, findings, registries, scratch))
        except _UNREADABLE as error:
            if isinstance(path, str) and os.path.isdir(path) and not holds_images(path):
                raise  # it is no image
            findings.caught(ImageCheck.DOCUMENT, "the whole", error)
            return Verification(where, problems=findings.problems())
        findings.location = opened.location
        wanted = image or name
        roots = opened.roots if wanted is None else (opened.select(wanted),)
        found = verify_opened(
            opened, roots, platform, findings, scratch, against=against,
            listed=_listed(path, findings), jobs=jobs, reporter=reporter,
        )  # fmt: skip
        if not roots or (platform is not None and not (found.problems or found.blobs)):
            opened.images(platform)  # which says that there is none
        return found


def _listed(path: str | Reference, findings: Findings) -> Callable[[Image], Tree | None]:
    """What a lock says that the layers of an image make; nothing of any other location."""
    from imgpack.image.base.locked import is_lock, read_lock
    from imgpack.image.check.locked import LockTrees

    if not (isinstance(path, str) and is_lock(path)):
        return lambda image: None
    return LockTrees(read_lock(path), path, findings).of


def _opening(
    path: str | Reference,
    findings: Findings,
    registries: Registries | None,
    scratch: Callable[[], str],
) -> AbstractContextManager[Opened]:
    """What is at ``path``; that both halves of an archive disagree is a finding."""
    from imgpack.image.check.problems import ImageCheck
    from imgpack.image.location import is_path, perhaps_a_file
    from imgpack.store.open import open_images

    if not (isinstance(path, str) and is_path(path)):
        return open_location(path, registries=registries, scratch=scratch)

    def disagree(error: ArchiveError) -> None:
        findings.caught(ImageCheck.AGREEMENT, "manifest.json", error)

    with perhaps_a_file(path):
        return open_images(path, scratch=scratch, disagreement=disagree)


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
