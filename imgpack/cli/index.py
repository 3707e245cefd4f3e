"""``imgpack index``: join platform images, pushed by different machines, into one index."""

import click

from imgpack.cli.connect import RegistryOptions, connector, registry_options
from imgpack.cli.location import parse_reference
from imgpack.cli.push import jobs_option, target
from imgpack.cli.results import print_pushed, upload_journal, write_metadata
from imgpack.cli.terminal import Terminal
from imgpack.errors import ConfigError, NotFoundError
from imgpack.image import Image, MultiImage
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.manifest import Index, build_index
from imgpack.spec.platform import Platform


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
    name = target(reference)
    sources = tuple(parse_reference(text) for text in added)
    wanted = tuple(Platform.parse(text) for text in platforms)
    pairs = _annotations(annotations)
    from imgpack.registry.delivery import Delivery
    from imgpack.registry.pull import open_remote
    from imgpack.registry.push import PushOptions, push

    with connector(registry, terminal, jobs=jobs, registry=name.registry) as connections:
        opened = [open_remote(connections, source, reporter=terminal) for source in sources]
        images = _chosen(_flat(opened), wanted)
        joined = MultiImage(_index(images, pairs), images)
        options = PushOptions(jobs=jobs, mount_from=sources, journal=upload_journal())
        deliveries = [Delivery(joined, (name,))]
        pushed = push(connections, deliveries, options, terminal)
    if metadata_file is not None:
        write_metadata(metadata_file, pushed, deliveries)
    print_pushed(pushed)


def _annotations(texts: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--annotation {text!r}: write KEY=VALUE")
        out[key] = value
    return out


def _flat(opened: list[Image | MultiImage]) -> list[Image]:
    """Every image once, in the order given; two of one platform are an error."""
    by_platform: dict[str, Image] = {}
    for one in opened:
        for image in one.images if isinstance(one, MultiImage) else (one,):
            platform = str(image.config.platform)
            known = by_platform.setdefault(platform, image)
            if known.manifest.descriptor.digest != image.manifest.descriptor.digest:
                raise ConfigError(
                    f"two different images are for {platform}", "add only one of them"
                )
    return list(by_platform.values())


def _chosen(images: list[Image], wanted: tuple[Platform, ...]) -> tuple[Image, ...]:
    if not wanted:
        return tuple(images)
    out: dict[int, Image] = {}
    for platform in wanted:
        found = [image for image in images if platform.matches(image.config.platform)]
        if not found:
            there = ", ".join(str(image.config.platform) for image in images)
            raise NotFoundError(f"no --add has an image for {platform}", f"there are: {there}")
        out |= {id(image): image for image in found}
    return tuple(out.values())


def _index(images: tuple[Image, ...], annotations: dict[str, str]) -> Index:
    # Some registries refuse an OCI index over Docker manifests, and the other way round.
    docker = all(image.manifest.media_type == mediatype.DOCKER_MANIFEST for image in images)
    kind = mediatype.DOCKER_INDEX if docker and not annotations else mediatype.OCI_INDEX
    entries = [
        Descriptor(
            image.manifest.media_type,
            image.manifest.descriptor.digest,
            image.manifest.descriptor.size,
            platform=image.config.platform,
        )
        for image in images
    ]
    return build_index(entries, kind, annotations)
