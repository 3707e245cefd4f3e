"""Lists in the form of mtree(5): lines, escapes and keywords, as all who write them write them."""

import base64
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Entry, Overrides, directory_entry, file, specification, symlink
from imgpack.api import entries as in_memory
from imgpack.errors import ConfigError, ImgpackError, LimitError, SourceError, TreeError
from imgpack.tree.below import Below, Laid
from imgpack.tree.inputs.mtree.lines import MAX_LINE, lines, unescaped
from imgpack.tree.inputs.mtree.reader import read_lines
from imgpack.tree.inputs.mtree.specification import Specification
from imgpack.tree.inputs.mtree.tree import MtreeTree

FILES = {"/etc/passwd": b"app:x:1000:1001::/:\n", "/etc/group": b"staff:x:50:\n"}
NUMBERS = os.makedev(259, 70000)


def listed(text: str | bytes) -> Specification:
    """What a list says, with the users of ``FILES``."""
    data = text if isinstance(text, bytes) else text.encode()
    return Specification(data, "l", FILES.get)


def paths(text: str | bytes) -> list[bytes]:
    """The paths that a list names, in its order."""
    data = text if isinstance(text, bytes) else text.encode()
    return [line.path for line in read_lines(data, "l").lines]


def added(text: str | bytes, *trees: Laid) -> list[Entry]:
    """What a list adds to an image."""
    return list(listed(text).additions(Below(trees)).entries)


def overridden(text: str, entry: Entry, *, only: bool = False) -> Entry | None:
    """What a list makes of an entry."""
    return Overrides(listed(text), only)(entry)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        (rb"a\040b", b"a b"), (rb"\012\134\043\075", b"\n\\#="), (rb"\303\251", "é".encode()),
        (rb"\001\0", b"\x01\0"), (rb"\52\052", b"**"), (rb"\400", b" 0"),
        (rb"\s\t\n\\\#", b" \t\n\\#"), (rb"\a\b\f\r\v", b"\a\b\f\r\v"),
        (rb"\M-C\M-)", "é".encode()), (rb"\^A\^?\M^A", b"\x01\x7f\x81"), (rb"\x41\E", b"A\x1b"),
        (rb"\"\$x", b'"x'), (rb"\q", rb"\q"), (rb"a\ ", b"a "), (rb"*?[", b"*?["),
    ],
)  # fmt: skip
def test_escapes_are_those_of_all_who_write_them(word: bytes, meant: bytes) -> None:
    """libarchive's, unvis's and go-mtree's; what is none of them stays as it is."""
    assert unescaped(word) == meant


@given(st.binary(max_size=30))
def test_what_bsdtar_and_go_mtree_write_is_read(name: bytes) -> None:
    """Whatever the name."""
    octal = b"".join(
        b"\\%03o" % one if one in b' \t\n\\#="*?[' or not 33 <= one < 127 else b"%c" % one
        for one in name
    )

    assert unescaped(octal) == name


