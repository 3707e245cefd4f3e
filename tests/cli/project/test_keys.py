"""Every key of imgpack.toml is an option of build: it makes the same bytes."""

from __future__ import annotations

import shlex
import tarfile
from pathlib import Path

import click
import pytest

from imgpack.cli.commands.build import build
from imgpack.cli.project.schema.keys import CONTRARY, KEYS, LAYER_KEYS, MACHINE, PUSH
from tests.cli.project.shop import Shop

SOURCE = 'layers = ["trees/web"]'

# A key: what the file says instead of its example, the same as options, and whether that
# shows in an image that has it and nothing else ("" for the sources of all).
CASES: dict[str, tuple[str, str]] = {
    "name": ('name = "shop/web"', "-t shop/web"),
    "tags": ('tags = ["1.0", "other/web:2"]', "-t web:1.0 -t other/web:2"),
    "format": ('format = "oci"', "--format oci"),
    "compression": ('compression = "zstd:9"', "--compression zstd:9 --format oci"),
    "from": ('from = "base.tar"', "--from base.tar"),
    "base-layers": ('base-layers = "base.tar"\nfrom = "base.tar"',
                    "--base-layers base.tar --from base.tar"),
    "shallow": ('shallow = true\nfrom = "base.tar"', "--shallow --from base.tar"),
    "keep-identical": ('keep-identical = true\nfrom = "same.tar"',
                       "--keep-identical --from same.tar"),
    "diff-from": ('diff-from = "base.tar"', "--diff-from base.tar"),
    "layers": ('layers = ["trees/web:/srv", { source = "trees/api", dest = "/opt" }]',
               "trees/web:/srv trees/api:/opt"),
    "raw-layers": ('raw-layers = ["raw.tar"]', "--raw-layer raw.tar"),
    "exclude": ('exclude = ["**/*.map", "!x.map"]', "--exclude '**/*.map' --exclude '!x.map'"),
    "ignore-file": ('ignore-file = "ignored"', "--ignore-file ignored"),
    "no-ignore-file": ("no-ignore-file = true", "--no-ignore-file"),
    "split": ('split = { assets = "assets/**" }', "--split 'assets=assets/**'"),
    "squash": ('squash = true\nlayers = ["trees/web", "trees/api"]',
               "--squash trees/web trees/api"),
    "whiteouts": ('whiteouts = ["lib"]\nfrom = "base.tar"', "--whiteout lib --from base.tar"),
    "diff": ('diff = "trees/api"', "--diff trees/api"),
    "diff-mtime": ('diff = "trees/api"\ndiff-mtime = true', "--diff trees/api --diff-mtime"),
    "overlay-uppers": ('overlay-uppers = "trees/lib"', "--overlay-upper trees/lib"),
    "owner": ('owner = "7:8"', "--owner 7:8"),
    "mtime": ("mtime = 2026-01-31T00:00:00Z", "--mtime 2026-01-31T00:00:00Z"),
    "chown": ('chown = { "bin/*" = "7:8" }', "--chown 'bin/*=7:8'"),
    "chmod": ('chmod = { "bin/*" = "0755", "assets" = "u=rwx" }',
              "--chmod 'bin/*=0755' --chmod assets=u=rwx"),
    "cap": ('cap = { "bin/*" = "cap_net_bind_service+ep" }',
            "--cap 'bin/*=cap_net_bind_service+ep'"),
    "xattr": ('xattr = { "bin/*" = "user.origin=ci" }', "--xattr 'bin/*=user.origin=ci'"),
    "idmap": ('idmap = ["5:0:1"]\nidmap-unmapped = "keep"', "--idmap 5:0:1 --idmap-unmapped keep"),
    "idmap-unmapped": ('idmap = ["5:0:65536"]\nidmap-unmapped = "keep"',
                       "--idmap 5:0:65536 --idmap-unmapped keep"),
    "rootless-records": ("rootless-records = false", "--no-rootless-records"),
    "fakeroot-state": ('fakeroot-state = "fakeroot.state"', "--fakeroot-state fakeroot.state"),
    "mtree": ('mtree = "list"', "--mtree list"),
    "mtree-only": ('mtree = "list"\nmtree-only = true', "--mtree list --mtree-only"),
    "entrypoint": ('entrypoint = ["/bin/server", "a b"]',
                   """--entrypoint '["/bin/server", "a b"]'"""),
    "cmd": ('cmd = "serve --port 80"', "--cmd 'serve --port 80'"),
    "env": ('env = { PORT = 8080, NAME = "a=b" }', "-e PORT=8080 -e NAME=a=b"),
    "workdir": ('workdir = "/srv"', "-w /srv"),
    "user": ('user = 7', "-u 7"),
    "labels": ('labels = { "org.example.team" = "shop" }', "-l org.example.team=shop"),
    "expose": ('expose = [8080, "53/udp"]', "--expose 8080 --expose 53/udp"),
    "volumes": ('volumes = ["/data"]', "--volume /data"),
    "stop-signal": ('stop-signal = "INT"', "--stop-signal INT"),
    "healthcheck.cmd": ('healthcheck = { cmd = "true" }', "--healthcheck-cmd true"),
    "healthcheck.interval": ('healthcheck = { cmd = "true", interval = "30s" }',
                             "--healthcheck-cmd true --healthcheck-interval 30s"),
    "healthcheck.timeout": ('healthcheck = { cmd = "true", timeout = "5s" }',
                            "--healthcheck-cmd true --healthcheck-timeout 5s"),
    "healthcheck.start-period": ('healthcheck = { cmd = "true", start-period = "5s" }',
                                 "--healthcheck-cmd true --healthcheck-start-period 5s"),
    "healthcheck.retries": ('healthcheck = { cmd = "true", retries = 3 }',
                            "--healthcheck-cmd true --healthcheck-retries 3"),
    "shell": ('shell = ["/bin/bash", "-c"]', "--shell '/bin/bash -c'"),
    "onbuild": ('onbuild = "RUN make"', "--onbuild 'RUN make'"),
    "platforms": ('platforms = { "linux/amd64" = "trees/api:/x", "linux/arm64" = "trees/lib" }',
                  "--platform linux/amd64=trees/api:/x --platform linux/arm64=trees/lib"),
    "annotations": ('annotations = { "a.b" = "c" }\nformat = "oci"',
                    "--annotation a.b=c --format oci"),
    "platform-unchecked": ('platform = "plan9/pdp11"\nplatform-unchecked = true',
                           "--platform plan9/pdp11 --platform-unchecked"),
    "created": ("created = 2026-01-31", "--created 2026-01-31"),
    "author": ('author = "shop"', "--author shop"),
    "comment": ('comment = "nightly"', "--comment nightly"),
    "unset-env": ('unset-env = ["OLD"]\nfrom = "base.tar"', "--unset-env OLD --from base.tar"),
    "unset-labels": ('unset-labels = "old"\nfrom = "base.tar"',
                     "--unset-label old --from base.tar"),
    "unset-expose": ('unset-expose = 80\nfrom = "base.tar"', "--unset-expose 80 --from base.tar"),
    "unset-volumes": ('unset-volumes = "/old"\nfrom = "base.tar"',
                      "--unset-volume /old --from base.tar"),
    **{
        f"clear-{name}": (f'clear-{name} = true\nfrom = "base.tar"',
                          f"--clear-{name} --from base.tar")
        for name in ("entrypoint", "cmd", "healthcheck", "user", "workdir")
    },
    "ignore-onbuild": ('ignore-onbuild = true\nfrom = "triggers.tar"',
                       "--ignore-onbuild --from triggers.tar"),
    "base-labels": ('base-labels = true\nfrom = "base.tar"', "--base-labels --from base.tar"),
}  # fmt: skip

