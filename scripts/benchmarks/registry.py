"""``scripts/bench registry``: push, pull and push again, through a local registry."""

import shlex
from collections.abc import Callable
from pathlib import Path

from .cold import MEMORY_LIMIT as BUILD_LIMIT
from .figures import MISSING, Section, Table, Target, mib, number, seconds
from .inputs import MIB, Inputs
from .run import Bench, BenchError, Run, Runs, Tool, find, pipeline, say
from .servers import Registry, Request, registry

LAYERS = 4
NAME = "bench/image:1"
OURS_PUSH, OURS_PULL = "imgpack push", "imgpack pull"
OURS_ARCHIVE, OURS_AGAIN = OURS_PUSH, "imgpack push, again"
PUSH_DOCKER, PUSH_OCI = "skopeo copy docker-archive:", "skopeo copy oci-archive:"
PULL_DOCKER, PULL_OCI = "skopeo copy to docker-archive:", "skopeo copy to oci-archive:"
AGAIN_OCI = "skopeo copy oci-archive:, again"
AT_ONCE, ONE_BY_ONE = "imgpack build --push", "imgpack build, then imgpack push"
MEMORY_LIMIT, EXTRA_REQUESTS = 150, 5

Command = Callable[[str], Tool]  # for the registry's host


def _trees(bench: Bench) -> list[Path]:
    """The sources of the four layers, half of whose raw bytes compress."""
    inputs = Inputs(bench)
    size = (512 if bench.full else 16) * MIB
    return [inputs.large(size, seed, f"layer{seed}") for seed in range(1, LAYERS + 1)]


def _building(bench: Bench, name: str, *options: str | Path) -> tuple[str, ...]:
    return bench.imgpack("build", *_trees(bench), "-t", name, "--no-cache", *options)


def image(bench: Bench) -> Path:
    """The archive that is pushed."""
    archive = bench.out / "image.tar"
    bench.output(_building(bench, "bench:1", "-o", archive))
    return archive


def _builds(bench: Bench) -> dict[str, Command]:
    """Build and push in one command and in two, each into an empty registry."""
    archive = bench.out / "built.tar"

    def at_once(host: str) -> Tool:
        return Tool(AT_ONCE, _building(bench, f"{host}/{NAME}", "--push"))

    def one_by_one(host: str) -> Tool:
        build = shlex.join(_building(bench, "bench:1", "-o", archive))
        push = shlex.join(bench.imgpack("push", archive, f"{host}/{NAME}"))
        return Tool(ONE_BY_ONE, pipeline(f"{build} && {push}"))

    return {AT_ONCE: at_once, ONE_BY_ONE: one_by_one}


def _pushes(bench: Bench, archive: Path) -> dict[str, Command]:
    def ours(host: str) -> Tool:
        return Tool(OURS_PUSH, bench.imgpack("push", archive, f"{host}/{NAME}"))

    def theirs(name: str, source: str) -> Command:
        return lambda host: Tool(name, _skopeo(source, f"docker://{host}/{NAME}"))

    out: dict[str, Command] = {OURS_PUSH: ours}
    if find("skopeo"):
        out[PUSH_DOCKER] = theirs(PUSH_DOCKER, f"docker-archive:{archive}")
        out[PUSH_OCI] = theirs(PUSH_OCI, f"oci-archive:{archive}")
    return out


def _skopeo(source: str, target: str) -> tuple[str, ...]:
    options = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return ("skopeo", "--insecure-policy", "copy", "-q", *options, source, target)


def _pulls(bench: Bench, host: str) -> list[Tool]:
    source, out = f"{host}/{NAME}", bench.out
    tools = [
        Tool(OURS_PULL, bench.imgpack("pull", source, "-o", out / "ours.tar"), out / "ours.tar")
    ]
    if find("skopeo"):
        for name, kind in ((PULL_DOCKER, "docker-archive"), (PULL_OCI, "oci-archive")):
            output = out / f"{kind}.tar"
            target = f"{kind}:{output}:bench:1"
            once = name == PULL_DOCKER
            tools.append(Tool(name, _skopeo(f"docker://{source}", target), output, once=once))
    return tools


def _built(bench: Bench, builds: dict[str, Command]) -> Runs:
    """Each in every round, in turn; a failed one is left out."""
    runs: dict[str, list[Run]] = {}
    failures: dict[str, str] = {}
    for number_ in range(bench.rounds):
        names = list(builds)[:: -1 if number_ % 2 else 1]
        for name in names:
            if name in failures:
                continue
            try:
                with registry(bench) as server:
                    run = bench.measure(builds[name](server.host).argv)
            except (BenchError, OSError) as error:
                failures[name] = str(error)
                runs.pop(name, None)
                say(f"{name}: FAILED: {error}")
                continue
            runs.setdefault(name, []).append(run)
            say(f"{name}: {run.wall:.2f} s")
    return Runs({name: tuple(found) for name, found in runs.items()}, failures)


