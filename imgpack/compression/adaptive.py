"""Which gzip level suits bytes: what fast compressors make of a few samples decides.

A pure function of the bytes and of libdeflate's release, in integers: no clock, no
earlier segment. ``docs/layer-format.md``, section 6, specifies it with the reasons of
the constants, which decide digests.
"""

from typing import Final

from imgpack.compression.algorithm import Bytes, LevelRule

SAMPLES: Final = 31
"""Samples of a segment: a prime number, so that in a piece of a large file no period of a power
of two (pages, records, blocks) is met in one phase only."""
SAMPLE: Final = 512
"""Bytes of a sample: a tar block, long enough to hold the matches that text and code have."""
PROBE_LEVEL: Final = 1
"""The fastest level that compresses: all samples cost about a hundredth of a segment."""

LEVELS: Final = ((80, 5), (60, 4), (30, 2), (2, 1))
"""The percentage that the samples lose at least, and the level for it. Text loses most: its long
matches make a search cheap, and a longer search saves much. Machine code gains by the first
step of the search and little by the next. What loses less has hardly a match: how often each
byte occurs is all that saves, and the fastest level uses that as well as any, but for ``SHORT``."""
SHORT: Final = 2
"""The lowest level that takes matches of 3 bytes. Numbers that rise, or are near one another, may
have no longer ones, and such a table becomes a third larger without."""
SHORT_GAIN: Final = 2
"""The percentage of the samples that ``SHORT`` saves at least, where ``PROBE_LEVEL`` would do: as
much as its CPU time saves elsewhere. (Weights of a model become larger by it.)"""
STORED: Final = 0
"""The level for what loses less: compressing it would take a hundred times as long as copying
it, and the same CPU time saves more elsewhere."""


def sample(data: Bytes) -> Bytes:
    """The middles of equal parts of ``data``, joined; all of it if it is no longer than that."""
    size = len(data)
    if size <= SAMPLES * SAMPLE:
        return data
    starts = (size * (2 * part + 1) // (2 * SAMPLES) - SAMPLE // 2 for part in range(SAMPLES))
    return b"".join([data[start : start + SAMPLE] for start in starts])


def level(data: Bytes) -> int:
    """The level for a segment: ``STORED`` or one of ``LEVELS``; thread-safe."""
    import deflate

    samples = sample(data)
    size, probed = len(samples), len(deflate.deflate_compress(samples, PROBE_LEVEL))
    found = next(
        (step for least, step in LEVELS if 100 * (size - probed) >= least * size > 0), STORED
    )
    if found == PROBE_LEVEL:
        saved = probed - len(deflate.deflate_compress(samples, SHORT))
        return SHORT if 100 * saved >= SHORT_GAIN * size else found
    return found


RULE: Final = LevelRule("adaptive-2", level)
