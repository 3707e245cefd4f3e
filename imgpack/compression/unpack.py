"""A layer's bytes as its members are read from them: by what it is, not by what it is called.

What a layer is compressed with its first bytes tell, as every engine has it: skopeo leaves a
wrong media type when it takes a blob that is there.
"""

from collections.abc import Iterator
from itertools import chain

from imgpack.errors import ArchiveError, LimitError, UnsupportedError
from imgpack.events import Meter
from imgpack.spec.format import Compression, detect


def unpack(chunks: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
    """What the layer in ``chunks`` is compressed with (see ``detect``), and its tar stream.

    All of ``chunks``, which check themselves, is read, also when decompressing fails: the digest
    is of all bytes, and says more than the error of a codec. That is raised at the end, and does
    not name the layer: ``ArchiveError``, ``LimitError`` or ``UnsupportedError``.
    """
    head = next(chunks, b"")
    found = detect(head)
    return found, _decompressed(chain([head], chunks), found)


def _decompressed(chunks: Iterator[bytes], found: str) -> Iterator[bytes]:
    from imgpack.compression.codec import decompress

    try:
        if found not in {each.value for each in Compression}:
            raise UnsupportedError(f"it is compressed with {found}")
        yield from decompress(chunks, Compression(found))
    except (ArchiveError, LimitError, UnsupportedError):
        for _ in chunks:
            pass
        raise
    for _ in chunks:
        pass


def metered(chunks: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    """``chunks``, each of which is told to ``meter`` once it is done with."""
    for chunk in chunks:
        yield chunk
        meter.advance(len(chunk))
