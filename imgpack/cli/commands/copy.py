"""``imgpack copy``: an image from anywhere to anywhere: registry, archive or layout."""

import sys
from dataclasses import replace

import click

from imgpack.cli.commands.push import jobs_option, mount_sources, target
from imgpack.cli.options.location import Located, choice_options, is_path, only, open_location
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.output.results import pinned, printing_pushed, to_standard_output, upload_journal
from imgpack.cli.output.terminal import Terminal
from imgpack.image.image import copy_image, refuse_foreign
from imgpack.spec.reference import Reference


@click.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--all-platforms",
    is_flag=True,
    help="Copy a multi-platform image whole (the default without --platform).",
)
@click.option(
    "--src-creds",
    metavar="USER[:PASSWORD]",
    help="Credentials for SRC's registry; --creds is for DST's, if both are registries.",
)
@click.option("--mount-from", multiple=True, metavar="REPO", help="As for imgpack push.")
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def command(
    terminal: Terminal,
    *,
    source: str,
    destination: str,
    all_platforms: bool,
    src_creds: str | None,
    mount_from: tuple[str, ...],
    jobs: int,
    image: str | None,
    platform: str | None,
    registry: RegistryOptions,
) -> None:
    """Copy an image from SRC to DST, each a reference, an archive or a layout.

    Within one registry layers are mounted, not sent. A new archive or layout is
    told by its form: it ends in .tar or /, or starts with ./ or /.
    """
    if all_platforms and platform is not None:
        raise click.UsageError("--all-platforms and --platform contradict each other")
    if src_creds is not None and is_path(source):
        raise click.UsageError(f"--src-creds is for a registry, and {source} is none")
    to_archive = destination == "-" or is_path(destination)
    if to_archive and src_creds is not None and registry.creds is not None:
        raise click.UsageError("there is one registry: give either --src-creds or --creds")
    with open_location(
        source,
        terminal,
        _for_source(registry, src_creds, to_archive=to_archive),
        image=image,
        platform=platform,
        creds_option="--creds" if to_archive and src_creds is None else "--src-creds",
        jobs=jobs,
    ) as located:
        if to_archive:
            _to_archive(terminal, located, destination, jobs)
        else:
            _to_registry(terminal, located, target(destination), mount_from, jobs, registry)


def _for_source(
    registry: RegistryOptions, src_creds: str | None, *, to_archive: bool
) -> RegistryOptions:
    """The options for SRC: with two registries, what is said of credentials is said of DST's."""
    if not to_archive:
        return replace(registry, creds=src_creds, password_stdin=False)
    return registry if src_creds is None else replace(registry, creds=src_creds)


def _to_archive(terminal: Terminal, located: Located, destination: str, jobs: int) -> None:
    from imgpack.store.archive.write import open_writer

    to_stdout = to_standard_output(destination)
    stdout = sys.stdout.buffer if to_stdout else None
    if located.reference is not None:
        for image in located.images:
            refuse_foreign(image, located.text)
    with open_writer(
        destination, stdout=stdout, scratch=scratch_directory, reporter=terminal
    ) as writer:
        for image in located.images:
            copy_image(image, writer, image.names, terminal, jobs=jobs)
        writer.finish()
    for image in located.images:
        for name in image.names:
            click.echo(pinned(name, image.document.descriptor.digest), err=to_stdout)


def _to_registry(
    terminal: Terminal,
    located: Located,
    name: Reference,
    mount_from: tuple[str, ...],
    jobs: int,
    registry: RegistryOptions,
) -> None:
    from imgpack.registry.push.plan import Delivery
    from imgpack.registry.push.push import PushOptions, push

    origin = (located.reference,) if located.reference is not None else ()
    options = PushOptions(
        jobs=jobs,
        mount_from=(*origin, *mount_sources(mount_from, [name.registry])),
        journal=upload_journal(),
    )
    with (
        connector(registry, terminal, jobs=jobs, registry=name.registry) as connections,
        printing_pushed() as landed,
    ):
        push(connections, [Delivery(only(located), (name,))], options, landed)
