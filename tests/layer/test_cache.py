"""The segment cache: whatever happens to its files, a build is never wrong."""

import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import Digest, SegmentCache
from imgpack.compression.checksum import fingerprint
from imgpack.errors import CacheError, OutputError, Remedy
from imgpack.layer.cache.record import CachedSegment, LayerRecord, Written
from imgpack.layer.cache.segments import Cached, Usage
from tests.privileges import OBEYING_MODES


def key_of(name: str, size: int = 20) -> str:
    """A key as the pipeline makes them: two check sums, the length, the codec."""
    return f"{name:0<16}{size:x}-{'7' * 16}"


KEY, OTHER, ABSENT = key_of("ab"), key_of("cd", 0), key_of("ef")
LAYER_KEY = "a" * 64
LAYER = LayerRecord(
    Written(Digest("sha256", "1" * 64), Digest("sha256", "2" * 64), 20, 10), 5, ("a warning",),
    (CachedSegment(KEY, "3" * 16 + "a", "5" * 64), CachedSegment(OTHER, "4" * 16 + "0")),
)  # fmt: skip


class Cache(SegmentCache):
    """A cache that remembers what it warned of."""

    def __init__(self, directory: Path) -> None:
        self.warnings: list[str] = []
        super().__init__(str(directory), self.warnings.append)

    def data(self, key: str) -> bytes | None:
        """The bytes under a key."""
        found = self.load(key)
        return None if found is None else found.data

    def files(self, kind: str = "segments") -> list[Path]:
        """The files of one kind."""
        return sorted(file for file in Path(self.directory, kind).rglob("*") if file.is_file())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A new cache."""
    return Cache(tmp_path / "cache")


def test_what_was_stored_is_loaded(cache: Cache, tmp_path: Path) -> None:
    """By this cache and by the next process's."""
    check = cache.store(KEY, b"data")
    cache.store(OTHER, b"")

    again = Cache(tmp_path / "cache")
    assert again.load(KEY) == Cached(b"data", check)
    assert (again.data(OTHER), again.load(ABSENT)) == (b"", None)
    assert check == fingerprint(b"data")
    assert cache.warnings == again.warnings == []
    assert cache.stored > 0
    assert cache.files("tmp") == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: b"x" + data[1:],
        lambda data: data[:-1] + b"x",
        lambda data: data[:10] + b"xx" + data[12:],
    ],
)
def test_a_damaged_segment_is_missing_and_told(
    cache: Cache, damage: Callable[[bytes], bytes]
) -> None:
    """Truncated, grown or flipped anywhere: it goes away and is stored anew."""
    cache.store(KEY, b"data of a segment")
    (file,) = cache.files()
    file.write_bytes(damage(file.read_bytes()))

    assert cache.load(KEY) is None
    assert cache.warnings == [f"the cache entry {file} is damaged; it is made anew"]
    assert not file.exists()
    cache.store(KEY, b"data of a segment")
    assert cache.data(KEY) == b"data of a segment"


def test_a_segment_that_is_not_the_right_one_is_dropped(cache: Cache) -> None:
    """Whole, but whoever asked for it found that it is something else."""
    cache.store(KEY, b"one")
    cache.distrust(KEY)

    assert "is damaged" in cache.warnings[0]
    assert cache.load(KEY) is None


def test_a_layer_comes_back_with_its_snapshot(cache: Cache) -> None:
    """The file stands where the snapshot begins."""
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot\n\0"))

    found = cache.record(LAYER_KEY)

    assert found is not None
    with found[1] as file:
        assert (found[0], file.read()) == (LAYER, b"snapshot\n\0")
    assert cache.record("b" * 64) is None


