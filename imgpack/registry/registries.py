"""All sessions of one run, over one transport.

Invariant: no error that leaves a ``with`` block over it has a secret in it.
"""

import threading
from types import TracebackType

from imgpack.credentials.lookup import CredentialSource
from imgpack.errors import ImgpackError
from imgpack.events import SILENT, Reporter
from imgpack.registry.http.redaction import Secrets
from imgpack.registry.http.transport import Closing, Transport, TransportOptions
from imgpack.registry.session import Session, SessionOptions


class Connector(Closing):
    """Sessions by registry; a context manager that closes the transport."""

    def __init__(
        self,
        transport_options: TransportOptions | None = None,
        options: SessionOptions | None = None,
        credentials: CredentialSource | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        self.transport = Transport(transport_options or TransportOptions())
        self.secrets = Secrets()
        self._options = options or SessionOptions()
        self._credentials = credentials
        self._reporter = reporter
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def session(self, registry: str) -> Session:
        """The session for ``host[:port]``; always the same one."""
        with self._lock:
            if registry not in self._sessions:
                self._sessions[registry] = Session(
                    self.transport,
                    registry,
                    self._credentials,
                    self._options,
                    self._reporter,
                    self.secrets,
                )
            return self._sessions[registry]

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
