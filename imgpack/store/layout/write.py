"""Writing an OCI image layout directory, new or with images already in it.

OCI image-spec ``image-layout.md``. Everything is first written into a staging
directory on the same file system. A new layout then gets its name by one
rename; into one that exists, blobs are moved first and ``index.json`` is
replaced last, under a lock (``flock`` on ``oci-layout``, the one file that
never changes), so readers and other writers only ever see a complete layout.
What killed writers left in it, or beside it before it had its name, is removed;
blobs that nothing names are, if asked for, under the lock, while no other writer may
count on them, and none that came after the index that they could have been meant for.

An existing layout is untrusted: a blob in it counts as there only if its bytes
have its digest, and nothing is written through a symbolic link.
"""

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from imgpack.errors import ImgpackError, OutputError, Remedy, SourceChangedError, about
from imgpack.events import Reporter, human_size
from imgpack.files.atomic import (
    AtomicFile,
    Temporary,
    is_held,
    is_temporary,
    sweep,
    sync_directory,
    write_file,
)
from imgpack.files.blobs import BlobDirectory, BlobWriter, verify_stream
from imgpack.files.reading import input_errors, read_regular
from imgpack.files.writing import output_errors, real_path
from imgpack.image.image import Named
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.json import MAX_DOCUMENT, decode, encode, member
from imgpack.spec.manifest import Index
from imgpack.store.contents import (
    NAME_ANNOTATION,
    OCI_LAYOUT,
    REF_ANNOTATION,
    SHALLOW_ANNOTATION,
    documents,
    index_entries,
    index_json,
)
from imgpack.store.layout.prune import prune
from imgpack.store.layout.read import check_version
from imgpack.store.writer import ImageWriter

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
_STAGING: Final = "imgpack"


