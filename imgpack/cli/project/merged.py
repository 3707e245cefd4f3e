"""What the options of ``build`` get for an image: the file's values, and over them the flags'."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from imgpack import api
from imgpack.cli.options.cache import SHARED
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.metadata import Record
from imgpack.cli.output.display import json_text
from imgpack.cli.project.chosen import Chosen
from imgpack.cli.project.images import ProjectImage, Value, as_texts
from imgpack.cli.project.record.values import together
from imgpack.cli.project.schema.keys import CONTRARY, KEYS
from imgpack.cli.project.schema.kinds import Role
from imgpack.errors import InvalidReferenceError
from imgpack.files.scratch import directory_for_a_while
from imgpack.files.streams import is_stream, open_output

if TYPE_CHECKING:
    from imgpack.api import Reference

_OPTIONS: Final = frozenset({"tags", *(key.option for key in KEYS.values() if key.option)})
"""The parameters of ``build`` that an image gives."""
_ONE_IMAGE: Final = {
    "output": "-o",
    "tags": "-t",
    "iidfile": "--iidfile",
    "as_json": "--json",
}
_PLACES: Final = frozenset({
    *("sources", "platform"),
    *(key.option for key in KEYS.values() if key.kind.role in (Role.PATH, Role.PLACE)),
})  # fmt: skip
"""The parameters that name what is read or written."""
_REPLACED: Final = frozenset({"tags"})
"""What may be given several times, and replaces what the file says; all else is added."""


def given_parameters(ctx: click.Context) -> frozenset[str]:
    """The parameters that were given on the command line."""
    names = [str(param.name) for param in ctx.command.params]
    return frozenset(
        name for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


def check_one(given: frozenset[str], chosen: Chosen) -> None:
    """Refuse what is of one image where several are ``chosen``. Raises ``click.UsageError``."""
    for name, option in _ONE_IMAGE.items() if chosen.several else ():
        if name in given:
            raise click.UsageError(
                f"{option} is of one image, and several of {chosen.file.path} are meant; "
                f"name one, or let the file say it of each"
            )


def option_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``params`` that an image gives."""
    return {name: value for name, value in params.items() if name in _OPTIONS}


def given_values(ctx: click.Context) -> dict[str, Value]:
    """What the command line gives an image, sources among it, as a file would say it."""
    return {name: _value(ctx.params[name]) for name in given_parameters(ctx) & _OPTIONS}


def merged(ctx: click.Context, image: ProjectImage, chosen: Chosen) -> dict[str, Value]:
    """All of an image's values, under the flags if it is one that the user named."""
    values = dict(image.values)
    bases = {one.base for one in chosen.images}
    if image.base is not None:
        base = next(one for one in chosen.images if one.name == image.base)
        called = _names(ctx, base, chosen)[0]
        values["base"] = (f"{base.output}:{called}" if base.member else base.output,)
    values["tags"] = _names(ctx, image, chosen)
    if image.name not in chosen.names:
        return values
    pushed, loaded = ctx.params.get("push") and image.targets, ctx.params.get("load")
    if (pushed or loaded) and image.name not in bases:
        del values["output"]
    for name in (given_parameters(ctx) & _OPTIONS) - {"sources"}:
        values.pop(CONTRARY.get(name, ""), None)
        values[name] = _over(values.get(name), ctx.params[name], name)
    return values


def _names(ctx: click.Context, image: ProjectImage, chosen: Chosen) -> tuple[str, ...]:
    """What an image is called: where it is pushed, if it is; without the flags."""
    pushed = ctx.params.get("push") and image.name in chosen.names
    return (pushed and image.targets) or image.names


def _over(old: Value | None, given: Any, name: str) -> Value:
    """What is ``given`` for an option, over the ``old`` value."""
    if name == "platform" and isinstance(old, tuple):
        return tuple(_platforms(old, given))
    adds = isinstance(given, tuple) and isinstance(old, tuple) and name not in _REPLACED
    return (*old, *given) if adds else _value(given)  # type: ignore[misc]


def _platforms(old: Sequence[str], given: Sequence[str]) -> Iterator[str]:
    """The platforms that are ``given``, with the sources that the file has for them."""
    for text in given:
        for name in [text] if "=" in text else text.split(","):
            yield from [one for one in old if one.startswith(f"{name}=")] or [name]


def _value(given: Any) -> Value:
    """What was given for an option, as the file would say it."""
    if isinstance(given, tuple | bool):
        return given
    return (str(given),)


