"""``imgpack push``: an archive or layout to one or more names in registries."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.signing import Schema1Flags, schema1_options
from imgpack.cli.options.transfer import (
    MountFlags,
    creds_option,
    foreign_option,
    jobs_option,
    mount_options,
    one_registry,
    upload_journal,
)
from imgpack.cli.output.metadata import check_metadata_file
from imgpack.cli.output.results import write_printing
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import InvalidReferenceError
from imgpack.image.image import Named
from imgpack.image.location import remote_name, target_name
from imgpack.spec.reference import Reference

if TYPE_CHECKING:
    from imgpack.registry.push.plan import Schema1Options
    from imgpack.registry.push.push import PushOptions
    from imgpack.registry.registries import Registries

MIB: Final = 1 << 20


@click.command("push")
@click.argument("archive", metavar="ARCHIVE")
@click.argument("references", metavar="[REF]...", nargs=-1)
@mount_options
@schema1_options
@foreign_option
@click.option("--by-digest", is_flag=True, help="Push without a tag: the digest is the name.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option(
    "--metadata-file", metavar="FILE", help="Write digests, sizes and names to a JSON file."
)
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
    """
    schema1.check(by_digest=by_digest)
    mount.check()
    check_metadata_file(metadata_file, (archive, schema1.signing_key), dry_run=dry_run)
    _warn_of_tags(references if by_digest else (), terminal)
    from imgpack.registry.push.push import PushOptions, RegistrySink

    with open_location(_path(archive), terminal, registry, choice=choice) as opened:
        found = (choice.one(opened),) if references else choice.all(opened)
        images = _named(found, references, archive, by_digest=by_digest)
        signing = schema1.options()
        _check_schema1_tags(images, signing)
        names = [name for named in images for name in named.names]
        only_one = one_registry(registry.creds, names)
        options = PushOptions(
            mount_from=_bases(mount, names),
            mounts=not mount.no_mount,
            schema1=signing,
            journal=None if no_resume else upload_journal(),
            chunk=None if chunk_size is None else chunk_size * MIB,
            foreign=allow_nondistributable,
        )
        with connector(
            registry, terminal, jobs=jobs, registry=only_one, creds_option=creds_option(only_one)
        ) as connections:
            if dry_run:
                _show(connections, images, options)
            else:
                write_printing(RegistrySink(connections, options), images, jobs, metadata_file)


def _bases(mount: MountFlags, names: list[Reference]) -> tuple[Reference, ...]:
    """The repositories of ``--mount-from`` in each registry that is pushed to."""
    from imgpack.registry.push.mount import mount_repositories

    return mount_repositories(mount.mount_from, dict.fromkeys(name.registry for name in names))


def _show(connections: "Registries", images: tuple[Named, ...], options: "PushOptions") -> None:
    from imgpack.registry.push.dry_run import dry_run

    for step in dry_run(connections, images, options):
        source = f" from {step.source}" if step.source else ""
        click.echo(f"{step.action:5} {step.digest} {step.size:>12} {step.target}{source}")


def _path(archive: str) -> str:
    """The archive, spelled so that nobody takes it for a reference."""
    plain = archive == "-" or archive.startswith(("/", "./", "../"))
    return archive if plain else f"./{archive}"


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
        names = [target_name(text) for text in references] if references else list(named.names)
        if not names:
            raise InvalidReferenceError(
                f"{archive}: the image has no name", "say where to: imgpack push ARCHIVE REF"
            )
        if by_digest:
            names = [Reference(n.registry, n.repository, None, n.digest) for n in names]
        out.append(Named(named.image, tuple(dict.fromkeys(names))))
    return tuple(out)


def _warn_of_tags(references: tuple[str, ...], terminal: Terminal) -> None:
    for text in references:
        if (tag := remote_name(text).tag) is not None:
            terminal.warn(f"{text}: --by-digest pushes no tag, so {tag!r} is left out")


def _check_schema1_tags(images: tuple[Named, ...], options: "Schema1Options | None") -> None:
    """No schema1 manifest may go to a tag that something else of this push goes to."""
    if options is None:
        return
    pairs = [(one, name) for one in images for name in one.names if name.tag is not None]
    owners: dict[Reference, Named | None] = {replace(name, digest=None): None for _, name in pairs}
    for named, name in pairs:
        tagged = options.name(name)
        if owners.setdefault(tagged, named) is not named:
            raise click.UsageError(
                f"the schema1 manifest of {name.shown()} would replace what else is pushed to"
                f" {tagged.shown()}; choose another --schema1-tag"
            )
