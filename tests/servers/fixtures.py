"""The servers as pytest fixtures: one of each a test session (and worker), made when first used.

A test that changes what a server holds uses names of its own, or starts a
server of its own with the context managers of this package.
"""

from collections.abc import Iterator

import pytest

from tests.servers.certificates import Authority
from tests.servers.distribution import Registry, docker_registry
from tests.servers.engine import (
    Containerd,
    Engine,
    Podman,
    containerd_daemon,
    docker_engine,
    podman_storage,
)
from tests.servers.tokens import TokenServer


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine."""
    with docker_engine() as running:
        yield running


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """A containerd."""
    with containerd_daemon() as running:
        yield running


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman over a storage of its own."""
    with podman_storage() as storage:
        yield storage


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without authentication that does not take schema1."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def schema1_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with ``compatibility.schema1.enabled``."""
    with docker_registry(tmp_path_factory.mktemp("registry-schema1"), schema1=True) as running:
        yield running


@pytest.fixture(scope="session")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants Basic authentication; ``user`` says whose."""
    directory = tmp_path_factory.mktemp("registry-basic")
    with docker_registry(directory, user=("alice", "correct horse")) as running:
        yield running


@pytest.fixture
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """A token server of this test's own, so that its list of requests is too."""
    with TokenServer(tmp_path_factory.mktemp("tokens")) as running:
        yield running


@pytest.fixture
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, token_server: TokenServer
) -> Iterator[Registry]:
    """A registry that trusts ``token_server``."""
    directory = tmp_path_factory.mktemp("registry-token")
    with docker_registry(directory, tokens=token_server) as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that no machine trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))
