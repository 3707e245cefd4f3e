"""What is left out of a source, what is said of it, and a look at what goes in."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from imgpack.tree.disk import snapshot
from tests.cli.test_json import check
from tests.cli_runner import Imgpack, InProcess
from tests.privileges import OBEYING_MODES


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A working directory, with what must not ship."""
    root = tmp_path / "app"
    for path in ("src/main.py", "node_modules/x/index.js", "docs/README.md", "docs/guide.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def packed(image: Path) -> list[str]:
    """The paths in the only layer of an archive."""
    with tarfile.open(image) as archive:
        config = archive.extractfile("manifest.json")
        assert config is not None
        (layer,) = json.load(config)[0]["Layers"]
        with tarfile.open(fileobj=archive.extractfile(layer)) as stream:
            return stream.getnames()


def test_the_ignore_file_of_a_source_is_obeyed_and_that_is_said(
    imgpack_here: InProcess, app: Path, tmp_path: Path
) -> None:
    """One line, with how much was left out; the file itself goes in, as with Docker."""
    (app / ".dockerignore").write_text("# ours\nnode_modules\ndocs\n!docs/README.md\n")

    done = imgpack_here("build", "app")

    done.ok()
    assert done.err == "imgpack: left out 2 paths, by app/.dockerignore\n"
    assert packed(tmp_path / "app.tar") == [
        ".dockerignore", "docs", "docs/README.md", "src", "src/main.py",
    ]  # fmt: skip


def test_podmans_name_of_it_comes_first(imgpack_here: InProcess, app: Path, tmp_path: Path) -> None:
    """And then the other is no more than a file."""
    (app / ".containerignore").write_text("*\n!src\n")
    (app / ".dockerignore").write_text("src\n")

    assert "by app/.containerignore" in imgpack_here("build", "app").err
    assert packed(tmp_path / "app.tar") == ["src", "src/main.py"]


def test_a_file_from_elsewhere_is_obeyed_instead_and_none_can_be(
    imgpack_here: InProcess, app: Path, tmp_path: Path
) -> None:
    """``--ignore-file`` and ``--no-ignore-file``; for what is one source of several, too."""
    (app / ".dockerignore").write_text("src\n")
    (tmp_path / "mine").write_text("docs\nnode_modules\n.dockerignore")

    imgpack_here("build", "app", "--ignore-file", "mine").ok()
    assert packed(tmp_path / "app.tar") == ["src", "src/main.py"]

    imgpack_here("build", "app", "--no-ignore-file").ok()
    assert "node_modules/x/index.js" in packed(tmp_path / "app.tar")

    both = imgpack_here("build", "app", "--ignore-file", "mine", "--no-ignore-file")
    assert "exclude each other" in both.failed(2)
    assert "name a file" in imgpack_here("build", "app", "--ignore-file=").failed(2)


def test_patterns_on_the_command_line_come_after_those_of_the_file(
    imgpack_here: InProcess, app: Path, tmp_path: Path
) -> None:
    """So an exception may take back what the file leaves out."""
    (app / ".dockerignore").write_text("docs\n")
    arguments = ("--exclude", "!docs/guide.md", "--exclude", "/node_modules", "--exclude", "#x")

    imgpack_here("build", "app", *arguments).ok()

    assert packed(tmp_path / "app.tar") == [
        ".dockerignore", "docs", "docs/guide.md", "src", "src/main.py",
    ]  # fmt: skip


def test_explain_says_which_line_left_out_what(imgpack_here: InProcess, app: Path) -> None:
    """The topmost path of each, and the patterns that decided nothing."""
    (app / ".dockerignore").write_text("docs\n\nnone\n!docs/README.md\n")

    done = imgpack_here("build", "app", "--explain", "--exclude", "node_modules")

    assert done.err.splitlines() == [
        "layer 1: not built before",
        "  1 segment: 1 compressed, from .dockerignore",
        "imgpack: left out 2 paths, by app/.dockerignore",
        "  docs/guide.md: app/.dockerignore:1: docs",
        "  node_modules: node_modules",
        "  without effect: app/.dockerignore:3: none",
    ]


def test_explain_lists_no_more_than_people_read(imgpack_here: InProcess, app: Path) -> None:
    """``--verbose`` lists them all."""
    for number in range(150):
        (app / f"{number}.o").touch()

    short = imgpack_here("build", "app", "--explain", "--exclude", "*.o")
    long = imgpack_here("--verbose", "build", "app", "--explain", "--exclude", "*.o")

    assert short.err.count(".o: *.o") == 100
    assert "  and more; --verbose lists them" in short.err
    assert long.err.count(".o: *.o") == 150


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ok\n!\n", "line 2 of app/.dockerignore: '!' is no pattern"),
        ("a[", "line 1 of app/.dockerignore: 'a[' is no pattern: a bracket is not closed"),
    ],
)
def test_a_wrong_line_is_named(
    imgpack_here: InProcess, app: Path, tmp_path: Path, text: str, message: str
) -> None:
    """And nothing is written."""
    (app / ".dockerignore").write_text(text)
    assert message in imgpack_here("build", "app").failed(7)
    assert not (tmp_path / "app.tar").exists()


