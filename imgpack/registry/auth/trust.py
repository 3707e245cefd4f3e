"""Which token servers get a registry's credentials.

A registry names its token server itself, so a hostile or broken one could name
any host. Invariant: the credentials of a registry go to a realm on the
registry's own host (any port), on a host that is known to serve it, on a sibling
under the same parent domain, or on a host that the user trusts; nowhere else.

A parent domain is the registry's host without its first label: it has at least
two labels, and is not a suffix under which anybody can register, judged by a
short list and, under two-letter top-level domains, by a second level such as
``co`` or ``com``.
"""

from typing import Final

from imgpack.registry.http.url_policy import Origin, literal_address

KNOWN_REALMS: Final = {
    "registry-1.docker.io": "auth.docker.io",
    "docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
}

_SECOND_LEVELS: Final = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "ltd", "ne", "net", "nom", "or", "org"}
)
_SHARED_PARENTS: Final = frozenset(
    {
        "amazonaws.com",
        "appspot.com",
        "azurecr.io",
        "azurewebsites.net",
        "cloudapp.azure.com",
        "cloudfront.net",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "netlify.app",
        "ngrok.io",
        "onrender.com",
        "pages.dev",
        "pkg.dev",
        "run.app",
        "vercel.app",
        "windows.net",
        "workers.dev",
    }
)


def realm_is_trusted(realm: Origin, registry: Origin, trusted: tuple[str, ...]) -> bool:
    """Whether the credentials for ``registry`` may go to ``realm`` (already checked)."""
    allowed = {host.lower() for host in trusted}
    if realm.host in (registry.host, *allowed) or f"{realm.host}:{realm.port}" in allowed:
        return True
    if realm.scheme != "https":
        return False
    if KNOWN_REALMS.get(registry.host) == realm.host:
        return True
    parent = _parent(registry.host)
    return parent is not None and realm.host.endswith(f".{parent}")


def _parent(host: str) -> str | None:
    labels = host.split(".")[1:]
    if literal_address(host) is not None or len(labels) < 2:
        return None
    parent = ".".join(labels)
    if parent in _SHARED_PARENTS or any(parent.endswith(f".{s}") for s in _SHARED_PARENTS):
        return None
    if len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVELS:
        return None
    return parent
