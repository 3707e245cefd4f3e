"""What a verification found, for people: what was looked at, what is wrong, what is not alike."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from imgpack import api
from imgpack.cli.output.colour import bold, echo
from imgpack.cli.output.display import available, counted, folded, one_line
from imgpack.cli.output.listing import exact_moment
from imgpack.errors import brief
from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.api import TreeMismatch, Verification

_NOTES: Final = 10
"""Notes of one kind that are shown; programs get all of them."""
_LEVEL: Final = 9


def show_verification(found: Verification) -> None:
    """Print what was checked, and all problems."""
    say(bold(one_line(found.location), sys.stdout))
    for image in found.images:
        names = f"  {', '.join(image.names)}" if image.names else ""
        what = image.platform if image.kind == "image" else image.kind
        say(one_line(f"  {what or image.kind}  {image.digest}{names}"))
    for line in _problems(found):
        say(line)
    counts = [
        counted(len(found.of(level)), level.value) for level in api.ProblemLevel if found.of(level)
    ]
    read = f"{counted(found.blobs, 'blob')}, {human_size(found.size)}"
    verdict = "sound" if found.sound else "not sound"
    say(f"  {verdict}: {read}{''.join(f', {count}' for count in counts)}")


def _problems(found: Verification) -> Iterator[str]:
    notes: Counter[str] = Counter()
    for problem in found.problems:
        level = problem.level
        if level is api.ProblemLevel.NOTE:
            notes[problem.check.id] += 1
            if notes[problem.check.id] > _NOTES:
                continue
        text = f"  {level.value:<{_LEVEL}}{problem.check.id}: {problem.where}: {problem.text}"
        yield from folded(one_line(text), available(), 2 + _LEVEL)
    for check, count in notes.items():
        if count > _NOTES:
            yield f"  {'note':<{_LEVEL}}{check}: and {count - _NOTES} more (see --json)"


def show_mismatches(found: Verification, directory: str) -> None:
    """Print what the directory has not as the image has it."""
    shown = one_line(directory)
    if not found.compared:
        say(f"  {shown} was not compared: what is in the image is not known")
        return
    if not found.mismatched:
        say(f"  {shown} is like the image")
        return
    for one in found.mismatches:
        say(f"  {_mismatch(one)}")
    more = found.mismatched - len(found.mismatches)
    if more:
        say(f"  and {more} more")
    paths = counted(found.mismatched, "path")
    say(f"  {paths} in {shown} {'is' if found.mismatched == 1 else 'are'} not as in the image")


def _mismatch(one: TreeMismatch) -> str:
    path = f"/{brief(one.path)}"
    if one.only:
        return f"{'-' if one.only == 'image' else '+'} {path}  only in the {one.only}"
    fields = (f"{name} {_said(name, a)} → {_said(name, b)}" for name, a, b in one.fields)
    return one_line(f"~ {path}  {', '.join(fields)}")


def _said(name: str, text: str) -> str:
    return exact_moment(text) if name == "mtime" and text else text or "none"


def say(line: str) -> None:
    """Print a line."""
    echo(line, sys.stdout)
