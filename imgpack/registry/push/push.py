"""Pushing images: layers, configurations, manifests, names, in this order.

OCI distribution-spec v1.1, "Push". Invariants: a document is sent when
everything that it names is there, and a tag is the last thing that is written,
so no tag ever points at an incomplete image; a blob is sent to a registry once,
and mounted into its other repositories; what is there already is not sent; an
image cannot have a blob mounted that it only names: unless the user said where
from, its bytes are read and checked first; nothing is sent before all layers that a
*shallow* image does not hold are there, or mounted from its base.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from imgpack.errors import (
    ImgpackError,
    RegistryError,
    Remedy,
    SourceChangedError,
    UnsupportedError,
)
from imgpack.files.blobs import verify_stream
from imgpack.files.pool import Stop, run_all
from imgpack.image.image import ImageSink, Named, Published
from imgpack.image.plan import PlannedBlob
from imgpack.registry.push.journal import UploadJournal
from imgpack.registry.push.mount import Mounter
from imgpack.registry.push.plan import (
    PushDocument,
    RepositoryPlan,
    Schema1Options,
    not_at_hand,
    plan_repositories,
)
from imgpack.registry.push.upload import RESUME_MIN, Uploader
from imgpack.registry.push.upload_mode import UploadModes
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository, missing_blobs
from imgpack.registry.session import Session
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Index
from imgpack.spec.reference import Reference

_IMMUTABLE: Final = frozenset({400, 403, 405, 409, 412})
_REFUSED: Final = frozenset({400, 404, 415, 422})
"""How registries answer to a document that they do not take."""


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push.

    ``mount_from`` are repositories that may have the blobs (``mounts``: whether to mount at
    all); ``schema1`` pushes signed schema1 manifests as well; ``journal`` keeps sessions to
    be continued, of blobs from ``resume_min`` bytes on; ``chunk`` are the bytes of a PATCH;
    ``foreign`` sends layers as well that are not to be distributed; ``replacing`` is what a tag
    has to name still when it moves, if its registry tells.
    """

    mount_from: tuple[Reference, ...] = ()
    mounts: bool = True
    schema1: Schema1Options | None = None
    journal: UploadJournal | None = None
    chunk: int | None = None
    resume_min: int = RESUME_MIN
    foreign: bool = False
    replacing: Digest | None = None

    def sends(self, blob: Descriptor) -> bool:
        """Whether a blob of this type may be sent."""
        return self.foreign or not mediatype.is_foreign(blob.media_type)


class RegistrySink:
    """Registries as an ``ImageSink``: every image goes to all of its names."""

    def __init__(self, registries: Registries, options: PushOptions | None = None) -> None:
        self._registries = registries
        self._options = options or PushOptions()

    def write(
        self,
        images: Sequence[Named],
        *,
        jobs: int = 4,
        on_published: Callable[[Published], object] = lambda published: None,
    ) -> tuple[Published, ...]:
        """Push every image to its names; returns them in their order.

        ``on_published`` is told of each as soon as it is there, whatever becomes of the next.
        Raises what a source, a registry or its connection raises; no tag points at
        an incomplete image then.
        """
        stop = Stop()
        try:
            return Pushes(self._registries, self._options, stop, jobs).push(images, on_published)
        except BaseException:
            stop.set()
            raise


class Pushes:
    """The pushes of one run, one to each registry."""

    def __init__(self, registries: Registries, options: PushOptions, stop: Stop, jobs: int) -> None:
        self._registries = registries
        self._options = options
        self._stop = stop
        self._jobs = jobs
        self._pushes: dict[str, RegistryPush] = {}

    def plan(self, images: Sequence[Named]) -> list[tuple["RegistryPush", list[RepositoryPlan]]]:
        """What goes to each registry, once the layers that no image holds are there.

        Raises what ``plan_repositories`` does, and ``NotFoundError``.
        """
        plans: dict[str, list[RepositoryPlan]] = {}
        for plan in plan_repositories(images, self._options.mount_from, self._options.schema1):
            plans.setdefault(plan.registry, []).append(plan)
        planned = [(self._push(registry), own) for registry, own in plans.items()]
        for push, own in planned:
            push.secure(own)
        return planned

    def push(
        self, images: Sequence[Named], on_published: Callable[[Published], object]
    ) -> tuple[Published, ...]:
        """As ``RegistrySink.write``."""
        out: list[Published] = []
        for push, plans in self.plan(images):
            for published in push.push(plans):
                out.append(published)
                on_published(published)
        return tuple(out)

    def _push(self, registry: str) -> "RegistryPush":
        if registry not in self._pushes:
            session = self._registries.session(registry)
            self._pushes[registry] = RegistryPush(session, self._options, self._stop, self._jobs)
        return self._pushes[registry]