# Tested where their files are: nothing of them is in the archive.
ELSEWHERE = {"output", "push", "prune", "from-image", "annotate"}
# What these say is so in the tree of these tests without them, too.
NO_DIFFERENCE = {"no-ignore-file", "rootless-records"}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the images are built on, and beside."""
    return tmp_path_factory.mktemp("bases")


@pytest.fixture
def ready(shop: Shop, bases: Path) -> Shop:
    """A shop with bases, lists and states in it."""
    if not (bases / "base.tar").exists():
        build = shop.imgpack
        build("build", "trees/lib", "-o", str(bases / "base.tar"), "-t", "base", *shlex.split(
            "-e OLD=1 -l old=1 --expose 80 --volume /old --entrypoint /a --cmd b -u 9 -w /old "
            "--healthcheck-cmd true")).ok()  # fmt: skip
        build("build", "trees/web", "-o", str(bases / "same.tar"), "-t", "same").ok()
        build("build", "trees/lib", "-o", str(bases / "triggers.tar"), "--onbuild", "RUN x").ok()
    for path in bases.glob("*.tar"):
        (shop.directory / path.name).hardlink_to(path)
    with tarfile.open(shop.directory / "raw.tar", "w") as tar:
        tar.add(shop.directory / "trees" / "api" / "bin" / "api", "raw")
    (shop.directory / "ignored").write_text("**/*.js\n")
    (shop.directory / "list").write_text("#mtree\n. type=dir\n    extra type=dir mode=0700\n..\n")
    server = (shop.directory / "trees" / "web" / "bin" / "server").stat()
    (shop.directory / "fakeroot.state").write_text(
        f"dev={server.st_dev:x},ino={server.st_ino},mode=100700,uid=7,gid=8,nlink=1,rdev=0\n"
    )
    return shop


def test_every_key_is_tested() -> None:
    """Those that decide the bytes are here."""
    assert CASES.keys() == KEYS.keys() - ELSEWHERE


@pytest.mark.parametrize("key", sorted(CASES))
def test_a_key_makes_the_bytes_of_its_option(ready: Shop, key: str) -> None:
    """From the command line or from the file; and they are not those of an image without it."""
    lines, flags = CASES[key]
    format_too = '\nformat = "oci"' if key == "compression" else ""
    source = "" if 'layers = ["trees' in lines else SOURCE
    ready.write(f'[image.web]\noutput = "file.tar"\n{source}\n{lines}{format_too}\n')
    ready.imgpack("build").ok()

    sources = [] if not source else ["trees/web"]
    names = [] if key in ("name", "tags") else ["-t", "web"]
    ready.imgpack("build", *sources, *shlex.split(flags), *names, "-o", "flags.tar").ok()
    assert ready.digest("file.tar") == ready.digest("flags.tar")

    ready.imgpack("build", "trees/web", "-t", "web", "-o", "plain.tar").ok()
    assert (ready.digest("plain.tar") == ready.digest("file.tar")) == (key in NO_DIFFERENCE)


def test_every_option_is_a_key_or_about_the_machine() -> None:
    """A new option of build is one or the other: whoever adds it decides."""
    options = {param.name for param in build.params if isinstance(param, click.Option)}
    given = {key.option for key in KEYS.values()} | {"tags"}
    own = {"project_file", "settings", "print_plan", "quiet", "verbose", "progress", "debug"}
    assert options - own - MACHINE - PUSH == given - {"sources", ""}
    assert {key.option for key in LAYER_KEYS.values()} - {""} <= options


def test_what_contradicts_is_an_option() -> None:
    """Both sides of it."""
    options = {param.name for param in build.params}
    assert CONTRARY.keys() | set(CONTRARY.values()) <= options
