"""Where an image is: a path or a reference, told apart by form.

A text is an archive or layout if such a path exists, or if it looks like a path:
it ends in ``.tar`` (``.tar.gz``, ``.tgz``, ``.tar.zst``), ``.lock`` or ``/``, or starts with
``/``, ``./`` or ``../``. Anything else is a reference.
"""

import os
import re
from typing import Final

from imgpack.errors import InvalidReferenceError
from imgpack.spec.reference import Reference

_PATH_STARTS: Final = ("/", "./", "../")
_PATH_ENDS: Final = ("/", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".lock")
_BARE_REGISTRY: Final = re.compile(r"(?:localhost|[^/@:]*\.[^/@:]*|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")

_TRANSPORT: Final = re.compile(
    r"(dir|oci|oci-archive|docker-archive|docker-daemon|containers-storage):(.+)"
)
"""How skopeo spells places (containers-transports(5))."""
_STORES: Final = ("docker-daemon", "containers-storage")


def is_path(text: str) -> bool:
    """Whether ``text`` is an archive or layout, not a reference."""
    return is_spelled_path(text) or os.path.lexists(text)


def is_spelled_path(text: str) -> bool:
    """Whether ``text`` is one by its form, whatever there is."""
    ends_so = text.endswith(_PATH_ENDS) and not _TRANSPORT.fullmatch(text)
    return text.startswith(_PATH_STARTS) or ends_so


def is_layout(target: str) -> bool:
    """Whether what is written to ``target`` is an OCI layout."""
    return target.endswith("/") or os.path.isdir(target)


def remote_name(text: str) -> Reference:
    """``text`` as a name in a registry; HOST:PORT is a registry, not NAME:TAG on Docker Hub.

    Raises ``InvalidReferenceError``.
    """
    if _BARE_REGISTRY.fullmatch(text):
        raise InvalidReferenceError(
            f"{text} names a registry and no repository",
            f"write {text}/REPOSITORY (or docker.io/library/{text}, if that is meant)",
        )
    return Reference.parse(text)


def parse_reference(text: str) -> Reference:
    """``text`` as a reference with a tag or digest; the hint says how to write a path."""
    _check_transport(text)
    try:
        return remote_name(text).tagged()
    except InvalidReferenceError as error:
        hint = error.hint or "a path is written with ./ in front"
        raise InvalidReferenceError(f"{error.message}, and there is no such file", hint) from error


def _check_transport(text: str) -> None:
    found = _TRANSPORT.fullmatch(text)
    if found is None:
        return
    kind, place = found.groups()
    if kind in _STORES:
        hint = "save it to an archive first, with docker save or podman save"
    elif "-" in kind or ":" in place or os.path.lexists(place):
        hint = f"name the path alone, as {place}"
    else:  # a name on Docker Hub
        return
    raise InvalidReferenceError(f"{text!r} begins as skopeo's names of places do", hint)


def writable_name(text: str) -> Reference:
    """``text`` as a name to write to or delete: its registry is written, Docker Hub as well.

    For what goes there by mistake is public. Raises ``InvalidReferenceError``.
    """
    name = remote_name(text)
    if not text.lower().startswith((f"{name.registry}/", "index.docker.io/")):
        raise InvalidReferenceError(
            f"{text!r} names no registry",
            f"write REGISTRY/{name.shown()}, or {name} for Docker Hub",
        )
    return name


def target_name(text: str) -> Reference:
    """A name to push to: a tag (``latest`` if none), or the digest that the image has."""
    found = None if "://" in text else _TRANSPORT.fullmatch(text)
    if found and found[1] not in _STORES:
        path = found[2].partition(":")[0].rstrip("/")
        path += "/" if found[1] == "oci" else ""
        raise InvalidReferenceError(
            f"{text!r} begins as skopeo's names of places do",
            f"write {path if is_path(path) else f'./{path}'}",
        )
    name = writable_name(text)
    if name.digest is not None and name.tag is None:
        return name
    return name.tagged()
