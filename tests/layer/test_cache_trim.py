"""Making a cache smaller: what goes, what stays, and how little is looked at."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.api import SegmentCache
from imgpack.compression.checksum import fingerprint
from imgpack.layer.cache import trim
from imgpack.layer.cache.entries import PARTS, SIZES, TMP, Found
from imgpack.layer.cache.sizes import Sizes, read_sizes, write_sizes

HEAD = 32
ENTRY = HEAD + 68
"""Bytes of an entry as ``fill`` makes them."""
EVER = 1 << 40


def key_of(number: int) -> str:
    """A key as spread as a fingerprint is."""
    return f"{hashlib.sha256(b'%d' % number).hexdigest()[:16]}44-{'7' * 16}"


def fill(place: Path, numbers: Sequence[int]) -> SegmentCache:
    """A cache with an entry of 100 bytes for each number, which is when it was used, in seconds."""
    cache = SegmentCache(str(place))
    head = fingerprint(bytes(68)).encode().ljust(HEAD)
    for number in numbers:
        path = Path(cache._segment(key_of(number)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + bytes(68))
        os.utime(path, (number, number))
    return cache


def held(cache: SegmentCache, numbers: Sequence[int]) -> list[int]:
    """Those of the numbers whose entries are there."""
    return [number for number in numbers if cache.load(key_of(number)) is not None]


def counted(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> tuple[int, int]:
    """How many directories are listed and how many files looked at while something is done."""
    calls = {"listdir": 0, "lstat": 0}

    def counting(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object) -> object:
            calls[name] += 1
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, counting(name))
        work()
    return calls["listdir"], calls["lstat"]


@pytest.mark.parametrize("count", [1_000, 8_000])
@pytest.mark.parametrize("below", [True, False])
def test_a_trim_looks_at_as_much_however_large_a_cache_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, below: bool
) -> None:
    """Also where it stands at its limit, and something has to go; below it hardly anything."""
    cache = fill(tmp_path, range(count))
    size = cache.trim(EVER, stale_ns=0).size
    limit = EVER if below else size
    for number in range(5):
        cache.store(key_of(-1 - number), bytes(68))
    for _ in range(7 if below else 0):
        assert counted(monkeypatch, lambda: cache.trim(limit, stale_ns=0)) == (4, 0)

    trims = []
    listed, looked = counted(monkeypatch, lambda: trims.append(cache.trim(limit, stale_ns=0)))

    assert trims[0].dropped in ([0] if below else range(5, 40))
    assert trims[0].size == size + 500 - ENTRY * trims[0].dropped
    assert listed <= 200  # of 256 directories, where each has few files
    assert looked <= 220


def test_what_a_trim_looks_at_grows_with_what_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the cache goes by looking at eight times as much."""
    cache = fill(tmp_path, range(8_000))
    limit = cache.trim(EVER, stale_ns=0).size
    for number in range(100):
        cache.store(key_of(-1 - number), bytes(68))

    _, looked = counted(monkeypatch, lambda: cache.trim(limit, stale_ns=0))

    assert limit - 40 * ENTRY < cache.usage().size <= limit
    assert looked <= 8 * 100 + 250


def test_the_oldest_go_first_about(tmp_path: Path) -> None:
    """Of a cache that is replaced piece by piece what was used last stays."""
    cache = fill(tmp_path, range(3_000))
    limit = cache.trim(EVER, stale_ns=0).size
    for step in range(20):
        for number in range(50):
            cache.store(key_of(10_000 + 50 * step + number), bytes(68))
        assert cache.trim(limit, stale_ns=0).size <= limit

    gone = set(range(3_000)) - set(held(cache, range(3_000)))
    assert len(gone) in range(1_000, 1_040)
    assert sum(number < 1_500 for number in gone) > 950
    assert len(held(cache, range(10_000, 11_000))) == 1_000


