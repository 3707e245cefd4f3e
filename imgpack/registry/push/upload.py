"""Sending one blob, by whatever way the registry takes it, until it is there.

OCI distribution-spec v1.1, "Pushing a blob"; the order of ways is that of
``strategy``. Invariants: an attempt opens a new session unless the registry's
status proves how many bytes the old one holds; before bytes are sent again the
registry is asked whether the blob has arrived; sessions that are given up are
cancelled if the registry allows it, those that a later run can continue are
kept in the journal; bytes that are not the blob's are never sent to their end.
"""

from typing import Final

from imgpack.errors import Answer, ImgpackError, UnreachableError
from imgpack.files.pool import Cancelled, Stop
from imgpack.image.image import BlobSource
from imgpack.registry.http.message import BytesBody
from imgpack.registry.push import upload_session as sessions
from imgpack.registry.push.body import Outgoing
from imgpack.registry.push.journal import UploadJournal
from imgpack.registry.push.upload_mode import Strategy, Way
from imgpack.registry.push.upload_session import Begun
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor

RESUME_MIN: Final = 1 << 20
"""Bytes; a smaller blob is not worth a file in the journal."""
PROGRESS: Final = 1 << 16
"""Bytes (or a hundredth of the blob) that earn a blob new attempts."""

_REFUSES_WAY: Final = frozenset({404, 405, 406, 411, 413, 415, 416, 501})
_SESSION_LOST: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_FINAL_404: Final = frozenset({"NAME_UNKNOWN", "NAME_INVALID"})
_CORRUPTED: Final = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


class Uploader:
    """Sends blobs to one registry. Safe to use from many threads."""

    def __init__(
        self,
        strategy: Strategy,
        stop: Stop,
        journal: UploadJournal | None = None,
        resume_min: int = RESUME_MIN,
    ) -> None:
        self.strategy = strategy
        self.stop = stop
        self._journal = journal
        self._resume_min = resume_min

    def upload(
        self,
        client: Repository,
        blob: Descriptor,
        source: BlobSource,
        begun: Begun | None = None,
    ) -> None:
        """Send ``blob``; go on with the session ``begun`` that a mount left, if there is one.

        Raises ``DigestError`` when the source's bytes are wrong, else what the
        registry's last refusal maps to.
        """
        label = f"{blob.digest.hex[:12]} -> {client.repository}"
        meter = client.reporter.begin(label, blob.size)
        try:
            outgoing = Outgoing(blob, source, meter, self.stop)
            journal = self._journal if blob.size >= self._resume_min else None
            _Transfer(self, client, outgoing, journal).run(begun)
        finally:
            meter.end()

    def give_up(self, client: Repository, begun: Begun) -> None:
        """Cancel a session, best effort; a registry that refused once is not asked again."""
        if self.strategy.cancels and not sessions.cancel(client, begun):
            self.strategy.cancels = False


