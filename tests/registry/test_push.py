"""Pushing images: the order, what is sent and what is not, and what a failure leaves behind."""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from imgpack.api import (
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Named,
    Opaque,
    Platform,
    PushOptions,
    Reference,
    Registries,
    RegistrySink,
    Schema1Options,
    SessionOptions,
    TransportOptions,
    dry_run,
)
from imgpack.credentials.lookup import Credential
from imgpack.errors import (
    AmbiguousError,
    DigestError,
    DocumentError,
    ImgpackError,
    NotFoundError,
    RegistryError,
    Remedy,
    UnauthorizedError,
)
from imgpack.files.pool import Cancelled, Stop, run_all
from imgpack.image.image import RawBlob, walk
from imgpack.registry.push.plan import plan_repositories
from imgpack.spec import mediatype
from imgpack.spec.config import build_config
from imgpack.spec.digest import EMPTY_LAYER
from imgpack.spec.manifest import BASE_NAME, build_index, build_manifest
from imgpack.spec.schema1.signature import SigningKey, verify
from tests.registry import faults
from tests.registry.exchange import Exchange
from tests.registry.hostile import HostileRegistry
from tests.registry.images import (
    Memory,
    connect,
    make_artifact,
    make_image,
    make_index,
    noise,
    push_to,
)

MANIFEST_PUT = r"/manifests/"
BLOB_PUT = r"/blobs/uploads/"


@pytest.fixture
def image() -> Image:
    """Three layers, two of them small."""
    return make_image(b"one" * 100, noise(200_000), b"three" * 100)


@pytest.fixture
def schema1() -> Schema1Options:
    """A throw-away key and a fixed time."""
    return Schema1Options(SigningKey.generate(), "2020-01-01T00:00:00Z")


def test_layers_go_first_then_config_then_manifest(image: Image) -> None:
    """Nothing is named before it is there."""
    with HostileRegistry() as registry:
        (pushed,) = push_to(registry.host, image, "a/b:1")
        sent = [r.query["digest"][0] for r in registry.sent("PUT", BLOB_PUT)]
        layers = {str(layer.digest) for layer in image.manifest.layers}
        assert set(sent[:-1]) == layers
        assert sent[-1] == str(image.config.digest)
        assert registry.requests[-1].target == "/v2/a/b/manifests/1"
        assert pushed.descriptor.digest == image.manifest.descriptor.digest
        assert registry.repository("a/b").manifests[str(pushed.descriptor.digest)] == (
            image.manifest.media_type,
            image.manifest.raw,
        )
        assert registry.incomplete() == []


