"""``imgpack logout``: forget the credentials of a registry.

Invariant: every file and helper that would be asked later is made to forget, and
nothing else in them changes.
"""

import os

import click

from imgpack.cli.options.registry import credential_files, credential_store
from imgpack.cli.output.terminal import Terminal


@click.command("logout")
@click.argument("server", metavar="[REGISTRY]", default="docker.io")
@click.pass_obj
def command(terminal: Terminal, *, server: str) -> None:
    """Forget the credentials for REGISTRY (docker.io), wherever they are stored."""
    from imgpack.credentials.config_file import erase_credential
    from imgpack.credentials.lookup import server_host

    host = server_host(server)
    store = credential_store(os.environ, None)
    paths = erase_credential(credential_files(os.environ), host, store)
    if store.find(host) is not None:
        terminal.warn(f"{host} still has credentials in DOCKER_AUTH_CONFIG or ~/.dockercfg")
    if not paths:
        terminal.warn(f"not logged in to {host}: no file or helper has credentials for it")
        return
    for path in paths:
        terminal.detail(f"removed from {path}")
    click.echo(f"logged out of {host}")
