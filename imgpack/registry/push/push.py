"""Pushing images: layers, configurations, manifests, names, in this order.

OCI distribution-spec v1.1, "Push". Invariants: a document is sent when
everything that it names is there, and a tag is the last thing that is written,
so no tag ever points at an incomplete image; a blob is sent to a registry once,
and mounted into its other repositories; what is there already is not sent; an
image cannot have a blob mounted that it only names: unless the user said where
from, its bytes are read and checked first.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from imgpack.errors import ImgpackError, RegistryError, Remedy
from imgpack.files.blobs import verify_stream
from imgpack.files.pool import Stop, run_all
from imgpack.registry.push.journal import UploadJournal
from imgpack.registry.push.mount import Mounter
from imgpack.registry.push.plan import Blob, Delivery, Document, Parcel, Schema1Wish, parcels
from imgpack.registry.push.upload import RESUME_MIN, Uploader
from imgpack.registry.push.upload_mode import Strategy
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository, missing_blobs
from imgpack.spec import mediatype
from imgpack.spec.digest import Digest
from imgpack.spec.reference import Reference

_IMMUTABLE: Final = frozenset({400, 403, 405, 409, 412})


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push. ``chunk`` in bytes; ``journal`` keeps sessions to be continued."""

    jobs: int = 4
    mount_from: tuple[Reference, ...] = ()
    mounts: bool = True
    schema1: Schema1Wish | None = None
    journal: UploadJournal | None = None
    chunk: int | None = None
    resume_min: int = RESUME_MIN


@dataclass(frozen=True, slots=True)
class Pushed:
    """A name that now points at a document; ``name`` has no digest."""

    name: Reference
    digest: Digest
    media_type: str
    size: int


def push(
    registries: Registries,
    deliveries: Sequence[Delivery],
    options: PushOptions,
    landed: Callable[[Pushed], object] = lambda pushed: None,
) -> tuple[Pushed, ...]:
    """Push every delivery to its names; returns them in their order.

    ``landed`` is told of each as soon as it is there, whatever becomes of the next.
    Raises what a source, a registry or its connection raises; no tag points at
    an incomplete image then.
    """
    stop = Stop()
    todo = parcels(deliveries, options.mount_from, options.schema1)
    sites = [_Site(registries, registry, options, stop) for registry in _registries(todo)]
    out: list[Pushed] = []

    def note(pushed: Pushed) -> None:
        out.append(pushed)
        landed(pushed)

    try:
        for site in sites:
            site.push([p for p in todo if p.registry == site.registry], note)
        return tuple(out)
    except BaseException:
        stop.set()
        raise


def _registries(todo: Iterable[Parcel]) -> list[str]:
    return list(dict.fromkeys(parcel.registry for parcel in todo))


