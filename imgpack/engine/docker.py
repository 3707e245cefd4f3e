"""Docker, through the ``docker`` command, which knows its contexts, hosts and certificates.

Its classic store knows layers by their chains and unpacks what it loads: it is sent tar
streams, and of a layer that it has below the same layers, nothing (moby
``tarexport/load.go`` opens no file then). Its containerd store keeps blobs as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgpack.compression.unpack import metered
from imgpack.engine.archives import docker_archive, oci_archive
from imgpack.engine.inspection import (
    identifier,
    identify_by_config,
    inspected,
    layers_there,
)
from imgpack.engine.layers import chain_ids, known_below
from imgpack.engine.loading import Engine, whole_images
from imgpack.engine.program import EngineProgram
from imgpack.errors import EngineError
from imgpack.events import Reporter
from imgpack.image.image import Named
from imgpack.spec.digest import Digest
from imgpack.spec.platform import Platform

DOCKER: Final = "docker"


@dataclass(slots=True)
class Docker:
    """Docker with its classic store."""

    program: EngineProgram
    platform: Platform | None
    scratch: Callable[[], str]
    reporter: Reporter
    kind: str = DOCKER

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """The ``diff_id``s of layers that it has below the same ones."""
        whole = [image for _, image in whole_images(images, self.kind)]
        chains = (chain for layers in layers_there(self.program) for chain in chain_ids(layers))
        return known_below(whole, frozenset(chains))

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """One archive of all."""
        whole = list(whole_images(images, self.kind))
        feed(self.program, docker_archive(whole, held, self.scratch), self.kind, self.reporter)

    def identify(self, named: Named) -> Digest:
        """The digest of its configuration."""
        return identify_by_config(self.program, named, self.kind)


@dataclass(slots=True)
class DockerOverContainerd:
    """Docker with containerd's store.

    Without a word it takes an archive that lacks blobs, so it is sent all.
    """

    program: EngineProgram
    reporter: Reporter
    platform: Platform | None = None
    kind: str = DOCKER

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """Nothing that could be relied on."""
        return frozenset()

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """An OCI layout of all."""
        feed(self.program, oci_archive(images, held), self.kind, self.reporter)

    def identify(self, named: Named) -> Digest:
        """The digest of its manifest or index."""
        digest = named.image.document.descriptor.digest
        names = [str(tag) for tag in named.tags] or [str(digest)]
        found = [identifier(one) for one in inspected(self.program, names)]
        if found != [str(digest)] * len(names):
            raise EngineError(
                f"docker has {', '.join(found) or 'nothing'} for {', '.join(names)}, and {digest} "
                "was to be loaded"
            )
        return digest


def feed(program: EngineProgram, archive: Iterator[bytes], kind: str, reporter: Reporter) -> None:
    """Have ``archive`` loaded from standard input. Raises ``EngineError``, what reading does."""
    meter = reporter.begin(f"to {kind}", None)
    try:
        program.feed(metered(archive, meter), "load", "--quiet")
    finally:
        meter.end()


if TYPE_CHECKING:

    def _meets(classic: Docker, containerd: DockerOverContainerd) -> tuple[Engine, Engine]:
        return classic, containerd
