"""Ignore patterns: what is left out is what BuildKit leaves out."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import ConfigError, LimitError, SourceError, quoted
from imgpack.tree.exclusion import LeftOut
from imgpack.tree.rules.ignore import Ignore, ignore
from imgpack.tree.rules.ignore_file import (
    find_ignore_file,
    parse_ignore_file,
    parse_ignore_pattern,
)

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "ignore-vectors.json").read_text("utf-8")
)
OTHERWISE = {
    # moby's own defects: what it says is not what the pattern says.
    ("a|b*", "axyz"): False,  # | is not escaped in its regular expression
    ("*.{1}", "a."): False,  # nor is a repetition
    ("a\\d", "a7"): False,  # an escaped letter becomes a class of its regular expressions
    ("^a*", "^ab"): True,  # ^ is not escaped either
    # A list in moby's hands; in a file and on the command line the slash goes.
    ("/foo/bar", "foo/bar"): True,
}


def excluded(rules: Ignore, path: str) -> bool:
    """Whether a walk leaves out ``path``, asked directory by directory."""
    hits, above, out = 0, b"", False
    for name in os.fsencode(path.rstrip("/")).split(b"/"):
        sifted = rules.sift(above, [name], hits)
        if sifted.out:
            return True
        out = not sifted.kept
        hits = sifted.hidden[name][0] if out else sifted.hits.get(name, hits)
        above += name + b"/"
    return out


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['patterns']} {v['path']}")
def test_the_vectors_of_moby(vector: dict[str, Any]) -> None:
    """Each list of patterns says of the path what BuildKit's walk says, or is refused as there."""
    patterns, path = vector["patterns"], vector["path"]
    expected = OTHERWISE.get((patterns[0], path), vector["walk"])
    if expected == "error":
        with pytest.raises(ConfigError):
            ignore(patterns)
    else:
        assert excluded(ignore(patterns), path) is expected


def stated(pattern: str) -> re.Pattern[str] | str:
    """moby's translation of a pattern, restated; a text is compared as a prefix or suffix."""
    if pattern == "**":
        return re.compile(r"(?s:.*)")
    plain = not re.search(r"[*?\[\]\\]", pattern.replace("**", "", 1))
    if pattern.startswith("**") and plain:
        end = re.escape(pattern[2:])
        return re.compile(f"(?s:.*){end}" if pattern[2] != "/" else f"(?s:.*/)?{end[1:]}")
    if pattern.endswith("**") and plain:
        return re.compile(re.escape(pattern[:-2]) + "(?s:.*)")
    parts = re.findall(r"\*\*/?|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|.", pattern, re.DOTALL)
    out = ""
    for number, part in enumerate(parts):
        if part.startswith("**"):
            out += "(?:.*/)?" if number < len(parts) - 1 else ".*"
        elif part == "*":
            out += "[^/]*"
        elif part == "?":
            out += "[^/]"
        elif part.startswith("[") and len(part) > 1:
            out += part
        else:
            out += re.escape(part[-1])
    return re.compile(out)


def stated_walk(patterns: Sequence[str], path: str) -> bool:
    """moby's ``MatchesUsingParentResults``, restated: from each directory to what is in it."""
    parsed = [parse_ignore_pattern(text) for text in patterns]
    compiled = [(p.exception, stated(p.glob.text)) for p in parsed if p is not None]
    parts = path.split("/")
    before = [False] * len(compiled)
    matched = False
    for count in range(1, len(parts) + 1):
        matched, now = False, []
        for (exception, regexp), inherited in zip(compiled, before, strict=True):
            assert isinstance(regexp, re.Pattern)
            asked = inherited or exception == matched
            hit = inherited or bool(asked and regexp.fullmatch("/".join(parts[:count])))
            now.append(hit)
            if hit:
                matched = not exception
        before = now
    return matched


def is_pattern(text: str) -> bool:
    """Whether there is anything behind the ``!`` that stays."""
    try:
        return parse_ignore_pattern(text) is not None
    except ConfigError:
        return False


