"""All sessions of one run, over one transport.

Invariant: no error that leaves a ``with`` block over it has a secret in it.
"""

import threading
from types import TracebackType

from imgpack.credentials.lookup import CredentialSource, NoCredentials
from imgpack.errors import ImgpackError
from imgpack.events import SILENT, Reporter
from imgpack.registry.http.endpoint import Endpoint, SessionOptions, registry_origin
from imgpack.registry.http.message import Closing
from imgpack.registry.http.redaction import RedactingReporter, Secrets
from imgpack.registry.http.transport import Transport, TransportOptions
from imgpack.registry.session import Session


class Registries(Closing):
    """Sessions by registry; a context manager that closes the transport.

    ``reporter`` is told everything that is done over it, but no secret.
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
        self.reporter = RedactingReporter(reporter, self.secrets)
        self._options = options or SessionOptions()
        self._credentials = credentials or NoCredentials()
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def session(self, registry: str) -> Session:
        """The session for ``host[:port]``; always the same one."""
        with self._lock:
            if registry not in self._sessions:
                endpoint = self._endpoint(registry)
                self._sessions[registry] = Session(self.transport, endpoint, self._credentials)
            return self._sessions[registry]

    def _endpoint(self, registry: str) -> Endpoint:
        plain_http = self._options.plain_http
        secure = registry_origin(registry, plain_http=False)
        if plain_http is None and self.transport.knows(secure):
            plain_http = False
        origin = registry_origin(registry, plain_http=plain_http)
        return Endpoint(registry, origin, self._options, self.secrets, self.reporter)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Documents, too, are a registry's words, and are quoted far from here.
        if isinstance(error, ImgpackError):
            covered = self.secrets.cover(error)
            if covered is not error:
                super().__exit__(kind, error, traceback)
                raise covered from error.__cause__
        super().__exit__(kind, error, traceback)

    def close(self) -> None:
        """Close every connection."""
        self.transport.close()
