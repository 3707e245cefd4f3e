"""The images of a project file, each as what the options of ``build`` take.

Invariant: a value is only put into the form of its option here; the option reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imgpack import api
from imgpack.cli.habits.keys import KEYS as HABITS
from imgpack.cli.habits.keys import LAYER_KEYS as HABITS_OF_LAYERS
from imgpack.cli.options.build.exclusion import ExcludeFlags
from imgpack.cli.project.file.file import ProjectFile, nearest, shown
from imgpack.cli.project.schema.keys import ALIASES, KEYS, LAYER_KEYS, MACHINE, PUSH, Key
from imgpack.cli.project.schema.kinds import Role, WrongTypeError, found
from imgpack.cli.project.variables import VariableTexts
from imgpack.errors import InvalidReferenceError
from imgpack.files.streams import STDIN, STDIN_PATH, STDOUT
from imgpack.files.toml_lines import Path
from imgpack.spec.reference import parse_name

Value = tuple[str, ...] | bool
"""What an option is given: its texts, or whether it is set."""

_TABLES: Final = frozenset(name.partition(".")[0] for name in KEYS if "." in name)
"""Keys that are tables of further keys."""
_SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """One image: ``values`` for the parameters of ``build``, and ``paths``, where each stands.

    ``names`` are its tags in full, ``push`` where it is pushed if that is said, ``base`` the
    image of the file that it is built on; ``layers`` is what is left out of each source.
    """

    name: str
    values: dict[str, Value] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    push: tuple[str, ...] | None = None
    base: str | None = None
    layers: dict[str, ExcludeFlags] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where its table stands."""
        return ("image", self.name)

    @property
    def targets(self) -> tuple[str, ...]:
        """Where it is pushed; empty if the file says so."""
        return self.names if self.push is None else self.push

    @property
    def output(self) -> str:
        """Where it is written."""
        return as_texts(self.values["output"])[0]

    @property
    def sources(self) -> frozenset[str]:
        """What its layers are made of, as it is written."""
        return frozenset(as_texts(self.values.get("sources", ())))

    @property
    def member(self) -> str | None:
        """Which of the images that are there it is; ``None`` for an archive, which has one."""
        return self.names[0] if api.is_layout(self.output) else None


def read_images(file: ProjectFile, variables: Mapping[str, str]) -> dict[str, ProjectImage]:
    """All images, in their order. Raises ``ProjectError``."""
    if not file.images:
        raise file.error((), "there is no image in it", "write one as [image.NAME]")
    texts = VariableTexts(file, variables)
    images = {name: _ImageReader(file, texts, name).image() for name in file.images}
    _check_outputs(file, images)
    return images


def in_order(
    file: ProjectFile, images: Mapping[str, ProjectImage], names: Sequence[str]
) -> tuple[ProjectImage, ...]:
    """Those called ``names`` as they are in the file, each after the one it is built on.

    Raises ``ProjectError`` for one that is built on itself.
    """
    done: dict[str, ProjectImage] = {}
    for name in images:
        if name not in names:
            continue
        chain = [name]
        while (base := images[chain[-1]].base) is not None:
            if base in chain:
                path = ("image", chain[-1], "from-image")
                raise file.error(
                    path, f"{base} would be built on itself", "build one of them on something else"
                )
            chain.append(base)
        done |= {one: images[one] for one in reversed(chain) if one not in done}
    return tuple(done.values())


def _check_outputs(file: ProjectFile, images: Mapping[str, ProjectImage]) -> None:
    """No archive may replace another of the same run, and none is built on what is gone."""
    owners: dict[str, str] = {}
    for name, image in images.items():
        if image.base is not None and images[image.base].output == STDOUT:
            raise file.error(
                (*image.path, "from-image"),
                f"the output of {image.base} is a stream",
                "name an archive for it",
            )
        other = owners.setdefault(os.path.normpath(image.output), name)
        if other != name and not api.is_layout(image.output):
            raise file.error(
                (*image.path, "output"),
                f"{image.output} is the output of {other}, too",
                "name another archive; a layout, with a slash at its end, takes several images",
            )


