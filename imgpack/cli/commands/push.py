"""``imgpack push``: an archive or layout to one or more names in registries."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgpack.cli.options.location import choice_options, only, open_location, remote_name
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.output.metadata import check_metadata_file, write_metadata
from imgpack.cli.output.results import creds_option, one_registry, printing_pushed, upload_journal
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import InvalidReferenceError
from imgpack.image.image import Image, MultiImage
from imgpack.spec.reference import DEFAULT_REGISTRY, Reference

if TYPE_CHECKING:
    from imgpack.registry.push.plan import Delivery, Schema1Wish
    from imgpack.registry.push.push import PushOptions
    from imgpack.registry.registries import Registries

_F = TypeVar("_F", bound=Any)

MIB = 1 << 20


def jobs_option(command: _F) -> _F:
    """``--jobs N``."""
    result: _F = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        metavar="N",
        help="Blobs moved at once.",
    )(command)
    return result


@click.command("push")
@click.argument("archive", metavar="ARCHIVE")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option(
    "--mount-from",
    multiple=True,
    metavar="REPO",
    help="Mount layers from this repository of the same registry where it has them (repeatable).",
)
@click.option("--no-mount", is_flag=True, help="Mount nothing from anywhere.")
@click.option("--schema1", is_flag=True, help="Also push the signed schema1 manifest.")
@click.option("--schema1-tag", metavar="TAG", help="Its tag; by default the image's and -schema1.")
@click.option(
    "--signing-key", metavar="PEM", type=click.Path(), help="Sign schema1 with this private key."
)
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
def command(
    terminal: Terminal,
    *,
    archive: str,
    references: tuple[str, ...],
    mount_from: tuple[str, ...],
    no_mount: bool,
    schema1: bool,
    schema1_tag: str | None,
    signing_key: str | None,
    by_digest: bool,
    dry_run: bool,
    metadata_file: str | None,
    chunk_size: int | None,
    no_resume: bool,
    jobs: int,
    image: str | None,
    platform: str | None,
    registry: RegistryOptions,
) -> None:
    """Push ARCHIVE, an image archive or OCI layout, to each REF, or to the names that it holds.

    Prints one line a name: NAME@DIGEST. What the registry has already is not
    sent again, and a push that was interrupted goes on where it stopped.
    """
    if not schema1 and (schema1_tag is not None or signing_key is not None):
        raise click.UsageError("--schema1-tag and --signing-key go with --schema1")
    if schema1 and by_digest:
        raise click.UsageError("--schema1 needs a tag, and --by-digest gives none")
    if mount_from and no_mount:
        raise click.UsageError("--mount-from and --no-mount contradict each other")
    check_metadata_file(metadata_file, (archive, signing_key), dry_run=dry_run)
    if by_digest:
        _warn_of_tags(references, terminal)
    from imgpack.registry.push.push import PushOptions

    with open_location(
        _path(archive), terminal, registry, image=image, platform=platform
    ) as located:
        images = (only(located),) if references else located.images
        deliveries = _deliveries(images, references, archive, by_digest=by_digest)
        if schema1:
            _check_schema1_tags(deliveries, schema1_tag)
        names = [name for delivery in deliveries for name in delivery.names]
        registries = list(dict.fromkeys(name.registry for name in names))
        only_one = one_registry(registry.creds, names)
        options = PushOptions(
            jobs=jobs,
            mount_from=mount_sources(mount_from, registries),
            mounts=not no_mount,
            schema1=_wish(signing_key, schema1_tag) if schema1 else None,
            journal=None if no_resume else upload_journal(),
            chunk=None if chunk_size is None else chunk_size * MIB,
        )
        with connector(
            registry, terminal, jobs=jobs, registry=only_one, creds_option=creds_option(only_one)
        ) as connections:
            _push(connections, deliveries, options, metadata_file, dry_run=dry_run)


def _push(
    connections: "Registries",
    deliveries: list["Delivery"],
    options: "PushOptions",
    metadata_file: str | None,
    *,
    dry_run: bool,
) -> None:
    if dry_run:
        from imgpack.registry.push.dry_run import rehearse

        for step in rehearse(connections, deliveries, options):
            source = f" from {step.source}" if step.source else ""
            click.echo(f"{step.action:5} {step.digest} {step.size:>12} {step.target}{source}")
        return
    from imgpack.registry.push.push import push

    with printing_pushed(metadata_file) as landed:
        pushed = push(connections, deliveries, options, landed)
        if metadata_file is not None:
            write_metadata(metadata_file, pushed, deliveries)


def _path(archive: str) -> str:
    """The archive, spelled so that nobody takes it for a reference."""
    plain = archive == "-" or archive.startswith(("/", "./", "../"))
    return archive if plain else f"./{archive}"


def _deliveries(
    images: tuple[Image | MultiImage, ...],
    references: tuple[str, ...],
    archive: str,
    *,
    by_digest: bool,
) -> list["Delivery"]:
    from imgpack.registry.push.plan import Delivery

    out = []
    for image in images:
        names = [target(text) for text in references] if references else list(image.names)
        if not names:
            raise InvalidReferenceError(
                f"{archive}: the image has no name", "say where to: imgpack push ARCHIVE REF"
            )
        if by_digest:
            names = [Reference(n.registry, n.repository, None, n.digest) for n in names]
        out.append(Delivery(image, tuple(dict.fromkeys(names))))
    return out


def _warn_of_tags(references: tuple[str, ...], terminal: Terminal) -> None:
    for text in references:
        if (tag := remote_name(text).tag) is not None:
            terminal.warn(f"{text}: --by-digest pushes no tag, so {tag!r} is left out")


def _check_schema1_tags(deliveries: list["Delivery"], wanted: str | None) -> None:
    """No schema1 manifest may go to a tag that something else of this push goes to."""
    named = [(one, name) for one in deliveries for name in one.names if name.tag is not None]
    owners: dict[Reference, Delivery | None] = {
        replace(name, digest=None): None for _, name in named
    }
    for delivery, name in named:
        tagged = name.with_tag(wanted or f"{name.tag}-schema1")
        if owners.setdefault(tagged, delivery) is not delivery:
            raise click.UsageError(
                f"the schema1 manifest of {name.shown()} would replace what else is pushed to"
                f" {tagged.shown()}; choose another --schema1-tag"
            )


def target(text: str) -> Reference:
    """A name to push to: a tag (``latest`` if none), or the digest that the image has."""
    name = remote_name(text)
    return (
        Reference(name.registry, name.repository, None, name.digest)
        if (name.digest is not None and name.tag is None)
        else name.tagged()
    )


def mount_sources(texts: tuple[str, ...], registries: list[str]) -> tuple[Reference, ...]:
    """``--mount-from``: with a registry, or a path in every registry that is pushed to."""
    out: list[Reference] = []
    for text in texts:
        first, slash, _ = text.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            out.append(Reference.parse(text))
            continue
        for registry in registries:
            short = registry == DEFAULT_REGISTRY and not slash
            out.append(Reference(registry, f"library/{text}" if short else text))
    return tuple(out)


def _wish(key: str | None, tag: str | None) -> "Schema1Wish":
    from imgpack.cli.options.signing import signing_key, signing_time
    from imgpack.registry.push.plan import Schema1Wish

    return Schema1Wish(signing_key(key), signing_time(), tag or "")
