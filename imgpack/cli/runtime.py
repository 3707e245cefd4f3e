"""The options that say what a container of the image is started with, as docker spells them.

Each is checked here against what loaders and engines accept: a configuration
that loads but cannot run is refused while its author still looks.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from imgpack.errors import ConfigError
from imgpack.spec.config import Healthcheck, Runtime

_F = TypeVar("_F", bound=Callable[..., Any])

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

_OPTIONS: Final = (
    click.option("--entrypoint", metavar="JSON|WORDS", help="The program that is run."),
    click.option("--cmd", metavar="JSON|WORDS", help="Its default arguments."),
    click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set a variable."),
    click.option("-w", "--workdir", metavar="PATH", help="The working directory."),
    click.option("-u", "--user", metavar="USER[:GROUP]", help="The user, by name or id."),
    click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Add a label."),
    click.option("--expose", multiple=True, metavar="PORT[/PROTO]", help="Document a port."),
    click.option("--volume", multiple=True, metavar="PATH", help="Declare a volume."),
    click.option("--stop-signal", metavar="SIGNAL", help="The signal that stops the container."),
    click.option("--healthcheck-cmd", metavar="JSON|COMMAND|NONE", help="The health check."),
    click.option("--healthcheck-interval", metavar="TIME", help="Time between checks, as 30s."),
    click.option("--healthcheck-timeout", metavar="TIME", help="Time one check may take."),
    click.option("--healthcheck-start-period", metavar="TIME", help="Time to get started."),
    click.option("--healthcheck-retries", type=click.IntRange(0), metavar="N",
                 help="Failures until it is unwell."),
    click.option("--shell", metavar="JSON|WORDS", help="The shell of shell-form commands."),
    click.option("--onbuild", multiple=True, metavar="INSTRUCTION",
                 help="An instruction for builds on top of this image."),
)  # fmt: skip

NAMES: Final = (
    "entrypoint", "cmd", "env", "workdir", "user", "label", "expose", "volume", "stop_signal",
    "healthcheck_cmd", "healthcheck_interval", "healthcheck_timeout", "healthcheck_start_period",
    "healthcheck_retries", "shell", "onbuild",
)  # fmt: skip

TEXTS: Final = tuple(name for name in NAMES if name != "healthcheck_retries")
"""Those whose values are text."""


def runtime_options(command: _F) -> _F:
    """Add the options to a click command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_unicode(values: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for an option whose text is no Unicode: JSON cannot say it."""
    for name, value in values.items():
        for text in (value,) if isinstance(value, str) else value or ():
            if isinstance(text, str) and not _is_unicode(text):
                raise ConfigError(
                    f"--{name.replace('_', '-')} {text!r} is not Unicode text",
                    "image documents are UTF-8; give it in UTF-8",
                )


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def parse_runtime(values: dict[str, Any]) -> Runtime:
    """The ``Runtime`` that the options' ``values`` say; raises ``ConfigError``."""
    return Runtime(
        user=_plain(values["user"], "--user"),
        exposed_ports=_ports(values["expose"]),
        env=_last_wins(values["env"], "--env"),
        entrypoint=_words(values["entrypoint"], "--entrypoint"),
        cmd=_words(values["cmd"], "--cmd"),
        healthcheck=_healthcheck(values),
        volumes=tuple(dict.fromkeys(_absolute(path, "--volume") for path in values["volume"])),
        working_dir=_absolute(values["workdir"], "--workdir") if values["workdir"] else "",
        onbuild=tuple(_trigger(text) for text in values["onbuild"]),
        labels=tuple(
            (text.partition("=")[0], text.partition("=")[2])
            for text in _last_wins(values["label"], "--label")
        ),
        stop_signal=_signal(values["stop_signal"]),
        shell=_words(values["shell"], "--shell") or (),
    )


def _words(text: str | None, option: str) -> tuple[str, ...] | None:
    """A JSON array of strings, or words quoted as for a shell."""
    if text is None:
        return None
    if text.lstrip().startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{option} {text!r} is not a JSON array: {error}") from error
        if not all(isinstance(word, str) for word in words):
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


def _plain(text: str | None, option: str) -> str:
    if text is not None and (not text.strip() or any(ord(c) < 32 for c in text)):
        raise ConfigError(f"{option} {text!r} is empty or has control characters")
    return text or ""


def _absolute(path: str, option: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ConfigError(f"{option} {path!r} is not an absolute path without ..")
    return path


def _ports(texts: Sequence[str]) -> tuple[str, ...]:
    ports: dict[str, None] = {}
    for text in texts:
        match = _PORT.fullmatch(text.lower())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 0 < first <= last <= 65535:
            raise ConfigError(f"--expose {text!r} is not a port", "write 80, 53/udp or 8000-8010")
        for port in range(first, last + 1):
            ports[f"{port}/{match[3] or 'tcp'}"] = None
    return tuple(ports)


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
    word = text.split(" ")[0].upper()
    if not text.strip() or word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ConfigError(f"--onbuild {text!r} cannot be a trigger", "as in a Dockerfile: RUN make")
    return text


def _healthcheck(values: dict[str, Any]) -> Healthcheck | None:
    text: str | None = values["healthcheck_cmd"]
    times = {
        name: _duration(values[f"healthcheck_{name}"], f"--healthcheck-{name.replace('_', '-')}")
        for name in ("interval", "timeout", "start_period")
    }
    retries: int = values["healthcheck_retries"] or 0
    if text is None:
        if any(times.values()) or retries:
            raise ConfigError(
                "a health check's times need a check", "add --healthcheck-cmd COMMAND"
            )
        return None
    if not text.strip():
        raise ConfigError("--healthcheck-cmd is empty", "NONE switches the check off")
    if text == "NONE":
        return Healthcheck(("NONE",))
    if text.lstrip().startswith("["):
        test = ("CMD", *(_words(text, "--healthcheck-cmd") or ()))
    else:
        test = ("CMD-SHELL", text)
    return Healthcheck(test, retries=retries, **times)


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
