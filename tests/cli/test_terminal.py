"""``imgpack`` at a terminal of any size: bars come and go, and leave nothing behind."""

import re
from pathlib import Path

import pytest

from imgpack.cli.main import COMMANDS
from imgpack.errors import DigestError
from tests.cli.screen import lines, shown
from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry

SIZES = [(40, 24), (80, 24), (200, 50), (0, 0)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that takes a while."""
    root = tmp_path / "t"
    root.mkdir()
    for number in range(4):
        (root / str(number)).write_bytes(bytes([number]) * 3_000_000)
    return root


def test_the_screen_of_these_tests_is_a_terminals() -> None:
    """It wraps at its end, and a line is written over where it was returned to."""
    assert lines("ab\rc\r\ndefg\x1b[A!", 3) == ["cb", "d!f", "g"]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_after_a_bar_the_result_starts_its_own_line(
    tmp_path: Path, tree: Path, columns: int, rows: int
) -> None:
    """And the bar was there, in one line of the screen."""
    command = ("build", "t", "-o", "t.tar", "--no-cache")
    written, screen = shown(tmp_path, *command, columns=columns, rows=rows)

    assert "B/s" in written
    assert all(len(part) < (columns or 80) for part in written.split("\r") if "B/s" in part)
    width = columns or 80
    result = f"t:latest@sha256:{'0' * 64}"
    assert screen[0].startswith("t:latest@sha256:")
    assert len("".join(screen)) == len(result)
    assert len(screen) == -(-len(result) // width) + 1


def test_where_an_archive_goes_is_said_if_nobody_chose_it(tmp_path: Path, tree: Path) -> None:
    """At a terminal; and an archive's own name stays its own."""
    _, screen = shown(tmp_path, "build", "t", columns=120, rows=24)
    assert "imgpack: written to t.tar" in screen
    _, screen = shown(tmp_path, "build", "t.tar", columns=120, rows=24)
    assert "imgpack: written to t-image.tar" in screen
    written, _ = shown(tmp_path, "build", "t", "-o", "x.tar", columns=120, rows=24)
    assert "written" not in written


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_names_that_are_told_while_bars_are_shown_have_lines_of_their_own(
    imgpack_here: InProcess, tmp_path: Path, tree: Path, columns: int, rows: int
) -> None:
    """A push tells each name when it is there."""
    sources = ["t", "t:/a", "t:/b"]
    with HostileRegistry() as registry:
        names = [f"{registry.host}/a:{number}" for number in range(3)]
        tags = [word for name in names for word in ("-t", name)]
        imgpack_here("build", *sources, *tags, "-o", "a.tar").ok()
        _, screen = shown(tmp_path, "push", "a.tar", columns=columns, rows=rows)

    width = columns or 80
    starts = [number for number, line in enumerate(screen) if "/a:" in line]
    text = "".join(screen)
    assert all(f"{name}@sha256:" in text for name in names)
    assert len(text) == sum(len(f"{name}@sha256:{'0' * 64}") for name in names)
    assert all(screen[number].startswith(registry.host[: width - 1]) for number in starts)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_an_error_after_a_bar_has_a_line_of_its_own(
    imgpack_here: InProcess, tmp_path: Path, tree: Path, columns: int, rows: int
) -> None:
    """Also when it ends the work in the middle."""
    imgpack_here("build", "t", "--compression", "none", "-o", "t.tar").ok()
    raw = bytearray((tmp_path / "t.tar").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "t.tar").write_bytes(raw)

    arguments = ("inspect", "--verify", "t.tar")
    written, screen = shown(
        tmp_path, *arguments, columns=columns, rows=rows, code=DigestError.exit_code
    )
    assert "B/s" in written
    assert screen[0].startswith("imgpack: error: ")
    assert "B/s" not in "".join(screen)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_tables_fit_the_terminal(
    imgpack_here: InProcess, tmp_path: Path, tree: Path, columns: int, rows: int
) -> None:
    """Digests are cut off where they have to be; where there is room, and for programs, not."""
    imgpack_here("build", "t", "t:/a", "-o", "t.tar", "--comment", "of a tree").ok()
    piped = imgpack_here("inspect", "t.tar").ok().decode()
    written, _ = shown(tmp_path, "inspect", "t.tar", columns=columns, rows=rows)

    assert max(map(len, written.splitlines())) <= (columns or 80)
    assert len(re.findall(r"sha256:[0-9a-f]{12}", written)) == 4
    plain = re.sub(r"\x1b\[\d*m", "", written).replace("\r\n", "\n")
    assert (plain == piped) == (columns == 200)
    assert len(re.findall(r"sha256:[0-9a-f]{64}", piped)) == 4


@pytest.mark.parametrize("command", ["", *COMMANDS, "index create", "cache info", "cache trim"])
@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("80", 80), ("200", 80)])
def test_help_fits_the_terminal(
    imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch, command: str, columns: str, width: int
) -> None:
    """Of every command; no line is wider than people read."""
    monkeypatch.setenv("COLUMNS", columns)
    lines = imgpack_here(*command.split(), "--help").ok().decode().splitlines()
    assert max(map(len, lines)) <= width


def test_a_quiet_command_shows_no_bar(tmp_path: Path, tree: Path) -> None:
    """Only what it was called for."""
    written, _ = shown(tmp_path, "-q", "build", "t", "--no-cache", columns=80)
    assert "B/s" not in written
