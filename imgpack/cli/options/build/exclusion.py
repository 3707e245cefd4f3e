"""The options of what is left out of the sources, and of a look at what goes in."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import api
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.cli.output.display import available, counted, folded, one_line
from imgpack.errors import about, brief
from imgpack.events import human_size

if TYPE_CHECKING:
    from imgpack.api import Entry, Exclusion, LeftOut, Placed, Tree

    Planned = Iterator[tuple[Placed[Tree], Iterator[tuple[Entry, bytes | None]]]]
    """What a build would pack of a layer."""
    from imgpack.cli.output.terminal import Terminal

    Excluding = Callable[[bytes, str], Exclusion | None]
    """Says what is left out of a source: its path, and how it is written."""

_EXPLAINED: Final = 100
_KINDS: Final = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo", stat.S_IFCHR: "character", stat.S_IFBLK: "block",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExcludeFlags:
    """What is left out, as it was written.

    ``layer_excludes`` is what is left out of single sources, as those are written: instead of
    the ignore file that is for all, and beside their patterns.
    """

    ignore_file: str | None = None
    no_ignore_file: bool = False
    exclude: tuple[str, ...] = ()
    layer_excludes: Mapping[str, ExcludeFlags] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of patterns that are named."""
        named = (self.ignore_file, *(one.ignore_file for one in self.layer_excludes.values()))
        return tuple(filter(None, named))

    def reader(self, terminal: Terminal, *, explain: bool) -> Excluding:
        """What says what is left out of a source. Raises source and config errors."""
        self._check()
        all_of_it = partial(self._excluded, _Telling(terminal, explain=explain), terminal)
        single: dict[str, Excluding] = {}
        for text, flags in self.layer_excludes.items():
            one = self._with(flags)
            one._check()
            single[text] = partial(one._excluded, _Telling(terminal, explain=explain), terminal)
        return lambda source, text: single.get(text, all_of_it)(source, text)

    def _check(self) -> None:
        if self.ignore_file is not None and self.no_ignore_file:
            raise click.UsageError("--ignore-file and --no-ignore-file exclude each other")
        if self.ignore_file == "":
            raise click.UsageError("--ignore-file is empty; name a file")

    def _with(self, layer: ExcludeFlags) -> ExcludeFlags:
        """What is left out of a source of which ``layer`` says more."""
        own = layer.ignore_file is not None or layer.no_ignore_file
        files = layer if own else self
        return ExcludeFlags(
            files.ignore_file, files.no_ignore_file, (*self.exclude, *layer.exclude)
        )

    def _excluded(
        self, told: _Telling, terminal: Terminal, source: bytes, text: str
    ) -> Exclusion | None:
        file = None
        if self.ignore_file is not None:
            file = os.fsencode(self.ignore_file)
        elif not self.no_ignore_file:
            file = api.find_ignore_file(source)
        if file is None and not self.exclude:
            return None
        with about("--exclude"):
            api.ignore(self.exclude)
        found = api.ignore(self.exclude, file, told.of(source))
        for warning in found.warnings:
            terminal.warn(warning)
        return found


exclude_options = gathered(
    "exclude",
    ExcludeFlags,
    click.option(
        "--ignore-file",
        type=FILE,
        metavar="FILE",
        help="Leave out what FILE says. [default: SRC/.containerignore, SRC/.dockerignore]",
    ),
    click.option("--no-ignore-file", is_flag=True, help="Look for no ignore file."),
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="Leave out what matches, too: a path in SRC, not in the image; with ! before it, "
        "do not (repeatable).",
    ),
)


class _Telling:
    """Says once of each source what was left out, and then which ``--exclude`` decided nothing."""

    def __init__(self, terminal: Terminal, *, explain: bool) -> None:
        self._terminal = terminal
        self._explain = explain
        self._waiting: set[bytes] = set()
        self._idle: list[str] | None = None

    def of(self, source: bytes) -> Callable[[LeftOut], None]:
        """What is to hear of ``source``."""
        self._waiting.add(source)
        return partial(self._hear, source)

    def _hear(self, source: bytes, left_out: LeftOut) -> None:
        if source not in self._waiting:  # in another of its layers
            return
        self._waiting.remove(source)
        _tell(self._terminal, left_out, explain=self._explain)
        idle = [rule.text for rule in left_out.idle if not rule.file]
        self._idle = idle if self._idle is None else [one for one in self._idle if one in idle]
        for text in () if self._waiting else self._idle:
            self._terminal.warn(f"--exclude {text!r} decides nothing: it is of paths in SRC")


