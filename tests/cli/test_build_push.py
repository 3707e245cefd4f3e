"""``imgpack build --push`` as a user meets it."""

import json
import os
import signal
import tarfile
import threading
import time
from pathlib import Path

import pytest

from imgpack.cli.options.index import parts
from imgpack.errors import (
    DigestError,
    InvalidReferenceError,
    NotFoundError,
    OutputError,
    UnauthorizedError,
    UnreachableError,
)
from tests.cli_runner import Imgpack, InProcess
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import MIB, noise


@pytest.fixture
def trees(tmp_path: Path) -> tuple[str, ...]:
    """Three sources: what does not compress, what does, and next to nothing."""
    for name, content in ("a", noise(MIB)), ("b", b"b" * MIB), ("c", b"c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(content)
    return "a", "b", "c"


def test_it_is_what_a_build_and_a_push_make(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...]
) -> None:
    """The same digest under the same names, printed as push does; no archive is written."""
    with HostileRegistry() as registry:
        named = [f"{registry.host}/a/b:1", f"{registry.host}/c:latest"]
        tags = [part for name in named for part in ("-t", name)]
        imgpack_here("build", *trees, *tags, "-o", "x.tar").ok()
        expected = imgpack_here("push", "x.tar").ok()
        (tmp_path / "x.tar").unlink()
        with HostileRegistry() as other:
            tags = [tag.replace(registry.host, other.host) for tag in tags]
            done = imgpack_here("build", *trees, *tags, "--push")
            assert done.ok() == expected.replace(registry.host.encode(), other.host.encode())
            assert done.err == ""
            assert other.incomplete() == []
            assert other.repositories.keys() == registry.repositories.keys()
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


@pytest.mark.parametrize("output", ["x.tar", "x/", "-"])
def test_an_output_beside_it_has_the_same_bytes(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...], output: str
) -> None:
    """An archive, a layout, and a stream, beside which the names go to standard error."""
    with HostileRegistry() as registry:
        command = ("build", *trees, "-t", f"{registry.host}/a/b:1", "-o", output, "--no-cache")
        before = imgpack_here(*command)
        written = files(tmp_path / "x") if output == "x/" else before.ok()
        if output == "x.tar":
            written = (tmp_path / "x.tar").read_bytes()
            (tmp_path / "x.tar").unlink()
        after = imgpack_here(*command, "--push")
        after.ok()
        assert (before.err, len(registry.repository("a/b").tags)) == (after.err, 1)
        if output == "x/":
            assert files(tmp_path / "x") == written
        else:
            out = after.out if output == "-" else (tmp_path / "x.tar").read_bytes()
            assert out == written
        assert registry.incomplete() == []


def files(place: Path) -> dict[str, bytes]:
    """The files below a directory."""
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_what_is_built_before_is_sent_from_the_cache(
    imgpack_here: InProcess, trees: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another registry gets all of it, and no source is read again."""
    # Long after the sources were made, so that their times prove something.
    monkeypatch.setattr(parts, "now_ns", lambda: time.time_ns() + 10**10)
    outs = []
    for _ in range(2):
        with HostileRegistry() as registry:
            done = imgpack_here(
                "build", *trees, "-t", f"{registry.host}/x:1", "--push", "--explain"
            )
            outs.append(done.ok().partition(b"@")[2])
            assert registry.incomplete() == []
            assert len(registry.sent("PUT", "uploads")) == 4
    assert outs[0] == outs[1]
    assert done.err.count("reused: nothing changed") == 3


def test_layers_of_every_kind_are_sent(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...]
) -> None:
    """One of several sources, parts of one, and a tar that is a layer as it is."""
    (tmp_path / "a" / "sub").mkdir()
    (tmp_path / "a" / "sub" / "file").write_bytes(b"sub")
    with HostileRegistry() as registry:
        name = f"{registry.host}/x:1"
        imgpack_here("build", *trees, "--squash", "-t", name, "--push").ok()
        imgpack_here("build", "a", "--split", "sub=sub", "-t", name, "--push").ok()
        with tarfile.open(tmp_path / "raw.tar", "w") as tar:
            tar.add(tmp_path / "c", "c")
        imgpack_here("build", "b", "--raw-layer", "raw.tar", "-t", name, "--push").ok()
        assert registry.incomplete() == []


@pytest.mark.parametrize("remote", [True, False], ids=["registry", "archive"])
def test_a_base_is_mounted_or_sent(
    imgpack_here: InProcess, trees: tuple[str, ...], remote: bool
) -> None:
    """From the registry that it is in, by one connection; from an archive its layers are sent."""
    with HostileRegistry() as registry:
        base = f"{registry.host}/base:1" if remote else "base.tar"
        pushed = ("--push",) if remote else ("-o", "base.tar")
        imgpack_here("build", "a", "-t", f"{registry.host}/base:1", *pushed).ok()
        registry.requests.clear()
        imgpack_here("build", "c", "--from", base, "-t", f"{registry.host}/x:1", "--push").ok()
        assert registry.incomplete() == []
        mounted = [r for r in registry.sent("POST", "mount=") if r.status == 201]
        assert len(mounted) == remote
        assert len(registry.sent("PUT", "uploads")) == (2 if remote else 3)
        # A mount needs none of the base's bytes but those that a build reads.
        assert len(registry.sent("GET", "blobs")) <= 2


@pytest.mark.parametrize("there", [True, False], ids=["there", "not-there"])
def test_on_a_lock_only_what_is_new_is_sent(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...], there: bool
) -> None:
    """The base's layers are mounted from where the lock says; else nothing is sent."""
    with HostileRegistry() as registry, HostileRegistry() as other:
        base, target = f"{registry.host}/base:1", registry if there else other
        imgpack_here("build", "a", "-t", base, "--push").ok()
        imgpack_here("base", "lock", base, "-o", "base.lock").ok()
        registry.requests.clear()
        command = ("build", "c", "--from", "base.lock", "-t", f"{target.host}/x:1", "--push")
        done = imgpack_here(*command, "--no-cache")
        if there:
            done.ok()
            assert target.incomplete() == []
            assert len(target.sent("PUT", "uploads")) == 2
        else:
            assert "does not have the layer" in done.failed(NotFoundError.exit_code)
            assert target.sent("POST", "uploads/$") == []
        assert registry.sent("GET") == []


def test_the_metadata_file_and_schema1(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...]
) -> None:
    """Both names are in it, as of a push."""
    with HostileRegistry() as registry:
        done = imgpack_here(
            *("build", *trees, "-t", f"{registry.host}/x:1", "--push"),
            *("--schema1", "--schema1-tag", "old", "--metadata-file", "m.json"),
        )
        lines = done.ok().decode().splitlines()
        assert [line.partition("@")[0] for line in lines] == [
            f"{registry.host}/x:1",
            f"{registry.host}/x:old",
        ]
        document = json.loads((tmp_path / "m.json").read_bytes())
        published = [f"{one['name']}@{one['digest']}" for one in document["published"]]
        assert published == lines
        assert len(document["images"][0]["layers"]) == 3