class RegistryPush:
    """A push to one registry, and what is known of it in this run."""

    def __init__(self, session: Session, options: PushOptions, stop: Stop, jobs: int) -> None:
        self._session = session
        self._reporter = session.reporter
        self._options = options
        self._stop = stop
        self._jobs = jobs
        self._modes = UploadModes(session.registry, options.chunk)
        self._uploader = Uploader(self._modes, stop, options.journal, options.resume_min)
        self._mounter = Mounter(self._modes, stop)
        self._held: set[Digest] = set()
        self._sent: set[Digest] = set()
        # What has been seen to: a blob of a repository.
        self._done: set[tuple[str, Digest]] = set()

    def secure(self, plans: Sequence[RepositoryPlan]) -> None:
        """See that the layers that no image holds are there. Raises ``NotFoundError``."""
        self._run([partial(self._secure, plan, one) for plan in plans for one in plan.missing])

    def _secure(self, plan: RepositoryPlan, layer: Descriptor) -> None:
        client = self._client(plan)
        if self._is_there(client, layer):
            return
        mounted, session = False, None
        if self._options.mounts:
            # There are no bytes to prove that the image may have it: that it is shallow says so.
            sources = plan.mount_sources(None, lambda: True, brought=False)
            mounted, session = self._mounter.mount(client, layer, sources)
        if session is not None:
            self._modes.cancel(session)
        if not mounted:
            raise not_at_hand(client.name, layer, mounts=self._options.mounts)
        self._done.add((plan.repository, layer.digest))

    def _is_there(self, client: Repository, blob: Descriptor) -> bool:
        """Whether the repository has ``blob``, which it is asked once."""
        where = (client.repository, blob.digest)
        if where not in self._done:
            if not client.has_blob(blob):
                return False
            self._reporter.detail(f"{client.name}: {blob.digest} is already there")
            self._done.add(where)
        return True

    def bring(
        self, blob: PlannedBlob, plans: Sequence[RepositoryPlan], *, held: bool = False
    ) -> bool:
        """Bring a blob to all of ``plans``; whether it had to be sent.

        It is ``held`` for sure by the image, if that was just built.
        """
        if held:
            self._held.add(blob.descriptor.digest)
        first, *others = plans
        sent = self._bring(first, blob)
        for plan in others:
            self._bring(plan, blob, first.repository)
        return sent

    def push(self, plans: Sequence[RepositoryPlan]) -> Iterator[Published]:
        """Push all that goes to a registry; says each name as soon as it is there."""
        self._bring_all([(plan, blob) for plan in plans for blob in plan.layers])
        self._bring_all([(plan, blob) for plan in plans for blob in plan.configs])
        for plan in plans:
            self._run([partial(self._put, plan, one) for one in plan.manifests])
            for one in plan.indexes:
                self._put(plan, one)
        for plan in plans:
            for document in plan.named:
                yield self._name(plan, document)

    def _client(self, plan: RepositoryPlan) -> Repository:
        return Repository(self._session, plan.repository)

    def _run(self, tasks: Sequence[Callable[[], object]]) -> None:
        run_all(tasks, self._jobs, self._stop)

    def _bring_all(self, wanted: Sequence[tuple[RepositoryPlan, PlannedBlob]]) -> None:
        """Bring blobs to the first repository that needs them, then from there to the others."""
        leaders: dict[Digest, str] = {}
        first: list[tuple[RepositoryPlan, PlannedBlob]] = []
        others: list[Callable[[], object]] = []
        for plan, blob in wanted:
            digest = blob.descriptor.digest
            if digest in leaders:
                others.append(partial(self._bring, plan, blob, leaders[digest]))
            else:
                leaders[digest] = plan.repository
                first.append((plan, blob))
        # The largest first: what starts last should not be what takes longest.
        first.sort(key=lambda pair: -pair[1].descriptor.size)
        self._run([partial(self._bring, plan, blob) for plan, blob in first])
        self._run(others)

    def _bring(self, plan: RepositoryPlan, blob: PlannedBlob, leader: str | None = None) -> bool:
        """Bring a blob to one repository, where it was not before; whether it was not mounted."""
        client, descriptor = self._client(plan), blob.descriptor
        if self._is_there(client, descriptor):
            return False
        mounted, session = False, None
        if self._options.mounts:
            brought = descriptor.digest in self._sent
            sources = plan.mount_sources(leader, partial(self._is_held, blob), brought=brought)
            mounted, session = self._mounter.mount(client, descriptor, sources)
        if not (mounted or self._options.sends(descriptor)):
            self._reporter.warn(
                f"{client.name}: the layer {descriptor.digest} is not sent: its type says that it"
                " is not to be distributed",
                Remedy.SEND_FOREIGN(),
            )
        elif not mounted:
            self._uploader.upload(client, descriptor, blob.source, session)
            self._held.add(descriptor.digest)
            self._sent.add(descriptor.digest)
        self._done.add((plan.repository, descriptor.digest))
        return not mounted

    def _is_held(self, blob: PlannedBlob) -> bool:
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

    def _name(self, plan: RepositoryPlan, document: PushDocument) -> Published:
        self._stop.check()
        self._check_replaced(plan, document)
        try:
            self._put(plan, document)
        except ImgpackError as error:
            if not self._says_it(plan, document, error):
                raise
        return Published(document.name, document.descriptor)

    def _check_replaced(self, plan: RepositoryPlan, document: PushDocument) -> None:
        """Refuse to undo what another did. Raises ``SourceChangedError``."""
        read = self._options.replacing
        if read is None or document.tag is None:
            return
        there = self._client(plan).head_manifest(document.tag, pushing=True)
        if there is None or there.algorithm != read.algorithm:
            return
        if there not in (read, document.descriptor.digest):
            raise SourceChangedError(
                f"{document.name.shown()} was changed by another, after it was read: it is {there}",
                "do it again: the tag stays",
            )

    def _put(self, plan: RepositoryPlan, document: PushDocument) -> None:
        client, described = self._client(plan), document.descriptor
        send = partial(
            client.put_manifest,
            document.raw,
            described.media_type,
            described.digest if document.tag is None else document.tag,
            described.digest,
        )
        try:
            try:
                send()
            except ImgpackError as error:
                if not self._send_again(plan, error):
                    raise
                send()
        except ImgpackError as error:
            raise _explained(error, document) from error.__cause__

    def _send_again(self, plan: RepositoryPlan, error: ImgpackError) -> bool:
        """Send the blobs that a registry misses: it may have said that they are there.

        One after another: several documents are sent at once already.
        """
        client, blobs = self._client(plan), plan.blobs
        missing = [blobs[digest] for digest in sorted(missing_blobs(error, blobs))]
        missing = [blob for blob in missing if self._options.sends(blob.descriptor)]
        if missing:
            self._reporter.detail(f"{error.message}; sending {len(missing)} blobs again")
        for blob in missing:
            try:
                self._uploader.upload(client, blob.descriptor, blob.source)
            except UnsupportedError as lost:
                if lost.answer is not None:
                    raise
                return False  # it was sent while it was built, and is not kept
        return bool(missing)

    def _says_it(self, plan: RepositoryPlan, document: PushDocument, error: ImgpackError) -> bool:
        """Whether a tag that cannot be written (any more) says what it should already."""
        answer = error.answer
        if answer is None or answer.status not in _IMMUTABLE or document.tag is None:
            return False
        with contextlib.suppress(ImgpackError):
            there = self._client(plan).head_manifest(document.tag, pushing=True)
            if there == document.descriptor.digest:
                self._reporter.detail(f"{document.name.shown()} cannot be written, and need not be")
                return True
        return False


