"""What the image says: of itself, and how a container is started, as docker spells it.

Each is checked here against what loaders and engines accept: a configuration
that loads but cannot run is refused while its author still looks.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from imgpack import api
from imgpack.cli.options.clock import parse_time
from imgpack.cli.options.group import gathered
from imgpack.errors import ConfigError, LimitError
from imgpack.spec.config import Healthcheck, Ports, Runtime, rfc3339
from imgpack.spec.format import Format
from imgpack.spec.platform import Platform

_Flags = TypeVar("_Flags", "RuntimeFlags", "ImageFlags")

_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
# Those that Docker's engine knows; any other fails when a container is made.
_SIGNAL: Final = re.compile(
    r"SIG(ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV"
    r"|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ"
    r"|RTMIN(\+([1-9]|1[0-5]))?|RTMAX(-([1-9]|1[0-4]))?)|[1-9]|[1-5]\d|6[0-4]"
)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9
}  # fmt: skip
_LEAST: Final = 10**6  # Docker's API refuses shorter times than a millisecond
_MOST: Final = 2**63 - 1
_INT32: Final = 2**31 - 1
"""The largest uid and gid that engines run, and a number that any Go program can decode."""
_USER: Final = re.compile(r"[^\s:+\x00-\x1f\x7f-][^\s:\x00-\x1f\x7f]*")
_MAX_PORTS: Final = 65535
_TIMES: Final = ("interval", "timeout", "start_period")
_TRIGGER: Final = re.compile(
    r"(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|RUN|SHELL|STOPSIGNAL|USER|VOLUME"
    r"|WORKDIR)[ \t\v\f\r]+([^\n]|\\\n)+",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class RuntimeFlags:
    """How a container is started, as it was written."""

    entrypoint: str | None = None
    cmd: str | None = None
    env: tuple[str, ...] = ()
    workdir: str | None = None
    user: str | None = None
    label: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck_cmd: str | None = None
    healthcheck_interval: str | None = None
    healthcheck_timeout: str | None = None
    healthcheck_start_period: str | None = None
    healthcheck_retries: int | None = None
    shell: str | None = None
    onbuild: tuple[str, ...] = ()

    def runtime(self) -> Runtime:
        """What they say. Raises ``ConfigError`` and ``LimitError``."""
        return Runtime(
            user=_user(self.user),
            exposed_ports=_ports(self.expose),
            env=_last_wins(self.env, "--env"),
            entrypoint=_words(self.entrypoint, "--entrypoint"),
            cmd=_words(self.cmd, "--cmd"),
            healthcheck=self._healthcheck(),
            volumes=tuple(dict.fromkeys(_volume(path) for path in self.volume)),
            working_dir="" if self.workdir is None else _absolute(self.workdir, "--workdir"),
            onbuild=tuple(_trigger(text) for text in self.onbuild),
            labels=tuple(
                (text.partition("=")[0], text.partition("=")[2])
                for text in _last_wins(self.label, "--label")
            ),
            stop_signal=_signal(self.stop_signal),
            shell=_words(self.shell, "--shell") or (),
        )

    def _healthcheck(self) -> Healthcheck | None:
        test = None if self.healthcheck_cmd is None else _test(self.healthcheck_cmd)
        times = (self.healthcheck_interval, self.healthcheck_timeout, self.healthcheck_start_period)
        parsed = {
            name: _duration(text, f"--healthcheck-{name.replace('_', '-')}")
            for name, text in zip(_TIMES, times, strict=True)
        }
        given = any(value is not None for value in (*times, self.healthcheck_retries))
        if test in (None, ("NONE",)) and given:
            raise ConfigError(
                "--healthcheck-interval and its like need a check", "add --healthcheck-cmd COMMAND"
            )
        if test is None:
            return None
        return Healthcheck(test, retries=self.healthcheck_retries or 0, **parsed)


runtime_options = gathered(
    "runtime",
    RuntimeFlags,
    click.option("--entrypoint", metavar="JSON|WORDS", help="The program that is run."),
    click.option("--cmd", metavar="JSON|WORDS", help="Its default arguments."),
    click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set a variable."),
    click.option("-w", "--workdir", metavar="PATH", help="The working directory."),
    click.option("-u", "--user", metavar="USER[:GROUP]", help="The user, by name or id."),
    click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Add a label."),
    click.option("--expose", multiple=True, metavar="PORT[-LAST][/PROTO]",
                 help="Document a port, or a range."),
    click.option("--volume", multiple=True, metavar="PATH", help="Declare a volume."),
    click.option("--stop-signal", metavar="SIGNAL", help="The signal that stops the container."),
    click.option("--healthcheck-cmd", metavar="JSON|COMMAND|NONE",
                 help="The health check: words in JSON, a command for the shell, or NONE. JSON "
                      "may begin with CMD, CMD-SHELL or NONE, as in Docker's API."),
    click.option("--healthcheck-interval", metavar="TIME", help="Time between checks, as 30s."),
    click.option("--healthcheck-timeout", metavar="TIME", help="Time one check may take."),
    click.option("--healthcheck-start-period", metavar="TIME", help="Time to get started."),
    click.option("--healthcheck-retries", type=click.IntRange(0, _INT32), metavar="N",
                 help="Failures until it is unwell."),
    click.option("--shell", metavar="JSON|WORDS", help="The shell of shell-form commands."),
    click.option("--onbuild", multiple=True, metavar="INSTRUCTION",
                 help="An instruction for builds on top of this image."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageFlags:
    """What an image says of itself, and in whose format."""

    image_format: str | None
    platform: str | None
    platform_unchecked: bool
    created: str | None
    author: str | None
    comment: str | None

    def format(self, target: str) -> Format:
        """Whose media types: OCI's in a layout, which tools other than Docker read, unless said."""
        if self.image_format is not None:
            return Format(self.image_format)
        return Format.OCI if api.is_layout(target) else Format.DOCKER

    @property
    def target(self) -> Platform | None:
        """The platform, if it is given. Raises ``ConfigError``, also for one that nobody knows."""
        if self.platform is None:
            return None
        platform = Platform.parse(self.platform)
        if not (platform.known or self.platform_unchecked):
            raise ConfigError(
                f"no runtime knows the platform {platform}",
                "write it as Go does, as linux/arm64; --platform-unchecked takes any",
            )
        return platform

    def created_at(self, epoch: int | None) -> str | None:
        """The image's time in RFC 3339: what is given, or the seconds ``epoch``, or ``None``."""
        if self.created is not None:
            return rfc3339(parse_time(self.created, "--created"))
        return None if epoch is None else rfc3339(datetime.fromtimestamp(epoch, UTC))


