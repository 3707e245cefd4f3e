"""containerd, through ``ctr``, and kind, whose nodes have a containerd each.

They keep blobs as they are, compressed, and know them by their digests; what an archive
leaves out is looked for among those.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgpack.compression.unpack import metered
from imgpack.engine.archives import oci_archive
from imgpack.engine.loading import LABEL, Engine
from imgpack.engine.program import EngineProgram
from imgpack.errors import EngineError, Remedy, UnsupportedError
from imgpack.events import Reporter
from imgpack.files.scratch import directory_for_a_while
from imgpack.files.writing import scratch_errors
from imgpack.image.image import Named, images_in
from imgpack.image.plan import plan
from imgpack.spec.digest import Digest
from imgpack.spec.platform import Platform

CONTAINERD: Final = "containerd"
KIND: Final = "kind"
_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
"""The name of a container, which is no option."""


@dataclass(slots=True)
class Containerd:
    """containerd on this machine; ``ctr`` reads its address and namespace itself."""

    program: EngineProgram
    reporter: Reporter
    platform: Platform | None = None
    kind: str = CONTAINERD

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """The blobs and documents that its content store has."""
        there = self._content()
        return frozenset(one for one in _parts(images) if str(one) in there)

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """An OCI layout, without the blobs that are there."""
        _check_named(images, self.kind)
        meter = self.reporter.begin(f"to {self.kind}", None)
        try:
            # Else containerd forgets soon what is for other platforms than its own.
            arguments = ("images", "import", "--all-platforms", "-")
            self.program.feed(metered(oci_archive(images, held), meter), *arguments)
        finally:
            meter.end()

    def identify(self, named: Named) -> Digest:
        """The digest of its manifest or index, if all blobs are there."""
        digest = named.image.document.descriptor.digest
        for tag in named.tags:
            told = self.program.ask("images", "check", f"name=={tag}").decode("utf-8", "replace")
            lines = (one.split() for one in told.splitlines())
            line = next((words for words in lines if words[:1] == [str(tag)]), [])
            if str(digest) not in line:
                raise EngineError(f"containerd has not loaded {tag} as {digest}")
            if "complete" not in line:
                raise EngineError(f"containerd has not all of {tag}")
        there = self._content()  # the check was of its own platform
        lost = next((one for one in _parts([named]) if str(one) not in there), None)
        if lost is not None:
            raise EngineError(f"containerd has not all of {digest}: it lacks {lost}")
        return digest

    def _content(self) -> frozenset[str]:
        """The digests of all that it has."""
        listed = self.program.ask("content", "list", "--quiet")
        return frozenset(listed.decode("ascii", "replace").split())


@dataclass(slots=True)
class Kind:
    """A cluster of kind; ``runtime`` runs its nodes, and is asked what they have."""

    program: EngineProgram
    runtime: EngineProgram
    scratch: Callable[[], str]
    reporter: Reporter
    platform: Platform | None = None
    kind: str = KIND

    def held(self, images: Sequence[Named]) -> frozenset[Digest]:
        """It is not asked: each node would have to have a blob."""
        return frozenset()

    def send(self, images: Sequence[Named], held: frozenset[Digest]) -> None:
        """An archive in a file, which kind gives to each node."""
        _check_named(images, self.kind)
        scratch = self.scratch()
        with directory_for_a_while(scratch, LABEL) as place:
            path = os.path.join(place, "image.tar")
            meter = self.reporter.begin(f"to {self.kind}", None)
            try:
                with scratch_errors(scratch), open(path, "xb") as file:
                    for chunk in metered(oci_archive(images, held), meter):
                        file.write(chunk)
            finally:
                meter.end()
            self.program.work("load", "image-archive", path)

    def identify(self, named: Named) -> Digest:
        """The digest of its manifest or index, if each node has its configuration by the name."""
        listed = self.program.ask("get", "nodes").decode("utf-8", "replace").split()
        nodes = [one for one in listed if _NODE.fullmatch(one)]
        if not nodes:
            raise EngineError("kind has no nodes", "create a cluster first")
        known = {str(image.config.digest) for image in images_in(named.image)}
        for node in nodes:
            for tag in named.tags:
                asked = ("exec", node, "crictl", "inspecti", "--output", "json", str(tag))
                if _status_id(self.runtime.ask(*asked)) not in known:
                    raise EngineError(f"{node} has not loaded {tag} as one of {', '.join(known)}")
        return named.image.document.descriptor.digest


def _status_id(answer: bytes) -> str:
    """The image's identifier in what ``crictl inspecti`` says."""
    try:
        status = json.loads(answer)["status"]
        return str(status["id"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""


def _parts(images: Sequence[Named]) -> Iterator[Digest]:
    """What ``images`` consist of: documents, configurations and layers that are not foreign."""
    planned = plan(images)
    parts = [one.descriptor for one in (*planned.blobs, *planned.configs, *planned.documents)]
    return (one.digest for one in (*parts, *planned.missing))


def _check_named(images: Sequence[Named], kind: str) -> None:
    for named in images:
        if not named.tags:
            raise UnsupportedError(
                f"{kind} keeps no image without a name, and "
                f"{named.image.document.descriptor.digest} has none",
                Remedy.NAME_IT(),
            )


if TYPE_CHECKING:

    def _meets(containerd: Containerd, kind: Kind) -> tuple[Engine, Engine]:
        return containerd, kind