def test_lines_are_joined_and_comments_dropped() -> None:
    """Blanks in front do not count; a ``#`` within a name is one."""
    data = b"#mtree v2.0\n\n  a  type=dir \\\n    mode=1 # rest\nb#c uid=1\r\n"
    data += b"d \\\r\n uid=2\n # x\ne\\\\\nf"

    assert list(lines(data, "l")) == [
        (3, [b"a", b"type=dir", b"mode=1"]),
        (5, [b"b#c", b"uid=1"]),
        (6, [b"d", b"uid=2"]),
        (9, [b"e\\\\"]),
        (10, [b"f"]),
    ]
    with pytest.raises(LimitError, match="l:1: the line has more than"):
        list(lines(b"a \\\n" * (MAX_LINE // 2), "l"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (". type=dir\na\nd type=dir\nb\n..\nc\n", ["", "a", "d", "d/b", "c"]),
        ("/set type=dir\n.\nd\ne\nf type=file\n..\n..\ng", ["", "d", "d/e", "d/e/f", "g"]),
        ("d type=dir\n./x/y type=dir\na\n./z\nb", ["d", "x/y", "d/a", "z", "d/b"]),
        ("usr/ type=dir\na\n", ["usr", "a"]),
        ("./a/./b//c\n/d\n", ["a/b/c", "d"]),
        ("d type=dir\n. type=dir\na\n", ["d", "", "a"]),
        ("type=file mode=0644 ./a/b\ntype=dir .\nuid=1 type=file ./c\n", ["a/b", "", "c"]),
        ("a\\040b\n./c\\012/d\n", ["a b", "c\n/d"]),
        ("./a uid=1\n./b\n./a gid=2\n", ["a", "b"]),
        ("", []),
    ],
)  # fmt: skip
def test_names_are_plain_or_whole_paths(text: str, found: list[str]) -> None:
    """A plain one lies in the directory that was last named so; a path moves nothing."""
    assert paths(text) == [path.encode() for path in found]


def test_defaults_add_up_and_are_overridden() -> None:
    """Keyword by keyword; a name of an owner takes the place of a number."""
    text = (
        "/set uid=1 gid=2\n./a\n/set mode 0700 nochange\n./b uname=app\n/unset nochange mode\n"
        "./c gid=9\n./c uid=8\n/unset all\n./d\n/set gname=staff\n./e\n./f gid=3\n"
    )
    found = listed(text)
    values = {path: found.find(path) for path in (b"a", b"b", b"c", b"d", b"e", b"f")}
    owners = {path: one and (one.uid, one.gid, one.mode) for path, one in values.items()}

    assert owners == {
        b"a": (1, 2, None),
        b"b": (1000, 2, 0o700),
        b"c": (8, 2, None),
        b"d": (None, None, None),
        b"e": (None, 50, None),
        b"f": (None, 3, None),
    }
    assert values[b"b"] is not None and values[b"b"].as_found


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("type=file", "kind", stat.S_IFREG),
        ("type=socket", "kind", stat.S_IFSOCK),
        ("mode=0755", "mode", 0o755),
        ("mode=4755", "mode", 0o4755),
        ("mode=u=rwx,go=rx", "mode", 0o755),
        ("type=link mode=0644", "mode", None),
        ("uname=app", "uid", 1000),
        ("gname=staff", "gid", 50),
        ("gname=7", "gid", 7),
        ("time=1.5", "mtime_ns", 1_000_000_005),
        ("time=1.500000000", "mtime_ns", 1_500_000_000),
        ("time=7", "mtime_ns", 7_000_000_000),
        ("time=7.", "mtime_ns", 7_000_000_000),
        ("tar_time=7.000000000", "mtime_ns", 7_000_000_000),
        ("time=-1.0", "mtime_ns", -1_000_000_000),
        ("size=5", "size", 5),
        ("link=a\\040b", "target", b"a b"),
        ("device=linux,1,3", "rdev", os.makedev(1, 3)),
        ("device=native,0x103,70000", "rdev", NUMBERS),
        ("device=freebsd,08,1", "rdev", os.makedev(8, 1)),
        (f"device={hex(NUMBERS)}", "rdev", NUMBERS),
        (f"device={NUMBERS}", "rdev", NUMBERS),
        (f"contents={__file__}", "contents", __file__.encode()),
        (f"content={__file__[:-2]}\\160y", "contents", __file__.encode()),
        ("xattr.user.k=aGk=", "xattrs", ((b"user.k", b"hi"),)),
        ("xattr.SCHILY.xattr.user.k=aGk=", "xattrs", ((b"user.k", b"hi"),)),
        ("xattr.user.a\\040b=aGk=", "xattrs", ((b"user.a b", b"hi"),)),
        ("xattr.user.k=", "xattrs", ((b"user.k", None),)),
        ("xattr.security.selinux=aGk=", "xattrs", ()),
        ("sha256digest=0x00 flags=none md5=1 tags=a,b nlink=2 cksum=3", "links", 2),
    ],
)  # fmt: skip
def test_keywords_mean_what_their_writers_mean(words: str, field: str, value: object) -> None:
    """Two are easily misread: the fraction of a time, and a mode in letters."""
    found = listed(f"./a {words}\n")
    one = found.find(b"a")

    assert getattr(one, field) == value
    assert found.warnings == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("./a type=door", "the value 'door' of type is not one"),
        ("./a mode=9", "the value '9' of mode is not one; write octal"),
        ("./a uid=-1", "the value '-1' of uid is not one"),
        ("./a uid=4294967295", "of uid"),
        ("./a uname=nobody", "uname: the user 'nobody' is not in /etc/passwd"),
        ("./a gname=wheel", "gname: the group 'wheel' is not in /etc/group"),
        ("./a time=x", "write SECONDS.NANOSECONDS"),
        ("./a size=1k", "of size"),
        ("./a device=linux,1", "of device is not one; write linux,MAJOR,MINOR"),
        ("./a device=linux,1,2,3", "of device"),
        ("./a device=linux,1,4294967295", "of device"),
        ("./a xattr.user.k=?", "write base64"),
        ("./a uid", "the keyword uid has no value; write uid=VALUE"),
        ("./a =5", "'=5' is no keyword"),
        ("./../a", "cannot be in a tree"),
        ("..", "the name .. leads out of the tree"),
        ("./a/.wh.b", "a name that starts with .wh. means a deletion"),
        ("./" + "x" * 256, "has a name of 256 bytes"),
        ("./a\\057b", "cannot be in a tree"),
        ("./a\\000", "cannot be in a tree"),
        ("./a contents=none", "cannot read the contents none: No such file"),
        ("./a contents=/dev/null", "it is no regular file"),
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_possible_is_named(line: str, words: str) -> None:
    """With its file and number."""
    with pytest.raises(ImgpackError) as caught:
        listed(f"# one\n\n{line}\n")

    assert str(caught.value).startswith("l:3: ")
    assert words in str(caught.value)