PIECES = st.sampled_from(
    ["a", "b", "ab", "*", "**", "?", "[ab]", "[^a]", "[^b-c]", ".", "\\*", "é", "\n", "(", "+"]
)
PATTERNS = st.builds(
    lambda negated, parts: ("!" if negated else "") + "/".join(map("".join, parts)),
    st.booleans(),
    st.lists(st.lists(PIECES, min_size=1, max_size=3), min_size=1, max_size=3),
).filter(lambda text: is_pattern(text))
PATHS = st.lists(
    st.text("ab.*é\n", min_size=1, max_size=3).filter(lambda n: n not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


@given(patterns=st.lists(PATTERNS, max_size=5), path=PATHS)
def test_a_walk_says_what_the_rules_say_when_they_are_written_plainly(
    patterns: list[str], path: str
) -> None:
    """Halves, sieves and bits change nothing of the language and of the order."""
    assert excluded(ignore(patterns), path) is stated_walk(patterns, path)


@given(patterns=st.lists(PATTERNS, max_size=5), names=st.lists(PATHS, max_size=6))
def test_names_are_judged_alike_together_and_alone(patterns: list[str], names: list[str]) -> None:
    """One call for a directory is as good as one for each name in it."""
    rules = ignore(patterns)
    found = sorted({name.partition("/")[0].encode() for name in names})

    together = rules.sift(b"", found, 0)

    assert [n for n in found if rules.sift(b"", [n], 0).kept] == together.kept
    assert {n for n in found if rules.sift(b"", [n], 0).hidden} == together.hidden.keys()


def read(text: bytes) -> list[str]:
    """The patterns of a file, as they are understood."""
    found = parse_ignore_file(text, "f")
    return [("!" if one.exception else "") + one.glob.text for one in found]


def test_a_file_is_read_as_docker_reads_it() -> None:
    """Comments, white space, slashes and dots; the vector of moby's own test, but for ``!``."""
    text = b"test1\n/test2\n/a/file/here\n\nlastfile\n# c\n! /inverted/abs/path\n"
    assert read(text) == ["test1", "test2", "a/file/here", "lastfile", "!inverted/abs/path"]


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        (b"\xef\xbb\xbffoo", "foo"),
        (b"foo\r", "foo"),
        (b"foo\rbar", "foo\rbar"),
        (b" #x", "#x"),
        (b"\\#x", "\\#x"),
        (b"\xc2\xa0foo\xe3\x80\x80", "foo"),
        (b"\x1cfoo\x1f", "\x1cfoo\x1f"),
        (b"a b", "a b"),
        (b"foo/", "foo"),
        (b"a//b/./c/../d", "a/b/d"),
        (b"../a", "../a"),
        (b"/", "/"),
        (b"//a", "a"),
        (b"./!b", "!b"),
        (b"/!b", "!b"),
        (b"a/../!b", "!b"),
        (b"!!a", "!!a"),
        (b"caf\xe9*", "caf\udce9*"),
    ],
)
def test_a_line_means_what_it_means_to_docker(line: bytes, pattern: str) -> None:
    """Byte order mark, line ends, Go's white space, ``path.Clean``, and exceptions by it."""
    assert read(line) == [pattern]


def test_a_byte_that_is_no_text_is_one_character_and_no_other() -> None:
    """moby takes any such byte for any other."""
    rules = ignore([b"caf\xe9*", b"x?"])
    names = [b"caf\xe9s", b"caf\xeas", b"x\xff", b"x\xc3\xa9"]
    assert rules.sift(b"", names, 0).kept == [b"caf\xeas"]


@pytest.mark.parametrize(
    "line", ["!", "! ", "!/", "a[", "[]a]", "[-x]", "[z-a]", "foo\\", "foo\\ ", "[a-b-c]"]
)
def test_what_is_no_pattern_is_refused_with_its_line(line: str) -> None:
    """File, line and pattern are named."""
    with pytest.raises(ConfigError, match=r"line 2 of some/f: ") as caught:
        list(parse_ignore_file(f"ok\n{line}\n".encode(), "some/f"))
    assert quoted(line.strip()) in caught.value.message


def test_a_line_longer_than_docker_takes_is_refused() -> None:
    """64 KiB; one byte less is read."""
    assert len(read(b"a" * 65535)[0]) == 65535
    with pytest.raises(LimitError, match="line 1 of f"):
        read(b"a" * 65536)


def test_white_space_is_what_go_takes_for_it() -> None:
    """Unicode's, but for the separators that Python takes as well."""
    space = "\t\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    wide = "".join(map(chr, range(0x2000, 0x200B)))

    assert read(f"{space}{wide}a{wide}{space}".encode()) == ["a"]
    assert read("\u200ba\u1fff".encode()) == ["\u200ba\u1fff"]


def test_a_class_that_excludes_takes_its_own_sign() -> None:
    """The first one is no member."""
    assert ignore(["[^a]"]).sift(b"", [b"^", b"a", b"b"], 0).kept == [b"a"]


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    """4 MiB."""
    path = tmp_path / "ignore"
    path.write_bytes((b"#" * 65535 + b"\n") * 64)
    assert ignore((), bytes(path)).sift(b"", [b"#"], 0).kept == [b"#"]
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(LimitError, match="has more than 4 MiB"):
        ignore((), bytes(path))


