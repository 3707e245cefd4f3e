"""The engine that images are loaded into, and what its programs see of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import gathered

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal

_NAMES: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "KUBECONFIG", "REGISTRY_AUTH_FILE"),
    *("STORAGE_DRIVER", "STORAGE_OPTS"),
)
_PREFIXES: Final = (
    "DOCKER_",
    "CONTAINER_",
    "CONTAINERS_",
    "_CONTAINERS_",
    "CONTAINERD_",
    "PODMAN_",
    "KIND_",
    "XDG_",
)

engine_option = click.option(
    "--engine",
    type=click.Choice(["docker", "podman", "containerd", "kind"]),
    help="Which engine. [default: the first of docker, podman and containerd that answers; those"
    " first that DOCKER_HOST, CONTAINER_HOST or CONTAINERD_ADDRESS names]",
)


@dataclass(frozen=True, slots=True)
class LoadFlags:
    """Whether what is built is loaded, and into which engine."""

    load: bool
    engine: str | None

    def check(self) -> None:
        """Raise ``click.UsageError`` for an engine that would be left alone."""
        if self.engine is not None and not self.load:
            raise click.UsageError("--engine is about an engine that it is loaded into; add --load")


load_options = gathered(
    "loading",
    LoadFlags,
    click.option("--load", is_flag=True, help="Load it into a container engine; no file is made."),
    engine_option,
)


def find_engine(kind: str | None, terminal: Terminal) -> api.Engine:
    """The engine ``kind``, or the one that is there. Raises ``EngineError``."""
    return api.find_engine(
        kind,
        environment=engine_environment(os.environ),
        scratch=scratch_directory,
        reporter=terminal,
    )


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What an engine's program is to see: where it is, whose it is, how it gets there."""
    return {
        name: value
        for name, value in environment.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