def parsed(ctx: click.Context, name: str, value: Value) -> Any:
    """What the option called ``name`` makes of ``value``. Raises ``click.UsageError``."""
    param = next(one for one in ctx.command.params if one.name == name)
    whole = isinstance(value, bool) or param.multiple or param.nargs == -1
    text: Any = value
    try:
        return param.process_value(ctx, text if whole else text[0])
    except click.BadParameter as error:
        raise click.UsageError(f"{param.opts[0]}: {error.message.rstrip('.')}", ctx) from error


class PushedImages:
    """The images that this run has pushed, whose layers are mounted and not sent again.

    OCI distribution-spec v1.1, "Mounting a blob from another repository".
    """

    def __init__(self) -> None:
        self._images: list[ProjectImage] = []

    def add(self, image: ProjectImage) -> None:
        """Remember one that is where it belongs."""
        self._images.append(image)

    def mounts(self, image: ProjectImage, params: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """What ``--mount-from`` is for ``image``: what ``params`` have, and what was pushed.

        Nothing for what shares no layer with it, or is in another registry.
        """
        if params["no_mount"]:
            return {}
        registries = {name.registry for name in _references(image)}
        sharing = (one for one in self._images if _share(image, one))
        found = (
            f"{name.registry}/{name.repository}"
            for one in sharing
            for name in _references(one)
            if name.registry in registries
        )
        return {"mount_from": tuple(dict.fromkeys((*params["mount_from"], *found)))}


def _references(image: ProjectImage) -> Iterator[Reference]:
    """Where it is pushed; what is no name, the push refuses."""
    for text in image.targets:
        with suppress(InvalidReferenceError):
            yield api.parse_name(text)


def _share(image: ProjectImage, other: ProjectImage) -> bool:
    """Whether they have a layer in common, as far as the file tells."""
    based = image.base is not None and image.base in (other.name, other.base)
    return based or not image.sources.isdisjoint(other.sources)


def check_records(
    params: Mapping[str, Any], chosen: Chosen, values: Iterable[Mapping[str, Value]]
) -> None:
    """Refuse to write about one image over what another is read from or written to.

    ``values`` are those of all images. Raises ``OutputError`` and ``click.UsageError``.
    """
    if params["dry_run"]:
        return
    texts = [
        text for one in values for name in _PLACES & one.keys() for text in as_texts(one[name])
    ]
    # SRC:/DEST, or OS/ARCH=SRC:/DEST.
    wholes = [one for text in texts for one in (text, text.partition("=")[2])]
    paths = [one for whole in wholes for one in (whole, whole.rpartition(":")[0])]
    layers = [layer for image in chosen.images for layer in image.layers.values()]
    paths += [path for layer in layers for path in layer.files]
    record = Record(params["metadata_file"], params.get("iidfile"))
    record.check([chosen.file.path, *paths])


@contextmanager
def shared_cache(
    params: Mapping[str, Any], images: Sequence[ProjectImage]
) -> Iterator[dict[str, Any]]:
    """What makes images share layers without a cache: one that is gone afterwards.

    Nothing if there is a cache, or no layer is in two of the images.
    """
    sources = [text for image in images for text in image.sources]
    if not params["no_cache"] or len(set(sources)) == len(sources):
        yield {}
        return
    with directory_for_a_while(scratch_directory(), SHARED) as place:
        yield {"no_cache": False, "cache_dir": place}


@contextmanager
def one_document(path: str | None, *, several: bool) -> Iterator[Callable[[], None]]:
    """What is to be called after each run that wrote metadata to ``path``: all of it goes there.

    Each run checks the path and writes its own, which is read again. If one fails, those before
    it are there. Raises ``click.UsageError`` for a stream, which cannot be read again.
    """
    documents: list[dict[str, Any]] = []

    def collect() -> None:
        if path is not None and several:
            with open(path, "rb") as file:
                documents.append(json.load(file))

    if path is not None and several and is_stream(path):
        raise click.UsageError(
            f"--metadata-file {path} is a stream; of several images, name a file"
        )
    try:
        yield collect
    finally:
        if path is not None and documents:
            # What is no list is about one image.
            keys = {key: 0 for one in documents for key in one if isinstance(one[key], list)}
            whole: dict[str, Any] = {
                key: [item for one in documents for item in one.get(key, ())] for key in keys
            }
            if inputs := [one["inputs"] for one in documents if "inputs" in one]:
                whole["inputs"] = together(inputs)
            with open_output(path) as write:
                write(f"{json_text(whole)}\n".encode())