def test_pushing_again_moves_no_layer(image: Image) -> None:
    """One HEAD a blob and one PUT: that is all."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.requests.clear()
        push_to(registry.host, image, "a/b:1")
        assert sorted(r.method for r in registry.requests) == ["HEAD"] * 4 + ["PUT"]


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_pushing_again_takes_at_most_five_requests_beyond_a_head_for_each_blob(auth: str) -> None:
    """A challenge, a token, a manifest, and no more, though many blobs are asked for at once."""
    image = make_image(*(noise(1000, seed) for seed in range(12)))
    with HostileRegistry(auth=auth) as registry:
        registry.misbehave("HEAD", "", lambda exchange: bool(time.sleep(0.02)), times=None)
        for _ in range(2):
            registry.requests.clear()
            push_as_user(registry, image, jobs=8)
        blobs = len(image.manifest.layers) + 1
        further = [r for r in registry.requests if r.method != "HEAD" or r.status == 401]
        assert len(registry.requests) == blobs + len(further)
        assert len(further) <= 3


def test_a_blob_is_sent_once_to_a_registry(image: Image) -> None:
    """Two tags and two more repositories: one upload a blob, mounts for the rest."""
    with HostileRegistry() as registry:
        pushed = push_to(registry.host, image, "a/b:1", "a/b:2", "c/d:1", "e/f:1")
        blobs = len(image.manifest.layers) + 1
        assert len(registry.sent("PUT", BLOB_PUT)) == blobs
        assert len(registry.sent("POST", "mount=")) == 2 * blobs
        assert [str(one.name.tag) for one in pushed] == ["1", "2", "1", "1"]
        assert {one.descriptor.digest for one in pushed} == {image.manifest.descriptor.digest}
        assert registry.incomplete() == []


def test_a_layer_that_is_named_twice_is_sent_once() -> None:
    """The same layer in one image, and in two images of one index."""
    one = make_image(b"same", b"same", b"other")
    two = make_image(b"same", platform="linux/arm64")
    with HostileRegistry() as registry:
        push_to(registry.host, make_index(one, two), "a/b:1")
        digests = [r.query["digest"][0] for r in registry.sent("PUT", BLOB_PUT)]
        assert len(digests) == len(set(digests)) == 4


def test_the_manifests_of_an_index_go_before_it() -> None:
    """Children by their digest, then the index by its tag."""
    index = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry:
        (pushed,) = push_to(registry.host, index, "a/b:1")
        puts = [r.path.rpartition("/")[2] for r in registry.sent("PUT", MANIFEST_PUT)]
        children = {str(child.manifest.descriptor.digest) for child in index.members}
        assert set(puts[:2]) == children
        assert puts[2] == "1"
        assert pushed.descriptor.media_type == mediatype.OCI_INDEX
        assert registry.incomplete() == []


def test_an_index_without_its_images_is_refused_before_anything_is_sent() -> None:
    """An incomplete index names what is missing."""
    whole = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    missing = whole.members[1].manifest.descriptor.digest
    partial = ImageIndex(whole.index, whole.members[:1])
    with HostileRegistry() as registry:
        with pytest.raises(DocumentError, match=str(missing)):
            push_to(registry.host, partial, "a/b:1")
        assert registry.requests == []


def test_an_index_may_lie_in_an_index_and_all_of_it_goes_first() -> None:
    """Manifests at once, then the inner index, then the outer one under its name."""
    inner = make_index(make_image(b"1"), make_artifact(b"note"))
    outer = make_index(inner, make_image(b"2", platform="linux/arm64"), make_artifact(b"chart"))
    with HostileRegistry() as registry:
        (pushed,) = push_to(registry.host, outer, "a/b:1")
        puts = [r.path.rpartition("/")[2] for r in registry.sent("PUT", MANIFEST_PUT)]
        assert puts[-2:] == [str(inner.index.descriptor.digest), "1"]
        assert len(puts) == 6
        assert pushed.descriptor == outer.index.descriptor
        held = registry.repository("a/b").manifests
        for one in walk(outer):
            assert held[str(one.document.descriptor.digest)][1] == one.document.raw
        assert registry.incomplete() == []


@pytest.mark.parametrize("first", [True, False], ids=["index first", "member first"])
def test_a_member_that_has_a_name_of_its_own_is_there_before_its_index(first: bool) -> None:
    """An index is never named before what it names, in whatever order they are given."""
    member = make_image(b"1")
    index = make_index(member, make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry, connect() as registries:
        images = [
            Named(image, (Reference.parse(f"{registry.host}/a/b:{tag}"),))
            for image, tag in ((index, "all"), (member, "amd64"))
        ]
        RegistrySink(registries).write(images if first else images[::-1])
        assert [r.status for r in registry.sent("PUT", MANIFEST_PUT)] == [201] * 4
        assert registry.incomplete() == []


def test_foreign_layers_are_not_pushed() -> None:
    """What is kept elsewhere stays there: the manifest says where."""
    image = make_image(b"mine")
    foreign = Descriptor(
        mediatype.DOCKER_FOREIGN_LAYER_GZIP, Digest.of(b"f"), 1, urls=("https://example.org/f",)
    )
    config = build_config(
        Platform(), [*image.config.diff_ids, Digest.of(b"g")], [], created="2020-01-01T00:00:00Z"
    )
    manifest = build_manifest(
        Descriptor(mediatype.DOCKER_CONFIG, config.digest, len(config.raw)),
        [*image.manifest.layers, foreign],
        mediatype.DOCKER_MANIFEST,
    )
    with HostileRegistry() as registry:
        push_to(
            registry.host,
            Image(manifest, config, image.source, frozenset({foreign.digest})),
            "a/b:1",
        )
        assert str(foreign.digest) not in "".join(r.target for r in registry.requests)


def test_by_digest_there_is_no_tag(image: Image) -> None:
    """A name without a tag is pushed under the manifest's digest only."""
    with HostileRegistry() as registry:
        (pushed,) = push_to(registry.host, image, "a/b")
        assert registry.repository("a/b").tags == {}
        assert str(pushed.descriptor.digest) in registry.repository("a/b").manifests


def test_a_wrong_pinned_digest_is_refused(image: Image) -> None:
    """Pushing to ``REPO@DIGEST`` means that digest."""
    with pytest.raises(DocumentError, match="the image's digest is"):
        plan_repositories([Named(image, (Reference.parse(f"localhost/a@{Digest.of(b'x')}"),))])


