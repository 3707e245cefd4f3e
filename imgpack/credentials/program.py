"""Credential helper programs: ``docker-credential-NAME get|store|erase``.

The protocol of docker-credential-helpers: the server's name (or a JSON
document) on standard input, a JSON document or an error text on standard output.
Invariants: a helper's name is checked before it becomes part of a path; it is
started by its absolute path, without a shell, and not waited for longer than its
time-out, after which it is killed with all that it started; no more is read of what
it prints than an answer may have; what it printed is never shown, but for its known "not found".
"""

import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import CredentialError
from imgpack.files.writing import write_all

ANSWER_LIMIT: Final = 1 << 20
"""Bytes of a helper's answer that are accepted."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NOT_FOUND: Final = ("credentials not found in native keychain", "no credentials server url")


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper that was found: ``path`` is absolute, ``source`` the file that names it."""

    source: str
    path: str
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float = 30.0

    @classmethod
    def locate(
        cls,
        source: str,
        name: object,
        search_path: str,
        *,
        environment: tuple[tuple[str, str], ...] = (),
        timeout: float = 30.0,
    ) -> "Helper":
        """Find the program in the absolute directories of ``search_path``.

        Raises ``CredentialError`` when the name is not valid or there is no such program.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise CredentialError(
                f"{source}: the name of a credential helper is not valid",
                "names have lower-case letters, digits and . _ -",
            )
        program = f"docker-credential-{name}"
        for directory in search_path.split(os.pathsep):
            path = os.path.join(directory, program)
            if os.path.isabs(directory) and os.path.isfile(path) and os.access(path, os.X_OK):
                return cls(source, path, environment, timeout)
        raise CredentialError(
            f"{source}: the credential helper {program} is not installed",
            "install it, or take it out of that file",
        )

    def get(self, server: str) -> tuple[str, str] | None:
        """(user name, secret) for ``server``, or ``None`` when the helper knows none."""
        code, output = self._run("get", server.encode())
        text = output.decode("utf-8", "replace").strip()
        if code != 0:
            if text.lower() in _NOT_FOUND:
                return None
            raise self._broken(f"failed with status {code}")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._broken("did not answer with a JSON object")
        username, secret = document.get("Username"), document.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._broken("answered without Username and Secret")
        return (username, secret) if secret else None

    def store(self, server: str, username: str, secret: str) -> None:
        """Store a secret. Raises ``CredentialError`` when that fails."""
        document = {"ServerURL": server, "Username": username, "Secret": secret}
        self._change("store", json.dumps(document).encode())

    def erase(self, server: str) -> bool:
        """Forget the server's secret; whether there was one. Raises ``CredentialError``."""
        if self.get(server) is None:
            return False
        self._change("erase", server.encode())
        return True

    def _change(self, verb: str, document: bytes) -> None:
        code, _ = self._run(verb, document)
        if code != 0:
            raise self._broken(f"could not {verb} the credentials (status {code})")

    def _run(self, verb: str, document: bytes) -> tuple[int, bytes]:
        try:
            with _running([self.path, verb], document, dict(self.environment)) as process:
                output = _read(process, time.monotonic() + self.timeout)
                return process.wait(), output
        except TimeoutError:
            raise self._broken(f"did not answer in {self.timeout:.0f} s") from None
        except OSError as error:
            raise self._broken(f"cannot be started ({error.strerror})") from error
        except OverflowError:
            raise self._broken("answered too much") from None

    def _broken(self, what: str) -> CredentialError:
        return CredentialError(
            f"the credential helper {self.path} {what}", f"it is configured in {self.source}"
        )


@contextmanager
def _running(
    command: list[str], document: bytes, environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program with ``document`` as its input; what it started ends with it if we do not wait."""
    given = os.memfd_create("document")  # a pipe might be full, and nobody read it
    try:
        write_all(given, document)
        os.lseek(given, 0, os.SEEK_SET)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(given)
    with process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What a program prints, to the end. Raises ``TimeoutError`` and ``OverflowError``."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    output = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise TimeoutError
        piece = os.read(pipe, ANSWER_LIMIT)
        if not piece:
            break
        output += piece
        if len(output) > ANSWER_LIMIT:
            raise OverflowError
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return output