class _Transfer:
    """One blob on its way: its session as it was last seen, and how often sending failed."""

    def __init__(
        self,
        uploader: Uploader,
        client: Repository,
        outgoing: Outgoing,
        journal: UploadJournal | None,
    ) -> None:
        self._uploader = uploader
        self._strategy = uploader.strategy
        self._reporter = client.reporter
        self._client = client
        self._outgoing = outgoing
        self._blob = outgoing.descriptor
        self._journal = journal
        self._session: Begun | None = None
        self._failures = 0
        self._failures_in_this_way = 0
        self._furthest = 0
        self._resumable = True

    def run(self, begun: Begun | None) -> None:
        """Send until the blob is there, or raise what the last attempt failed with."""
        self._session = self._from_journal() or begun
        if begun is not None and self._session is not begun:
            self._uploader.give_up(self._client, begun)
        while not self._attempted():
            pass
        self._forget()

    def _attempted(self) -> bool:
        """One attempt; whether the blob is there. If not, another one is worth it."""
        self._uploader.stop.check()
        way = self._strategy.way
        session = self._session or sessions.begin(self._client)
        self._keep(session)
        try:
            self._send(session, way)
        except ImgpackError as error:
            return self._recovered(error, way)
        except Cancelled:
            self._leave(keep=True, reachable=True)
            raise
        return True

    def _send(self, session: Begun, way: Way) -> None:
        blob, outgoing = self._blob, self._outgoing
        if way is Way.MONOLITHIC and session.offset == 0:
            sessions.complete(self._client, session, blob, outgoing.part(0, blob.size))
            return
        step = self._strategy.chunk(session.minimum) if way is Way.CHUNKED else blob.size
        while session.offset < blob.size:
            end = min(session.offset + max(step, 1), blob.size)
            part = outgoing.part(session.offset, end)
            ranged = way is Way.CHUNKED or session.offset > 0
            session = sessions.patch(self._client, session, part, ranged=ranged)
            self._keep(session)
        sessions.complete(self._client, session, blob, BytesBody(b""))

    def _recovered(self, error: ImgpackError, way: Way) -> bool:
        """Decide what comes after a failure: raise ``error``, or say as ``_attempted`` does."""
        answer, lost = error.answer, isinstance(error, UnreachableError)
        if not (answer or lost):
            self._leave(keep=False, reachable=True)
            raise error
        if answer is not None and self._refuses_way(answer, way):
            self._reporter.detail(f"{error.message}; trying another way")
            self._give_up()
            return False
        self._failures += 1
        self._failures_in_this_way += 1
        if not self._worth_trying(answer):
            self._leave(keep=lost, reachable=not lost)
            raise error
        self._pause(error, answer)
        if self._client.has_blob(self._blob):
            return True
        if answer is not None and set(answer.codes) & _CORRUPTED:
            self._resumable = False
        if not self._goes_on():
            self._give_up()
            if self._failures_in_this_way >= 2 and self._strategy.refused(way):
                self._failures_in_this_way = 0
        return False

    def _refuses_way(self, answer: Answer, way: Way) -> bool:
        """Whether the registry refuses this way of sending, and another one is left."""
        codes = set(answer.codes)
        if answer.status not in _REFUSES_WAY or codes & _FINAL_404:
            return False
        if codes & _SESSION_LOST and answer.status == 404:
            return False
        return self._strategy.refused(way)

    def _worth_trying(self, answer: Answer | None) -> bool:
        policy = self._client.session.options.retry
        if answer is None or set(answer.codes) & (_SESSION_LOST | _CORRUPTED):
            return self._failures < policy.attempts
        return self._failures < policy.limit("PUT", "/blobs/uploads/", answer)

    def _pause(self, error: ImgpackError, answer: Answer | None) -> None:
        options = self._client.session.options
        pause = options.retry.wait(self._failures, answer, options.random)
        self._reporter.detail(f"{error.message}; trying again in {pause:.1f} s")
        options.sleep(pause)
        self._uploader.stop.check()

    def _goes_on(self) -> bool:
        """Whether the old session still holds bytes; a corrupted blob is never continued."""
        if not self._resumable or self._session is None:
            return False
        proved = sessions.status(self._client, self._session, self._blob)
        if proved is None:
            return False
        self._session = proved
        if proved.offset - self._furthest >= min(PROGRESS, self._blob.size // 100 + 1):
            # Progress: a long blob over a bad line gets as many attempts as it needs.
            self._furthest = proved.offset
            self._failures = self._failures_in_this_way = 0
            self._reporter.detail(f"{self._client.name}: going on at byte {proved.offset}")
        return True

    # The session, here and in the journal

    def _keep(self, session: Begun) -> None:
        self._session = session
        if self._journal is not None:
            self._journal.record(self._client.name, self._blob, session.location)

    def _give_up(self) -> None:
        """The next attempt opens a new session."""
        if self._session is not None:
            self._uploader.give_up(self._client, self._session)
            self._session = None

    def _leave(self, *, keep: bool, reachable: bool) -> None:
        """No further attempt: keep the session for a later run, or cancel it."""
        if keep and self._journal is not None:
            return
        self._forget()
        if reachable:
            self._give_up()

    def _from_journal(self) -> Begun | None:
        if self._journal is None:
            return None
        location = self._journal.take(self._client.name, self._blob)
        if location is None:
            return None
        begun = sessions.reopened(self._client, location, self._blob)
        if begun is not None:
            name = self._client.name
            self._reporter.detail(f"{name}: going on at byte {begun.offset} of an upload")
        return begun

    def _forget(self) -> None:
        if self._journal is not None:
            self._journal.forget(self._client.name, self._blob)
