"""Sending one blob to registries that refuse, break, forget and drop."""

import hashlib
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgpack.api import Descriptor, Digest, UploadJournal
from imgpack.errors import (
    DigestError,
    ImgpackError,
    RateLimitError,
    RegistryError,
    UnauthorizedError,
    UnreachableError,
    UnsafeError,
)
from imgpack.files.pool import Stop
from imgpack.registry.push.upload import Uploader
from imgpack.registry.push.upload_mode import MIB, UploadMode, UploadModes
from imgpack.registry.push.upload_session import UploadSession
from imgpack.registry.repository import Repository
from tests.registry import faults
from tests.registry.exchange import Exchange
from tests.registry.hostile import HostileRegistry, Upload
from tests.registry.images import Memory, connect, noise

PUT = r"/blobs/uploads/.*digest="
SESSION = r"/blobs/uploads/[0-9a-f]+"


@dataclass
class Sending:
    """A blob of ``size`` bytes on its way to ``registry``."""

    registry: HostileRegistry
    size: int = 300_000
    attempts: int = 5
    chunk: int | None = None
    journal: UploadJournal | None = None
    modes: UploadModes | None = None

    @property
    def data(self) -> bytes:
        return noise(self.size)

    @property
    def blob(self) -> Descriptor:
        return Descriptor("application/octet-stream", Digest.of(self.data), self.size)

    def go(self, *, wrong: bytes | None = None, session: str | None = None) -> None:
        """Send it, ``wrong`` bytes instead of its own if given, into the session at a Location."""
        modes = self.modes or UploadModes(self.registry.host, self.chunk)
        with connect(attempts=self.attempts) as registries:
            client = Repository(registries.session(self.registry.host), "a/b")
            uploader = Uploader(modes, Stop(), self.journal, resume_min=1000)
            source = Memory({self.blob.digest: self.data if wrong is None else wrong}, 7_000)
            uploader.upload(
                client, self.blob, source, UploadSession(client, session) if session else None
            )

    @property
    def arrived(self) -> bool:
        return str(self.blob.digest) in self.registry.repository("a/b").blobs


def test_a_blob_goes_in_one_post_and_one_put() -> None:
    """POST with nothing, then PUT with the digest escaped, the exact length and no chunking."""
    with HostileRegistry() as registry:
        sending = Sending(registry)
        sending.go()
        assert [request.method for request in registry.requests] == ["POST", "PUT"]
        post, put = registry.requests
        assert post.headers["content-length"] == "0"
        assert post.headers["content-type"] == "application/octet-stream"
        assert put.headers["content-type"] == "application/octet-stream"
        assert put.headers["content-length"] == str(sending.size)
        assert "transfer-encoding" not in put.headers
        assert "accept" not in put.headers
        assert f"digest=sha256%3A{sending.blob.digest.hex}" in put.target
        assert sending.arrived


@pytest.mark.parametrize(
    "location",
    [
        lambda path: path,
        lambda path: path.partition("?")[0],
        lambda path: path + "&token=a%2Fb%2Bc",
        lambda path: path + "#fragment",
    ],
    ids=["relative", "without query", "escaped query", "fragment"],
)
def test_a_location_is_used_as_it_is(location: object) -> None:
    """The query stays, if there is one, and the digest is added with the right sign."""
    with HostileRegistry(location=location) as registry:
        sending = Sending(registry)
        sending.go()
        put = registry.sent("PUT")[0]
        assert put.query["digest"] == [str(sending.blob.digest)]
        assert put.target.count("?") == 1
        if "token" in put.query:
            assert "token=a%2Fb%2Bc" in put.target
        assert sending.arrived


def test_an_absolute_location_is_followed() -> None:
    """A Location with scheme and host leads to the same registry."""
    with HostileRegistry(absolute=True) as registry:
        sending = Sending(registry)
        sending.go()
        assert sending.arrived


def test_an_empty_blob_can_be_sent() -> None:
    """No bytes is a blob as well."""
    with HostileRegistry() as registry:
        sending = Sending(registry, size=0)
        sending.go()
        assert sending.arrived


