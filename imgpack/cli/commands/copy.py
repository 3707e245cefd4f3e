"""``imgpack copy``: an image from anywhere to anywhere: registry, archive or layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import check_prune, prune_option, push_printing, write_archive
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.transfer import foreign_option, jobs_option, upload_journal
from imgpack.errors import InvalidReferenceError
from imgpack.files.streams import STDIN

if TYPE_CHECKING:
    from imgpack.api import Named, Reference
    from imgpack.cli.output.terminal import Terminal


@click.command("copy")
@click.argument("source", type=FILE, metavar="SRC")
@click.argument("destination", type=FILE, metavar="DST")
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
@prune_option
@click.option(
    "--shallow", is_flag=True, help="Write DST without the layers that a shallow SRC is without."
)
@record_options
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
    prune: bool,
    shallow: bool,
    record: Record,
    jobs: int,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Copy an image from SRC to DST, each a reference, an archive or a layout.

    Within one registry layers are mounted, not sent. A new archive or layout is
    told by its form: it ends in .tar or /, or starts with ./ or /. A layout is
    added to; an archive that is there is replaced.
    """
    if all_platforms and choice.platform is not None:
        raise click.UsageError("--all-platforms and --platform contradict each other")
    source, choice = choice.within(source)
    if src_creds is not None and api.is_path(source):
        raise click.UsageError(f"--src-creds is for a registry, and {source} is none")
    to_archive = destination == "-" or api.is_path(destination)
    if to_archive and src_creds is not None and registry.creds is not None:
        raise click.UsageError("there is one registry: give either --src-creds or --creds")
    sent = {"--mount-from": mount_from, "--allow-nondistributable": allow_nondistributable}
    _check_written(destination if to_archive else None, sent, prune=prune, shallow=shallow)
    read = source if api.is_path(source) and source != STDIN else None
    record.check((read, destination if to_archive else None))
    write = partial(write_archive, terminal, prune=prune, shallow=shallow, replaced=terminal.warn)
    target = None if to_archive else _target(destination)
    creds_option = "--creds" if to_archive and src_creds is None else "--src-creds"
    whose = _for_source(registry, src_creds, to_archive=to_archive)
    with open_location(
        source, terminal, whose, choice=choice, creds_option=creds_option, jobs=jobs
    ) as opened:
        if target is None:
            write(_held(choice.all(opened), source), destination, jobs, record)
            return
        image = api.Named(choice.one(opened).image, (target,))
        options = _push_options(source, target, mount_from, foreign=allow_nondistributable)
        with connect(registry, terminal, [target.registry], jobs=jobs) as registries:
            push_printing(terminal, registries, [image], options, jobs, record)


def _held(images: tuple[Named, ...], source: str) -> tuple[Named, ...]:
    """``images`` of a registry, if it has all of them. Raises ``UnsupportedError``."""
    for named in () if api.is_path(source) else images:
        api.refuse_foreign(named.image, source)
    return images


def _check_written(
    target: str | None, sent: Mapping[str, object], *, prune: bool, shallow: bool
) -> None:
    """Refuse what is for archives and layouts, or, as ``sent``, for a registry: ``None``."""
    check_prune(target, prune=prune)
    for option, value in sent.items() if target is not None else ():
        if value:
            raise click.UsageError(f"{option} is for a registry, and {target} is none")
    if shallow and target is None:
        raise click.UsageError("--shallow is for an archive or a layout")


def _target(destination: str) -> Reference:
    try:
        return api.target_name(destination)
    except InvalidReferenceError as error:
        path = f"./{destination} is an archive, ./{destination}/ a layout"
        raise error.reworded(error.message, f"{error.hint}; {path}".removeprefix("; ")) from error


def _for_source(
    registry: RegistryOptions, src_creds: str | None, *, to_archive: bool
) -> RegistryOptions:
    """The options for SRC: with two registries, what is said of credentials is said of DST's."""
    if not to_archive:
        return replace(registry, creds=src_creds, password_stdin=False)
    return registry if src_creds is None else replace(registry, creds=src_creds)


def _push_options(
    source: str, name: Reference, mount_from: tuple[str, ...], *, foreign: bool
) -> api.PushOptions:
    origin = () if api.is_path(source) else (api.parse_reference(source),)
    return api.PushOptions(
        mount_from=(*origin, *api.mount_repositories(mount_from, [name.registry])),
        journal=upload_journal(),
        foreign=foreign,
    )