def check_names(
    file: ProjectFile, called: Iterable[tuple[ProjectImage, str, Sequence[str]]]
) -> None:
    """No image takes a name from another: ``called`` has each, a place, its names there.

    What is no name is for the option to refuse. Raises ``ProjectError``.
    """
    owners: dict[tuple[str, str], str] = {}
    for image, place, names in called:
        for name in names:
            try:
                whole = str(parse_name(name))
            except InvalidReferenceError:
                continue
            other = owners.setdefault((place, whole), image.name)
            if other != image.name:
                option = "push" if name in (image.push or ()) else "tags"
                raise file.error(
                    image.paths.get(option, image.path),
                    f"{name} is what {other} is called, too",
                    "the later one would take the name: give each a name or a tag of its own",
                )


class _ImageReader:
    def __init__(self, file: ProjectFile, texts: VariableTexts, name: str) -> None:
        self._file = file
        self._name = name
        self._path: Path = ("image", name)
        self._table: dict[str, Any] = texts.of(file.images[name], self._path)
        self._values: dict[str, Value] = {}
        self._paths: dict[str, Path] = {}
        self._layers: dict[str, ExcludeFlags] = {}

    def image(self) -> ProjectImage:
        """All of it."""
        for key, path, value in self._keys():
            if key.name == "layers":
                self._put(key, path, tuple(self._sources(value, path)))
            elif key.name == "platforms":
                self._put(key, path, tuple(self._platforms(value, path)))
            elif key.option:
                self._put(key, path, self._value(key, path, value))
        names = self._names()
        push = self._texts("push") if "push" in self._table else None
        if push is not None:
            self._paths["push"] = (*self._path, "push")
        self._values.setdefault("output", (self._file.joined(f"{self._name}.tar"),))
        return ProjectImage(
            self._name, self._values, self._paths, names, push, self._base(),
            self._layers,
        )  # fmt: skip

    def _put(self, key: Key, path: Path, value: Value) -> None:
        self._values[key.option] = value
        self._paths[key.option] = path

    def _keys(self) -> Iterator[tuple[Key, Path, Any]]:
        """Each key that is there, with its place and value."""
        for name, value in self._table.items():
            path = (*self._path, name)
            if name not in _TABLES:
                yield self._key(name, path), path, value
                continue
            if not isinstance(value, dict):
                hint = f"write [{shown(path)}]"
                raise self._file.error(path, f"a table is expected, and not {found(value)}", hint)
            for inner, item in value.items():
                yield self._key(f"{name}.{inner}", (*path, inner)), (*path, inner), item

    def _key(self, name: str, path: Path) -> Key:
        meant = ALIASES.get(name, name)
        if meant != name and meant in self._table:
            raise self._file.error(path, f"{name} and {meant} are the same key", "give one of them")
        key = KEYS.get(meant)
        if key is None:
            raise self._file.error(path, "there is no such key", _instead(name))
        return key

    def _value(self, key: Key, path: Path, value: Any) -> Value:
        """Its texts, with paths as they are from here."""
        texts = self._typed(key, path, value)
        if isinstance(texts, bool):
            return texts
        if key.kind.role is Role.PATH:
            return tuple(self._file.joined(text) for text in texts)
        return tuple(map(self._place, texts)) if key.kind.role is Role.PLACE else texts

    def _typed(self, key: Key, path: Path, value: Any) -> Value:
        try:
            return key.kind.texts(value)
        except WrongTypeError as error:
            name = key.name.rpartition(".")[2]
            raise self._file.error(
                (*path, *error.path),
                f"{error.expected} is expected, and not {error.found}",
                f"write it as {name} = {key.example}",
            ) from None

    def _texts(self, name: str) -> tuple[str, ...]:
        found = [one for one, meant in ALIASES.items() if meant == name and one in self._table]
        where = found[0] if found else name
        if where not in self._table:
            return ()
        texts = self._typed(KEYS[name], (*self._path, where), self._table[where])
        return texts if isinstance(texts, tuple) else ()

    def _names(self) -> tuple[str, ...]:
        """The names in full, which are the ``tags`` of ``build``."""
        name = next(iter(self._texts("name")), self._name)
        tags = self._texts("tags")
        short = [tag for tag in tags if ":" not in tag and "/" not in tag]
        if short and (":" in name.rpartition("/")[2] or "@" in name):
            path = (*self._path, "name")
            raise self._file.error(path, f"{name} has a tag, and there are tags", "take it off")
        names = tuple(f"{name}:{tag}" if tag in short else tag for tag in tags) or (name,)
        where = "tags" if "tags" in self._table else "tag" if "tag" in self._table else "name"
        self._values["tags"] = names
        self._paths["tags"] = (*self._path, where) if where in self._table else self._path
        return names

    def _base(self) -> str | None:
        base = next(iter(self._texts("from-image")), None)
        if base is None:
            return None
        path = (*self._path, "from-image")
        if base not in self._file.images:
            hint = nearest(base, self._file.images, "from = names an image that is elsewhere")
            raise self._file.error(path, f"there is no image {base} in this file", hint)
        if both := {"base", "diff_from"} & self._values.keys():
            other = self._paths[both.pop()][-1]
            raise self._file.error(path, f"{other} names a base, too", "an image has one base")
        self._paths["base"] = path
        return base

    def _place(self, text: str) -> str:
        """A path from here if it is one, by its form or because it is there; else as it is."""
        there = self._file.joined(text)
        if text in (STDIN, _SCRATCH):
            return text
        known = os.path.lexists(there) or os.path.lexists(self._file.joined(text.partition(":")[0]))
        return there if known or api.is_path(text) else text

    def _platforms(self, value: Any, path: Path) -> Iterator[str]:
        """Each platform, with a source of its own if it has one."""
        if not isinstance(value, dict):
            for text in as_texts(self._typed(KEYS["platforms"], path, value)):
                platform, equals, source = text.partition("=")
                yield f"{platform}={self._source(source)}" if equals else text
            return
        for platform, layers in value.items():
            sources = [*self._sources(layers, (*path, platform))]
            yield from [f"{platform}={source}" for source in sources] or [platform]

    def _sources(self, value: Any, path: Path) -> Iterator[str]:
        """Each layer as ``SRC:/DEST``; what is left out of it is kept."""
        if isinstance(value, str):
            yield self._source(value)
            return
        if not isinstance(value, list):
            kind = found(value)
            raise self._file.error(
                path, f"a list of texts or tables is expected, and not {kind}",
                f"write it as layers = {KEYS['layers'].example}",
            )  # fmt: skip
        for number, item in enumerate(value):
            where = (*path, number)
            if isinstance(item, dict):
                yield self._layer(item, where)
                continue
            if not isinstance(item, str):
                raise self._file.error(
                    where, f"text or a table is expected, and not {found(item)}",
                    'write it as "SRC:/DEST"',
                )  # fmt: skip
            yield self._source(item)

    def _source(self, text: str) -> str:
        front, colon, dest = text.partition(":")
        if front == STDIN:
            return f"{STDIN_PATH}:{dest}" if colon else text
        return self._file.joined(text)

    def _layer(self, table: dict[str, Any], path: Path) -> str:
        values: dict[str, Value] = {}
        for name, value in table.items():
            key = LAYER_KEYS.get(name)
            if key is None:
                there = f"a layer has {', '.join(LAYER_KEYS)}"
                hint = HABITS_OF_LAYERS.get(name) or nearest(name, LAYER_KEYS, there)
                raise self._file.error((*path, name), "there is no such key", hint)
            values[name] = self._value(key, (*path, name), value)
        (source, *_) = as_texts(values.get("source", ())) or ("",)
        if not source:
            raise self._file.error(path, "it has no source", 'write source = "SRC"')
        (dest,) = as_texts(values.get("dest", ())) or ("",)
        front, colon, back = source.partition(":")
        if colon and not dest and not os.path.lexists(source) and os.path.lexists(front):
            raise self._file.error(
                (*path, "source"), "it is a path alone, and the place in the image is dest",
                f'write source = "{os.path.relpath(front, self._file.joined("."))}", '
                f'dest = "{back}"',
            )  # fmt: skip
        if "source" in table and table["source"] == STDIN:
            source = STDIN_PATH if dest else STDIN
        text = f"{source}:{dest or '/'}" if dest or ":" in source else source
        if values.keys() - {"source", "dest"}:
            self._layers[text] = ExcludeFlags(
                next(iter(as_texts(values.get("ignore-file", ()))), None),
                values.get("no-ignore-file", False) is True,
                as_texts(values.get("exclude", ())),
            )
        return text


def _instead(name: str) -> str:
    """What to write in the place of a key that is none."""
    if name.replace("-", "_") in (MACHINE | PUSH) - {"as_json"}:
        return f"it is of the run, and an option: --{name.replace('_', '-')}"
    there = [*KEYS, *ALIASES, *_TABLES]
    return HABITS.get(name) or nearest(
        name, there, "docs/project-file.md lists the keys of an image"
    )


def as_texts(value: Value) -> tuple[str, ...]:
    """The texts of ``value``; none of what is only set."""
    return value if isinstance(value, tuple) else ()
