"""What happens to entries on their way into the encoder.

They are read, which says what they mean; each is changed by transforms, then by rules; then
an arrangement decides which of them are written where.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from imgpack.errors import printable
from imgpack.layer.encoder import FILE_TYPE, TYPE
from imgpack.tree.entry import Entry, Pair
from imgpack.tree.inputs.additions import Adding, Additions
from imgpack.tree.problems import Problems
from imgpack.tree.rules.reading import AS_RECORDED, Reading
from imgpack.tree.rules.rules import NO_RULES, RuleList
from imgpack.tree.transform import Arrangement, Transform


@dataclass(frozen=True, slots=True)
class Treatment:
    """What whoever builds says of trees: what ids and records mean, rules, and what is added.

    ``adding`` is for the top layer, whose own entries are treated the same.
    """

    reading: Reading = AS_RECORDED
    rules: RuleList = NO_RULES
    adding: Adding | None = None


NO_TREATMENT = Treatment()


@dataclass(frozen=True, slots=True)
class Stages:
    """What is done to each entry, and then to all of them; nothing, if there is nothing to do.

    ``additions`` are entries beside those of the tree. ``identity`` differs whenever other
    entries may come out.
    """

    transforms: tuple[Transform, ...] = ()
    arrangement: Arrangement | None = None
    treatment: Treatment = NO_TREATMENT
    additions: Additions | None = None

    @property
    def identity(self) -> str:
        """That of all stages."""
        treatment = self.treatment
        arranged = self.arrangement and self.arrangement.identity
        added = self.additions and self.additions.identity
        transformed = [transform.identity for transform in self.transforms]
        return repr(
            (transformed, arranged, repr(treatment.reading), treatment.rules.identity, added)
        )

    def __bool__(self) -> bool:
        return self != NO_STAGES

    def view(self, entry: Entry) -> Entry | None:
        """One entry as it is left when all is done to it; ``None`` if it is left out."""
        if entry.is_deletion:
            return entry
        read = self.treatment.reading(entry, Problems())
        left = None if read is None else self._transformed(read)
        return left and self.treatment.rules.begin(set())(left)

    def pairs(
        self, entries: Iterable[Entry], problems: Problems, matched: set[int] | None = None
    ) -> Iterator[Pair]:
        """The entries, as they were seen and as they are to be written.

        The numbers of the rules that changed something are added to ``matched``.
        """
        if not self:
            return _plain(entries, problems)
        if self.additions is not None:
            entries = self.additions.merged(entries)
        pairs = self._changed(entries, problems, set() if matched is None else matched)
        return pairs if self.arrangement is None else self.arrangement(pairs)

    def _changed(
        self, entries: Iterable[Entry], problems: Problems, matched: set[int]
    ) -> Iterator[Pair]:
        """Each entry with what its attributes record, and as transforms and rules leave it."""
        dropped = b""  # the directory that was left out last, with a slash behind it
        rules = self.treatment.rules.begin(matched) if self.treatment.rules else None
        for seen in entries:
            path = seen.path
            if dropped and path.startswith(dropped):
                continue
            if seen.is_deletion:
                yield seen, seen
                continue
            read = self.treatment.reading(seen, problems)
            if read is None:
                continue
            entry = self._transformed(read)
            if entry is None:
                dropped = path + b"/"
                continue
            if rules is not None:
                entry = rules(entry)
            if entry.path != path or entry.is_directory != seen.is_directory:
                raise ValueError(f"a transform made another thing of {printable(path)}")
            yield seen, entry

    def _transformed(self, entry: Entry | None) -> Entry | None:
        for transform in self.transforms:
            entry = entry and transform(entry)
        return entry


NO_STAGES = Stages()


def _plain(entries: Iterable[Entry], problems: Problems) -> Iterator[Pair]:
    """The entries as they are; the encoder knows what is recorded, but not of another kind.

    Only an empty file can stand for that.
    """
    for seen in entries:
        if not seen.size and seen.mode & TYPE == FILE_TYPE:
            entry = AS_RECORDED(seen, problems)
            if entry is not None:
                yield seen, entry
        else:
            yield seen, seen
