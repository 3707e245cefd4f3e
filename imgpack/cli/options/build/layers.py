"""The options of how layers are made: compression, owners, times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.clock import parse_time, whole_seconds
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.errors import ConfigError, about

if TYPE_CHECKING:
    from imgpack.api import Codec, Format, Transform


@dataclass(frozen=True, slots=True)
class LayerFlags:
    """How layers are made, as it was written."""

    compression: str
    owner: str
    mtime: str | None
    check_contents: bool
    raw_layers: tuple[str, ...]

    def codec(self, image_format: Format) -> Codec:
        """The compression, which ``image_format`` must know. Raises ``ConfigError``."""
        codec = api.Codec.parse(self.compression)
        image_format.layer_type(codec.compression)
        return codec

    def transforms(self, epoch: int | None) -> Iterator[Transform]:
        """What becomes of times, none of them later than ``epoch`` seconds, and of owners."""
        if self.mtime is not None:
            seconds = whole_seconds(parse_time(self.mtime, "--mtime"))
            with about(f"--mtime {self.mtime!r}"):
                yield api.SetTime(seconds)
        elif epoch is not None:
            yield api.ClampTime(epoch)
        if self.owner != "keep":
            uid, colon, gid = self.owner.partition(":")
            if not (colon and all(n.isascii() and n.isdigit() and len(n) < 12 for n in (uid, gid))):
                raise ConfigError(
                    f"--owner {self.owner!r} is not keep or UID:GID", "write numbers, as 0:0"
                )
            with about("--owner"):
                yield api.SetOwner(int(uid), int(gid))


layer_options = gathered(
    "layers",
    LayerFlags,
    click.option(
        "--compression",
        default="gzip",
        show_default=True,
        metavar="gzip[:1-12]|zstd[:1-19]|none",
        help="How layers are compressed.",
    ),
    click.option(
        "--owner",
        default="keep",
        show_default=True,
        metavar="keep|UID:GID",
        help="Who owns it all.",
    ),
    click.option("--mtime", metavar="TIME", help="Set every file's time."),
    click.option(
        "--check-contents", is_flag=True, help="Read every file, even if nothing changed."
    ),
    click.option(
        "--raw-layer",
        "raw_layers",
        type=FILE,
        multiple=True,
        metavar="FILE",
        help="A tar that is a layer as it is, above all SRC (repeatable).",
    ),
)
