"""``imgpack tags``: a repository's tags, one a line."""

import click

from imgpack.cli.options.registry import RegistryOptions, connector, registry_options
from imgpack.cli.output.terminal import Terminal
from imgpack.errors import InvalidReferenceError
from imgpack.image.location import remote_name
from imgpack.spec.json import encode


@click.command("tags")
@click.argument("repository", metavar="REPO")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@registry_options
@click.pass_obj
def command(
    terminal: Terminal, *, repository: str, as_json: bool, registry: RegistryOptions
) -> None:
    """List the tags of REPO, in the registry's order."""
    name = remote_name(repository)
    if name.tag is not None or name.digest is not None:
        raise InvalidReferenceError(
            f"{repository!r} is more than a repository", "leave out the tag and the digest"
        )
    from imgpack.registry.repository import RepositoryClient
    from imgpack.registry.tags import list_tags

    with connector(registry, terminal) as connections:
        client = RepositoryClient(connections.session(name.registry), name.repository)
        if as_json:
            document = {"name": name.shown(), "tags": list(list_tags(client))}
            click.echo(encode(document, indent=2).decode())
            return
        for tag in list_tags(client):
            click.echo(tag)