def test_a_dry_run_sends_nothing(imgpack_here: InProcess, trees: tuple[str, ...]) -> None:
    """It lists what would be packed; the registry is not even asked."""
    with HostileRegistry() as registry:
        out = imgpack_here("build", *trees, "-t", f"{registry.host}/x:1", "--push", "--dry-run")
        assert b"a" in out.ok()
        assert registry.requests == []


# What goes wrong


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--push",), 2, "-t REGISTRY/REPOSITORY:TAG"),
        (("--push", "-t", "app:1"), InvalidReferenceError.exit_code, "names no registry"),
        (
            ("--push", "-t", f"h.example/x@sha256:{'0' * 64}"),
            InvalidReferenceError.exit_code,
            "it has a digest",
        ),
        (("--push", "-t", "h.example/x:1", "--prune"), 2, "--prune"),
        (("--no-mount",), 2, "--no-mount is about a push"),
        (("--mount-from", "x"), 2, "--mount-from is about a push"),
        (("--schema1",), 2, "--schema1 is about a push"),
        (("--chunk-size", "5"), 2, "--chunk-size is about a push"),
        (("--no-resume",), 2, "--no-resume is about a push"),
        (("--push", "-t", "h.example/x:1", "--schema1-tag", "x"), 2, "go with --schema1"),
        (("--push", "-t", "h.example/x:1", "--no-mount", "--mount-from", "x"), 2, "contradict"),
        (
            ("--push", "-t", "h.example/x:1", "-t", "other.example/x:1", "--creds", "a:b"),
            2,
            "--creds is for one registry",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    imgpack_here: InProcess,
    tmp_path: Path,
    trees: tuple[str, ...],
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """Before anything is read or asked."""
    assert said in imgpack_here("build", *trees, *options).failed(code)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_push_s_errors_are_those_of_push(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...]
) -> None:
    """With its exit codes, and no archive."""
    with HostileRegistry(denied=frozenset({"a/b"}), auth="bearer") as registry:
        name = f"{registry.host}/a/b:1"
        command = ("build", *trees, "-t", name, "--push", "-o", "x.tar", "--retries", "0")
        imgpack_here(*command).failed(UnauthorizedError.exit_code)
    imgpack_here(*command).failed(UnreachableError.exit_code)
    with HostileRegistry() as registry:
        name = f"{registry.host}/a/b:1"
        registry.misbehave("PUT", "uploads", faults.with_status(201, docker_content_digest=WRONG))
        command = ("build", *trees, "-t", name, "--push", "-o", "x.tar", "--retries", "0")
        imgpack_here(*command).failed(DigestError.exit_code)
        assert registry.repository("a/b").manifests == {}
    assert not (tmp_path / "x.tar").exists()


WRONG = "sha256:" + "0" * 64


def test_an_archive_that_cannot_be_finished_is_an_error_after_the_names(
    imgpack_here: InProcess, tmp_path: Path, trees: tuple[str, ...]
) -> None:
    """Which are there, and printed."""
    with HostileRegistry() as registry:

        def removed(exchange: faults.Exchange) -> bool:
            (tmp_path / "x.tar").mkdir()
            return False

        registry.misbehave("PUT", "manifests", removed)
        name = f"{registry.host}/a/b:1"
        done = imgpack_here("build", *trees, "-t", name, "--push", "-o", "x.tar")
        assert "x.tar" in done.failed(OutputError.exit_code)
        assert done.out.decode().startswith(f"{name}@sha256:")
        assert registry.incomplete() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(
    imgpack: Imgpack, tmp_path: Path, trees: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    """No name, no archive, no temporary file; while a layer is on its way."""
    waiting = threading.Event()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with HostileRegistry() as registry:
        registry.misbehave("PUT", "uploads", faults.hold(waiting), times=None)
        process = imgpack.start(
            *("build", *trees, "-t", f"{registry.host}/x:1", "--push"),
            env={"TMPDIR": str(scratch)},
        )
        assert waiting.wait(20)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == code, err
        assert (out, b"Traceback" in err) == (b"", False)
        assert registry.repository("x").manifests == {}
    assert os.listdir(scratch) == []
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "scratch"]
