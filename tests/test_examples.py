"""The examples: what is committed is what its script writes, and it does what it says."""

import io
import platform
import re
import runpy
import shlex
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

import imgpack
from tests.cli_runner import InProcess
from tests.servers.process import require, require_root, run

ROOT = Path(__file__).resolve().parent.parent
HELLO = ROOT / "examples" / "hello"
FROM_MEMORY = ROOT / "examples" / "from_memory.py"


def test_the_committed_program_is_what_its_script_writes() -> None:
    """Nobody has to trust a binary: the script makes the same bytes."""
    written = runpy.run_path(str(HELLO / "make_hello.py"))["program"]()
    assert (HELLO / "rootfs" / "hello").read_bytes() == written
    assert (HELLO / "rootfs" / "hello").stat().st_mode & 0o777 == 0o755


def test_the_program_prints_the_greeting_of_its_own_tree(tmp_path: Path) -> None:
    """Alone in its tree, it needs no loader, no library and no shell."""
    require_root("a change of the root directory")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("needs Linux on x86-64")
    tree = shutil.copytree(HELLO / "rootfs", tmp_path / "rootfs")
    (tree / "etc" / "greeting").write_text("good morning\n")
    assert run([require("chroot"), str(tree), "/hello"]).stdout == b"good morning\n"


def test_an_image_is_built_from_memory(tmp_path: Path) -> None:
    """The program writes an archive with its entries, and prints the digest of the image."""
    archive = str(tmp_path / "memory.tar")
    printed = run([sys.executable, str(FROM_MEMORY), archive, "good morning"]).stdout
    with imgpack.open(archive) as opened:
        (named,) = opened.images()
        (layer,) = named.image.document.layers
        content = b"".join(opened.read_blob(layer))
    assert printed.decode().strip() == str(named.image.document.descriptor.digest)
    assert [name.shown() for name in named.names] == ["from-memory:1"]
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        greeting = tar.extractfile("etc/greeting")
        assert greeting is not None
        assert greeting.read() == b"good morning\n"
        assert tar.getmember("hello").mode == 0o755
        assert tar.getmember("usr/bin/hello").linkname == "../../hello"


def test_a_repository_of_three_images_is_built(
    tmp_path: Path, imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its file says, from anywhere; what two images share is one layer."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.setenv("VERSION", "2")
    out = imgpack_here("build", "-f", "examples/monorepo/imgpack.toml").ok().decode()
    shop = "registry.example.com/shop"
    assert [line.partition("@")[0] for line in out.splitlines()] == [
        f"{shop}/web:2", f"{shop}/web:latest", f"{shop}/api:2", f"{shop}/api:latest",
        f"{shop}/worker:2",
    ]  # fmt: skip
    layers = {}
    for name in ("web", "api", "worker"):
        with imgpack.open(str(tmp_path / "examples" / "monorepo" / f"{name}.tar")) as opened:
            (named,) = opened.images()
            layers[name] = [str(layer.digest) for layer in named.image.document.layers]
    assert layers["web"][:2] == layers["api"][:2]
    assert layers["worker"][:3] == layers["api"]


def test_the_readme_s_python_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is shown builds an archive, and copies it to a layout."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    with imgpack.open("layout/") as opened:
        (named,) = opened.images()
    assert printed == str(named.image.document.descriptor.digest)
    assert [name.shown() for name in named.names] == ["localhost:5000/app:1"]


def test_the_readme_s_builds_on_a_base_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are shown, but that the base is an archive here, for there is no network."""
    monkeypatch.chdir(tmp_path)
    for path in ("base/etc", "app/bin", "app/vendor"):
        Path(path).mkdir(parents=True)
    Path("base/etc/passwd").write_text("www-data:x:33:33::/var/www:/bin/sh\n")
    Path("app/run").write_text("#!/bin/sh\n")
    Path("app/vendor/x").write_text("x")
    program = shutil.which("imgpack", path=Path(sys.executable).parent)
    assert program is not None
    run([program, "build", "base", "-t", "debian:12", "-e", "PATH=/bin"])
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"## Build on a base\n\n```console\n(.*?)```", text, re.DOTALL)
    lines = block.replace("\\\n", "").replace("debian:12", "base.tar").splitlines()
    commands = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    for name, *arguments in commands:
        assert name == "imgpack"
        run([program, *arguments, "--cache-dir", "cache"] if "lock" not in arguments else
            [program, *arguments])  # fmt: skip

    assert len(commands) == 6
    with imgpack.open("app.tar") as opened:
        (named,) = opened.images()
        assert isinstance(named.image, imgpack.Image)
        assert len(named.image.layers) == 3
        assert named.image.config.config["Env"] == ["PATH=/bin"]
