"""The options of what is written otherwise than it is on disk: owners, modes, attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.parameters import gathered
from imgpack.errors import about

if TYPE_CHECKING:
    from imgpack.api import Reading, Rule, RuleKind, Tree
    from imgpack.cli.options.build.layers import LayerFlags


@dataclass(frozen=True, slots=True)
class RuleFlags:
    """Rules, and how ids and records on disk are read, as they were written."""

    chown: tuple[str, ...]
    chmod: tuple[str, ...]
    cap: tuple[str, ...]
    xattr: tuple[str, ...]
    idmap: tuple[str, ...]
    idmap_unmapped: str
    rootless_records: bool

    def arguments(self, trees: Sequence[Tree], layers: LayerFlags) -> dict[str, Any]:
        """What ``api.build`` takes of them, for these trees. Raises ``ConfigError``."""
        rules = (*layers.time_rules(), *self._rules(trees))
        return {"rules": rules, "reading": self._reading()}

    def _rules(self, trees: Sequence[Tree]) -> Iterator[Rule]:
        """In the order in which attributes must be set: a capability is one."""
        read = partial(api.read_file, trees)
        kinds: tuple[tuple[RuleKind, tuple[str, ...]], ...] = (
            ("chown", self.chown),
            ("chmod", self.chmod),
            ("xattr", self.xattr),
            ("cap", self.cap),
        )
        for kind, texts in kinds:
            for text in texts:
                with about(f"--{kind} {text!r}"):
                    yield api.parse_rule(kind, text, read)

    def _reading(self) -> Reading:
        ids = None
        if self.idmap:
            with about("--idmap"):
                ids = api.IdMap.parse(self.idmap, keep=self.idmap_unmapped == "keep")
        return api.Reading(ids, self.rootless_records)


rule_options = gathered(
    "rules",
    RuleFlags,
    click.option(
        "--chown",
        multiple=True,
        metavar="[PATTERN=]USER[:GROUP]",
        help="Who owns what matches, by the image's names or numbers (repeatable).",
    ),
    click.option(
        "--chmod",
        multiple=True,
        metavar="[PATTERN=]MODE",
        help="Permissions of what matches, octal or as u=rwX,go=rX (repeatable).",
    ),
    click.option(
        "--cap",
        multiple=True,
        metavar="[PATTERN=]CAPABILITIES",
        help="File capabilities, as cap_net_bind_service+ep; = removes them (repeatable).",
    ),
    click.option(
        "--xattr",
        multiple=True,
        metavar="[PATTERN=]NAME=VALUE",
        help="An extended attribute, as text, 0xHEX or 0sBASE64; none removes it (repeatable).",
    ),
    click.option(
        "--idmap",
        multiple=True,
        metavar="[uid:|gid:]CONTAINER:HOST:SIZE",
        help="Ids on disk that are others in the image (repeatable).",
    ),
    click.option(
        "--idmap-unmapped",
        type=click.Choice(["error", "keep"]),
        default="error",
        show_default=True,
        help="What becomes of ids that no range maps.",
    ),
    click.option(
        "--rootless-records/--no-rootless-records",
        default=True,
        show_default=True,
        help="Whether what rootless tools recorded in attributes counts.",
    ),
)
