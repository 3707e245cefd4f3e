"""Sources that are images themselves, which were perhaps meant to be built on."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from imgpack import api
from imgpack.errors import InvalidReferenceError, SourceError

if TYPE_CHECKING:
    from imgpack.api import Reporter
    from imgpack.cli.options.build.kinds import Source

_HEAD: Final = 1 << 16
"""Bytes of a document that say what it is."""
_PLATFORM: Final = re.compile(r"(linux|windows)/[a-z0-9]+(/v[0-9])?")
_DOCKERFILES: Final = (b"Dockerfile", b"Containerfile")


def warn_of_image(source: Source, path: str, option: str, reporter: Reporter) -> None:
    """Say if ``source``, called ``path``, is an image, and that ``option`` builds on it.

    And if it is what other programs call the context of a build.
    """
    if not source.tree.root:  # standard input
        return
    what = _image(source)
    if what:
        instead = f"; {option} {path} builds on it" if option else ""
        reporter.warn(f"{path} is {what}, and is packed as files{instead}")
    elif source.dest in (b"", b"/") and os.path.isdir(source.tree.root):
        for name in filter(source.tree.find, _DOCKERFILES):
            reporter.warn(
                f"{path} has a {name.decode()}, which is packed as a file; its steps are not run"
            )


def _image(source: Source) -> str:
    root = os.fsdecode(source.tree.root)
    if os.path.isfile(root) and api.is_lock(root):
        with open(root, "rb") as file:
            return "the lock of a base" if b'"imgpackLock"' in file.read(_HEAD) else ""
    if all(source.tree.find(name) for name in (b"oci-layout", b"index.json")):
        return "an image"
    manifest = source.tree.find(b"manifest.json")
    if manifest is None or not stat.S_ISREG(manifest.mode):
        return ""
    with manifest.open() as document:
        return "an image" if b'"Layers"' in document.read(_HEAD) else ""


@contextmanager
def perhaps_a_reference(text: str) -> Iterator[None]:
    """Tell who misses the source ``text`` that an image is called so, if one can be."""
    try:
        yield
    except SourceError as error:
        if _PLATFORM.fullmatch(text):
            hint = f"several platforms are one word: --platform OS/ARCH,{text}"
            raise error.reworded(error.message, hint) from error
        path, _, dest = text.rpartition(":")
        if "/" in dest or api.is_path(text) or os.path.lexists(path):
            raise
        with suppress(InvalidReferenceError):
            api.parse_reference(text)
            hint = f"{error.hint}; --from {text} builds on the image"
            raise error.reworded(error.message, hint) from error
        raise
