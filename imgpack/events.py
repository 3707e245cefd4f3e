"""What the library tells its caller while it works; the CLI draws it, libraries may ignore it."""

from typing import Final, Protocol, runtime_checkable

from imgpack.errors import Hint

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Meter(Protocol):
    """One running piece of work, counted in bytes."""

    def advance(self, count: int) -> None:
        """``count`` more bytes are done; negative when an attempt starts again."""

    def end(self) -> None:
        """The work is over, well or badly; called exactly once."""


@runtime_checkable
class ExpectingMeter(Meter, Protocol):
    """A meter of which the total may become known while the work goes on."""

    def expect(self, total: int) -> None:
        """All of it will be about ``total`` bytes, what is done among them. From any thread."""


class Reporter(Protocol):
    """Where progress, warnings and details go. Safe to call from any thread."""

    def begin(self, label: str, total: int | None) -> Meter:
        """Start a piece of work of ``total`` bytes (``None``: unknown).

        Of a tree that changed it is what the tree was when it was built last: in the end it
        may be fewer, or more.
        """

    def warn(self, message: str, hint: Hint = "") -> None:
        """Something the user should know, though the work goes on, and what to do about it."""

    def detail(self, message: str) -> None:
        """Something for ``--verbose``."""


class _SilentMeter:
    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass


class Silent:
    """A reporter that drops everything; the default of every library call."""

    def begin(self, label: str, total: int | None) -> Meter:
        return _SilentMeter()

    def warn(self, message: str, hint: Hint = "") -> None:
        pass

    def detail(self, message: str) -> None:
        pass


SILENT: Reporter = Silent()


def human_size(size: int) -> str:
    """A number of bytes in three digits or so: ``512 B``, ``3.4 MiB``."""
    number = float(size)
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{size} B" if unit == "B" else f"{number:.1f} {unit}"