class LayoutWriter(ImageWriter):
    """An OCI layout directory that is being made or added to.

    ``prune``: what nothing in it names any more, once it is added to, is removed. What is
    written is in the place of the documents ``replaced``: those without a name go. If one is not
    there any more, ``SourceChangedError`` is raised.
    """

    default_format = Format.OCI

    def __init__(
        self,
        path: str,
        reporter: Reporter,
        *,
        prune: bool = False,
        shallow: bool = False,
        replaced: Collection[Digest] = (),
    ) -> None:
        super().__init__(path, reporter, shallow=shallow)
        self._prune = prune
        self._replaced = frozenset(map(str, replaced))
        self._target = real_path(path)
        self._exists = os.path.isdir(self._target)
        self._stored = BlobDirectory(self._target)
        self._checked: dict[Digest, int | None] = {}
        self._parent, self._name = os.path.split(self._target)
        self._temporary = (
            Temporary(self._target, _STAGING)
            if self._exists
            else Temporary(self._parent, self._name)
        )

    def __enter__(self) -> Self:
        with output_errors(self.path):
            # One that another process has made meanwhile is met when the names are given.
            if os.path.lexists(self._target) and not os.path.isdir(self._target):
                raise OutputError(
                    f"cannot write {self.path}: it is no directory", "leave out the / at the end"
                )
            sweep(self._parent, self._name)
            with ExitStack() as stack:
                if self._exists:
                    _check_layout(self._target, self.path)
                    sweep(self._target, _STAGING, INDEX_FILE, LAYOUT_FILE)
                    if os.path.lexists(os.path.join(self._target, LAYOUT_FILE)):
                        # Who prunes has the lock, and sees this writer, or is seen by it.
                        stack.enter_context(_locked(self._target, self.path))
                self._temporary.open_directory()
        self._staging = self._temporary.path
        self._staged = BlobDirectory(self._staging, self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._temporary.discard()

    def open_blob(self, expected_size: int | None = None) -> BlobWriter:
        """Start a layer; a layout may have several open."""
        return self._staged.open_blob()

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a layer that was written, which ``write`` moves to its place."""
        moved = self._staged.size(descriptor.digest) is None
        return (self._stored if moved else self._staged).read(descriptor.digest, offset)

    def _open_known(self, descriptor: Descriptor) -> BlobWriter:
        return self._staged.open_blob()

    def _prepare(self, images: Sequence[Named]) -> None:
        """Nothing to prepare: in a directory, every blob has a place of its own."""

    def _size(self, digest: Digest) -> int | None:
        staged = self._staged.size(digest)
        if staged is not None or not self._exists:
            return staged
        return self._sound_size(digest)

    def _sound_size(self, digest: Digest) -> int | None:
        """The size of a blob that the layout holds, if its bytes are what its name says."""
        if digest not in self._checked:
            size = self._stored.size(digest)
            sound = size is not None and _is_sound(self._stored, Descriptor("", digest, size))
            self._checked[digest] = size if sound else None
        return self._checked[digest]

    def _publish(self, images: Sequence[Named]) -> None:
        for digest, raw in documents(images).items():
            self._staged.put(raw, digest)
        with output_errors(self.path):
            if not self._exists and self._rename(images):
                return
            with _locked(self._target, self.path):
                self._merge(images)

    def _rename(self, images: Sequence[Named]) -> bool:
        index = index_json(images)
        write_file(os.path.join(self._staging, LAYOUT_FILE), OCI_LAYOUT, self.path)
        write_file(os.path.join(self._staging, INDEX_FILE), index, self.path)
        try:
            self._temporary.rename(self._target, sync=False)
        except OSError:
            if not os.path.isdir(self._target):
                raise
            # Another process made it meanwhile.
            _check_layout(self._target, self.path)
            return False
        sync_directory(os.path.dirname(self._target))
        return True

    def _merge(self, images: Sequence[Named]) -> None:
        path = os.path.join(self._target, INDEX_FILE)
        there = os.path.lexists(path)
        before = os.lstat(path).st_ctime_ns if there else 0
        index = _read_index(path) if there else decode(index_json(()))
        self._check_replaced(index)
        self._move_blobs()
        index = merge_index(index, images, self._replaced)
        write_file(path, encode(index), self.path)
        self._tidy(index, before)

    def _check_replaced(self, index: dict[str, Any]) -> None:
        """What is made of a document that another has replaced would undo that."""
        there = {entry["digest"] for entry in member(index, "manifests", list, default=[])}
        if not self._replaced <= there:
            raise SourceChangedError(
                f"{self.path} was changed by another, after it was read",
                "do it again: nothing was changed",
            )

    def _move_blobs(self) -> None:
        staged = os.path.join(self._staging, "blobs")
        for algorithm in os.listdir(staged):
            directory = os.path.join(self._target, "blobs", algorithm)
            os.makedirs(directory, exist_ok=True)
            for name in sorted(os.listdir(os.path.join(staged, algorithm))):
                target = os.path.join(directory, name)
                try:
                    os.replace(os.path.join(staged, algorithm, name), target)
                except IsADirectoryError as error:
                    raise OutputError(
                        f"cannot write {self.path}: {target} is a directory", "remove it"
                    ) from error
            sync_directory(directory)

    def _tidy(self, index: dict[str, Any], before: int) -> None:
        """Remove the blobs that nothing names, or say how many there are."""
        remove = self._prune
        try:
            if remove and is_held(self._target, _STAGING, but=self._staging):
                self.reporter.warn(
                    f"{self.path}: nothing is removed while another writes to it",
                )
                return
            count, size = prune(self._target, index, before, remove=remove)
        except ImgpackError as error:
            if remove:
                problem = f"{self.path}: nothing is removed: {error.message}"
                self.reporter.warn(problem, error.hint)
            return
        blobs = f"{count} blob{'s' if count != 1 else ''} ({human_size(size)})"
        if remove:
            self.reporter.detail(f"{self.path}: {blobs} that nothing named are removed")
        elif count:
            self.reporter.warn(
                f"{self.path} holds {blobs} that nothing in it names", Remedy.PRUNE()
            )


def _is_sound(blobs: BlobDirectory, descriptor: Descriptor) -> bool:
    try:
        for _ in verify_stream(blobs.read(descriptor.digest), descriptor, "a stored blob"):
            pass
    except (ImgpackError, OSError):
        # Whatever is wrong with it, a sound one takes its place, if it is a file.
        return False
    return True


def merge_index(
    index: dict[str, Any], images: Sequence[Named], replaced: Collection[str] = ()
) -> dict[str, Any]:
    """``index`` with ``images`` added: a name that was there moves, all else stays.

    So does what an entry says besides of a document whose name it has already. Of the digests
    ``replaced`` nothing stays but what has a name that does not move.

    A tag that is now a label is the label's: where it stood for a name, the whole name does.
    """
    entries = index_entries(images)
    labels = {label for named in images for label in named.labels}
    pointers = {_pointer(entry) for entry in entries} - {None}
    there: list[dict[str, Any]] = member(index, "manifests", list, default=[])
    old = [
        _without_label(entry, labels)
        for entry in there
        if _pointer(entry) not in pointers and entry not in entries
        if _pointer(entry) is not None or entry["digest"] not in replaced
    ]
    refs = {ref for entry in old if (ref := _annotations(entry).get(REF_ANNOTATION)) is not None}
    known = {
        (_pointer(entry), entry["digest"]): entry
        for entry in there
        if _pointer(entry) and entry["digest"] not in replaced
    }
    new = [
        _joined(known.get((_pointer(entry), entry["digest"]), {}), entry)
        for entry in index_entries(images, refs)
    ]
    return index | {"manifests": [*old, *new]}


def _joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``new``, and what only ``old`` says."""
    before = {key: text for key, text in _annotations(old).items() if key != SHALLOW_ANNOTATION}
    annotations = before | _annotations(new)
    return old | new | ({"annotations": annotations} if annotations else {})


def _pointer(entry: dict[str, Any]) -> tuple[str, str] | None:
    """What an entry is known by: its name or, without one, its label."""
    annotations = _annotations(entry)
    found = ((key, annotations.get(key)) for key in (NAME_ANNOTATION, REF_ANNOTATION))
    return next(((key, name) for key, name in found if name is not None), None)


def _without_label(entry: dict[str, Any], labels: set[str]) -> dict[str, Any]:
    annotations = _annotations(entry)
    if NAME_ANNOTATION not in annotations or annotations.get(REF_ANNOTATION) not in labels:
        return entry
    whole = {REF_ANNOTATION: annotations[NAME_ANNOTATION]}
    return entry | {"annotations": annotations | whole}


def _annotations(entry: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = member(entry, "annotations", dict, default={})
    return found


def _read_index(path: str) -> dict[str, Any]:
    raw = _read_document(path)
    with about(path):
        Index.parse(raw)
        return decode(raw)


def _read_document(path: str) -> bytes:
    with input_errors(path):
        return read_regular(path, MAX_DOCUMENT + 1)


def _check_layout(target: str, path: str) -> None:
    """Refuse a directory that is neither a layout nor empty, before anything is written."""
    with output_errors(path):
        names = set(os.listdir(target))
    if {LAYOUT_FILE, INDEX_FILE} <= names:
        _read_index(os.path.join(target, INDEX_FILE))
    elif any(not is_temporary(name) for name in names - {LAYOUT_FILE, "blobs"}):
        raise OutputError(
            f"cannot write {path}: the directory is not empty and no OCI layout",
            "name a new directory, or a file for an archive",
        )
    if LAYOUT_FILE in names:
        with about(f"{path}: {LAYOUT_FILE}"):
            check_version(_read_document(os.path.join(target, LAYOUT_FILE)))
    for part in ("blobs", "blobs/sha256", "blobs/sha512"):
        # Through a symbolic link, whoever made the layout would choose where blobs are written.
        inner = os.path.join(target, part)
        if os.path.lexists(inner) and (os.path.islink(inner) or not os.path.isdir(inner)):
            raise OutputError(
                f"cannot write {path}: {part} in it is not a directory", "name a new directory"
            )


@contextmanager
def _locked(target: str, shown: str) -> Iterator[None]:
    path = os.path.join(target, LAYOUT_FILE)
    if not os.path.lexists(path):
        with AtomicFile(path, shown) as file:
            file.write(OCI_LAYOUT)
            # Never replaces a file that another process has locked.
            file.commit_new()
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
