"""Sending one blob, by whatever way the registry takes it, until it is there.

OCI distribution-spec v1.1, "Pushing a blob"; the order of ways is that of
``strategy``. Invariants: an attempt opens a new session unless the registry's
status proves how many bytes the old one holds; before bytes are sent again the
registry is asked whether the blob has arrived; sessions that are given up are
cancelled if the registry allows it, those that a later run can continue are
kept in the journal; bytes that are not the blob's are never sent to their end.
"""

from typing import Final

from imgpack.errors import ImgpackError
from imgpack.image import BlobSource
from imgpack.registry import sessions
from imgpack.registry.client import RepositoryClient
from imgpack.registry.failures import Failure, failure_of, is_connection_loss
from imgpack.registry.journal import UploadJournal
from imgpack.registry.outgoing import Outgoing
from imgpack.registry.parallel import Cancelled, Stop
from imgpack.registry.sessions import Begun
from imgpack.registry.strategy import Strategy, Way
from imgpack.registry.transport import BytesBody
from imgpack.report import SILENT, Reporter
from imgpack.spec.descriptor import Descriptor

RESUME_MIN: Final = 1 << 20
"""Bytes; a smaller blob is not worth a file in the journal."""

_REFUSES_WAY: Final = frozenset({404, 405, 406, 411, 413, 415, 416, 501})
_SESSION_LOST: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_FINAL_404: Final = frozenset({"NAME_UNKNOWN", "NAME_INVALID"})
_CORRUPTED: Final = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


class _Attempts:
    """How often a blob has failed, and how: what decides about the next attempt."""

    def __init__(self) -> None:
        self.failed = 0
        self.in_this_way = 0
        self.furthest = 0
        self.resumable = True


class _Keeper:
    """The session as it was last seen, for whoever handles a failure."""

    def __init__(self, session: Begun) -> None:
        self.session = session


