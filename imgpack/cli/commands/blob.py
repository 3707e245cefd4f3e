"""``imgpack blob``: stream one verified blob out of a registry, archive or layout."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import click

from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.output.results import to_standard_output
from imgpack.cli.output.terminal import Terminal
from imgpack.files.blobs import verify_stream
from imgpack.files.streams import open_output
from imgpack.image.location import is_path, parse_reference
from imgpack.spec.digest import Digest
from imgpack.store.archive.write import STDOUT
from imgpack.store.open import open_images


@click.command("blob")
@click.argument("location", metavar="REF@DIGEST|ARCHIVE@DIGEST")
@click.option("-o", "--output", metavar="FILE", help="Write to a file, whole or not at all.")
@registry_options
@click.pass_obj
def blob(
    terminal: Terminal, *, location: str, output: str | None, registry: RegistryOptions
) -> None:
    """Stream one blob to standard output, and fail if its digest is not the one asked for.

    On a pipe, bytes go out before the last of them is checked: look at the exit
    code, or use -o.
    """
    place, at, text = location.rpartition("@")
    if not at or not place:
        raise click.UsageError("say which blob: REF@sha256:… or ARCHIVE@sha256:…")
    digest = Digest.parse(text)
    target = STDOUT if output is None else output
    to_stdout = to_standard_output(target, "a blob")
    with ExitStack() as stack:
        chunks = (
            _archived(stack, place, digest)
            if is_path(place)
            else _remote(stack, location, terminal, registry)
        )
        if to_stdout:
            stream = sys.stdout.buffer
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
            return
        with open_output(target) as write:
            for chunk in chunks:
                write(chunk)


def _archived(stack: ExitStack, place: str, digest: Digest) -> Iterator[bytes]:
    opened = stack.enter_context(open_images(place))
    descriptor = opened.describe(digest)
    return verify_stream(opened.read_blob(descriptor), descriptor, f"{place}: blob {digest}")


def _remote(
    stack: ExitStack, location: str, terminal: Terminal, registry: RegistryOptions
) -> Iterator[bytes]:
    from imgpack.registry.pull.download import read_remote_blob

    connections = stack.enter_context(connector(registry, terminal))
    return read_remote_blob(connections, parse_reference(location))
