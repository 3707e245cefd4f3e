"""Check sums against damage and for finding things again; none is proof of anything."""

from imgpack.compression.algorithm import Bytes


def crc32(data: Bytes, before: int = 0) -> int:
    """The check sum that a gzip member ends with (RFC 1952, section 2.3.1).

    ``before`` is that of the bytes in front of ``data``.
    """
    import deflate

    found: int = deflate.crc32(data, before)
    return found


def fingerprint(data: Bytes, crc: int | None = None) -> str:
    """A cheap 64-bit check sum and the length in bytes: not proof against collisions.

    ``crc`` is the ``crc32`` of ``data``, if the caller has it already.
    """
    import deflate

    first = crc32(data) if crc is None else crc
    return f"{first:08x}{deflate.adler32(data):08x}{len(data):x}"


class RunningFingerprint:
    """The ``fingerprint`` of what comes in pieces."""

    def __init__(self) -> None:
        self._crc = 0
        self._adler = 1
        self.size = 0

    def update(self, data: Bytes) -> None:
        """The next piece."""
        import deflate

        self._crc = crc32(data, self._crc)
        self._adler = deflate.adler32(data, self._adler)
        self.size += len(data)

    def value(self) -> str:
        """That of all pieces."""
        return f"{self._crc:08x}{self._adler:08x}{self.size:x}"