@pytest.mark.parametrize("status", [404, 405, 413, 501])
def test_a_refused_put_becomes_a_streamed_patch(status: int) -> None:
    """One PATCH of everything and an empty PUT, in a new session; the old one is cancelled."""
    with HostileRegistry() as registry:

        def refuse(exchange: faults.Exchange) -> bool:
            if int(exchange.headers["content-length"]) == 0:
                return False
            return faults.answer(status, early=True)(exchange)

        registry.misbehave("PUT", PUT, refuse, times=None)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        patch = registry.sent("PATCH")
        assert len(patch) == 1
        assert patch[0].received == sending.size
        assert "content-range" not in patch[0].headers
        assert len(registry.sent("POST")) == 2
        assert len(registry.sent("DELETE")) == 1
        assert registry.uploads == {}


def test_a_registry_that_takes_no_put_is_patched() -> None:
    """Artifactory's habit: 404 BLOB_UNKNOWN for a PUT with a body."""
    with HostileRegistry(monolithic=False) as registry:
        sending = Sending(registry)
        sending.go()
        assert sending.arrived


def test_what_a_host_refused_is_remembered() -> None:
    """The second blob starts with the mode that worked for the first."""
    with HostileRegistry(monolithic=False) as registry:
        modes = UploadModes(registry.host)
        Sending(registry, modes=modes).go()
        before = len(registry.sent("PUT"))
        Sending(registry, size=5000, modes=modes).go()
        assert modes.mode is UploadMode.STREAMED
        assert len(registry.sent("PUT")) == before + 1


def test_a_body_limit_makes_chunks() -> None:
    """A proxy's 413 in HTML, sent early, leads to chunks that fit."""
    with HostileRegistry(body_limit=1 * MIB) as registry:
        sending = Sending(registry, size=3 * MIB, chunk=4 * MIB)
        sending.go()
        assert sending.arrived
        good = [r for r in registry.sent("PATCH") if r.status == 202]
        assert len(good) == 3
        assert [r.headers["content-range"] for r in good] == [
            f"{n * MIB}-{(n + 1) * MIB - 1}" for n in range(3)
        ]


def test_a_patch_limit_makes_smaller_chunks() -> None:
    """GHCR's 416 for more than 4 MiB in one PATCH is not the end."""
    with HostileRegistry(monolithic=False, patch_limit=1 * MIB) as registry:
        sending = Sending(registry, size=3 * MIB, chunk=4 * MIB)
        sending.go()
        assert sending.arrived


def test_chunks_are_at_least_as_long_as_the_registry_wants() -> None:
    """``OCI-Chunk-Min-Length`` counts more than our own choice; the last one may be shorter."""
    with HostileRegistry(monolithic=False, streamed=False, min_chunk=700_000) as registry:
        sending = Sending(registry, size=2_000_000, chunk=256 * 1024)
        sending.go()
        assert sending.arrived
        sizes = [r.received for r in registry.sent("PATCH") if r.status == 202]
        assert sizes == [700_000, 700_000, 600_000]


def test_an_absurd_chunk_length_is_not_believed() -> None:
    """A minimum of a petabyte does not make one huge chunk fail or loop."""
    with HostileRegistry(monolithic=False, streamed=False, min_chunk=10**15) as registry:
        sending = Sending(registry, size=600_000, chunk=256 * 1024)
        sending.go()
        assert sending.arrived
        assert len([r for r in registry.sent("PATCH") if r.status == 202]) == 3


def test_a_registry_that_drops_later_patches_is_found_out() -> None:
    """ECR's habit cannot make a blob complete that lacks bytes: the push fails, clearly."""
    with HostileRegistry(monolithic=False, streamed=False, one_patch=True) as registry:
        sending = Sending(registry, size=600_000, chunk=256 * 1024)
        with pytest.raises(RegistryError, match="the registry kept 262144"):
            sending.go()
        assert not sending.arrived


