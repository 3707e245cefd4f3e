"""Requests to one registry: the handlers around the transport, and what its answers link to.

OCI distribution-spec v1.1 with the token specification. Invariant: what a
registry answers as a place to go on is checked before it is used.
"""

from collections.abc import Container, Mapping

from imgpack.credentials.lookup import Credential, CredentialSource
from imgpack.errors import RegistryError, Remedy, UnauthorizedError
from imgpack.registry.auth.authentication import Authentication
from imgpack.registry.http.endpoint import Endpoint
from imgpack.registry.http.errors import ERROR_LIMIT
from imgpack.registry.http.handlers import Redacted, sending
from imgpack.registry.http.message import Body, Handler, Request, Response, Scope
from imgpack.registry.http.url_policy import check_link, check_location


class Session:
    """One registry. Safe to call from many threads; there is nothing of its own to close."""

    def __init__(
        self, transport: Handler, endpoint: Endpoint, credentials: CredentialSource
    ) -> None:
        self.registry = endpoint.registry
        self.origin = endpoint.origin
        self.options = endpoint.options
        self.secrets = endpoint.secrets
        self.reporter = endpoint.reporter
        self.pause = endpoint.pause
        self._auth = Authentication(sending(transport, endpoint), endpoint, credentials)
        self._handler = Redacted(self._auth, endpoint)

    def url(self, target: str) -> str:
        """The absolute URL of a path of the API, or an absolute URL as it is."""
        return f"{self.origin}{target}" if target.startswith("/") else target

    def request(
        self,
        method: str,
        target: str,
        *,
        scopes: tuple[Scope, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        expected: Container[int] = frozenset({200}),
        retry: bool = True,
        limit: int | None = None,
    ) -> Response:
        """Send a request and return its answer, whose status is in ``expected``.

        ``target`` is a path under ``/v2/`` or an absolute URL that ``location``
        returned; the others are as for ``Request``. Raises the leaf of
        ``imgpack.errors`` that fits; its ``answer`` is what the registry answered,
        if it did.
        """
        url = self.url(target)
        return self._handler.send(
            Request(method, url, headers or {}, body, scopes, expected, retry, limit)
        )

    def location(self, response: Response) -> str:
        """The checked, absolute ``Location`` of an upload's answer (see ``check_location``)."""
        location = response.headers.get("location")
        if not location:
            raise RegistryError(
                f"{self.secrets.redact(response.url)}: the registry's answer has no Location",
                "is this a registry?",
            )
        with self.secrets.covering():
            return check_location(location, response.url, self.origin)

    def link(self, link: str, url: str) -> str:
        """The checked target of a page link in the answer from ``url`` (see ``check_link``)."""
        with self.secrets.covering():
            return check_link(link, url)

    def check_credentials(self) -> bool:
        """Ask ``/v2/`` with the credentials; whether the registry wanted some at all.

        Raises ``UnauthorizedError`` when they are refused, or were not sent.
        """
        self.request("GET", "/v2/", limit=ERROR_LIMIT)
        if withheld := self._auth.server.withheld:
            raise UnauthorizedError(
                f"{self.registry}: the credentials were not sent to its token server",
                Remedy.TRUST_REALM(withheld),
            )
        return self._auth.challenge is not None

    def credential(self) -> Credential | None:
        """The credential for the registry as a whole. Raises ``CredentialError``."""
        return self._auth.credential(())
