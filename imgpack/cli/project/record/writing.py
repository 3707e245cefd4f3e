"""What is recorded of a build: its sources and options, as tables of a project file.

Invariant: nothing of the machine or the run, and no secret, for those are no keys of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from imgpack.cli.options.metadata import BuildInputs
from imgpack.cli.project.chosen import Chosen
from imgpack.cli.project.file.file import is_image_name
from imgpack.cli.project.images import ProjectImage, Value
from imgpack.cli.project.merged import given_values
from imgpack.cli.project.plan import image_table
from imgpack.files.streams import STDOUT, is_stream
from imgpack.files.writing import real_path


def inputs_of_options(ctx: click.Context) -> BuildInputs:
    """What a ``build`` of sources and options is to record."""
    params = ctx.params
    image = ProjectImage(_called(params["tags"], params["sources"]))
    tables = {image.name: _table(image, given_values(ctx), params)}
    return _inputs(image.name, tables, ".", params["metadata_file"])


def inputs_of_image(
    ctx: click.Context,
    chosen: Chosen,
    image: ProjectImage,
    values: Mapping[str, Mapping[str, Value]],
) -> BuildInputs:
    """What a ``build`` of a file's ``image`` is to record, with the ``values`` of all images."""
    chain = [image]
    while (base := chain[-1].base) is not None:
        chain.append(next(one for one in chosen.images if one.name == base))
    tables = {
        one.name: _table(one, values[one.name], ctx.params if one is image else {})
        for one in reversed(chain)
    }
    return _inputs(image.name, tables, chosen.file.checkout, ctx.params["metadata_file"])


def _inputs(name: str, tables: Mapping[str, Any], checkout: str, metadata: str) -> BuildInputs:
    beside = real_path("" if is_stream(metadata) else os.path.dirname(metadata))
    directory, checkout = (
        os.path.relpath(real_path(path), beside) for path in (os.curdir, checkout)
    )
    return BuildInputs(name, tables, directory, checkout)


def _table(
    image: ProjectImage, values: Mapping[str, Value], params: Mapping[str, Any]
) -> dict[str, Any]:
    """The table of an image that was built with ``params``."""
    table = image_table(image, values)
    if not table["tags"]:
        del table["tags"]
    table.pop("push", None)  # who gets it decides nothing
    if "output" in table and (table["output"] == STDOUT or is_stream(table["output"])):
        del table["output"]
    if params.get("load") and not params["push"] and "output" not in table:
        table.setdefault("compression", "none")  # for an engine alone
    kept: dict[str, Any] = _kept(table)
    return kept


def _kept(value: Any) -> Any:
    """``value`` as a file says it, where ``${`` begins a variable."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_kept(item) for item in value]
    if isinstance(value, dict):
        return {name: _kept(item) for name, item in value.items()}
    return value


def _called(tags: Sequence[str], sources: Sequence[str]) -> str:
    """What the image's table is called: after its name, else after what is in it."""
    names = [tag.partition("@")[0].rpartition("/")[2].partition(":")[0] for tag in tags]
    for text in sources:
        path = text.partition(":")[0]
        names += [os.path.basename(place) for place in (os.path.normpath(path), real_path(path))]
    return next(filter(is_image_name, names), "image")
