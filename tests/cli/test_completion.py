"""What the scripts of the shells are answered; the shells themselves are in tests/interop."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from imgpack.cli.completion.shells import SHELLS, script
from imgpack.cli.completion.values import OFFERS
from tests.cli.test_habits import EVERY
from tests.cli_runner import Imgpack, InProcess
from tests.test_architecture import HEAVY


@pytest.fixture
def place(imgpack_here: InProcess, tmp_path: Path) -> Path:
    """An archive with two names, and things that are none."""
    (tmp_path / "t").mkdir()
    imgpack_here("build", "t", "-t", "localhost:5000/a:1", "-t", "b:2", "-o", "a.tar").ok()
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    (tmp_path / "link.tar").symlink_to("nothing")
    return tmp_path


def asked(place: Path, *words: str, shell: str = "zsh") -> list[str]:
    """The kind, and the whole words that the last of ``words`` may become."""
    done = Imgpack(place)(*words, env={"_IMGPACK_COMPLETE": f"{shell}_complete"})
    assert done.err == ""
    return [line.partition("\t")[0] for line in done.ok().decode().splitlines()]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["ins"], ["plain", "inspect"]),
        (["build", "--form"], ["plain", "--format"]),
        (["build", "--format", "o"], ["plain", "oci"]),
        (["build", "--format=o"], ["plain", "--format=oci"]),
        (["build", "--tls-verify", "f"], ["plain", "false"]),
        (["build", "x"], ["file"]),
        (["build", "--cache-dir", ""], ["dir"]),
        (["build", "--nothing-like-it"], ["plain"]),
        (["build", "--nothing-like-it", ""], ["file"]),
        (["build", "--label", "a"], ["file"]),
        (["build", "--", "-x"], ["file"]),
        (["base", "l"], ["plain", "lock"]),
        (["nothing", "x"], ["file"]),
        (["push", "a.tar", ""], ["plain", "localhost:5000/a:1", "b:2"]),
        (["push", "broken.tar", ""], ["file"]),
        (["push", "link.tar", ""], ["file"]),
        (["push", "localhost:1/x", ""], ["file"]),
        (["inspect", "--image", "b"], ["plain", "b:2"]),
        (["inspect", "a.tar", "--image", "b"], ["plain", "b:2"]),
        (["build", "--from", "a.tar:"], ["plain", "a.tar:localhost:5000/a:1", "a.tar:b:2"]),
        (["inspect", "a.tar:b"], ["plain", "a.tar:b:2"]),
        (["copy", "./a.tar:b"], ["plain", "./a.tar:b:2"]),
        (["build", "--from=a.tar:b"], ["plain", "--from=a.tar:b:2"]),
        (["build", "--from", "localhost:1/"], ["file"]),
        (["build", "--from", "s"], ["file"]),
        (["build", "--from", "sc"], ["plain", "scratch"]),
        (["verify", "--ignore", "owner,m"], ["plain", "owner,mode", "owner,mtime"]),
        (["diff", "--only", "h"], ["plain", "history"]),
        (["lint", "--ignore", "user-unk"], ["plain", "user-unknown"]),
        (["help", "base", "u"], ["plain", "update"]),
        (["help", "exit"], ["plain", "exit-codes"]),
    ],
)
def test_what_is_known_is_offered(place: Path, words: list[str], answer: list[str]) -> None:
    """And the rest left to the shell, which had offered files."""
    assert asked(place, *words) == answer


@pytest.fixture
def rooted(imgpack_here: InProcess, tmp_path: Path) -> Path:
    """An archive and a layout with some files, and a link to a directory."""
    (tmp_path / "t/usr/bin").mkdir(parents=True)
    (tmp_path / "t/bin").symlink_to("usr/bin")
    for name in ("sh", "sed", "a b", "x;y", "new\nline"):
        (tmp_path / "t/usr/bin" / name).touch()
    imgpack_here("build", "t", "-t", "a:1", "-o", "a.tar").ok()
    imgpack_here("copy", "a.tar", "lay/").ok()
    imgpack_here("base", "lock", "a.tar", "-o", "a.lock").ok()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["ls", "a.tar", ""], ["plain", "/bin", "/usr/"]),
        (["ls", "a.tar", "/u"], ["plain", "/usr/"]),
        (["ls", "a.tar:a:1", "u"], ["plain", "usr/"]),
        (["ls", "lay", "/usr/bin/"], ["plain", "/usr/bin/sed", "/usr/bin/sh"]),
        (["cat", "a.lock", "/bin/sh", "/bin/s"], ["plain", "/bin/sed", "/bin/sh"]),
        (["extract", "a.tar", "out", "//usr/b"], ["plain", "//usr/bin/"]),
        (["export", "lay:a:1", "usr/bin/../"], ["plain", "usr/bin/../bin/"]),
        (["diff", "a.tar", "lay", "--path", "/u"], ["plain", "/usr/"]),
        (["diff", "a.tar", "lay", "--path=/u"], ["plain", "--path=/usr/"]),
        (["diff", "--path", "/u"], ["file"]),
        (["ls", "a.tar", "/none/"], ["file"]),
        (["ls", "a.tar:b:2", "/"], ["file"]),
        (["ls", "none.tar", "/"], ["file"]),
        (["ls", "localhost:1/x", "/"], ["file"]),
    ],
)
def test_paths_inside_of_an_image_are_offered(
    rooted: Path, words: list[str], answer: list[str]
) -> None:
    """Links followed; but names that a shell would take apart are left out."""
    assert asked(rooted, *words) == answer


def test_a_large_image_offers_what_is_remembered_of_it(rooted: Path) -> None:
    """And nothing is remembered by asking, or read of what is too large."""
    (rooted / "t/large").write_bytes(random.Random(1).randbytes(9 << 20))
    imgpack = Imgpack(rooted)
    imgpack("build", "t", "-o", "large.tar").ok()
    assert asked(rooted, "ls", "large.tar", "--cache-dir", "c", "/l") == ["file"]
    assert not (rooted / "c").exists()
    imgpack("ls", "large.tar", "--cache-dir", "c").ok()
    assert asked(rooted, "ls", "large.tar", "--cache-dir", "c", "/l") == ["plain", "/large"]
    assert asked(rooted, "ls", "large.tar", "--no-cache", "/l") == ["file"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["build", ""], ["file", "web", "api"]),
        (["build", "w"], ["file", "web"]),
        (["build", "web", ""], ["file", "web", "api"]),
        (["build", "-f", "other.toml", ""], ["file", "tool"]),
        (["build", "-f", "wrong.toml", ""], ["file"]),
        (["build", "./"], ["file"]),
        (["push", "a"], ["file", "api"]),
        (["push", "web", "a"], ["plain", "api"]),
        (["push", "a.tar", ""], ["plain", "localhost:5000/a:1", "b:2"]),
        (["inspect", "w"], ["file"]),
    ],
)
def test_images_of_the_file_are_offered(place: Path, words: list[str], answer: list[str]) -> None:
    """Beside files, where both may be meant; a file that is wrong has none."""
    (place / "imgpack.toml").write_text("[image.web]\n[image.api]\n")
    (place / "other.toml").write_text("[image.tool]\n")
    (place / "wrong.toml").write_text("[image.tool\n")
    assert asked(place, *words) == answer


def test_bash_hands_words_over_as_they_are_written(place: Path) -> None:
    """With quotes and backslashes, of which one may be open."""
    (place / "a.tar").rename(place / "it's a.tar")
    for word in ("it\\'s\\ a.tar", '"it\'s a.tar"', "it\\'s' a.tar'"):
        assert asked(place, "push", word, "b", shell="bash") == ["plain", "b:2"]
    assert asked(place, "build", "--format", '"o', shell="bash") == ["plain", "oci"]
    assert asked(place, "build", "--format", "'o", shell="fish") == ["file"]


def test_every_value_that_is_offered_is_of_an_option() -> None:
    """The table has the names of parameters."""
    names = {one.name for command in EVERY.values() for one in command.params}
    assert set(OFFERS) <= names


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_is_printed(imgpack_here: InProcess, shell: str) -> None:
    """By a command, and by what click has for it, which older start-up files call."""
    printed = imgpack_here("completion", shell).ok().decode()
    assert printed == script(shell)
    done = Imgpack(imgpack_here.directory)(env={"_IMGPACK_COMPLETE": f"{shell}_source"})
    assert done.ok().decode() == printed
    assert "is not one of" in imgpack_here("completion", "csh").failed(2)


def test_the_script_for_bash_is_one() -> None:
    """As bash itself says."""
    done = subprocess.run(["bash", "-n"], input=script("bash").encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", [[""], ["in"], ["push", "--for"], ["build", "--format", ""]])
def test_completion_loads_only_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Somebody waits for it: no codec and no network, and for a command's name no command."""
    monkeypatch.setenv("_IMGPACK_COMPLETE", "zsh_complete")
    command = [sys.executable, "-X", "importtime", "-m", "imgpack", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    if len(words) == 1:
        assert not any(name.startswith("imgpack.cli.commands") for name in loaded)
