"""Repositories that a blob might be mounted from, instead of being sent.

OCI distribution-spec v1.1, "Mounting a blob from another repository".
Invariants: a failed mount never fails a push; a session that the registry opens
instead is used or cancelled, not leaked; a repository that refuses is not asked
again in the same run; no more than ``MAX_TRIES`` are asked for one blob.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from imgpack.errors import ImgpackError, InvalidReferenceError
from imgpack.files.pool import Stop
from imgpack.image.image import AnyImage, Opaque, walk
from imgpack.registry.push.upload_mode import UploadModes
from imgpack.registry.push.upload_session import UploadSession
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.manifest import BASE_NAME
from imgpack.spec.reference import DEFAULT_REGISTRY, Reference

MAX_TRIES: Final = 3
"""Each failed mount costs a request, and an upload session when there is another candidate."""


def recorded_bases(image: AnyImage) -> tuple[Reference, ...]:
    """Where an image's annotations say that its base came from; what is not a name is ignored."""
    found: dict[Reference, None] = {}
    for one in walk(image):
        own = () if isinstance(one, Opaque) else one.document.annotations
        name = dict(own).get(BASE_NAME)
        with contextlib.suppress(InvalidReferenceError):
            if name:
                found[Reference.parse(name)] = None
    return tuple(found)


def mount_repositories(texts: Iterable[str], registries: Iterable[str]) -> tuple[Reference, ...]:
    """Repositories by name: with a registry, or as a path in every one of ``registries``."""
    out: list[Reference] = []
    for text in texts:
        first, slash, _ = text.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            out.append(Reference.parse(text))
            continue
        for registry in registries:
            short = registry == DEFAULT_REGISTRY and not slash
            out.append(Reference(registry, f"library/{text}" if short else text))
    return tuple(out)


class Mounter:
    """Tries mounts at one registry. Safe to use from many threads."""

    def __init__(self, modes: UploadModes, stop: Stop) -> None:
        self._modes = modes
        self._stop = stop
        self._refusing: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def mount(
        self, client: Repository, blob: Descriptor, sources: Iterable[str]
    ) -> tuple[bool, UploadSession | None]:
        """Whether ``blob`` was mounted; if not, the upload session to go on with, if any.

        No more of ``sources`` are asked for than are tried.
        """
        session: UploadSession | None = None
        for source in islice(self._usable(client.repository, sources), MAX_TRIES):
            self._stop.check()
            try:
                opened = UploadSession.mount(client, blob, source)
            except ImgpackError as error:
                client.reporter.detail(f"no mount from {source}: {error.message}")
                with self._lock:
                    self._refusing.add((client.repository, source))
                continue
            if session is not None:
                self._modes.cancel(session)
            if opened is None:
                client.reporter.detail(f"{client.name}: {blob.digest} mounted from {source}")
                return True, None
            session = opened
        return False, session

    def _usable(self, target: str, sources: Iterable[str]) -> Iterator[str]:
        for source in sources:
            with self._lock:
                refusing = (target, source) in self._refusing
            if not refusing:
                yield source