@pytest.mark.parametrize("at", [0, 64, 65, 100, -1])
def test_a_damaged_layer_is_missing_and_told(cache: Cache, at: int) -> None:
    """A flipped byte in the record, or a snapshot that was cut."""
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))
    (file,) = cache.files("layers")
    data = bytearray(file.read_bytes())
    if at < 0:
        del data[at:]
    else:
        data[at] ^= 1
    file.write_bytes(data)

    assert cache.record(LAYER_KEY) is None
    assert cache.warnings == [f"the cache entry {file} is damaged; it is made anew"]


def refile(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record in a layer's file, and its check sum with it."""
    head, snapshot = file.read_bytes().split(b"\n", 1)
    record = json.loads(head[65:])
    text = change(record) or json.dumps(record)
    assert isinstance(text, str)
    line = text.encode() + b"\n"
    file.write_bytes(hashlib.sha256(line).hexdigest().encode() + b" " + line + snapshot)


def setting(*path: str | int, to: object) -> Callable[[dict[str, Any]], object]:
    """A change that puts another value at one place of a record."""

    def change(record: Any) -> None:
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = to

    return change


WRONG = [
    *(setting("diff_id", to=value) for value in (None, 1, "bad", "sha512:" + "1" * 128, [])),
    *(setting("digest", to=value) for value in (None, "sha256:" + "G" * 64, "sha256:1")),
    *(setting("size", to=value) for value in ("10", 11, 9, -1, 10.0, True, None, 10**30)),
    *(setting("raw_size", to=value) for value in ("20", 21, None, -1)),
    *(setting("newest", to=value) for value in ("5", -1, 2**33, 10**400, None, 5.5)),
    *(setting("warnings", to=value) for value in ("text", [5], None, {})),
    *(setting("snapshot", to=value) for value in ("8", 7, -1, None)),
    *(setting("snapshot_crc", to=value) for value in ("8", 7, -1, None)),
    *(setting("pieces", to=value) for value in (None, [], {}, "x", [5], [[]], ["abc"])),
    *(
        setting("pieces", 0, 0, to=key)
        for key in ("../../precious.txt", 5, None, KEY + "\n", KEY + "\0", "a/../" + KEY, KEY * 2)
    ),
    *(setting("pieces", 0, 1, to=check) for check in ("", 5, "x" * 17, "3" * 16 + "b")),
    *(setting("pieces", 0, 2, to=records) for records in (None, "x", "5" * 63)),
    lambda record: record.clear(),
    lambda record: "[" * 200_000,
    lambda record: "[]",
    lambda record: "5" * 10_000,
    lambda record: "null",
    lambda record: '{"format": NaN}',
]


@pytest.mark.parametrize("change", WRONG)
def test_a_record_of_wrong_values_is_missing_and_told(
    cache: Cache, change: Callable[[dict[str, Any]], object]
) -> None:
    """Whatever its check sum says: nothing that ``keep`` does not write is believed."""
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))
    (file,) = cache.files("layers")
    refile(file, change)

    assert cache.record(LAYER_KEY) is None
    assert cache.warnings == [f"the cache entry {file} is damaged; it is made anew"]


def test_a_record_belongs_to_its_snapshot(cache: Cache) -> None:
    """Another tree's snapshot of the same size behind it makes it missing."""
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))
    (file,) = cache.files("layers")
    file.write_bytes(file.read_bytes()[: -len(b"snapshot")] + b"SNAPSHOT")

    assert cache.record(LAYER_KEY) is None
    assert "is damaged" in cache.warnings[0]


def test_a_snapshot_that_cannot_be_one_is_not_read_whole(cache: Cache) -> None:
    """However large a file follows a record that is right."""
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))
    (file,) = cache.files("layers")
    os.truncate(file, 1 << 40)

    assert cache.record(LAYER_KEY) is None
    assert "is damaged" in cache.warnings[0]


def test_a_long_snapshot_is_checked_to_its_end(cache: Cache) -> None:
    """It is read in parts, and stands at its beginning afterwards."""
    snapshot = os.urandom(3 << 20)
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(snapshot))
    (file,) = cache.files("layers")

    found = cache.record(LAYER_KEY)
    assert found is not None
    with found[1]:
        assert found[1].read() == snapshot
    file.write_bytes(file.read_bytes()[:-1] + bytes([snapshot[-1] ^ 1]))
    assert cache.record(LAYER_KEY) is None


