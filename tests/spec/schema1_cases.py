"""Images for the schema1 conversion, each a configuration and a number of layers.

``cases()`` yields what Distribution converts and ``refused()`` what it answers
with an error for; the interop tests push the same images to a live registry.
Layers are stand-ins: a registry looks at their digests only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imgpack.api import Digest, ImageConfig, Manifest
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from imgpack.spec.manifest import build_manifest

REPOSITORY = "some/repo-sitory"
TAG = "v1.0_x"


@dataclass(frozen=True, slots=True)
class Case:
    """One image: ``config`` as raw bytes, and how many ``layers`` it has."""

    label: str
    config: bytes
    layers: int


def layer_blob(number: int) -> bytes:
    """The bytes of stand-in layer ``number``, counted from 0 at the bottom."""
    return b"imgpack test layer %d\n" % number


def manifest_of(case: Case) -> Manifest:
    """The v2 manifest of ``case``."""
    return build_manifest(
        describe(mediatype.DOCKER_CONFIG, case.config),
        [describe(mediatype.DOCKER_LAYER_GZIP, layer_blob(i)) for i in range(case.layers)],
        mediatype.DOCKER_MANIFEST,
    )


def parsed(case: Case) -> tuple[Manifest, ImageConfig]:
    """The documents of ``case``."""
    return manifest_of(case), ImageConfig.parse(case.config)


def _rootfs(layers: int, **more: Any) -> dict[str, Any]:
    diff_ids = [str(Digest.of(b"diff %d" % i)) for i in range(layers)]
    return {"type": "layers", "diff_ids": diff_ids} | more


def _config(history: list[dict[str, Any]], **fields: Any) -> tuple[dict[str, Any], int]:
    layers = sum(not entry.get("empty_layer") for entry in history)
    obj: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
    }
    obj |= fields
    obj.setdefault("rootfs", _rootfs(layers))
    return obj | {"history": history}, layers


def _step(text: str, **fields: Any) -> dict[str, Any]:
    return {"created": "2026-01-02T03:04:05Z", "created_by": text} | fields


def _compact(history: list[dict[str, Any]], **fields: Any) -> tuple[bytes, int]:
    obj, layers = _config(history, **fields)
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode(), layers


_EMPTY = _step("ENV A=b", empty_layer=True)
_RUNTIME = {
    "Hostname": "h",
    "User": "1000:1000",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Env": ["PATH=/usr/bin:/bin", "QUOTE=\"'\\", "EMPTY="],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo <a> & b"],
    "Healthcheck": {
        "Test": ["CMD-SHELL", "true || exit 1"],
        "Interval": 30000000000,
        "Timeout": 5000000000,
        "StartPeriod": 1000000000,
        "Retries": 3,
    },
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
    "OnBuild": ["RUN true"],
    "Labels": {"org.example.name": "näme", "b": "2 < 3 && 4 > 3", "": ""},
    "StopSignal": "SIGTERM",
    "Shell": ["/bin/bash", "-eo", "pipefail", "-c"],
    "ArgsEscaped": True,
    "Volumes2": None,
}
_TIMES = (
    ("whole", "2026-01-02T03:04:05Z"),
    ("fraction with zeros", "2026-01-02T03:04:05.120300000Z"),
    ("zero fraction", "2026-01-02T03:04:05.000Z"),
    ("nine digits", "2026-01-02T03:04:05.123456789Z"),
    ("twelve digits", "2026-01-02T03:04:05.123456789999Z"),
    ("comma", "2026-01-02T03:04:05,5Z"),
    ("offset", "2026-01-02T03:04:05.5+05:30"),
    ("negative offset", "2026-01-02T03:04:05-08:00"),
    ("zero offset", "2026-01-02T03:04:05+00:00"),
    ("negative zero offset", "2026-01-02T03:04:05-00:00"),
    ("offset of 24 hours", "2026-01-02T03:04:05+24:00"),
    ("offset of 60 minutes", "2026-01-02T03:04:05+01:60"),
    ("offset of 61 minutes", "2026-01-02T03:04:05+01:61"),
    ("offset of 99 hours", "2026-01-02T03:04:05-99:99"),
    ("one digit hour", "2026-01-02T3:04:05Z"),
    ("year 0", "0000-02-29T00:00:00Z"),
    ("year 1", "0001-01-01T00:00:00Z"),
    ("year 9999", "9999-12-31T23:59:59.999999999Z"),
    ("year 9999 far west", "9999-12-31T23:59:59-23:59"),
    ("year 0 far east", "0000-01-01T00:00:00+23:59"),
    ("epoch", "1970-01-01T00:00:00Z"),
    ("leap day", "2024-02-29T12:00:00Z"),
    ("missing", None),
)
_BAD_TIMES = (
    "2026-01-02t03:04:05z",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:05",
    "2026-01-02T03:04Z",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T03:60:05Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05+0100",
    "2026-01-02T03:04:05+1:00",
    "12026-01-02T03:04:05Z",
    "yesterday",
    " 2026-01-02T03:04:05Z",
)
_TEXTS = (
    ("html", "<b>&amp;</b>"),
    ("controls", "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f"),
    ("nul", "a\0b"),
    ("backslash b", "\\b \\\b \\\\f \f"),
    ("separators", "a\u2028b\u2029c\u0085d\ufeffe"),
    ("non-ascii", "naïve 漢字 🙂 \U0010ffff \uffff \ufffd"),
    ("quotes", "\"'`/\\"),
)


def _times() -> Iterator[Case]:
    for label, text in _TIMES:
        step = {"created_by": "x"} | ({} if text is None else {"created": text})
        yield Case(f"time: {label}", *_compact([step, _step("top")]))
    null = _compact([{"created_by": None, "created": None, "author": None}, _step("top")])
    yield Case("time: null", *null)


def _texts() -> Iterator[Case]:
    for label, text in _TEXTS:
        step = _step(text, author=text, comment=text)
        config = {"Cmd": [text], "Labels": {text: text}}
        yield Case(f"text: {label}", *_compact([step, step], config=config, author=text))


def _spellings() -> Iterator[Case]:
    """Documents that Go keeps as they are spelled, but for the white space."""
    obj, layers = _config([_step("one"), _EMPTY, _step("two")], config=_RUNTIME)
    yield Case("spelling: indented", json.dumps(obj, indent="\t").encode(), layers)
    yield Case("spelling: ASCII only", json.dumps(obj, ensure_ascii=True).encode(), layers)
    yield Case("spelling: CRLF", json.dumps(obj, indent=2).replace("\n", "\r\n").encode(), layers)
    raw = json.dumps(_config([_step("one"), _step("two")])[0]).encode()[:-1]
    yield Case("spelling: numbers", raw + b', "n": [1e3, -0, 1.0, 1E+2, 12345678901234567890]}', 2)
    odd = rb""", "config": { "A\u00e9\/\b\u0008" : "\u00E9\/\b\u003c < \u2028 \\u0026 \" \\" } }"""
    yield Case("spelling: escapes", raw + odd, 2)
    tight = b', "a]\\"}{" : [ [ ] , { } , "[{" , [ { "x" : { "," : ":" } } ] ] }'
    yield Case("spelling: brackets in strings", raw + tight, 2)
    keys = ', "\\u0061z": 1, "<": 2, "é": 3, "\\uffff": 4, "\\ud83d\\ude42": 5, "": 6, "B": 7}'
    yield Case("spelling: keys", raw + keys.encode(), 2)
    yield Case("spelling: null fields", raw + b', "config": null, "author": null, "x": null}', 2)
    yield Case("spelling: own id", raw + b', "id": "mine", "parent": "other", "layer_id": "x"}', 2)
    lone = raw.replace(b'"one"', rb'"\ud800 \udc00 \ud800\ud83d\ude42 \\ud800"')
    yield Case("spelling: lone surrogates", lone + rb', "k\ud800": "v\udfff"}', 2)
    separators = raw + ', "s": " <\u2028>&\u2029"}\n\n'.encode()
    yield Case("spelling: raw separators", b"\n " + separators, 2)


def _shapes() -> Iterator[Case]:
    yield Case("one layer", *_compact([_step("one")]))
    yield Case("three layers", *_compact([_step("one"), _step("two"), _step("three")]))
    yield Case("same step twice", *_compact([_EMPTY, _EMPTY, _step("x"), _EMPTY, _EMPTY]))
    yield Case("empty entry at the top", *_compact([_step("one"), _EMPTY]))
    yield Case("empty entry at the bottom", *_compact([_EMPTY, _step("one")]))
    yield Case("no layer at all", *_compact([_EMPTY]))
    yield Case("empty_layer is false", *_compact([_step("one", empty_layer=False), _EMPTY]))
    full = {
        "author": "A. U. Thor <author@example.org>",
        "config": _RUNTIME,
        "container": "c" * 64,
        "container_config": _RUNTIME,
        "docker_version": "20.10.0",
        "variant": "v8",
        "os.version": "1",
        "os.features": ["x"],
        "comment": "a comment",
    }
    steps = [_step("one", author="a", comment="c"), _EMPTY, _step("two"), _EMPTY]
    yield Case("every field", *_compact(steps, **full))
    yield Case("no architecture", *_compact([_step("one")], architecture=""))
    yield Case("no times", *_compact([{}, {"empty_layer": True}, {}], created=""))
    base = _rootfs(2, base_layer="mcr.example/windows<base>é")
    yield Case("base layer", *_compact([_step("one"), _EMPTY, _step("two")], rootfs=base))
    alone = _rootfs(1, base_layer="mcr.example/windows")
    yield Case("base layer under one entry", *_compact([_step("one")], rootfs=alone))
    many = [_step(f"step {i}", **({"empty_layer": True} if i % 3 else {})) for i in range(150)]
    yield Case("150 entries", *_compact(many))


def cases() -> Iterator[Case]:
    """What Distribution converts; labels are unique."""
    yield from _shapes()
    yield from _times()
    yield from _texts()
    yield from _spellings()


def refused() -> Iterator[Case]:
    """What Distribution refuses to convert."""
    for text in _BAD_TIMES:
        step = {"created_by": "x", "created": text}
        yield Case(f"bad time: {text}", *_compact([step, _step("top")]))
    yield Case("no history", *_compact([], rootfs=_rootfs(1))[:1], 1)
    yield Case("fewer layers than diff_ids", _compact([_step("one"), _step("two")])[0], 1)
    yield Case("more layers than diff_ids", _compact([_step("one")])[0], 2)
