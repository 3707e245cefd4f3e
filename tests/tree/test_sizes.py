"""How large a layer will be is found out beside the build, by a walk that reads nothing."""

import os
import threading
from pathlib import Path

import pytest

from imgpack import api
from imgpack.events import Silent
from imgpack.layer import build as building
from imgpack.tree.disk import sizes
from imgpack.tree.disk.sizes import SizeWalk
from imgpack.tree.tree import Stamps


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files, a directory, links of both kinds, a path that needs a header more."""
    root = tmp_path / "tree"
    (root / "inner").mkdir(parents=True)
    (root / "large").write_bytes(b"x" * 300_000)
    os.link(root / "large", root / "inner" / "linked")
    (root / "inner" / "symbolic").symlink_to("../large")
    (root / ("n" * 120)).write_bytes(b"y")
    (root / "left-out").write_bytes(b"z" * 500_000)
    return root


def stamps(tree: Path) -> Stamps:
    """The tree on disk without one of its files."""
    found = api.directory(str(tree), excluded=api.ignore(("left-out",))).tree.stamps
    assert found is not None
    return found


def told(of: Stamps, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What a walk says of it that begins at once and is not ended."""
    monkeypatch.setattr(sizes, "AFTER", 0.0)
    totals: list[int] = []
    with SizeWalk(of, totals.append) as walk:
        for thread in walk.threads:
            thread.join()
    return totals


class Expecting(Silent):
    """A reporter whose meters let a build end only when its total is known."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.done = 0
        self._known = threading.Event()

    def begin(self, label: str, total: int | None) -> "Expecting":  # type: ignore[override]
        assert total is None
        return self

    def advance(self, count: int) -> None:
        assert self._known.wait(60)
        self.done += count

    def expect(self, total: int) -> None:
        self.totals.append(total)
        self._known.set()

    def end(self) -> None:
        """Nothing."""


def test_the_total_is_what_the_layer_has(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what is left out; a file is counted once, whatever its names."""
    monkeypatch.setattr(sizes, "AFTER", 0.0)
    reporter = Expecting()
    layer = api.directory(str(tree), excluded=api.ignore(("left-out",)))
    with api.create(str(tree.parent / "a.tar")) as sink:
        api.build([layer], into=sink, reporter=reporter)
    assert reporter.totals == [reporter.done]
    assert reporter.done > 300_000


def test_a_walk_that_meets_something_says_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build meets the same, and tells of it."""
    of = stamps(tree)
    assert len(told(of, monkeypatch)) == 1
    (tree / "inner" / ".wh.x").touch()  # which a layer cannot have, and no walk for a size minds
    assert len(told(of, monkeypatch)) == 1
    os.rename(tree, tree.parent / "elsewhere")
    assert told(of, monkeypatch) == []


def test_a_tree_of_too_many_files_is_left_alone(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk of all of it would take the build's time."""
    monkeypatch.setattr(sizes, "MOST", 5)
    monkeypatch.setattr(sizes, "_STRETCH", 2)
    assert len(told(stamps(tree), monkeypatch)) == 1
    for number in range(5):
        (tree / f"more{number}").touch()
    assert told(stamps(tree), monkeypatch) == []


def test_a_build_that_ends_before_is_not_waited_for(tree: Path) -> None:
    """Nor is a tree looked at beside one that is short."""
    totals: list[int] = []
    with SizeWalk(stamps(tree), totals.append) as walk:
        assert all(thread.is_alive() for thread in walk.threads)
    assert not any(thread.is_alive() for thread in walk.threads)
    assert totals == []


def test_a_reporter_that_takes_no_total_costs_no_walk(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a library's caller who shows nothing."""

    def none(*_: object) -> None:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(building, "SizeWalk", none)
    with api.create(str(tree.parent / "a.tar")) as sink:
        api.build([api.directory(str(tree))], into=sink)
