"""``inspect --html``: an image as a page for people, in a file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from imgpack import api
from imgpack.cli.options.metadata import check_apart
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.files.streams import STDOUT, open_output

if TYPE_CHECKING:
    from imgpack.cli.options.image.files import Looking
    from imgpack.cli.output.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Report:
    """Where the page is written, and the image that came before, if it says what changed."""

    html: str | None
    compare: str | None

    def check(self, *, as_json: bool, verify: bool) -> None:
        """Refuse what goes together with no page, or only with one."""
        if self.html is None and self.compare is not None:
            raise click.UsageError("--compare is shown by a page; name its file with --html FILE")
        if self.html in ("", STDOUT):
            raise click.UsageError(
                f"--html {self.html!r} is no file; /dev/stdout is standard output"
            )
        if self.html is not None and (as_json or verify):
            raise click.UsageError(
                f"--html is written instead of what {'--json' if as_json else '--verify'} prints; "
                "run them one after the other"
            )

    def write(self, location: str, looking: Looking, terminal: Terminal) -> None:
        """Write the page about the image at ``location``; the file appears whole."""
        assert self.html is not None
        # A name is of one location; a platform, of both.
        other = replace(looking, choice=replace(looking.choice, image=None))
        read = [looking.place(location)]
        read += [other.place(self.compare)] if self.compare is not None else []
        check_apart(self.html, "the page", read)
        with ExitStack() as stack:
            write = stack.enter_context(open_output(self.html))
            files = stack.enter_context(looking.open(location, terminal))
            before = None
            if self.compare is not None:
                before = stack.enter_context(other.open(self.compare, terminal))
            for chunk in api.report_page(files, before):
                write(chunk)


report_options = gathered(
    "report",
    Report,
    click.option(
        "--html",
        type=FILE,
        metavar="FILE",
        help="Write a page to look at: layers, files, history.",
    ),
    click.option(
        "--compare",
        type=FILE,
        metavar="IMAGE",
        help="With --html: show as well what changed since this image.",
    ),
)
