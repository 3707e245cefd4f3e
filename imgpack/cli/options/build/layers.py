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
    from imgpack.api import Codec, Format, Rule, Transform


@dataclass(frozen=True, slots=True)
class LayerFlags:
    """How layers are made, as it was written."""

    compression: str | None
    owner: str
    mtime: tuple[str, ...]
    check_contents: bool
    raw_layers: tuple[str, ...]

    def codec(self, image_format: Format, *, alone: bool) -> Codec:
        """The compression, which ``image_format`` must know. Raises ``ConfigError``.

        ``alone``: for an engine alone, which gets none if none is given.
        """
        text = self.compression or ("none" if alone else "gzip")
        with about(f"--compression {text}"):
            codec = api.Codec.parse(text)
            image_format.layer_type(codec.compression)
        return codec

    def transforms(self, epoch: int | None) -> Iterator[Transform]:
        """What becomes of times, none of them later than ``epoch`` seconds, and of owners."""
        everything = [text for text in self.mtime if "=" not in text]
        if everything:
            seconds = _seconds(everything[-1])
            with about(f"--mtime {everything[-1]!r}"):
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

    def time_rules(self) -> Iterator[Rule]:
        """The times of what patterns match, and of everything where that comes later."""
        for text in self.mtime if any("=" in text for text in self.mtime) else ():
            pattern, _, time = text.rpartition("=")
            seconds = _seconds(time)
            with about(f"--mtime {text!r}"):
                yield api.time_rule(pattern or None, seconds)


def _seconds(text: str) -> int:
    return whole_seconds(parse_time(text, "--mtime"))


layer_options = gathered(
    "layers",
    LayerFlags,
    click.option(
        "--compression",
        metavar="gzip[:1-12]|zstd[:1-19]|none",
        help="How layers are compressed; gzip alone takes what suits each part of the content."
        " [default: gzip, or none for --load alone]",
    ),
    click.option(
        "--owner",
        default="keep",
        show_default=True,
        metavar="keep|UID:GID",
        help="Who owns it all.",
    ),
    click.option(
        "--mtime",
        multiple=True,
        metavar="[PATTERN=]TIME",
        help="The time of every file, or of what matches, a path in the image (repeatable).",
    ),
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
