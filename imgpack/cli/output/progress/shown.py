"""What every way to show progress is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from imgpack.events import SILENT

if TYPE_CHECKING:
    from imgpack.events import Meter


class Progress(Protocol):
    """Shows pieces of work. Safe to call from any thread."""

    def begin(self, label: str, total: int | None) -> Meter:
        """Show one more, of ``total`` bytes (``None``: unknown); ``label`` is harmless."""

    def beside(self, write: Callable[[], None]) -> None:
        """Call ``write``, which writes lines to the terminal, with nothing in their way."""

    def close(self) -> None:
        """Take everything off the screen."""


class Nothing:
    """Shows nothing."""

    def begin(self, label: str, total: int | None) -> Meter:
        """A meter that is not looked at."""
        return SILENT.begin(label, total)

    def beside(self, write: Callable[[], None]) -> None:
        """As ``Progress.beside``."""
        write()

    def close(self) -> None:
        """As ``Progress.close``."""
