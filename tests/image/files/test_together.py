"""The bytes of several files in any order: each layer is read once, and nothing twice."""

import tempfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import read_together
from imgpack.image.files.files import ImageFiles, image_contents
from imgpack.tree.tables.applied import LayerRow
from tests.store.samples import Memory, make_image, tar_of

LOW = {"a": b"1" * 3000, "b": b"22", "c": b"", "d": b"4444"}
HIGH = {"e": b"5" * 5000, "f": b"6"}
DATA = LOW | HIGH


def _read(names: Sequence[str]) -> tuple[list[bytes], int]:
    """The bytes of files, and how often a layer was read for them."""
    source = Memory()
    files = image_contents(
        make_image(source, [tar_of(LOW), tar_of(HIGH)]), "here", tempfile.gettempdir
    )
    before = len(source.reads)
    contents = read_together(files, [_row(files, name) for name in names], tempfile.gettempdir)
    found = [b"".join(pieces) for pieces in contents]
    return found, len(source.reads) - before


def _row(files: ImageFiles, name: str) -> LayerRow:
    row = files.at(name.encode())
    assert row is not None
    return row


@given(st.lists(st.sampled_from(sorted(DATA)), max_size=8))
def test_each_file_has_its_bytes_in_whatever_order(names: list[str]) -> None:
    """Also one that comes several times; no layer is read twice, nor without need."""
    found, reads = _read(names)
    assert found == [DATA[name] for name in names]
    assert reads <= len({name in LOW for name in names})


@pytest.mark.parametrize("names", [[], ["a"], ["d", "f"], ["f", "e"], ["d", "f", "a", "e", "d"]])
def test_only_what_comes_too_early_is_put_by(names: list[str]) -> None:
    """One file, or files in the order of the archive, need no room."""
    asked: list[str] = []

    def scratch() -> str:
        asked.append(tempfile.gettempdir())
        return asked[-1]

    files = image_contents(
        make_image(Memory(), [tar_of(LOW), tar_of(HIGH)]), "here", tempfile.gettempdir
    )
    for _ in read_together(files, [_row(files, name) for name in names], scratch):
        pass
    ordered = [_row(files, name) for name in sorted(names)]
    for pieces in read_together(files, ordered, scratch):
        for _ in pieces:
            pass
    assert len(asked) == (1 if len(set(names)) < len(names) else 0)
