"""The level that gzip chooses by content: a pure function, right about known kinds of data."""

import gzip
import random
import struct
import subprocess
import zlib
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

import deflate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.api import Codec
from imgpack.compression import adaptive
from imgpack.compression.inflate import GZIP_HEADER
from tests.layer.trees import MIB, noise, text

GZIP = Codec.parse("gzip")
SAMPLED = adaptive.SAMPLES * adaptive.SAMPLE
ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def sources() -> bytes:
    """A megabyte that looks like a program."""
    chance = random.Random(1)
    names = ["".join(chance.choices("aeiou_lmnrst", k=3 + n % 9)) for n in range(300)]
    forms = ("if {}.{} is None:", "    return {}({})", "{} = {}", "for {} in {}:", "def {}({}):")
    lines = (chance.choice(forms).format(*chance.choices(names, k=2)) for _ in range(70_000))
    return "\n".join(lines).encode()[:MIB]


def weights(count: int) -> bytes:
    """Normal numbers as bf16: what a model's weights look like."""
    chance = random.Random(1)
    return b"".join(struct.pack("<f", chance.gauss(0, 0.02))[2:] for _ in range(count))


def numbers(count: int) -> bytes:
    """Numbers of 32 bits in order, as an index is."""
    chance = random.Random(1)
    return struct.pack(f"<{count}i", *accumulate(chance.choices(range(300), k=count)))


def sound(count: int) -> bytes:
    """A wave with some noise, in 16 bits."""
    chance = random.Random(1)
    steps = (chance.randint(-200, 200) for _ in range(count))
    return struct.pack(f"<{count}h", *((at + 20_000) % 40_000 - 20_000 for at in accumulate(steps)))


def mixed(parts: list[tuple[int, int]]) -> bytes:
    """Kinds of data by number, each of a size."""
    kinds = (
        *(noise, text, bytes, lambda size: sources()[:size]),
        *(lambda size: numbers(size // 4), lambda size: sound(size // 2)),
    )
    return b"".join(kinds[kind](size) for kind, size in parts)


MIXTURES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40_000)), max_size=6).map(mixed)


