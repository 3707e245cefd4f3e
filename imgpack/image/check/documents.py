"""Every document of the images at a location, whatever is wrong with some of them.

OCI image-spec ``image-index.md``, ``manifest.md`` and ``config.md``. A document is looked at once;
what it names that is no document is a claim, to be read later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from imgpack.errors import DocumentError, LimitError, NotFoundError, printable
from imgpack.image.check.problems import (
    UNREADABLE,
    CheckedImage,
    Findings,
    ImageCheck,
    ProblemLevel,
)
from imgpack.image.image import BlobSource, Image
from imgpack.image.opened import Opened, Root
from imgpack.image.resolve import MAX_DEPTH, is_attestation
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Index, Manifest
from imgpack.spec.platform import Platform

_LEFT_OUT: Final = "is not here (a shallow image, or a lock)"
_FAULTS: Final = (*UNREADABLE, LimitError)

BlobKey = tuple[Digest, int]
"""A blob by the digest and the size that a document says it has."""


@dataclass(slots=True)
class BlobClaim:
    """A blob that documents name, and all that they say it unpacks to, if it is a layer."""

    descriptor: Descriptor
    source: BlobSource
    diff_ids: list[Digest] = field(default_factory=list)


@dataclass(slots=True)
class CheckedDocuments:
    """What the documents say: what is there, the images that are whole, and blobs by their keys."""

    checked: list[CheckedImage] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    blobs: dict[BlobKey, BlobClaim] = field(default_factory=dict)


def check_documents(
    opened: Opened, roots: Sequence[Root], platform: Platform | None, findings: Findings
) -> CheckedDocuments:
    """Look at all documents of ``roots``; of indexes at what is for ``platform``, if given."""
    walk = _DocumentWalk(opened, platform, findings)
    for root in roots:
        names = (*(name.shown() for name in root.names), *root.labels)
        for said in root.platforms or (None,):
            walk.document(replace(root.descriptor, platform=said), 0, names)
    return walk.found


class _DocumentWalk:
    def __init__(self, opened: Opened, platform: Platform | None, findings: Findings) -> None:
        self.found = CheckedDocuments()
        self._opened = opened
        self._platform = platform
        self._findings = findings
        self._seen: set[tuple[Digest, str]] = set()

    def document(self, entry: Descriptor, depth: int, names: tuple[str, ...] = ()) -> bool:
        """Look at what ``entry`` names, and all below; whether it is there."""
        key = entry.digest, str(entry.platform or "")
        if key in self._seen:
            return True
        self._seen.add(key)
        if not mediatype.is_document(entry.media_type):
            self._tell("other", entry, names)
            self._claim(entry)
            return True
        where = f"manifest {entry.digest}"
        try:
            document = self._opened.document(Root(entry))
        except NotFoundError as error:
            if depth:
                return False
            self._findings.caught(ImageCheck.DOCUMENT, where, error)
            return True
        except _FAULTS as error:
            self._findings.caught(ImageCheck.DOCUMENT, where, error)
            return True
        if isinstance(document, Index):
            self._tell("index", document.descriptor, names)
            self._index(document, depth)
            return True
        return self._manifest(document, entry, depth, names)

    def _index(self, index: Index, depth: int) -> None:
        where = f"index {index.descriptor.digest}"
        if depth >= MAX_DEPTH:
            text = f"indexes are nested more than {MAX_DEPTH} deep"
            self._findings.add(ImageCheck.DOCUMENT, where, text, kind=LimitError)
            return
        wanted = [entry for entry in index.manifests if self._is_wanted(entry)]
        lost = [entry for entry in wanted if not self.document(entry, depth + 1)]
        level = ProblemLevel.ERROR if lost and len(lost) == len(wanted) else None
        for entry in lost:
            platform = f" ({entry.platform})" if entry.platform else ""
            text = f"the manifest {entry.digest}{platform} that it names is not there"
            self._findings.add(ImageCheck.ABSENT, where, text, level=level)

    def _is_wanted(self, entry: Descriptor) -> bool:
        platform = self._platform
        return platform is None or entry.platform is None or platform.matches(entry.platform)

    def _manifest(
        self, manifest: Manifest, entry: Descriptor, depth: int, names: tuple[str, ...]
    ) -> bool:
        descriptor = manifest.descriptor
        if not manifest.is_image:
            self._tell("artifact", descriptor, names)
            for blob in (manifest.config, *manifest.layers):
                self._claim(blob)
            return True
        where = f"configuration {manifest.config.digest}"
        try:
            config = self._opened.config(manifest)
        except NotFoundError as error:
            if depth:  # Docker saves the manifest alone of what it did not pull
                return False
            self._findings.caught(ImageCheck.DOCUMENT, where, error)
        except _FAULTS as error:
            self._findings.caught(ImageCheck.DOCUMENT, where, error)
        else:
            attested = is_attestation(entry)
            if self._platform is not None and not self._platform.matches(config.platform):
                return True
            kind = "attestation" if attested else "image"
            self._tell(kind, descriptor, names, str(config.platform))
            if not attested:
                self._check_kinds(manifest, config, where)
            self._image(manifest, config, entry)
            return True
        self._tell("image", descriptor, names)
        for blob in manifest.layers:
            self._claim(blob)
        return True

    def _image(self, manifest: Manifest, config: ImageConfig, entry: Descriptor) -> None:
        where = f"configuration {config.digest}"
        self._check_platform(config, entry, where)
        layers = sum(not step.empty_layer for step in config.history)
        if config.history and layers != len(manifest.layers):
            text = f"{layers} history entries have a layer, and there are {len(manifest.layers)}"
            self._findings.add(ImageCheck.HISTORY, where, text)
        absent = self._opened.absent(manifest)
        for blob in manifest.layers:
            if blob.digest in absent:
                foreign = mediatype.is_foreign(blob.media_type)
                why = "is kept elsewhere (a foreign layer)" if foreign else _LEFT_OUT
                text = f"the layer {why}, and was not checked"
                self._findings.add(ImageCheck.ABSENT, f"layer {blob.digest}", text)
        try:
            image = Image(manifest, config, self._opened, absent)
        except DocumentError as error:
            self._findings.caught(ImageCheck.LAYER_COUNT, where, error)
            for blob in manifest.layers:
                if blob.digest not in absent:
                    self._claim(blob)
            return
        self.found.images.append(image)
        for layer in image.layers:
            blob = layer.descriptor
            if blob.digest not in absent:
                self._claim(blob, layer.diff_id if mediatype.is_layer(blob.media_type) else None)

    def _check_kinds(self, manifest: Manifest, config: ImageConfig, where: str) -> None:
        """Whether there is something to run, and something that runs it."""
        others = [blob for blob in manifest.layers if not mediatype.is_layer(blob.media_type)]
        for blob in others:
            text = (
                f"its type {printable(blob.media_type)} is none of files: what is in it is unknown"
            )
            place = f"layer {blob.digest}"
            self._findings.add(ImageCheck.MEDIA_TYPE, place, text, level=ProblemLevel.NOTE)
        if not config.platform.known and len(others) < len(manifest.layers):
            text = f"it is for {config.platform}, and no engine runs that"
            self._findings.add(ImageCheck.PLATFORM, where, text, level=ProblemLevel.WARNING)

    def _check_platform(self, config: ImageConfig, entry: Descriptor, where: str) -> None:
        said, own = entry.platform, config.platform
        if said is None or said == own:
            return
        same = (said.os, said.architecture) == (own.os, own.architecture)
        if same and (said.variant == own.variant or "" in (said.variant, own.variant)):
            return  # many say the variant in one place only; the rest is a version of Windows
        level = ProblemLevel.WARNING if same else None
        text = f"it is for {own}, and the index says {said}"
        self._findings.add(ImageCheck.PLATFORM, where, text, level=level)

    def _claim(self, blob: Descriptor, diff_id: Digest | None = None) -> None:
        key = blob.digest, blob.size
        claim = self.found.blobs.setdefault(key, BlobClaim(blob, self._opened))
        if diff_id is not None and diff_id not in claim.diff_ids:
            claim.diff_ids.append(diff_id)

    def _tell(
        self, kind: str, descriptor: Descriptor, names: tuple[str, ...], platform: str = ""
    ) -> None:
        self.found.checked.append(
            CheckedImage(kind, str(descriptor.digest), descriptor.media_type, platform, names)
        )
