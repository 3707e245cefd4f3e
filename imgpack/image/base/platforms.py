"""An image made anew platform by platform: of an index each, and then the index over them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from imgpack.errors import UnsupportedError
from imgpack.events import Reporter
from imgpack.image.image import AnyImage, Image, ImageIndex
from imgpack.image.join import SUBJECT, warn_of_dropped
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Format
from imgpack.spec.manifest import BASE_KEYS, build_index
from imgpack.spec.platform import Platform


@dataclass(frozen=True, slots=True)
class Remaking:
    """How the images at ``where`` are made anew.

    ``image`` makes one, ``annotations`` those of an index; ``format`` is what an index gets,
    if not that which it has. Only the one for ``platform`` is, if given. What is no image and
    about one that is not there any more goes.
    """

    where: str
    image: Callable[[Image], Image]
    annotations: Callable[[Mapping[str, str]], Mapping[str, str]]
    format: Format | None
    reporter: Reporter
    platform: Platform | None = None
    _done: dict[Digest, AnyImage] = field(default_factory=dict)

    def __call__(self, image: AnyImage) -> AnyImage:
        """``image`` made anew. Raises ``UnsupportedError`` for what holds none."""
        if isinstance(image, ImageIndex):
            return self._index(image)
        if not isinstance(image, Image):
            raise UnsupportedError(
                f"{self.where}: {image.document.media_type[:80]!r} is no image, but an artifact",
                "choose an image",
            )
        return self.image(image)

    def _member(self, entry: Descriptor, member: Image | ImageIndex) -> AnyImage:
        wanted = self.platform
        if wanted is not None and isinstance(member, Image):
            said = entry.platform or member.config.platform
            if not wanted.matches(said):
                return member
        return self(member)

    def _index(self, image: ImageIndex) -> ImageIndex:
        image.check_complete()
        members = {one.document.descriptor.digest: one for one in image.members}
        for entry in image.index.manifests:
            member = members[entry.digest]
            if isinstance(member, Image | ImageIndex) and entry.digest not in self._done:
                self._done[entry.digest] = self._member(entry, member)
        there = {str(old) for old, new in self._done.items() if _digest(new) == old}
        changed = len(there) < len(self._done)
        entries: list[Descriptor] = []
        made: list[AnyImage] = []
        for entry in image.index.manifests:
            member = members[entry.digest]
            if isinstance(member, Image | ImageIndex):
                new = self._done[entry.digest]
                entries.append(self._described(entry, member, new))
                made.append(new)
            elif not changed or entry.annotation(SUBJECT) in there:
                entries.append(entry)
                made.append(member)
        if not any(isinstance(one, Image | ImageIndex) for one in made):
            raise UnsupportedError(f"{self.where}: the index holds no image", "choose another")
        warn_of_dropped(len(image.index.manifests) - len(made), self.where, self.reporter)
        return self._indexed(image, entries, made)

    def _indexed(
        self, image: ImageIndex, entries: list[Descriptor], made: list[AnyImage]
    ) -> ImageIndex:
        kind = image.index.media_type if self.format is None else self.format.index_type
        annotations = dict(image.index.annotations)
        if annotations or Format.of(kind) is Format.OCI:  # Docker's have none
            annotations = dict(self.annotations(annotations))
        same = (tuple(entries), kind, annotations) == (
            image.index.manifests,
            image.index.media_type,
            dict(image.index.annotations),
        )
        return image if same else ImageIndex(build_index(entries, kind, annotations), tuple(made))

    def _described(self, entry: Descriptor, old: AnyImage, new: AnyImage) -> Descriptor:
        """What the index says of ``new``, which is in the place of ``old``."""
        if new is old:
            return entry
        annotations, platform = dict(entry.annotations), entry.platform
        if annotations.keys() & BASE_KEYS:
            annotations = dict(self.annotations(annotations))
        if platform is not None and _platform(old) != _platform(new):
            platform = _platform(new)  # not where both leave out what the index says
        return replace(
            new.document.descriptor,
            platform=platform,
            annotations=tuple(annotations.items()),
            artifact_type=entry.artifact_type,
        )


def _platform(image: AnyImage) -> Platform | None:
    return image.config.platform if isinstance(image, Image) else None


def _digest(image: AnyImage) -> Digest:
    return image.document.descriptor.digest
