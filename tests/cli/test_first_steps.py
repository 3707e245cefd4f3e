"""What somebody who does not know ``imgpack`` types first, and what is said to it."""

from pathlib import Path

import pytest

from tests.cli_runner import InProcess
from tests.tree.test_elf import elf


@pytest.fixture
def here(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, where ``base.tar`` is a base, ``base.lock`` its lock, ``app`` a tree."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text("www:x:5:6::/:/bin/sh\n")
    imgpack_here("build", "root", "-o", "base.tar", "-t", "base:1").ok()
    imgpack_here("base", "lock", "base.tar", "-o", "base.lock").ok()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "run").write_text("run")
    return imgpack_here


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-e", "A=1"], "nothing goes into the image; name a directory, or a base with --from"),
        (["--squash"], "nothing goes into the image"),
        (["--dry-run"], "nothing goes into the image"),
        (["--from", "", "app"], "--from is empty; name the image to build on, or leave it out"),
        (["--diff-from", "", "app"], "--diff-from is empty"),
    ],
)
def test_an_image_of_nothing_is_refused(
    here: InProcess, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    """Also where it is said what the image is called, and what it is to say."""
    assert problem in here("build", *arguments, "-o", "x.tar").failed(2)
    assert not (tmp_path / "x.tar").exists()


@pytest.fixture
def several(here: InProcess, tmp_path: Path) -> InProcess:
    """The same with an archive and a layout of several images, two of which have one tag."""
    for name, text in (("srv:1", "1"), ("other:1", "2"), ("1:latest", "3")):
        (tmp_path / "root" / "etc" / "version").write_text(text)
        here("build", "root", "-o", "several/", "-t", name).ok()
    here("copy", "several/", "several.tar").ok()
    return here


@pytest.mark.parametrize("path", ["several.tar", "./several.tar", "several", "several/"])
def test_an_image_of_several_is_chosen_by_its_name(several: InProcess, path: str) -> None:
    """Wherever a base is named, and however the path is written; a name wins over a tag."""
    build = ("build", "app", "-o", "x.tar")
    line = several(*build, "--from", path).failed(25)
    assert f"choose one of {path}:srv:1, {path}:other:1, {path}:1:latest" in line
    several(*build, "--from", f"{path}:srv:1").ok()
    several(*build, "--from", f"{path}:1").ok()
    several(*build, "--diff-from", f"{path}:other:1").ok()
    several("base", "lock", f"{path}:srv:1", "-o", "srv.lock").ok()
    several("base", "update", "srv.lock", "--check").ok()
    several("base", "fetch", f"{path}:srv:1", "--cache-dir", "cache").ok()
    several("build", "app", "-o", "l.tar", "--from", "srv.lock", "--cache-dir", "cache").ok()
    several("rebase", "l.tar", "--from", f"{path}:srv:1", "--onto", f"{path}:1", "-o", "y.tar").ok()
    several("flatten", "y.tar", "--above", f"{path}:1", "-o", "z.tar").ok()


@pytest.mark.parametrize(
    ("arguments", "output", "problem"),
    [
        (["--from", "base.tar"], "base.tar", "the output base.tar is the base: base.tar"),
        (["--from", "base.tar:base:1"], "link.tar", "the output link.tar is the base: base.tar"),
        (["--diff-from", "base.tar"], "./base.tar", "the output ./base.tar is the base"),
        (["--from", "base.lock"], "base.lock", "the output base.lock is the base: base.lock"),
        (["--from", "base.lock", "--base-layers", "base.tar"], "base.tar", "holds layers of the"),
        (["--from", "several"], "several/index.json", "is the base: several"),
    ],
)
def test_a_build_does_not_replace_what_it_reads(
    several: InProcess, tmp_path: Path, arguments: list[str], output: str, problem: str
) -> None:
    """By whatever path; nor does it write what it did over it."""
    (tmp_path / "link.tar").symlink_to("base.tar")
    before = (tmp_path / output).read_bytes()
    build = ("build", *arguments, "app")
    assert problem in several(*build, "-o", output).failed(14)
    line = several(*build, "-o", "x.tar", "--metadata-file", output).failed(14)
    assert "the metadata file" in line
    assert (tmp_path / output).read_bytes() == before


def test_an_image_goes_into_the_layout_of_its_base(several: InProcess) -> None:
    """It takes nothing away there."""
    before = several("manifest", "several", "--image", "srv:1").ok()
    several("build", "--from", "several:srv:1", "app", "-o", "several/", "-t", "new:1").ok()

    assert several("manifest", "several", "--image", "srv:1").ok() == before
    assert several("manifest", "several", "--image", "new:1").ok() != before


def test_a_lock_replaces_nothing_but_a_lock(here: InProcess, tmp_path: Path) -> None:
    """An empty file is as good as none."""
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "empty").touch()
    lock = ("base", "lock", "base.tar", "-o")
    line = here(*lock, "package.json").failed(14)
    assert "package.json is there, and is no lock" in line
    assert (tmp_path / "package.json").read_text() == "{}"
    assert here(*lock, "./").failed(14).endswith("; name a file")
    here(*lock, "base.lock").ok()
    here(*lock, "empty").ok()


