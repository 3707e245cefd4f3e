"""A comparison of two images for people: the first cause, the sections, the counts.

Files come in a stream, and go out in it; a directory that one image lacks is one line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgpack import api
from imgpack.cli.output.colour import bold, echo
from imgpack.cli.output.compared.values import cause_line, field_line, file_line, value
from imgpack.cli.output.display import counted, one_line
from imgpack.errors import brief, printable

if TYPE_CHECKING:
    from imgpack.api import ComparedImages, FieldDifference, FileDifference, LayerDifference

_MATCHES: Final = {
    api.LayerMatch.SAME: "the same",
    api.LayerMatch.MOVED: "moved",
    api.LayerMatch.RECOMPRESSED: "the same diff_id, another blob",
    api.LayerMatch.UNLIKE: "differs",
    api.LayerMatch.ALIKE: "the same but for what is ignored",
    api.LayerMatch.ADDED: "only in B",
    api.LayerMatch.REMOVED: "only in A",
}


@dataclass(slots=True)
class ComparedCounts:
    """How much differs, of one pair of images or of all."""

    settings: int = 0
    layers: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0

    def __bool__(self) -> bool:
        return any((self.settings, self.layers, self.added, self.removed, self.changed))

    def add_documents(self, images: ComparedImages) -> None:
        """Count what documents and layers say."""
        documents = images.documents
        self.settings += sum(map(len, (documents.manifest, documents.config, documents.history)))
        self.layers += sum(pair.counts for pair in images.layers)

    def add_file(self, one: FileDifference) -> None:
        """Count a file."""
        self.added += one.presence is api.Presence.ADDED
        self.removed += one.presence is api.Presence.REMOVED
        self.changed += one.presence is api.Presence.CHANGED

    def as_json(self) -> dict[str, int]:
        """The JSON object."""
        files = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return {"fields": self.settings, "layers": self.layers, **files}

    def line(self) -> str:
        """A line for people."""
        files = self.added + self.removed + self.changed
        counts = ((self.settings, "field"), (self.layers, "layer"), (files, "file"))
        told = [counted(count, noun) for count, noun in counts if count]
        if files:
            sides = ((self.added, "only in B"), (self.removed, "only in A"))
            parts = [f"{count:,} {where}" for count, where in (*sides, (self.changed, "changed"))]
            told[-1] += f" ({', '.join(parts)})"
        several = self.settings + self.layers + files > 1
        return f"{' and '.join(told)} {'differ' if several else 'differs'}"


def show_index(fields: Sequence[FieldDifference]) -> None:
    """Print what two indexes say otherwise."""
    if fields:
        _say(bold("index", sys.stdout))
        for one in fields:
            _say(f"  {field_line(one)}")


def show(images: ComparedImages, *, text: bool, caused: bool = False) -> ComparedCounts:
    """Print how two images differ, with the diffs of ``text`` files; how much it was.

    What is ``caused`` by something that was told has its causes behind that.
    """
    counts = ComparedCounts()
    counts.add_documents(images)
    if images.platform:
        _say(bold(one_line(images.platform), sys.stdout))
    for number, cause in enumerate(images.causes):
        more = f" (and {cause.others} more like it)" if cause.others else ""
        start = "first cause" if number == 0 and not caused else "also"
        _say(f"  {start}: {cause_line(cause)}{more}")
    if len(images.causes) == 1 and not images.causes[0].others and not caused:
        _say("  all else follows from it")
    documents = images.documents
    _section("Manifest", map(field_line, documents.manifest))
    _section("Config", map(field_line, documents.config))
    _section("History", map(field_line, documents.history))
    if any(pair.counts for pair in images.layers):
        _section("Layers", (line for pair in images.layers for line in _layer(pair)))
    texts = api.TextDifferences()
    _section("Files", _files(_counted(images.files(), counts, texts if text else None)))
    if text and not (images.a.layered and images.b.layered):
        _section("Text", ["not shown: a lock has no bytes of files"])
    elif text and (texts.files or texts.skipped):
        _section("Text", _texts(images, texts))
    if not counts and images.causes:  # the same in other bytes
        counts.settings = 1
    return counts


def _counted(
    files: Iterable[FileDifference], counts: ComparedCounts, texts: api.TextDifferences | None
) -> Iterator[FileDifference]:
    for one in files:
        counts.add_file(one)
        if texts is not None:
            texts.add(one)
        yield one


def _section(title: str, lines: Iterable[str]) -> None:
    first = True
    for line in lines:
        if first:
            _say(f"\n  {title}")
            first = False
        _say(f"    {line}" if line else "")


def _say(line: str) -> None:
    echo(line, sys.stdout)


def _layer(pair: LayerDifference) -> Iterator[str]:
    if pair.a is None or pair.b is None:
        yield f"{pair.a or pair.b}: {_MATCHES[pair.match]}"
        return
    places = str(pair.a) if pair.a == pair.b else f"{pair.a} → {pair.b}"
    yield f"{places}: {_MATCHES[pair.match]}"
    if pair.counts:
        yield from (f"  {_of_layer(one)}" for one in pair.fields)


def _of_layer(one: FieldDifference) -> str:
    return (
        field_line(one)
        if one.presence is not api.Presence.CHANGED
        else (f"{one_line(one.name)} {value(one.a)} → {value(one.b)}")
    )


def _files(files: Iterable[FileDifference]) -> Iterator[str]:
    """A line a file; what lies in a directory that only one image has is counted."""
    waiting: FileDifference | None = None
    below = 0
    for one in files:
        if waiting is not None:
            if one.presence is waiting.presence and one.path.startswith(waiting.path + b"/"):
                below += 1
                continue
            yield file_line(waiting, below)
            waiting = None
        there = one.a or one.b
        if one.presence is not api.Presence.CHANGED and there and there.row.is_directory:
            waiting, below = one, 0
        else:
            yield file_line(one)
    if waiting is not None:
        yield file_line(waiting, below)


def _texts(images: ComparedImages, texts: api.TextDifferences) -> Iterator[str]:
    for path, lines in texts.read(images.a.files, images.b.files) if texts.files else ():
        name = brief(path)
        if not lines:
            yield f"Binary files a/{name} and b/{name} differ"
            continue
        yield f"--- a/{name}"
        yield f"+++ b/{name}"
        for line in lines:
            yield "\t".join(map(printable, line.split(b"\t")))
    if texts.skipped:
        yield f"{counted(texts.skipped, 'file')} not shown: too large, alone or together"
