"""What an image changes of its base's runtime configuration, and what comes of it.

Source: BuildKit's ``frontend/dockerfile/dockerfile2llb/convert.go``. Variables are replaced
by name and in place; ports, volumes and labels are united; a new entrypoint drops the base's
cmd, unless there is a new one; everything else is replaced as a whole. Invariant: a key that
nothing is said about is what it was, whether it is known here or not.
"""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from imgpack.errors import ConfigError, DocumentError, Remedy, UnsupportedError, about, printable
from imgpack.spec.json import check_keys, encode, member
from imgpack.spec.merge.variables import expand
from imgpack.spec.runtime import Ports, Runtime

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""``$PATH`` of an image that has none: what engines give its containers, and BuildKit its."""

CLEARABLE: Final = {
    "user": ("User", "USER"),
    "entrypoint": ("Entrypoint", "ENTRYPOINT"),
    "cmd": ("Cmd", "CMD"),
    "healthcheck": ("Healthcheck", "HEALTHCHECK"),
    "working_dir": ("WorkingDir", "WORKDIR"),
}
"""The fields of ``Runtime`` that can be cleared: their keys, and their instructions."""

_WHOLE: Final = {name: key for name, (key, _) in CLEARABLE.items()} | {
    "onbuild": "OnBuild",
    "stop_signal": "StopSignal",
    "shell": "Shell",
}
"""The fields of ``Runtime`` that are replaced as a whole, and their keys."""
_KEYS: Final = frozenset({
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "Volumes", "WorkingDir",
    "OnBuild", "Labels", "StopSignal", "Shell",
})  # fmt: skip
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class RuntimeChanges:
    """``set`` is what is given; the rest is what is taken from the base.

    ``set.env`` are taken one after another, a name as often as it is there; with ``expand``
    their variables are expanded. ``unset_env`` and ``unset_labels`` are names, ``cleared``
    are keys of ``CLEARABLE``. ``relative_dir`` is a working directory below the base's.
    """

    set: Runtime = field(default_factory=Runtime)
    unset_env: tuple[str, ...] = ()
    unset_labels: tuple[str, ...] = ()
    unset_ports: tuple[Ports, ...] = ()
    unset_volumes: tuple[str, ...] = ()
    cleared: frozenset[str] = frozenset()
    relative_dir: str = ""
    expand: bool = field(default=False, kw_only=True)
    ignore_onbuild: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` for what is given and taken away at once."""
        if unknown := self.cleared - CLEARABLE.keys():
            raise ConfigError(f"{min(unknown)!r} cannot be cleared")
        given = {name for name in self.cleared if getattr(self.set, name) not in (None, "")}
        if self.relative_dir:
            given |= self.cleared & {"working_dir"}
        both = [CLEARABLE[name][1] for name in sorted(given)]
        both += _both("ENV", self.unset_env, (text.partition("=")[0] for text in self.set.env))
        both += _both("LABEL", self.unset_labels, (key for key, _ in self.set.labels))
        both += _both("EXPOSE", map(str, self.unset_ports), map(str, self.set.exposed_ports))
        volumes = map(_volume, self.set.volumes)
        both += _both("VOLUME", map(_volume, self.unset_volumes), volumes)
        if both:
            raise ConfigError(f"{both[0]} is both set and unset", "leave out one of the two")

    @classmethod
    def of(cls, config: "Runtime | RuntimeChanges | None") -> "RuntimeChanges":
        """Changes as they are, or those that set a whole configuration, or nothing."""
        return config if isinstance(config, RuntimeChanges) else cls(config or Runtime())


@dataclass(frozen=True, slots=True)
class MergedRuntime:
    """``config`` is the merged object as decoded JSON.

    ``set`` is what was given, with its variables and its working directory worked out,
    ``unset`` the instructions (``ENV NAME``) of what was taken away; ``remarks`` are
    what a user should know.
    """

    config: Mapping[str, Any]
    set: Runtime
    unset: tuple[str, ...]
    remarks: tuple[str, ...]


def merge(
    base: Mapping[str, Any], changes: RuntimeChanges, os: str = "linux", *, own: bool = False
) -> MergedRuntime:
    """The ``config`` object ``base``, of an image for ``os``, with ``changes``.

    It is an image's ``own``, or that of what it is on, whose triggers it never has. Raises
    ``ConfigError``, ``LimitError``; ``DocumentError`` for a base that is malformed where it is
    changed, ``UnsupportedError`` for triggers that nobody ignores.
    """
    check_keys(base, _KEYS)
    merging = _Merging(base, changes, "the image" if own else "the base")
    if changes.ignore_onbuild or not own:
        merging.take_triggers()
    merging.clear()
    given = merging.given(DEFAULT_PATH if os != "windows" else None)
    merging.put(given)
    merging.unset_names()
    return MergedRuntime(merging.config, given, tuple(merging.unset), tuple(merging.remarks))


def changed(base: Mapping[str, Any], merged: MergedRuntime) -> Runtime:
    """What ``merged`` sets that ``base``, an image's own ``config``, did not say already."""
    given, now = merged.set, merged.config
    same = {name for name, key in _WHOLE.items() if now.get(key) == base.get(key)}
    if now.get("Cmd") != base.get("Cmd"):  # which a new entrypoint may have dropped
        same.discard("entrypoint")
    env, there = {text.partition("=")[0]: text for text in given.env}, _texts(base, "Env")
    labels = _object(base, "Labels")
    ports = set(map(_port, _object(base, "ExposedPorts")))
    volumes = set(map(_volume, _object(base, "Volumes")))
    nothing: dict[str, Any] = {name: getattr(Runtime(), name) for name in same}
    return replace(
        given,
        env=tuple(one for one in given.env if env[one.partition("=")[0]] not in there),
        labels=tuple(one for one in given.labels if labels.get(one[0]) != one[1]),
        exposed_ports=tuple(one for one in given.exposed_ports if not ports.issuperset(one.each())),
        volumes=tuple(one for one in given.volumes if _volume(one) not in volumes),
        **nothing,
    )