class _Pushing:
    """Each push goes to a registry that is empty; the same push follows, with its requests."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.runs: dict[str, list[Run]] = {}
        self.failures: dict[str, str] = {}
        self.requests: dict[str, list[Request]] = {}

    def once(self, name: str, command: Command) -> None:
        again = AGAIN_OCI if name == PUSH_OCI else f"{name}, again"
        if name in self.failures or (name == PUSH_DOCKER and name in self.runs):
            return  # decompressing and compressing again takes half a minute: once is enough
        try:
            with registry(self._bench) as server:
                first = self._measure(server, command, name)
                second = self._measure(server, command, again)
        except (BenchError, OSError) as error:
            self.failures[name] = self.failures[again] = str(error)
            say(f"{name}: FAILED: {error}")
            return
        self.runs.setdefault(name, []).append(first)
        self.runs.setdefault(again, []).append(second)
        say(f"{name}: {first.wall:.2f} s, again {second.wall:.2f} s")

    def _measure(self, server: Registry, command: Command, name: str) -> Run:
        before = len(server.requests())
        run = self._bench.measure(command(server.host).argv)
        self.requests[name] = server.requests()[before:]
        return run

    def all(self) -> Runs:
        """What ran."""
        kept = {name: tuple(runs) for name, runs in self.runs.items() if name not in self.failures}
        return Runs(kept, self.failures)


def beyond_heads(requests: list[Request]) -> int:
    """The requests beyond one HEAD for each blob that was asked about."""
    blobs = {each.path for each in requests if each.method == "HEAD" and "/blobs/" in each.path}
    return len(requests) - len(blobs)


def _rows(
    runs: Runs, requests: dict[str, list[Request]], ours: str, size: int, names: list[str]
) -> tuple[tuple[str, ...], ...]:
    out = []
    for name in names:
        if name not in runs.runs:
            out.append((f"{name} (failed)", *[MISSING] * 6))
            continue
        wall = runs.median(name)
        asked = str(len(requests[name])) if name in requests else MISSING
        out.append(
            (
                name,
                seconds(wall),
                seconds(runs.median(name, "cpu")),
                mib(runs.median(name, "peak")),
                f"{size / 1e6 / wall:.0f}",
                asked,
                number(runs.ratio(ours, name)),
            )
        )
    return tuple(out)


HEAD = ("command", "wall s", "CPU s", "peak MiB", "MB/s", "requests", "imgpack ÷ this")


def run(bench: Bench) -> Section:
    """Push to an empty registry, push again, pull; imgpack and skopeo in turn."""
    archive = image(bench)
    size = archive.stat().st_size
    pushing = _Pushing(bench)
    commands = list(_pushes(bench, archive).items())
    for number_ in range(bench.rounds):
        first = number_ % len(commands)
        for name, command in (*commands[first:], *commands[:first]):
            pushing.once(name, command)
    pushed = pushing.all()
    with registry(bench) as server:
        bench.output(_pushes(bench, archive)[OURS_PUSH](server.host).argv)
        tools = _pulls(bench, server.host)
        pulled = bench.in_turn("pull", tools)
    built = _built(bench, _builds(bench))
    if not bench.keep:
        for path in (archive, bench.out / "built.tar"):
            path.unlink(missing_ok=True)
    names = [name for name, _ in commands]
    again = [AGAIN_OCI if name == PUSH_OCI else f"{name}, again" for name in names]
    what = f"an image of {LAYERS} layers, {size / 1e6:,.0f} MB"
    tables = (
        Table(f"Push {what}", HEAD, _rows(pushed, pushing.requests, OURS_PUSH, size, names)),
        Table("Push it again", HEAD, _rows(pushed, pushing.requests, OURS_AGAIN, size, again)),
        Table(
            f"Pull {what}",
            HEAD,
            _rows(pulled, {}, OURS_PULL, size, [tool.name for tool in tools]),
        ),
        Table(
            f"Build and push {what}",
            HEAD,
            _rows(built, {}, AT_ONCE, size, [AT_ONCE, ONE_BY_ONE]),
        ),
    )
    targets = _targets(pushed, pulled, pushing.requests) + _building_targets(built)
    return Section("registry", bench.scale, bench.rounds, targets, tables)


def _building_targets(built: Runs) -> tuple[Target, ...]:
    peak = built.median(AT_ONCE, "peak") / MIB if AT_ONCE in built.runs else None
    return (
        Target("build --push", ONE_BY_ONE, 0.75, built.ratio(AT_ONCE, ONE_BY_ONE)),
        Target("peak memory, build --push", "imgpack alone", BUILD_LIMIT, peak, "MiB"),
    )


def _targets(pushed: Runs, pulled: Runs, requests: dict[str, list[Request]]) -> tuple[Target, ...]:
    extra = None
    if OURS_AGAIN in pushed.runs:
        extra = float(beyond_heads(requests[OURS_AGAIN]))
    peaks = [
        runs.median(name, "peak") / MIB if name in runs.runs else None
        for runs, name in ((pushed, OURS_PUSH), (pulled, OURS_PULL))
    ]
    itself = "imgpack alone"
    return (
        Target("push", PUSH_OCI.rstrip(":"), 0.7, pushed.ratio(OURS_PUSH, PUSH_OCI)),
        Target("push", PUSH_DOCKER.rstrip(":"), 0.7, pushed.ratio(OURS_PUSH, PUSH_DOCKER)),
        Target("push again", "requests beyond one HEAD a blob", EXTRA_REQUESTS, extra, ""),
        Target("peak memory, push", itself, MEMORY_LIMIT, peaks[0], "MiB"),
        Target("peak memory, pull", itself, MEMORY_LIMIT, peaks[1], "MiB"),
    )
