"""``imgpack build`` with the options that say what shape the layers have."""

import os
from pathlib import Path

import pytest

from tests.cli.test_build import archive
from tests.cli_runner import InProcess


def fill(root: Path, *paths: str, text: str = "1") -> Path:
    """A tree of files, all of one time."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def layers(path: Path) -> list[list[str]]:
    """The names in each layer of an archive, bottom first."""
    found = archive(path)
    names = []
    for number in range(len(found.manifest["layers"])):
        with found.layer(number) as layer:
            names.append(layer.getnames())
    return names


def test_a_difference_is_one_layer(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Of what changed, with deletions first; the old tree is no layer."""
    fill(tmp_path / "old", "etc/same", "etc/gone", "etc/kept", "usr/old/a")
    fill(tmp_path / "new", "etc/same", "etc/new", "etc/kept")
    fill(tmp_path / "new", "etc/kept", text="2")

    imgpack_here("build", "--diff", "old", "new", "-o", "out.tar").ok()

    assert layers(tmp_path / "out.tar") == [
        [".wh.usr", "etc", "etc/.wh.gone", "etc/kept", "etc/new"],
    ]  # fmt: skip


def test_how_many_paths_differ_is_told(imgpack_here: InProcess, tmp_path: Path) -> None:
    """In one line; that of a build says it, whoever reads the trees before."""
    fill(tmp_path / "old", "etc/same", "etc/kept", "usr/old/a")
    fill(tmp_path / "new", "etc/same", "etc/new", "etc/kept")
    fill(tmp_path / "new", "etc/kept", text="2")
    imgpack_here("build", "old", "-o", "base.tar").ok()

    for options in (("--diff", "old"), ("--diff-from", "base.tar")):
        for more in ((), ("--dry-run",)):
            done = imgpack_here("build", *options, "new", "-o", "out.tar", *more)
            assert done.ok() is not None
            assert done.err.splitlines() == ["imgpack: new: 1 added, 1 changed, 3 deleted"]
        assert imgpack_here("build", *options, "new", "-o", "out.tar", "--quiet").err == ""


