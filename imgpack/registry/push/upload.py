"""Sending one blob, in whatever mode the registry takes it, until it is there.

OCI distribution-spec v1.1, "Pushing a blob". Invariants: an attempt opens a new
session unless the registry's status proves how many bytes the old one holds, and
sends the whole blob where the registry does not let it go on there; before bytes are
sent again the registry is asked whether the blob has arrived; sessions that are given
up are cancelled if the registry allows it, those that a later run can continue are
kept in the journal; bytes that are not the blob's are never sent to their end.
"""

from dataclasses import dataclass
from typing import Final

from imgpack.errors import Answer, ImgpackError, UnreachableError
from imgpack.files.pool import Cancelled, Stop
from imgpack.image.image import BlobSource
from imgpack.registry.push.body import BlobBody
from imgpack.registry.push.journal import UploadJournal
from imgpack.registry.push.upload_mode import UploadMode, UploadModes
from imgpack.registry.push.upload_session import NOTHING, UploadSession
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor

RESUME_MIN: Final = 1 << 20
"""Bytes; a smaller blob is not worth a file in the journal."""
PROGRESS: Final = 1 << 16
"""Bytes (or a hundredth of the blob) that earn a blob new attempts."""

_REFUSES_MODE: Final = frozenset({404, 405, 406, 411, 413, 415, 416, 501})
_REFUSES_RESUME: Final = frozenset({400, 404, 405, 406, 409, 410, 411, 412, 416, 422, 501})
_SESSION_LOST: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_FINAL_404: Final = frozenset({"NAME_UNKNOWN", "NAME_INVALID"})
_CORRUPTED: Final = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


@dataclass(frozen=True, slots=True)
class Uploader:
    """Sends blobs to one registry. Safe to use from many threads."""

    modes: UploadModes
    stop: Stop
    journal: UploadJournal | None = None
    resume_min: int = RESUME_MIN

    def upload(
        self,
        client: Repository,
        blob: Descriptor,
        source: BlobSource,
        session: UploadSession | None = None,
    ) -> None:
        """Send ``blob``; go on with the ``session`` that a mount left, if there is one.

        Raises ``DigestError`` when the source's bytes are wrong, else what the
        registry's last refusal maps to.
        """
        meter = client.reporter.begin(f"{blob.digest.hex[:12]} -> {client.repository}", blob.size)
        try:
            body = BlobBody(blob, source, meter, self.stop)
            journal = self.journal if blob.size >= self.resume_min else None
            _BlobUpload(client, body, self.modes, self.stop, journal).run(session)
        finally:
            meter.end()


