"""The check of all images at a location: documents first, then every blob once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from imgpack.errors import AmbiguousError, ArchiveError, Remedy, UnsupportedError
from imgpack.events import SILENT, Reporter
from imgpack.image.check.against import FIELDS, Mismatches, tree_mismatches
from imgpack.image.check.documents import BlobKey, CheckedDocuments, check_documents
from imgpack.image.check.layers import CheckedLayer, LayerChecks
from imgpack.image.check.merged import check_merged
from imgpack.image.check.problems import Findings, Verification
from imgpack.image.image import Image
from imgpack.image.opened import Opened, Root
from imgpack.spec.platform import Platform
from imgpack.tree.tables.applied import Applied
from imgpack.tree.tree import Tree


@dataclass(frozen=True, slots=True)
class Against:
    """A tree on disk that an image is to be like, but for the fields that are ``ignored``.

    They are among ``FIELDS``; raises ``ValueError`` for another.
    """

    tree: Tree
    ignored: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        if unknown := self.ignored.difference(FIELDS):
            raise ValueError(f"there is no field {min(unknown)!r}")


def verify_opened(
    opened: Opened,
    roots: Sequence[Root],
    platform: Platform | None,
    findings: Findings,
    scratch: Callable[[], str],
    *,
    against: Against | None = None,
    listed: Callable[[Image], Tree | None] = lambda image: None,
    jobs: int = 1,
    reporter: Reporter = SILENT,
) -> Verification:
    """Check everything that ``roots`` of ``opened`` name; ``findings`` has what is known already.

    ``platform`` is as for ``check_documents``, ``scratch`` finds a directory for tables; ``listed``
    is the tree of an image whose layers are not here, if it is known. Raises ``OutputError``, what
    connections raise, and with ``against`` what reading it raises, ``AmbiguousError`` if there are
    several images, and ``UnsupportedError`` if there is none with files that can be like a tree.
    """
    documents = check_documents(opened, roots, platform, findings)
    checks = LayerChecks(findings, scratch, jobs, reporter, digests=against is not None)
    mismatches, compared = Mismatches(), False
    if against is not None and len(documents.images) > 1:
        raise _several(opened, roots, len(documents.images))
    for image, layers in _read(documents, checks):
        there = [layer for layer in layers if layer is not None]
        tree = listed(image)
        if len(there) == len(layers):
            tree = Applied([layer.table for layer in there])
            if there:
                names = [f"layer {layer.digest}" for layer in image.manifest.layers]
                check_merged(there, names, findings)
        if against is not None and tree is not None:
            compared = _compare(tree, against, mismatches)
    size = sum(size for _, size in documents.blobs)
    found = Verification(
        opened.location, tuple(documents.checked), findings.problems(), len(documents.blobs), size,
        tuple(mismatches.listed), mismatches.count, compared=compared,
    )  # fmt: skip
    if against is not None and found.sound and not compared:
        why = "layers of it are not here" if documents.images else "there is no image with files"
        raise UnsupportedError(
            f"{opened.location} cannot be compared with a directory: {why}",
            "name an image with all its layers",
        )
    return found


def _several(opened: Opened, roots: Sequence[Root], count: int) -> AmbiguousError:
    """That one of ``count`` images has to be chosen, by its name or by its platform."""
    if len(roots) > 1:
        opened.select(None)  # which raises, and says what there is
    return AmbiguousError(
        f"{opened.location} has images for {count} platforms, and a directory is like one",
        Remedy.CHOOSE_PLATFORM(),
    )


def _compare(tree: Tree, against: Against, mismatches: Mismatches) -> bool:
    """Compare an image's ``tree``; whether that was possible."""
    try:
        tree_mismatches(tree, against.tree, against.ignored, mismatches)
    except ArchiveError:  # a hard link to nothing, which is told already
        return False
    return True


def _read(
    documents: CheckedDocuments, checks: LayerChecks
) -> Iterator[tuple[Image, list[CheckedLayer | None]]]:
    """Each image with what is in its layers, each of which is read once; then all other blobs.

    A table is kept as long as another image needs it.
    """
    keys = [_keys(image) for image in documents.images]
    needed = Counter(key for own in keys for key in set(own))
    known: dict[BlobKey, CheckedLayer | None] = {}
    for image, own in zip(documents.images, keys, strict=True):
        for key in own:
            if key not in known:
                claim = documents.blobs.get(key)
                known[key] = None if claim is None else checks.read(claim)
        yield image, [known[key] for key in own]
        for key in set(own):
            needed[key] -= 1
            if not needed[key]:
                known[key] = None
    for key, claim in documents.blobs.items():
        if key not in known:
            checks.read(claim)


def _keys(image: Image) -> list[BlobKey]:
    return [(layer.digest, layer.size) for layer in image.manifest.layers]
