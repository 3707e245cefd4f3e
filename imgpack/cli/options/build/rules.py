"""The options of what is written otherwise than it is on disk: owners, modes, attributes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from imgpack import api
from imgpack.cli.options.clock import source_date_epoch
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.errors import about

if TYPE_CHECKING:
    from imgpack.api import Base, Placed, Reading, Reporter, Rule, RuleKind, Transform, Tree
    from imgpack.cli.options.build.layers import LayerFlags


@dataclass(frozen=True, slots=True)
class RuleFlags:
    """RuleList, and how ids and records on disk are read, as they were written."""

    chown: tuple[str, ...]
    chmod: tuple[str, ...]
    cap: tuple[str, ...]
    xattr: tuple[str, ...]
    idmap: tuple[str, ...]
    idmap_unmapped: str
    rootless_records: bool
    fakeroot_state: str | None
    mtree: str | None
    mtree_only: bool

    def arguments(
        self, trees: Sequence[Placed[Tree]], layers: LayerFlags, reporter: Reporter,
        base: Base | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What ``api.build`` takes of them and of ``layers``, for these trees over ``base``.

        Raises ``ConfigError``, and what lists and states raise.
        """
        read = partial(api.read_file, trees, base=None if base is None else base.tree)
        transforms: list[Transform] = []
        additions = None
        if self.fakeroot_state is not None:
            state = api.fakeroot_state(os.fsencode(self.fakeroot_state))
            state.check(trees)
            transforms.append(state)
        if self.mtree is not None:
            if all(isinstance(tree.tree, api.RawLayer) for tree in trees):
                raise click.UsageError("--mtree is laid over a SRC, and there is none")
            listed = api.specification(os.fsencode(self.mtree), read)
            transforms.append(api.Overrides(listed, self.mtree_only))
            additions = listed.additions
            for warning in listed.warnings:
                reporter.warn(warning)
        elif self.mtree_only:
            raise click.UsageError("--mtree-only needs a list; give one with --mtree")
        rules = api.RuleList((*layers.time_rules(), *self._rules(read)))
        for rule in rules.rules:
            _warn_of_closed_directories(rule, reporter)
        return {
            "transforms": (*transforms, *layers.transforms(source_date_epoch())),
            "treatment": api.Treatment(self._reading(), rules, additions),
        }

    def _rules(self, read: Callable[[str], bytes | None]) -> Iterator[Rule]:
        """In the order in which attributes must be set: a capability is one."""
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


def _warn_of_closed_directories(rule: Rule, reporter: Reporter) -> None:
    """Tell of a rule for everything that leaves no directory to be entered."""
    changed = rule.effect(api.directory_entry("d")) if rule.pattern is None else None
    if changed is not None and not changed.mode & stat.S_IXUSR:
        reporter.warn(
            f"--{rule.name} takes the x of directories as well, and nobody but root enters them",
            "write it as u=rwX,go=rX, or for a pattern",
        )


rule_options = gathered(
    "rules",
    RuleFlags,
    click.option(
        "--chown",
        multiple=True,
        metavar="[PATTERN=]USER[:GROUP]",
        help="Who owns what matches, a path in the image, by the image's names or numbers "
        "(repeatable).",
    ),
    click.option(
        "--chmod",
        multiple=True,
        metavar="[PATTERN=]MODE",
        help="Permissions of what matches, a path in the image, octal or as u=rwX,go=rX "
        "(repeatable).",
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
        metavar="[uid:|gid:]CONTAINER:HOST[:SIZE]",
        help="Ids on disk that are others in the image, SIZE of them or one (repeatable).",
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
    click.option(
        "--fakeroot-state",
        type=FILE,
        metavar="FILE",
        help="Owners, modes and devices that fakeroot -s FILE saved of the source.",
    ),
    click.option(
        "--mtree",
        type=FILE,
        metavar="FILE",
        help="An mtree(5) list of what is otherwise than on disk, or is not there.",
    ),
    click.option("--mtree-only", is_flag=True, help="Leave out what --mtree does not list."),
)