def test_the_least_recently_used_entries_go_first(cache: Cache) -> None:
    """Being touched counts as being used; what is gone cannot be touched, and need not be."""
    keys = [key_of(f"{number:02x}") for number in range(5)]
    for age, key in enumerate(keys):
        cache.store(key, b"x" * 1000)
        os.utime(cache._segment(key), (1000 + age, 1000 + age))
    cache.touch([keys[0], key_of("ff")])

    done = cache.trim(2200, stale_ns=0)

    assert (done.dropped, done.freed > 2900) == (3, True)
    assert [key for key in keys if cache.load(key) is not None] == [keys[0], keys[4]]
    assert cache.usage().segments == 2


def test_an_entry_that_cannot_be_one_is_not_read_whole(cache: Cache) -> None:
    """However large a file lies there."""
    cache.store(KEY, b"data")
    os.truncate(cache._segment(KEY), 1 << 40)

    assert cache.load(KEY) is None
    assert "is damaged" in cache.warnings[0]


def test_only_old_temporaries_are_dropped(cache: Cache, tmp_path: Path) -> None:
    """A young one belongs to a build that is running."""
    old, young = (f".entry.{digit * 16}.tmp" for digit in "01")
    for name, at in ((old, 1000), (young, 3000), ("0" * 32, 1000), ("4711-5", 1000)):
        (tmp_path / "cache/tmp" / name).write_bytes(b"x")
        os.utime(tmp_path / "cache/tmp" / name, (at, at))
    assert cache.usage().unfinished == 4

    cache.trim_whole(0, None, stale_ns=2000 * 10**9)

    assert [file.name for file in cache.files("tmp")] == [young]
    assert cache.usage().unfinished == 1


def test_files_of_other_names_are_not_the_cache_s(cache: Cache, tmp_path: Path) -> None:
    """Pruning neither counts nor removes them, and follows no link to a directory."""
    cache.store(KEY, b"data")
    victim = tmp_path / "victim"
    for place in (victim, tmp_path / "cache/tmp/deep", tmp_path / "cache/segments/ab"):
        place.mkdir(exist_ok=True)
        (place / KEY[2:]).write_bytes(b"x")
    (tmp_path / "cache/segments/ff").symlink_to(victim)
    others = [victim / KEY[2:], tmp_path / "cache/tmp/deep" / KEY[2:]]
    for name in ("tmp/notes.txt", "layers/notes.txt", "segments/notes.txt", "segments/ab/notes"):
        others.append(tmp_path / "cache" / name)
        others[-1].write_bytes(b"precious")
    for path in others:
        os.utime(path, (1000, 1000))

    assert cache.usage().segments == 1
    assert cache.trim_whole(0, None, stale_ns=time.time_ns()).dropped == 1

    assert all(path.exists() for path in others)
    assert cache.load(KEY) is None


def test_a_new_cache_is_tagged(tmp_path: Path) -> None:
    """As https://bford.info/cachedir/ says, so that backups leave it out."""
    (tmp_path / "empty").mkdir()
    for name in ("new/below", "empty"):
        SegmentCache(str(tmp_path / name))
        tag = (tmp_path / name / "CACHEDIR.TAG").read_bytes()
        assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    """Nothing is made in it, whatever parts of it are called as a cache's are."""
    for names in (["src"], ["tmp"], ["segments", "layers", "tmp", "src"], ["CACHEDIR.TAG", "src"]):
        place = tmp_path / "-".join(names)
        for name in names:
            (place / name).mkdir(parents=True)
        for create in (True, False):
            with pytest.raises(CacheError, match="is no cache of imgpack: it holds") as caught:
                SegmentCache(str(place), create=create)
            assert caught.value.hint == Remedy.EMPTY_CACHE()
        assert sorted(path.name for path in place.iterdir()) == sorted(names)