image_options = gathered(
    "image",
    ImageFlags,
    click.option("--format", "image_format", type=click.Choice(["docker", "oci"]),
                 help="Whose media types. [default: docker; oci for a layout]"),
    click.option("--platform", metavar="OS/ARCH[/VARIANT]",
                 help="What the image runs on. [default: what its programs are for, "
                      "else linux/amd64]"),
    click.option("--platform-unchecked", is_flag=True,
                 help="Take a --platform that no runtime knows."),
    click.option("--created", metavar="TIME",
                 help="The image's time. [default: the newest file's]"),
    click.option("--author", metavar="TEXT", help="The author."),
    click.option("--comment", metavar="TEXT", help="A comment for the history."),
)  # fmt: skip


def in_unicode(flags: _Flags) -> _Flags:
    """``flags`` with every text read as UTF-8, whatever the locale took it for.

    Raises ``ConfigError`` for a text that is none: JSON cannot say it.
    """
    values = {field.name: getattr(flags, field.name) for field in fields(flags)}
    return replace(flags, **{name: _utf8(name, value) for name, value in values.items()})


def _utf8(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_utf8(name, text) for text in value)
    try:
        return os.fsencode(value).decode() if isinstance(value, str) else value
    except UnicodeError:
        raise ConfigError(
            f"--{name.replace('_', '-')} {value!r} is not Unicode text",
            "image documents are UTF-8; give it in UTF-8",
        ) from None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _words(text: str | None, option: str) -> tuple[str, ...] | None:
    """A JSON array of strings, or words quoted as for a shell."""
    if text is None:
        return None
    if text.lstrip().startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{option} {text!r} is not a JSON array: {error}") from error
        if not all(isinstance(word, str) and _is_unicode(word) for word in words):
            raise ConfigError(f"{option} {text!r} is not a JSON array of strings")
        return tuple(words)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(
            f"{option} {text!r} is not quoted as for a shell: {error}",
            'a JSON array such as ["/bin/sh", "-c"] is never ambiguous',
        ) from error


