"""All sessions of one run, over one transport.

Invariant: no error that leaves a ``with`` block over it has a secret in it.
"""

import threading

from imgpack.credentials.lookup import CredentialSource, CredentialStore
from imgpack.errors import ImgpackError
from imgpack.events import SILENT, Reporter
from imgpack.registry.http.endpoint import Endpoint, SessionOptions, registry_origin
from imgpack.registry.http.message import Closing
from imgpack.registry.http.redaction import RedactingReporter, Secrets
from imgpack.registry.http.transport import Transport, TransportOptions, proxy_secrets
from imgpack.registry.repository import Repository
from imgpack.registry.session import Session
from imgpack.spec.reference import Reference


class Registries(Closing):
    """Sessions by registry; a context manager that closes the transport.

    Without ``credentials``, anonymous. ``reporter`` is told everything that is done over
    it, but no secret.
    """

    def __init__(
        self,
        transport_options: TransportOptions | None = None,
        options: SessionOptions | None = None,
        credentials: CredentialSource | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        self.transport = Transport(transport_options or TransportOptions())
        self.secrets = Secrets()
        for _, proxy in self.transport.options.proxies:
            self.secrets.add(*proxy_secrets(proxy))
        self.reporter = RedactingReporter(reporter, self.secrets)
        self._options = options or SessionOptions()
        self._credentials = credentials or CredentialStore()
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def session(self, registry: str) -> Session:
        """The session for ``host[:port]``; always the same one."""
        with self._lock:
            if registry not in self._sessions:
                endpoint = self._endpoint(registry)
                self._sessions[registry] = Session(self.transport, endpoint, self._credentials)
            return self._sessions[registry]

    def repository(self, name: Reference) -> Repository:
        """The repository that ``name`` is in."""
        return Repository(self.session(name.registry), name.repository)

    def _endpoint(self, registry: str) -> Endpoint:
        origin = registry_origin(registry, plain_http=False)
        if self._options.plain_http is not None or not self.transport.knows(origin):
            origin = registry_origin(registry, plain_http=self._options.plain_http)
        return Endpoint(registry, origin, self._options, self.secrets, self.reporter)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        # Documents, too, are a registry's words, and are quoted far from here.
        if isinstance(error, ImgpackError):
            with self.secrets.covering():
                raise error

    def close(self) -> None:
        """Close every connection; what was opened through it can be read no more."""
        self.transport.close()
