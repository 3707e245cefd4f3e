"""Every loader takes what imgpack writes, and sees in it what was asked for."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.trees import make_small_tree
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, require_root, run

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = ROOT / "examples" / "hello" / "rootfs"
GREETING = (HELLO / "etc" / "greeting").read_bytes()
RUN = ("--platform", "linux/amd64", "--entrypoint", '["/hello"]')
BOTH = pytest.mark.parametrize("image_format", ["docker", "oci"])


def skopeo_copy(source: str, target: str) -> None:
    """Copy with skopeo."""
    run([require("skopeo"), "--insecure-policy", "copy", source, target])


@BOTH
def test_the_engine_loads_and_runs_it(engine: Engine, imgpack: Imgpack, image_format: str) -> None:
    """Under every name it was given."""
    names = [f"hello-{image_format}:1", f"hello-{image_format}:2"]
    tags = [part for name in names for part in ("-t", name)]
    imgpack("build", HELLO, *tags, *RUN, "--format", image_format, "-o", "hello.tar").ok()
    said = engine.load(imgpack.directory / "hello.tar")
    for name in names:
        assert f"Loaded image: {name}" in said
        assert engine.run(name) == GREETING


@BOTH
def test_podman_loads_and_runs_it(podman: Podman, imgpack: Imgpack, image_format: str) -> None:
    """By its full name, whichever way podman takes into the archive."""
    name = f"podman-hello-{image_format}:1"
    imgpack("build", HELLO, "-t", name, *RUN, "--format", image_format, "-o", "hello.tar").ok()
    podman("load", "-i", str(imgpack.directory / "hello.tar"))
    assert podman.run(f"docker.io/library/{name}") == GREETING


@BOTH
@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_it(
    imgpack: Imgpack, tmp_path: Path, image_format: str, transport: str
) -> None:
    """Both ways in lead to the same configuration."""
    imgpack("build", HELLO, "-t", "hello:1", *RUN, "--format", image_format, "-o", "h.tar").ok()
    skopeo_copy(f"{transport}:{tmp_path / 'h.tar'}", f"dir:{tmp_path / 'copied'}")
    copied = json.loads((tmp_path / "copied" / "manifest.json").read_bytes())
    ours = json.loads(imgpack("manifest", "h.tar").ok())
    assert copied["config"]["digest"] == ours["config"]["digest"]
    if transport == "oci-archive":
        assert [layer["digest"] for layer in copied["layers"]] == [
            layer["digest"] for layer in ours["layers"]
        ]


def test_a_layout_directory_is_read_by_skopeo_and_umoci(imgpack: Imgpack, tmp_path: Path) -> None:
    """An output path that ends in a slash is an OCI layout."""
    imgpack("build", HELLO, "-t", "hello:1", *RUN, "--format", "oci", "-o", "layout/").ok()
    skopeo_copy(f"oci:{tmp_path / 'layout'}:1", f"dir:{tmp_path / 'copied'}")
    image = f"{tmp_path / 'layout'}:1"
    run([require("umoci"), "unpack", "--rootless", "--image", image, str(tmp_path / "bundle")])
    assert (tmp_path / "bundle" / "rootfs" / "etc" / "greeting").read_bytes() == GREETING


def test_a_build_streams_into_the_engine(engine: Engine, imgpack: Imgpack) -> None:
    """``imgpack build TREE -o - | docker load``."""
    arguments = ("build", str(HELLO), "-t", "streamed:1", *RUN, "-o", "-")
    with imgpack.start(*arguments) as builder:
        assert builder.stdout is not None
        said = engine("load", stdin=builder.stdout)
        assert builder.stderr is not None
        complaint = builder.stderr.read()
    assert builder.returncode == 0, complaint
    assert b"Loaded image: streamed:1" in said
    assert engine.run("streamed:1") == GREETING


def test_a_build_without_options_is_named_after_its_tree(engine: Engine, imgpack: Imgpack) -> None:
    """``imgpack build ./rootfs`` writes ``rootfs.tar``, an image named ``rootfs:latest``."""
    make_small_tree(imgpack.directory / "rootfs", etc__motd="hello\n")
    out = imgpack("build", "./rootfs").ok().decode()
    assert out.startswith("rootfs:latest@sha256:")
    assert "Loaded image: rootfs:latest" in engine.load(imgpack.directory / "rootfs.tar")


def test_later_layers_lie_on_top_and_under_their_destination(
    engine: Engine, imgpack: Imgpack
) -> None:
    """Each further tree is a layer; ``SRC:/dest`` puts it under a path."""
    make_small_tree(imgpack.directory / "over", etc__greeting="the upper layer\n")
    make_small_tree(imgpack.directory / "data", inner="data\n")
    sources = (str(HELLO), "over", "data:/srv/deep/data")
    imgpack("build", *sources, "-t", "layered:1", *RUN, "-o", "layered.tar").ok()
    engine.load(imgpack.directory / "layered.tar")
    assert engine.run("layered:1") == b"the upper layer\n"
    container = engine("create", "layered:1").decode().strip()
    try:
        exported = run(["tar", "t"], input=engine("export", container), stdin=None).stdout.split()
    finally:
        engine("rm", container)
    assert b"srv/deep/data/inner" in exported


def test_directories_on_the_way_to_a_destination_stay_what_they_are(
    engine: Engine, podman: Podman, imgpack: Imgpack
) -> None:
    """Both unpack a layer by itself: without its own entry /tmp would be 0755 of root."""
    require_root("foreign owners")
    base = imgpack.directory / "base"
    make_small_tree(base, tmp__x="x", srv__www__x="x", root__x="x")
    (base / "tmp").chmod(0o1777)
    (base / "root").chmod(0o700)
    os.chown(base / "srv/www", 33, 33)
    (base / "srv/www").chmod(0o2770)
    make_small_tree(imgpack.directory / "app", file="data\n")
    places = ("app:/tmp/app", "app:/srv/www", "app:/root/.config/app")
    imgpack("build", str(HELLO), "base", *places, "-t", "ways:1", *RUN, "-o", "ways.tar").ok()

    for loader in (engine, podman):
        loader("load", "-i", str(imgpack.directory / "ways.tar"))
        container = loader("create", "ways:1").decode().strip()
        try:
            with tarfile.open(fileobj=io.BytesIO(loader("export", container))) as exported:
                found = {one.name.rstrip("/"): one for one in exported}
        finally:
            loader("rm", container)
        ways = {name: found[name] for name in ("tmp", "root", "srv/www")}
        seen = {name: (one.mode & 0o7777, one.uid) for name, one in ways.items()}
        assert seen == {"tmp": (0o1777, 0), "root": (0o700, 0), "srv/www": (0o2770, 33)}
        assert {"tmp/app/file", "srv/www/file", "root/.config/app/file"} <= found.keys()


def test_the_largest_number_of_layers_loads(engine: Engine, imgpack: Imgpack) -> None:
    """125 layers, which is as many as the engine takes."""
    for number in range(124):
        make_small_tree(imgpack.directory / f"l{number}", **{f"srv__f{number}": f"{number}\n"})
    uppers = [f"l{number}" for number in range(124)]
    imgpack("build", str(HELLO), *uppers, "-t", "high:1", *RUN, "-o", "high.tar").ok()
    engine.load(imgpack.directory / "high.tar")
    assert engine.run("high:1") == GREETING
    described = json.loads(engine("inspect", "high:1"))[0]
    assert len(described["RootFS"]["Layers"]) == 125


EVERY_OPTION = (
    *("--entrypoint", '["/hello", "--a b"]'),
    *("--cmd", "one 'two three'"),
    *("-e", "PATH=/bin:/usr/bin", "-e", "GREETING=a <b> & ü"),
    *("-w", "/srv/work"),
    *("-u", "1000:1000"),
    *("-l", "org.example.title=a <b> & ü", "-l", "org.example.empty="),
    *("--expose", "80", "--expose", "53/udp"),
    *("--volume", "/var/data"),
    *("--stop-signal", "SIGUSR1"),
    *("--healthcheck-cmd", '["/hello"]', "--healthcheck-interval", "30s"),
    *("--healthcheck-timeout", "5s", "--healthcheck-retries", "3"),
    *("--healthcheck-start-period", "1m"),
    *("--shell", '["/bin/ash", "-c"]'),
    *("--onbuild", "RUN true"),
    *("--platform", "linux/amd64"),
    *("--author", "Anna <anna@example.org>"),
    *("--comment", "made & tested"),
    *("--created", "2020-02-02T02:02:02Z"),
)


def test_the_engine_sees_every_configuration_option(engine: Engine, imgpack: Imgpack) -> None:
    """``docker inspect`` and ``docker history`` show what was asked for."""
    imgpack("build", str(HELLO), "-t", "configured:1", *EVERY_OPTION, "-o", "c.tar").ok()
    engine.load(imgpack.directory / "c.tar")
    described = json.loads(engine("inspect", "configured:1"))[0]
    config = described["Config"]
    assert config["Entrypoint"] == ["/hello", "--a b"]
    assert config["Cmd"] == ["one", "two three"]
    assert config["Env"] == ["PATH=/bin:/usr/bin", "GREETING=a <b> & ü"]
    assert config["WorkingDir"] == "/srv/work"
    assert config["User"] == "1000:1000"
    assert config["Labels"] == {"org.example.title": "a <b> & ü", "org.example.empty": ""}
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert config["Volumes"] == {"/var/data": {}}
    assert config["StopSignal"] == "SIGUSR1"
    assert config["Healthcheck"] == {
        "Test": ["CMD", "/hello"],
        "Interval": 30_000_000_000,
        "Timeout": 5_000_000_000,
        "StartPeriod": 60_000_000_000,
        "Retries": 3,
    }
    assert config["Shell"] == ["/bin/ash", "-c"]
    assert config["OnBuild"] == ["RUN true"]
    assert described["Author"] == "Anna <anna@example.org>"
    assert described["Comment"] == "made & tested" or "made & tested" in json.dumps(
        json.loads(imgpack("manifest", "c.tar", "--config").ok())
    )
    assert described["Created"] == "2020-02-02T02:02:02Z"
    history = engine("history", "--no-trunc", "--format", "{{.CreatedBy}}", "configured:1")
    assert len(history.splitlines()) > 1


def test_podman_keeps_the_health_check_of_a_docker_image(podman: Podman, imgpack: Imgpack) -> None:
    """The Docker format carries what OCI has no field for."""
    imgpack("build", str(HELLO), "-t", "healthy:1", *EVERY_OPTION, "-o", "c.tar").ok()
    podman("load", "-i", str(imgpack.directory / "c.tar"))
    described = json.loads(podman("inspect", "docker.io/library/healthy:1"))[0]
    assert described["Healthcheck"]["Test"] == ["CMD", "/hello"]


def test_a_stream_is_the_file(imgpack: Imgpack) -> None:
    """``-o -`` writes the very bytes that ``-o FILE`` does."""
    imgpack("build", HELLO, "-t", "same:1", "-o", "same.tar").ok()
    streamed = imgpack("build", HELLO, "-t", "same:1", "-o", "-").ok()
    written = (imgpack.directory / "same.tar").read_bytes()
    assert hashlib.sha256(streamed).digest() == hashlib.sha256(written).digest()


def test_a_closed_pipe_ends_a_build_quietly(imgpack: Imgpack) -> None:
    """When nobody reads on, there is no traceback and a code of its own."""
    tree = make_small_tree(imgpack.directory / "rootfs", big="x" * 100)
    (tree / "noise").write_bytes(bytes(range(256)) * 40_000)
    argv = [sys.executable, "-m", "imgpack", "build", "rootfs", "--compression", "none", "-o", "-"]
    with subprocess.Popen(
        argv, cwd=imgpack.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as builder:
        assert builder.stdout is not None and builder.stderr is not None
        builder.stdout.read(512)
        builder.stdout.close()
        said = builder.stderr.read()
    assert builder.returncode == 141
    assert b"Traceback" not in said
