"""Image configurations: what a container is started with, and how its image came to be.

Source: OCI image-spec ``config.md``, and Docker's additions to it (Healthcheck,
OnBuild, Shell). The digest of a configuration's raw bytes is the image ID.

Invariants: a parsed configuration has a ``diff_id`` for each entry of its history
that has a layer; ``raw`` is what is hashed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imgpack.errors import DocumentError
from imgpack.spec.descriptor import parse_digest
from imgpack.spec.digest import Digest
from imgpack.spec.json import check_keys, decode, encode, member
from imgpack.spec.platform import Platform

_KEYS = frozenset(
    {"created", "author", "architecture", "os", "variant", "config", "rootfs", "history"}
)


_ROOTFS_KEYS = frozenset({"type", "diff_ids", "base_layer"})
_HISTORY_KEYS = frozenset({"created", "created_by", "author", "comment", "empty_layer"})


@dataclass(frozen=True, slots=True)
class History:
    """One step of an image's making; ``created`` is RFC 3339 in UTC, or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def parse(cls, obj: Any) -> "History":
        """The history entry in a decoded JSON object."""
        if not isinstance(obj, dict):
            raise DocumentError("a history entry is not an object")
        check_keys(obj, _HISTORY_KEYS)
        return cls(
            member(obj, "created", str, default=""),
            member(obj, "created_by", str, default=""),
            member(obj, "author", str, default=""),
            member(obj, "comment", str, default=""),
            member(obj, "empty_layer", bool, default=False),
        )

    def as_json(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out, as Go's ``omitempty`` does."""
        out: dict[str, Any] = {
            key: value
            for key in ("created", "created_by", "author", "comment")
            if (value := getattr(self, key))
        }
        if self.empty_layer:
            out["empty_layer"] = True
        return out


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's health check: ``test`` as in its API, times in nanoseconds, 0 for the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

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


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A parsed image configuration; ``digest`` is the image ID.

    ``config`` is its runtime object as decoded JSON.
    """

    raw: bytes
    digest: Digest
    platform: Platform
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    created: str = ""
    author: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes, digest: Digest | None = None) -> "ImageConfig":
        """Parse ``raw``, whose ``digest`` is sha256 unless given. Raises ``DocumentError``."""
        obj = decode(raw)
        check_keys(obj, _KEYS)
        rootfs = member(obj, "rootfs", dict)
        check_keys(rootfs, _ROOTFS_KEYS)
        diff_ids = member(rootfs, "diff_ids", list, default=[])
        digests = tuple(parse_digest(str(diff_id)) for diff_id in diff_ids)
        entries = member(obj, "history", list, default=[])
        history = tuple(History.parse(entry) for entry in entries)
        layers = sum(not entry.empty_layer for entry in history)
        if history and layers > len(digests):
            raise DocumentError(
                f"{layers} history entries have a layer, and there are {len(digests)} layers"
            )
        return cls(
            raw,
            digest or Digest.of(raw),
            Platform.from_json(obj),
            digests,
            history,
            member(obj, "created", str, default=""),
            member(obj, "author", str, default=""),
            member(obj, "config", dict, default={}),
        )


def build_config(
    platform: Platform,
    diff_ids: Sequence[Digest],
    history: Sequence[History],
    *,
    created: str,
    author: str = "",
    runtime: Runtime | None = None,
) -> ImageConfig:
    """A new configuration; ``created`` is RFC 3339 in UTC with ``Z``."""
    obj: dict[str, Any] = {"created": created}
    if author:
        obj["author"] = author
    obj |= platform.as_json()
    obj["config"] = (runtime or Runtime()).as_json()
    obj["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
    obj["history"] = [entry.as_json() for entry in history]
    return ImageConfig.parse(encode(obj))


def rfc3339(moment: datetime) -> str:
    """A time in UTC as RFC 3339 with ``Z``, with a fraction only where there is one."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    text = text.rjust(19, "0")  # strftime does not pad years before 1000 everywhere
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{text}{fraction}Z"
