"""``imgpack index``: join platform images, pushed by different machines, into one index."""

from dataclasses import dataclass, replace

import click

from imgpack.cli.commands.push import jobs_option, target
from imgpack.cli.options.location import is_path, parse_reference
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.output.metadata import check_metadata_file, write_metadata
from imgpack.cli.output.results import printing_pushed, upload_journal
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ConfigError, InvalidReferenceError, NotFoundError
from imgpack.image.image import Image, MultiImage
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Index, build_index
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image and what the new index will say of it."""

    descriptor: Descriptor
    image: Image


@click.group("index")
def command() -> None:
    """Join platform images into one index."""


@command.command("create")
@click.argument("reference", metavar="REF")
@click.option(
    "--add",
    "added",
    multiple=True,
    required=True,
    metavar="REF",
    help="An image, or every image of an index (repeatable).",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Take only these platforms (repeatable); each must be there.",
)
@click.option(
    "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotate the index."
)
@click.option(
    "--metadata-file", metavar="FILE", help="Write digests, sizes and names to a JSON file."
)
@jobs_option
@registry_options
@click.pass_obj
def create(
    terminal: Terminal,
    *,
    reference: str,
    added: tuple[str, ...],
    platforms: tuple[str, ...],
    annotations: tuple[str, ...],
    metadata_file: str | None,
    jobs: int,
    registry: RegistryOptions,
) -> None:
    """Make an index of the images of every --add, push it to REF, and print NAME@DIGEST.

    Images that are elsewhere are brought to REF's repository: mounted within a
    registry, copied from others.
    """
    check_metadata_file(metadata_file)
    name = target(reference)
    sources = tuple(_source(text) for text in added)
    wanted = tuple(Platform.parse(text) for text in platforms)
    pairs = _annotations(annotations)
    from imgpack.registry.pull.image import open_remote
    from imgpack.registry.push.plan import Delivery
    from imgpack.registry.push.push import PushOptions, push

    with connector(registry, terminal, jobs=jobs, registry=name.registry) as connections:
        opened = [open_remote(connections, source, scratch=scratch_directory) for source in sources]
        entries = _chosen(_entries(opened), wanted)
        joined = MultiImage(_index(entries, pairs), tuple(entry.image for entry in entries))
        options = PushOptions(jobs=jobs, mount_from=sources, journal=upload_journal())
        deliveries = [Delivery(joined, (name,))]
        with printing_pushed(metadata_file) as landed:
            pushed = push(connections, deliveries, options, landed)
            if metadata_file is not None:
                write_metadata(metadata_file, pushed, deliveries)


def _source(text: str) -> Reference:
    if is_path(text):
        raise InvalidReferenceError(
            f"--add {text} is a path, and an index joins images of a registry",
            f"push it first: imgpack push {text} REF --by-digest",
        )
    return parse_reference(text)


def _annotations(texts: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--annotation {text!r}: write KEY=VALUE")
        out[key] = value
    return out


def _entries(opened: list[Image | MultiImage]) -> list[_Entry]:
    """Every image once, in the order given; two different ones of one platform are an error."""
    found: dict[str, _Entry] = {}
    for one in opened:
        for entry in _of(one):
            platform = str(entry.descriptor.platform)
            # Attestations have no platform; what they belong to is in their annotations.
            unknown = platform.startswith("unknown/")
            key = str(entry.descriptor.digest) if unknown else platform
            known = found.setdefault(key, entry)
            if known.descriptor.digest != entry.descriptor.digest:
                raise ConfigError(
                    f"two different images are for {platform}", "add only one of them"
                )
    return list(found.values())


def _of(image: Image | MultiImage) -> list[_Entry]:
    """The images with their descriptors; those of an index keep what it says of them."""
    if isinstance(image, Image):
        described = image.manifest.descriptor
        return [_Entry(replace(described, platform=image.config.platform), image)]
    return [
        _Entry(replace(entry, platform=entry.platform or child.config.platform), child)
        for entry, child in zip(image.index.manifests, image.images, strict=True)
    ]


def _chosen(entries: list[_Entry], wanted: tuple[Platform, ...]) -> list[_Entry]:
    if not wanted:
        return entries
    out: dict[Digest, _Entry] = {}
    for platform in wanted:
        found = [entry for entry in entries if platform.matches(_platform(entry))]
        if not found:
            there = ", ".join(str(_platform(entry)) for entry in entries)
            raise NotFoundError(f"no --add has an image for {platform}", f"there are: {there}")
        out |= {entry.descriptor.digest: entry for entry in found}
    return list(out.values())


def _platform(entry: _Entry) -> Platform:
    return entry.descriptor.platform or entry.image.config.platform


def _index(entries: list[_Entry], annotations: dict[str, str]) -> Index:
    # Some registries refuse an OCI index over Docker manifests, and the other way round.
    types = {entry.image.manifest.media_type for entry in entries}
    docker = types == {mediatype.DOCKER_MANIFEST}
    kind = mediatype.DOCKER_INDEX if docker and not annotations else mediatype.OCI_INDEX
    return build_index([entry.descriptor for entry in entries], kind, annotations)