@pytest.mark.parametrize("gone", ["segments", "layers", "trees", "fetched", "tmp"])
@pytest.mark.parametrize("create", [True, False])
def test_a_cache_that_lost_its_tag_and_a_directory_is_one_still(
    cache: Cache, tmp_path: Path, gone: str, create: bool
) -> None:
    """As a cleaner of old files leaves it: the other names show whose it is."""
    cache.store(KEY, b"data")
    (tmp_path / "cache/CACHEDIR.TAG").unlink()
    shutil.rmtree(tmp_path / "cache" / gone)

    again = SegmentCache(cache.directory, create=create)

    assert (again.load(KEY) is None) is (gone == "segments")


def test_another_program_s_files_under_a_cache_s_names_are_not_taken(tmp_path: Path) -> None:
    """Two of the three directories, and one file that no cache has."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers/thesis.odt").touch()

    with pytest.raises(CacheError, match="no cache of imgpack"):
        SegmentCache(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers", "tmp"]


def test_another_program_s_tag_makes_no_cache(tmp_path: Path) -> None:
    """A compiler tags its output as well, and has files of its own there."""
    tag = b"Signature: 8a477f597d28d172789f06886806bc55\n# by another program\n"
    (tmp_path / "CACHEDIR.TAG").write_bytes(tag)
    (tmp_path / "target").mkdir()

    with pytest.raises(CacheError, match="no cache of imgpack"):
        SegmentCache(str(tmp_path))


def test_a_pipe_in_place_of_the_tag_is_replaced(tmp_path: Path) -> None:
    """Neither reading nor writing it keeps anybody waiting."""
    (tmp_path / "cache").mkdir()
    os.mkfifo(tmp_path / "cache/CACHEDIR.TAG")
    SegmentCache(str(tmp_path / "cache"), create=False)
    SegmentCache(str(tmp_path / "cache"))
    assert (tmp_path / "cache/CACHEDIR.TAG").read_bytes().startswith(b"Signature: ")


def test_what_a_killed_build_left_of_the_tag_is_removed(tmp_path: Path) -> None:
    """It was the first file in an empty directory, which is a cache's still."""
    (tmp_path / ".CACHEDIR.TAG.0123456789abcdef.tmp").write_bytes(b"Signature")
    SegmentCache(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        "CACHEDIR.TAG", "fetched", "layers", "segments", "tmp", "trees",
    ]  # fmt: skip


@pytest.mark.parametrize("written", [0, 40])
def test_a_tag_that_was_cut_short_is_made_whole(tmp_path: Path, written: int) -> None:
    """By a full disk, or a kill, before all three directories were there."""
    SegmentCache(str(tmp_path / "sound"))
    tag = (tmp_path / "sound/CACHEDIR.TAG").read_bytes()
    cut = tmp_path / "cut"
    (cut / "layers").mkdir(parents=True)
    (cut / "CACHEDIR.TAG").write_bytes(tag[:written])

    SegmentCache(str(cut))

    assert (cut / "CACHEDIR.TAG").read_bytes() == tag


def test_a_cache_of_before_is_known_and_tagged(tmp_path: Path) -> None:
    """By its directories; uploads and a file system's own directory may lie there as well."""
    for name in ("segments", "layers", "tmp", "uploads", "lost+found"):
        (tmp_path / name).mkdir()
    SegmentCache(str(tmp_path))
    assert (tmp_path / "CACHEDIR.TAG").exists()

    (tmp_path / "notes").touch()
    SegmentCache(str(tmp_path))


