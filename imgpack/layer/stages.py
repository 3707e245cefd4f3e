"""What happens to entries on their way into the encoder: transforms, then an arrangement."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imgpack.errors import printable
from imgpack.tree import xattrs
from imgpack.tree.entry import Entry, Pair
from imgpack.tree.problems import Problems
from imgpack.tree.transform import Arrangement, Transform


@dataclass(frozen=True, slots=True)
class Stages:
    """What is done to each entry, and then to all of them; nothing, if there is neither.

    ``identity`` differs whenever other entries may come out.
    """

    transforms: tuple[Transform, ...] = ()
    arrangement: Arrangement | None = None

    @property
    def identity(self) -> str:
        """That of all stages."""
        arranged = self.arrangement and self.arrangement.identity
        return repr(([transform.identity for transform in self.transforms], arranged))

    def __bool__(self) -> bool:
        return bool(self.transforms or self.arrangement)

    def view(self, entry: Entry) -> Entry | None:
        """One entry as the transforms leave it; ``None`` if they do not."""
        found = xattrs.attributes(entry, Problems())
        return None if found is None else _through(found.recorded(entry), self.transforms)

    def pairs(self, entries: Iterable[Entry], problems: Problems) -> Iterator[Pair]:
        """The entries, as they were seen and as they are to be written."""
        if not self:
            return ((entry, entry) for entry in entries)
        pairs = _transformed(entries, self.transforms, problems)
        return pairs if self.arrangement is None else self.arrangement(pairs)


NO_STAGES = Stages()


def _transformed(
    entries: Iterable[Entry], transforms: Sequence[Transform], problems: Problems
) -> Iterator[Pair]:
    """Each entry with what its attributes record, and as the transforms leave it."""
    dropped = b""  # the directory that was left out last, with a slash behind it
    for seen in entries:
        path = seen.path
        if dropped and path.startswith(dropped):
            continue
        found = xattrs.attributes(seen, problems)
        if found is None:
            continue
        entry = _through(seen if found is xattrs.NONE else found.recorded(seen), transforms)
        if entry is None:
            dropped = path + b"/"
            continue
        if entry.path != path or entry.is_directory != seen.is_directory:
            raise ValueError(f"a transform made another thing of {printable(path)}")
        yield seen, entry


def _through(entry: Entry | None, transforms: Sequence[Transform]) -> Entry | None:
    for transform in transforms:
        entry = entry and transform(entry)
    return entry
