"""``NO_PROXY``: which hosts are reached directly.

There is no specification; this is what curl and Go read in common. Invariant:
whatever the text holds, reading it raises nothing.
"""

import ipaddress

from imgpack.registry.http.url_policy import Origin


def is_bypassed(origin: Origin, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names the host: by name, ``.suffix``, ``host:port``, CIDR or ``*``."""
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        if entry == "*":
            return True
        if not entry:
            continue
        if entry in (origin.host, f"{origin.host}:{origin.port}", f"[{origin.host}]"):
            return True
        try:
            if ipaddress.ip_address(origin.host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            suffix = entry.removeprefix("*").removeprefix(".")
            name, _, port = suffix.partition(":")
            if port in ("", str(origin.port)) and origin.host.endswith(f".{name}"):
                return True
    return False
