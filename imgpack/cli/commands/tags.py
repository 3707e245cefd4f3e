"""``imgpack tags`` and ``rm``: what a repository holds, and deleting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.registry import RegistryOptions, connect, registry_options
from imgpack.cli.output.display import json_text
from imgpack.errors import InvalidReferenceError

if TYPE_CHECKING:
    from imgpack.api import Reference
    from imgpack.cli.output.terminal import Terminal


@click.command("tags")
@click.argument("repository", metavar="REPO")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@registry_options
@click.pass_obj
def tags(terminal: Terminal, *, repository: str, as_json: bool, registry: RegistryOptions) -> None:
    """List the tags of REPO, in the registry's order."""
    name = api.remote_name(repository)
    if name.tag is not None or name.digest is not None:
        raise InvalidReferenceError(
            f"{repository!r} is more than a repository", "leave out the tag and the digest"
        )
    with connect(registry, terminal) as registries:
        found = api.tags(name, registries=registries)
        if as_json:
            document = {"name": name.shown(), "tags": list(found)}
            click.echo(json_text(document))
            return
        for tag in found:
            click.echo(tag)


@click.command("rm")
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@registry_options
@click.pass_obj
def rm(terminal: Terminal, *, references: tuple[str, ...], registry: RegistryOptions) -> None:
    """Delete each REF: REPO:TAG removes a tag, REPO@DIGEST an image and all its tags.

    REPO:TAG@DIGEST removes the tag if it has this digest, and the image keeps its others.
    """
    names = [_exact(text) for text in references]
    with connect(registry, terminal, [name.registry for name in names]) as registries:
        for name in names:
            api.delete(name, registries=registries)
            click.echo(name.shown())


def _exact(text: str) -> Reference:
    name = api.writable_name(text)
    if name.tag is None and name.digest is None:
        raise InvalidReferenceError(
            f"{text!r} names neither a tag nor a digest", "say what to delete: REPO:TAG"
        )
    return name
