"""``imgpack index``: join platform images, pushed by different machines, into one index."""

import click

from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.scratch import scratch_directory
from imgpack.cli.options.transfer import jobs_option, upload_journal
from imgpack.cli.output.metadata import check_metadata_file
from imgpack.cli.output.results import write_printing
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import InvalidReferenceError
from imgpack.image.image import Named
from imgpack.image.join import join
from imgpack.image.location import is_path, parse_reference, target_name
from imgpack.spec.platform import Platform
from imgpack.spec.reference import Reference


@click.group("index")
def index() -> None:
    """Join platform images into one index."""


@index.command("create")
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
    name = target_name(reference)
    sources = tuple(_source(text) for text in added)
    wanted = tuple(Platform.parse(text) for text in platforms)
    pairs = _annotations(annotations)
    from imgpack.registry.pull.image import open_remote
    from imgpack.registry.push.push import PushOptions, RegistrySink

    with connector(registry, terminal, jobs=jobs, registry=name.registry) as connections:
        opened = [open_remote(connections, source, scratch=scratch_directory) for source in sources]
        joined = join([one.image().image for one in opened], wanted, pairs)
        options = PushOptions(mount_from=sources, journal=upload_journal())
        sink = RegistrySink(connections, options)
        write_printing(sink, [Named(joined, (name,))], jobs, metadata_file)


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
