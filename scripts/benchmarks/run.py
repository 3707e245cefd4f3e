"""How one command is measured, and how several are measured in turn.

Every command is a process of its own: wall and CPU time by the monotonic clock and
``wait4``. Peak memory is that of all its processes together, as ``memory.py`` sees it
while they run, and never below the kernel's own figure for the largest single one
(``ru_maxrss``), nor below the launcher's size (about 8 MiB, see ``launch.py``).

Outputs are removed and dirty pages are written back before each run; the page
cache is left warm for everybody.
"""

import os
import shutil
import signal
import stat
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .memory import Session

ROOT = Path(__file__).resolve().parent.parent.parent
_LAUNCH = Path(__file__).resolve().parent / "launch.py"
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class BenchError(Exception):
    """A command failed, ended late, or is missing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds, CPU seconds, bytes of peak memory, bytes of output."""

    wall: float
    cpu: float
    peak: int
    output: int = 0


def figure(run: Run, what: str) -> float:
    """One of a run's figures, by name."""
    return float(getattr(run, what))


@dataclass(frozen=True, slots=True)
class Tool:
    """A command under a name; what it writes; what is done, untimed, before and after a run.

    A slow one may run ``once``, in the first round only.
    """

    name: str
    argv: tuple[str, ...]
    output: Path | None = None
    prepare: Callable[[], None] | None = None
    finish: Callable[[], None] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    once: bool = False


def pipeline(script: str, *arguments: str | Path) -> tuple[str, ...]:
    """A shell script that fails when any part of a pipe does; ``$1`` is the first argument."""
    return ("bash", "-o", "pipefail", "-ec", script, "bash", *map(str, arguments))


def size_of(path: Path) -> int:
    """The bytes of a file, or of all the files below a directory."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(
        os.lstat(os.path.join(directory, name)).st_size
        for directory, _, files in os.walk(path)
        for name in files
    )


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def shown(argv: Sequence[str]) -> str:
    """A command for a message."""
    return " ".join(argv)[:400]


def find(program: str) -> str | None:
    """The path of a program, also where only the system's servers lie."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}")


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