def _last_wins(texts: Sequence[str], option: str) -> tuple[str, ...]:
    """``NAME=VALUE`` texts; a name given again replaces the value, in its first place."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"{option} {text!r} has no name and value", "write NAME=VALUE")
        found[name] = text
    return tuple(found.values())


def _user(text: str | None) -> str:
    if text is None:
        return ""
    parts = text.split(":")
    if len(parts) > 2 or not all(_USER.fullmatch(part) and _fits(part) for part in parts):
        raise ConfigError(
            f"--user {text!r} is not a user",
            f"write USER or USER:GROUP, each a name or a number up to {_INT32}",
        )
    return text


def _fits(part: str) -> bool:
    """Whether a name is one, or else an id that an engine can run."""
    return not (part.isascii() and part.isdigit()) or (len(part) <= 10 and int(part) <= _INT32)


def _absolute(path: str, option: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ConfigError(f"{option} {path!r} is not an absolute path without ..")
    return path


def _volume(path: str) -> str:
    """The path in its one spelling; engines would take two of them for two volumes."""
    parts = [part for part in _absolute(path, "--volume").split("/") if part not in ("", ".")]
    # Over /sys and below /dev a container starts, and images for systemd have a volume there.
    if parts in ([], ["dev"]) or parts[0] == "proc":
        raise ConfigError(
            f"--volume {path!r} would hide what a container needs to start",
            "name a directory of its own, as /data",
        )
    return "/" + "/".join(parts)


def _ports(texts: Sequence[str]) -> tuple[Ports, ...]:
    ranges = tuple(dict.fromkeys(map(_range, texts)))
    total = sum(ports.last - ports.first + 1 for ports in ranges)
    if total > _MAX_PORTS:
        raise LimitError(
            f"--expose names {total} ports", f"name {_MAX_PORTS} at most: they only document"
        )
    return ranges


def _range(text: str) -> Ports:
    match = _PORT.fullmatch(text.lower())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 0 < first <= last <= 65535:
        raise ConfigError(f"--expose {text!r} is not a port", "write 80, 53/udp or 8000-8010")
    return Ports(first, last, match[3] or "tcp")


def _signal(text: str | None) -> str:
    if text is None:
        return ""
    signal = text.upper()
    if not signal.isdigit() and not signal.startswith("SIG"):
        signal = f"SIG{signal}"
    if not _SIGNAL.fullmatch(signal):
        raise ConfigError(f"--stop-signal {text!r} is not a signal", "write SIGTERM or 15")
    return signal


def _trigger(text: str) -> str:
    text = text.strip()
    if not _TRIGGER.fullmatch(text):
        raise ConfigError(
            f"--onbuild {text!r} cannot be a trigger",
            "write one Dockerfile instruction, as RUN make, but not ONBUILD, FROM or MAINTAINER",
        )
    return text


def _test(text: str) -> tuple[str, ...]:
    """The check as Docker's API spells it, which an array may do by itself."""
    if text.lstrip().startswith("["):
        words = _words(text, "--healthcheck-cmd") or ()
    elif text.strip() == "NONE":
        words = ("NONE",)
    else:
        words = ("CMD-SHELL", text)
    match words:
        case ("NONE",):
            return words
        case ("CMD", program, *_) if program:
            return words
        case ("CMD-SHELL", command) if command.strip():
            return words
        case (program, *_) if program not in ("", "NONE", "CMD", "CMD-SHELL"):
            return ("CMD", *words)
    # Docker's daemon, all of it, ends in a panic when a container with ["CMD"] is started.
    raise ConfigError(
        f"--healthcheck-cmd {text!r} names no command",
        'write ["/bin/check","-q"], a command for the shell, or NONE for no check',
    )


def _duration(text: str | None, option: str) -> int:
    """Go's spelling of a duration, as ``1m30s``, in nanoseconds; a bare number is seconds."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        text += "s"
    parts = _DURATION.findall(text)
    total = sum(min(float(number) * _UNITS[unit], 2.0**64) for number, unit in parts)
    whole = "".join(number + unit for number, unit in parts) == text
    if not parts or not whole or not (total == 0 or _LEAST <= total <= _MOST):
        raise ConfigError(f"{option} {text!r} is not a duration", "write 30s, 1m30s or 500ms")
    return round(total)