@pytest.mark.parametrize(
    ("kind", "data", "level"),
    [
        ("noise", noise(MIB), 0),
        ("an archive", zlib.compress(noise(MIB) + text(MIB // 50)), 0),
        ("weights", weights(100_000), 1),
        ("ASCII without a pattern", bytes(byte & 127 for byte in noise(MIB)), 1),
        ("numbers in order", numbers(MIB // 4), 2),
        ("sound", sound(MIB // 2), 2),
        ("digits", text(MIB), 2),
        ("programs", sources(), 4),
        ("zeros", bytes(MIB), 5),
        ("records", b"".join(b'{"id": %06d, "ok": true}\n' % n for n in range(40_000)), 5),
        ("nothing", b"", 0),
    ],
)
def test_the_level_suits_the_kind_of_data(kind: str, data: bytes, level: int) -> None:
    """Stored, without a search, with a short or with a longer one."""
    assert adaptive.level(data) == level, kind


@pytest.mark.parametrize(
    ("lost", "gained", "level"),
    [
        *((100, 0, 5), (80, 0, 5), (79, 9, 4), (60, 0, 4), (59, 9, 2), (30, 0, 2)),
        *((29, 2, 2), (29, 1, 1), (2, 2, 2), (2, 1, 1), (1, 9, 0), (0, 0, 0), (-5, 9, 0)),
    ],
)
def test_a_step_begins_with_its_percentage(
    monkeypatch: pytest.MonkeyPatch, lost: int, gained: int, level: int
) -> None:
    """What loses just as much is of the step, and of the gain of short matches it is the same."""
    left = {1: 100 - lost, 2: 100 - lost - gained}
    monkeypatch.setattr(deflate, "deflate_compress", lambda data, probe: bytes(left[probe]))
    assert adaptive.level(bytes(100)) == level


def test_what_alternates_is_seen_as_both() -> None:
    """In a piece of a large file no period of a power of two hides one half."""
    for period in (1 << power for power in range(11, 19)):
        for size in (MIB, MIB + 512, 3 * MIB // 2):
            half = b"\0" * (period // 2)
            chance = random.Random(period)
            parts = (chance.randbytes(len(half)) + half for _ in range(2 * MIB // period))
            samples = adaptive.sample(b"".join(parts)[:size])
            assert 0.4 < samples.count(0) / len(samples) < 0.6, (period, size)


@given(size=st.integers(0, 3 * SAMPLED))
def test_samples_are_the_middles_of_equal_parts(size: int) -> None:
    """In order, apart from each other, as far from both ends; all there is if that is less."""
    data = b"".join(struct.pack("<H", number) for number in range(size // 2 + 1))[:size]
    samples = adaptive.sample(data)

    assert len(samples) == min(size, SAMPLED)
    if size > SAMPLED:
        each = [
            samples[at : at + adaptive.SAMPLE] for at in range(0, len(samples), adaptive.SAMPLE)
        ]
        at = [data.index(one) for one in each]
        assert all(b - a >= adaptive.SAMPLE for a, b in pairwise(at))
        assert abs(at[0] - (size - at[-1] - adaptive.SAMPLE)) <= 2


@settings(deadline=None)
@given(data=MIXTURES)
def test_the_level_is_a_function_of_the_bytes(data: bytes) -> None:
    """Whatever holds them; and what the specification says."""
    samples = bytes(adaptive.sample(data))
    lost = len(samples) - len(deflate.deflate_compress(samples, 1))
    at_least = [
        percent for percent in (2, 30, 60, 80) if data and 100 * lost >= percent * len(samples)
    ]
    expected = (0, 1, 2, 4, 5)[len(at_least)]
    more = len(samples) - lost - len(deflate.deflate_compress(samples, 2))
    if expected == 1 and 100 * more >= 2 * len(samples):
        expected = 2

    assert adaptive.level(data) == expected
    assert adaptive.level(memoryview(bytearray(data))) == expected


@settings(deadline=None)
@given(parts=st.lists(MIXTURES, max_size=3))
def test_every_reader_gives_back_what_was_chosen_for(parts: list[bytes]) -> None:
    """zlib reads the members one after another, and libdeflate each; the cache believes them."""
    members = [GZIP.compress(part) for part in parts]

    assert gzip.decompress(b"".join(members)) == b"".join(parts)
    for member, part in zip(members, parts, strict=True):
        assert deflate.gzip_decompress(member, len(part)) == part
        assert GZIP.restores(member, part)


@pytest.mark.parametrize("data", [text(MIB), sources(), bytes(MIB), weights(50_000)])
def test_a_chosen_level_writes_what_the_level_writes_when_asked_for(data: bytes) -> None:
    """There is no other difference."""
    assert GZIP.compress(data) == Codec.parse(f"gzip:{adaptive.level(data)}").compress(data)


def test_what_is_stored_costs_five_bytes_a_block() -> None:
    """Blocks of 65,535 bytes (RFC 1951, section 3.2.4), of which the last one says so."""
    data = noise(MIB)
    member = GZIP.compress(data)
    blocks = -(-len(data) // 65_535)

    assert len(member) == len(GZIP_HEADER) + len(data) + 5 * blocks + 8
    assert member[10:15] == b"\x00\xff\xff\x00\x00"


def test_gunzip_reads_what_is_stored() -> None:
    """Among members that are compressed."""
    parts = [noise(200_000), text(100_000), b"", noise(70_000)]
    stream = b"".join(map(GZIP.compress, parts))
    done = subprocess.run(
        ["gzip", "-dc"], input=stream, capture_output=True, check=True, timeout=60
    )

    assert done.stdout == b"".join(parts)


def test_the_specification_names_the_constants_of_the_rule() -> None:
    """The numbers that decide digests."""
    page = (ROOT / "docs/layer-format.md").read_text()

    assert f"`SAMPLES` = {adaptive.SAMPLES}" in page
    assert f"`SAMPLE` = {adaptive.SAMPLE}" in page
    assert adaptive.PROBE_LEVEL == 1
    assert f"samples at level {adaptive.SHORT} is" in page
    assert f"by at least {adaptive.SHORT_GAIN} % of their length" in page
    for percent, level in adaptive.LEVELS:
        assert f"| {percent} % | {level} |" in page
    assert adaptive.RULE.name in page
