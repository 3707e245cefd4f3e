"""What the image says: of itself, and how a container is started, as docker spells it.

Only the spelling is read here; what it says is checked by the values that it becomes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from imgpack import api
from imgpack.cli.options.clock import parse_time
from imgpack.cli.options.index.platforms import PlatformSources, parse_platforms
from imgpack.cli.options.parameters import gathered
from imgpack.errors import ConfigError, LimitError
from imgpack.spec.config import rfc3339
from imgpack.spec.format import Format
from imgpack.spec.runtime import INT32_MAX, Healthcheck, Ports, Runtime, is_time

if TYPE_CHECKING:
    from imgpack.cli.options.build.unset import UnsetFlags
    from imgpack.cli.options.index.annotations import AnnotationFlags

_Flags = TypeVar("_Flags", "RuntimeFlags", "ImageFlags", "UnsetFlags", "AnnotationFlags")

_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9
}  # fmt: skip
_MAX_PORTS: Final = 65535
_TIMES: Final = ("interval", "timeout", "start_period")


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
        labels = (text.partition("=") for text in _last_wins(self.label, "--label"))
        values: dict[str, tuple[str, Any]] = {
            "user": ("--user", self.user),
            "exposed_ports": ("--expose", ports(self.expose, "--expose")),
            "env": ("--env", _last_wins(self.env, "--env")),
            "entrypoint": ("--entrypoint", command_words(self.entrypoint, "--entrypoint")),
            "cmd": ("--cmd", command_words(self.cmd, "--cmd")),
            "healthcheck": ("--healthcheck-cmd", self._healthcheck()),
            "volumes": ("--volume", self.volume),
            "working_dir": ("--workdir", self.workdir),
            "onbuild": ("--onbuild", tuple(text.strip() for text in self.onbuild)),
            "labels": (
                "--label",
                tuple((key, value) for key, _, value in labels),
            ),
            "stop_signal": ("--stop-signal", _signal(self.stop_signal)),
            "shell": ("--shell", command_words(self.shell, "--shell")),
        }
        given = {name: pair for name, pair in values.items() if pair[1] is not None}
        for name, (option, value) in given.items():
            if value == "":
                raise ConfigError(f"{option} is empty", "leave it out, or say what it is")
            with _said_by(option):
                Runtime(**{name: value})
        runtime = Runtime(**{name: value for name, (_, value) in given.items()})
        # Engines would take two spellings of one path for two volumes.
        volumes = (
            "/" + "/".join(p for p in v.split("/") if p not in ("", ".")) for v in self.volume
        )
        return replace(runtime, volumes=tuple(dict.fromkeys(volumes)))

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
        with _said_by("--healthcheck-cmd"):
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
    click.option("--healthcheck-retries", type=click.IntRange(0, INT32_MAX), metavar="N",
                 help="Failures until it is unwell."),
    click.option("--shell", metavar="JSON|WORDS", help="The shell of shell-form commands."),
    click.option("--onbuild", multiple=True, metavar="INSTRUCTION",
                 help="An instruction for builds on top of this image."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageFlags:
    """What an image says of itself, and in whose format."""

    image_format: str | None
    platform: tuple[str, ...]
    platform_unchecked: bool
    created: str | None
    author: str | None
    comment: str | None

    def format(self, target: str | None, base: Format | None = None) -> Format:
        """Whose media types: those given, else those of the ``base``.

        Without either OCI's in a layout, which tools other than Docker read.
        """
        if self.image_format is not None:
            return Format(self.image_format)
        if base is not None:
            return base
        return Format.OCI if target is not None and api.is_layout(target) else Format.DOCKER

    def targets(self) -> tuple[PlatformSources, ...]:
        """The images to build, one at least. Raises as ``parse_platforms``."""
        found = parse_platforms(self.platform, unchecked=self.platform_unchecked)
        return found or (PlatformSources(),)

    def created_at(self, epoch: int | None) -> str | None:
        """The image's time in RFC 3339: what is given, or the seconds ``epoch``, or ``None``."""
        if self.created is not None:
            return rfc3339(parse_time(self.created, "--created"))
        return None if epoch is None else rfc3339(datetime.fromtimestamp(epoch, UTC))


image_options = gathered(
    "image",
    ImageFlags,
    click.option("--format", "image_format", type=click.Choice(["docker", "oci"]),
                 help="Whose media types. [default: the base's, else docker; oci for a layout]"),
    click.option("--platform", multiple=True, metavar="OS/ARCH[/VARIANT][=SRC]",
                 help="What the image runs on, and a SRC of that platform alone, above the others "
                      "(repeatable: one index of all). [default: what its programs are for, "
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
    # A --platform may name a source, and paths are bytes.
    names = [field.name for field in fields(flags) if field.name != "platform"]
    values = {name: getattr(flags, name) for name in names}
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


@contextmanager
def _said_by(option: str) -> Iterator[None]:
    """What is wrong with a value is wrong with the option that gave it."""
    try:
        yield
    except ConfigError as error:
        raise error.reworded(f"{option} {error.message}") from None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def command_words(text: str | None, option: str) -> tuple[str, ...] | None:
    """A JSON array of strings, or words quoted as for a shell. Raises ``ConfigError``."""
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


def ports(texts: Sequence[str], option: str) -> tuple[Ports, ...]:
    """Ports and ranges as ``option`` spells them. Raises ``ConfigError`` and ``LimitError``."""
    ranges = tuple(dict.fromkeys(_range(text, option) for text in texts))
    total = sum(each.last - each.first + 1 for each in ranges)
    if total > _MAX_PORTS:
        raise LimitError(
            f"{option} names {total} ports", f"name {_MAX_PORTS} at most: they only document"
        )
    return ranges


def _range(text: str, option: str) -> Ports:
    match = _PORT.fullmatch(text.lower())
    if match is None:
        raise ConfigError(f"{option} {text!r} is not a port", "write 80, 53/udp or 8000-8010")
    with _said_by(option):
        return Ports(int(match[1]), int(match[2] or match[1]), match[3] or "tcp")


def _signal(text: str | None) -> str | None:
    if not text or text.isdigit() or text.upper().startswith("SIG"):
        return text and text.upper()
    return f"SIG{text.upper()}"


def _test(text: str) -> tuple[str, ...]:
    """The check as Docker's API spells it, which an array may do by itself."""
    if text.strip() == "NONE":
        return ("NONE",)
    if not text.lstrip().startswith("["):
        return ("CMD-SHELL", text)
    words = command_words(text, "--healthcheck-cmd") or ()
    spelled = not words or words[0] in ("", "NONE", "CMD", "CMD-SHELL")
    return words if spelled else ("CMD", *words)


def _duration(text: str | None, option: str) -> int:
    """Go's spelling of a duration, as ``1m30s``, in nanoseconds; a bare number is seconds."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        text += "s"
    parts = _DURATION.findall(text)
    total = sum(min(float(number) * _UNITS[unit], 2.0**64) for number, unit in parts)
    whole = "".join(number + unit for number, unit in parts) == text
    if not parts or not whole or not is_time(total):
        raise ConfigError(f"{option} {text!r} is not a duration", "write 30s, 1m30s or 500ms")
    return round(total)