class Uploader:
    """Sends blobs to one registry. Safe to use from many threads."""

    def __init__(
        self,
        strategy: Strategy,
        stop: Stop,
        journal: UploadJournal | None = None,
        reporter: Reporter = SILENT,
        resume_min: int = RESUME_MIN,
    ) -> None:
        self.strategy = strategy
        self.stop = stop
        self.reporter = reporter
        self._journal = journal
        self._resume_min = resume_min

    def upload(
        self,
        client: RepositoryClient,
        blob: Descriptor,
        source: BlobSource,
        begun: Begun | None = None,
    ) -> None:
        """Send ``blob``; go on with the session ``begun`` that a mount left, if there is one.

        Raises ``DigestError`` when the source's bytes are wrong, else what the
        registry's last refusal maps to.
        """
        label = f"{blob.digest.hex[:12]} -> {client.repository}"
        meter = self.reporter.begin(label, blob.size)
        try:
            outgoing = Outgoing(blob, source, meter, self.stop)
            self._until_done(client, outgoing, begun)
        finally:
            meter.end()

    def _until_done(
        self, client: RepositoryClient, outgoing: Outgoing, begun: Begun | None
    ) -> None:
        blob, tries = outgoing.descriptor, _Attempts()
        earlier = self._from_journal(client, blob)
        if earlier is not None:
            if begun is not None:
                self.give_up(client, begun)
            begun = earlier
        while True:
            self.stop.check()
            way = self.strategy.way
            current = begun or sessions.begin(client)
            self._note(client, blob, current)
            keeper = _Keeper(current)
            try:
                self._send(client, outgoing, way, keeper)
            except ImgpackError as error:
                begun = self._after(error, client, blob, way, keeper.session, tries)
                if begun is _DONE:
                    self._forget(client, blob)
                    return
            except Cancelled:
                self._leave(client, blob, keeper.session, keep=True, reachable=True)
                raise
            else:
                self._forget(client, blob)
                return

    def _send(
        self, client: RepositoryClient, outgoing: Outgoing, way: Way, keeper: "_Keeper"
    ) -> None:
        blob, begun = outgoing.descriptor, keeper.session
        if way is Way.MONOLITHIC and begun.offset == 0:
            sessions.complete(client, begun, blob, outgoing.part(0, blob.size))
            return
        step = self.strategy.chunk(begun.minimum) if way is Way.CHUNKED else blob.size
        while begun.offset < blob.size:
            end = min(begun.offset + max(step, 1), blob.size)
            ranged = way is Way.CHUNKED or begun.offset > 0
            begun = sessions.patch(client, begun, outgoing.part(begun.offset, end), ranged=ranged)
            keeper.session = begun
            if way is Way.CHUNKED:
                self._note(client, blob, begun)
        sessions.complete(client, begun, blob, BytesBody(b""))

    def _after(
        self,
        error: ImgpackError,
        client: RepositoryClient,
        blob: Descriptor,
        way: Way,
        current: Begun,
        tries: _Attempts,
    ) -> Begun | None:
        """The session to go on with (``None``: a new one, ``_DONE``: none), or raise ``error``."""
        failure, lost = failure_of(error), is_connection_loss(error)
        if not (failure or lost):
            self._leave(client, blob, current, keep=False, reachable=True)
            raise error
        if failure is not None and self._other_way(failure, way):
            self.reporter.detail(f"{error.message}; trying another way")
            self.give_up(client, current)
            return None
        tries.failed += 1
        tries.in_this_way += 1
        if not self._worth_trying(failure, client, tries):
            self._leave(client, blob, current, keep=lost, reachable=not lost)
            raise error
        self._pause(error, failure, client, tries)
        if client.has_blob(blob):
            return _DONE
        proved = self._proved(client, blob, current, failure, tries)
        if proved is None:
            self.give_up(client, current)
            if tries.in_this_way >= 2 and self.strategy.refused(way):
                tries.in_this_way = 0
        return proved

    def _other_way(self, failure: Failure, way: Way) -> bool:
        """Whether the registry refuses this way of sending, and another one is left."""
        codes = set(failure.codes)
        if failure.status not in _REFUSES_WAY or codes & _FINAL_404:
            return False
        if codes & _SESSION_LOST and failure.status == 404:
            return False
        return self.strategy.refused(way)

    def _worth_trying(
        self, failure: Failure | None, client: RepositoryClient, tries: _Attempts
    ) -> bool:
        policy = client.session.options.retry
        if failure is None or set(failure.codes) & (_SESSION_LOST | _CORRUPTED):
            return tries.failed < policy.attempts
        return tries.failed < policy.limit("PUT", "/blobs/uploads/", failure)

    def _pause(
        self,
        error: ImgpackError,
        failure: Failure | None,
        client: RepositoryClient,
        tries: _Attempts,
    ) -> None:
        options = client.session.options
        pause = options.retry.wait(tries.failed, failure, options.random)
        self.reporter.detail(f"{error.message}; trying again in {pause:.1f} s")
        options.sleep(pause)
        self.stop.check()

    def _proved(
        self,
        client: RepositoryClient,
        blob: Descriptor,
        current: Begun,
        failure: Failure | None,
        tries: _Attempts,
    ) -> Begun | None:
        """The old session, if it still holds bytes; a corrupted blob is never continued."""
        if failure is not None and set(failure.codes) & _CORRUPTED:
            tries.resumable = False
        if not tries.resumable:
            return None
        proved = sessions.status(client, current, blob)
        if proved is not None and proved.offset > tries.furthest:
            # Progress: a long blob over a bad line gets as many attempts as it needs.
            tries.furthest, tries.failed, tries.in_this_way = proved.offset, 0, 0
            self.reporter.detail(f"{client.name}: going on at byte {proved.offset}")
        return proved

    # Sessions that are left behind

    def give_up(self, client: RepositoryClient, begun: Begun) -> None:
        """Cancel a session, best effort; a registry that refused once is not asked again."""
        if self.strategy.cancels and not sessions.cancel(client, begun):
            self.strategy.cancels = False

    def _leave(
        self,
        client: RepositoryClient,
        blob: Descriptor,
        begun: Begun,
        *,
        keep: bool,
        reachable: bool,
    ) -> None:
        """No further attempt: keep the session for a later run, or cancel it."""
        if keep and self._journaled(blob):
            return
        self._forget(client, blob)
        if reachable:
            self.give_up(client, begun)

    def _journaled(self, blob: Descriptor) -> bool:
        return self._journal is not None and blob.size >= self._resume_min

    def _from_journal(self, client: RepositoryClient, blob: Descriptor) -> Begun | None:
        if self._journal is None or not self._journaled(blob):
            return None
        location = self._journal.take(client.name, blob)
        begun = None if location is None else sessions.reopened(client, location, blob)
        if begun is not None:
            self.reporter.detail(f"{client.name}: going on at byte {begun.offset} of an upload")
        return begun

    def _note(self, client: RepositoryClient, blob: Descriptor, begun: Begun) -> None:
        if self._journal is not None and self._journaled(blob):
            self._journal.record(client.name, blob, begun.location)

    def _forget(self, client: RepositoryClient, blob: Descriptor) -> None:
        if self._journal is not None and self._journaled(blob):
            self._journal.forget(client.name, blob)


_DONE: Final = Begun("done")