def test_a_wrong_pattern_is_named(imgpack_here: InProcess, app: Path) -> None:
    """With its option; an empty one leaves out nothing and was a mistake."""
    failed = imgpack_here("build", "app", "--exclude", "a[").failed(7)
    assert "--exclude: 'a[' is no pattern" in failed
    assert "--exclude: a pattern is empty" in imgpack_here("build", "app", "--exclude=").failed(7)


def test_what_docker_reads_otherwise_is_warned_of(imgpack_here: InProcess, app: Path) -> None:
    """With file and line."""
    (app / ".dockerignore").write_text("\na|b*\n")
    assert (
        "warning: app/.dockerignore:2: a|b*: | means itself here"
        in imgpack_here("build", "app").err
    )


def settle(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let times prove what they say, however young the files are."""
    monkeypatch.setattr(snapshot, "RACY_NS", -(10**12))


def test_a_change_to_what_is_left_out_rebuilds_nothing(
    imgpack_here: InProcess, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change to what is kept does, and so do other patterns; a comment for them does not."""
    settle(app, monkeypatch)
    patterns = "node_modules\n.dockerignore\ndocs\n!docs/README.md\n"
    (app / ".dockerignore").write_text(patterns)

    def explained() -> str:
        done = imgpack_here("build", "app", "--explain")
        done.ok()
        return done.err.splitlines()[0]

    assert explained() == "layer 1: not built before"
    assert explained() == "layer 1: reused: nothing changed"
    (app / "node_modules/x/index.js").write_text("changed")
    (app / "node_modules/more").write_text("more")
    # The directory that it lies in is as it was: nothing of it is recorded.
    assert explained() == "layer 1: reused: nothing changed"
    (app / "src/main.py").write_text("changed")
    assert explained() == "layer 1: changed"
    imgpack_here("build", "app", "--no-cache", "-o", "other.tar").ok()
    assert (tmp_path / "app.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    (app / ".dockerignore").write_text("# why\n/" + patterns)
    assert explained() == "layer 1: reused: nothing changed"
    (app / ".dockerignore").write_text(patterns + "src\n")
    assert explained() == "layer 1: not built before"


def test_what_may_not_be_looked_at_is_no_problem_if_it_is_left_out(
    imgpack: Imgpack, app: Path, tmp_path: Path
) -> None:
    """Neither a directory nor a file; a build that packs them fails."""
    (app / "node_modules").chmod(0)
    (app / "docs/guide.md").chmod(0)
    arguments = ("build", app, "-o", tmp_path / "out.tar")

    assert "cannot read 2 paths" in imgpack(*arguments, prefix=OBEYING_MODES).failed(3)
    imgpack(
        *arguments, "--exclude", "node_modules", "--exclude", "docs/g*", prefix=OBEYING_MODES
    ).ok()

    (app / "node_modules").chmod(0o700)
    assert packed(tmp_path / "out.tar") == ["docs", "docs/README.md", "src", "src/main.py"]


def secrets(app: Path) -> None:
    """What should hardly be in an image, and what only looks like it."""
    for path, text in {
        ".git/HEAD": "ref", "deep/.git": "gitdir: elsewhere", ".env": "A=1", "x/.env": "A=2",
        "y/.env": "A=3", "z/.env": "A=4", "not.env": "", "tls.key": "-----BEGIN PRIVATE KEY-----",
        "ca.pem": "-----BEGIN CERTIFICATE-----", ".ssh/id_ed25519": "k", ".npmrc": "t",
        ".aws/credentials": "t", "credentials": "t", "docker/config.json": "{}",
        "etc/ssl/private/own.key": "-----BEGIN PRIVATE KEY-----",
    }.items():  # fmt: skip
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(text)


def test_what_looks_like_a_secret_is_warned_of_by_name(
    imgpack_here: InProcess, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each kind, also where the layer comes from the cache; not what a root has."""
    secrets(app)
    settle(app, monkeypatch)

    first, again = imgpack_here("build", "app"), imgpack_here("build", "app", "--explain")

    told = [line.partition("looks like ")[2].partition(";")[0] for line in first.err.splitlines()]
    assert told == [
        "credentials: /.aws/credentials, /.npmrc",
        "settings that are often secret: /.env, /x/.env, /y/.env and 1 more",
        "the history of a repository: /.git",
        "a private key: /.ssh/id_ed25519, /tls.key",
    ]
    assert "nothing changed" in again.err
    assert [line for line in again.err.splitlines() if "warning" in line] == first.err.splitlines()


def test_an_ignore_file_says_that_what_is_left_is_meant(imgpack_here: InProcess, app: Path) -> None:
    """Even an empty one; patterns on the command line alone do not, but for what they say."""
    secrets(app)
    assert "a private key" in imgpack_here("build", "app", "--exclude", "**/.env").err
    assert ".env" not in imgpack_here("build", "app", "--exclude", "**/.env").err

    (app / ".dockerignore").touch()

    assert imgpack_here("build", "app").err == "imgpack: left out nothing, by app/.dockerignore\n"


def test_a_dry_run_lists_what_would_go_in_and_writes_nothing(
    imgpack_here: InProcess, app: Path, tmp_path: Path
) -> None:
    """With kinds, permissions, owners, sizes and targets as they would be written."""
    (app / "link").symlink_to("src/main.py")
    os.link(app / "src/main.py", app / "src/same.py")
    (app / "src/main.py").chmod(0o640)
    before = sorted(tmp_path.rglob("*"))

    done = imgpack_here(
        "build", "app:/opt", "--dry-run", "--owner", "7:8",
        "--exclude", "docs", "--exclude", "node_modules",
    )  # fmt: skip

    rows = [line.split() for line in done.ok().decode().splitlines()]
    assert rows == [
        ["layer", "1:", "app"],
        ["directory", "0755", "7:8", "0", "/opt"],
        ["symlink", "0777", "7:8", "0", "/opt/link", "->", "src/main.py"],
        ["directory", "0755", "7:8", "0", "/opt/src"],
        ["file", "0640", "7:8", "11", "/opt/src/main.py"],
        ["hard", "link", "0640", "7:8", "0", "/opt/src/same.py", "->", "/opt/src/main.py"],
        ["layer", "1:", "5", "entries,", "11", "B"],
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_reads_no_file(imgpack: Imgpack, app: Path) -> None:
    """It lists what a build could not read."""
    (app / "src/main.py").chmod(0)
    done = imgpack("build", app, "--dry-run", prefix=OBEYING_MODES)
    assert b"/src/main.py" in done.ok()


def test_a_dry_run_is_one_json_document(imgpack_here: InProcess, app: Path) -> None:
    """Of the shape that docs/output.schema.json says."""
    (app / os.fsdecode(b"\xff\n")).touch()

    document = check("dryRun", imgpack_here("build", "app", "app:/b", "--dry-run", "--json").ok())

    first, second = document["layers"]
    assert (document["count"], document["size"]) == (2 * 9 + 1, 2 * first["size"])
    assert (first["dest"], second["dest"]) == ("/", "/b")
    assert "--dry-run" in imgpack_here("build", "app", "--json").failed(2)


def test_patterns_go_for_an_archive_as_well(
    imgpack_here: InProcess, app: Path, tmp_path: Path
) -> None:
    """The same layer as of the directory that was archived; it has no ignore file of its own."""
    (app / ".dockerignore").write_text("src\n")
    with tarfile.open(tmp_path / "from.tar", "w") as archive:
        archive.add(app, ".")
    arguments = ("--exclude", "**/*.md", "--exclude", "!docs/guide.md", "--mtime", "0")

    imgpack_here("build", "from.tar", *arguments, "-o", "1.tar").ok()
    imgpack_here("build", "app", "--no-ignore-file", *arguments, "-o", "2.tar").ok()

    assert packed(tmp_path / "1.tar") == packed(tmp_path / "2.tar")
    assert "docs/README.md" not in packed(tmp_path / "1.tar")
    assert "docs/guide.md" in packed(tmp_path / "1.tar")
    done = imgpack_here("build", "from.tar", "--ignore-file", "app/.dockerignore", "-o", "3.tar")
    assert done.err == "imgpack: left out 1 path, by app/.dockerignore\n"
