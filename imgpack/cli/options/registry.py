"""The options that every command that talks to a registry has, and what comes of them.

The one place where the environment's say about networks and credentials is read:
``REGISTRY_AUTH_FILE``, ``DOCKER_AUTH_CONFIG``, ``DOCKER_CONFIG``, the XDG
directories, ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and the proxies. Invariants: a
password is never echoed or printed; ``--help`` loads no network module.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import api
from imgpack.cli.options.parameters import DIRECTORY, FILE, gathered
from imgpack.cli.output.advice import worded
from imgpack.errors import Advice, ImgpackError, Remedy

if TYPE_CHECKING:
    from imgpack.cli.output.terminal import Terminal
    from imgpack.credentials.lookup import Given

PASSWORD_LIMIT: Final = 64 << 10
"""Characters of a password on standard input."""


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """The values of the options that ``registry_options`` adds, in one."""

    plain_http: bool | None = None
    tls_verify: bool = True
    ca_file: str | None = None
    cert_dir: str | None = None
    creds: str | None = field(default=None, repr=False)
    password_stdin: bool = False
    trust_realm: tuple[str, ...] = ()
    retries: int = 4
    timeout: float = 60.0


class _Boolean(click.types.BoolParamType):
    """A truth value that has to be written: click takes an empty one for false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not value.strip():
            self.fail("it is empty; write true or false", param, ctx)
        return super().convert(value, param, ctx)


registry_options = gathered(
    "registry",
    RegistryOptions,
    click.option(
        "--plain-http/--no-plain-http",
        default=None,
        help="Use http, without TLS (default: for loopback hosts only, unless"
        " certificates are named for them).",
    ),
    click.option(
        "--tls-verify",
        type=_Boolean(),
        default=True,
        metavar="BOOL",
        help="false: accept any certificate (unsafe).",
    ),
    click.option("--ca-file", type=FILE, metavar="PEM", help="Trust these authorities as well."),
    click.option(
        "--cert-dir",
        type=DIRECTORY,
        metavar="DIR",
        help="*.crt, *.cert and *.key for the registry, as in /etc/docker/certs.d/HOST.",
    ),
    click.option(
        "--creds",
        metavar="USER[:PASSWORD]",
        help="Credentials for the registry. Others can see a password given here:"
        " leave it out to be asked, or use --password-stdin.",
    ),
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    click.option(
        "--trust-realm",
        multiple=True,
        metavar="HOST",
        help="Let this token server have the registry's credentials (repeatable).",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 100),
        default=4,
        show_default=True,
        metavar="N",
        help="Further attempts after a failure that may pass.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.1, 86400),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="The longest silence of a registry.",
    ),
)
"""The options; a command gets them as one ``RegistryOptions`` named ``registry``."""


@contextmanager
def connect(
    options: RegistryOptions,
    terminal: Terminal,
    only: Iterable[str] = (),
    *,
    jobs: int = 4,
    creds_option: str = "--creds",
) -> Iterator[api.Registries]:
    """Sessions with these options. ``only``: whom ``--creds`` is for, if not for anybody.

    There must be one then, or one password would go to several. ``creds_option`` is what
    ``creds`` is called here; errors that leave the block name it. Asks for a missing
    password on a terminal. Raises ``click.UsageError`` and ``CredentialError``.
    """
    whom = list(dict.fromkeys(only))
    if options.creds is not None and len(whom) > 1:
        raise click.UsageError(
            f"--creds is for one registry, and there are {', '.join(whom)}: use imgpack login"
        )
    registry = whom[0] if len(whom) == 1 else None
    if not options.tls_verify:
        terminal.warn("certificates are not verified: anybody on the way can read and change data")
    # Who names certificates means TLS, on a loopback host as well.
    plain_http, named = options.plain_http, bool(options.ca_file or options.cert_dir)
    session = api.SessionOptions(
        plain_http=False if plain_http is None and named else plain_http,
        retry=api.RetryPolicy(attempts=options.retries + 1),
        trusted_realms=options.trust_realm,
    )
    given = given_credential(options, registry, creds_option)
    store = api.credential_store(user_environment(), given)
    transport = transport_options(options, os.environ, jobs)
    try:
        with api.Registries(transport, session, store, terminal) as registries:
            terminal.hide(registries.secrets.hide)
            yield registries
    except ImgpackError as error:
        hint = error.hint
        if not isinstance(hint, Advice) or hint.remedy is not Remedy.LOG_IN or len(whom) > 1:
            raise
        if registry not in (None, *hint.values):
            raise
        text = f"{worded(hint)}, or give {creds_option}"
        raise error.reworded(error.message, text) from error.__cause__


def transport_options(
    options: RegistryOptions, environment: Mapping[str, str], jobs: int
) -> api.TransportOptions:
    """Time-outs, TLS and proxies, from options and environment."""
    from urllib.request import getproxies_environment

    proxies = getproxies_environment()
    tls = api.TlsOptions(
        verify=options.tls_verify,
        cert_file=environment.get("SSL_CERT_FILE") or None,
        cert_dir=environment.get("SSL_CERT_DIR") or None,
        ca_file=options.ca_file,
        host_directory=options.cert_dir,
    )
    return api.TransportOptions(
        jobs=jobs,
        connect_timeout=min(30.0, options.timeout),
        silence_timeout=options.timeout,
        tls=tls,
        proxies=tuple((scheme, url) for scheme, url in proxies.items() if scheme != "no"),
        no_proxy=proxies.get("no", ""),
    )


def given_credential(
    options: RegistryOptions, registry: str | None, option: str = "--creds"
) -> Given | None:
    """The credential of ``--creds`` (or ``option``); a missing password is asked for or read."""
    from imgpack.credentials.lookup import Credential, Given

    if options.creds is None:
        if options.password_stdin:
            raise click.UsageError("--password-stdin needs a user name: --creds USER")
        return None
    user, colon, password = options.creds.partition(":")
    if not user:
        raise click.UsageError(f"{option} needs a user name, as in USER or USER:PASSWORD")
    if colon and options.password_stdin:
        raise click.UsageError("give the password either in --creds or with --password-stdin")
    if not colon:
        other = "--password-stdin" if option == "--creds" else f"{option} USER:PASSWORD"
        password = read_password(f"Password for {user}", other, from_stdin=options.password_stdin)
    return Given(Credential(user, password), registry)


def read_password(prompt: str, other: str, *, from_stdin: bool) -> str:
    """One line from standard input, or what is typed, unseen, at a terminal.

    ``other`` is what helps where there is no terminal.
    """
    if from_stdin:
        try:
            line = sys.stdin.read(PASSWORD_LIMIT + 1)
        except UnicodeDecodeError:
            raise click.UsageError("the password on standard input is not text") from None
        if len(line) > PASSWORD_LIMIT:
            raise click.UsageError("the password on standard input is too long")
        password = line.removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        password = click.prompt(
            prompt, hide_input=True, err=True, type=str, default="", show_default=False
        )
    else:
        raise click.UsageError(f"there is no terminal to ask for the password; use {other}")
    if not password:
        raise click.UsageError("the password is empty")
    return password


def user_environment() -> dict[str, str]:
    """The environment, with the home of the user that is ours, if it says none."""
    return {**os.environ, "HOME": os.environ.get("HOME") or os.path.expanduser("~")}


def login_file(environment: Mapping[str, str]) -> str:
    """Where a login goes that no file knows yet."""
    from imgpack.credentials.files import docker_config

    path = environment.get("REGISTRY_AUTH_FILE") or docker_config(environment)
    assert path is not None  # there is a home
    return path