def test_a_lock_is_not_pushed(here: InProcess) -> None:
    """A base would move its own tag back."""
    line = here("push", "base.lock", "127.0.0.1:1/base:1").failed(9)
    assert "base.lock is the lock of a base; push the image that is built on it" in line


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (["base.tar"], "base.tar is an image, and is packed as files; --from base.tar builds on"),
        (["several"], "several is an image"),
        (["several.tar:/x"], "several.tar is an image"),
        (["base.lock"], "base.lock is the lock of a base, and is packed as files; --from base"),
        (["--raw-layer", "base.tar"], "base.tar is an image"),
        (["--diff", "base.tar", "root"], "--diff-from base.tar builds on it"),
    ],
)
def test_an_image_among_the_sources_is_told(
    several: InProcess, arguments: list[str], warning: str
) -> None:
    """It is packed all the same."""
    done = several("build", *arguments, "-o", "x.tar", "-t", "x:1")
    done.ok()
    assert warning in done.err


def test_files_that_look_like_an_image_are_no_image(here: InProcess, tmp_path: Path) -> None:
    """As the manifest of a web application."""
    (tmp_path / "app" / "manifest.json").write_text("{}")
    (tmp_path / "app" / "index.json").write_text("{}")
    done = here("build", "app", "app/index.json:/x", "-o", "x.tar")
    done.ok()
    assert "warning" not in done.err


def test_a_platform_behind_a_blank_is_no_source(here: InProcess) -> None:
    """Several are one word."""
    line = here("build", "--platform", "linux/amd64", "linux/arm64", "app:/app").failed(3)
    assert line.endswith("; several platforms are one word: --platform OS/ARCH,linux/arm64")


def test_the_name_of_an_image_is_no_source(here: InProcess) -> None:
    """Nor is what is not there a name, if it looks like a path."""
    line = here("build", "debian:12", "app:/app").failed(3)
    assert "debian does not exist; name a directory" in line
    assert line.endswith("; --from debian:12 builds on the image")
    assert "--from" not in here("build", "./debian", "-o", "x.tar").failed(3)
    assert "--from" not in here("build", "debian:/app", "-o", "x.tar").failed(3)


@pytest.mark.parametrize(
    "source", [["server"], ["server:/opt/server"], ["bin:/srv", "--entrypoint", "/srv/server"]]
)
def test_a_program_for_another_machine_is_told(
    here: InProcess, tmp_path: Path, source: list[str]
) -> None:
    """Whether the base or an option says what the image is for; and nobody else is asked."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "server").write_bytes(elf(62))
    (tmp_path / "server").write_bytes(elf(62))
    here("build", "root", "-o", "arm.tar", "--platform", "linux/arm64").ok()
    for where in ("--from", "arm.tar"), ("--platform", "linux/arm64"):
        done = here("build", *source, *where, "-o", "x.tar")
        done.ok()
        assert "is a program for linux/amd64, and the image is for linux/arm64" in done.err
    assert "warning" not in here("build", *source, "-o", "x.tar", "-t", "x").err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--from", "base.tar", "--from", "base.lock"], "--from is given 2 times; an image has"),
        (["--platform", "linux/amd64", "--platform", "linux/amd64"], "linux/amd64 is given twice"),
        (["-o", "a.tar", "-o", "b.tar"], "-o is given 2 times"),
    ],
)
def test_what_there_can_be_one_of_is_not_given_twice(
    here: InProcess, arguments: list[str], problem: str
) -> None:
    """Else the last would be taken without a word."""
    assert problem in here("build", "app", *arguments).failed(2)


def test_the_directory_one_is_in_is_built_into_another(
    here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told which, where the archive would lie in it."""
    inside = InProcess(tmp_path / "app", monkeypatch)
    line = inside("build", ".").failed(14)
    assert "the output app.tar lies inside the source" in line
    assert line.endswith("; write it elsewhere, as -o ../app.tar")
    inside("build", ".", "-o", "../app.tar").ok()
    assert here("build", "app", "-o", "app/").failed(14).endswith("; choose another place")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["app", "--shallow"], "--shallow is about a base image; add --from BASE"),
        (["app", "--from", "scratch", "--base-layers", "x"], "--base-layers is about a base"),
        (["app", "--keep-identical"], "--keep-identical is about a base; add --from BASE"),
        (["app", "--whiteout", "/etc"], "--whiteout deletes what a base has, and there is none"),
        (["--from", "base.tar", "--exclude", "x"], "--exclude is about what a SRC has"),
        (["--from", "base.tar", "--chown", "1:1"], "--chown is about what a SRC has"),
        (["--from", "base.tar", "--split", "a=b"], "--split is about what a SRC has"),
        (["--from", "base.tar", "-", "--whiteout", "-"], "- and --whiteout - both read standard"),
        (["--from", "-", "-:/x"], "both read standard input; let one read a file"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    here: InProcess, arguments: list[str], problem: str
) -> None:
    """Not passed over: whoever gives it expects something."""
    assert problem in here("build", *arguments, "-o", "x.tar").failed(2)


