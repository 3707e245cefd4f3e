"""TLS contexts: what is trusted, and which client certificate is shown to which host.

Sources: the system's trust, a bundle or directory that replaces it
(``SSL_CERT_FILE``, ``SSL_CERT_DIR``), ``--ca-file``, and the per-host
directories of containers-certs.d(5) (``/etc/docker/certs.d/HOST[:PORT]``):
``*.crt`` are authorities, ``NAME.cert`` with ``NAME.key`` is a client
certificate. Invariants: at least TLS 1.2; a client certificate is offered only
to the host whose directory holds it; a file that is named and cannot be read is
an error, never ignored.
"""

import os
import ssl
from dataclasses import dataclass
from typing import Final

from imgpack.errors import TlsError
from imgpack.files.reading import open_regular
from imgpack.registry.http.url_policy import Origin

CERTS_DIRECTORIES: Final = ("/etc/containers/certs.d", "/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What to trust. Paths are text; ``None`` and ``()`` mean: not given.

    ``cert_file`` and ``cert_dir`` replace the system's trust, ``ca_file`` adds
    to it; ``certs_directories`` hold one directory for each ``host[:port]``;
    ``host_directory`` is one such directory, for every host.
    """

    verify: bool = True
    cert_file: str | None = None
    cert_dir: str | None = None
    ca_file: str | None = None
    certs_directories: tuple[str, ...] = CERTS_DIRECTORIES
    host_directory: str | None = None


@dataclass(frozen=True, slots=True)
class HostCertificates:
    """What the per-host directories hold: authorities, and (certificate, key) pairs."""

    authorities: tuple[str, ...]
    clients: tuple[tuple[str, str], ...]


def make_context(options: TlsOptions, origin: Origin) -> ssl.SSLContext:
    """The context for connections to ``origin``. Raises ``TlsError`` naming a bad file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.host_directory is not None:
        found = _read_directory(options.host_directory)
    else:
        found = host_certificates(options.certs_directories, origin)
    if options.verify:
        _trust(context, options, found)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for certificate, key in found.clients:
        try:
            for path in (certificate, key):
                _check_regular(path)
            # The empty password keeps OpenSSL from asking on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:
            raise TlsError(
                f"{certificate}: the client certificate or its key {key} cannot be used"
                f" ({_reason(error)})"
            ) from None
    return context


def _trust(context: ssl.SSLContext, options: TlsOptions, found: HostCertificates) -> None:
    if options.cert_file or options.cert_dir:
        _load(context, options.cert_file, options.cert_dir)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    for path in (options.ca_file, *found.authorities):
        if path is not None:
            _load(context, path, None)


def _load(context: ssl.SSLContext, path: str | None, directory: str | None) -> None:
    try:
        if path:
            _check_regular(path)
        context.load_verify_locations(cafile=path or None, capath=directory or None)
    except (OSError, ValueError) as error:
        raise TlsError(
            f"{path or directory}: cannot be used as trusted certificates ({_reason(error)})",
            "give a readable file of PEM certificates",
        ) from None


def _check_regular(path: str) -> None:
    """OpenSSL would wait for the writer of a pipe. Raises ``OSError``."""
    fd, _ = open_regular(path, follow=True)
    os.close(fd)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def host_certificates(directories: tuple[str, ...], origin: Origin) -> HostCertificates:
    """The certificates for ``origin``: of the first directory that knows the host.

    ``HOST:PORT`` is looked for before ``HOST``, which counts for the default port
    only. Raises ``TlsError`` when a directory is there and cannot be listed, or a
    certificate comes without its key.
    """
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    names = [f"{host}:{origin.port}"] + ([host] if origin.port in (80, 443) else [])
    for directory in directories:
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isdir(path):
                return _read_directory(path)
    return HostCertificates((), ())


def _read_directory(path: str) -> HostCertificates:
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise TlsError(f"{path}: cannot be listed ({error.strerror})") from None
    clients = []
    for name in names:
        stem, extension = os.path.splitext(name)
        if extension == ".cert":
            if f"{stem}.key" not in names:
                raise TlsError(f"{os.path.join(path, name)}: there is no {stem}.key beside it")
            clients.append((os.path.join(path, name), os.path.join(path, f"{stem}.key")))
        elif extension == ".key" and f"{stem}.cert" not in names:
            raise TlsError(f"{os.path.join(path, name)}: there is no {stem}.cert beside it")
    authorities = tuple(os.path.join(path, name) for name in names if name.endswith(".crt"))
    return HostCertificates(authorities, tuple(clients))