def test_a_directory_has_the_first_of_its_ignore_files(tmp_path: Path) -> None:
    """podman's name counts before Docker's; also where it leads nowhere."""
    root = bytes(tmp_path)
    assert find_ignore_file(root) is None
    (tmp_path / ".dockerignore").touch()
    assert find_ignore_file(root) == root + b"/.dockerignore"
    (tmp_path / ".containerignore").symlink_to("nowhere")
    assert find_ignore_file(root) == root + b"/.containerignore"


def test_there_is_an_end_to_patterns() -> None:
    """A file of nothing else is no source of work without end."""
    with pytest.raises(LimitError, match="10,001 patterns"):
        ignore(["a"] * 10_001)


def test_an_ignore_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """What should stay out would go in otherwise."""
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(SourceError, match="the ignore file"):
            ignore((), bytes(path))


def test_an_ignore_file_is_a_file_of_its_directory(tmp_path: Path) -> None:
    """A link in there is followed; one that leads out would show what no source has."""
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "outside").write_text("a")
    (source / "inside").write_text("b")
    (source / ".dockerignore").symlink_to("inside")
    assert find_ignore_file(bytes(source)) == bytes(source / ".dockerignore")
    (source / ".containerignore").symlink_to("../outside")
    with pytest.raises(SourceError, match="symlink that leads out of its directory"):
        find_ignore_file(bytes(source))


def test_patterns_mean_the_same_in_any_locale() -> None:
    """Where arguments are no UTF-8, they are its bytes; names are UTF-8 whatever the locale."""
    argument = "caf?\udcc3\udca9"
    assert ignore([argument]).sift(b"", ["caféé".encode(), b"cafee"], 0).kept == [b"cafee"]
    with pytest.raises(ConfigError, match="is no pattern"):
        ignore(["\ud800"])


@pytest.mark.parametrize(
    ("pattern", "part"),
    [("a|b*", "|"), ("x{2}*", "{2}"), ("^a*", "^"), ("a\\d", "\\d"), ("[[:alpha:]]", "[:alpha:"),
     ("[a*]", "*"), ("-[a]|*", "|"), ("\\^a|b*", "|"), ("a|*/**", "|")],
)  # fmt: skip
def test_what_docker_reads_otherwise_is_warned_of(pattern: str, part: str) -> None:
    """Only where it does: not in what is compared as it stands."""
    (warning,) = ignore([pattern]).warnings
    assert f": {part}" in warning
    assert ignore(["a|b", "**/a|b", "^a/**", "*.{js,ts}", "\\^a*", "[^a]*", "a\\*"]).warnings == ()


def test_many_stars_are_no_trap() -> None:
    """A pattern of many stars is compared with a long name in one pass."""
    rules = ignore(["*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b*c"])
    assert rules.sift(b"", [b"a" * 255], 0).kept


def test_names_are_found_by_what_is_in_them() -> None:
    """As by how they begin, how they end, and whole."""
    names = [b"axb", b"x", b"start", b"tend", b"whole", b"b", b"wholes"]
    rules = ignore(["*x*", "sta*", "*nd", "whole"])

    assert rules.sift(b"", names, 0).kept == [b"b", b"wholes"]


@pytest.mark.parametrize("part", ["", "a/", "*/", "[ab]*/", "?a*/*/"])
def test_many_double_stars_are_no_trap(part: str) -> None:
    """A pattern of many of them is compared with a deep path in one pass."""
    rules = ignore([f"**/{part}" * 20 + "z/b"])
    assert rules.sift(b"aa/" * 1000, [b"b"], 0).kept


COMPONENTS = st.sampled_from(["**", "a", "*", "a*", "**b", "[ab]", "a**"])


@given(
    pattern=st.lists(COMPONENTS, min_size=2, max_size=7).map("/".join),
    path=st.lists(st.text("ab\n", min_size=1, max_size=2), min_size=1, max_size=7).map("/".join),
)
def test_double_stars_find_what_they_find_when_all_ways_are_tried(pattern: str, path: str) -> None:
    """What is between two of them is found where it comes first, and nothing is lost."""
    assert excluded(ignore([pattern]), path) is stated_walk([pattern], path)


def test_what_a_pattern_did_is_known() -> None:
    """Which rule left out what; which had no effect."""
    rules = ignore(["a", "**/a", "!b", "c*"])
    left_out = LeftOut(rules.rules)
    left_out.add(b"", rules.sift(b"", [b"a", b"b", b"cc", b"d"], 0).out)

    assert left_out.paths == [(b"a", 0), (b"cc", 3)]
    assert [rule.text for rule in left_out.idle] == ["**/a", "!b"]