@pytest.mark.parametrize(
    ("host", "last"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", UploadMode.STREAMED),
        ("public.ecr.aws", UploadMode.STREAMED),
        ("ghcr.io", UploadMode.CHUNKED),
        ("localhost:5000", UploadMode.CHUNKED),
    ],
)
def test_ecr_never_gets_a_second_patch(host: str, last: UploadMode) -> None:
    """For ECR there is no chunked mode; for the others it is the last one."""
    modes = UploadModes(host)
    while modes.mode < last:
        assert modes.refused(modes.mode)
    if last is UploadMode.STREAMED:
        assert not modes.refused(UploadMode.STREAMED)
    assert modes.mode is last


def test_chunk_sizes_keep_the_bounds_of_known_hosts() -> None:
    """GHCR takes at most 4 MiB, Amazon at least 5."""
    assert UploadModes("ghcr.io").chunk() == 4 * MIB
    assert UploadModes("ghcr.io", 64 * MIB).chunk() == 4 * MIB
    assert UploadModes("x.elb.amazonaws.com", 1 * MIB).chunk() == 5 * MIB
    assert UploadModes("localhost:5000", 2 * MIB).chunk(3 * MIB) == 3 * MIB


@pytest.mark.parametrize("after", [0, 1, 100_000])
def test_a_reset_means_a_new_session_when_nothing_is_proved(after: int) -> None:
    """A registry that forgets broken uploads gets the blob again from its start."""
    with HostileRegistry(keep_sessions=False) as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(after))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2
        assert registry.sent("PUT")[-1].received == sending.size


def test_a_half_sent_blob_goes_on_where_the_registry_says() -> None:
    """The status proves an offset: only the rest is sent."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(100_000))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 1
        patch = registry.sent("PATCH")[0]
        assert patch.headers["content-range"] == f"100000-{sending.size - 1}"
        assert patch.received == sending.size - 100_000


@pytest.mark.parametrize("status", [400, 404, 409, 410, 416])
def test_where_going_on_is_refused_the_whole_blob_is_sent(status: int) -> None:
    """In a new session, in the same mode, and once: the blob is never gone on with again."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(150_000))
        registry.misbehave("PATCH", SESSION, faults.answer(status), times=None)
        sending = Sending(registry)
        sending.modes = modes = UploadModes(registry.host)
        sending.go()
        assert sending.arrived
        assert modes.mode is UploadMode.MONOLITHIC
        assert [r.received for r in registry.sent("PUT")] == [150_000, 300_000]
        assert len(registry.sent("POST")) == 2


def test_a_conflict_at_the_end_of_a_resumed_upload_sends_the_whole_blob() -> None:
    """A registry that lost count says 409 to the PUT."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(150_000))
        registry.misbehave("PUT", PUT, faults.answer(409), skip=1)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2


def test_bytes_that_a_registry_did_not_keep_are_sent_again_in_another_way() -> None:
    """It took a whole blob in one PATCH, and says that it has less."""
    with HostileRegistry(monolithic=False) as registry:
        registry.misbehave("PATCH", SESSION, faults.altered(Range="0-99"))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 3


def test_a_corrupted_upload_is_never_gone_on_with() -> None:
    """The registry keeps the bytes that it refused, and would say how many they are."""

    def corrupted(exchange: Exchange) -> bool:
        upload = registry.uploads[exchange.record.path.rpartition("/")[2]]
        upload.data += exchange.body()[:-1] + b"?"
        return exchange.refuse(400, "DIGEST_INVALID")

    with HostileRegistry(cancels=False) as registry:
        registry.misbehave("PUT", PUT, corrupted)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert registry.sent("GET", SESSION) == registry.sent("PATCH") == []
        assert [r.received for r in registry.sent("PUT")] == [300_000, 300_000]
        assert len(registry.sent("POST")) == 2


def test_a_range_of_0_0_proves_nothing() -> None:
    """Distribution says ``0-0`` for no byte and for one, so the blob starts again."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(1))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2


def test_a_stale_state_ends_in_a_new_session() -> None:
    """Distribution 2.8 cancels the session of a broken upload when it is asked for."""
    with HostileRegistry(strict_state=True) as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(100_000))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2


