"""What goes wrong while a tree is read: collected, so that all of it can be told at once."""

from dataclasses import dataclass, field

from imgpack.errors import SourceChangedError, SourceError, printable


@dataclass(slots=True)
class Problems:
    """What a walk met that the user must know of, in the order met.

    ``unreadable``: path on disk and reason; ``colliding``: directories on disk with
    names that are one name on file systems that fold case or Unicode forms.
    """

    unreadable: list[tuple[bytes, str]] = field(default_factory=list)
    colliding: list[bytes] = field(default_factory=list)

    def add(self, path: bytes, error: OSError) -> None:
        """Remember that ``path`` cannot be read."""
        self.unreadable.append((path, error.strerror or str(error)))

    def check(self) -> None:
        """Raise ``SourceError`` naming every path that could not be read."""
        if self.unreadable:
            listed = ", ".join(f"{printable(path)} ({why})" for path, why in self.unreadable)
            count = len(self.unreadable)
            raise SourceError(
                f"cannot read {count} path{'s' if count > 1 else ''} of the source: {listed}",
                "make them readable, or remove them from the tree",
            )

    def remarks(self) -> tuple[str, ...]:
        """What is right here and may surprise elsewhere; every Debian tree has some of it."""
        if not self.colliding:
            return ()
        more = f" and {len(self.colliding) - 1} more directories" if self.colliding[1:] else ""
        return (
            f"{printable(self.colliding[0])}{more} hold names that differ only in case or in "
            "Unicode form; they fall together on macOS and Windows",
        )


def changed(path: bytes, how: str) -> SourceChangedError:
    """The error for something that is not what was seen there before."""
    return SourceChangedError(
        f"{printable(path)} {how} while it was being read",
        "build from a tree that nothing writes to",
    )
