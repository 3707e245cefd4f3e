"""``imgpack manifest`` and ``digest``: a manifest, schema1 manifest or configuration, byte for
byte, and what names it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.location import Choice, choice_options, open_location
from imgpack.cli.options.parameters import FILE
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.options.signing import signing_key, signing_time
from imgpack.cli.output.display import one_line
from imgpack.errors import AmbiguousError, UnsupportedError, about

if TYPE_CHECKING:
    from imgpack.api import Image, Named, Opened
    from imgpack.cli.output.terminal import Terminal


@click.command("manifest")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@click.option("--config", "want_config", is_flag=True, help="Print the image configuration.")
@click.option("--schema1", is_flag=True, help="Print the schema1 manifest, signed.")
@click.option("--unsigned", is_flag=True, help="With --schema1: only the payload.")
@click.option(
    "--signing-key",
    metavar="PEM",
    type=FILE,
    help="With --schema1: sign with this private key, not with a throw-away one.",
)
@click.option("--name", metavar="NAME", help="With --schema1: for this name and tag.")
@choice_options
@registry_options
@click.pass_obj
def manifest(
    terminal: Terminal,
    *,
    location: str,
    want_config: bool,
    schema1: bool,
    unsigned: bool,
    signing_key: str | None,
    name: str | None,
    choice: Choice,
    registry: RegistryOptions,
) -> None:
    """Print a manifest as it is stored or pushed, with no byte added.

    Without options it is the Docker v2 or OCI manifest (or the index of a
    multi-platform image). At a terminal, control characters in it are escaped.
    """
    if want_config and schema1:
        raise click.UsageError("--config and --schema1 are two documents: choose one")
    if not schema1 and (unsigned or signing_key is not None or name is not None):
        raise click.UsageError("--unsigned, --signing-key and --name go with --schema1")
    if unsigned and signing_key is not None:
        raise click.UsageError("--unsigned and --signing-key contradict each other")
    location, choice = choice.within(location)
    if schema1 and not api.is_path(location):
        if signing_key is not None or name is not None or choice.image is not None:
            raise click.UsageError(
                "--name, --image and --signing-key are for archives;"
                " a registry answers with its own schema1 manifest, as it is"
            )
        _write(_remote_schema1(location, terminal, registry, unsigned=unsigned))
        return
    with open_location(location, terminal, registry, choice=choice) as opened:
        if schema1:
            payload = _payload(opened, choice.one(opened), choice.image, name)
            _write(payload if unsigned else _signed(payload, signing_key))
        elif want_config:
            _write(_single(choice.one(opened), location).config.raw)
        elif choice.platform is not None:
            _write(_single(choice.one(opened), location).manifest.raw)
        else:
            _write(opened.document(opened.select(choice.image)).raw)


@click.command("digest")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF")
@choice_options
@registry_options
@click.pass_obj
def digest(terminal: Terminal, *, location: str, choice: Choice, registry: RegistryOptions) -> None:
    """Print the digest of an image: of what imgpack manifest prints.

    Of a multi-platform image it is that of the index, unless --platform chooses one.
    """
    location, choice = choice.within(location)
    with open_location(location, terminal, registry, choice=choice) as opened:
        if choice.platform is not None:
            found = _single(choice.one(opened), location).manifest.descriptor
        else:
            found = opened.document(opened.select(choice.image)).descriptor
        terminal.result(str(found.digest))


def _write(raw: bytes) -> None:
    if sys.stdout.isatty():
        # Whoever made the image chose these bytes: no control sequence of theirs goes out.
        text = raw.decode("utf-8", "backslashreplace")
        click.echo("\n".join(map(one_line, text.split("\n"))))
        return
    stream = sys.stdout.buffer
    stream.write(raw)
    stream.flush()


def _single(named: Named, location: str) -> Image:
    image = named.image
    if isinstance(image, api.Image):
        return image
    if isinstance(image, api.Artifact):
        raise UnsupportedError(f"{location} is an artifact of type {image.type}, not an image")
    platforms = ", ".join(str(one.config.platform) for one in api.images_in(image))
    raise AmbiguousError(
        f"{location} is a multi-platform image", f"choose one with --platform ({platforms})"
    )


def _payload(opened: Opened, named: Named, wanted: str | None, name: str | None) -> bytes:
    """The stored payload if it is for this name, else one made for it."""
    image = _single(named, opened.location)
    with about(opened.location):
        reference = api.parse_name(name) if name is not None else api.schema1_name(named, wanted)
        exactly = name is None and wanted is not None
        return api.schema1_payload(image, reference, opened.schema1_payload, exactly=exactly)


def _signed(payload: bytes, path: str | None) -> bytes:
    from imgpack.spec.schema1.signature import sign

    return sign(payload, signing_key(path), signing_time())


def _remote_schema1(
    location: str, terminal: Terminal, registry: RegistryOptions, *, unsigned: bool
) -> bytes:
    from imgpack.spec.schema1.signature import verify

    reference = api.parse_reference(location)
    with connect(registry, terminal) as registries:
        raw = api.fetch_schema1(registries, reference)
    with about(f"the schema1 manifest of {reference}"):
        payload = verify(raw).payload
    return payload if unsigned else raw
