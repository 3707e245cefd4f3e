"""Unified diffs: what they say makes one text of the other, however the texts are."""

import difflib
import re
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imgpack.image.compare.texts import Effort, is_binary, unified

LINES = st.lists(
    st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n", b"a\r\n", b"a\rb\n"]), max_size=40
).map(b"".join)
TEXTS = st.one_of(LINES, st.tuples(LINES, st.sampled_from([b"", b"x", b"\r"])).map(b"".join))


def applied(tmp: Path, a: bytes, lines: list[bytes]) -> bytes:
    """What patch makes of ``a``."""
    target, out = tmp / "a", tmp / "out"
    target.write_bytes(a)
    patch = b"--- a\n+++ a\n" + b"".join(line + b"\n" for line in lines)
    subprocess.run(
        ["patch", "-s", "--binary", "-o", str(out), str(target)], input=patch, check=True
    )
    return out.read_bytes()


@given(TEXTS, TEXTS)
def test_the_lines_of_a_diff_are_those_of_both_texts(a: bytes, b: bytes) -> None:
    """What is common and removed is of the one, what is common and added of the other."""
    said = list(unified(a, b, Effort()))

    assert (said == []) is (a == b)
    for text, marks in ((a, b" -"), (b, b" +")):
        lines = iter(text.split(b"\n"))
        for line in said:
            if line[:1] in (b"@", b"\\"):
                continue
            if line[0] in marks:
                assert line[1:] in lines


@given(TEXTS, TEXTS)
def test_no_more_lines_change_than_the_standard_library_changes(a: bytes, b: bytes) -> None:
    """It is the shortest."""
    before, after = (re.findall("[^\n]*\n|[^\n]+", one.decode()) for one in (a, b))
    shortest = sum(line[0] in "-+" for line in difflib.ndiff(before, after))

    assert sum(line[:1] in (b"-", b"+") for line in unified(a, b, Effort())) <= shortest


def test_patch_takes_it(tmp_path: Path) -> None:
    """And makes the second text of the first."""
    a = b"".join(b"%d\n" % number for number in range(100))
    b = a.replace(b"17\n", b"seventeen\n").replace(b"50\n", b"").replace(b"99\n", b"99\nend")

    assert applied(tmp_path, a, list(unified(a, b, Effort()))) == b
    assert applied(tmp_path, b, list(unified(b, a, Effort()))) == a


def test_texts_with_nothing_in_common_are_bounded() -> None:
    """What would take too many edits is told as changed as a whole."""
    a = b"".join(b"a%d\n" % number for number in range(3000))
    b = b"".join(b"b%d\n" % number for number in range(3000))

    said = list(unified(b"same\n" + a, b"same\n" + b, Effort()))

    assert said[:3] == [b"@@ -1,3001 +1,3001 @@", b" same", b"-a0"]
    assert len(said) == 6002


def test_the_search_in_all_texts_together_is_bounded() -> None:
    """Many small ones with nothing in common would take an hour; the diff stays a right one."""
    effort = Effort(5000)
    a, b = b"".join(b"a%d\n" % i for i in range(60)), b"".join(b"b%d\n" % i for i in range(60))
    said = [tuple(unified(b"x\n" + a, b"x\n" + b + b"x\n", effort)) for _ in range(3)]

    assert effort.steps < 0
    assert said[0] == said[2]
    assert len(said[2]) == 2 + 60 + 61


def test_a_carriage_return_ends_no_line(tmp_path: Path) -> None:
    """POSIX's diff has it so; what ends in one is not at the end of the file."""
    said = list(unified(b"a\rb\nc\n", b"a\rb\nd\n", Effort()))

    assert said == [b"@@ -1,2 +1,2 @@", b" a\rb", b"-c", b"+d"]
    assert applied(tmp_path, b"a\rb\nc\n", said) == b"a\rb\nd\n"


def test_a_file_with_a_nul_is_no_text() -> None:
    """As git and diff have it."""
    assert is_binary(b"a\0b")
    assert not is_binary("grün\n".encode())
