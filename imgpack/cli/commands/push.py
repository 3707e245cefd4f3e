"""``imgpack push``: an archive or layout to one or more names in registries."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.metadata import check_metadata_file, metadata_option
from imgpack.cli.options.output import push_printing
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.signing import Schema1Flags, schema1_options
from imgpack.cli.options.transfer import (
    MountFlags,
    foreign_option,
    jobs_option,
    mount_options,
    upload_journal,
)
from imgpack.cli.project.command import PushProject, file_options
from imgpack.errors import InvalidReferenceError, UnsupportedError, about

if TYPE_CHECKING:
    from imgpack.api import Named, Reference
    from imgpack.cli.output.terminal import Terminal

MIB: Final = 1 << 20


@click.command("push", cls=PushProject)
@click.argument("archive", type=FILE, metavar="[ARCHIVE", required=False)
@click.argument("references", metavar="[REF]...] | [IMAGE]...", nargs=-1)
@file_options
@mount_options
@schema1_options
@foreign_option
@click.option("--by-digest", is_flag=True, help="Push without a tag: the digest is the name.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@metadata_option
@click.option(
    "--chunk-size",
    type=click.IntRange(1, 1024),
    metavar="MIB",
    help="The largest part of a chunked upload, where a registry needs those.",
)
@click.option("--no-resume", is_flag=True, help="Do not continue uploads of an earlier run.")
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def push(
    terminal: Terminal,
    *,
    archive: str,
    references: tuple[str, ...],
    mount: MountFlags,
    schema1: Schema1Flags,
    allow_nondistributable: bool,
    by_digest: bool,
    dry_run: bool,
    metadata_file: str | None,
    chunk_size: int | None,
    no_resume: bool,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Push ARCHIVE, an image archive or OCI layout, to each REF, or to the names that it holds.

    Prints one line a name: NAME@DIGEST. What the registry has already is not
    sent again, and a push that was interrupted goes on where it stopped.

    Without ARCHIVE it pushes what imgpack build wrote of imgpack.toml, or each IMAGE of it.
    """
    schema1.check(by_digest=by_digest)
    mount.check()
    check_metadata_file(metadata_file, (archive, schema1.signing_key), dry_run=dry_run)
    place = _first_argument(archive, references)
    if by_digest:
        _warn_of_tags(references, terminal)
    with open_location(place, terminal, registry, choice=choice) as opened:
        found = (choice.one(opened),) if references else choice.all(opened)
        images = _named(found, references, archive, by_digest=by_digest)
        signing = schema1.options()
        if signing is not None:
            _check_schema1_tags(images, signing)
        servers = dict.fromkeys(name.registry for named in images for name in named.names)
        with connect(registry, terminal, servers, jobs=jobs) as registries:
            options = api.PushOptions(
                mount_from=_mounted_from(mount, servers, terminal),
                mounts=not mount.no_mount,
                schema1=signing,
                journal=None if no_resume else upload_journal(),
                chunk=None if chunk_size is None else chunk_size * MIB,
                foreign=allow_nondistributable,
            )
            if dry_run:
                _show(registries, images, options)
            else:
                push_printing(terminal, registries, images, options, jobs, metadata_file)


def _mounted_from(
    mount: MountFlags, servers: Collection[str], terminal: Terminal
) -> tuple[Reference, ...]:
    """The repositories of ``--mount-from``; those of other registries are of no use."""
    found = api.mount_repositories(mount.mount_from, servers)
    for one in found:
        if one.registry not in servers:
            terminal.warn(
                f"--mount-from {one.shown()} is of no use: nothing is mounted from one registry "
                "into another"
            )
    return found


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


def _check_schema1_tags(images: tuple[Named, ...], options: api.Schema1Options) -> None:
    """No schema1 manifest may go to a tag that something else of this push goes to."""
    pairs = [(one, name) for one in images for name in one.names if name.tag is not None]
    owners: dict[Reference, Named | None] = {replace(name, digest=None): None for _, name in pairs}
    for named, name in pairs:
        tagged = options.name(name)
        if owners.setdefault(tagged, named) is not named:
            raise click.UsageError(
                f"the schema1 manifest of {name.shown()} would replace what else is pushed to"
                f" {tagged.shown()}; choose another --schema1-tag"
            )