def test_a_session_lost_between_two_load_balanced_registries_is_opened_again() -> None:
    """``BLOB_UPLOAD_INVALID`` says nothing against the upload mode."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(404, "BLOB_UPLOAD_INVALID"))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert registry.sent("PATCH") == []


def test_resets_again_and_again_lead_to_another_mode() -> None:
    """Two broken PUTs without progress, and the blob goes by PATCH."""
    with HostileRegistry(keep_sessions=False) as registry:

        def broken(exchange: faults.Exchange) -> bool:
            if int(exchange.headers["content-length"]) == 0:
                return False
            return faults.break_upload(5000)(exchange)

        registry.misbehave("PUT", PUT, broken, times=None)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("PATCH")) == 1


def test_a_lost_answer_does_not_send_the_blob_again() -> None:
    """When the connection breaks after the last byte, the registry is asked first."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.lose_answer)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("PUT")) == 1
        assert len(registry.sent("HEAD")) == 1


def test_a_connection_that_always_breaks_is_given_up() -> None:
    """The attempts are bounded, and the error is that of the connection."""
    with HostileRegistry(keep_sessions=False) as registry:
        registry.misbehave("PUT|PATCH", SESSION, faults.reset(1000), times=None)
        with pytest.raises(UnreachableError):
            Sending(registry, attempts=4).go()
        assert len(registry.sent("PUT|PATCH")) <= 4


def test_progress_gives_new_attempts() -> None:
    """Ten breaks are no reason to give up when each attempt brings the blob further."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT|PATCH", SESSION, faults.break_upload(25_000), times=10)
        sending = Sending(registry, attempts=3)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 1


def test_a_few_bytes_at_a_time_are_no_progress() -> None:
    """A registry that breaks off after two bytes, for ever, is given up soon."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT|PATCH", SESSION, faults.break_upload(2), times=None)
        with pytest.raises(UnreachableError):
            Sending(registry, attempts=4).go()
        assert len(registry.sent("PUT|PATCH")) <= 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_in_a_new_session(status: int) -> None:
    """Neither a rate limit nor a broken gateway ends a push."""
    with HostileRegistry(keep_sessions=False) as registry:
        registry.misbehave("PUT", PUT, faults.answer(status, Retry_After="1"))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2


def test_a_rate_limit_that_stays_is_an_error_of_its_own() -> None:
    """The last 429 is told as what it is."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(429, "TOOMANYREQUESTS"), times=None)
        with pytest.raises(RateLimitError):
            Sending(registry, attempts=3).go()
        assert len(registry.sent("PUT")) == 3
        assert registry.uploads == {}


def test_a_denied_upload_is_not_tried_again() -> None:
    """A quota's DENIED after the upload is final, and the session is cancelled."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(403, "DENIED"), times=None)
        with pytest.raises(UnauthorizedError):
            Sending(registry).go()
        assert len(registry.sent("PUT")) == 1
        assert len(registry.sent("DELETE")) == 1


def test_an_early_answer_is_heard_while_the_body_is_sent() -> None:
    """A 413 before the body was read is not mistaken for a broken connection."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(413, early=True, body=b"<html>"))
        sending = Sending(registry, size=20 * MIB)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("PATCH")) == 1


def test_a_wrong_digest_at_the_registry_is_tried_again() -> None:
    """Bytes damaged on the way are sent once more, never continued."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(400, "DIGEST_INVALID"))
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 2


@pytest.mark.parametrize("monolithic", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1] + b"x",
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: b"",
        lambda d: b"x" + d[1:],
    ],
    ids=["last byte", "short", "long", "empty", "first byte"],
)
def test_wrong_bytes_never_arrive(monolithic: bool, change: object) -> None:
    """A source whose bytes are not the blob's is cut off before the registry has them all."""
    with HostileRegistry(monolithic=monolithic) as registry:
        sending = Sending(registry)
        with pytest.raises(DigestError, match=str(sending.blob.digest)):
            sending.go(wrong=change(sending.data))  # type: ignore[operator]
        assert registry.content == {}
        sent = [r for r in registry.requests if r.method in ("PUT", "PATCH")]
        assert all(r.received < sending.size for r in sent)
        assert all(r.status not in (201, 202) for r in sent)


