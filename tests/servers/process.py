"""A server process: started in a group of its own, its log kept, always stopped.

Invariants: ``start`` returns only once the server answers; a server that does
not is stopped, and the error shows the end of its log; after ``stop`` nothing
of its process group is left; it is told to end when the test run is killed.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

# program: the Debian package that has it, for the message of a skip
PACKAGES = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "skopeo": "skopeo",
    "podman": "podman",
    "runc": "runc",
    "containerd": "containerd",
    "ctr": "containerd",
    "umoci": "umoci",
    "buildah": "buildah",
    "bsdtar": "libarchive-tools",
    "mtree": "mtree-netbsd",
    "busybox": "busybox-static",
    "mmdebstrap": "mmdebstrap",
    "nginx": "nginx-light",
    "htpasswd": "apache2-utils",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "chroot": "coreutils",
    "bash": "bash",
    "zsh": "zsh",
    "fish": "fish",
    "fakeroot": "fakeroot",
    "chromium": "chromium",
}


def search_path() -> str:
    """``PATH`` with the directories of the system's servers at its end."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"


def require(program: str) -> str:
    """The absolute path of ``program``; the test skips and says so where it is missing."""
    found = shutil.which(program, path=search_path())
    if found is None:
        pytest.skip(f"{program} is not installed (Debian package {PACKAGES[program]})")
    return found


def require_root(reason: str) -> None:
    """Skip unless the tests run as root."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {reason}")


def free_port() -> int:
    """A loopback port that nobody listens on at this moment.

    It lies below the range that the system gives out by itself, so that no
    connection takes it before the server does.
    """
    chance = random.SystemRandom()
    for _ in range(100):
        port = chance.randrange(15000, 32000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no loopback port is free")


def settled(log: Path, quiet: float = 0.2) -> str:
    """A log's text once nothing was added for ``quiet`` seconds: servers log behind the answer."""
    before, size = -1, log.stat().st_size
    while before != size:
        time.sleep(quiet)
        before, size = size, log.stat().st_size
    return log.read_text("utf-8", "replace")


def listens(port: int) -> bool:
    """Whether a loopback port takes connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def named_loopback(name: str, directory: Path) -> tuple[str, ...]:
    """A command's prefix: the process alone sees ``name`` as 127.0.0.1.

    A registry on loopback is spoken to without TLS; under another name it is not.
    """
    require_root("a mount namespace with a hosts file of its own")
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {name}\n")
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    return (require("unshare"), "--mount", "sh", "-c", script, "sh")


def run(argv: Sequence[str | bytes], **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end; a failure is an error that shows its standard error."""
    done: subprocess.CompletedProcess[bytes] = subprocess.run(  # type: ignore[call-overload]
        argv,
        **{"capture_output": True, "timeout": 300, "stdin": subprocess.DEVNULL, **options},
    )
    if done.returncode != 0:
        said = (done.stderr or b"")[-4000:] + (done.stdout or b"")[-1000:]
        raise AssertionError(
            f"{os.fsdecode(argv[0])} ended with {done.returncode}: {list(argv)}\n"
            f"{said.decode('utf-8', 'replace')}"
        )
    return done


def _ending_with_us() -> list[str]:
    setpriv = shutil.which("setpriv", path=search_path())
    # Who ignores signals (nohup) would have children that do.
    ours = ["env", "--default-signal=INT,TERM,HUP"]
    return [*ours, setpriv, "--pdeathsig", "TERM"] if setpriv else ours


class Server:
    """A running server process; a context manager."""

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        *,
        env: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_ending_with_us(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PATH": search_path(), **(env or {})},
            )
        try:
            self._await(ready, patience)
        except BaseException:
            self.stop()
            raise

    def _await(self, ready: Callable[[], bool], patience: float) -> None:
        deadline = time.monotonic() + patience
        while not ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once: {self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server was not ready in {patience:.0f} s: {self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        """The last lines of the server's log."""
        return self.log.read_text("utf-8", "replace")[-4000:]

    def stop(self) -> None:
        """Ask the server to end, then make it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