@pytest.mark.parametrize("name", ["segments", "layers", "trees", "fetched", "tmp"])
@pytest.mark.parametrize("create", [True, False])
def test_a_link_in_place_of_a_directory_is_refused(
    cache: Cache, tmp_path: Path, name: str, create: bool
) -> None:
    """What it leads to may be anybody's."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "cache" / name).rmdir()
    (tmp_path / "cache" / name).symlink_to(tmp_path / "victim")

    with pytest.raises(CacheError, match=f"cache/{name} is no directory") as caught:
        SegmentCache(cache.directory, create=create)
    assert caught.value.hint == Remedy.CLEAR_CACHE()


def test_a_cache_can_be_looked_at_without_being_made(tmp_path: Path) -> None:
    """It is empty then, and is not there afterwards."""
    cache = SegmentCache(str(tmp_path / "none"), create=False)

    assert cache.usage() == Usage(0, 0, 0, 0, 0, 0)
    assert cache.trim_whole(0, None, stale_ns=0).dropped == cache.trim(0, stale_ns=0).dropped == 0
    assert not (tmp_path / "none").exists()


def test_a_cache_that_goes_away_is_no_error(cache: Cache, tmp_path: Path) -> None:
    """Somebody removed it while a build was running."""
    cache.store(KEY, b"data")
    subprocess.run(["rm", "-rf", str(tmp_path / "cache")], check=True)

    assert cache.load(KEY) is None
    assert cache.record(LAYER_KEY) is None
    assert cache.temporary() is None
    cache.store(KEY, b"data")
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b""))
    assert cache.usage().size == 0
    assert cache.trim(0, stale_ns=0).dropped == 0
    assert all(warning.startswith("cannot write to the cache") for warning in cache.warnings)
    assert len(cache.warnings) == 3


def test_a_full_disk_only_warns(cache: Cache) -> None:
    """Here a limit under which no file may grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        cache.store(KEY, b"data")
        cache.keep(LAYER_KEY, LAYER, io.BytesIO(b""))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert cache.warnings == [f"cannot write to the cache {cache.directory}: File too large"] * 2
    assert cache.load(KEY) is None
    assert cache.stored == 0
    assert cache.files("tmp") == []


def test_nobody_can_guess_where_a_file_is_written(cache: Cache, tmp_path: Path) -> None:
    """Process numbers repeat, in containers that share a cache; and a link may lie in wait."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for number in range(1000):
        (tmp_path / "cache/tmp" / f"{os.getpid()}-{number}").symlink_to(victim)

    cache.store(KEY, b"data")
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))

    assert victim.read_bytes() == b"precious"
    assert (cache.data(KEY), cache.warnings) == (b"data", [])


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_directory(path: Path) -> None:
    path.mkdir()


def put_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("put", [put_fifo, put_directory, put_link])
def test_only_a_file_is_an_entry(cache: Cache, put: Callable[[Path], None]) -> None:
    """A pipe does not make a build wait, and a link to a whole entry is not followed."""
    cache.store(KEY, b"data")
    cache.keep(LAYER_KEY, LAYER, io.BytesIO(b"snapshot"))
    files = cache.files("segments") + cache.files("layers")
    for file in files:
        file.rename(file.with_name("elsewhere"))
        put(file)

    assert (cache.load(KEY), cache.record(LAYER_KEY)) == (None, None)
    assert cache.warnings == [
        f"the cache entry {file} is damaged; it is made anew" for file in files
    ]


@pytest.mark.parametrize("put", [put_fifo, put_link])
def test_what_is_no_entry_is_replaced(cache: Cache, put: Callable[[Path], None]) -> None:
    """By the next one that is stored."""
    cache.store(KEY, b"data")
    (file,) = cache.files()
    file.rename(file.with_name("elsewhere"))
    put(file)

    cache.store(KEY, b"data")

    assert cache.data(KEY) == b"data"
    assert not file.is_symlink()


READ_ONLY = """
import sys
from imgpack.layer.cache.segments import SegmentCache
from imgpack.compression.checksum import fingerprint
cache = SegmentCache(sys.argv[1], print)
print(bytes(cache.load(sys.argv[2]).data), cache.temporary())
cache.store(sys.argv[2], b"more")
"""


def test_a_read_only_cache_is_read(cache: Cache, tmp_path: Path) -> None:
    """It warns when there is something to keep, and goes on."""
    cache.store(KEY, b"data")
    for place in (tmp_path / "cache").rglob("*"):
        place.chmod(0o555 if place.is_dir() else 0o444)
    done = subprocess.run(
        [*OBEYING_MODES, sys.executable, "-c", READ_ONLY, cache.directory, KEY],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for place in (tmp_path / "cache").rglob("*"):
        place.chmod(0o755)

    warning = f"cannot write to the cache {cache.directory}: Permission denied"
    assert done.stdout.splitlines() == [warning, "b'data' None", warning]


def test_a_place_that_cannot_be_a_cache_is_told(tmp_path: Path) -> None:
    """A file is in the way; the remedy is another cache, or none."""
    (tmp_path / "file").touch()

    with pytest.raises(CacheError, match=r"cannot use the cache .*file") as caught:
        SegmentCache(str(tmp_path / "file"))

    assert caught.value.hint == Remedy.OTHER_CACHE()


WRITER = """
import sys
from imgpack.layer.cache.segments import SegmentCache
from imgpack.compression.checksum import fingerprint
def fail(message): raise SystemExit(message)
cache = SegmentCache(sys.argv[1], fail)
for number in range(300):
    key = f"{number % 256:02x}{number:014x}1-{7:016}"
    found = cache.load(key)
    assert found is None or found.data == key.encode() * 60, found
    cache.store(key, key.encode() * 60)
    if number % 20 == 7:
        cache.trim(200_000, stale_ns=0)