def test_unknown_keywords_are_told_once() -> None:
    """They are passed over."""
    found = listed("./a foo=1 bar\n./b foo=2\n")

    assert found.warnings == [
        "l:1: the keyword foo is not known and is passed over",
        "l:1: the keyword bar is not known and is passed over",
    ]


def test_what_a_list_says_counts_more_than_what_is_there() -> None:
    """And nothing else of an entry is touched."""
    there = file(b"a", b"x", mode=0o644, uid=9, gid=9, mtime_ns=5)

    assert overridden("./b uid=1", there) == there
    assert overridden("./a nochange uid=1", there) == there
    assert overridden("./a uid=1 mode=4711", there) == there._replace(
        uid=1, mode=stat.S_IFREG | 0o4711
    )
    assert overridden("./a gid=0 time=7.0 size=99", there) == there._replace(
        gid=0, mtime_ns=7 * 10**9
    )
    changed = overridden("./a type=char device=linux,1,3 xattr.user.k=aGk=", there)
    assert changed is not None
    assert (changed.mode, changed.rdev) == (stat.S_IFCHR | 0o644, os.makedev(1, 3))
    assert changed.xattrs == ((b"user.k", b"hi"),)
    linked = overridden("./a type=link link=b", there)
    assert linked is not None and linked.target() == b"b"
    kept = symlink(b"a", b"b")
    assert overridden("./a type=link link=b", kept) == kept
    pointed = overridden("./a link=c", kept)
    assert pointed is not None and pointed.target() == b"c"
    assert overridden("./a type=file size=0", kept) is not None


def test_a_body_may_lie_elsewhere(tmp_path: Path) -> None:
    """It takes the place of the one there; another one is another list."""
    body = tmp_path / "body"
    body.write_bytes(b"elsewhere")
    text = f"./a contents={body}"
    changed = overridden(text, file(b"a", b"x"))
    before = listed(text).identity

    assert changed is not None and changed.size == 9
    with changed.open() as opened:
        assert opened.read() == b"elsewhere"
    body.write_bytes(b"elsewhen.")
    assert listed(text).identity != before
    assert listed("./a uid=1").identity != listed("./a uid=2").identity


