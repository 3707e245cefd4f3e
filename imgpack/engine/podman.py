"""Podman, through the ``podman`` command.

Here it pulls from a directory (``dir:``, containers/image ``directory``), in which only the
layers are that it lacks: it opens no blob whose ``diff_id`` it has, wherever that lies. A
remote one cannot see a directory, and is fed an archive of all.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from imgpack.engine.docker import Docker
from imgpack.engine.inspection import identify_by_config, layers_there
from imgpack.engine.layers import plain_layer
from imgpack.engine.loading import LABEL, Engine, whole_images
from imgpack.engine.program import EngineProgram
from imgpack.events import Reporter
from imgpack.files.scratch import directory_for_a_while
from imgpack.files.writing import scratch_errors
from imgpack.image.image import Image, Named
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import Compression
from imgpack.spec.layer import Layer
from imgpack.spec.manifest import build_manifest
from imgpack.spec.platform import Platform

PODMAN: Final = "podman"
_VERSION: Final = b"Directory Transport Version: 1.1\n"


@dataclass(slots=True)
class Podman:
    """Podman over a storage on this machine."""

    program: EngineProgram
    platform: Platform | None
    scratch: Callable[[], str]
    reporter: Reporter
    kind: str = PODMAN

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """The ``diff_id``s of all layers that any of its images has."""
        there = {layer for layers in layers_there(self.program) for layer in layers}
        wanted = (one.config.diff_ids for _, one in whole_images(images, self.kind))
        return frozenset(one for diff_ids in wanted for one in diff_ids if str(one) in there)

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """A directory for each, gone when podman has read it."""
        for named, image in whole_images(images, self.kind):
            with directory_for_a_while(self.scratch(), LABEL) as place:
                self._fill(place, image, held)
                self.program.work("pull", "--quiet", f"dir:{place}")
            held = held.union(image.config.diff_ids)
            if named.tags:
                self.program.ask("tag", image.config.digest.hex, *map(str, named.tags))

    def _fill(self, place: str, image: Image, held: frozenset[Digest]) -> None:
        """The image without compression: another manifest of the same configuration."""
        layers: dict[Digest, Descriptor] = {}
        kind = image.format.layer_type(Compression.NONE)
        for layer in image.layers:
            if layer.diff_id not in layers:
                size = 0 if layer.diff_id in held else self._write(place, image, layer)
                layers[layer.diff_id] = Descriptor(kind, layer.diff_id, size)
        config = replace(image.manifest.config, annotations=(), urls=())
        manifest = build_manifest(
            config, [layers[one] for one in image.config.diff_ids], image.manifest.media_type
        )
        files = {
            "version": _VERSION,
            "manifest.json": manifest.raw,
            image.config.digest.hex: image.config.raw,
        }
        for name, raw in files.items():
            _write_file(os.path.join(place, name), raw)

    def _write(self, place: str, image: Image, layer: Layer) -> int:
        """The layer's tar stream into a file; its size in bytes."""
        meter = self.reporter.begin(f"to {self.kind}", None)
        try:
            with (
                plain_layer(image, layer, self.scratch) as plain,
                scratch_errors(place),
                open(os.path.join(place, layer.diff_id.hex), "xb") as file,
            ):
                for chunk in plain.chunks:
                    file.write(chunk)
                    meter.advance(len(chunk))
        finally:
            meter.end()
        return plain.size

    def identify(self, named: Named) -> Digest:
        """The digest of its configuration."""
        return identify_by_config(self.program, named, self.kind)


@dataclass(slots=True)
class RemotePodman(Docker):
    """Podman behind a socket: fed as docker is, but it reads all of an archive."""

    kind: str = PODMAN

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """Nothing may be left out."""
        return frozenset()


def _write_file(path: str, raw: bytes) -> None:
    with scratch_errors(os.path.dirname(path)), open(path, "xb") as file:
        file.write(raw)


if TYPE_CHECKING:

    def _meets(local: Podman, remote: RemotePodman) -> tuple[Engine, Engine]:
        return local, remote
