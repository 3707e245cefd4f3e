"""What is wrong with a value of the file, said by the option that read it, with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click

from imgpack.cli.output.advice import worded
from imgpack.cli.project.file.file import ProjectError, ProjectFile, shown
from imgpack.cli.project.images import ProjectImage
from imgpack.cli.project.schema.keys import LAYER_KEYS
from imgpack.errors import ImgpackError
from imgpack.files.toml_lines import Path

_OPTION: Final = re.compile(r"(?<![\w/-])--?[a-z][a-z0-9-]*(?![\w-])")


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds out which key an error is about.

    ``options`` are the parameters by what they are called on the command line, and ``given``
    those that were given there: the file has no part in them.
    """

    file: ProjectFile
    image: ProjectImage
    options: Mapping[str, str]
    given: frozenset[str]

    @contextmanager
    def located(self) -> Iterator[None]:
        """Errors that leave the block begin with file, line and key, unless no key is meant."""
        try:
            yield
        except ProjectError:
            raise
        except click.UsageError as error:
            raise click.UsageError(self._worded(error.message), error.ctx) from error
        except ImgpackError as error:
            hint = worded(error.hint or error.advice)
            keyed = self._keyed(hint, self._keys(hint))
            told = self._worded(error.message)
            raise error.reworded(told, None if keyed == hint else keyed) from error

    def warning(self, message: str) -> str:
        """``message`` as an error would say it; as it is if it names no option of the file's."""
        return self._worded(message) if self._keys(message) else message

    def _worded(self, message: str) -> str:
        uses, keys = self._uses(message), self._keys(message)
        if uses and uses[0] not in keys and self.options[uses[0]] in self.given:
            return message
        text = self._keyed(message, keys)
        if not uses or uses[0] not in keys:
            path = next(iter(keys.values()), None) or self._by_value(message) or self.image.path
            return f"{self.file.where(path)}: {text}"
        path = keys[uses[0]]
        where = self.file.where(self._deepest(path, message))
        # The key is not said twice.
        rest = text.removeprefix(_key(path))
        return f"{where}{rest}" if rest != text else f"{where}: {text}"

    def _uses(self, message: str) -> list[str]:
        """The options that ``message`` names."""
        return [use[0] for use in _OPTION.finditer(message) if use[0] in self.options]

    def _keys(self, message: str) -> dict[str, Path]:
        """Those of them that the file gave, and the keys."""
        found = {one: self._place(self.options[one], message) for one in self._uses(message)}
        return {one: path for one, path in found.items() if path is not None}

    def _keyed(self, message: str, keys: Mapping[str, Path]) -> str:
        return _OPTION.sub(lambda use: _key(keys[use[0]]) if use[0] in keys else use[0], message)

    def _place(self, parameter: str, message: str) -> Path | None:
        """The key that gave ``parameter``, of the image or of a layer: the one that is quoted.

        What is given on the command line, too, was given by the file only if it is quoted.
        """
        places = [*self._layer_keys(parameter)]
        if parameter in self.image.paths:
            places.insert(0, self.image.paths[parameter])
        quoted = (one for one in places if self._deepest(one, message) != one)
        unquoted = places[0] if places and parameter not in self.given else None
        return next(quoted, unquoted)

    def _layer_keys(self, parameter: str) -> Iterator[Path]:
        path = self.image.paths.get("sources", ())
        layers = self._value(path)
        for number, layer in enumerate(layers if isinstance(layers, list) else ()):
            for name in LAYER_KEYS.keys() & (layer if isinstance(layer, dict) else ()):
                if LAYER_KEYS[name].option == parameter:
                    yield (*path, number, name)

    def _by_value(self, message: str) -> Path | None:
        """The place of the longest text of the image that ``message`` quotes."""
        values = self.image.values | {"push": self.image.targets}
        quoted: list[tuple[int, Path]] = []
        for name, path in self.image.paths.items():
            value = values.get(name, ())
            for text in value if isinstance(value, tuple) else ():
                parts = (part for part in _parts(name, text) if len(part) > 1)
                quoted += [(len(part), path) for part in parts if _quotes(message, part)]
        return self._deepest(max(quoted)[1], message) if quoted else None

    def _deepest(self, path: Path, message: str) -> Path:
        """The item of the value at ``path`` that is quoted; ``path`` if none is."""
        value = self._value(path)
        items: list[tuple[str | int, Any]] = []
        if isinstance(value, list):
            items = [*enumerate(value)]
        elif isinstance(value, dict):
            items = [*value.items()]
        for part, item in items:
            text = item.get("source") if isinstance(item, dict) else item
            quoted = str(text).partition(":")[0] if "layers" in path else str(text)
            if _quotes(message, quoted) or (isinstance(part, str) and _quotes(message, part)):
                return (*path, part)
        return path

    def _value(self, path: Path) -> Any:
        value: Any = self.file.tables
        for part in path:
            if isinstance(value, dict):
                value = value.get(str(part))
            else:
                value = value[part] if isinstance(value, list) and isinstance(part, int) else None
        return value


def _parts(name: str, text: str) -> tuple[str, ...]:
    """What an error may quote of ``text``, a value of the parameter called ``name``."""
    if name == "platform":
        platform, _, source = text.partition("=")
        return platform, *_parts("sources", source)
    if name == "annotation":
        return text, text.partition("=")[0], text.partition("=")[0].partition(":")[2]
    return (text.partition(":")[0] if name == "sources" else text,)


def _quotes(message: str, text: str) -> bool:
    """Whether ``text`` stands in ``message``, and not within a word."""
    return text in message and bool(re.search(rf"(?<![\w/.-]){re.escape(text)}(?!\w)", message))


def _key(path: Path) -> str:
    """What the key is called within its image."""
    return shown(path[2:]) if len(path) > 2 else shown(path)