@pytest.mark.parametrize(
    ("text", "entry", "words"),
    [
        ("./a type=dir", file(b"a", b""), "a is no directory, and the list says otherwise"),
        ("./a type=file", directory_entry(b"a"), "a is a directory, and the list"),
        ("./a type=char", file(b"a", b""), "the device a has no number; write device="),
        ("./a type=link", file(b"a", b""), "the link a has no target; write link="),
        ("./a type=file size=5", symlink(b"a", b"b"), "is to have 5 bytes, which are not here"),
    ],
)
def test_what_cannot_become_what_is_said_is_told(text: str, entry: Entry, words: str) -> None:
    """With the line."""
    with pytest.raises(TreeError, match=f"^l:1: .*{words}"):
        overridden(text, entry)


def test_only_what_is_listed_stays() -> None:
    """With the directories that lead there, and all that lies in what is not looked into."""
    text = "./a/b type=file\n./c type=dir ignore\n./d type=dir\n"
    paths = (b"a", b"a/b", b"a/x", b"c", b"c/x/y", b"d", b"d/x", b"e")
    left = [path for path in paths if listed(text).holds(path)]

    assert left == [b"a", b"a/b", b"c", b"c/x/y", b"d"]
    assert overridden(text, file(b"e", b""), only=True) is None


def test_what_is_not_there_is_added() -> None:
    """If it needs no body; parents are those of the image, or made up."""
    tree = in_memory(
        [directory_entry(b"etc", mode=0o700), symlink(b"lib", b"usr/lib"), file(b"f", b"")]
    )
    text = (
        "/set uid=0 gid=5 time=9.0\n./f\n./etc/empty mode=600 size=0\n./dev/null type=char "
        "device=linux,1,3\n./dev/b type=block device=linux,8,0\n./lib/x type=link link=y\n"
        "./opt type=dir optional\n./p type=fifo\n./s type=socket\n./n nochange\n"
    )
    found = {entry.path: entry for entry in added(text, Laid(tree.tree))}

    assert sorted(found) == [
        b"dev", b"dev/b", b"dev/null", b"etc", b"etc/empty", b"p", b"usr", b"usr/lib", b"usr/lib/x"
    ]  # fmt: skip
    assert found[b"etc"].mode == stat.S_IFDIR | 0o700
    assert (found[b"dev"].mode, found[b"dev"].gid) == (stat.S_IFDIR | 0o755, 0)
    assert (found[b"dev/null"].mode, found[b"dev/null"].uid) == (stat.S_IFCHR | 0o644, 0)
    assert (found[b"dev/b"].rdev, found[b"dev/b"].gid) == (os.makedev(8, 0), 5)
    assert found[b"etc/empty"].mtime_ns == 9 * 10**9
    assert found[b"usr/lib/x"].target() == b"y"


@pytest.mark.parametrize("text", ["./a size=5", "./a type=link", "./a type=char", "./f/x type=dir"])
def test_what_cannot_be_added_is_told(text: str) -> None:
    """With the line."""
    with pytest.raises(TreeError, match=r"^l:1: "):
        added(text, Laid(in_memory([file(b"f", b"")]).tree))


def test_names_of_one_inode_are_one_file() -> None:
    """mtree has no other word for hard links."""
    entries = added("/set type=file size=0 nlink=2\n./a inode=7\n./b inode=7\n./c inode=8\n")

    numbers = [(entry.inode, entry.links) for entry in entries]
    assert numbers[0] == numbers[1] != numbers[2]
    assert numbers[0][1] == 2


def test_a_list_alone_is_a_tree(tmp_path: Path) -> None:
    """Of all that it says."""
    text = "./bin/sh type=link link=busybox\n./etc type=dir mode=0700\n"
    tree, _ = listed(text).tree()
    named = MtreeTree(bytes(tmp_path), tree)

    assert [entry.path for entry in tree.entries()] == [b"bin", b"bin/sh", b"etc"]
    assert list(named.entries()) == list(tree.entries())
    assert list(named.entries(None, b"opt")) == list(tree.entries(None, b"opt"))
    assert [named.find(path) for path in (b"etc", b"x")] == [tree.find(b"etc"), None]
    assert str(named) == str(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        "resdevice flags tags cksum md5 md5digest rmd160 rmd160digest ripemd160digest sha1",
        "sha1digest sha256 sha256digest sha384 sha384digest sha512 sha512digest sha512256",
        "sha512256digest optional",
    ],
)
def test_what_says_nothing_of_an_image_is_passed_over_without_a_word(words: str) -> None:
    """Checksums, and what only other systems have."""
    line = " ".join(word if word == "optional" else f"{word}=1" for word in words.split())

    assert listed(f"./a {line}\n").warnings == []


