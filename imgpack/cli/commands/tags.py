"""``imgpack tags`` and ``rm``: what a repository holds, and deleting it."""

from typing import TYPE_CHECKING

import click

from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.options.transfer import creds_option, one_registry
from imgpack.cli.output.results import pinned
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import ImgpackError, InvalidReferenceError, RegistryError
from imgpack.image.location import remote_name
from imgpack.spec.json import encode
from imgpack.spec.reference import Reference

if TYPE_CHECKING:
    from imgpack.registry.repository import Repository


@click.command("tags")
@click.argument("repository", metavar="REPO")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@registry_options
@click.pass_obj
def tags(terminal: Terminal, *, repository: str, as_json: bool, registry: RegistryOptions) -> None:
    """List the tags of REPO, in the registry's order."""
    name = remote_name(repository)
    if name.tag is not None or name.digest is not None:
        raise InvalidReferenceError(
            f"{repository!r} is more than a repository", "leave out the tag and the digest"
        )
    from imgpack.registry.tags import list_tags

    with connector(registry, terminal) as connections:
        client = connections.repository(name)
        if as_json:
            document = {"name": name.shown(), "tags": list(list_tags(client))}
            click.echo(encode(document, indent=2).decode())
            return
        for tag in list_tags(client):
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
    given_for = one_registry(registry.creds, names)
    option = creds_option(given_for)
    with connector(registry, terminal, registry=given_for, creds_option=option) as connections:
        for name in names:
            client = connections.repository(name)
            try:
                if name.tag is not None and name.digest is not None:
                    client.delete_tag(name.tag, name.digest)
                else:
                    client.delete_manifest(name.digest or name.target)
            except ImgpackError as error:
                raise _explained(error, name, client) from error
            click.echo(name.shown())


def _exact(text: str) -> Reference:
    name = remote_name(text)
    if name.tag is None and name.digest is None:
        raise InvalidReferenceError(
            f"{text!r} names neither a tag nor a digest", "say what to delete: REPO:TAG"
        )
    return name


def _explained(error: ImgpackError, name: Reference, client: "Repository") -> ImgpackError:
    """What to do when a registry does not delete (405): many delete by digest only, or not."""
    answer = error.answer
    refused = answer is not None and (answer.status == 405 or "UNSUPPORTED" in answer.codes)
    by_tag_only = answer is not None and "DIGEST_INVALID" in answer.codes
    if not (refused or by_tag_only):
        return error
    if name.tag is None:
        return RegistryError(
            f"{name.shown()}: the registry does not delete images",
            "its operator can allow it (Distribution: storage.delete.enabled)",
        )
    digest = name.digest or client.head_manifest(name.tag)
    other = "" if digest is None else f": imgpack rm {pinned(name.with_digest(digest), digest)}"
    return RegistryError(
        f"{name.shown()}: the registry does not delete tags",
        f"it may delete by digest, which removes every tag of the image{other}",
    )
