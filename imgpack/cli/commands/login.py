"""``imgpack login`` and ``logout``: check, store and forget the credentials of a registry.

Invariant: nothing is stored that the registry has not accepted, and the password
is neither echoed nor printed; to log out, every file and helper that would be asked
later is made to forget, and nothing else in them changes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from imgpack.cli.options.registry import (
    RegistryOptions,
    connect,
    login_file,
    registry_options,
    user_environment,
)

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal


@click.command("login", context_settings={"allow_extra_args": True})
@click.argument("server", metavar="[REGISTRY]", default="docker.io")
@click.option("-u", "--username", metavar="USER", help="The user name; asked for if missing.")
@registry_options
@click.pass_obj
def login(
    terminal: Terminal, *, server: str, username: str | None, registry: RegistryOptions
) -> None:
    """Check credentials for REGISTRY (docker.io) and store them for later commands.

    They go to the helper that Docker's configuration names, or else into the
    file that already has an entry for REGISTRY, $REGISTRY_AUTH_FILE, or Docker's
    config.json.
    """
    from imgpack.credentials.config_file import choose_file, store_credential
    from imgpack.credentials.files import credential_files, credential_store
    from imgpack.credentials.lookup import server_host

    if click.get_current_context().args:  # they may be a password, and are not repeated
        raise click.UsageError("login takes one registry; give -u USER and --password-stdin")
    host = server_host(server)
    options = _with_user(registry, username, host)
    environment = user_environment()
    sources = credential_files(environment)
    # The file is read before anything is asked of the registry, so that a broken one is told first.
    path = choose_file(sources, host, login_file(environment))
    with connect(options, terminal, [host]) as registries:
        session = registries.session(host)
        if not session.check_credentials():
            terminal.warn(f"{host} wants no credentials; these are stored unchecked")
        credential = session.credential()
    if credential is None:
        raise click.UsageError("no credentials were given")
    helper = store_credential(path, host, credential, credential_store(environment))
    if helper is None:
        terminal.warn(f"the password is stored unencrypted in {path}")
    if os.environ.get("DOCKER_AUTH_CONFIG"):
        terminal.warn("DOCKER_AUTH_CONFIG is set and may hide this login")
    terminal.detail(f"stored in {helper.path if helper else path}")
    click.echo(f"logged in to {host} as {credential.username}")


def _with_user(options: RegistryOptions, username: str | None, host: str) -> RegistryOptions:
    if username is not None and options.creds is not None:
        raise click.UsageError("give the user name either with -u or with --creds")
    if options.creds is None:
        if username is None:
            if options.password_stdin:
                raise click.UsageError("--password-stdin needs a user name: -u USER")
            if not sys.stdin.isatty():
                raise click.UsageError(
                    f"there is no terminal to ask for the user name for {host};"
                    " give -u USER --password-stdin"
                )
            username = click.prompt(f"User name for {host}", err=True, type=str)
        if ":" in username or not username:
            raise click.UsageError("a user name is not empty and has no colon")
        return replace(options, creds=username)
    return options


@click.command("logout")
@click.argument("server", metavar="[REGISTRY]", default="docker.io")
@click.pass_obj
def logout(terminal: Terminal, *, server: str) -> None:
    """Forget the credentials for REGISTRY (docker.io), wherever they are stored."""
    from imgpack.credentials.config_file import erase_credential
    from imgpack.credentials.files import credential_files, credential_store
    from imgpack.credentials.lookup import server_host

    host = server_host(server)
    environment = user_environment()
    store = credential_store(environment)
    paths = erase_credential(credential_files(environment), host, store)
    if store.find(host) is not None:
        terminal.warn(f"{host} still has credentials in DOCKER_AUTH_CONFIG or ~/.dockercfg")
    if not paths:
        terminal.warn(f"not logged in to {host}: no file or helper has credentials for it")
        return
    for path in paths:
        terminal.detail(f"removed from {path}")
    click.echo(f"logged out of {host}")
