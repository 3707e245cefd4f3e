"""``imgpack lint``: what is wrong with an image or a tree, by rules with names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import click

from imgpack import __version__, api, errors
from imgpack.cli.options.image.files import Looking, looking_options
from imgpack.cli.options.location import scratch_directory
from imgpack.cli.options.parameters import FILE, KnownWords, separated
from imgpack.cli.output.colour import bold, echo
from imgpack.cli.output.display import available, folded, json_text, one_line

if TYPE_CHECKING:
    from imgpack.api import ImageFiles, Linted, LintFinding, Tree
    from imgpack.cli.output.terminal import Terminal

_LEVELS: Final = ("error", "warning", "info", "never")
_TOLD: Final = 20
"""Findings of one rule that people are shown."""


@click.command("lint")
@click.argument("location", type=FILE, metavar="IMAGE|DIR")
@click.option(
    "--ignore",
    type=KnownWords(api.LintIgnore.known()),
    multiple=True,
    metavar="RULE[:PATTERN]",
    help="Leave out what a rule finds, several with commas, or what one finds at these paths "
    "(repeatable).",
)
@click.option(
    "--fail-on",
    type=click.Choice(_LEVELS),
    default="error",
    show_default=True,
    help=f"End with {errors.FINDINGS_EXIT_CODE} if something is found that is as bad, or worse.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--sarif", is_flag=True, help="Print one SARIF document, for code scanning.")
@looking_options
@click.pass_obj
def lint(
    terminal: Terminal,
    *,
    location: str,
    ignore: tuple[str, ...],
    fail_on: str,
    as_json: bool,
    sarif: bool,
    looking: Looking,
) -> int:
    """Look for what is wrong with an image, or will be where it runs.

    IMAGE is an archive, a layout, a reference or a lock; of DIR, a tree on disk, only rules of
    files are applied. Found are programs that cannot start, unknown users, secrets in files of
    all layers and in the configuration, open permissions, and what engines refuse to unpack.
    Secrets are never shown whole. The rules are in docs/lint.md.
    """
    if as_json and sarif:
        raise click.UsageError("--json and --sarif are two documents; ask for one")
    ignored = [api.LintIgnore.parse(one) for one in separated(ignore)]
    with _source(location, looking, terminal) as source:
        linted = api.lint(source, ignore=ignored, scratch=scratch_directory)
    if as_json:
        echo(json_text({"location": location} | linted.as_json()), sys.stdout)
    elif sarif:
        echo(json_text(_sarif(linted, location)), sys.stdout)
    else:
        _show(linted)
    fails = fail_on != "never" and linted.fails(api.LintLevel(fail_on))
    return errors.FINDINGS_EXIT_CODE if fails else 0


def _is_tree(location: str) -> bool:
    return os.path.isdir(location) and not api.holds_images(location)


def _sarif(linted: Linted, location: str) -> dict[str, Any]:
    """The document, in which files of a tree have their paths from here, if they are below."""
    directory = ""
    if _is_tree(location):
        below = os.path.relpath(location)
        outside = below.split(os.sep)[0] == os.pardir
        directory = os.path.abspath(location) if outside else below
    directory = "" if directory == os.curdir else directory
    return api.lint_sarif(linted, location, __version__, directory=directory)


@contextmanager
def _source(location: str, looking: Looking, terminal: Terminal) -> Iterator[ImageFiles | Tree]:
    if _is_tree(location):
        looking.choice.refuse(location)
        yield api.directory(os.fsencode(location))
    else:
        with looking.open(location, terminal) as files:
            yield files


def _show(linted: Linted) -> None:
    """Print it for people, a rule at a time."""
    width = available()
    more = {rule.id: count for rule, count in linted.more}
    for rule, group in groupby(linted.findings, key=lambda found: found.rule):
        found = list(group)
        first, *rest = folded(f"{rule.level.value} {rule.id}: {rule.title}", width, 2)
        for line in (bold(first, sys.stdout), *rest):
            echo(line, sys.stdout)
        for one in found[:_TOLD]:
            for line in folded(f"  {_line(one)}", width, 4):
                echo(line, sys.stdout)
        if (left := len(found) - _TOLD + more.get(rule.id, 0)) > 0:
            echo(f"  and {left} more", sys.stdout)
    for what in linted.unchecked:
        for line in folded(f"not checked: {one_line(what)}", width, 2):
            echo(line, sys.stdout)
    for line in folded(_summary(linted), width, 2):
        echo(line, sys.stdout)


def _line(found: LintFinding) -> str:
    """What a finding says, and where."""
    place = found.place
    if found.path is not None:
        shown = "/" + errors.brief(found.path)
        place = "" if shown in found.message else shown + (f":{found.line}" if found.line else "")
    where = f" (in layer {found.layer + 1}" if found.layer is not None else ""
    if found.deleted_by is not None:
        where += f"; gone from layer {found.deleted_by + 1} on, and still in the image"
    return one_line(
        (f"{place}: " if place else "") + found.message + where + (")" if where else "")
    )


def _summary(linted: Linted) -> str:
    counts = {level: linted.count(level) for level in api.LintLevel}
    words = {"error": "errors", "warning": "warnings", "info": "notes"}
    told = ", ".join(
        f"{count} {words[level.value] if count != 1 else words[level.value][:-1]}"
        for level, count in counts.items()
        if count
    )
    ignored = f" ({linted.ignored} ignored)" if linted.ignored else ""
    return (told or "nothing is wrong") + ignored
