"""Times and image documents as Docker's own Go structures read and write them.

Docker puts an image that was made by Docker before 1.8.3 through its structures when it
converts it ("1.8.3" in moby ``image/v1``): keys that they lack are dropped, empty ones
that they have appear. The image id is the digest of what comes out.
"""

import calendar
import re
from collections.abc import Mapping
from typing import Any, Final

from imgpack.errors import DocumentError
from imgpack.spec.json import decode, encode, member

NO_TIME: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):([0-5]\d):([0-5]\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_FIRST_CLEAN: Final = (1, 8, 3)
_TEXTS: Final = ("comment", "container", "docker_version", "author", "architecture", "os")
_OMITTED: Final = frozenset(
    {"ExposedPorts", "NetworkDisabled", "MacAddress", "StopSignal", "ArgsEscaped"}
)
"""What is left out of a ``config`` where it is empty."""
_CONFIG: Final[tuple[tuple[str, type], ...]] = (
    ("Hostname", str),
    ("Domainname", str),
    ("User", str),
    ("AttachStdin", bool),
    ("AttachStdout", bool),
    ("AttachStderr", bool),
    ("ExposedPorts", set),
    ("Tty", bool),
    ("OpenStdin", bool),
    ("StdinOnce", bool),
    ("Env", list),
    ("Cmd", list),
    ("ArgsEscaped", bool),
    ("Image", str),
    ("Volumes", set),
    ("WorkingDir", str),
    ("Entrypoint", list),
    ("NetworkDisabled", bool),
    ("MacAddress", str),
    ("OnBuild", list),
    ("Labels", dict),
    ("StopSignal", str),
)


def through_structures(text: str) -> str:
    """The JSON of one layer's image, as Docker converts it; unchanged unless it is that old.

    Raises ``DocumentError`` for what its structures refuse.
    """
    fields = decode(text.encode())
    version = member(fields, "docker_version", str, default="")
    numbers = tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:3])
    if not version or numbers >= _FIRST_CLEAN:
        return text
    out = {key: value for key in ("id", "parent", *_TEXTS) if (value := _value(fields, key, str))}
    out["created"] = normal_time(member(fields, "created", str, default=""))
    out["container_config"] = _config(member(fields, "container_config", dict, default={}))
    config = member(fields, "config", dict, default=None)
    if config is not None:
        out["config"] = _config(config)
    return encode(out).decode()


def _config(obj: Mapping[str, Any]) -> dict[str, Any]:
    values = {key: _value(obj, key, kind) for key, kind in _CONFIG}
    return {key: value for key, value in values.items() if value or key not in _OMITTED}


def _value(obj: Mapping[str, Any], key: str, kind: type) -> Any:
    """What Go's decoder makes of ``obj[key]``, written again: maps in order, sets of ``{}``."""
    if kind in (str, bool):
        return member(obj, key, kind, default=kind())
    if kind is list:
        found = obj.get(key)
        words = [found] if isinstance(found, str) else member(obj, key, list, default=None)
        return None if words is None else [member({key: word}, key, str) for word in words]
    mapping = member(obj, key, dict, default=None)
    if mapping is None:
        return None
    return {name: {} if kind is set else member(mapping, name, str) for name in sorted(mapping)}


def normal_time(text: str) -> str:
    """``text``, RFC 3339, as Go prints the time that it reads; empty is Go's zero time.

    Raises ``DocumentError`` for what Go's parser refuses.
    """
    if not text:
        return NO_TIME
    match = _TIME.fullmatch(text)
    if not match:
        raise DocumentError(f"{text[:64]!r} in the history is not an RFC 3339 time")
    year, month, day, hour = (int(match[group]) for group in (1, 2, 3, 4))
    # The calendar of year 0 is that of 2000: both are leap years.
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year or 2000, month)[1]):
        raise DocumentError(f"{text[:64]!r} in the history is not a day of the calendar")
    if hour > 23:
        raise DocumentError(f"{text[:64]!r} in the history is not a time of day")
    fraction = (match[7] or "")[:9].rstrip("0")
    return (
        f"{match[1]}-{match[2]}-{match[3]}T{hour:02}:{match[5]}:{match[6]}"
        + (f".{fraction}" if fraction else "")
        + _zone(match)
    )


def _zone(match: re.Match[str]) -> str:
    # Go before 1.20 has no bounds for an offset: +01:61 is +02:01, and +99:99 is +100:39.
    if match[8] is None:
        return "Z"
    minutes = int(match[9]) * 60 + int(match[10])
    return f"{match[8]}{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z"