class _Merging:
    """A merge on its way: ``config`` starts as the base's."""

    def __init__(self, base: Mapping[str, Any], changes: RuntimeChanges, whose: str) -> None:
        self._whose = whose
        self.config = dict(base)
        self.unset: list[str] = []
        self.remarks: list[str] = []
        self._changes = changes
        texts = _texts(base, "Env")
        self._env = {text.partition("=")[0]: text for text in texts}

    def take_triggers(self) -> None:
        """An image never inherits them: they are for the build on top of their own."""
        triggers = _texts(self.config, "OnBuild")
        if triggers and not self._changes.ignore_onbuild:
            shown = "; ".join(printable(text)[:200] for text in triggers[:_SHOWN])
            more = len(triggers) - _SHOWN
            raise UnsupportedError(
                f"the base has ONBUILD triggers, which nothing here can run: {shown}"
                + (f" and {more} more" if more > 0 else ""),
                Remedy.IGNORE_ONBUILD(),
            )
        if triggers:
            del self.config["OnBuild"]
            self.unset.append("ONBUILD")

    def clear(self) -> None:
        """What is cleared as a whole, and the cmd that was for another entrypoint."""
        for name in sorted(self._changes.cleared):
            key, instruction = CLEARABLE[name]
            self._say_unset(instruction, there=bool(self.config.pop(key, None)))
        given = self._changes.set
        if given.entrypoint is None or given.cmd is not None:
            return
        if cmd := self.config.pop("Cmd", None):
            text = printable(encode(cmd).decode())
            self.remarks.append(f"{self._whose}'s CMD {text} is dropped: an entrypoint is given")

    def given(self, default_path: str | None) -> Runtime:
        """What is set, with nothing in it that depends on the base any more."""
        changes = self._changes
        values = {name: text.partition("=")[2] for name, text in self._env.items()}
        if default_path is not None:
            values.setdefault("PATH", default_path)
        env = []
        for text in changes.set.env:
            name, _, value = text.partition("=")
            if changes.expand:
                with about(f"the value of {printable(name)}"):
                    value = expand(value, values, self._missing(name))
            values[name] = value
            env.append(f"{name}={value}")
        given = replace(changes.set, env=tuple(env))
        if not changes.relative_dir:
            return given
        own = member(self.config, "WorkingDir", str, default="")
        joined = posixpath.normpath(posixpath.join("/", own, changes.relative_dir))
        return replace(given, working_dir="/" + joined.lstrip("/"))

    def _missing(self, name: str) -> Callable[[str], None]:
        def remark(variable: str) -> None:
            self.remarks.append(
                f"{variable} in the value of {printable(name)} is not set: it is empty"
            )

        return remark

    def put(self, given: Runtime) -> None:
        """Replace and unite, in the order in which a new configuration has its keys."""
        for key, value in given.as_json().items():
            if key == "Env" and (self._env or self._changes.expand):
                self._env |= {text.partition("=")[0]: text for text in value}
                self.config[key] = list(self._env.values())
            elif key in _UNITED:
                there = _object(self.config, key)
                spelled = {_UNITED[key](name): name for name in there}
                own = {spelled.get(_UNITED[key](name), name): one for name, one in value.items()}
                self.config[key] = there | own
            else:
                self.config[key] = value

    def unset_names(self) -> None:
        """What is taken away by name."""
        changes = self._changes
        for name in changes.unset_env:
            there = self._env.pop(name, None) is not None
            self._say_unset(f"ENV {name}", there=there)
            if there:
                self._keep("Env", list(self._env.values()))
        for label in changes.unset_labels:
            self._take("Labels", [label], f"LABEL {label}")
        for ports in changes.unset_ports:
            self._take("ExposedPorts", ports.each(), f"EXPOSE {ports}")
        for path in changes.unset_volumes:
            self._take("Volumes", [path], f"VOLUME {encode([path]).decode()}")

    def _take(self, key: str, names: Iterable[str], instruction: str) -> None:
        there, normal = _object(self.config, key), _UNITED[key]
        gone = set(map(normal, names))
        left = {name: value for name, value in there.items() if normal(name) not in gone}
        if len(left) < len(there):
            self._keep(key, left)
        self._say_unset(instruction, there=len(left) < len(there))

    def _keep(self, key: str, value: Any) -> None:
        self.config[key] = value
        if not value:
            del self.config[key]

    def _say_unset(self, instruction: str, *, there: bool) -> None:
        if there:
            self.unset.append(instruction)
        else:
            self.remarks.append(f"{self._whose} has no {printable(instruction)} to unset")


def _port(name: str) -> str:
    return name if "/" in name else f"{name}/tcp"


def _volume(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


_UNITED: Final[dict[str, Callable[[str], str]]] = {
    "ExposedPorts": _port,
    "Volumes": _volume,
    "Labels": str,
}
"""The objects whose members are united, and what makes two names of members one."""


def _both(instruction: str, unset: Iterable[str], given: Iterable[str]) -> list[str]:
    names = set(unset).intersection(given)
    return [f"{instruction} {printable(name)}" for name in sorted(names)]


def _texts(obj: Mapping[str, Any], key: str) -> list[str]:
    found = member(obj, key, list, default=[])
    if not all(isinstance(text, str) for text in found):
        raise DocumentError(f"one of the {key!r} of the base is not a string")
    return list(found)


def _object(obj: Mapping[str, Any], key: str) -> dict[str, Any]:
    return dict(member(obj, key, dict, default={}))
