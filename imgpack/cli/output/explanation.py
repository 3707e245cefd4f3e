"""What ``build --explain`` says of each layer: why it was made or not, and what hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from imgpack.cli.output.display import counted
from imgpack.errors import brief

if TYPE_CHECKING:
    from imgpack.api import Built, Change, Platform
    from imgpack.cli.output.terminal import Terminal

_LISTED: Final = 100
_FIX_TIMES: Final = (
    "with --mtime TIME, or the SOURCE_DATE_EPOCH of the build before, "
    "a fresh checkout is found in the cache by its contents"
)


class Explainer:
    """Says for each layer, on standard error, why it was reused or what changed.

    ``platform`` is that of its image, if several are built. ``times_given``: they are the same
    in each build.
    """

    def __init__(
        self, terminal: Terminal, platform: Platform | None = None, *, times_given: bool
    ) -> None:
        self._terminal = terminal
        self._platform = platform
        self._times_given = times_given
        self._layer = 0

    def of(self, platform: Platform | None) -> Explainer:
        """What says it of the image for ``platform``, one of several."""
        return Explainer(self._terminal, platform, times_given=self._times_given)

    def __call__(self, reason: str, changes: Iterator[Change] | None, built: Built) -> None:
        self._layer += 1
        image, platform = self._terminal.image, self._platform
        whose = f"{image}, " * bool(image) + f"{platform}, " * (platform is not None)
        self._say(f"{whose}layer {self._layer}: {reason}")
        compressed = len(built.record.segments) - built.reused - built.copied
        if built.record.segments and not built.unchanged:
            self._say(f"  {_segments(built, compressed)}")
        of_times = self._list(changes or iter(()))
        most = 2 * compressed > len(built.record.segments)
        if most and of_times and not self._times_given:
            self._say(f"  {of_times} may have another time alone: {_FIX_TIMES}")

    def _list(self, changes: Iterator[Change]) -> int:
        """Say what changed; returns of how many it may be that only times did."""
        of_times = 0
        for count, change in enumerate(changes):
            of_times += change.is_of_times
            if count < _LISTED or self._terminal.verbose:
                self._say(f"  {brief(change.path)}: {change.how}")
            elif count == _LISTED:
                self._say("  and more; --verbose lists them all")
        return of_times

    def _say(self, text: str) -> None:
        platform = {} if self._platform is None else {"platform": str(self._platform)}
        self._terminal.say(text, layer=self._layer, **platform)


def _segments(built: Built, compressed: int) -> str:
    """Where the segments of a layer came from."""
    numbers = {
        "from the cache by stat": built.by_stat,
        "from the cache by content": built.reused - built.by_stat,
        "copied as they are": built.copied,
        "compressed": compressed,
    }
    count = len(built.record.segments)
    said = ", ".join(f"{number} {how}" for how, number in numbers.items() if number)
    text = f"{counted(count, 'segment')}: {said}"
    if not built.made:
        return text
    more = ", ..." if compressed > len(built.made) else ""
    return f"{text}, from {', '.join(brief(path) or '/' for path in built.made)}{more}"