@pytest.mark.parametrize(
    "arguments", [("--diff", "a", "a"), ("--diff-from", "base.tar", "a"), ("a", "--exclude", "*")]
)
def test_an_empty_layer_is_told(
    imgpack_here: InProcess, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Whatever left nothing for it."""
    fill(tmp_path, "a/f")
    imgpack_here("build", "a", "-o", "base.tar").ok()

    done = imgpack_here("build", *arguments, "-o", "out.tar")

    assert "imgpack: warning: the layer of a is empty" in done.err, done


def test_what_is_left_out_of_the_new_tree_is_left_out_of_the_old(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Else a pattern would delete what it matches; owners are compared as they are written."""
    fill(tmp_path / "old", "a", "b.log")
    fill(tmp_path / "new", "a", "c", "d.log")

    imgpack_here(
        "build", "--diff", "old", "new", "--exclude", "*.log", "--owner", "7:7", "-o", "out.tar"
    ).ok()

    assert layers(tmp_path / "out.tar") == [["c"]]


def test_a_rule_may_be_for_what_is_the_same(imgpack_here: InProcess, tmp_path: Path) -> None:
    """It is applied to it, old and new, though nothing of it is in the layer."""
    fill(tmp_path / "old", "a", "b")
    fill(tmp_path / "new", "a", "c")
    command = ("build", "--diff", "old", "new", "-o", "out.tar", "--chmod")

    imgpack_here(*command, "a=0600").ok()
    assert layers(tmp_path / "out.tar") == [[".wh.b", "c"]]
    assert "nothing that it could change matches" in imgpack_here(*command, "z=0600").failed(7)


def test_a_time_alone_is_packed_on_request(imgpack_here: InProcess, tmp_path: Path) -> None:
    """By whole seconds."""
    fill(tmp_path / "old", "a")
    fill(tmp_path / "new", "a")
    os.utime(tmp_path / "new/a", (5, 5))

    imgpack_here("build", "--diff", "old", "new", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar") == [[]]
    imgpack_here("build", "--diff", "old", "new", "--diff-mtime", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar") == [["a"]]


def test_an_output_in_the_old_tree_is_refused(imgpack_here: InProcess, tmp_path: Path) -> None:
    """It would change while it is read."""
    fill(tmp_path / "old", "a")
    fill(tmp_path / "new", "a")

    line = imgpack_here("build", "--diff", "old", "new", "-o", "old/out.tar").failed(14)

    assert "lies inside the source" in line


def test_an_upper_directory_lies_on_top(imgpack_here: InProcess, tmp_path: Path) -> None:
    """With deletions of what the sources have; those of nothing are not written."""
    fill(tmp_path / "src", "etc/a", "etc/b", "opt/x/old")
    fill(tmp_path / "up", "etc/.wh.a", "etc/.wh.nothing", "opt/x/new", text="")
    os.setxattr(tmp_path / "up/opt/x", "user.overlay.opaque", b"y")

    imgpack_here("build", "src", "--overlay-upper", "up", "-o", "out.tar").ok()

    assert layers(tmp_path / "out.tar")[1] == [
        "etc", "etc/.wh.a", "opt", "opt/x", "opt/x/.wh.old", "opt/x/new",
    ]  # fmt: skip


def test_parts_are_layers_in_the_order_given(imgpack_here: InProcess, tmp_path: Path) -> None:
    """The rest is on top; a change in it is none in the others."""
    fill(tmp_path / "app", "main", "deps/a", "static/b")
    command = (
        "build", "app", "--split", "deps=deps", "--split", "static=static",
        "-o", "out.tar", "--explain", "--cache-dir", "cache",
    )  # fmt: skip

    imgpack_here(*command).ok()
    assert layers(tmp_path / "out.tar") == [["deps", "deps/a"], ["static", "static/b"], ["main"]]
    assert archive(tmp_path / "out.tar").history() == [
        "COPY deps /", "COPY static /", "COPY . /",
    ]  # fmt: skip
    fill(tmp_path / "app", "main", text="22")
    deps, static, rest = imgpack_here(*command).err.split("layer ")[1:]

    assert "main: changed" in rest
    assert "main" not in deps + static


def test_squash_makes_one_layer(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Upper trees win, through the links of lower ones, and what is deleted is not there."""
    fill(tmp_path / "one", "usr/lib/a", "etc/gone")
    (tmp_path / "one/lib").symlink_to("usr/lib")
    fill(tmp_path / "two", "lib/a", text="2")
    fill(tmp_path / "up", "etc/.wh.gone", text="")

    imgpack_here("build", "one", "two", "--overlay-upper", "up", "--squash", "-o", "out.tar").ok()

    assert layers(tmp_path / "out.tar") == [["etc", "lib", "usr", "usr/lib", "usr/lib/a"]]
    with archive(tmp_path / "out.tar").layer() as layer:
        content = layer.extractfile("usr/lib/a")
        assert content is not None
        assert content.read() == b"2"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--diff", "a"), "a difference is to one SRC, and there are 0"),
        (("a", "b", "--diff", "a"), "a difference is to one SRC, and there are 2"),
        (("a", "--diff-mtime"), "--diff-mtime is for --diff and --diff-from"),
        (("a", "--diff", "a", "--diff-from", "b"), "--diff and --diff-from exclude each other"),
        (("a", "--split", "x=y", "--squash"), "--split does not go with --squash"),
        (("a", "--from", "x", "--diff-from", "y"), "--from and --diff-from exclude each other"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    imgpack_here: InProcess, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Before anything is read."""
    fill(tmp_path, "a/f", "b/f")

    assert told in imgpack_here("build", *arguments, "-o", "out.tar").failed(2)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--split", "x=nothing"), 7, "nothing is in the layer x"),
        (("--split", "x"), 7, "--split: 'x' names no layer and its patterns"),
        (("--whiteout", "/"), 5, "--whiteout: '/' cannot be deleted"),
        (("--whiteout", "/gone"), 5, "/gone is to be deleted, and no lower layer has it"),
        (("--whiteout", "/f*"), 5, "or correct the path; it is one path, and no pattern"),
    ],
)
def test_what_would_do_nothing_is_refused(
    imgpack_here: InProcess, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """By name."""
    fill(tmp_path, "a/f")
    imgpack_here("build", "a", "-o", "base.tar").ok()
    command = ("build", "--from", "base.tar", "a", *arguments, "-o", "out.tar")

    assert told in imgpack_here(*command).failed(code)


@pytest.mark.parametrize("listed", [b"", b"\n", b"\0"])
def test_an_empty_list_of_paths_to_delete_is_refused(
    imgpack_here: InProcess, tmp_path: Path, listed: bytes
) -> None:
    """What made it failed, most likely."""
    fill(tmp_path, "a/f")
    imgpack_here("build", "a", "-o", "base.tar").ok()
    done = imgpack_here(
        "build", "--from", "base.tar", "--whiteout", "-", "-o", "out.tar", stdin=listed
    )
    assert "--whiteout: the list on standard input is empty" in done.failed(5)


@pytest.mark.parametrize("listed", [b"f\n/x y\n\n", b"f\0/x y\0"])
def test_paths_to_delete_come_from_a_list(
    imgpack_here: InProcess, tmp_path: Path, listed: bytes
) -> None:
    """A line each, or each with a NUL behind it."""
    fill(tmp_path, "a/f", "b/x")
    imgpack_here("build", "b", "-o", "base.tar").ok()
    command = ("build", "--from", "base.tar", "a", "--whiteout", "-", "-o", "out.tar")

    line = imgpack_here(*command, stdin=listed).failed(5)

    assert "/f is to be deleted, and no lower layer has it" in line


def test_a_difference_to_a_base_lies_on_it(imgpack_here: InProcess, tmp_path: Path) -> None:
    """A file that the base has just so is not packed, and what is gone is deleted."""
    fill(tmp_path / "old", "etc/same", "etc/gone", "etc/kept")
    fill(tmp_path / "new", "etc/same", "etc/new")
    fill(tmp_path / "new", "etc/kept", text="2")
    (tmp_path / "old/etc/link").hardlink_to(tmp_path / "old/etc/same")
    (tmp_path / "new/etc/link").hardlink_to(tmp_path / "new/etc/same")
    imgpack_here("build", "old", "-o", "base.tar").ok()

    imgpack_here("build", "--diff-from", "base.tar", "new", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1:] == [["etc", "etc/.wh.gone", "etc/kept", "etc/new"]]

    os.link(tmp_path / "new/etc/same", tmp_path / "new/etc/third")
    imgpack_here("build", "--diff-from", "base.tar", "new", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1][-3:] == ["etc/new", "etc/same", "etc/third"]


def test_paths_of_a_base_are_deleted(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Through its links, with the directories on the way as it has them; or in one layer."""
    fill(tmp_path / "old", "usr/lib/a", "usr/lib/b", "etc/x")
    (tmp_path / "old/lib").symlink_to("usr/lib")
    (tmp_path / "old/usr").chmod(0o700)
    fill(tmp_path / "app", "etc/x", text="2")
    imgpack_here("build", "old", "-o", "base.tar").ok()
    command = ("build", "--from", "base.tar", "--whiteout", "/lib/a", "--whiteout", "etc/x")

    imgpack_here(*command, "app", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1:] == [
        ["etc", "etc/.wh.x", "usr", "usr/lib", "usr/lib/.wh.a"], ["etc", "etc/x"],
    ]  # fmt: skip
    with archive(tmp_path / "out.tar").layer(1) as layer:
        assert layer.getmember("usr").mode == 0o700

    imgpack_here(*command, "app", "--squash", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1:] == [["etc", "etc/x", "usr", "usr/lib", "usr/lib/.wh.a"]]


def test_a_list_says_nothing_of_deletions(imgpack_here: InProcess, tmp_path: Path) -> None:
    """They are no entries: they neither become files nor are they left out."""
    fill(tmp_path / "old", "etc/x", "etc/y")
    fill(tmp_path / "app", "z")
    (tmp_path / "list").write_text("#mtree\n./etc/x type=file size=0 mode=0600\n./z mode=0600\n")
    imgpack_here("build", "old", "-o", "base.tar").ok()
    command = ("build", "--from", "base.tar", "--whiteout", "etc/x", "app", "--mtree", "list")

    imgpack_here(*command, "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1:] == [["etc", "etc/.wh.x"], ["etc", "etc/x", "z"]]

    imgpack_here(*command, "--mtree-only", "-o", "out.tar").ok()
    assert layers(tmp_path / "out.tar")[1] == ["etc", "etc/.wh.x"]


def test_what_two_paths_name_is_deleted_once(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Through a link, or in what is deleted as a whole; the time is then the base's."""
    fill(tmp_path / "old", "p/q/x", "p/q/y")
    (tmp_path / "old/link").symlink_to("p/q")
    imgpack_here("build", "old", "-o", "base.tar", "--created", "2020-01-02T03:04:05Z").ok()
    command = ("build", "--from", "base.tar", "-o", "out.tar", "--whiteout", "link/x")

    imgpack_here(*command, "--whiteout", "p/q/x").ok()
    assert layers(tmp_path / "out.tar")[1] == ["p", "p/q", "p/q/.wh.x"]
    imgpack_here(*command, "--whiteout", "p/q").ok()
    assert layers(tmp_path / "out.tar")[1] == ["p", "p/.wh.q"]
    assert archive(tmp_path / "out.tar").config["created"] == "2020-01-02T03:04:05Z"


def test_a_dry_run_shows_the_layers(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Deletions, parts and differences, and the names of the base's users."""
    fill(tmp_path / "old", "etc/passwd", "gone", text="app:x:5:5::/:/\n")
    fill(tmp_path / "new", "etc/passwd", text="app:x:5:5::/:/\n")
    fill(tmp_path / "app", "a", "b")
    imgpack_here("build", "old", "-o", "base.tar").ok()

    def shown(*arguments: str) -> list[list[str]]:
        out = imgpack_here("build", *arguments, "--dry-run").ok().decode()
        return [[line.split()[0], line.split()[-1]] for line in out.splitlines() if ":" in line]

    lines = shown(
        "app", "--from", "base.tar", "--chown", "app", "--whiteout", "gone", "--split", "x=b"
    )
    assert [first for first, _ in lines if first not in ("layer", "in")] == [
        "deletion", "file", "file",
    ]  # fmt: skip
    assert ["file", "/b"] in lines
    assert ["deletion", "/gone"] in shown("--diff", "old", "new")
    assert ["deletion", "/gone"] in shown("--diff-from", "base.tar", "new")
    assert not (tmp_path / "app.tar").exists()
