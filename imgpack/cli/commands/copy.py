"""``imgpack copy``: an image from anywhere to anywhere: registry, archive or layout."""

from dataclasses import replace

import click

from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.transfer import foreign_option, jobs_option, upload_journal
from imgpack.cli.output.results import write_archive, write_printing
from imgpack.cli.output.terminal import Terminal
from imgpack.image.image import Named, refuse_foreign
from imgpack.image.location import is_path, parse_reference, target_name


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
@foreign_option
@jobs_option
@choice_options
@registry_options
@click.pass_obj
def copy(
    terminal: Terminal,
    *,
    source: str,
    destination: str,
    all_platforms: bool,
    src_creds: str | None,
    mount_from: tuple[str, ...],
    allow_nondistributable: bool,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Copy an image from SRC to DST, each a reference, an archive or a layout.

    Within one registry layers are mounted, not sent. A new archive or layout is
    told by its form: it ends in .tar or /, or starts with ./ or /.
    """
    if all_platforms and choice.platform is not None:
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
        choice=choice,
        creds_option="--creds" if to_archive and src_creds is None else "--src-creds",
        jobs=jobs,
    ) as opened:
        if to_archive:
            images = choice.all(opened)
            for named in () if is_path(source) else images:
                refuse_foreign(named.image, source)
            write_archive(terminal, images, destination, jobs)
        else:
            named = choice.one(opened)
            pushed = Named(named.image, (target_name(destination),))
            _to_registry(
                terminal,
                source,
                pushed,
                mount_from,
                jobs,
                registry,
                foreign=allow_nondistributable,
            )


def _for_source(
    registry: RegistryOptions, src_creds: str | None, *, to_archive: bool
) -> RegistryOptions:
    """The options for SRC: with two registries, what is said of credentials is said of DST's."""
    if not to_archive:
        return replace(registry, creds=src_creds, password_stdin=False)
    return registry if src_creds is None else replace(registry, creds=src_creds)


def _to_registry(
    terminal: Terminal,
    source: str,
    image: Named,
    mount_from: tuple[str, ...],
    jobs: int,
    registry: RegistryOptions,
    *,
    foreign: bool,
) -> None:
    from imgpack.registry.push.mount import mount_repositories
    from imgpack.registry.push.push import PushOptions, RegistrySink

    origin, name = () if is_path(source) else (parse_reference(source),), image.names[0]
    options = PushOptions(
        mount_from=(*origin, *mount_repositories(mount_from, [name.registry])),
        journal=upload_journal(),
        foreign=foreign,
    )
    with connector(registry, terminal, jobs=jobs, registry=name.registry) as connections:
        write_printing(RegistrySink(connections, options), [image], jobs)
