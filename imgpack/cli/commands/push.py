"""``imgpack push``: an archive or layout to one or more names in registries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.metadata import check_metadata_file, metadata_option
from imgpack.cli.options.output import push_printing
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.push import PushFlags, push_options
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.transfer import jobs_option
from imgpack.cli.project.command import PushProject, file_options
from imgpack.errors import InvalidReferenceError, UnsupportedError, about

if TYPE_CHECKING:
    from imgpack.api import Named, Reference
    from imgpack.cli.output.terminal import Terminal


@click.command("push", cls=PushProject)
@click.argument("archive", type=FILE, metavar="[ARCHIVE", required=False)
@click.argument("references", metavar="[REF]...] | [IMAGE]...", nargs=-1)
@file_options
@push_options
@click.option("--by-digest", is_flag=True, help="Push without a tag: the digest is the name.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@metadata_option
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def push(
    terminal: Terminal,
    *,
    archive: str,
    references: tuple[str, ...],
    how: PushFlags,
    by_digest: bool,
    dry_run: bool,
    metadata_file: str | None,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Push ARCHIVE, an image archive or OCI layout, to each REF, or to the names that it holds.

    Prints one line a name: NAME@DIGEST. What the registry has already is not
    sent again, and a push that was interrupted goes on where it stopped.

    Without ARCHIVE it pushes what imgpack build wrote of imgpack.toml, or each IMAGE of it.
    """
    how.check(by_digest=by_digest)
    check_metadata_file(metadata_file, (archive, how.schema1.signing_key), dry_run=dry_run)
    place = _first_argument(archive, references)
    if by_digest:
        _warn_of_tags(references, terminal)
    with open_location(place, terminal, registry, choice=choice) as opened:
        found = (choice.one(opened),) if references else choice.all(opened)
        images = _named(found, references, archive, by_digest=by_digest)
        pairs = [(one, name) for one in images for name in one.names]
        options = how.options(pairs, terminal)
        servers = dict.fromkeys(name.registry for _, name in pairs)
        with connect(registry, terminal, servers, jobs=jobs) as registries:
            if dry_run:
                _show(registries, images, options)
            else:
                push_printing(terminal, registries, images, options, jobs, metadata_file)


def _show(registries: api.Registries, images: tuple[Named, ...], options: api.PushOptions) -> None:
    for step in api.dry_run(registries, images, options):
        source = f" from {step.source}" if step.source else ""
        click.echo(f"{step.action:5} {step.digest} {step.size:>12} {step.target}{source}")


def _named(
    images: tuple[Named, ...],
    references: tuple[str, ...],
    archive: str,
    *,
    by_digest: bool,
) -> tuple[Named, ...]:
    """The images under the names that they are pushed to."""
    out = []
    for named in images:
        names = [api.target_name(text) for text in references] or _own_names(named, archive)
        if by_digest:
            names = [api.Reference(n.registry, n.repository, None, n.digest) for n in names]
        out.append(api.Named(named.image, tuple(dict.fromkeys(names))))
    return tuple(out)


def _own_names(named: Named, archive: str) -> list[Reference]:
    """The names that the archive holds, if they say to which registry they belong."""
    if not named.names:
        raise InvalidReferenceError(
            f"{archive}: the image has no name", f"say where to: imgpack push {archive} REF"
        )
    with about(archive):
        # An archive does not tell Docker Hub from a name without a registry.
        return [api.writable_name(name.shown()) for name in named.names]


def _first_argument(archive: str, references: tuple[str, ...]) -> str:
    """``archive``, spelled so that nobody takes it for a reference. A lock is refused."""
    if not os.path.lexists(archive):
        for text in references:
            if os.path.lexists(text):
                raise click.UsageError(f"ARCHIVE comes first: imgpack push {text} {archive}")
    if api.is_lock(archive):
        raise UnsupportedError(
            f"{archive} is the lock of a base", "push the image that is built on it"
        )
    plain = archive == "-" or archive.startswith(("/", "./", "../"))
    return archive if plain else f"./{archive}"


def _warn_of_tags(references: tuple[str, ...], terminal: Terminal) -> None:
    for text in references:
        if (tag := api.remote_name(text).tag) is not None:
            terminal.warn(f"{text}: --by-digest pushes no tag, so {tag!r} is left out")