@dataclass(slots=True)
class _BlobUpload:
    """One blob on its way: its session as it was last seen, and how often sending failed."""

    client: Repository
    body: BlobBody
    modes: UploadModes
    stop: Stop
    journal: UploadJournal | None
    session: UploadSession | None = None
    failures: int = 0
    failures_in_this_mode: int = 0
    furthest: int = 0
    resumable: bool = True

    @property
    def blob(self) -> Descriptor:
        return self.body.descriptor

    def run(self, session: UploadSession | None) -> None:
        """Send until the blob is there, or raise what the last attempt failed with."""
        self.session = self._from_journal() or session
        if session is not None and self.session is not session:
            self.modes.cancel(session)
        while not self._attempted():
            pass
        self._forget()

    def _attempted(self) -> bool:
        """One attempt; whether the blob is there. If not, another one is worth it."""
        self.stop.check()
        mode = self.modes.mode
        session = self._keep(self.session or UploadSession.begin(self.client))
        try:
            self._send(session, mode)
        except ImgpackError as error:
            if session.offset and self._starts_over(error):
                return False
            return self._recovered(error, mode)
        except Cancelled:
            self._leave(keep=True, reachable=True)
            raise
        return True

    def _send(self, session: UploadSession, mode: UploadMode) -> None:
        size = self.blob.size
        if mode is UploadMode.MONOLITHIC and session.offset == 0:
            session.complete(self.blob, self.body.part(0, size))
            return
        chunked = mode is UploadMode.CHUNKED
        step = self.modes.chunk(session.minimum) if chunked else size
        while session.offset < size:
            part = self.body.part(session.offset, min(session.offset + step, size))
            session = self._keep(session.patch(part, ranged=chunked or session.offset > 0))
        session.complete(self.blob, NOTHING)

    def _starts_over(self, error: ImgpackError) -> bool:
        """Whether a session that was gone on with is refused; then no other one is, either."""
        if error.answer is None or error.answer.status not in _REFUSES_RESUME:
            return False
        self.client.reporter.detail(f"{error.message}; sending the whole blob")
        self.resumable = False
        self._give_up()
        return True

    def _recovered(self, error: ImgpackError, mode: UploadMode) -> bool:
        """Decide what comes after a failure: raise ``error``, or say as ``_attempted`` does."""
        answer, lost = error.answer, isinstance(error, UnreachableError)
        if not (answer or lost):
            self._leave(keep=False, reachable=True)
            raise error
        if answer is not None and self._refuses_mode(answer, mode):
            self.client.reporter.detail(f"{error.message}; trying another upload mode")
            self._give_up()
            return False
        self.failures += 1
        self.failures_in_this_mode += 1
        if not self._worth_trying(answer):
            self._leave(keep=lost, reachable=not lost)
            raise error
        self.client.session.pause(self.failures, error)
        self.stop.check()
        if self.client.has_blob(self.blob):
            return True
        if answer is not None and set(answer.codes) & _CORRUPTED:
            self.resumable = False
        if not self._goes_on():
            self._give_up()
            if self.failures_in_this_mode >= 2 and self.modes.refused(mode):
                self.failures_in_this_mode = 0
        return False

    def _refuses_mode(self, answer: Answer, mode: UploadMode) -> bool:
        """Whether the registry refuses this mode, and another one is left."""
        codes = set(answer.codes)
        if answer.status not in _REFUSES_MODE or codes & _FINAL_404:
            return False
        if codes & _SESSION_LOST and answer.status == 404:
            return False
        return self.modes.refused(mode)

    def _worth_trying(self, answer: Answer | None) -> bool:
        policy = self.client.session.options.retry
        if answer is None or set(answer.codes) & (_SESSION_LOST | _CORRUPTED):
            return self.failures < policy.attempts
        return self.failures < policy.limit("PUT", "/blobs/uploads/", answer)

    def _goes_on(self) -> bool:
        """Whether the old session still holds bytes; a corrupted blob is never continued."""
        if not self.resumable or self.session is None:
            return False
        proved = self.session.proved(self.blob)
        if proved is None:
            return False
        self.session = proved
        if proved.offset - self.furthest >= min(PROGRESS, self.blob.size // 100 + 1):
            # Progress: a long blob over a bad line gets as many attempts as it needs.
            self.furthest = proved.offset
            self.failures = self.failures_in_this_mode = 0
            self.client.reporter.detail(f"{self.client.name}: going on at byte {proved.offset}")
        return True

    # The session, here and in the journal

    def _keep(self, session: UploadSession) -> UploadSession:
        self.session = session
        if self.journal is not None:
            self.journal.record(self.client.name, self.blob, session.location)
        return session

    def _give_up(self) -> None:
        """The next attempt opens a new session."""
        if self.session is not None:
            self.modes.cancel(self.session)
            self.session = None

    def _leave(self, *, keep: bool, reachable: bool) -> None:
        """No further attempt: keep the session for a later run, or cancel it."""
        if keep and self.journal is not None:
            return
        self._forget()
        if reachable:
            self._give_up()

    def _from_journal(self) -> UploadSession | None:
        client, journal = self.client, self.journal
        location = journal.take(client.name, self.blob) if journal is not None else None
        session = UploadSession.reopen(client, location, self.blob) if location else None
        if session is not None:
            client.reporter.detail(f"{client.name}: going on at byte {session.offset} of an upload")
        return session

    def _forget(self) -> None:
        if self.journal is not None:
            self.journal.forget(self.client.name, self.blob)
