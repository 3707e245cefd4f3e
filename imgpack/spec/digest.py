"""Digests: what content is, said by its hash.

Source: OCI image-spec ``descriptor.md``. Only sha256 and sha512 are
registered, and only their lower-case hexadecimal form is accepted, because a
digest goes into URLs and paths (CVE-2024-3727).
"""

import hashlib
import re
from dataclasses import dataclass

from imgpack.errors import InvalidReferenceError, UnsupportedError

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_SHORT = re.compile(r"(?:sha256:[0-9a-f]{1,63}|sha512:[0-9a-f]{1,127})")
_OTHER = re.compile(r"(?!sha256:|sha512:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}")
"""Well-formed, of another algorithm; shorter ones are a mistyped tag and the like."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and a lower-case hexadecimal hash; valid once built.

    Raises ``InvalidReferenceError``, or ``UnsupportedError`` for other algorithms.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(f"{self.algorithm}:{self.hex}"):
            shown = f"{self.algorithm}:{self.hex}"[:160] if self.hex else self.algorithm[:160]
            if _OTHER.fullmatch(f"{self.algorithm}:{self.hex}"):
                raise UnsupportedError(
                    f"the digest {shown!r} has an algorithm that is not supported",
                    "sha256 and sha512 are",
                )
            raise InvalidReferenceError(
                f"invalid digest {shown!r}",
                "a digest is sha256: and 64, or sha512: and 128, lower-case hexadecimal digits",
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Parse ``algorithm:hex``. Raises what the constructor does."""
        algorithm, _, hexadecimal = text.partition(":")
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        """The sha256 digest of ``data``."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    def rehash(self, data: bytes) -> "Digest":
        """The digest of ``data`` by the algorithm of this one."""
        return Digest(self.algorithm, hashlib.new(self.algorithm, data).hexdigest())

    def hasher(self) -> "hashlib._Hash":
        """A new hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)


def is_short(text: str) -> bool:
    """Whether ``text`` is the beginning of a digest: its algorithm and at least one digit."""
    return _SHORT.fullmatch(text) is not None


EMPTY_LAYER_GZIP = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
"""The 32 bytes that schema1 names for an entry without a layer: a gzipped tar of 1024 zeros."""
EMPTY_LAYER = Digest.of(EMPTY_LAYER_GZIP)
