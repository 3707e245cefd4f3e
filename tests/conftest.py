"""What holds for every test: no network but loopback, a home of its own, nothing left to chance.

``IMGPACK_REQUIRE_PEERS=1`` (which ``.ci/run`` sets) makes every skip a
failure. ``--hypothesis-profile deep`` looks longer and at random.
"""

import ipaddress
import itertools
import os
import socket
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.cli_runner import Imgpack, InProcess

pytest_plugins = ["tests.servers.fixtures"]

_ORDINARY = hypothesis.settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.register_profile("ordinary", _ORDINARY)
hypothesis.settings.register_profile(
    "deep", hypothesis.settings(_ORDINARY, derandomize=False, max_examples=5000)
)
hypothesis.settings.load_profile("ordinary")

# Anything that would make a test read the user's files, credentials or settings.
_FOREIGN = (
    "SOURCE_DATE_EPOCH",
    "DOCKER_AUTH_CONFIG",
    "REGISTRY_AUTH_FILE",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "XDG_RUNTIME_DIR",
    "COLUMNS",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
)


def _is_near(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Generator[None]:
    """No test reaches another machine: connecting to one is an error."""
    patch = pytest.MonkeyPatch()

    def guarded(name: str) -> None:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_near(address):
                raise AssertionError(f"a test tried to reach {address!r}")
            return original(self, address)

        patch.setattr(socket.socket, name, connect)

    guarded("connect")
    guarded("connect_ex")
    yield
    patch.undo()


_homes = itertools.count()


@pytest.fixture(scope="session")
def _homes_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory of this test's own; caches and credentials go there."""
    place = _homes_directory / str(next(_homes))
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    monkeypatch.setenv("DOCKER_CONFIG", str(place / "docker"))
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def imgpack(tmp_path: Path) -> Imgpack:
    """``imgpack`` as a process, in the test's directory."""
    return Imgpack(tmp_path)


@pytest.fixture
def imgpack_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """``imgpack`` inside this process, in the test's directory: for the many small tests."""
    return InProcess(tmp_path, monkeypatch)


@pytest.fixture
def no_threads() -> Generator[None]:
    """The system has no further thread for this process: none of this size."""
    before = threading.stack_size(1 << 46)
    yield
    threading.stack_size(before)


def _skips_fail() -> bool:
    return os.environ.get("IMGPACK_REQUIRE_PEERS") == "1"


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure where every peer must be there."""
    report = yield
    if report.skipped and _skips_fail() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips itself."""
    report = yield
    if report.skipped and _skips_fail():
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {_reason(report.longrepr)}"
    return report
