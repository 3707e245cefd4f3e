"""``imgpack push``: an archive or layout to one or more names in registries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.metadata import Record, record_options
from imgpack.cli.options.output import push_printing
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.push import PushFlags, push_options
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.transfer import jobs_option
from imgpack.cli.output.display import available, folded, shortened
from imgpack.cli.project.command import PushProject, file_options
from imgpack.errors import InvalidReferenceError, SourceError, UnsupportedError, about
from imgpack.files.streams import STDIN
from imgpack.spec.reference import is_tag

if TYPE_CHECKING:
    from imgpack.api import Named, Reference
    from imgpack.cli.output.terminal import Terminal


@click.command("push", cls=PushProject)
@click.argument("archive", type=FILE, metavar="[ARCHIVE", required=False)
@click.argument("references", metavar="[REF]...] | [IMAGE]...", nargs=-1)
@file_options
@push_options
@click.option("--all", "everything", is_flag=True, help="Push all images, as is done without REF.")
@click.option(
    "--repository",
    metavar="REPO",
    help="Push to this repository instead, each image under its own tags, or by its digest"
    " if it has none.",
)
@click.option("--by-digest", is_flag=True, help="Push without a tag: the digest is the name.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@record_options
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
    everything: bool,
    repository: str | None,
    by_digest: bool,
    dry_run: bool,
    record: Record,
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
    archive, choice = choice.within(archive)
    record.check((archive, how.schema1.signing_key), dry_run=dry_run)
    _check_all(references, choice, everything=everything, repository=repository)
    place = _first_argument(archive, references)
    into = None if repository is None else _repository(repository)
    if by_digest:
        _warn_of_tags(references, terminal)
    with open_location(place, terminal, registry, choice=choice) as opened:
        found = (choice.one(opened),) if references else choice.all(opened)
        called = "standard input" if archive == STDIN else archive
        images = _named(found, references, into, called, by_digest=by_digest)
        pairs = [(one, name) for one in images for name in one.names]
        options = how.options(pairs, terminal)
        servers = dict.fromkeys(name.registry for _, name in pairs)
        with connect(registry, terminal, servers, jobs=jobs) as registries:
            if dry_run:
                _show(registries, images, options)
            else:
                push_printing(terminal, registries, images, options, jobs, record)


def _show(registries: api.Registries, images: tuple[Named, ...], options: api.PushOptions) -> None:
    columns = available()
    for step in api.dry_run(registries, images, options):
        source = f" from {step.source}" if step.source else ""
        line = f"{step.action:5} {step.digest} {step.size:>12} {step.target}{source}"
        click.echo("\n".join(folded(shortened(line, columns), columns, 6)))


def _named(
    images: tuple[Named, ...],
    references: tuple[str, ...],
    into: Reference | None,
    archive: str,
    *,
    by_digest: bool,
) -> tuple[Named, ...]:
    """The images under the names that they are pushed to."""
    out = []
    for named in images:
        names = [api.target_name(text) for text in references]
        names = names or (_own_names(named, archive) if into is None else _moved(named, into))
        if by_digest:
            names = [api.Reference(n.registry, n.repository, None, n.digest) for n in names]
        out.append(api.Named(named.image, tuple(dict.fromkeys(names))))
    return tuple(out)


def _own_names(named: Named, archive: str) -> list[Reference]:
    """The names that the archive holds, if they say to which registry they belong."""
    if not named.names:
        raise InvalidReferenceError(
            f"{archive}: the image has no name", "say where to: imgpack push ARCHIVE REF"
        )
    with about(archive):
        # An archive does not tell Docker Hub from a name without a registry.
        return [api.writable_name(name.shown()) for name in named.names]


def _check_all(
    references: tuple[str, ...], choice: Choice, *, everything: bool, repository: str | None
) -> None:
    """Refuse names beside what says how all are called. Raises ``click.UsageError``."""
    for option, given in ("--all", everything), ("--repository", repository is not None):
        if given and references:
            raise click.UsageError(f"{option} keeps the tags there are; leave out {references[0]}")
    if everything and choice.image is not None:
        raise click.UsageError("--all and --image contradict each other")


def _repository(text: str) -> Reference:
    found = api.writable_name(text)
    if found.tag is not None or found.digest is not None:
        raise click.UsageError(
            f"--repository {text}: each image keeps its tags; write {found.name}"
        )
    return found


def _moved(named: Named, into: Reference) -> list[Reference]:
    """The tags of an image in another repository; without any its digest."""
    tags = [name.tag for name in named.tags if name.tag is not None]
    tags += [label for label in named.labels if is_tag(label)]
    names = [into.with_tag(tag) for tag in dict.fromkeys(tags)]
    return names or [into.with_digest(named.image.document.descriptor.digest)]


def _first_argument(archive: str, references: tuple[str, ...]) -> str:
    """``archive``, spelled so that nobody takes it for a reference. A lock is refused."""
    if not os.path.lexists(archive):
        for text in references:
            if os.path.lexists(text):
                raise click.UsageError(f"ARCHIVE comes first: imgpack push {text} {archive}")
        # As of docker push, which sends what is in its store.
        if archive != STDIN and not api.is_path(archive):
            raise SourceError(
                f"{archive} does not exist",
                "an archive or a layout is pushed: imgpack push ARCHIVE REF; "
                "what is in a registry is copied: imgpack copy SRC DST",
            )
    if api.is_lock(archive):
        raise UnsupportedError(
            f"{archive} is the lock of a base", "push the image that is built on it"
        )
    plain = archive == STDIN or archive.startswith(("/", "./", "../"))
    return archive if plain else f"./{archive}"


def _warn_of_tags(references: tuple[str, ...], terminal: Terminal) -> None:
    for text in references:
        if (tag := api.remote_name(text).tag) is not None:
            terminal.warn(f"{text}: --by-digest pushes no tag, so {tag!r} is left out")
