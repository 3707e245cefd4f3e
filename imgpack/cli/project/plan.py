"""``--print``: what would be built, in the words of the project file, as one JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imgpack.cli.options.build.config import command_words
from imgpack.cli.project.chosen import Chosen
from imgpack.cli.project.images import ProjectImage, Value, as_texts
from imgpack.cli.project.schema.keys import KEYS, Key
from imgpack.cli.project.schema.kinds import Role
from imgpack.errors import ConfigError
from imgpack.spec.reference import DEFAULT_TAG


def plan(chosen: Chosen, values: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
    """All of it: each image with what its options get, after flags and ``--set``.

    Of the shape ``plan`` of docs/output.schema.json; what is below ``image`` is of that of
    docs/imgpack.schema.json. Paths are those of the working directory.
    """
    return {
        "file": chosen.file.path,
        "variables": dict(chosen.variables),
        "image": {image.name: image_table(image, values[image.name]) for image in chosen.images},
    }


def image_table(image: ProjectImage, values: Mapping[str, Value]) -> dict[str, Any]:
    """The table of an image with ``values`` for its options."""
    out: dict[str, Any] = {}
    for key in KEYS.values():
        value = _value(key, image, values)
        if value is None:
            continue
        outer, _, inner = key.name.rpartition(".")
        (out.setdefault(outer, {}) if outer else out)[inner] = value
    return out


def _value(key: Key, image: ProjectImage, values: Mapping[str, Value]) -> Any:
    if key.name == "tags":
        return [_name(text) for text in as_texts(values.get("tags", ()))]
    if key.name == "push":
        return None if image.push is None else [*image.push]
    if key.name == "from-image":
        return image.base
    if not key.option or (key.name == "from" and image.base is not None):
        return None
    value = values.get(key.option)
    if value is None or isinstance(value, bool):
        return value
    if key.name == "layers":
        return [_layer(text, image) for text in value]
    if key.name == "platforms" and any("=" in text for text in value):
        return _by_platform(value, image)
    if key.kind.role is Role.WORDS and value[0].startswith("["):
        return _words(value[0])
    if key.kind.paired and not key.kind.alone and all("=" in text for text in value):
        return dict(text.split("=", 1) for text in value)
    if key.kind.scalars == (int,):
        return int(value[0])
    return [*value] if key.kind.listed and key.kind.role is not Role.WORDS else value[0]


def _name(text: str) -> str:
    """A whole name: without a colon and a slash it would be a tag."""
    return text if ":" in text or "/" in text else f"{text}:{DEFAULT_TAG}"


def _words(text: str) -> list[str] | str:
    """A command's words; what is no array, which the build refuses, as it stands."""
    try:
        return [*(command_words(text, "") or ())]
    except ConfigError:
        return text


def _by_platform(texts: Iterable[str], image: ProjectImage) -> dict[str, Any]:
    out: dict[str, list[Any]] = {}
    for text in texts:
        platform, equals, source = text.partition("=")
        out.setdefault(platform, []).extend([_layer(source, image)] if equals else [])
    return out


def _layer(text: str, image: ProjectImage) -> str | dict[str, Any]:
    flags = image.layers.get(text)
    if flags is None:
        return text
    source, colon, dest = text.rpartition(":")
    out: dict[str, Any] = {"source": source if colon else text}
    out |= {"dest": dest} if colon else {}
    out |= {"exclude": [*flags.exclude]} if flags.exclude else {}
    out |= {"ignore-file": flags.ignore_file} if flags.ignore_file else {}
    return out | ({"no-ignore-file": True} if flags.no_ignore_file else {})
