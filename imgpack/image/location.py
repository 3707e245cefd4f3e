"""Where an image is: a path or a reference, told apart by form.

A text is an archive or layout if such a path exists, or if it looks like a path:
it ends in ``.tar`` (``.tar.gz``, ``.tgz``, ``.tar.zst``), ``.lock`` or ``/``, or starts with
``/``, ``./`` or ``../``. Anything else is a reference. ``PATH:NAME`` is one image of several, if
PATH looks like one and exists, or holds images; ``app:1`` beside a directory ``app`` of
something else is a reference.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from imgpack.errors import (
    InvalidReferenceError,
    NotFoundError,
    SourceError,
    UnauthorizedError,
    UnreachableError,
    printable,
)
from imgpack.files.reading import open_regular
from imgpack.spec.format import detect
from imgpack.spec.reference import Reference
from imgpack.tar.header import BLOCK
from imgpack.tar.index import is_tar

_PATH_STARTS: Final = ("/", "./", "../")
_PATH_ENDS: Final = ("/", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".lock")
_BARE_REGISTRY: Final = re.compile(r"(?:localhost|[^/@:]*\.[^/@:]*|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")

_TRANSPORT: Final = re.compile(
    r"(dir|oci|oci-archive|docker-archive|docker-daemon|containers-storage):(.+)"
)
"""How skopeo spells places (containers-transports(5))."""
_STORES: Final = ("docker-daemon", "containers-storage")
_OF_IMAGES: Final = (("oci-layout",), ("manifest.json", "version"))
"""Files that a directory of images has: an OCI layout, or skopeo's ``dir:``."""
_NAMES: Final = 10_000
"""Names of a directory among which the nearest is looked for."""


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


def holds_images(directory: str) -> bool:
    """Whether ``directory`` is a layout, and no tree of files."""
    return any(
        all(os.path.exists(os.path.join(directory, name)) for name in names) for names in _OF_IMAGES
    )


def split_name(text: str) -> tuple[str, str | None]:
    """A path and the name of an image in it, if ``text`` is ``PATH:NAME``."""
    if os.path.lexists(text):
        return text, None
    path, colon, name = text.partition(":")
    while colon:
        if name and _may_be_image(path):
            return path, name
        more, colon, name = name.partition(":")
        path = f"{path}:{more}"
    return text, None


def _may_be_image(path: str) -> bool:
    """Whether ``path`` is there and spelled as one, or else an archive or a layout."""
    if is_spelled_path(path):
        return os.path.exists(path)
    if os.path.isdir(path):
        return holds_images(path)
    with contextlib.suppress(OSError, ValueError):
        # A pipe must not be opened for a look: who writes to it would see it closed.
        if stat.S_ISREG(os.stat(path).st_mode):
            fd, _ = open_regular(path, follow=True)
            try:
                head = os.pread(fd, BLOCK, 0)
            finally:
                os.close(fd)
            return (len(head) == BLOCK and is_tar(head)) or detect(head) != "none"
    return False


@contextmanager
def perhaps_a_file(text: str) -> Iterator[None]:
    """A path that is not there, or a word that a registry may not know, perhaps is misspelt."""
    try:
        yield
    except SourceError as error:
        near = "" if os.path.lexists(text) else _near(text)
        raise error.reworded(error.message, error.hint or near) from error.__cause__
    except (UnreachableError, UnauthorizedError, NotFoundError) as error:
        path, _, name = text.partition(":")
        above = os.path.dirname(path)
        if is_path(text) or "/" in name or (above and not os.path.isdir(above)):
            raise
        there = os.path.lexists(path)
        found = f"./{path} is no image" if there else f"there is no file ./{path}"
        near = "" if there else _near(path)
        message = f"{error.message} (and {printable(found)})"
        raise error.reworded(message, near or error.hint) from error.__cause__


def _near(path: str) -> str:
    """Which file or directory may have been meant, as a question; empty if none is near."""
    import difflib

    above, name = os.path.split(path.rstrip("/"))
    with contextlib.suppress(OSError, ValueError):
        with os.scandir(above or ".") as entries:
            names = [entry.name for entry in islice(entries, _NAMES)]
        begun = sorted(one for one in names if one.startswith(f"{name}."))
        cutoff = 0.7 if len(name) > 3 else 0.6
        found = begun[:1] or difflib.get_close_matches(name, names, 1, cutoff)
        if found and name:
            return f"did you mean {printable(os.path.join(above or '.', found[0]))}?"
    return ""


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