# Failures


@pytest.mark.parametrize(
    ("method", "pattern", "action"),
    [
        ("PUT", BLOB_PUT, faults.answer(403, "DENIED")),
        ("PUT", BLOB_PUT, faults.answer(500)),
        ("PUT", BLOB_PUT, faults.reset(100)),
        ("POST", BLOB_PUT, faults.answer(401)),
        ("HEAD|GET", "/blobs/", faults.answer(500)),
        ("PUT", MANIFEST_PUT, faults.answer(400, "MANIFEST_INVALID")),
        ("PUT", MANIFEST_PUT, faults.answer(429)),
        ("PUT", MANIFEST_PUT, faults.reset(10)),
        ("PUT", MANIFEST_PUT, faults.yes),
        ("POST|PUT|PATCH", "", faults.endless()),
        ("POST", BLOB_PUT, faults.altered(Location="https://127.0.0.1:1/x")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_after_a_failed_push_no_tag_points_at_an_incomplete_image(
    image: Image, method: str, pattern: str, action: faults.Action
) -> None:
    """Whatever fails, and wherever: the registry stays consistent, and the error is ours."""
    with HostileRegistry() as registry:
        other = make_image(b"before")
        push_to(registry.host, other, "a/b:1")
        registry.misbehave(method, pattern, action, times=None)
        with pytest.raises(ImgpackError):
            push_to(registry.host, image, "a/b:1", "a/b:2", attempts=2)
        assert registry.incomplete() == []
        assert registry.repository("a/b").tags == {"1": str(other.manifest.descriptor.digest)}


@pytest.mark.parametrize("skip", range(12))
def test_a_push_that_failed_anywhere_can_be_repeated(image: Image, skip: int) -> None:
    """Broken at its n-th request, then run again: the same image, complete."""
    with HostileRegistry() as registry:
        registry.misbehave("HEAD|GET|POST|PUT", "", faults.reset(50), times=None, skip=skip)
        try:
            push_to(registry.host, image, "a/b:1", attempts=1)
        except ImgpackError:
            assert registry.repository("a/b").tags == {}
        assert registry.incomplete() == []
        registry.faults.clear()
        push_to(registry.host, image, "a/b:1")
        assert registry.repository("a/b").tags == {"1": str(image.manifest.descriptor.digest)}
        assert registry.incomplete() == []


def test_a_wrong_layer_stops_the_push(image: Image) -> None:
    """A damaged archive never becomes a damaged image in a registry."""
    wrong = dict(image.source.blobs)  # type: ignore[attr-defined]
    wrong[image.manifest.layers[1].digest] = b"\0" * image.manifest.layers[1].size
    damaged = Image(image.manifest, image.config, Memory(wrong))
    with HostileRegistry() as registry:
        with pytest.raises(DigestError):
            push_to(registry.host, damaged, "a/b:1")
        assert str(image.manifest.layers[1].digest) not in registry.content
        assert registry.repository("a/b").manifests == {}


def test_a_blob_that_a_registry_only_claims_to_have_is_sent_after_all(image: Image) -> None:
    """HEAD says 200, the manifest is refused for it: those blobs are sent, once."""
    lost = image.manifest.layers[1]
    with HostileRegistry() as registry:
        registry.misbehave(
            "HEAD",
            str(lost.digest),
            faults.answer(200, Docker_Content_Digest=str(lost.digest)),
            times=None,
        )
        push_to(registry.host, image, "a/b:1")
        assert [r.status for r in registry.sent("PUT", MANIFEST_PUT)] == [400, 201]
        assert registry.incomplete() == []


def test_a_manifest_that_stays_refused_is_an_error(image: Image) -> None:
    """A registry that never finds a blob is asked twice, not for ever."""
    with HostileRegistry() as registry:
        registry.misbehave(
            "PUT", MANIFEST_PUT, faults.answer(400, "MANIFEST_BLOB_UNKNOWN"), times=None
        )
        with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
            push_to(registry.host, image, "a/b:1")
        assert len(registry.sent("PUT", MANIFEST_PUT)) == 2


def test_the_reason_is_told_as_well_when_blobs_had_to_be_sent_again(image: Image) -> None:
    """What is refused the second time is explained as the first."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", MANIFEST_PUT, faults.answer(400, "MANIFEST_BLOB_UNKNOWN"))
        registry.misbehave("PUT", MANIFEST_PUT, faults.answer(415), times=None)
        with pytest.raises(RegistryError) as caught:
            push_to(registry.host, image, "a/b:1")
        assert caught.value.hint == Remedy.USE_OCI()


def test_what_is_sent_again_starts_no_more_threads(image: Image) -> None:
    """Each document of an index misses its blobs; no more uploads are open than jobs."""
    members = [
        make_image(noise(9000, n), noise(9000, n + 50), platform=f"linux/a{n}") for n in range(2)
    ]
    counts: list[int] = []

    def note(exchange: faults.Exchange) -> bool:
        counts.append(sum(thread.name.startswith("blob-") for thread in threading.enumerate()))
        return False

    with HostileRegistry() as registry:
        registry.misbehave(
            "PUT", MANIFEST_PUT, faults.answer(400, "MANIFEST_BLOB_UNKNOWN"), times=2
        )
        registry.misbehave("PUT", BLOB_PUT, note, times=None)
        push_to(registry.host, make_index(*members), "a/b:1", jobs=2)
        assert registry.incomplete() == []
    assert max(counts) == 2


def test_a_head_that_says_200_to_everything_is_not_believed(image: Image) -> None:
    """Without the digest or the size of the blob, 200 proves nothing."""
    with HostileRegistry() as registry:
        registry.misbehave("HEAD", "/blobs/", faults.yes, times=None)
        push_to(registry.host, image, "a/b:1")
        assert registry.incomplete() == []
        assert len(registry.sent("PUT", BLOB_PUT)) == 4


@pytest.mark.parametrize("status", [403, 404])
def test_a_head_that_is_forbidden_means_that_the_blob_is_not_there(
    image: Image, status: int
) -> None:
    """GHCR answers 403 for what is not linked yet."""
    with HostileRegistry() as registry:
        registry.misbehave("HEAD", "/blobs/", faults.answer(status), times=None)
        push_to(registry.host, image, "a/b:1")
        assert registry.incomplete() == []


def test_where_head_is_not_allowed_get_does(image: Image) -> None:
    """405 to HEAD: the first byte by GET tells the same."""
    with HostileRegistry(head=False) as registry:
        push_to(registry.host, image, "a/b:1")
        registry.requests.clear()
        push_to(registry.host, image, "a/b:1")
        assert registry.sent("POST") == []
        assert all(r.headers["range"] == "bytes=0-0" for r in registry.sent("GET"))


def test_another_digest_for_the_manifest_is_an_error(image: Image) -> None:
    """What the registry says it stored is compared."""
    with HostileRegistry() as registry:
        registry.misbehave(
            "PUT", MANIFEST_PUT, faults.altered(Docker_Content_Digest="sha256:" + "0" * 64)
        )
        with pytest.raises(DigestError):
            push_to(registry.host, image, "a/b:1")


def test_a_tag_that_cannot_be_overwritten_is_fine_when_it_says_the_same(image: Image) -> None:
    """An immutable tag is an error only if its image is another one."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("PUT", MANIFEST_PUT, faults.answer(400, "TAG_INVALID"), times=None)
        (pushed,) = push_to(registry.host, image, "a/b:1")
        assert pushed.descriptor.digest == image.manifest.descriptor.digest
        with pytest.raises(RegistryError, match="TAG_INVALID"):
            push_to(registry.host, make_image(b"other"), "a/b:1")


def test_no_cookie_is_ever_sent_back(image: Image) -> None:
    """Harbor's cookies would ask for its CSRF tokens."""
    with HostileRegistry() as registry:
        registry.misbehave("HEAD", "", faults.altered(Set_Cookie="sid=1; Path=/"), times=None)
        push_to(registry.host, image, "a/b:1")
        assert not any("cookie" in r.headers for r in registry.requests)


def test_absurd_headers_do_no_harm(image: Image) -> None:
    """Numbers that are none, and thousands of characters, in every header that is read."""
    with HostileRegistry() as registry:
        registry.misbehave(
            "POST",
            "",
            faults.altered(
                OCI_Chunk_Min_Length="9" * 3000, Range="9-1", Docker_Upload_UUID="x" * 3000
            ),
            times=None,
        )
        push_to(registry.host, image, "a/b:1")
        assert registry.incomplete() == []


# Schema1


def test_the_schema1_manifest_goes_to_a_tag_of_its_own(schema1: Schema1Options) -> None:
    """Signed, under TAG-schema1, with the empty layer that it names."""
    image = make_image(b"1", empty=True)
    with HostileRegistry() as registry:
        first, second = push_to(registry.host, image, "a/b:1", schema1=schema1)
        assert (first.name.tag, second.name.tag) == ("1", "1-schema1")
        assert str(EMPTY_LAYER) in registry.repository("a/b").blobs
        kind, raw = registry.repository("a/b").manifests[str(second.descriptor.digest)]
        assert kind == mediatype.SCHEMA1_SIGNED
        read = verify(raw)
        assert (read.name, read.tag) == ("a/b", "1-schema1")
        assert read.digest == second.descriptor.digest
        assert registry.incomplete() == []


def test_the_schema1_tag_can_be_chosen(image: Image, schema1: Schema1Options) -> None:
    """``--schema1-tag``; and no empty layer is sent that nothing names."""
    chosen = Schema1Options(schema1.key, schema1.time, "old")
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=chosen)
        assert registry.repository("a/b").tags.keys() == {"1", "old"}
        assert str(EMPTY_LAYER) not in registry.content


def test_a_registry_without_schema1_is_a_clear_and_final_error(
    image: Image, schema1: Schema1Options
) -> None:
    """500 UNKNOWN is what Distribution 2.8 says; it is not tried again and again."""
    with HostileRegistry(schema1=False) as registry:
        with pytest.raises(RegistryError, match=r"compatibility\.schema1\.enabled"):
            push_to(registry.host, image, "a/b:1", schema1=schema1)
        assert len(registry.sent("PUT", "schema1")) <= 2
        assert registry.repository("a/b").tags.keys() == {"1"}


@pytest.mark.parametrize("many", [False, True], ids=["image", "index"])
def test_a_registry_that_takes_oci_only_is_told_with_what_to_do(image: Image, many: bool) -> None:
    """zot answers 415 to Docker's media types unless it is configured otherwise."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", "manifests", faults.answer(415, "MANIFEST_INVALID"), times=None)
        with pytest.raises(RegistryError, match="the OCI format") as caught:
            push_to(registry.host, make_index(image) if many else image, "a/b:1")
        assert caught.value.hint == Remedy.USE_OCI()
        assert registry.repository("a/b").tags == {}


@pytest.mark.parametrize(
    ("status", "code"), [(400, "MANIFEST_INVALID"), (404, "MANIFEST_BLOB_UNKNOWN"), (415, "")]
)
def test_an_index_that_is_refused_is_told_with_what_in_it_is_unknown(
    image: Image, status: int, code: str
) -> None:
    """Some registries want a manifest for all that an index names."""
    raw = b"{}"
    unknown = Descriptor("application/vnd.example.unknown+json", Digest.of(raw), len(raw))
    whole = make_index(image, Opaque(unknown, RawBlob(raw)))
    with HostileRegistry() as registry:
        refusal = faults.answer(
            status,
            body=json.dumps(
                {"errors": [{"code": code, "detail": {"digest": str(unknown.digest)}}]}
            ).encode(),
        )
        registry.misbehave("PUT", "manifests/1", refusal, times=None)
        with pytest.raises(ImgpackError, match=rf"it names {unknown.digest}, which is '") as caught:
            push_to(registry.host, whole, "a/b:1")
        assert caught.value.hint == Remedy.CHOOSE_PLATFORM()


def test_an_index_has_no_schema1_manifest(schema1: Schema1Options) -> None:
    """Schema1 is of one platform."""
    index = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry:
        with pytest.raises(AmbiguousError, match="several") as caught:
            push_to(registry.host, index, "a/b:1", schema1=schema1)
        assert caught.value.hint == Remedy.CHOOSE_PLATFORM()
        assert registry.requests == []


# Dry run


def test_a_dry_run_says_what_would_happen_and_writes_nothing(image: Image) -> None:
    """Kept, mounted, sent, named; only HEAD requests."""
    with HostileRegistry() as registry:
        registry.add_blob("a/b", image.source.blobs[image.manifest.layers[0].digest])  # type: ignore[attr-defined]
        registry.add_blob("base", image.source.blobs[image.manifest.layers[1].digest])  # type: ignore[attr-defined]
        names = (Reference.parse(f"{registry.host}/a/b:1"),)
        options = PushOptions(mount_from=(Reference.parse(f"{registry.host}/base"),))
        with connect() as registries:
            steps = dry_run(registries, [Named(image, names)], options)
        assert [step.action for step in steps] == ["keep", "mount", "send", "send", "name"]
        assert steps[1].source == "base"
        assert {r.method for r in registry.requests} == {"HEAD"}


def test_a_dry_run_names_the_index_alone() -> None:
    """What it joins is sent, and gets no tag."""
    index = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry, connect() as registries:
        named = [Named(index, (Reference.parse(f"{registry.host}/a/b:1"),))]
        steps = dry_run(registries, named, PushOptions())
        name = f"{registry.host}/a/b"
        assert [(one.action, one.target) for one in steps][-3:] == [
            ("send", name),
            ("send", name),
            ("name", f"{name}:1"),
        ]
        assert [one.digest for one in steps[-3:]] == [
            *(one.document.descriptor.digest for one in index.members),
            index.document.descriptor.digest,
        ]


def test_a_dry_run_leaves_out_what_a_push_does() -> None:
    """A layer that is not to be distributed, unless it may be."""
    image = make_image(b"mine")
    (layer,) = image.manifest.layers
    kept = Descriptor(mediatype.DOCKER_FOREIGN_LAYER_GZIP, layer.digest, layer.size)
    manifest = build_manifest(image.manifest.config, [kept], mediatype.DOCKER_MANIFEST)
    held = Image(manifest, image.config, image.source)
    with HostileRegistry() as registry, connect() as registries:
        named = [Named(held, (Reference.parse(f"{registry.host}/a/b:1"),))]
        for foreign, action in ((False, "skip"), (True, "send")):
            steps = dry_run(registries, named, PushOptions(foreign=foreign))
            assert [step.action for step in steps] == [action, "send", "name"]


# Working in parallel


@pytest.mark.parametrize("jobs", [1, 4])
def test_blobs_go_at_the_same_time(jobs: int) -> None:
    """With four jobs, four uploads are open at once; with one, one is."""
    image = make_image(*(noise(50_000, seed) for seed in range(6)))
    running, peak, lock = 0, 0, threading.Lock()

    def count(exchange: faults.Exchange) -> bool:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return False

    with HostileRegistry() as registry:
        registry.misbehave("PUT", BLOB_PUT, count, times=None)
        push_to(registry.host, image, "a/b:1", jobs=jobs)
        assert registry.incomplete() == []
    assert peak == jobs


def test_the_first_failure_stops_everything() -> None:
    """The other uploads end too, and the error is the first one."""

    class Slow:
        def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
            for _ in range(descriptor.size):
                time.sleep(0.01)
                yield b"x"

    image = make_image(*(noise(2000, seed) for seed in range(3)))
    slow = Image(image.manifest, image.config, Slow())
    with HostileRegistry() as registry:
        registry.misbehave("POST", BLOB_PUT, faults.answer(403, "DENIED"), skip=2)
        began = time.monotonic()
        with pytest.raises(UnauthorizedError):
            push_to(registry.host, slow, "a/b:1")
        assert time.monotonic() - began < 5
        assert registry.content == {}


def test_tasks_after_a_failure_do_not_start() -> None:
    """What has not begun when something fails never begins."""
    begun: list[int] = []
    stop = Stop()

    def task(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise NotFoundError("gone")
        time.sleep(0.02)
        stop.check()

    with pytest.raises(NotFoundError, match="gone"):
        run_all([lambda n=n: task(n) for n in range(50)], 2, stop)  # type: ignore[misc]
    assert len(begun) < 6
    with pytest.raises(Cancelled):
        run_all([lambda: None], 1, stop)


def test_an_index_over_docker_manifests_arrives_as_it_is() -> None:
    """Documents are sent byte for byte, whatever their kind."""
    children = (make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    index = make_index(*children, oci=False)
    assert build_index(index.index.manifests, mediatype.DOCKER_INDEX).raw == index.index.raw
    with HostileRegistry() as registry:
        (pushed,) = push_to(registry.host, index, "a/b:1")
        assert (
            registry.repository("a/b").manifests[str(pushed.descriptor.digest)][1]
            == index.index.raw
        )


# Credentials on the way


class Known:
    """The hostile registry's own user, for that registry only."""

    def __init__(self, host: str) -> None:
        self.host = host

    def find(self, registry: str, repository: str) -> Credential | None:
        return Credential("user", "secret") if registry == self.host else None


def push_as_user(registry: HostileRegistry, image: Image, jobs: int = 1) -> None:
    """Push to a/b:1 with the right user and password."""
    options = SessionOptions(sleep=lambda seconds: None)
    name = Reference.parse(f"{registry.host}/a/b:1")
    with Registries(TransportOptions(), options, Known(registry.host)) as registries:
        RegistrySink(registries).write([Named(image, (name,))], jobs=jobs)


def test_a_token_that_runs_out_during_an_upload_is_replaced(image: Image) -> None:
    """A 401 for the PUT of a long layer: a new token, and the same bytes again."""
    with HostileRegistry(auth="bearer") as registry:

        def forget(exchange: faults.Exchange) -> bool:
            registry.tokens.clear()
            return False

        registry.misbehave("PUT", BLOB_PUT, forget)
        push_as_user(registry, image)
        assert registry.incomplete() == []
        assert [r.status for r in registry.sent("PUT", BLOB_PUT)].count(401) == 1


def test_giving_up_a_session_does_not_widen_the_token_for_the_push(image: Image) -> None:
    """Deleting an upload wants ``delete``; a token server may refuse a push that asks for it."""
    with HostileRegistry(auth="bearer", keep_sessions=True) as registry:

        def grudge(exchange: faults.Exchange) -> bool:
            scopes = exchange.record.query.get("scope", [])
            return any("delete" in s for s in scopes) and exchange.refuse(403, "DENIED")

        registry.misbehave("GET", "^/token", grudge, times=None)
        registry.misbehave("PUT", "uploads", faults.answer(503), times=2)
        push_as_user(registry, image)
        assert registry.repository("a/b").tags
        assert registry.incomplete() == []
        scopes = [s for r in registry.sent("GET", "^/token") for s in r.query["scope"]]
        assert scopes.count("repository:a/b:pull,push") == 1
        assert "repository:a/b:delete,pull,push" in scopes


def test_an_upload_on_another_origin_gets_no_credentials(image: Image) -> None:
    """A Location at another port is followed, as the specification allows, but without a word."""
    with HostileRegistry(auth="basic") as registry, HostileRegistry() as storage:

        def elsewhere(path: str) -> str:
            session = path.rpartition("/")[2].partition("?")[0]
            storage.uploads[session] = registry.uploads[session]
            return f"http://{storage.host}{path}"

        registry.habits.location = elsewhere
        storage.repositories, storage.content = registry.repositories, registry.content
        push_as_user(registry, image)
        assert len(storage.sent("PUT", BLOB_PUT)) == 4
        assert not any("authorization" in r.headers for r in storage.requests)
        assert all("authorization" in r.headers for r in registry.sent("PUT"))
        assert registry.incomplete() == []


def test_an_upload_location_that_asks_for_credentials_gets_none(image: Image) -> None:
    """A 401 of another origin is not answered."""
    with HostileRegistry(auth="basic") as registry, HostileRegistry(auth="basic") as thief:
        registry.habits.location = lambda path: f"http://{thief.host}{path}"
        with pytest.raises(UnauthorizedError):
            push_as_user(registry, image)
        assert thief.requests
        assert not any("authorization" in r.headers for r in thief.requests)


def test_a_token_server_that_fails_for_the_mounts_scope_costs_only_the_mount() -> None:
    """Docker Hub refuses the whole token when ``from`` does not exist."""
    with HostileRegistry(auth="bearer") as registry:
        image = make_image(b"1", annotations={BASE_NAME: f"{registry.host}/gone:1"})
        registry.misbehave("GET", "^/token.*gone", faults.answer(401), times=None)
        push_as_user(registry, image)
        assert registry.incomplete() == []


def test_no_ping_is_needed(image: Image) -> None:
    """``GET /v2/`` may well be a 404 page: the real requests have the challenge."""
    with HostileRegistry(auth="bearer") as registry:
        registry.misbehave("GET", "^/v2/$", faults.answer(404, body=b"<html>"), times=None)
        push_as_user(registry, image)
        assert registry.incomplete() == []


def test_a_challenge_that_only_the_ping_has_is_found(image: Image) -> None:
    """Google's registries answer 401 without WWW-Authenticate on the real URL."""
    with HostileRegistry(auth="basic") as registry:

        def bare(exchange: faults.Exchange) -> bool:
            if "authorization" in exchange.record.headers:
                return False
            return faults.answer(401)(exchange)

        def ping(exchange: faults.Exchange) -> bool:
            return faults.answer(401, WWW_Authenticate='Basic realm="x"')(exchange)

        registry.misbehave("HEAD|POST|PUT", "", bare, times=None)
        registry.misbehave("GET", "^/v2/$", ping, times=None)
        push_as_user(registry, image)
        assert registry.incomplete() == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_upload_is_not_followed(image: Image, status: int) -> None:
    """Unless it stays the same request; a body goes where the Location of the session says."""
    with HostileRegistry() as registry, HostileRegistry() as other:
        location = f"http://{other.host}/v2/a/b/blobs/uploads/"
        registry.misbehave("POST|PUT", "", faults.answer(status, Location=location), times=None)
        with pytest.raises(RegistryError):
            push_to(registry.host, image, "a/b:1")
        assert other.requests == []


@pytest.mark.parametrize("status", [307, 308])
def test_a_push_goes_where_all_of_it_is_redirected(image: Image, status: int) -> None:
    """A registry that moved: uploads and manifests arrive where it is now."""
    with HostileRegistry() as registry, HostileRegistry() as other:

        def moved(exchange: Exchange) -> bool:
            location = f"http://{other.host}{exchange.path}"
            return faults.answer(status, Location=location)(exchange)

        registry.misbehave("HEAD|GET|POST|PUT", "", moved, times=None)
        push_to(registry.host, image, "a/b:1")
        assert other.repository("a/b").tags == {"1": str(image.manifest.descriptor.digest)}
        assert other.incomplete() == []


@pytest.mark.parametrize("status", [400, 405, 406, 410, 415, 501])
def test_a_head_that_is_refused_decides_nothing(image: Image, status: int) -> None:
    """The upload that follows is what counts, whatever a GET says."""
    with HostileRegistry() as registry:
        registry.misbehave("HEAD", "/blobs/", faults.answer(status), times=None)
        push_to(registry.host, image, "a/b:1")
        assert registry.incomplete() == []
        registry.misbehave("HEAD|GET", "/blobs/", faults.answer(status), times=None)
        push_to(registry.host, image, "c/d:1")
        assert registry.incomplete() == []


def test_the_reason_that_a_head_cannot_carry_is_told(image: Image) -> None:
    """It is asked for once more, in a way that has a body."""
    with HostileRegistry() as registry:
        registry.misbehave(
            "HEAD|GET", "/blobs/", faults.answer(502, body=b"backend x is away"), times=None
        )
        with pytest.raises(RegistryError, match="backend x is away"):
            push_to(registry.host, image, "a/b:1", attempts=2)
        assert len(registry.sent("GET")) <= len(registry.sent("HEAD"))


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("pattern", [r"/blobs/", r"/manifests/"])
def test_one_stray_200_ends_no_push(image: Image, method: str, pattern: str) -> None:
    """A health check's answer in the place of the registry's."""
    stray = faults.answer(200, body=b"OK: Healthcheck requested", Content_Type="text/html")
    with HostileRegistry() as registry:
        registry.misbehave(method, pattern, stray)
        push_to(registry.host, image, "a/b:1")
        assert registry.incomplete() == []
        assert registry.repository("a/b").tags == {"1": str(image.manifest.descriptor.digest)}


@pytest.mark.parametrize(
    ("status", "immutable"),
    [
        *((status, True) for status in (400, 403, 405, 409, 412)),
        *((status, False) for status in (401, 404, 413, 422, 500, 503)),
    ],
)
def test_only_a_refusal_to_overwrite_is_fine_when_the_tag_says_the_same(
    image: Image, status: int, immutable: bool
) -> None:
    """Registries refuse an immutable tag in five ways; anything else is an error."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("PUT", MANIFEST_PUT, faults.answer(status), times=None)
        if immutable:
            assert push_to(registry.host, image, "a/b:1")
        else:
            with pytest.raises(ImgpackError, match=str(status)):
                push_to(registry.host, image, "a/b:1")


@pytest.mark.parametrize(
    ("status", "code", "explained"),
    [
        (400, "MANIFEST_INVALID", True),
        (415, "", True),
        (415, "UNSUPPORTED", True),
        (500, "", True),
        (500, "UNKNOWN", True),
        (500, "INTERNAL", False),
        (400, "TAG_INVALID", False),
        (403, "DENIED", False),
        (429, "TOOMANYREQUESTS", False),
        (503, "UNKNOWN", False),
    ],
)
def test_schema1_is_blamed_only_for_what_it_may_have_caused(
    image: Image, schema1: Schema1Options, status: int, code: str, explained: bool
) -> None:
    """Everything else keeps the registry's own words and no advice to leave it out."""
    with HostileRegistry() as registry:
        registry.misbehave("PUT", "/1-schema1$", faults.answer(status, code), times=None)
        with pytest.raises(ImgpackError) as caught:
            push_to(registry.host, image, "a/b:1", schema1=schema1)
    assert ("does not take schema1" in caught.value.message) is explained
    assert (caught.value.hint == Remedy.NO_SCHEMA1()) is explained
    assert str(status) in caught.value.message
