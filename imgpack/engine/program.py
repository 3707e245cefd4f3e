"""The command of an engine: run without a shell, fed as fast as it reads, and ended with us.

Invariants: it is started by its absolute path, in a session of its own, with an environment
that is given; no more is kept of what it prints than ``ANSWER_LIMIT``; whatever ends the wait
(Ctrl-C as well) kills it with all that it started.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from imgpack.errors import EngineError, printable

ANSWER_LIMIT: Final = 64 << 20
"""Bytes of an answer that are accepted: descriptions of some thousand images."""
_COMPLAINT: Final = 1 << 16
"""Bytes of standard error that are kept, the last ones."""
_SHOWN: Final = 500
_PIECE: Final = 1 << 16
_PATIENCE: Final = 120.0
"""Seconds that an answer may take. What an engine is fed has no bound."""
_GRACE: Final = 3.0
"""Seconds in which a program that is told to end may clean up."""


class ProgramEnd(NamedTuple):
    """How a program ended: its status (negative: the signal), and what it printed."""

    status: int
    output: bytes
    complaint: bytes


@dataclass(frozen=True, slots=True)
class EngineProgram:
    """A program that was found: ``path`` is absolute, ``prefix`` goes before all arguments."""

    path: str
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    prefix: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return os.path.basename(self.path)

    def ask(self, *arguments: str) -> bytes:
        """What it prints. Raises ``EngineError`` if it fails."""
        return self._good(arguments, self.end(*arguments))

    def feed(self, chunks: Iterable[bytes], *arguments: str) -> bytes:
        """What it prints, with ``chunks`` for its standard input. Raises ``EngineError``."""
        return self._good(arguments, self._run(arguments, chunks, None))

    def work(self, *arguments: str) -> bytes:
        """As ``ask``, of what may take as long as it likes."""
        return self._good(arguments, self._run(arguments, (), None))

    def end(self, *arguments: str) -> ProgramEnd:
        """How it ends, well or not. Raises ``EngineError`` if it does not, or cannot start."""
        return self._run(arguments, (), _PATIENCE)

    def _run(
        self, arguments: Sequence[str], chunks: Iterable[bytes], patience: float | None
    ) -> ProgramEnd:
        given = iter(chunks)
        try:
            with _running([self.path, *self.prefix, *arguments], self.environment) as process:
                return _Exchange(process, given).end(patience)
        except TimeoutError:
            raise EngineError(
                f"{self._told(arguments)} did not answer in {_PATIENCE:.0f} s",
                "see that the engine is well",
            ) from None
        except OverflowError:
            raise EngineError(f"{self._told(arguments)} answered too much") from None
        finally:
            if isinstance(given, Generator):
                given.close()

    def _good(self, arguments: Sequence[str], end: ProgramEnd) -> bytes:
        if end.status == 0:
            return end.output
        how = f"status {end.status}" if end.status > 0 else _signal_name(-end.status)
        said = " ".join(printable(end.complaint.replace(b"\n", b" ")).split())[-_SHOWN:]
        raise EngineError(f"{self._told(arguments)} failed: {said or how}")

    def _told(self, arguments: Sequence[str]) -> str:
        words = [word for word in arguments[:2] if word and not word.startswith("-")]
        return " ".join((self.name, *words))


def _signal_name(number: int) -> str:
    names = {int(one): one.name for one in signal.Signals}
    return names.get(number, f"signal {number}")  # most real-time ones have no name


def find_program(name: str, environment: dict[str, str]) -> EngineProgram | None:
    """The program ``name`` in the absolute directories of the environment's ``PATH``."""
    for directory in environment.get("PATH", "").split(os.pathsep):
        path = os.path.join(directory, name)
        if os.path.isabs(directory) and os.path.isfile(path) and os.access(path, os.X_OK):
            return EngineProgram(path, tuple(environment.items()))
    return None


@contextmanager
def _running(
    command: list[str], environment: tuple[tuple[str, str], ...]
) -> Iterator["subprocess.Popen[bytes]"]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        yield process
    except BaseException:
        _stop(process)
        raise
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it with all that it started: gently first, for podman has files to remove."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        os.killpg(process.pid, signal.SIGKILL)


class _Exchange:
    """What goes into a program and comes out of it, in one thread."""

    def __init__(self, process: "subprocess.Popen[bytes]", chunks: Iterator[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._chunks = chunks
        self._given = process.stdin
        self._pending = memoryview(b"")
        self._printed = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        self._output, self._complaint = self._printed.values()

    def end(self, patience: float | None) -> ProgramEnd:
        """Go on until it ends. Raises ``TimeoutError``, ``OverflowError``, and what chunks do."""
        deadline = None if patience is None else time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            os.set_blocking(self._given.fileno(), False)
            selector.register(self._given, selectors.EVENT_WRITE)
            for pipe in self._printed:
                selector.register(pipe, selectors.EVENT_READ)
            while len(selector.get_map()) > 0:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:  # whatever it goes on to print
                    raise TimeoutError
                events = selector.select(left)
                for key, _ in events:
                    self._step(key.fd, selector)
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        return ProgramEnd(status, bytes(self._output), bytes(self._complaint))

    def _step(self, pipe: int, selector: selectors.BaseSelector) -> None:
        if pipe not in self._printed:
            if not self._write():
                selector.unregister(self._given)
                self._given.close()
            return
        piece = os.read(pipe, _PIECE)
        if not piece:
            selector.unregister(pipe)
            return
        self._printed[pipe] += piece
        del self._complaint[:-_COMPLAINT]
        if len(self._output) > ANSWER_LIMIT:
            raise OverflowError

    def _write(self) -> bool:
        """Give it some more; whether there may be more to give."""
        while not self._pending:
            piece = next(self._chunks, None)
            if piece is None:
                return False
            self._pending = memoryview(piece)
        try:
            self._pending = self._pending[os.write(self._given.fileno(), self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            return False  # why it does not read on, its end says
        return True
