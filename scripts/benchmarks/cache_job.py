"""What ``cache.py`` runs on the interpreter that is measured: a cache is filled, or used.

``fill DIR COUNT`` stores small segments; ``use DIR COUNT LIMIT`` does what every build does
besides building, again and again, and prints the mean of the seconds that it takes.
LIMIT is ``below``, or ``at``: then something has to go each time.
"""

import hashlib
import statistics
import sys
import time

from imgpack.api import SegmentCache

_DATA = bytes(100)
_TIMES = 64
HOW = ("below", "at")


def key(number: int) -> str:
    """As spread as a fingerprint is."""
    return f"{hashlib.sha256(b'%d' % number).hexdigest()[:16]}64-{'7' * 16}"


def fill(directory: str, count: int) -> None:
    """A cache that holds ``count`` segments, and has counted them."""
    cache = SegmentCache(directory)
    for number in range(count):
        cache.store(key(number), _DATA)
    cache.trim(1 << 60, stale_ns=0)


def use(directory: str, count: int, *, at_limit: bool) -> float:
    """Open the cache, take a segment out, store another, trim: seconds."""
    cache = SegmentCache(directory)
    cache.store(key(time.time_ns()), _DATA)
    size = cache.trim(1 << 60, stale_ns=0).size
    limit = size if at_limit else 1 << 60
    taken, dropped = [], 0
    for number in range(_TIMES):
        stored, wanted = time.time_ns(), key(count - 1 - number)
        start = time.perf_counter()
        cache = SegmentCache(directory)
        hit = cache.load(wanted)
        cache.touch([wanted])
        cache.store(key(stored), _DATA)
        done = cache.trim(limit, stale_ns=0)
        taken.append(time.perf_counter() - start)
        if hit is None:
            raise SystemExit(f"{directory} is not as it was filled")
        dropped += done.dropped
    if (dropped >= _TIMES) is not at_limit:
        raise SystemExit(f"{dropped} entries were dropped, {HOW[at_limit]} the limit")
    return statistics.mean(taken)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        print(use(sys.argv[2], int(sys.argv[3]), at_limit=sys.argv[4] == "at"))
