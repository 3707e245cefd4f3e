"""``imgpack cat``: the bytes of files of an image."""

from __future__ import annotations

import codecs
import re
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import FILE
from imgpack.errors import NoSuchPathError, printable

if TYPE_CHECKING:
    from imgpack.api import ImageFiles, LayerRow
    from imgpack.cli.output.terminal import Terminal

_ACTING: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\udc80-\udcff]")
"""What acts on a terminal, or is no text; not tabs and the ends of lines."""


@click.command("cat")
@click.argument("location", type=FILE, metavar="ARCHIVE|REF|LOCK")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@looking_options
@click.pass_obj
def cat(terminal: Terminal, *, location: str, paths: tuple[str, ...], looking: Looking) -> None:
    """Write the files at each PATH of an image to standard output, one after the other.

    Links are followed as the image has them. Nothing is written if a PATH is not there, or no
    regular file. The bytes are those that the layer was verified to have: one that differs ends
    it, with an exit code of its own, when some may be written already. A terminal gets
    text alone: what has control characters is refused there, and is for a pipe or a file.
    """
    with looking.open(location, terminal) as files:
        wanted = [_regular(files, path) for path in paths]
        contents = api.read_together(files, wanted, scratch_directory)
        for path, pieces in zip(paths, contents, strict=True):
            if sys.stdout.isatty():
                for piece in _harmless(path, pieces):
                    terminal.beside(partial(_write_now, piece))
            else:
                sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()


def _regular(files: ImageFiles, path: str) -> LayerRow:
    found = api.find_path(files, path.encode("utf-8", "surrogateescape"))
    if found.row.is_directory:
        raise NoSuchPathError(f"{printable(path)} is a directory", "its files are listed by ls")
    if not stat.S_ISREG(found.row.mode):
        raise NoSuchPathError(
            f"{printable(path)} is a device or a pipe, and has no bytes", "name a regular file"
        )
    return found


def _write_now(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _harmless(path: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What a terminal may be shown. Raises ``click.UsageError`` before anything else."""
    decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    for piece in pieces:
        _refuse(path, decode(piece))
        yield piece
    _refuse(path, decode(b"", final=True))


def _refuse(path: str, text: str) -> None:
    if _ACTING.search(text):
        raise click.UsageError(
            f"{printable(path)} is no plain text, and would act on the terminal; "
            "send it to a file or a pipe, as: | less"
        )