def _explained(error: ImgpackError, document: PushDocument) -> ImgpackError:
    """The error, with what to do when a registry does not take schema1, or Docker's types."""
    answer = error.answer
    if answer is None:
        return error
    if document.descriptor.media_type not in mediatype.SCHEMA1_TYPES:
        if answer.status == 415 and ".docker." in document.descriptor.media_type:
            return RegistryError(error.message, Remedy.USE_OCI(), answer)
        return _with_unknown(error, document) if answer.status in _REFUSED else error
    disabled = answer.status == 500 and not set(answer.codes) - {"UNKNOWN"}
    if not disabled and "MANIFEST_INVALID" not in answer.codes and answer.status != 415:
        return error
    return RegistryError(
        f"{document.name.shown()}: the registry does not take schema1 manifests: {error.message}",
        Remedy.NO_SCHEMA1(),
        answer,
    )


def _with_unknown(error: ImgpackError, document: PushDocument) -> ImgpackError:
    """The error, with what an index names that a registry may not take."""
    if document.descriptor.media_type not in mediatype.INDEXES:
        return error
    index = Index.parse(document.raw, document.descriptor.media_type, document.descriptor.digest)
    for entry in index.manifests:
        if not mediatype.is_document(entry.media_type):
            named = f"{entry.digest}, which is {entry.media_type[:80]!r}"
            return error.reworded(f"{error.message}; it names {named}", Remedy.CHOOSE_PLATFORM())
    return error


if TYPE_CHECKING:

    def _meets(sink: RegistrySink) -> ImageSink:
        return sink
