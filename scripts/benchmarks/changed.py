# ruff: noqa: RUF001
"""Builds after one file changed, wherever it lies, against one that compresses nothing."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .cold import HEAD, MEMORY_LIMIT, rows
from .figures import Table, Target
from .inputs import MIB, TIME, files, settle, write_settings
from .run import Bench, Tool

LIMIT = 1.2
_SMALL, _LARGE = range(1 << 10, 1 << 16), range(8 << 20, 1 << 40)
# The name of a row, the sizes of files that are meant, and where among them the file lies.
_SPOTS = (
    ("the first small file", _SMALL, 0.0),
    ("a small file in the middle", _SMALL, 0.5),
    ("the last small file", _SMALL, 1.0),
    ("a large file in the middle", _LARGE, 0.5),
    ("the last large file", _LARGE, 1.0),
)


@dataclass(frozen=True, slots=True)
class Spot:
    """Sixteen bytes in the middle of a file."""

    path: Path
    at: int
    content: bytes

    @classmethod
    def of(cls, path: Path) -> "Spot":
        """As they are now."""
        with path.open("rb") as file:
            at = file.seek(path.stat().st_size // 2)
            return cls(path, at, file.read(16))

    def write(self, version: int) -> None:
        """Change them."""
        self._put(b"%0*d" % (len(self.content), version))

    def restore(self) -> None:
        """What was there, with the time that every input has."""
        self._put(self.content)
        os.utime(self.path, (TIME, TIME))

    def _put(self, content: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(self.at)
            file.write(content)


def spots(tree: Path) -> dict[str, Spot]:
    """A spot for each row, of those files that have one name."""
    sizes = [(path, found.st_size) for path in files(tree) if (found := path.stat()).st_nlink == 1]
    out = {}
    for name, wanted, place in _SPOTS:
        among = [path for path, size in sizes if size in wanted]
        if among:
            out[name] = Spot.of(among[round(place * (len(among) - 1))])
    return out


@contextlib.contextmanager
def changes(tree: Path) -> Iterator[dict[str, Callable[[int], None]]]:
    """What changes one file, by row and with a number that makes the change another one.

    The tree is as it was when the context ends.
    """
    found = spots(tree)
    last = list(files(tree))[-1]

    def touch(version: int) -> None:
        os.utime(last, (TIME + version, TIME + version))

    try:
        yield {
            "one file": lambda version: write_settings(tree, version),
            **{name: spot.write for name, spot in found.items()},
            "the last file touched": touch,
        }
    finally:
        write_settings(tree, 0)
        for spot in found.values():
            spot.restore()
        os.utime(last, (TIME, TIME))


def one_changed(bench: Bench, tree: Path) -> tuple[Table, list[Target]]:
    """A build after each change, in a tree that else is as the build before it saw it."""
    output, cache = bench.out / "imgpack.tar", bench.out / "warm-cache"
    command = peers.build_command(bench, tree, output, "gzip", "--cache-dir", str(cache))
    again = Tool("again", command, output)
    versions = iter(range(1, 10_000))

    def prepared(change: Callable[[int], None]) -> Callable[[], None]:
        def prepare() -> None:
            settle()  # what was written a moment ago is never believed to be unchanged
            bench.once(again)
            change(next(versions))

        return prepare

    plain = peers.imgpack(bench, peers.OURS_NONE_UNCACHED, tree, "none", cached=False)
    bench.set_aside(cache)
    try:
        with changes(tree) as found:
            builds = {
                name: Tool(f"imgpack gzip, {name}", command, output, prepare=prepared(change))
                for name, change in found.items()
            }
            tools = [plain, *builds.values()]
            runs = bench.in_turn("one changed", tools)
    finally:
        bench.set_aside(cache)
    table = Table(
        "The installation, one file changed",
        (*HEAD[:5], "× none"),
        rows(runs, tools, plain.name),
    )
    peaks = [runs.median(tool.name, "peak") / MIB for tool in tools if tool.name in runs.runs]
    memory = max(peaks, default=None)
    return table, [
        *(
            Target(
                f"one file changed: {name}",
                "imgpack --compression none",
                LIMIT,
                runs.ratio(tool.name, plain.name),
            )
            for name, tool in builds.items()
        ),
        Target("one file changed, peak memory", "imgpack alone", MEMORY_LIMIT, memory, "MiB"),
    ]
