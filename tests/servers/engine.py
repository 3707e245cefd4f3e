"""A Docker engine, containerd, and podman with a storage, all of the tests' own.

The engine has no network and no firewall rules, and keeps its data, state and
socket in one short directory (a socket's path is limited to 107 bytes).
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import Server, require, require_root, run

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""Of a container: those of the host's, which podman's own may be above."""


def _unmount_below(directory: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted(mounted, reverse=True):
        if place.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@contextlib.contextmanager
def _state(prefix: str) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield directory
    finally:
        _unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


class Engine:
    """A running Docker engine, spoken to through the ``docker`` client."""

    def __init__(self, client: str, socket: Path, directory: Path, server: Server) -> None:
        self._client = client
        self.socket = socket
        self.directory = directory
        self.server = server

    def __call__(self, *arguments: str, **options: object) -> bytes:
        """The standard output of ``docker ARGUMENTS``; a failure is an error."""
        return run([self._client, "-H", f"unix://{self.socket}", *arguments], **options).stdout

    def load(self, archive: Path) -> str:
        """Load an archive; what the engine said."""
        return self("load", "-i", str(archive)).decode()

    def run(self, *arguments: str) -> bytes:
        """The output of a throw-away container without network."""
        return self("run", "--rm", "--network", "none", *arguments)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Path]:
        """Start a container; the place where its root file system is mounted on the host."""
        container = self("run", "-d", "--network", "none", *arguments).decode().strip()
        try:
            described = json.loads(self("inspect", container))[0]
            assert described["State"]["Running"], self("logs", container)
            yield Path(described["GraphDriver"]["Data"]["MergedDir"])
        finally:
            self("rm", "-f", container)


@contextlib.contextmanager
def docker_engine() -> Iterator[Engine]:
    """A Docker engine that lives as long as the context."""
    daemon, client = require("dockerd"), require("docker")
    require_root("a Docker engine")
    with _state("imgpack-engine-") as directory:
        socket = directory / "docker.sock"
        argv = [
            daemon,
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            "--config-file",
            str(directory / "daemon.json"),
            "--data-root",
            str(directory / "data"),
            "--exec-root",
            str(directory / "exec"),
            "--pidfile",
            str(directory / "docker.pid"),
            "-H",
            f"unix://{socket}",
        ]
        (directory / "daemon.json").write_text("{}")

        def ready() -> bool:
            asked = [client, "-H", f"unix://{socket}", "version"]
            return subprocess.run(asked, capture_output=True, check=False).returncode == 0

        with Server(argv, directory / "log", ready) as server:
            yield Engine(client, socket, directory, server)


class Podman:
    """Podman as root, with images, containers and policy in a directory of the tests'."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory

    @property
    def options(self) -> tuple[str, ...]:
        """What is said before each command."""
        place = ("--root", str(self._directory / "root"), "--runroot", str(self._directory / "run"))
        return (*place, "--runtime", "runc")

    @property
    def environment(self) -> dict[str, str]:
        """What is added to the environment."""
        # Without this podman insists on the file that DOCKER_CONFIG promises.
        credentials = {"REGISTRY_AUTH_FILE": str(self._directory / "auth.json")}
        return {"TMPDIR": str(self._directory), **credentials}

    def __call__(self, *arguments: str, **options: object) -> bytes:
        """The standard output of ``podman ARGUMENTS``; a failure is an error."""
        environment = {**os.environ, **self.environment}
        argv = [self._program, *self.options, *arguments]
        return run(argv, **{"env": environment, **options}).stdout

    def run(self, *arguments: str) -> bytes:
        """The output of a throw-away container without network, its limits those of the host."""
        return self("run", "--rm", "--network", "none", *LIMITS, *arguments)


@contextlib.contextmanager
def podman_storage() -> Iterator[Podman]:
    """Podman over an empty storage that is gone with the context."""
    program = require("podman")
    require("runc")
    require_root("podman over a storage of its own")
    with _state("imgpack-podman-") as directory:
        (directory / "auth.json").write_text("{}")
        yield Podman(program, directory)


class Containerd:
    """A running containerd, spoken to through ``ctr``."""

    def __init__(self, client: str, socket: Path) -> None:
        self._client = client
        self.socket = socket

    def __call__(self, *arguments: str) -> bytes:
        """The standard output of ``ctr ARGUMENTS``; a failure is an error."""
        return run([self._client, "-a", str(self.socket), *arguments]).stdout

    @contextlib.contextmanager
    def mounted(self, image: str, place: Path) -> Iterator[Path]:
        """An image's root file system, mounted at ``place``."""
        self("images", "mount", image, str(place))
        try:
            yield place
        finally:
            self("images", "unmount", "--rm", str(place))


@contextlib.contextmanager
def containerd_daemon() -> Iterator[Containerd]:
    """A containerd that lives as long as the context."""
    daemon, client = require("containerd"), require("ctr")
    require_root("containerd")
    with _state("imgpack-containerd-") as directory:
        socket = directory / "socket"
        settings = directory / "config.toml"
        settings.write_text(
            f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
        )

        def ready() -> bool:
            asked = [client, "-a", str(socket), "version"]
            return subprocess.run(asked, capture_output=True, check=False).returncode == 0

        with Server([daemon, "-c", str(settings)], directory / "log", ready):
            yield Containerd(client, socket)