class Bench:
    """A work directory, the environment that everything runs in, and the scale of it all."""

    def __init__(self, work: Path, *, scale: str, rounds: int, keep: bool) -> None:
        self.work = work.resolve()
        self.scale = scale
        self.rounds = rounds
        self.keep = keep
        self.out = self.directory("out")
        venv = ROOT / ".venv" / "bin" / "python"
        self.python = str(venv) if venv.exists() else sys.executable
        home = self.directory("home")
        # buildah and skopeo insist on the file in the directory that DOCKER_CONFIG names.
        (self.directory("home/docker") / "config.json").write_text("{}\n")
        self.env = {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}",
            "HOME": str(home),
            "XDG_CACHE_HOME": str(self.directory("home/cache")),
            "XDG_CONFIG_HOME": str(self.directory("home/config")),
            "XDG_DATA_HOME": str(self.directory("home/data")),
            "DOCKER_CONFIG": str(home / "docker"),
            "TMPDIR": str(self.directory("tmp")),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYTHONPYCACHEPREFIX": str(self.directory("pycache")),
        }

    @property
    def full(self) -> bool:
        """Whether this is the scale that the targets are stated for."""
        return self.scale == "full"

    def directory(self, name: str) -> Path:
        """A directory below the work directory, made if need be."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def imgpack(self, *arguments: str | Path, python: str | None = None) -> tuple[str, ...]:
        """The command line of the checkout's imgpack."""
        return (python or self.python, "-m", "imgpack", *map(str, arguments))

    def set_aside(self, directory: Path) -> None:
        """Put a directory that was used out of the way; it goes when all is measured.

        ext4 searches past inodes that were freed in the last minutes (``fs/ext4/ialloc.c``,
        ``recently_deleted``). A directory of a thousand files that is removed before a
        run makes that run pay for every file that it creates itself. Out of the page
        cache it goes at once: the next run shall have as much memory at hand.
        """
        if not directory.exists():
            return
        aside = self.directory("out/aside")
        target = aside / f"{directory.name}-{len(os.listdir(aside))}"
        directory.rename(target)
        os.sync()
        for place, _, files in os.walk(target):
            for name in files:
                path = os.path.join(place, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue  # links of a root file system lead anywhere
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def measure(
        self, argv: Sequence[str], *, timeout: float = 3600, env: Mapping[str, str] | None = None
    ) -> Run:
        """Run a command once; raises ``BenchError`` if it fails or takes too long."""
        log, report = self.work / "stderr.log", self.work / "report"
        report.unlink(missing_ok=True)
        os.sync()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCH), str(report), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=self.work,
                env={**self.env, **(env or {})},
                start_new_session=True,
            )
            session = Session(process.pid)
            try:
                session.wait(process, timeout)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise BenchError(f"{shown(argv)}\nran for more than {timeout} s") from error
                raise
        failed = ("0", "0", "0", "1")
        wall, cpu, peak, code = report.read_text().split() if report.exists() else failed
        if code != "0":
            raise BenchError(
                f"{shown(argv)}\nended with {code}: {log.read_text('utf-8', 'replace')[-2000:]}"
            )
        return Run(float(wall), float(cpu), max(int(peak) * 1024, session.peak))

    def output(
        self, argv: Sequence[str], *, timeout: float = 3600, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a command that is not measured; its standard output."""
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=self.work,
                env={**self.env, **(env or {})},
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError(str(error)) from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace")[-2000:]
            raise BenchError(f"{shown(argv)}\nended with {done.returncode}: {said}")
        return done.stdout.decode("utf-8", "replace")

    def once(self, tool: Tool) -> Run:
        """One run of a tool, with what belongs before and after it."""
        if tool.output is not None:
            remove(tool.output)
        if tool.prepare is not None:
            tool.prepare()
        run = self.measure(tool.argv, env=tool.env)
        if tool.output is not None:
            run = Run(run.wall, run.cpu, run.peak, size_of(tool.output))
            if not self.keep:
                remove(tool.output)
        if tool.finish is not None:
            tool.finish()
        return run

    def in_turn(self, job: str, tools: Sequence[Tool], rounds: int | None = None) -> "Runs":
        """Run every tool once a round, each round in another order; a tool that fails is left out.

        Rounds are interleaved so that whatever the machine does besides hits all alike.
        """
        runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
        failures: dict[str, str] = {}
        for number in range(self.rounds if rounds is None else rounds):
            first = number % len(tools)
            for tool in (*tools[first:], *tools[:first]):
                if tool.name in failures or (number and tool.once):
                    continue
                try:
                    run = self.once(tool)
                except (BenchError, OSError) as error:
                    failures[tool.name] = str(error)
                    say(f"{job}: {tool.name}: FAILED: {error}")
                    continue
                runs[tool.name].append(run)
                say(f"{job}: round {number + 1}: {tool.name}: {run.wall:.2f} s")
        kept = {name: tuple(found) for name, found in runs.items() if name not in failures}
        return Runs(kept, failures)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of several tools in the same rounds; which of them failed, and how."""

    runs: dict[str, tuple[Run, ...]]
    failures: dict[str, str]

    def median(self, name: str, what: str = "wall") -> float:
        """The median over the rounds of one of a run's figures."""
        return statistics.median(figure(run, what) for run in self.runs[name])

    def ratio(self, name: str, peer: str, what: str = "wall") -> float | None:
        """The median of the ratios within a round; ``None`` where either did not run.

        What ran once is compared within the first round.
        """
        ours, theirs = self.runs.get(name), self.runs.get(peer)
        if not ours or not theirs:
            return None
        pairs = zip(ours, theirs, strict=False)
        return statistics.median(figure(a, what) / figure(b, what) for a, b in pairs)