def test_wrong_bytes_in_chunks_never_arrive() -> None:
    """The last chunk of a wrong blob is not completed."""
    with HostileRegistry(monolithic=False, streamed=False) as registry:
        sending = Sending(registry, size=600_000, chunk=256 * 1024)
        with pytest.raises(DigestError):
            sending.go(wrong=sending.data[:-1] + b"\0")
        assert registry.content == {}


@pytest.mark.parametrize("status", [200, 204])
def test_a_put_without_evidence_is_not_believed(status: int) -> None:
    """Only 201 with a Location, the right digest, or finding the blob counts as stored."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.answer(status), times=None)
        with pytest.raises(RegistryError, match="does not have the blob"):
            Sending(registry).go()


def test_a_put_that_answers_200_is_believed_when_the_blob_is_found() -> None:
    """Some registries answer 200 or 204 and have the blob."""
    with HostileRegistry() as registry:
        registry.misbehave(
            "PUT", PUT, faults.with_status(204, Docker_Content_Digest="", Location="")
        )
        sending = Sending(registry)
        sending.go()
        assert len(registry.sent("HEAD")) == 1
        assert sending.arrived


def test_another_digest_in_the_answer_is_an_error() -> None:
    """The registry says that it stored something else."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.altered(Docker_Content_Digest="sha256:" + "0" * 64))
        with pytest.raises(DigestError):
            Sending(registry).go()


def test_a_web_server_is_no_registry() -> None:
    """200 to a POST for an upload is told as what it is."""
    with HostileRegistry() as registry:
        registry.misbehave("GET|HEAD|POST|PUT|PATCH", "", faults.yes, times=None)
        with pytest.raises(RegistryError, match="does not look like a container registry"):
            Sending(registry).go()


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "ftp://localhost/x",
        "file:///etc/passwd",
        "http://user:secret@localhost/x",
        "http://[::ffff:169.254.169.254]/x",
        "//\x00",
        "a" * 20_000,
    ],
)
def test_a_dangerous_location_is_refused(location: str) -> None:
    """No byte goes where a registry has no business to send us."""
    with HostileRegistry(location=lambda path: location) as registry:
        with pytest.raises((UnsafeError, ImgpackError)):
            Sending(registry).go()
        assert len(registry.requests) == 1


def test_a_post_without_location_is_an_error() -> None:
    """A session that is nowhere cannot be used."""
    with HostileRegistry() as registry:
        registry.misbehave("POST", "", faults.altered(Location=""))
        with pytest.raises(RegistryError, match="Location"):
            Sending(registry).go()


def test_a_registry_that_does_not_cancel_is_asked_once() -> None:
    """A 405 to DELETE is neither an error nor asked for again."""
    with HostileRegistry(cancels=False, keep_sessions=False) as registry:
        registry.misbehave("PUT", PUT, faults.answer(503), times=3)
        sending = Sending(registry)
        sending.go()
        assert sending.arrived
        assert len(registry.sent("DELETE")) == 1


# Across processes


@pytest.fixture
def journal(tmp_path: Path) -> UploadJournal:
    """A journal of this test's own."""
    return UploadJournal(str(tmp_path / "uploads"))


def files(tmp_path: Path) -> Iterator[Path]:
    """What the journal holds."""
    return (tmp_path / "uploads").iterdir()