def test_what_goes_leaves_room_for_the_next_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that store a little look at no part."""
    cache = fill(tmp_path, range(3_000))
    limit = cache.trim(EVER, stale_ns=0).size
    looked = []
    for number in range(10):
        cache.store(key_of(-1 - number), bytes(68))
        looked.append(counted(monkeypatch, lambda: cache.trim(limit, stale_ns=0))[1])

    assert sum(number > 0 for number in looked) == 2


def test_what_strangers_removed_is_noticed(tmp_path: Path) -> None:
    """The cache is not emptied for the sake of entries that are not there."""
    cache = fill(tmp_path, range(2_000))
    limit = cache.trim(EVER, stale_ns=0).size
    for shard in list((tmp_path / "segments").iterdir())[::2]:
        shutil.rmtree(shard)
    left = cache.usage().size
    cache.store(key_of(-1), bytes(68))

    done = cache.trim(limit, stale_ns=0)

    assert (done.dropped, done.size) == (0, left + ENTRY)
    assert cache.usage().size == done.size


def test_what_killed_builds_stored_is_found(tmp_path: Path) -> None:
    """They noted nothing of it; a build that ends brings the cache under its limit."""
    limit = fill(tmp_path, range(2_000)).trim(EVER, stale_ns=0).size
    fill(tmp_path, range(5_000, 6_000))
    cache = SegmentCache(str(tmp_path))
    cache.store(key_of(-1), bytes(68))

    assert cache.trim(limit, stale_ns=0).size <= limit
    assert cache.usage().size <= limit


def test_a_little_that_was_not_noted_is_found_in_turn(tmp_path: Path) -> None:
    """Less than an eighth: when each part was looked at once, the count is right."""
    cache = fill(tmp_path, range(2_000))
    cache.trim(EVER, stale_ns=0)
    fill(tmp_path, range(5_000, 5_100))

    for _ in range(12 * 8):
        cache.trim(EVER, stale_ns=0)

    noted = read_sizes(str(tmp_path))
    assert noted is not None
    assert noted.total == cache.usage().size == 210_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"x" + data[1:],
        lambda data: data[:1000] + b"\xff" + data[1001:],
        lambda data: os.urandom(len(data)),
    ],
)
def test_damaged_numbers_are_counted_again(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Whatever they said."""
    cache = fill(tmp_path, range(500))
    cache.trim(EVER, stale_ns=0)
    sizes = tmp_path / SIZES
    sizes.write_bytes(damage(sizes.read_bytes()))

    assert cache.trim(EVER, stale_ns=0).size == 500 * ENTRY
    noted = read_sizes(str(tmp_path))
    assert noted is not None
    assert (noted.total, len(noted.parts)) == (500 * ENTRY, PARTS)


def test_files_that_seem_larger_than_any_number_go_first(tmp_path: Path) -> None:
    """Holes that somebody made: they are counted, and are too much."""
    cache = fill(tmp_path, range(20))
    for number in range(5):
        os.truncate(cache._segment(key_of(number)), 1 << 43)
        os.utime(cache._segment(key_of(number)), (0, 0))

    assert cache.trim(EVER << 10, stale_ns=0).dropped == 0
    assert cache.trim(EVER, stale_ns=0).size == 15 * ENTRY


def test_no_part_is_noted_as_larger_than_a_bound(tmp_path: Path) -> None:
    """And what is noted can be read again."""
    (tmp_path / TMP).mkdir()
    write_sizes(str(tmp_path), Sizes([1 << 60] + [7] * (PARTS - 1), PARTS - 1, 3))

    noted = read_sizes(str(tmp_path))
    assert noted == Sizes([1 << 51] + [7] * (PARTS - 1), PARTS - 1, 3)


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_directory(path: Path) -> None:
    path.mkdir()


