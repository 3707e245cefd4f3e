"""A layer: a compressed blob, and what it unpacks to.

Source: OCI image-spec ``config.md``, "Layer DiffID".
"""

from dataclasses import dataclass

from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class Layer:
    """``descriptor`` is the blob as the manifest names it, ``diff_id`` the digest of its tar."""

    descriptor: Descriptor
    diff_id: Digest