def test_a_line_is_bounded() -> None:
    """One byte less is read."""
    assert len(list(lines(b"a" * MAX_LINE, "l"))) == 1
    assert MAX_LINE == 1 << 20
    with pytest.raises(LimitError, match="l:1: the line has more than"):
        list(lines(b"a" * (MAX_LINE + 1), "l"))


def test_names_are_those_of_the_lists_own_users(tmp_path: Path) -> None:
    """If it says where they are; it may be all that there is."""
    (tmp_path / "passwd").write_text("own:x:8:9::/:\n")
    one = listed(f"./home uname=own\n./etc/passwd contents={tmp_path}/passwd\n").find(b"home")

    assert one is not None and one.uid == 8


def test_a_list_is_read_from_a_file(tmp_path: Path) -> None:
    """By its name, which messages have."""
    path = tmp_path / "l.mtree"
    path.write_text("./a uid=x\n")
    with pytest.raises(TreeError, match=f"{path}:1: the value 'x' of uid"):
        specification(bytes(path), FILES.get)
    with pytest.raises(SourceError, match="name an mtree"):
        specification(bytes(tmp_path), FILES.get)
    with pytest.raises(SourceError, match="no such name"):
        specification(b"a\0", FILES.get)


WORDS = [b"./a", b"b", b"..", b"/set", b"/unset", b"type=dir", b"uid=1", b" ", b"\n", b"\\", b"#",
         b"=", b"mode", b".", b"xattr.x=", b"\0", b"\xff"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=20))
def test_any_list_is_read_or_refused_with_its_line(words: list[bytes]) -> None:
    """And never fails otherwise."""
    try:
        listed(b" ".join(words)).tree()
    except (TreeError, ConfigError) as error:
        assert (
            str(error).startswith("l:")
            or "is not a directory" in str(error)
            or "root" in str(error)
        )


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="needs bsdtar")
def test_what_bsdtar_lists_is_what_is_on_disk(tmp_path: Path) -> None:
    """Every name that a file may have, and every kind."""
    root = tmp_path / "t"
    root.mkdir()
    names = ["a b", "a\tb", "a\nb", "a\\b", "a#b", "a=b", "a*?[", "é", "\x01", "#a", "type=dir"]
    for name in names:
        (root / name).write_bytes(b"")
        (root / name).chmod(0o640)
    (root / "d").mkdir(mode=0o711)
    (root / "d/l").symlink_to("../a b")
    os.mkfifo(root / "d/p", 0o600)
    data = subprocess.run(
        ["bsdtar", "-cf", "-", "--format=mtree", "."], cwd=root, check=True, capture_output=True
    ).stdout
    found = Specification(data, "l", FILES.get)

    for name in [*names, "d", "d/l", "d/p"]:
        one, status = found.find(name.encode()), (root / name).lstat()
        assert one is not None, name
        assert (one.kind, one.uid, one.gid) == (
            stat.S_IFMT(status.st_mode),
            status.st_uid,
            status.st_gid,
        )
        assert one.mode in (None, status.st_mode & 0o7777)
        assert one.mtime_ns == status.st_mtime_ns
    assert found.warnings == []
    link = found.find(b"d/l")
    assert link is not None and link.target == b"../a b"


def test_attributes_are_base64() -> None:
    """Of all bytes."""
    value = bytes(range(256))
    one = listed(f"./a xattr.user.k={base64.b64encode(value).decode()}").find(b"a")

    assert one is not None and one.xattrs == ((b"user.k", value),)