def test_an_interrupted_push_goes_on_in_the_next_run(
    journal: UploadJournal, tmp_path: Path
) -> None:
    """The registry kept 100,000 bytes; the second run sends only the others."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", PUT, faults.break_upload(100_000))
        registry.misbehave("GET|HEAD", "", faults.reset(), times=None)
        sending = Sending(registry, journal=journal, attempts=1)
        with pytest.raises(UnreachableError):
            sending.go()
        (file,) = files(tmp_path)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        registry.faults.clear()
        registry.requests.clear()
        sending.go()
        assert sending.arrived
        assert registry.sent("POST") == []
        assert registry.sent("PATCH")[0].received == sending.size - 100_000
        assert list(files(tmp_path)) == []


def test_a_forgotten_session_is_no_obstacle(journal: UploadJournal) -> None:
    """A registry that lost the session gets the whole blob in a new one."""
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=journal)
        journal.record(f"{registry.host}/a/b", sending.blob, "/v2/a/b/blobs/uploads/gone?_state=0")
        sending.go()
        assert sending.arrived
        assert len(registry.sent("POST")) == 1


def test_bytes_of_another_blob_in_the_session_are_found_out(journal: UploadJournal) -> None:
    """What an earlier run left may be wrong; the digest tells, and the blob starts again."""
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=journal)
        registry.uploads["abc"] = Upload("a/b", bytearray(b"z" * 5000))
        journal.record(f"{registry.host}/a/b", sending.blob, "/v2/a/b/blobs/uploads/abc")
        sending.go()
        assert sending.arrived
        assert registry.sent("PATCH")[0].headers["content-range"].startswith("5000-")


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:1/v2/x", "https://example.org/x", "http://169.254.169.254/", "nonsense://"],
)
def test_a_journal_cannot_send_a_blob_elsewhere(journal: UploadJournal, location: str) -> None:
    """Only a Location at the registry's own origin is taken from a file."""
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=journal)
        journal.record(f"{registry.host}/a/b", sending.blob, location)
        sending.go()
        assert sending.arrived


def test_a_journal_cannot_send_a_blob_to_another_port(journal: UploadJournal) -> None:
    """Even where something answers there as a registry would, and proves an offset."""
    with HostileRegistry() as registry, HostileRegistry() as thief:
        sending = Sending(registry, journal=journal)
        thief.uploads["abc"] = Upload("a/b", bytearray(sending.data[:5000]))
        location = f"http://{thief.host}/v2/a/b/blobs/uploads/abc"
        journal.record(f"{registry.host}/a/b", sending.blob, location)
        sending.go()
        assert sending.arrived
        assert thief.requests == []


def test_the_session_of_a_mount_is_not_leaked_when_an_older_one_goes_on(
    journal: UploadJournal,
) -> None:
    """A refused mount opened a session, but the journal has a better one."""
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=journal)
        registry.uploads["abc"] = Upload("a/b", bytearray(sending.data[:5000]))
        registry.uploads["new"] = Upload("a/b")
        journal.record(f"{registry.host}/a/b", sending.blob, "/v2/a/b/blobs/uploads/abc")
        sending.go(session=f"http://{registry.host}/v2/a/b/blobs/uploads/new")
        assert sending.arrived
        assert registry.sent("POST") == []
        assert registry.uploads == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 1}', b"\xff" * 10, b"[" * 10**5])
def test_a_damaged_journal_is_as_good_as_none(
    journal: UploadJournal, tmp_path: Path, content: bytes
) -> None:
    """Whatever the file holds, the blob is sent."""
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=journal)
        name = f"{registry.host}/a/b"
        journal.record(name, sending.blob, "/x")
        (file,) = files(tmp_path)
        file.write_bytes(content)
        assert journal.take(name, sending.blob) is None
        sending.go()
        assert sending.arrived


def test_a_session_is_taken_once(journal: UploadJournal) -> None:
    """Two processes never continue the same upload."""
    blob = Descriptor("x/y", Digest.of(b"1"), 1)
    journal.record("r/a", blob, "/here")
    assert journal.take("r/a", blob) == "/here"
    assert journal.take("r/a", blob) is None


