"""The record of a build in a metadata file, read as a project file is.

RFC 8259, "inputs" of docs/output.schema.json. Invariant: the file may come from another machine;
whatever is in it, reading it ends soon, with values or one error that names file and key.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from imgpack.cli.options.clock import LAST_SECOND
from imgpack.cli.project.file.file import ProjectError, ProjectFile, nearest
from imgpack.cli.project.record.values import Recorded
from imgpack.cli.project.schema.kinds import found
from imgpack.errors import ImgpackError
from imgpack.files.toml_lines import Path
from imgpack.spec.digest import Digest

_INPUTS: Final = "inputs"
_KEYS: Final = {
    "imgpack": str, "layerFormat": int, "sourceDateEpoch": int, "directory": str, "checkout": str,
    "image": dict, "built": dict,
}  # fmt: skip
_OPTIONAL: Final = frozenset({"sourceDateEpoch"})
_DEEPEST: Final = 32
"""Levels, as of TOML."""
_WRITTEN: Final = "it is what imgpack build --metadata-file writes"


def read_record(path: str, text: str) -> ProjectFile:
    """The record in ``text``, the file at ``path``. Raises ``ProjectError``."""
    try:
        document = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_number)
    except RecursionError:
        raise ProjectError(f"{path}: it is nested too deeply; make it flatter") from None
    except json.JSONDecodeError as error:
        raise ProjectError(
            f"{path}:{error.lineno}: it is no JSON: {error.msg}; {_WRITTEN}"
        ) from None
    except ValueError as error:  # of the hooks, and of numbers with thousands of digits
        raise ProjectError(f"{path}: it is no JSON: {error}; {_WRITTEN}") from None
    inputs = document.get(_INPUTS)
    if inputs is None:
        raise ProjectError(
            f"{path}: it has no {_INPUTS}, and does not say what was built of what; name what "
            "imgpack build --metadata-file wrote"
        )
    plain = ProjectFile(path, (_INPUTS,), {}, {})
    _check_types(plain, inputs)
    _check_texts(plain, inputs, ())
    recorded = Recorded(
        inputs["imgpack"],
        inputs["layerFormat"],
        inputs.get("sourceDateEpoch"),
        _beside(path, inputs["directory"]),
        _beside(path, inputs["checkout"]),
        *_built(plain, inputs["built"], inputs["image"]),
    )
    return ProjectFile(path, (_INPUTS,), {"image": inputs["image"]}, {}, recorded=recorded)


def _beside(file: str, path: str) -> str:
    """The directory ``path``, which begins where ``file`` is, from here; empty for here.

    Links on the way are followed: ``..`` is where the file lies, however it was named.
    """
    there = os.path.realpath(os.path.join(os.path.dirname(file), path))
    found = there if os.path.isabs(file) else os.path.relpath(there)
    return "" if found == os.curdir else found


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259, section 4: what readers make of one name twice is not the same."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is there twice")
    return table


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _check_types(file: ProjectFile, inputs: Any) -> None:
    if not isinstance(inputs, dict):
        raise file.error((), f"a table is expected, and not {found(inputs)}", _WRITTEN)
    for key in inputs:
        if key not in _KEYS:
            hint = nearest(key, _KEYS, "a newer imgpack may have written it")
            raise file.error((key,), "there is no such key", hint)
    for key, kind in _KEYS.items():
        if key not in inputs and key not in _OPTIONAL:
            raise file.error((), f"there is no {key}", _WRITTEN)
        if key in inputs and type(inputs[key]) is not kind:
            expected = found(kind())
            problem = f"{expected} is expected, and not {found(inputs[key])}"
            raise file.error((key,), problem, _WRITTEN)
    if not 0 <= inputs.get("sourceDateEpoch", 0) <= LAST_SECOND:
        problem = "it is no time before the year 10000"
        raise file.error(("sourceDateEpoch",), problem, "write seconds since 1970")


def _check_texts(file: ProjectFile, value: Any, path: Path) -> None:
    """A surrogate stands for a byte of a path that is no UTF-8 (PEP 383), or for nothing.

    No path has a NUL.
    """
    if len(path) > _DEEPEST:
        raise file.error(path[:2], "it is nested too deeply", "make it flatter")
    if isinstance(value, str):
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise file.error(path, "it is no Unicode text", _WRITTEN) from None
        if "\0" in value:
            raise file.error(path, "it has a NUL in it", "write it without")
    items = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else items:
        if isinstance(key, str):
            _check_texts(file, key, (*path, "key"))
        _check_texts(file, item, (*path, key))


def _built(
    file: ProjectFile, built: dict[str, Any], images: dict[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """The digest of each image that was built, and of its base."""
    digests, bases = {}, {}
    for name, table in built.items():
        path: Path = ("built", name)
        if name not in images:
            raise file.error(path, "there is no such image", nearest(name, images, _WRITTEN))
        digests[name] = _digest(file, table, path)
        if "base" in table:
            bases[name] = _digest(file, table["base"], (*path, "base"))
    return digests, bases


def _digest(file: ProjectFile, table: Any, path: Path) -> str:
    digest = table.get("digest") if isinstance(table, dict) else None
    try:
        return str(Digest.parse(digest if isinstance(digest, str) else ""))
    except ImgpackError:
        raise file.error((*path, "digest"), "a digest is expected", _WRITTEN) from None