class _Site:
    """One registry, and what is known of it in this run."""

    def __init__(
        self,
        registries: Registries,
        registry: str,
        options: PushOptions,
        stop: Stop,
    ) -> None:
        self.registry = registry
        self._session = registries.session(registry)
        self._options = options
        self._reporter = self._session.reporter
        self._stop = stop
        self._uploader = Uploader(
            Strategy(registry, options.chunk),
            stop,
            options.journal,
            options.resume_min,
        )
        self._mounter = Mounter(self._uploader)
        self._held: set[Digest] = set()

    def push(self, todo: Sequence[Parcel], landed: Callable[[Pushed], None]) -> None:
        """Push all of a registry's parcels; ``landed`` is told of each name once it is there."""
        self._settle(todo, lambda parcel: parcel.layers)
        self._settle(todo, lambda parcel: parcel.configs)
        for parcel in todo:
            client = self._client(parcel)
            self._run(
                [partial(self._put, client, parcel, child, None) for child in parcel.children]
            )
        for parcel in todo:
            for document in parcel.documents:
                landed(self._name(parcel, document))

    def _client(self, parcel: Parcel) -> Repository:
        return Repository(self._session, parcel.repository)

    def _run(self, tasks: Sequence[Callable[[], None]]) -> None:
        run_all(tasks, self._options.jobs, self._stop)

    def _settle(
        self, todo: Sequence[Parcel], blobs_of: Callable[[Parcel], tuple[Blob, ...]]
    ) -> None:
        """Bring blobs to the first repository that needs them, then from there to the others."""
        leaders: dict[Digest, str] = {}
        first: list[tuple[Parcel, Blob]] = []
        others: list[tuple[Parcel, Blob]] = []
        for parcel in todo:
            for blob in blobs_of(parcel):
                digest = blob.descriptor.digest
                (others if digest in leaders else first).append((parcel, blob))
                leaders.setdefault(digest, parcel.repository)
        # The largest first: what starts last should not be what takes longest.
        first.sort(key=lambda pair: -pair[1].descriptor.size)
        self._run([partial(self._bring, parcel, blob, ()) for parcel, blob in first])
        self._run(
            [
                partial(self._bring, parcel, blob, (leaders[blob.descriptor.digest],))
                for parcel, blob in others
            ]
        )

    def _bring(self, parcel: Parcel, blob: Blob, leaders: tuple[str, ...]) -> None:
        client, descriptor = self._client(parcel), blob.descriptor
        if client.has_blob(descriptor):
            self._reporter.detail(f"{client.name}: {descriptor.digest} is already there")
            return
        mounted, begun = False, None
        if self._options.mounts:
            guessed = (*leaders, *parcel.recorded)
            trusted = guessed if guessed and self._is_held(blob) else ()
            sources = (*trusted[: len(leaders)], *parcel.bases, *trusted[len(leaders) :])
            mounted, begun = self._mounter.mount(client, descriptor, sources)
        if not mounted:
            self._uploader.upload(client, descriptor, blob.source, begun)
            self._held.add(descriptor.digest)

    def _is_held(self, blob: Blob) -> bool:
        """Whether the image holds the blob's bytes, and does not merely know its digest.

        Else whoever made the image could have a layer of a repository that only the
        user can read mounted into one that everybody can.
        """
        descriptor = blob.descriptor
        if descriptor.digest in self._held:
            return True
        try:
            for _ in verify_stream(blob.source.read_blob(descriptor), descriptor, "a layer"):
                self._stop.check()
        except (ImgpackError, OSError):
            return False
        self._held.add(descriptor.digest)
        return True

    def _name(self, parcel: Parcel, document: Document) -> Pushed:
        client = self._client(parcel)
        self._stop.check()
        try:
            self._put(client, parcel, document, document.tag)
        except ImgpackError as error:
            if not self._is_there(client, document, error):
                raise
        return Pushed(document.name, document.digest, document.media_type, len(document.raw))

    def _put(self, client: Repository, parcel: Parcel, document: Document, tag: str | None) -> None:
        target = document.digest if tag is None else tag

        def send() -> None:
            client.put_manifest(document.raw, document.media_type, target, document.digest)

        try:
            send()
        except ImgpackError as error:
            blobs = parcel.blobs
            known = {digest: blob.descriptor for digest, blob in blobs.items()}
            missing = missing_blobs(error, known)
            if not missing:
                raise _explained(error, document) from error.__cause__
            # A registry may say that a blob is there when it is not: send it regardless, once.
            self._reporter.detail(f"{error.message}; sending {len(missing)} blobs again")
            again = [blobs[digest] for digest in sorted(missing)]
            self._run(
                [
                    partial(self._uploader.upload, client, blob.descriptor, blob.source)
                    for blob in again
                ]
            )
            send()

    def _is_there(self, client: Repository, document: Document, error: ImgpackError) -> bool:
        """Whether a tag that cannot be written (any more) says what it should already."""
        answer = error.answer
        if answer is None or answer.status not in _IMMUTABLE or document.tag is None:
            return False
        try:
            there = client.head_manifest(document.tag, pushing=True)
        except ImgpackError:
            return False
        if there == document.digest:
            self._reporter.detail(f"{document.name.shown()} cannot be written, and need not be")
        return there == document.digest


def _explained(error: ImgpackError, document: Document) -> ImgpackError:
    """The error, with what to do when a registry does not take schema1, or Docker's types."""
    answer = error.answer
    if answer is None:
        return error
    if document.media_type not in mediatype.SCHEMA1_TYPES:
        if answer.status == 415 and ".docker." in document.media_type:
            return RegistryError(error.message, Remedy.USE_OCI(), answer)
        return error
    disabled = answer.status == 500 and not set(answer.codes) - {"UNKNOWN"}
    if not disabled and "MANIFEST_INVALID" not in answer.codes and answer.status != 415:
        return error
    return RegistryError(
        f"{document.name.shown()}: the registry does not take schema1 manifests: {error.message}",
        Remedy.NO_SCHEMA1(),
        answer,
    )