def test_nobody_can_guess_where_a_session_is_written(
    journal: UploadJournal, tmp_path: Path
) -> None:
    """Process numbers repeat, in containers that share the directory: each writes its own file."""
    blob = Descriptor("x/y", Digest.of(b"1"), 1)
    (tmp_path / "uploads").mkdir()
    other = tmp_path / "uploads" / f"{path_of(blob)}.{os.getpid()}"
    other.write_text("another process is writing this")

    journal.record("r/a", blob, "/here")
    assert journal.take("r/a", blob) == "/here"

    assert other.read_text() == "another process is writing this"


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_a_file_is_a_session(
    journal: UploadJournal, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """A pipe does not make a push wait."""
    blob = Descriptor("x/y", Digest.of(b"1"), 1)
    (tmp_path / "uploads").mkdir()
    put(tmp_path / "uploads" / path_of(blob))

    assert journal.take("r/a", blob) is None


def test_what_killed_processes_left_is_pruned(tmp_path: Path) -> None:
    """Under the names of this release and of those before."""
    directory = tmp_path / "uploads"
    directory.mkdir()
    for end in ("4711", "0123456789abcdef" * 2):
        (directory / f"{'0' * 64}.json.{end}").touch()
    for label in ("0" * 40, "taken"):
        (directory / f".{label}.0123456789abcdef.tmp").touch()

    UploadJournal(str(directory), time.time() + 8 * 86400)

    assert list(directory.iterdir()) == []


def test_old_sessions_are_pruned(tmp_path: Path) -> None:
    """After a week no registry has them; what is not ours, or is a link, stays or only goes."""
    directory = tmp_path / "uploads"
    blobs = [Descriptor("x/y", Digest.of(text), 1) for text in (b"old", b"new")]
    for blob in blobs:
        UploadJournal(str(directory)).record("r/a", blob, "/here")
    old, new = (directory / path_of(blob) for blob in blobs)
    stray = directory / f"{new.name}.4711"
    stray.write_text("left by a process that was killed")
    victim = tmp_path / "victim"
    victim.write_text("not ours")
    link = directory / f"{'0' * 64}.json"
    link.symlink_to(victim)
    (directory / "other").write_text("not ours")
    now = new.stat().st_mtime
    for path in (old, stray, victim, directory / "other"):
        os.utime(path, (now - 8 * 86400,) * 2)
    os.utime(link, (now - 8 * 86400,) * 2, follow_symlinks=False)
    journal = UploadJournal(str(directory), now)
    assert sorted(directory.iterdir()) == sorted([new, directory / "other"])
    assert victim.read_text() == "not ours"
    assert journal.take("r/a", blobs[1]) == "/here"


def path_of(blob: Descriptor) -> str:
    """The name of a blob's file for the repository r/a."""
    return hashlib.sha256(f"r/a\n{blob.digest}".encode()).hexdigest() + ".json"


def test_a_journal_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """A cache directory that is a file costs the resume, not the push."""
    (tmp_path / "file").write_bytes(b"")
    with HostileRegistry() as registry:
        sending = Sending(registry, journal=UploadJournal(str(tmp_path / "file")))
        sending.go()
        assert sending.arrived


def test_breaking_at_every_kind_of_place_ends_well() -> None:
    """Whatever combination of habits and breaks, the blob arrives or the error is one of ours."""
    for keep, strict, after in itertools.product((True, False), (True, False), (0, 1, 2, 299_999)):
        with HostileRegistry(keep_sessions=keep, strict_state=strict) as registry:
            registry.misbehave("PUT|PATCH", SESSION, faults.break_upload(after), times=2)
            sending = Sending(registry)
            sending.go()
            assert sending.arrived
            (digest,) = registry.content
            assert registry.content[digest] == sending.data


def test_stopping_cuts_a_blob_off() -> None:
    """When nobody waits any more, the upload ends at the next piece and is cancelled."""
    from imgpack.files.pool import Cancelled

    with HostileRegistry() as registry, connect() as registries:
        stop, started = Stop(), threading.Event()
        sending = Sending(registry)

        class Endless:
            def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
                yield b"x" * 1000
                started.set()
                stop.set()
                yield b"x" * 1000

        client = Repository(registries.session(registry.host), "a/b")
        with pytest.raises(Cancelled):
            Uploader(UploadModes(registry.host), stop).upload(client, sending.blob, Endless())
        assert started.is_set()
        assert not sending.arrived
        assert len(registry.sent("DELETE")) == 1


def test_nothing_secret_is_in_a_journal_file_name(journal: UploadJournal, tmp_path: Path) -> None:
    """File names are hashes; the Location is inside, readable by its owner only."""
    journal.record("r/a", Descriptor("x/y", Digest.of(b"1"), 1), "/here?_state=secret")
    (file,) = files(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{64}\.json", file.name)
    assert os.stat(file).st_uid == os.getuid()