def put_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("put", [put_fifo, put_directory, put_link])
def test_what_lies_in_place_of_the_numbers_is_not_followed(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """Nor waited for; a directory stays, and everything is counted each time."""
    cache = fill(tmp_path, range(20))
    put(tmp_path / SIZES)

    assert cache.trim(EVER, stale_ns=0).size == 20 * ENTRY
    assert SegmentCache(str(tmp_path)).usage().segments == 20


def test_a_layer_that_is_built_again_counts_once(tmp_path: Path) -> None:
    """Its record takes the place of the one before."""
    from io import BytesIO

    from tests.layer.test_cache import LAYER, LAYER_KEY

    cache = fill(tmp_path, range(10))
    cache.trim(EVER, stale_ns=0)
    for size in (10_000, 20_000, 5_000):
        cache.keep(LAYER_KEY, LAYER, BytesIO(bytes(size)))

        assert cache.trim(EVER, stale_ns=0).size == cache.usage().size

    noted = read_sizes(str(tmp_path))
    assert noted is not None
    assert noted.total == cache.usage().size


def test_records_of_earlier_releases_go_after_a_day(tmp_path: Path) -> None:
    """They lie where nobody looks for them any more."""
    cache = fill(tmp_path, range(3))
    old, young = (tmp_path / "layers" / (digit * 64) for digit in "ab")
    for file, at in ((old, 1000), (young, 3000)):
        file.write_bytes(b"record")
        os.utime(file, (at, at))
    assert cache.usage().layers == 2

    cache.trim(EVER, stale_ns=2000 * 10**9)

    assert (old.exists(), young.exists()) == (False, True)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3_000)), max_size=40),
    st.integers(0, 40_000),
    st.integers(-1, 41),
)
def test_a_whole_trim_leaves_what_was_asked_for(
    entries: list[tuple[int, int]], limit: int, since: int
) -> None:
    """Nothing older than the time, no more than the limit, nothing that is older than what went."""
    with tempfile.TemporaryDirectory() as place:
        cache = SegmentCache(place)
        for number, (used, size) in enumerate(entries):
            cache.store(key_of(number), bytes(size))
            os.utime(cache._segment(key_of(number)), (used, used))
        asked = limit, since * 10**9
        told = cache.trim_whole(*asked, stale_ns=0, dry=True)
        assert cache.usage().segments == len(entries)

        done = cache.trim_whole(*asked, stale_ns=0)

        left = held(cache, range(len(entries)))
        used_left = [entries[number][0] for number in left]
        gone = [one for number, one in enumerate(entries) if number not in left]
        assert done.size == cache.usage().size == sum(HEAD + entries[one][1] for one in left)
        assert done.size <= limit
        assert all(used >= since for used in used_left)
        assert all(used <= min(used_left, default=99) for used, _ in gone)
        assert (told.dropped, told.freed, told.size) == (done.dropped, done.freed, done.size)
        assert done.dropped == len(gone)


@pytest.mark.parametrize("whole", [True, False])
def test_what_comes_while_a_trim_counts_is_no_less_than_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """What others stored since, and goes at once, was never counted."""
    cache = fill(tmp_path, range(3))
    listed = []

    def files(directory: str) -> Iterator[Found]:
        if listed:
            fill(tmp_path, range(-9, 0))
        listed.append(directory)
        return every(directory)

    every = trim.files
    monkeypatch.setattr(trim, "files", files)
    done = cache.trim_whole(0, None, stale_ns=0) if whole else cache.trim(0, stale_ns=0)
    assert (len(listed), held(cache, range(-9, 3))) == (2, [])
    assert done.size == 0
    assert read_sizes(str(tmp_path)) is not None


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 3_000), max_size=8), min_size=1, max_size=8),
    st.integers(0, 20_000),
)
def test_a_build_leaves_no_more_than_the_limit(builds: list[list[int]], limit: int) -> None:
    """Whatever is stored: where nobody else is at work the numbers are exact."""
    with tempfile.TemporaryDirectory() as place:
        number = 0
        for sizes in builds:
            cache = SegmentCache(place)
            for size in sizes:
                cache.store(key_of(number), bytes(size))
                number += 1
            done = cache.trim(limit, stale_ns=0)
            assert done.size == cache.usage().size <= limit


BUILDS = """
import sys
from imgpack.layer.cache.segments import SegmentCache
from tests.layer.test_cache_trim import key_of
def fail(message): raise SystemExit(message)
place, first, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for build in range(20):
    cache = SegmentCache(place, fail)
    for number in range(10):
        cache.store(key_of(first + 10 * build + number), bytes(68))
    cache.trim(limit, stale_ns=0)
"""


def test_builds_that_end_at_once_lose_nothing_that_is_new(tmp_path: Path) -> None:
    """Of a cache at its limit older entries go, and it does not grow for good."""
    limit = fill(tmp_path, range(2_000)).trim(EVER, stale_ns=0).size
    running = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDS, str(tmp_path), str(first), str(limit)],
            stderr=subprocess.PIPE,
        )
        for first in (10_000, 20_000, 30_000)
    ]
    for process in running:
        assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)

    cache = SegmentCache(str(tmp_path))
    new = [first + number for first in (10_000, 20_000, 30_000) for number in range(200)]
    assert held(cache, new) == new
    assert cache.usage().size <= limit * 9 // 8
    assert cache.usage().size > limit // 2
