"""Repositories that a blob might be mounted from, instead of being sent.

OCI distribution-spec v1.1, "Mounting a blob from another repository".
Invariants: a failed mount never fails a push; a session that the registry opens
instead is used or cancelled, not leaked; a repository that refuses is not asked
again in the same run; no more than ``MAX_TRIES`` are asked for one blob.
"""

import threading
from collections.abc import Iterable
from typing import Final

from imgpack.errors import ImgpackError, InvalidReferenceError
from imgpack.image.image import AnyImage, walk
from imgpack.registry.push import upload_session as sessions
from imgpack.registry.push.upload import Uploader
from imgpack.registry.push.upload_session import Begun
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.reference import DEFAULT_REGISTRY, Reference

MAX_TRIES: Final = 3
"""Each failed mount costs a request, and an upload session when there is another candidate."""
BASE_NAME: Final = "org.opencontainers.image.base.name"


def recorded_bases(image: AnyImage) -> tuple[Reference, ...]:
    """Where an image's annotations say that its base came from; what is not a name is ignored."""
    found: dict[Reference, None] = {}
    for one in walk(image):
        name = dict(one.document.annotations).get(BASE_NAME)
        try:
            if name:
                found[Reference.parse(name)] = None
        except InvalidReferenceError:
            continue
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

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader
        self._refusing: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def mount(
        self, client: Repository, blob: Descriptor, sources: Iterable[str]
    ) -> tuple[bool, Begun | None]:
        """Whether ``blob`` was mounted; if not, the upload session to go on with, if any."""
        begun: Begun | None = None
        for source in self._candidates(client.repository, sources):
            self._uploader.stop.check()
            try:
                opened = sessions.mount(client, blob, source)
            except ImgpackError as error:
                client.reporter.detail(f"no mount from {source}: {error.message}")
                with self._lock:
                    self._refusing.add((client.repository, source))
                continue
            if begun is not None:
                self._uploader.give_up(client, begun)
            if opened is None:
                client.reporter.detail(f"{client.name}: {blob.digest} mounted from {source}")
                return True, None
            begun = opened
        return False, begun

    def _candidates(self, target: str, sources: Iterable[str]) -> list[str]:
        with self._lock:
            usable = [
                source
                for source in dict.fromkeys(sources)
                if source != target and (target, source) not in self._refusing
            ]
        return usable[:MAX_TRIES]
