"""Servers of the benchmark's own: started in a group of their own, always stopped."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .run import Bench, BenchError, find, remove

_REQUEST = re.compile(r'"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/[\d.]+" (\d{3})')


@contextlib.contextmanager
def running(
    argv: Sequence[str], log: Path, ready: Callable[[], bool], *, env: Mapping[str, str]
) -> Iterator[None]:
    """A server that answers; raises ``BenchError`` if it does not within a minute."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text("utf-8", "replace")[-1000:]
                raise BenchError(f"{argv[0]} does not start: {said}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the registry's access log."""

    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry on loopback; ``host`` is what goes before a name."""

    host: str
    log: Path

    def requests(self) -> list[Request]:
        """All that was asked so far, once the log has stopped growing."""
        before, size = -1, self.log.stat().st_size
        while before != size:
            time.sleep(0.3)
            before, size = size, self.log.stat().st_size
        text = self.log.read_text("utf-8", "replace")
        return [Request(m[1], m[2], int(m[3])) for m in _REQUEST.finditer(text)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def registry(bench: Bench) -> Iterator[Registry]:
    """An empty registry (Distribution) with its storage in the work directory."""
    program = find("docker-registry")
    if program is None:
        raise BenchError("docker-registry is not installed; run scripts/install-peers")
    place = bench.work / "registry"
    remove(place)
    place.mkdir()
    port = _free_port()
    document = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(place / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": True},
    }
    (place / "config.yml").write_text(json.dumps(document))
    argv = [program, "serve", str(place / "config.yml")]
    try:
        with running(argv, place / "log", lambda: _listens(port), env=bench.env):
            yield Registry(f"127.0.0.1:{port}", place / "log")
    finally:
        remove(place)
