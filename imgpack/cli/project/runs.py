"""``build`` and ``push`` where a file says what to do: once with its options for each image.

Invariant: what runs is the command itself, with the values that its options would have been
given; it does not know of the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from imgpack import api
from imgpack.cli.output.display import json_text
from imgpack.cli.output.terminal import Terminal
from imgpack.cli.project.chosen import Chosen, choose
from imgpack.cli.project.file.file import listed
from imgpack.cli.project.flags import ProjectFlags
from imgpack.cli.project.images import ProjectImage, Value, as_texts, check_names
from imgpack.cli.project.located import Locator
from imgpack.cli.project.merged import (
    PushedImages,
    check_one,
    check_records,
    given_parameters,
    merged,
    one_document,
    option_values,
    parsed,
    shared_cache,
)
from imgpack.cli.project.plan import plan
from imgpack.cli.project.record.writing import inputs_of_image
from imgpack.cli.project.schema.keys import PUSH
from imgpack.errors import SourceError
from imgpack.files.streams import STDOUT

_OF_THE_NAMED: Final = ("load", "engine", "metadata_file", "iidfile")
"""Options of ``build`` that are not of an image that is built but as the base of another."""
_REGISTRIES: Final = "\0registries"
_ENGINE: Final = "\0engine"
"""Places beside layouts that keep one image of a name; no path has a NUL."""


def build_images(
    command: click.Command, ctx: click.Context, flags: ProjectFlags, words: Sequence[str]
) -> bool:
    """Build the images that ``words`` name, or all; whether that is what was meant.

    Raises what ``build`` does, with the place in the file before it, and ``ProjectError``.
    """
    terminal = ctx.ensure_object(Terminal)
    chosen = choose(flags, words, terminal, os.environ)
    if chosen is None:
        return False
    check_one(given_parameters(ctx), chosen)
    values = {image.name: merged(ctx, image, chosen) for image in chosen.images}
    if flags.print_plan:
        click.echo(json_text(plan(chosen, values)))
        return True
    check_records(ctx.params, chosen, values.values())
    check_names(chosen.file, _places(ctx, chosen, values))
    defaults = command.make_context(ctx.info_name, [], ctx.parent).params
    dry = ctx.params["dry_run"]
    with (
        chosen.file.epoch(),
        shared_cache(ctx.params, chosen.images) as cache,
        one_document(ctx.params["metadata_file"], several=chosen.several and not dry) as collect,
    ):
        fixed = {**ctx.params, **option_values(defaults), **cache}
        pushed = PushedImages()

        def build_one(image: ProjectImage) -> None:
            named = image.name in chosen.names
            params = dict(fixed)
            if not (named and image.targets):
                params |= {name: defaults[name] for name in PUSH}
            elif params["push"]:
                params |= pushed.mounts(image, params)
            if not named:  # it is but the base of another
                params |= {name: defaults[name] for name in _OF_THE_NAMED if name in params}
            if params["metadata_file"] is not None and not dry:
                params["inputs"] = inputs_of_image(ctx, chosen, image, values)
            _build(ctx, chosen, image, values[image.name], params)
            if params["push"]:
                pushed.add(image)
            if named:
                collect()

        _each(chosen.images, "listed" if dry else "built", terminal, build_one)
    return True


def _places(
    ctx: click.Context, chosen: Chosen, values: Mapping[str, Mapping[str, Value]]
) -> Iterator[tuple[ProjectImage, str, Sequence[str]]]:
    """Each place that keeps names, and what a build puts there for each image."""
    for image in chosen.images:
        names = as_texts(values[image.name]["tags"])
        output = as_texts(values[image.name].get("output", ()))
        if output and api.is_layout(output[0]):
            yield image, os.path.normpath(output[0]), names
        if image.name not in chosen.names:
            continue
        if ctx.params["push"]:
            yield image, _REGISTRIES, image.targets and names
        if ctx.params["load"]:
            yield image, _ENGINE, names


def _build(
    ctx: click.Context,
    chosen: Chosen,
    image: ProjectImage,
    values: Mapping[str, Any],
    params: dict[str, Any],
) -> None:
    """Build one, with ``values`` for its options and ``params`` for all others."""
    if params["dry_run"]:
        _check_base(chosen, image)
        if not params["as_json"] and len(chosen.images) > 1:
            click.echo(f"image {image.name}:")
    given = given_parameters(ctx) if image.name in chosen.names else frozenset()
    locator = Locator(chosen.file, image, _spellings(ctx.command), given)
    with locator.located(), ctx.ensure_object(Terminal).wording(locator.warning):
        params |= {name: parsed(ctx, name, value) for name, value in values.items()}
        _call(
            ctx,
            {
                **params,
                "layer_excludes": image.layers,
                "checkout": chosen.file.checkout,
                "project_file": chosen.file.path,
            },
        )


def _check_base(chosen: Chosen, image: ProjectImage) -> None:
    """Where nothing is built, what an image is built on must be there already."""
    base = next((one for one in chosen.images if one.name == image.base), None)
    if base is not None and not os.path.lexists(base.output):
        raise chosen.file.error(
            (*image.path, "from-image"),
            f"{base.output} does not exist",
            f"build it first: imgpack build {base.name}",
        )


def push_images(
    command: click.Command, ctx: click.Context, flags: ProjectFlags, words: Sequence[str]
) -> bool:
    """Push the images that ``words`` name, or all; whether that is what was meant.

    Raises what ``push`` does, with the place in the file before it, and ``ProjectError``.
    """
    terminal = ctx.ensure_object(Terminal)
    chosen = choose(flags, words, terminal, os.environ)
    if chosen is None:
        return False
    if flags.print_plan:
        click.echo(json_text(plan(chosen, {one.name: one.values for one in chosen.images})))
        return True
    check_one(given_parameters(ctx), chosen)
    named = [image for image in chosen.images if image.name in chosen.names and image.targets]
    if not named:
        raise chosen.file.error(
            (*chosen.images[-1].path, "push"), "it is empty: nothing is pushed", "name a target"
        )
    check_records(ctx.params, chosen, [{"output": (one.output,)} for one in chosen.images])
    if not ctx.params.get("by_digest"):
        into = ctx.params.get("repository")
        check_names(chosen.file, ((one, _REGISTRIES, _pushed(one, into)) for one in named))
    pushed = PushedImages()
    with one_document(ctx.params["metadata_file"], several=chosen.several) as collect:

        def push_one(image: ProjectImage) -> None:
            _push(ctx, chosen, image, pushed)
            if not ctx.params["dry_run"]:
                pushed.add(image)
            collect()

        _each(named, "pushed", terminal, push_one)
    return True


def _pushed(image: ProjectImage, repository: str | None) -> Sequence[str]:
    """What an image is pushed as: its tags stay in another ``repository``."""
    if repository is None:
        return image.targets
    tags = (name.rpartition("/")[2].partition(":")[2] for name in image.names)
    return [f"{repository}:{tag}" if tag else repository for tag in tags]


def _push(ctx: click.Context, chosen: Chosen, image: ProjectImage, pushed: PushedImages) -> None:
    with Locator(chosen.file, image, {}, frozenset()).located():
        if image.output == STDOUT:
            raise chosen.file.error(
                (*image.path, "output"), "it is a stream", "push it with imgpack build --push"
            )
        if not os.path.lexists(image.output):
            hint = f"build it first: imgpack build {image.name}"
            raise SourceError(f"{image.output} does not exist", hint)
        own: dict[str, Any] = {
            "archive": image.output,
            # With --repository each keeps its tags, in another place.
            "references": () if ctx.params.get("repository") else image.targets,
            "image": ctx.params["image"] or image.member,
        }
        if not ctx.params.get("repository"):  # in one repository a layer is there once anyway
            own |= pushed.mounts(image, ctx.params)
        if "everything" in ctx.params:  # of an archive, which is one of several here
            own["everything"] = False
        _call(ctx, {**ctx.params, **own})


def _call(ctx: click.Context, params: Mapping[str, Any]) -> None:
    """The command itself."""
    callback = ctx.command.callback
    assert callback is not None
    ctx.invoke(callback, **params)


def _each(
    images: Sequence[ProjectImage],
    done: str,
    terminal: Terminal,
    run: Callable[[ProjectImage], None],
) -> None:
    """Run for each; if one fails, say first what was ``done``, and what was not."""
    for number, image in enumerate(images):
        terminal.image = image.name if len(images) > 1 else ""
        try:
            run(image)
        except BaseException:
            if len(images) > 1:
                names = [one.name for one in images]
                before, after = listed(names[:number]), listed(names[number:])
                terminal.image = ""
                terminal.remark(f"{done}: {before or 'none'}; not {done}: {after}")
            raise
    terminal.image = ""


def _spellings(command: click.Command) -> dict[str, str]:
    """The name of the parameter of each option."""
    return {
        spelled: str(param.name)
        for param in command.params
        if isinstance(param, click.Option)
        for spelled in (*param.opts, *param.secondary_opts)
    }
