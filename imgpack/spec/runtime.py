"""What a container is started with, checked against what loaders and engines accept.

Source: OCI image-spec ``config.md``, and Docker's additions to it (Healthcheck, OnBuild,
Shell). Invariant: a configuration that loads but cannot run is no value of these types.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import ConfigError

INT32_MAX: Final = 2**31 - 1
"""The largest uid and gid that engines run, and a number that any Go program can decode."""
_LEAST: Final = 10**6  # Docker's API refuses shorter times than a millisecond
_MOST: Final = 2**63 - 1
# Those that Docker's engine knows; any other fails when a container is made.
_SIGNAL: Final = re.compile(
    r"SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV"
    r"|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ"
    r"|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)|[1-9]|[1-5]\d|6[0-4]"
)
_USER: Final = re.compile(r"[^\s:+\x00-\x1f\x7f-][^\s:\x00-\x1f\x7f]*")
_TRIGGER: Final = re.compile(
    r"(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|RUN|SHELL|STOPSIGNAL|USER|VOLUME"
    r"|WORKDIR)[ \t\v\f\r]+([^\n]|\\\n)+",
    re.IGNORECASE | re.ASCII,
)


def is_time(nanoseconds: float) -> bool:
    """Whether a health check may have this time; 0 is the default."""
    return nanoseconds == 0 or _LEAST <= nanoseconds <= _MOST


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's health check: ``test`` as in its API, times in nanoseconds, 0 for the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

    def __post_init__(self) -> None:
        """Raises ``ConfigError``."""
        match self.test:
            case ("NONE",):
                pass
            case ("CMD", program, *_) if program:
                pass
            case ("CMD-SHELL", command) if command.strip():
                pass
            case _:
                # Docker's daemon, all of it, ends in a panic when a container with ["CMD"]
                # is started.
                raise ConfigError(
                    f"{list(self.test)!r} names no command",
                    'write ["CMD","/bin/check","-q"], ["CMD-SHELL","check -q"] or ["NONE"]',
                )
        times = (self.interval, self.timeout, self.start_period)
        if not (all(map(is_time, times)) and 0 <= self.retries <= INT32_MAX):
            raise ConfigError(
                f"a health check with the times {times} and {self.retries} retries is none",
                "times are nanoseconds, from a millisecond on",
            )

    def as_json(self) -> dict[str, Any]:
        """The ``Healthcheck`` object of Docker's image configuration."""
        times = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "Retries": self.retries,
        }
        return {"Test": list(self.test)} | {key: value for key, value in times.items() if value}


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports from ``first`` to ``last`` of one protocol, as one ``EXPOSE`` says them."""

    first: int
    last: int
    protocol: str = "tcp"

    def __post_init__(self) -> None:
        """Raises ``ConfigError``."""
        ordered = 0 < self.first <= self.last <= 65535
        if not ordered or self.protocol not in ("tcp", "udp", "sctp"):
            raise ConfigError(f"'{self}' is not a port", "write 80, 53/udp or 8000-8010")

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{numbers}/{self.protocol}"

    def each(self) -> Iterator[str]:
        """The ports one by one, as the configuration names them."""
        for number in range(self.first, self.last + 1):
            yield f"{number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Runtime:
    """The ``config`` object: what a container of the image is started with.

    ``env`` are ``NAME=value``; ``entrypoint`` and ``cmd`` a program and its arguments
    (``None``: not said, empty: none); ``volumes`` and ``working_dir`` absolute paths.
    What no engine would start is refused: ``ConfigError``.
    """

    user: str = ""
    exposed_ports: tuple[Ports, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    onbuild: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("env", "entrypoint", "cmd", "volumes", "onbuild", "shell"):
            if isinstance(value := getattr(self, name), str):  # a sequence of letters
                raise TypeError(f"{name} is a tuple of texts, and not the text {value!r}")
        for text in (*self.env, *(f"{key}={value}" for key, value in self.labels)):
            if text.find("=") < 1:
                raise ConfigError(f"{text!r} has no name and value", "write NAME=VALUE")
        words = (*self.env, *(self.entrypoint or ()), *(self.cmd or ()), *self.shell)
        if wrong := [word for word in words if "\0" in word]:
            raise ConfigError(f"{wrong[0]!r} can be given to no program: it has a NUL in it")
        for path in self.volumes:
            _check_volume(path)
        if self.working_dir:
            _check_absolute(self.working_dir)
        if self.user:
            _check_user(self.user)
        for trigger in self.onbuild:
            if not _TRIGGER.fullmatch(trigger):
                raise ConfigError(
                    f"{trigger!r} cannot be a trigger",
                    "write one Dockerfile instruction, as RUN make, "
                    "but not ONBUILD, FROM or MAINTAINER",
                )
        if self.stop_signal and not _SIGNAL.fullmatch(self.stop_signal):
            raise ConfigError(f"{self.stop_signal!r} is not a signal", "write SIGTERM or 15")

    def as_json(self) -> dict[str, Any]:
        """The JSON object in Docker's key order; what is not set is left out."""
        ports = {port for ports in self.exposed_ports for port in ports.each()}
        pairs: tuple[tuple[str, Any], ...] = (
            ("User", self.user),
            ("ExposedPorts", {port: {} for port in sorted(ports)}),
            ("Env", list(self.env)),
            ("Entrypoint", None if self.entrypoint is None else list(self.entrypoint)),
            ("Cmd", None if self.cmd is None else list(self.cmd)),
            ("Healthcheck", self.healthcheck and self.healthcheck.as_json()),
            ("Volumes", {path: {} for path in sorted(self.volumes)}),
            ("WorkingDir", self.working_dir),
            ("OnBuild", list(self.onbuild)),
            ("Labels", dict(sorted(self.labels))),
            ("StopSignal", self.stop_signal),
            ("Shell", list(self.shell)),
        )
        return {key: value for key, value in pairs if value or (key in _CLEARABLE and value == [])}


# An empty list says "none", which is not the same as saying nothing when a base has one.
_CLEARABLE = frozenset({"Entrypoint", "Cmd"})


def _check_user(text: str) -> None:
    parts = text.split(":")
    if len(parts) > 2 or not all(_USER.fullmatch(part) and _fits(part) for part in parts):
        raise ConfigError(
            f"{text!r} is not a user",
            f"write USER or USER:GROUP, each a name or a number up to {INT32_MAX}",
        )


def _fits(part: str) -> bool:
    """Whether a name is one, or else an id that an engine can run."""
    return not (part.isascii() and part.isdigit()) or (len(part) <= 10 and int(part) <= INT32_MAX)


def _check_absolute(path: str) -> None:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ConfigError(f"{path!r} is not an absolute path without ..")


def _check_volume(path: str) -> None:
    _check_absolute(path)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    # Over /sys and below /dev a container starts, and images for systemd have a volume there.
    if parts in ([], ["dev"]) or parts[0] == "proc":
        raise ConfigError(
            f"{path!r} would hide what a container needs to start",
            "name a directory of its own, as /data",
        )
