"""``imgpack verify``: whether an image is sound, like a directory, and what was built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import api, errors
from imgpack.cli.options.cache import usable_cpus
from imgpack.cli.options.location import (
    Choice,
    choice_options,
    connect_for,
    scratch_directory,
)
from imgpack.cli.options.parameters import DIRECTORY, FILE, KnownWords
from imgpack.cli.options.registry import RegistryOptions, registry_options
from imgpack.cli.output.display import json_text, one_line
from imgpack.cli.output.verified import say, show_mismatches, show_verification
from imgpack.cli.project.record.values import InputChange
from imgpack.cli.project.refused import refuse_image
from imgpack.errors import printable

if TYPE_CHECKING:
    from imgpack.api import Against, ComparedLocations, Registries, Verification
    from imgpack.cli.output.terminal import Terminal
    from imgpack.cli.project.rebuilt import Rebuilding

_CHANGES: Final = {
    "image": "this is not the image that was recorded: {recorded} was built, and this is {now}",
    "layer-format": "it was built with layer format {recorded}, and this imgpack has {now}",
    "base": "it was built on {recorded}, and now on {now}",
    "imgpack": "it was built by imgpack {recorded}, and this is {now}",
}
_FIELDS: Final = KnownWords((
    "type", "mode", "owner", "mtime", "target", "device", "xattrs", "size", "content", "links",
))  # fmt: skip


@click.command("verify")
@click.argument("location", type=FILE, metavar="IMAGE")
@click.option(
    "--against",
    type=DIRECTORY,
    metavar="DIR",
    help="Compare what is in the image with this directory.",
)
@click.option(
    "--ignore",
    "ignored",
    type=_FIELDS,
    multiple=True,
    metavar="FIELD",
    help="With --against: what need not be alike, several with commas: "
    f"{', '.join(_FIELDS.known)} (repeatable).",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Build it again, from imgpack.toml or what a build recorded, and compare both images.",
)
@click.option(
    "-f", "--file", "project_file", type=FILE, metavar="FILE",
    help="With --rebuild: the file that says what to build, or what build --metadata-file "
         "wrote. [default: imgpack.toml, or tool.imgpack in pyproject.toml]",
)  # fmt: skip
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads that read a layer. [default: the CPUs]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@choice_options
@registry_options
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    location: str,
    against: str | None,
    ignored: tuple[str, ...],
    rebuild: bool,
    project_file: str | None,
    jobs: int | None,
    as_json: bool,
    choice: Choice,
    registry: RegistryOptions,
) -> int:
    """Check whether an image is sound: every digest, size and diff_id, and what layers say.

    IMAGE is an archive, a layout, a reference or a lock; with --rebuild, an image of
    imgpack.toml, too. All problems are told, not only the first. An error ends with the exit
    code of the first one (see imgpack help exit-codes); what differs from a directory, or from
    what is built, with 1.
    """
    if project_file is not None and not rebuild:
        raise click.UsageError("--file is for --rebuild")
    terminal: Terminal = ctx.obj
    tree = _tree(against, ignored)
    again = _rebuilding(location, choice, project_file, terminal) if rebuild else None
    location, choice = _place(location, choice, again)
    with connect_for(location, terminal, registry) as registries:
        found = api.verify(
            location,
            image=choice.image,
            platform=choice.only_platform,
            against=tree,
            registries=registries,
            scratch=scratch_directory,
            jobs=jobs or usable_cpus(),
            reporter=terminal,
        )
        told = _VerifyReport(found, against, as_json=as_json)
        differs = told.show()
        if again is not None and found.sound:
            with (
                again.built(ctx) as built,
                _compared(location, built.location, choice, registries, terminal) as both,
            ):
                changes = (*_another(found, again, choice), *built.changes)
                differs |= told.show_rebuilt(both, changes)
    told.end()
    if found.error is not None:
        raise found.error
    return errors.DIFFERENT_EXIT_CODE if differs else 0


def _rebuilding(
    location: str, choice: Choice, project_file: str | None, terminal: Terminal
) -> Rebuilding:
    from imgpack.cli.project.rebuilt import find_rebuilding  # and with it all options of build

    return find_rebuilding(location, choice.image, project_file, terminal)


def _place(location: str, choice: Choice, again: Rebuilding | None) -> tuple[str, Choice]:
    """Where the image is, and which of the images there."""
    if again is None:
        refuse_image("verify", [location])
    else:
        location = again.location
        choice = replace(choice, image=again.member or choice.image)
    return choice.at(location)


def _tree(directory: str | None, ignored: tuple[str, ...]) -> Against | None:
    if directory is None and ignored:
        raise click.UsageError("--ignore is for --against")
    if directory is None:
        return None
    words = _FIELDS.of(ignored, "--ignore")
    return api.Against(api.directory(directory).tree, frozenset(words))


def _compared(
    location: str,
    target: str,
    choice: Choice,
    registries: Registries | None,
    terminal: Terminal,
) -> AbstractContextManager[ComparedLocations]:
    return api.compare(
        location if choice.image is None else f"{location}:{choice.image}",
        target,  # which is one image
        platform=choice.only_platform,
        registries=(registries, None),
        scratch=scratch_directory,
        jobs=usable_cpus(),
        reporter=terminal,
    )


def _another(found: Verification, again: Rebuilding, choice: Choice) -> Iterator[InputChange]:
    """That this is not what was built when it was recorded, whatever is built now."""
    digests = [str(image.digest) for image in found.images]
    built = again.digest
    if choice.platform is None and built is not None and built not in digests:
        yield InputChange("image", built, digests[0])


class _VerifyReport:
    """What is printed: for people at once, for programs one document in the end."""

    def __init__(self, found: Verification, directory: str | None, *, as_json: bool) -> None:
        self._found = found
        self._directory = directory
        self._document: dict[str, Any] | None = None
        if as_json:
            self._document = {"location": found.location, **found.as_json()}
            self._document |= {"against": None, "rebuild": None}

    def show(self) -> bool:
        """Tell what was found; whether the directory differs."""
        found, directory = self._found, self._directory
        if self._document is None:
            show_verification(found)
            if directory is not None:
                show_mismatches(found, directory)
        elif directory is not None and found.compared:
            mismatches = [one.as_json() for one in found.mismatches]
            self._document["against"] = {
                "directory": printable(directory),
                "differing": found.mismatched,
                "paths": mismatches,
            }
        return found.mismatched > 0

    def show_rebuilt(self, both: ComparedLocations, changes: Sequence[InputChange]) -> bool:
        """Tell how what was built again differs, which is *b*; whether it does.

        ``changes`` are of what it was built with.
        """
        same = both.identical
        if self._document is not None:
            images = [
                {"platform": one.platform, "causes": [cause.as_json() for cause in one.causes]}
                for one in both.images
            ]
            self._document["rebuild"] = {
                "identical": same,
                "changes": [change.as_json() for change in changes],
                "index": [field.as_json() for field in both.index],
                "images": images,
            }
        elif same:
            say("  built again, it is the same to the byte")
        else:
            from imgpack.cli.output.compared.lines import show, show_index

            say("  built again, it is another: A is the image, B what is built now")
            for number, change in enumerate(changes):
                say(f"  {'also' if number else 'first cause'}: {_changed(change)}")
            show_index(both.index)
            for one in both.images:
                if not one.identical:
                    show(one, text=False, caused=bool(changes))
            if not both.index and all(one.identical for one in both.images):
                say("  what both have is the same, but only one is an index or has all of it")
            for name in (*both.only_a, *both.only_b):
                say(f"  only in {'A' if name in both.only_a else 'B'}: {one_line(name)}")
        return not same

    def end(self) -> None:
        """Everything is told."""
        if self._document is not None:
            say(json_text(self._document))


def _changed(change: InputChange) -> str:
    told = _CHANGES[change.what].format(recorded=change.recorded, now=change.now)
    return one_line(told)
