"""Which engine is there: the one that is asked for, or the first that answers.

The order is docker, podman, containerd. A variable that says where one of them is
(``DOCKER_HOST``, ``DOCKER_CONTEXT``; ``CONTAINER_HOST``; ``CONTAINERD_ADDRESS``) puts it
before those without. kind is only taken when it is asked for.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imgpack.engine.containerd import CONTAINERD, KIND, Containerd, Kind
from imgpack.engine.docker import DOCKER, Docker, DockerOverContainerd
from imgpack.engine.loading import Engine
from imgpack.engine.podman import PODMAN, Podman, RemotePodman
from imgpack.engine.program import EngineProgram, find_program
from imgpack.errors import ConfigError, EngineError, Remedy
from imgpack.events import SILENT, Reporter
from imgpack.spec.platform import Platform

ENGINES: Final = (DOCKER, PODMAN, CONTAINERD, KIND)
_SAID_BY: Final = {
    DOCKER: ("DOCKER_HOST", "DOCKER_CONTEXT"),
    PODMAN: ("CONTAINER_HOST", "CONTAINER_CONNECTION"),
    CONTAINERD: ("CONTAINERD_ADDRESS",),
}
_SNAPSHOTTER: Final = "io.containerd.snapshotter"


def find_engine(
    kind: str | None = None,
    *,
    environment: Mapping[str, str],
    scratch: Callable[[], str] = tempfile.gettempdir,
    reporter: Reporter = SILENT,
) -> Engine:
    """The engine ``kind``, or the one that is there, if none is named.

    ``environment`` is that of its programs, ``PATH`` says where they are; ``scratch`` finds a
    directory for what an engine cannot be fed. Raises ``EngineError`` saying what was looked for.
    """
    search = _Search(dict(environment), scratch, reporter)
    if kind is not None:
        if kind not in ENGINES:
            raise ConfigError(f"there is no engine {kind!r}", f"they are {', '.join(ENGINES)}")
        return search.engine(kind)
    said = [one for one, names in _SAID_BY.items() if any(map(environment.get, names))]
    failures: list[str] = []
    for one in said or _SAID_BY:
        try:
            return search.engine(one)
        except EngineError as error:
            failures.append(error.message)
    raise EngineError(f"no engine is there: {'; '.join(failures)}", Remedy.NAME_ENGINE())


@dataclass(frozen=True, slots=True)
class _Search:
    environment: dict[str, str]
    scratch: Callable[[], str]
    reporter: Reporter

    def engine(self, kind: str) -> Engine:
        """The one of that kind. Raises ``EngineError``."""
        finders: dict[str, Callable[[], Engine]] = {
            DOCKER: self._docker,
            PODMAN: self._podman,
            CONTAINERD: self._containerd,
            KIND: self._kind,
        }
        found = finders[kind]()
        self.reporter.detail(f"the engine is {found.kind}")
        return found

    def _program(self, name: str) -> EngineProgram:
        found = find_program(name, self.environment)
        if found is None:
            raise EngineError(f"the program {name} is not there", "install it, or name another one")
        return found

    def _docker(self) -> Engine:
        program = self._program("docker")
        if program.ask("--version").startswith(b"podman"):  # the package podman-docker
            return self._podman_of(program)
        server = _object(program.ask("version", "--format", "{{json .Server}}"))
        info = _object(program.ask("info", "--format", "{{json .}}"))
        if _SNAPSHOTTER in json.dumps(info.get("DriverStatus")):
            return DockerOverContainerd(program, self.reporter)
        return Docker(program, _platform(server, "Os", "Arch"), self.scratch, self.reporter)

    def _podman(self) -> Engine:
        return self._podman_of(self._program("podman"))

    def _podman_of(self, program: EngineProgram) -> Engine:
        host = _object(program.ask("info", "--format", "json")).get("host")
        host = host if isinstance(host, dict) else {}
        kind = RemotePodman if host.get("serviceIsRemote") is True else Podman
        return kind(program, _platform(host, "os", "arch"), self.scratch, self.reporter)

    def _containerd(self) -> Engine:
        program = self._program("ctr")
        program.ask("version")
        return Containerd(program, self.reporter)

    def _kind(self) -> Engine:
        program = self._program("kind")
        runtime = self._program(self.environment.get("KIND_EXPERIMENTAL_PROVIDER") or "docker")
        return Kind(program, runtime, self.scratch, self.reporter)


def _object(answer: bytes) -> dict[str, Any]:
    """The JSON object that a program answers with; an empty one for anything else."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _platform(said: Mapping[str, Any], system: str, machine: str) -> Platform:
    """What an engine runs; it does not say which variant. Raises ``EngineError``."""
    try:
        return Platform.parse(f"{said.get(system) or 'linux'}/{said.get(machine) or 'amd64'}")
    except ConfigError as error:
        raise EngineError(f"the engine runs nothing that is known: {error.message}") from error
