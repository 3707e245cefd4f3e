"""How an image is pushed: the options of ``push``, and of ``build``, which does it on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.engine import LoadFlags, load_options
from imgpack.cli.options.parameters import gathered
from imgpack.cli.options.registry import RegistryOptions, connect
from imgpack.cli.options.signing import Schema1Flags, check_schema1_tags, schema1_options
from imgpack.cli.options.transfer import (
    MountFlags,
    foreign_option,
    mount_options,
    upload_journal,
)

if TYPE_CHECKING:
    from imgpack.api import Reference
    from imgpack.cli.output.terminal import Terminal

MIB: Final = 1 << 20
_JOBS: Final = 4
"""Blobs that ``build`` sends at once, as ``push`` does."""
_MOST_JOBS: Final = 64


@dataclass(frozen=True, slots=True)
class PushFlags:
    """How it is pushed, as it was written."""

    mount: MountFlags
    schema1: Schema1Flags
    allow_nondistributable: bool
    chunk_size: int | None
    no_resume: bool

    def check(self, *, by_digest: bool = False) -> None:
        """Raise ``click.UsageError`` for a contradiction."""
        self.schema1.check(by_digest=by_digest)
        self.mount.check()

    def options(
        self,
        pairs: Sequence[tuple[object, Reference]],
        terminal: Terminal,
        origin: Iterable[Reference] = (),
    ) -> api.PushOptions:
        """What the API takes, for images and a name of each; ``origin`` has layers of them.

        Raises ``SignatureError`` and ``click.UsageError``.
        """
        signing = self.schema1.options()
        if signing is not None:
            check_schema1_tags(pairs, signing)
        servers = dict.fromkeys(name.registry for _, name in pairs)
        return api.PushOptions(
            mount_from=(*origin, *self._mounted_from(servers, terminal)),
            mounts=not self.mount.no_mount,
            schema1=signing,
            journal=None if self.no_resume else upload_journal(),
            chunk=None if self.chunk_size is None else self.chunk_size * MIB,
            foreign=self.allow_nondistributable,
        )

    def _mounted_from(self, servers: Collection[str], terminal: Terminal) -> tuple[Reference, ...]:
        """The repositories of ``--mount-from``; those of other registries are of no use."""
        found = api.mount_repositories(self.mount.mount_from, servers)
        for one in found:
            if one.registry not in servers:
                terminal.warn(
                    f"--mount-from {one.shown()} is of no use: nothing is mounted from one registry"
                    " into another"
                )
        return found


push_options = gathered(
    "how",
    PushFlags,
    mount_options,
    schema1_options,
    foreign_option,
    click.option(
        "--chunk-size",
        type=click.IntRange(1, 1024),
        metavar="MIB",
        help="The largest part of a chunked upload, where a registry needs those.",
    ),
    click.option("--no-resume", is_flag=True, help="Do not continue uploads of an earlier run."),
)


@dataclass(frozen=True, slots=True)
class BuildPush:
    """Whether what is built is pushed or loaded, and how."""

    push: bool
    how: PushFlags
    loading: LoadFlags

    @property
    def instead(self) -> bool:
        """Whether it goes elsewhere than into a file, if none is named."""
        return self.push or self.loading.load

    @property
    def where(self) -> str:
        """Where it goes, if there is no file."""
        where = {"registries": self.push, "an engine": self.loading.load}
        return " and ".join(one for one, there in where.items() if there)

    def check(self, tags: Sequence[str]) -> None:
        """Refuse to push to no name, and to say how it is done when it is not.

        Raises ``click.UsageError``, and ``InvalidReferenceError`` for what is no name to push to.
        """
        how = self.how
        given = {
            "--mount-from": how.mount.mount_from,
            "--no-mount": how.mount.no_mount,
            "--schema1": how.schema1.schema1,
            "--schema1-tag": how.schema1.schema1_tag,
            "--signing-key": how.schema1.signing_key,
            "--allow-nondistributable": how.allow_nondistributable,
            "--chunk-size": how.chunk_size,
            "--no-resume": how.no_resume,
        }
        for option, value in given.items():
            if value and not self.push:
                raise click.UsageError(f"{option} is about a push; add --push")
        how.check()
        self.loading.check()
        if self.push and not self.names(tags):
            raise click.UsageError("--push needs a name to push to: -t REGISTRY/REPOSITORY:TAG")

    def names(self, tags: Sequence[str]) -> tuple[Reference, ...]:
        """What the image is called; for a push each name says its registry."""
        names = tuple(dict.fromkeys(api.parse_name(tag) for tag in tags))
        for tag in tags if self.push else ():
            api.target_name(tag)
        return names

    @contextmanager
    def connect(
        self,
        registry: RegistryOptions,
        terminal: Terminal,
        only: Iterable[str],
        jobs: int | None,
    ) -> Iterator[api.Registries | None]:
        """As ``connect``; nothing without a push."""
        if not self.push:
            yield None
            return
        with connect(registry, terminal, only, jobs=self.jobs(jobs)) as registries:
            yield registries

    def jobs(self, given: int | None) -> int:
        """How many blobs are sent at once."""
        return min(given or _JOBS, _MOST_JOBS)

    def options(
        self, names: Sequence[Reference], terminal: Terminal, origin: Sequence[Reference]
    ) -> api.PushOptions:
        """As ``PushFlags.options``, for one image."""
        return self.how.options([(self, name) for name in names], terminal, origin)


build_push_options = gathered(
    "pushed",
    BuildPush,
    click.option("--push", is_flag=True, help="Push it to its names while it is built."),
    push_options,
    load_options,
)
