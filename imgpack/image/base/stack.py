"""Layers of an image that come from several places, and whether its lowest are another's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imgpack.errors import ConfigError, Hint
from imgpack.image.image import BlobSource, Image
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class Stacked:
    """A source of blobs, some of which are in others; each has ``read_blob`` of its own."""

    held: Mapping[Digest, BlobSource]
    rest: BlobSource

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """As ``BlobSource.read_blob``."""
        return self.held.get(descriptor.digest, self.rest).read_blob(descriptor, offset)


def check_base(image: Image, base: Image, where: str, hint: Hint = "choose another base") -> int:
    """How many layers ``image``, which lies ``where``, has of ``base``.

    What they unpack to counts: a registry may have compressed them another way. Digests do
    where a configuration has other ``diff_id``s. Raises ``ConfigError`` if it is not on ``base``.
    """
    count = len(base.layers)
    own, below = image.config.diff_ids, base.config.diff_ids
    if own[:count] == below:
        return count
    layers = [layer.digest for layer in image.manifest.layers[:count]]
    if layers == [layer.digest for layer in base.manifest.layers]:
        return count
    pairs = zip(own, below, strict=False)
    same = next((at for at, (one, other) in enumerate(pairs) if one != other), len(own))
    if same >= len(own):
        why = f"it has {len(own)} layers, and the base {count}"
    else:
        why = f"its layer {same + 1} is {own[same]}, and the base's is {below[same]}"
    raise ConfigError(f"{where} is not on that base: {why}", hint)
