"""The examples: what is committed is what its script writes, and it does what it says."""

import io
import platform
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgpack
from tests.cli_runner import InProcess
from tests.engine.fakes import Machine
from tests.recipes import Shell
from tests.registry.hostile import HostileRegistry
from tests.servers.distribution import Registry
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


def example(name: str, *arguments: str) -> list[str]:
    """The lines that a program of ``examples/`` prints."""
    program = [sys.executable, str(ROOT / "examples" / name), *arguments]
    return run(program).stdout.decode().splitlines()


@pytest.mark.parametrize("name", ["from_memory", "list_files", "mirror", "push_directory"])
def test_an_example_says_how_it_is_called_and_what_failed(name: str, tmp_path: Path) -> None:
    """In a line, and not by a traceback."""
    program = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    places = [f"{tmp_path}/no/such.tar", f"{tmp_path}/gone.tar"]
    for words in [], places[: 1 if name == "list_files" else 2]:
        done = subprocess.run([*program, *words], capture_output=True, text=True)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert (f"{name}.py " if not words else str(tmp_path)) in done.stderr


def test_the_files_of_an_image_are_listed(tmp_path: Path) -> None:
    """Those of all layers together, each as a container sees it."""
    archive = str(tmp_path / "memory.tar")
    example("from_memory.py", archive, "hi")
    assert [line.split() for line in example("list_files.py", archive)][-1] == [
        "lrwxrwxrwx", "0:0", "11", "/usr/bin/hello",
    ]  # fmt: skip


def test_a_directory_is_pushed_and_mirrored(tmp_path: Path) -> None:
    """Both programs say the digest that the registry and the layout have it by."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/hello:1"
        (digest,) = example("push_directory.py", str(HELLO / "rootfs"), name)
        copied = example("mirror.py", f"{tmp_path}/layout/", name)
    assert copied == [f"{name} {digest}"]
    assert (tmp_path / "layout" / "blobs" / "sha256" / digest.partition(":")[2]).is_file()


def test_the_page_of_the_api_is_that_of_the_docstrings() -> None:
    """``scripts/api-docs`` writes it."""
    run([sys.executable, str(ROOT / "scripts" / "api-docs"), "--check"])


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


DOCKER = """#!/bin/sh
if [ "$1" = run ]; then cat greeting; else exec {} "$@"; fi
"""


def fixtures(shell: Shell) -> None:
    """What the README's commands find where they are run, and in the registries."""
    shutil.copytree(HELLO / "rootfs", shell.directory / "rootfs")
    (project,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    machine = Machine(shell.directory.parent / "machine")
    machine.install("docker")
    files = {
        "greeting": (HELLO / "rootfs" / "etc" / "greeting").read_text(),
        "base/etc/passwd": "www-data:x:33:33::/var/www:/bin/sh\n",
        "app/run": "#!/bin/sh\n",
        "app/bin/tool": "",
        "app/vendor/x": "x",
        "vendor/y": "y",
        "busybox": "",
        "token": "correct horse\n",
        "imgpack.toml": shell.named(project),
        "dist/server": "#!/bin/sh\n",
        "assets/site.css": "",
        "assets/site.map": "",
        "../programs/docker": DOCKER.format(machine.directory / "bin" / "docker"),
    }
    for name, text in files.items():
        path = shell.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (shell.directory / "../programs/docker").chmod(0o755)
    shell("tar czf rootfs.tar.gz -C rootfs .")
    shell("imgpack build base -t a:1 -t a:2 -o all.tar")
    shell("imgpack build base --platform linux/amd64 -o amd64.tar")
    shell("imgpack build base --platform linux/arm64 -o arm64/")
    for name in ("12", "13"):
        shell(f"imgpack build base -t debian:{name} -e PATH=/bin -e V={name} --push")
    shell("imgpack base lock debian:12 -o debian.lock && imgpack base fetch debian.lock")
    shell("imgpack login registry.example.com -u alice --password-stdin < token")
    for arch in ("amd64", "arm64"):
        name = f"registry.example.com/app:3.0-{arch}"
        shell(f"imgpack build base -t {name} --platform linux/{arch} --push --mtime 0")
    shell("imgpack logout registry.example.com")


def dialogue(block: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it is shown to write."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        first, *lines = part.replace("\\\n", "").splitlines()
        yield first, [line for line in lines if line]


def test_the_readme_s_commands_work(
    registry: Registry, basic_registry: Registry, tmp_path: Path
) -> None:
    """Each as it is shown, in their order, with the results that are shown; in CI
    ``scripts/try`` is run beside this. docker is a stand-in here."""
    names = {
        "localhost:5000": registry.host,
        "registry.example.com": basic_registry.host,
        "debian:": f"{registry.host}/debian:",
        "-u ci": "-u alice",
    }
    shell = Shell(tmp_path / "work", names)
    fixtures(shell)
    text = (ROOT / "README.md").read_text()
    sections = re.findall(r"^(#+ [^\n]+)\n((?:(?!^#).*\n)*)", text, re.MULTILINE)
    ran = 0
    for title, section in sections:
        if title == "## Install":
            continue
        for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
            for command, shown in dialogue(block):
                said = shell(f"{{ {command}\n}} 2>&1" if shown else command)
                ran += 1
                if shown:
                    pattern = re.escape(shell.named("\n".join(shown))).replace("…", "[0-9a-f]{64}")
                    assert re.fullmatch(pattern + "\n", said), (command, said)
    assert ran >= 30
    with imgpack.open(str(shell.directory / "new.tar")) as opened:
        (named,) = opened.images()
        assert isinstance(named.image, imgpack.Image)
        assert "V=13" in named.image.config.config["Env"]


def test_pages_link_to_what_is_there() -> None:
    """The README, and every page of docs/ and examples/."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