def test_no_base_at_all_is_neither_locked_nor_fetched(here: InProcess) -> None:
    """Nor asked for; and nothing is fetched without a place for it."""
    for command in ("lock", "scratch", "-o", "x.lock"), ("fetch", "scratch"):
        assert "scratch is no base at all; name an image" in here("base", *command).failed(2)
    line = here("base", "fetch", "base.lock", "--no-cache").failed(9)
    assert "there is none; leave out --no-cache" in line


def test_an_exclude_that_decides_nothing_is_told(here: InProcess, tmp_path: Path) -> None:
    """One of a typing error would let the secret in; what one source of several has is enough."""
    (tmp_path / "app" / "secret").write_text("x")
    for more in (), ("--dry-run",), ("--split", "a=run"):
        command = ("build", "app", "root", "-o", "x.tar", "--exclude", "'secret'", *more)
        done = here(*command, "--exclude", "secret", "--explain")
        done.ok()
        warned = [line for line in done.err.splitlines() if "warning" in line]
        assert warned == [
            """imgpack: warning: --exclude "'secret'" decides nothing: it is of paths in SRC"""
        ]
        assert done.err.count("left out 1 path\n") == 1


def test_the_patterns_of_a_layer_are_of_paths_in_the_source(here: InProcess) -> None:
    """So it is said where none matches."""
    build = ("build", "app:/opt", "-o", "x.tar", "--split")
    line = here(*build, "a=opt/run").failed(7)
    assert line.endswith("; correct them, which are of paths in the source, or leave it out")
    assert "'a=' has an empty pattern; say what is in the layer" in here(*build, "a=").failed(7)


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        ("dir:several", "name the path alone, as several"),
        ("oci:several:srv:1", "name the path alone, as several:srv:1"),
        ("docker-archive:none.tar", "name the path alone, as none.tar"),
        ("docker-daemon:debian:12", "save it to an archive first"),
    ],
)
def test_how_skopeo_names_places_is_told(several: InProcess, place: str, hint: str) -> None:
    """With what is written here."""
    for command in ("build", "--from", place, "app", "-o", "x.tar"), ("inspect", place):
        line = several(*command).failed(6)
        assert "begins as skopeo's names of places do" in line
        assert hint in line


def test_a_date_is_a_time(here: InProcess, tmp_path: Path) -> None:
    """Its midnight in UTC; what is none is told once."""
    build = ("build", "app", "-o", "x.tar", "--mtime")
    here(*build, "2020-01-01", "--created", "2020-01-01").ok()
    dated = (tmp_path / "x.tar").read_bytes()
    here(*build, "run=2020-01-01T00:00:00Z", "--mtime", "2020-01-01T00:00:00Z").ok()
    assert (tmp_path / "x.tar").read_bytes() == dated
    for text in "2020-13-01", "run=2020-13-01":
        assert (
            here(*build, text)
            .failed(7)
            .startswith("imgpack: error: --mtime '2020-13-01' is not a time; write RFC 3339")
        )


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["build", "https://x/a.tar"], 2, "is a URL, and none is fetched; pipe it: curl -L URL |"),
        (["build", "--raw-layer", "app"], 11, "app is a directory; name a tar file"),
        (["build", "short.tar"], 11, "short.tar: it is not a tar archive: it has only 2 bytes"),
        (["build", "--from", "short.tar", "app"], 11, "short.tar is not a tar archive"),
        (["build", "--from", "torn.lock", "app"], 10, "torn.lock: it has the marks of a merge"),
        (["build", "--form", "x", "app"], 2, "no option --form; did you mean --from?"),
        (["build", "--lock", "x", "app"], 2, "--from LOCK builds on what is locked"),
        (["build", "--env-file", "x", "app"], 2, "-e NAME=VALUE sets a variable"),
        (["build", "--delete", "x", "app"], 2, "--whiteout PATH deletes"),
        (["build", "--ignore", "x", "app"], 2, "--ignore-file FILE"),
        (["lock", "x"], 2, "write: imgpack base lock BASE -o base.lock"),
        (
            ["build", "--from", "base.lock", "app"],
            9,
            "which is enough for imgpack push",
        ),
    ],
)
def test_what_others_call_otherwise_is_told(
    here: InProcess, tmp_path: Path, arguments: list[str], code: int, problem: str
) -> None:
    """With what it is called here, or what it is."""
    (tmp_path / "short.tar").write_text("1\n")
    torn = (tmp_path / "base.lock").read_text().replace("\n", "\n<<<<<<< HEAD\n", 1)
    (tmp_path / "torn.lock").write_text(torn)
    assert problem in here(*arguments, "-o", "x.tar").failed(code)


def test_the_help_of_a_build_has_headings(here: InProcess) -> None:
    """Each option is under one; those of every command are the others."""
    text = here("build", "--help").ok().decode()
    headings = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert (headings[0], headings[-1], len(headings)) == ("Output:", "Other options:", 12)
    others = text[text.index("Other options:") :].split()
    names = [word for word in others if word.startswith("--")]
    assert names == ["--quiet", "--verbose", "--progress", "--help"]