def _tell(terminal: Terminal, left_out: LeftOut, *, explain: bool) -> None:
    file, count = left_out.rules.file, left_out.count
    if explain or (file and not terminal.quiet):
        what = counted(count, "path") if count else "nothing"
        terminal.say(f"imgpack: left out {what}" + (f", by {file}" if file else ""))
    if not explain:
        return
    paths = sorted(left_out.paths, key=lambda one: one[0].split(b"/"))
    untold = count - len(paths)
    lines = [
        *(f"{brief(path)}: {left_out.rules.listed[rule]}" for path, rule in paths),
        *([f"and {untold:,} more"] if untold else []),
        *(f"without effect: {rule}" for rule in left_out.idle),
    ]
    shown = len(lines) if terminal.verbose else _EXPLAINED
    for line in lines[:shown]:
        terminal.say(f"  {line}")
    if len(lines) > shown:
        terminal.say("  and more; --verbose lists them")


@dataclass(frozen=True, slots=True)
class DryRunFlags:
    """Whether to show what would go in instead."""

    dry_run: bool = False
    as_json: bool = False

    def check(self) -> bool:
        """Whether to. Raises ``UsageError`` for JSON of anything else."""
        if self.as_json and not self.dry_run:
            raise click.UsageError("--json is for --dry-run; see --metadata-file")
        return self.dry_run


dry_run_options = gathered(
    "dry_run",
    DryRunFlags,
    click.option("--dry-run", is_flag=True, help="List what would go in, and write nothing."),
    click.option("--json", "as_json", is_flag=True, help="List it as one JSON document."),
)


def show_each(planned: Mapping[str, Planned], *, as_json: bool) -> None:
    """As ``show_planned``; of several images each under its platform."""
    if len(planned) == 1:
        show_planned(*planned.values(), as_json=as_json)
        return
    for number, (platform, layers) in enumerate(planned.items()):
        if as_json:
            opening = ", " if number else '{"platforms": {'
            click.echo(f"{opening}{json.dumps(platform)}: ", nl=False)
        else:
            click.echo(f"platform {platform}:")
        show_planned(layers, as_json=as_json)
    if as_json:
        click.echo("}}")


def show_planned(planned: Planned, *, as_json: bool) -> None:
    """List every entry of the layers on standard output, with its size, as it is met."""
    total = [0, 0]
    count, columns = 0, available()
    if as_json:
        click.echo('{"layers": [', nl=False)
    for count, (layer, entries) in enumerate(planned, 1):
        sums = [0, 0]
        found = _counted(entries, sums)
        if as_json:
            _echo_json(layer, found, sums, first=count == 1)
        else:
            click.echo(f"layer {count}: {one_line(str(layer))}")
            for one in found:
                click.echo(_line(one, columns))
            click.echo(f"layer {count}: {_summed(sums)}")
        total = [total[0] + sums[0], total[1] + sums[1]]
    if as_json:
        click.echo(f'], "count": {total[0]}, "size": {total[1]}}}')
    elif count != 1:
        click.echo(f"in all: {_summed(total)}")


def _summed(sums: Sequence[int]) -> str:
    return f"{sums[0]:,} entries, {human_size(sums[1])}"


def _echo_json(
    layer: Placed[Tree], found: Iterator[dict[str, Any]], sums: Sequence[int], *, first: bool
) -> None:
    head = {"source": str(layer), "dest": "/" + os.fsdecode(layer.dest)}
    click.echo(("" if first else ",\n") + json.dumps(head)[:-1] + ', "entries": [', nl=False)
    for number, one in enumerate(found):
        click.echo((",\n" if number else "\n") + json.dumps(one), nl=False)
    click.echo(f'], "count": {sums[0]}, "size": {sums[1]}}}', nl=False)


def _counted(
    entries: Iterator[tuple[Entry, bytes | None]], sums: list[int]
) -> Iterator[dict[str, Any]]:
    """What is shown of each entry; ``sums`` are how many there were, and their bytes."""
    for entry, link in entries:
        shown = _shown(entry, link)
        sums[0] += 1
        sums[1] += shown["size"]
        yield shown


def _shown(entry: Entry, link: bytes | None) -> dict[str, Any]:
    kind = _KINDS.get(stat.S_IFMT(entry.mode), "deletion")
    shown = {
        "path": "/" + os.fsdecode(entry.path),
        "type": kind if link is None else "hard link",
        "mode": f"{stat.S_IMODE(entry.mode):04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size if kind == "file" and link is None else 0,
    }
    if link is not None:
        shown["target"] = "/" + os.fsdecode(link)
    elif kind == "symlink":
        shown["target"] = os.fsdecode(entry.target())
    return shown


def _line(one: dict[str, Any], columns: int | None) -> str:
    owner = f"{one['uid']}:{one['gid']}"
    target = f" -> {one['target']}" if "target" in one else ""
    line = f"{one['type']:9} {one['mode']} {owner:>11} {one['size']:>12} {one['path']}{target}"
    return "\n".join(folded(one_line(line), columns, 10))
