"""Rules: what patterns match, what is changed, and what is read as what."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import (
    Directory,
    Entry,
    Reading,
    Rule,
    RuleList,
    directory_entry,
    file,
    parse_rule,
    read_file,
    symlink,
    time_rule,
)
from imgpack.api import directory as placed
from imgpack.api import entries as in_memory
from imgpack.errors import ConfigError, LimitError, TreeError
from imgpack.tree.entry import whiteout
from imgpack.tree.inputs.additions import Additions
from imgpack.tree.problems import Problems
from imgpack.tree.rules.changes import ChangeAttribute
from imgpack.tree.rules.parse import attribute_value, owner, path_pattern

FILES = {"/etc/passwd": b"app:x:1000:1001::/:\n7:x:70:71::/:\n", "/etc/group": b"staff:x:50:\n"}


def rule(kind: str, text: str) -> Rule:
    """A rule, with the users of ``FILES``."""
    return parse_rule(kind, text, FILES.get)  # type: ignore[arg-type]


def applied(rules: Iterable[Rule], *entries: Entry) -> tuple[list[Entry], set[int]]:
    """The entries as rules leave them, and the numbers of those that matched."""
    matched: set[int] = set()
    working = RuleList(tuple(rules)).begin(matched)
    return [working(entry) for entry in entries], matched


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("app", (1000, 1001)),
        ("app:staff", (1000, 50)),
        ("app:7", (1000, 7)),
        ("7", (7, 7)),
        ("7:staff", (7, 50)),
        (":staff", (None, 50)),
        (":0", (None, 0)),
        ("root", (0, 0)),
        ("root:root", (0, 0)),
        ("4294967294", (4294967294, 4294967294)),
    ],
)
def test_an_owner_is_what_docker_makes_of_it(text: str, ids: tuple[int | None, int]) -> None:
    """A number is both ids and is not looked up; a name brings its own group."""
    found = owner(text, FILES.get)

    assert (found.uid, found.gid) == ids


@pytest.mark.parametrize("text", ["app", "0:staff"])
def test_an_image_without_accounts_has_no_names(text: str) -> None:
    """But numbers, and root."""
    with pytest.raises(ConfigError, match=f"{text[2:]}.* is not in /etc/"):
        owner(text, {}.get)
    assert owner("root:root", {}.get) == owner("0:0", {}.get)


@pytest.mark.parametrize("text", ["", ":", "app:", "nobody", "app:wheel", "4294967295", "0:-1"])
def test_what_is_no_owner_is_refused(text: str) -> None:
    """Least of all taken for root, as Docker takes a name that nobody has."""
    with pytest.raises(ConfigError):
        owner(text, FILES.get)


@pytest.mark.parametrize(
    ("kind", "text", "pattern"),
    [
        ("chmod", "755", None),
        ("chmod", "u=rwX,go=rX", None),
        ("chmod", "g=u", None),
        ("chmod", "/g=u+x", "g"),
        ("chmod", "a=755", "a"),
        ("chmod", "a=b=755", "a=b"),
        ("chmod", "x=u=rwX,go=rX", "x"),
        ("chmod", "d=", None),
        ("cap", "cap_net_raw+ep", None),
        ("cap", "bin/ping=cap_net_raw=+ep", "bin/ping"),
        ("cap", "bin/ping=", "bin/ping"),
        ("cap", "bin/ping==ep", "bin/ping"),
        ("xattr", "user.k=v", None),
        ("xattr", "srv=user.k=v=w", "srv"),
        ("xattr", "a=b=user.k=", "a=b"),
        ("chown", "a=b=0", "a=b"),
        ("chown", "0:0", None),
    ],
)  # fmt: skip
def test_a_text_is_divided_where_a_value_begins(kind: str, text: str, pattern: str | None) -> None:
    """All of it is the value, if it can be."""
    if text == "d=":
        with pytest.raises(ConfigError, match="is not a mode"):
            rule(kind, text)
        return
    found = rule(kind, text)

    assert (found.pattern and str(found.pattern)) == pattern


def test_a_pattern_means_a_path_and_all_below() -> None:
    """In the language of ignore files, from the root."""
    rules = [rule("chown", "srv/*.d=1"), rule("chown", "**/log=2"), rule("chown", "srv=:3")]
    paths = [b"srv", b"srv/a", b"srv/a.d", b"srv/a.d/x", b"srv/a.d/log", b"log", b"log/y", b"xlog"]
    found, matched = applied(rules, *(directory_entry(path) for path in paths))

    assert [(one.uid, one.gid) for one in found] == [
        (0, 3), (0, 3), (1, 3), (1, 3), (2, 3), (2, 2), (2, 2), (0, 0)
    ]  # fmt: skip
    assert matched == {0, 1, 2}


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=6))
def test_what_is_below_is_found_without_its_directories(parts: list[str]) -> None:
    """A tree need not name them, and may be deep."""
    path = "/".join(parts).encode()
    want = parts[0] == "a"

    assert applied([rule("chown", "a=1")], file(path, b""))[1] == ({0} if want else set())
    assert path_pattern("/".join(parts)).matches(path)


def test_deep_trees_need_no_deep_stack() -> None:
    """A path of thousands of directories."""
    deep = b"/".join([b"d"] * 5000)

    assert applied([rule("chown", "d=1")], file(deep, b"")._replace(path=deep))[1] == {0}


def test_a_rule_without_effect_is_named() -> None:
    """Those for everything are not: there may be nothing."""
    rules = RuleList((rule("chown", "5"), rule("chmod", "a\n=1"), time_rule("x", 5)))

    with pytest.raises(ConfigError, match=r"matches chmod a\\n=1, the time of x;"):
        rules.check(set())
    rules.check({1, 2})


def test_a_directory_below_is_meant_by_its_very_name() -> None:
    """Not by a pattern, by what lies above it or by a rule for everything."""
    rules = RuleList(
        (rule("chown", "a/b=1"), rule("chmod", "a/b=700"), rule("chown", "*=2"), rule("chown", "3"))
    )

    named = rules.naming(directory_entry(b"a/b"))
    assert named is not None
    assert (named.uid, stat.S_IMODE(named.mode)) == (1, 0o700)
    for path in (b"a", b"b", b"a/c", b"a/bb"):
        assert rules.naming(directory_entry(path)) is None


def test_what_can_have_an_attribute_is_what_linux_lets_have_it() -> None:
    """A link has no access list, but what only root reads."""
    listed, trusted = rule("xattr", "system.posix_acl_access=x"), rule("xattr", "trusted.a=1")
    entries = [file(b"f", b""), symlink(b"l", b"f")]

    assert [bool(entry.xattrs) for entry in applied([listed], *entries)[0]] == [True, False]
    assert [bool(entry.xattrs) for entry in applied([trusted], *entries)[0]] == [True, True]


@pytest.mark.parametrize(
    ("name", "value"), [(b"user." + b"n" * 251, None), (b"user.n", b"v" * ((1 << 16) + 1))]
)
def test_an_attribute_is_no_longer_than_linux_takes(name: bytes, value: bytes | None) -> None:
    """Neither its name nor its value."""
    with pytest.raises(ConfigError, match="is longer than Linux takes"):
        ChangeAttribute(name, value)
    ChangeAttribute(name[:255], value and value[:-1])


def test_an_attribute_is_said_or_taken() -> None:
    """Of what can have it; the value is as setfattr takes it."""
    rules = [rule("xattr", "user.a=1"), rule("xattr", "user.b=2"), rule("xattr", "f=user.a=")]
    (kept, none, link), matched = applied(
        rules, file(b"f", b""), directory_entry(b"d"), symlink(b"l", b"f")
    )

    assert kept.xattrs == ((b"user.a", None), (b"user.b", b"2"))
    assert none.xattrs == ((b"user.a", b"1"), (b"user.b", b"2"))
    assert (link.xattrs, matched) == ((), {0, 1, 2})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text", b"text"),
        ("0x00fF", b"\x00\xff"),
        ("0s/w==", b"\xff"),
        ('"0x00"', b"0x00"),
        ('"a\\"b\\\\c\\001"', b'a"b\\c\x01'),
        ("\udcff", b"\xff"),
        ('"', b'"'),
    ],
)
def test_a_value_is_what_setfattr_makes_of_it(text: str, value: bytes) -> None:
    """Text, hexadecimal or base64."""
    assert attribute_value(text) == value


def test_another_rule_has_another_identity() -> None:
    """A layer in the cache is never taken for one built under other rules."""
    texts = [
        ("chown", "1"), ("chown", "a=1"), ("chown", "a=1:2"), ("chown", "b=1"), ("chmod", "1"),
        ("chmod", "a=1"), ("chmod", "a=+x"), ("xattr", "user.a=1"), ("xattr", "user.a=2"),
        ("cap", "cap_chown+p"), ("cap", "cap_chown+ep"), ("chown", "None=1"),
    ]  # fmt: skip
    lists = [RuleList((rule(*text),)) for text in texts]
    lists += [
        RuleList((rule(*texts[0]), rule(*texts[1]))),
        RuleList(),
        RuleList((time_rule("a", 1),)),
    ]

    assert len({one.identity for one in lists}) == len(lists)


def test_records_count_unless_they_are_not_to(tmp_path: Path) -> None:
    """What holds them is never written."""
    path = tmp_path / "f"
    path.touch()
    try:
        os.setxattr(path, "user.containers.override_stat", b"1:2:0666:char-1-3")
    except OSError:
        pytest.skip("the file system takes no attributes")
    seen = Directory(bytes(tmp_path)).find(b"f")
    assert seen is not None

    read = Reading()(seen, Problems())
    assert read is not None
    assert (read.mode, read.rdev, read.uid) == (stat.S_IFCHR | 0o666, os.makedev(1, 3), 1)
    assert Reading(records=False)(seen, Problems()) == seen


def test_additions_stand_in_the_order_of_the_tree() -> None:
    """The tree's own entry counts where both have one; deletions stay in front."""
    own = [directory_entry(b"d"), whiteout(b"d/z"), file(b"d/b", b""), file(b"d-x", b"")]
    added = [directory_entry(b"a"), directory_entry(b"d", mode=0o700), file(b"d/a", b""),
             file(b"d/c", b""), file(b"e", b"")]  # fmt: skip

    merged = list(Additions(tuple(added), "").merged(own))

    assert [entry.path for entry in merged] == [
        b"a", b"d", b"d/z", b"d/a", b"d/b", b"d/c", b"d-x", b"e"
    ]  # fmt: skip
    assert merged[1] == own[0]
    with pytest.raises(TreeError, match="d/b/x is to be in d/b, which is no directory"):
        list(Additions((file(b"d/b/x", b""),), "").merged(own))
    way = (directory_entry(b"d"), directory_entry(b"d/z"), file(b"d/z/x", b""))
    with pytest.raises(TreeError, match="d/z is to be added, and deleted in the same layer"):
        list(Additions(way, "").merged(own))


def test_files_of_the_image_are_found_through_links(tmp_path: Path) -> None:
    """As a container sees them: no link leads out, and upper layers hide lower ones."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/usr/lib/passwd")
    lower = in_memory([file(b"usr/lib/passwd", b"lower"), file(b"loop", b"x")])
    tree = placed(tmp_path)

    assert read_file([lower, tree], "/etc/passwd") == b"lower"
    upper = in_memory([file(b"usr/lib/passwd", b"upper"), symlink(b"loop", b"loop")])
    assert read_file([lower, tree, upper], "/etc/passwd") == b"upper"
    assert read_file([tree], "/etc/passwd") is None
    assert read_file([upper], "/loop") is None
    assert read_file([lower], "/usr/lib") is None
    huge = in_memory([file(b"f", bytes((16 << 20) + 1))])
    with pytest.raises(LimitError, match="/f of the image has 16777217 bytes"):
        read_file([huge], "/f")
