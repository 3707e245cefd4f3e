"""nginx before a registry: TLS, a limit for request bodies, and a storage that redirects."""

import base64
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import KeyPair
from tests.servers.distribution import Registry
from tests.servers.process import Server, free_port, listens, require, settled

_FRAME = """\
daemon off;
worker_processes 1;
error_log stderr info;
pid {directory}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size {limit};
  server {{
    listen 127.0.0.1:{port}{tls};
    {certificate}
    {redirect}
    location / {{
      proxy_pass http://{registry};
      proxy_set_header Host $http_host;
      {forwarded}
      proxy_request_buffering off;
      proxy_http_version 1.1;
      proxy_read_timeout 300;
    }}
  }}
  {storage}
}}
"""

# A GET of a blob is answered with a redirect to another origin, as object stores do it:
# here another port of the same host, for a registry may not send us to other local ones.
_REDIRECT = """\
location ~ ^/v2/.+/blobs/sha256: {{
      if ($request_method = GET) {{ return 307 http://localhost:{storage}/stored$request_uri; }}
      proxy_pass http://{registry};
      proxy_set_header Host $http_host;
    }}"""

# The storage logs what it was sent, so that a test can see that no credential reached it.
_STORAGE = """\
log_format storage '$request_method $uri authorization="$http_authorization"';
  server {{
    listen 127.0.0.1:{storage};
    access_log {directory}/storage.log storage;
    location /stored/ {{
      proxy_pass http://{registry}/;
      {authorization}
    }}
  }}"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running nginx; ``host`` is what goes before the first slash of a name."""

    port: int
    directory: Path
    server: Server

    @property
    def host(self) -> str:
        """A name that the certificate holds, and the port."""
        return f"localhost:{self.port}"

    @property
    def accesses(self) -> str:
        """The access log so far."""
        return settled(self.directory / "access.log")

    @property
    def storage_accesses(self) -> str:
        """The access log of the redirected storage so far."""
        return settled(self.directory / "storage.log")


@contextlib.contextmanager
def nginx_gateway(
    directory: Path,
    registry: Registry,
    *,
    tls: KeyPair | None = None,
    body_limit: str = "0",
    redirecting: bool = False,
    forwards_scheme: bool = True,
) -> Iterator[Gateway]:
    """nginx before ``registry``; ``body_limit`` is nginx's ``client_max_body_size``.

    Without ``forwards_scheme`` a registry behind TLS takes itself for a plain one.
    """
    program = require("nginx")
    directory.mkdir(parents=True, exist_ok=True)
    port, storage = free_port(), free_port()
    places = {"registry": registry.host, "storage": storage, "directory": directory}
    certificate = authorization = ""
    if tls is not None:
        certificate = f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};"
    if registry.user is not None:
        authorization = f"proxy_set_header Authorization 'Basic {_basic(registry.user)}';"
    text = _FRAME.format(
        directory=directory,
        user="user root;" if os.geteuid() == 0 else "",
        limit=body_limit,
        port=port,
        tls=" ssl" if tls is not None else "",
        certificate=certificate,
        forwarded="proxy_set_header X-Forwarded-Proto $scheme;" if forwards_scheme else "",
        redirect=_REDIRECT.format(**places) if redirecting else "",
        registry=registry.host,
        storage=_STORAGE.format(**places, authorization=authorization) if redirecting else "",
    )
    settings = directory / "nginx.conf"
    settings.write_text(text)
    argv = [program, "-c", str(settings), "-p", str(directory), "-e", str(directory / "early.log")]
    with Server(argv, directory / "log", lambda: listens(port)) as server:
        yield Gateway(port, directory, server)


def _basic(user: tuple[str, str]) -> str:
    return base64.b64encode(":".join(user).encode()).decode()
