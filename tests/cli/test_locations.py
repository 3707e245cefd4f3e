"""One rule for all commands that take an image: what is a path, and what ``PATH:NAME`` is."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from imgpack import errors
from imgpack.cli.main import COMMANDS
from imgpack.image.location import perhaps_a_file, split_name
from tests.cli_runner import InProcess

LOOKING = [
    "inspect IMAGE",
    "inspect --html page.html IMAGE",
    "ls IMAGE",
    "cat IMAGE /file",
    "history IMAGE",
    "du IMAGE",
    "extract IMAGE out",
    "export IMAGE -o out.tar",
    "diff IMAGE IMAGE",
    "verify IMAGE",
    "lint --fail-on never IMAGE",
    "digest IMAGE",
    "manifest IMAGE",
    "copy IMAGE out.tar",
    "base lock IMAGE -o out.lock",
    "build more --from IMAGE -o out.tar",
    "index create -o out.tar -t new:1 --add IMAGE",
    "flatten IMAGE -o out.tar",
    "rebase IMAGE --from IMAGE --onto IMAGE -o out.tar",
    "config IMAGE -e B=1 -o out.tar",
    "annotate IMAGE --annotation a=b -o out.tar",
    "append IMAGE more -o out.tar",
    "recompress IMAGE --compression none -o out.tar",
]
"""A line for each command that reads an image anywhere."""
IN_PLACE = [
    "config IMAGE -e B=1 --in-place",
    "annotate IMAGE --annotation a=b --in-place",
    "append IMAGE more --in-place",
    "recompress IMAGE --compression none --in-place",
    "tag IMAGE other",
]
OTHERS = frozenset({
    "push", "pull", "load", "tags", "rm", "login", "logout", "cache", "completion", "help", "blob",
})  # fmt: skip
"""Commands that take no image, or only one of a kind."""


@pytest.fixture
def app(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with a layout ``lay`` of two images."""
    for name in ("tree", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    imgpack_here("build", "tree", "-o", "lay/", "-t", "app:1", "--mtime", "1").ok()
    imgpack_here("build", "more", "tree:/x", "-o", "lay/", "-t", "app:2", "--mtime", "1").ok()
    return imgpack_here


def test_every_command_that_takes_an_image_is_here() -> None:
    """A new one gets a line."""
    named = {line.split()[0] for line in (*LOOKING, *IN_PLACE)}
    assert named | OTHERS == set(COMMANDS)


@pytest.mark.parametrize("line", [*LOOKING, *IN_PLACE])
def test_an_image_of_a_layout_without_a_slash(app: InProcess, line: str) -> None:
    """``lay:app:2`` is one for all commands."""
    app(*line.replace("IMAGE", "lay:app:2").split()).ok()
    line = f"{line.replace('IMAGE', 'lay:none')}"
    assert "holds no image 'none'" in app(*line.split()).failed(errors.NotFoundError.exit_code)


def test_a_name_beside_a_directory_is_a_reference(app: InProcess) -> None:
    """If no image is in it; nor is a program of that name an image."""
    beside = app.directory / "localhost"
    beside.mkdir()
    for line in (*LOOKING, *IN_PLACE):
        told = app(*line.replace("IMAGE", "localhost:1/app:1").split())
        assert "cannot connect" in told.failed(errors.UnreachableError.exit_code), line
    beside.rmdir()
    beside.write_bytes(b"\x7fELF" + bytes(2000))
    for line in (LOOKING[0], IN_PLACE[0]):
        told = app(*line.replace("IMAGE", "localhost:1/app:1").split())
        assert "cannot connect" in told.failed(errors.UnreachableError.exit_code), line


def test_a_misspelt_path_is_asked_of_no_registry(app: InProcess) -> None:
    """What comes nearest is told."""
    for line in (*LOOKING, *IN_PLACE):
        told = app(*line.replace("IMAGE", "lai/").split()).failed(errors.SourceError.exit_code)
        assert "lai/ does not exist; did you mean ./lay?" in told, line


def test_a_device_or_a_socket_is_no_image(app: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing waits for it."""
    with socket.socket(socket.AF_UNIX) as bound, monkeypatch.context() as patch:
        patch.chdir(app.directory)
        bound.bind("s")
    for line in LOOKING:
        for place in "/dev/zero", "./s":
            told = app(*line.replace("IMAGE", place).split())
            assert place in told.failed(errors.ArchiveError.exit_code), line


def test_an_image_may_come_from_a_pipe_with_a_name(app: InProcess) -> None:
    """Which is opened once, for who writes to it sees when it is closed."""
    pipe = app.directory / "pipe"
    os.mkfifo(pipe)
    app("copy", "lay:app:2", "one.tar").ok()
    data = (app.directory / "one.tar").read_bytes()
    for line in (line for line in LOOKING if line.count("IMAGE") == 1):
        writing = threading.Thread(target=pipe.write_bytes, args=(data,))
        writing.start()
        app(*line.replace("IMAGE", "pipe").split()).ok()
        writing.join()


def test_a_pipe_is_not_changed_in_place(app: InProcess) -> None:
    """It is refused before anybody waits for it."""
    os.mkfifo(app.directory / "pipe")
    for line in IN_PLACE:
        assert "no archive or layout" in app(*line.replace("IMAGE", "pipe").split()).failed(2)


def test_what_a_registry_does_not_know_may_be_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the word is perhaps misspelt, or what lies there is no image."""
    monkeypatch.chdir(tmp_path)
    Path("rootfs.tar").touch()
    Path("app").mkdir()
    for text, found in (
        ("rootfs", "there is no file ./rootfs); did you mean ./rootfs.tar?"),
        ("rotfs.tra:1", "there is no file ./rotfs.tra); did you mean ./rootfs.tar?"),
        ("app:1", "./app is no image); what to do"),
        ("other", "there is no file ./other); what to do"),
        ("app/other", "there is no file ./app/other); what to do"),
    ):
        with pytest.raises(errors.NotFoundError) as caught, perhaps_a_file(text):
            raise errors.NotFoundError("unknown", "what to do")
        assert str(caught.value) == f"unknown (and {found}"
    for text in ("localhost:5000/app", "org/app", "ghcr.io/org/app:1"):
        with (
            pytest.raises(errors.NotFoundError, match=r"^unknown; what to do$"),
            perhaps_a_file(text),
        ):
            raise errors.NotFoundError("unknown", "what to do")


def test_a_directory_of_skopeo_is_an_image_and_a_tree_with_a_manifest_is_not(
    app: InProcess,
) -> None:
    """``lint`` looks at the one as an image; beside the other a name is a reference."""
    dump = app.directory / "localhost"
    dump.mkdir()
    app("copy", "lay:app:2", "one.tar").ok()
    raw = app("manifest", "one.tar").ok()
    (dump / "manifest.json").write_bytes(raw)
    told = app("inspect", "localhost:1/app:1")
    assert "cannot connect" in told.failed(errors.UnreachableError.exit_code)
    assert b"command-missing" not in app("lint", "localhost").ok()
    (dump / "version").write_text("Directory Transport Version: 1.1\n")
    manifest = json.loads(raw)
    for one in (manifest["config"], *manifest["layers"]):
        name = one["digest"].removeprefix("sha256:")
        (dump / name).write_bytes(app("blob", f"one.tar@{one['digest']}").ok())
    assert b"command-missing" in app("lint", "localhost").ok()


def test_a_path_with_colons_and_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that exists is one, whatever is in it; else the shortest that holds images."""
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.tar", "c", "empty"):
        Path(name).touch()
    Path("c").write_bytes(b"\x1f\x8b" + bytes(600))
    assert split_name("a:b.tar") == ("a:b.tar", None)
    assert split_name("a:b.tar:x:1") == ("a:b.tar", "x:1")
    assert split_name("c:1") == ("c", "1")
    assert split_name("./empty:1") == ("./empty", "1")
    assert split_name("empty:1") == ("empty:1", None)
    assert split_name("c:") == ("c:", None)


MEANINGLESS = [
    ("lint tree --image x", "--image is for images, and tree is none"),
    ("lint tree --platform linux/amd64", "--platform is for images, and tree is none"),
    ("ls lay:app:1 --image app:2", "lay:app:1 names an image, and --image, too"),
    ("verify lay:app:1 --image app:2", "lay:app:1 names an image, and --image, too"),
    ("diff lay:app:1 lay:app:2 --image app:2", "lay:app:1 names an image, and --image, too"),
    ("history lay:app:1 --image app:2", "lay:app:1 names an image, and --image, too"),
    ("history lay:app:1 --json --no-trunc", "leave out --no-trunc"),
    ("config lay:app:1 -e B=1 -o localhost:1/x --shallow", "--shallow is for an archive"),
    ("config lay:app:1 -e B=1 -o x.tar --allow-nondistributable", "is for a registry"),
    ("append lay:app:1 one.tar --compression zstd -o x.tar", "--compression is for directories"),
    ("config lay:app:1 -e B=1 -o x.tar --comment x --no-history", "--comment is for the history"),
]


def test_an_option_that_means_nothing_is_refused(app: InProcess) -> None:
    """It would be ignored, and who gave it not know it."""
    (app.directory / "one.tar").write_bytes(bytes(1024))
    for line, said in MEANINGLESS:
        assert said in app(*line.split()).failed(2), line
