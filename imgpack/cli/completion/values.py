"""What is offered for the value of an option or argument, by its name.

Invariants: nothing is written and no network is asked; no file is opened but the project file,
archives and layouts, and of those a few. What goes wrong offers nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import click

from imgpack import errors
from imgpack.cli.options.parameters import KnownWords

_PLATFORMS: Final = (
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le",
    "linux/s390x", "linux/riscv64", "linux/loong64", "windows/amd64",
)  # fmt: skip
_COMPRESSION: Final = (
    "gzip", "gzip:1", "gzip:6", "gzip:12", "zstd", "zstd:3", "zstd:12", "zstd:19", "none",
)  # fmt: skip
_SCRATCH: Final = "scratch"
_ARCHIVES: Final = 8
"""Archives of the working directory that are opened, where none is named."""
_ENTRIES: Final = 1000
"""Entries of it that are looked at."""

Offer = Callable[[click.Context, str], Iterable[str]]


def _fixed(*values: str) -> Offer:
    return lambda ctx, incomplete: values


def _signals(ctx: click.Context, incomplete: str) -> Iterable[str]:
    return (one.name for one in signal.Signals)


def _names_inside(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """The names in the archive that is the command's argument, or in those that lie here."""
    given = next((v for k, v in ctx.params.items() if k in _PLACES and isinstance(v, str)), None)
    return _names(given) if given else (n for path in _here() for n in _names(path))


def _member(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """An image of an archive is PATH:NAME; a path is completed by the shell."""
    path, colon, _ = incomplete.partition(":")
    return (f"{path}:{name}" for name in _names(path)) if colon else ()


def _base(ctx: click.Context, incomplete: str) -> Iterable[str]:
    if ":" in incomplete:
        return _member(ctx, incomplete)
    return (_SCRATCH,) if _SCRATCH.startswith(incomplete) and len(incomplete) > 1 else ()


def _project_images(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """The images of the file that is named, or lies here."""
    from imgpack.cli.project.file.reading import find, read

    try:
        path = ctx.params.get("project_file") or find()
        file = read(path) if path else None
    except (errors.ImgpackError, click.ClickException, OSError):
        return ()
    return () if file is None else [*file.images]


def _references(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """What is pushed beside an image of the file, or the names in an archive."""
    images = [*_project_images(ctx, incomplete)]
    return images if ctx.params.get("archive") in images else _names_inside(ctx, incomplete)


def _paths_inside(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from imgpack.cli.completion.inside import paths_inside

    return paths_inside(ctx, incomplete)


def _names(path: str) -> Iterator[str]:
    path = os.path.expanduser(path)
    if not (os.path.isfile(path) or os.path.isdir(path)):  # neither a pipe nor a reference
        return
    from imgpack import api

    try:
        with api.open(path) as opened:
            for root in opened.roots:
                yield from (name.shown() for name in root.names)
    except (errors.ImgpackError, OSError):
        return


def _here() -> Iterator[str]:
    found = 0
    with os.scandir() as entries:
        for _, entry in zip(range(_ENTRIES), entries, strict=False):
            if found < _ARCHIVES and entry.name.endswith(".tar") and entry.is_file():
                found += 1
                yield entry.path


_PLACES: Final = ("archive", "location", "image", "source")
"""Arguments that name an archive."""

OFFERS: Final[Mapping[str, Offer]] = {
    "platform": _fixed(*_PLATFORMS),
    "platforms": _fixed(*_PLATFORMS),
    "compression": _fixed(*_COMPRESSION),
    "tls_verify": _fixed("true", "false"),
    "owner": _fixed("keep", "0:0"),
    "stop_signal": _signals,
    "image": _names_inside,
    "references": _references,
    "sources": _project_images,
    "archive": _project_images,
    "base": _base,
    "location": _member,
    "other": _member,
    "source": _member,
    "added": _member,
    "onto": _base,
    "above": _base,
    "diff_from": _base,
    "path": _paths_inside,
    "paths": _paths_inside,
    "platform_b": _fixed(*_PLATFORMS),
}
"""By the name of the parameter; the values need not begin as what is typed does."""

BESIDE_FILES: Final = frozenset({"sources", "archive"})
"""Those of ``OFFERS`` that are a path otherwise, which the shell completes."""


def offered(parameter: click.Parameter, ctx: click.Context, incomplete: str) -> list[str]:
    """The values of ``parameter`` that begin with ``incomplete``, and are known."""
    if isinstance(parameter.type, KnownWords):
        before, comma, _ = incomplete.rpartition(",")
        values: Iterable[str] = (f"{before}{comma}{word}" for word in parameter.type.known)
    else:
        offer = OFFERS.get(parameter.name or "")
        values = offer(ctx, incomplete) if offer is not None else ()
    return [value for value in dict.fromkeys(values) if value.startswith(incomplete)]
