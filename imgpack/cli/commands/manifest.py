"""``imgpack manifest``: a manifest, schema1 manifest or configuration, byte for byte."""

import sys

import click

from imgpack.cli.options.location import (
    Located,
    choice_options,
    is_path,
    only,
    open_location,
    parse_reference,
)
from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.signing import signing_key, signing_time
from imgpack.cli.output.display import one_line
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ArchiveError, UnsupportedError
from imgpack.image.image import Image
from imgpack.spec.reference import Reference, parse_name


@click.command("manifest")
@click.argument("location", metavar="ARCHIVE|REF")
@click.option("--config", "want_config", is_flag=True, help="Print the image configuration.")
@click.option("--schema1", is_flag=True, help="Print the schema1 manifest, signed.")
@click.option("--unsigned", is_flag=True, help="With --schema1: only the payload.")
@click.option(
    "--signing-key",
    metavar="PEM",
    type=click.Path(),
    help="With --schema1: sign with this private key, not with a throw-away one.",
)
@click.option("--name", metavar="NAME", help="With --schema1: for this name and tag.")
@choice_options
@registry_options
@click.pass_obj
def command(
    terminal: Terminal,
    *,
    location: str,
    want_config: bool,
    schema1: bool,
    unsigned: bool,
    signing_key: str | None,
    name: str | None,
    image: str | None,
    platform: str | None,
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
    if schema1 and not is_path(location):
        if signing_key is not None or name is not None or image is not None:
            raise click.UsageError("a registry answers with its own schema1 manifest, as it is")
        _write(_remote_schema1(location, terminal, registry, unsigned=unsigned))
        return
    with open_location(location, terminal, registry, image=image, platform=platform) as located:
        if schema1:
            payload = _payload(located, _single(located), image, name)
            _write(payload if unsigned else _signed(payload, signing_key))
        elif want_config:
            _write(_single(located).config.raw)
        else:
            _write(only(located).document.raw)


def _write(raw: bytes) -> None:
    if sys.stdout.isatty():
        # Whoever made the image chose these bytes: no control sequence of theirs goes out.
        text = raw.decode("utf-8", "backslashreplace")
        click.echo("\n".join(map(one_line, text.split("\n"))))
        return
    stream = sys.stdout.buffer
    stream.write(raw)
    stream.flush()


def _single(located: Located) -> Image:
    chosen = only(located)
    if isinstance(chosen, Image):
        return chosen
    platforms = ", ".join(str(one.config.platform) for one in chosen.images)
    raise click.UsageError(
        f"{located.text} is a multi-platform image: choose one with --platform ({platforms})"
    )


def _payload(located: Located, image: Image, wanted: str | None, name: str | None) -> bytes:
    """The stored payload if it is for this name, else one made for it."""
    from imgpack.spec.schema1.payload import build_schema1, parse_payload, real_layers

    reference = parse_name(name) if name is not None else _name(located, image, wanted)
    tag = reference.tag or "latest"
    made = build_schema1(image.manifest, image.config, reference.repository, tag)
    stored = located.archive.schema1_payload if located.archive is not None else None
    if stored is None or stored == made.payload:
        return made.payload
    known = parse_payload(stored, f"{located.text}: schema1.json")
    if (known.name, known.tag) != (reference.repository, tag) or (
        name is None and wanted is not None
    ):
        return made.payload
    layers = tuple(layer.digest for layer in image.manifest.layers)
    if real_layers(known) != layers:
        raise ArchiveError(
            f"{located.text} is ambiguous: schema1.json names other layers than the manifest",
            "make the archive again",
        )
    return stored


def _name(located: Located, image: Image, wanted: str | None) -> Reference:
    names = [name for name in image.names if name.tag is not None]
    for name in names:
        if wanted is not None and wanted in (str(name), name.shown(), name.tag):
            return name
    if not names:
        raise UnsupportedError(
            f"the image in {located.text} has no name, and a schema1 manifest holds one",
            "say --name NAME:TAG",
        )
    return names[0]


def _signed(payload: bytes, path: str | None) -> bytes:
    from imgpack.spec.schema1.signature import sign

    return sign(payload, signing_key(path), signing_time())


def _remote_schema1(
    location: str, terminal: Terminal, registry: RegistryOptions, *, unsigned: bool
) -> bytes:
    from imgpack.registry.pull.image import fetch_schema1
    from imgpack.spec.schema1.signature import verify

    reference = parse_reference(location)
    with connector(registry, terminal) as connections:
        raw = fetch_schema1(connections, reference)
    payload = verify(raw, f"the schema1 manifest of {reference}").payload
    return payload if unsigned else raw