"""


def test_processes_share_a_cache(tmp_path: Path) -> None:
    """They store, load and prune the same entries at once; none sees a partial one."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "cache")], stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0


TREE = "ab" * 32


def test_a_tree_is_kept_counted_and_pruned(cache: Cache) -> None:
    """As everything else that is in the cache."""
    assert cache.tree(TREE, b"".join) is None

    cache.keep_tree(TREE, [b"what a ", b"base holds"])

    assert cache.tree(TREE, b"".join) == b"what a base holds"
    assert cache.usage().trees == 1
    assert cache.trim(0, stale_ns=0).dropped == 1
    assert cache.tree(TREE, b"".join) is None


def test_a_tree_of_any_size_takes_little_memory(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written and read in pieces; one that is too large is not kept, without a word."""
    tracemalloc.start()
    try:
        cache.keep_tree(TREE, (bytes(1 << 20) for _ in range(64)))
        size = cache.tree(TREE, lambda pieces: sum(map(len, pieces)))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert size == 64 << 20

    monkeypatch.setattr("imgpack.layer.cache.segments._MAX_RECORD", 1 << 20)
    cache.keep_tree("b" * 64, [bytes(1 << 20)])
    assert len(cache.files("trees")) == 1
    assert cache.warnings == cache.files("tmp") == []


def test_a_tree_of_which_nothing_can_be_made_is_dropped(cache: Cache) -> None:
    """With a warning; the caller's own trouble is no fault of it."""
    cache.keep_tree(TREE, [b"what a base holds"])

    with pytest.raises(OutputError):
        cache.tree(TREE, _full)
    assert cache.warnings == []
    assert cache.tree(TREE, lambda pieces: json.loads(b"".join(pieces))) is None
    assert "damaged" in cache.warnings[0]
    assert cache.files("trees") == []


def _full(pieces: Iterator[bytes]) -> None:
    raise OutputError("the disk is full")


def test_a_damaged_tree_counts_as_missing(cache: Cache) -> None:
    """With a warning, and it is gone then."""
    cache.keep_tree(TREE, [b"what a base holds"])
    (file,) = cache.files("trees")
    file.write_bytes(file.read_bytes()[:-1])

    assert cache.tree(TREE, b"".join) is None
    assert "damaged" in cache.warnings[0]
    assert cache.files("trees") == []
