"""Reading images back: every byte verified, broken downloads continued, nothing believed."""

import contextlib
import gzip
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import (
    AnyImage,
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Index,
    Manifest,
    Named,
    Platform,
    Published,
    PushOptions,
    Reference,
    RegistrySink,
    Schema1Options,
    fetch_schema1,
    refuse_foreign,
)
from imgpack.errors import (
    DigestError,
    DocumentError,
    InvalidReferenceError,
    LimitError,
    NotFoundError,
    OutputError,
    RegistryError,
    SignatureError,
    UnreachableError,
    UnsupportedError,
)
from imgpack.files.blobs import verify_stream
from imgpack.files.pool import Stop, run_all
from imgpack.image.image import walk
from imgpack.image.plan import PlannedBlob, plan
from imgpack.registry.pull.download import RemoteSource, read_remote_blob
from imgpack.registry.pull.image import open_remote
from imgpack.registry.repository import Repository
from imgpack.spec import mediatype
from imgpack.spec.config import build_config
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.spec.schema1.signature import SigningKey, verify
from tests.registry import faults
from tests.registry.exchange import Exchange
from tests.registry.hostile import HostileRegistry, digest_of
from tests.registry.images import (
    MIB,
    Memory,
    connect,
    make_artifact,
    make_image,
    make_index,
    noise,
    push_to,
)

BLOB_GET = r"/blobs/sha256:"
MANIFEST_GET = r"/manifests/"
ANOTHER = "sha256:" + "0" * 64


class Received:
    """A sink in memory that verifies, and that can take several blobs at once."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.documents: tuple[Manifest | Index, ...] = ()
        self.names: tuple[Reference, ...] = ()
        self.lock = threading.Lock()
        self.running = self.peak = 0

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        planned = plan(images)
        blobs = (*planned.blobs, *planned.configs)
        run_all([partial(self._take, blob) for blob in blobs], jobs, Stop())
        self.documents = planned.documents
        self.names = images[-1].names
        return ()

    def _take(self, blob: PlannedBlob) -> None:
        with self.lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
        try:
            descriptor = blob.descriptor
            chunks = blob.source.read_blob(descriptor)
            verified = verify_stream(chunks, descriptor, str(descriptor.digest))
            self.blobs[descriptor.digest] = b"".join(verified)
        finally:
            with self.lock:
                self.running -= 1


@dataclass
class Pulled:
    """What came back."""

    image: AnyImage
    sink: Received


def pull(
    registry: HostileRegistry,
    name: str = "a/b:1",
    platform: str | None = None,
    *,
    attempts: int = 5,
    jobs: int = 4,
) -> Pulled:
    """Pull everything that ``name`` names."""
    wanted = None if platform is None else Platform.parse(platform)
    with connect(attempts=attempts) as registries:
        reference = Reference.parse(f"{registry.host}/{name}")
        named = open_remote(registries, reference).image(platform=wanted)
        sink = Received()
        sink.write([named], jobs=jobs)
        return Pulled(named.image, sink)


@pytest.fixture
def image() -> Image:
    """Three layers, one of 300,000 bytes."""
    return make_image(b"one" * 100, noise(300_000), b"three" * 100)


@pytest.mark.parametrize("oci", [False, True])
def test_what_was_pushed_comes_back(oci: bool) -> None:
    """Byte for byte: manifest, configuration and layers, Docker's and OCI's."""
    image = make_image(b"1", noise(100_000), oci=oci)
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        pulled = pull(registry)
        assert isinstance(pulled.image, Image)
        assert pulled.image.manifest.raw == image.manifest.raw
        assert pulled.image.config.raw == image.config.raw
        assert pulled.sink.documents[-1].raw == image.manifest.raw
        assert pulled.sink.names == (Reference.parse(f"{registry.host}/a/b:1"),)
        for layer in image.manifest.layers:
            expected = image.source.blobs[layer.digest]  # type: ignore[attr-defined]
            assert pulled.sink.blobs[layer.digest] == expected


def test_every_type_is_asked_for_by_its_name(image: Image) -> None:
    """Registries convert or hide what Accept does not name, and ``*/*`` names nothing."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        pull(registry)
        accept = registry.sent("GET", MANIFEST_GET)[0].headers["accept"]
        for kind in (*mediatype.MANIFESTS, *mediatype.INDEXES, *mediatype.SCHEMA1_TYPES):
            assert kind in accept
        assert "*" not in accept


def test_layers_come_at_the_same_time(image: Image) -> None:
    """As many as there are jobs."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        barrier = threading.Barrier(3, timeout=5)

        def together(exchange: faults.Exchange) -> bool:
            barrier.wait()
            return False

        layers = "|".join(layer.digest.hex for layer in image.manifest.layers)
        registry.misbehave("GET", layers, together, times=3)
        assert pull(registry, jobs=3).sink.peak == 3


# Interrupted downloads


@pytest.mark.parametrize("after", [1, 100_000, 299_999])
def test_a_truncated_download_goes_on_where_it_stopped(image: Image, after: int) -> None:
    """The rest is asked for by its range, and the whole is verified."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.requests.clear()
        registry.misbehave("GET", str(big.digest), faults.truncate(after))
        pull(registry)
        ranges = [r.headers.get("range") for r in registry.sent("GET", str(big.digest))]
        assert ranges == [None, f"bytes={after}-"]


def test_a_registry_without_ranges_sends_everything_again(image: Image) -> None:
    """200 instead of 206: what is known already is skipped."""
    big = image.manifest.layers[1]
    with HostileRegistry(ranges=False) as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", str(big.digest), faults.truncate(100_000))
        pulled = pull(registry)
        assert len(pulled.sink.blobs[big.digest]) == big.size


def test_many_breaks_are_no_reason_to_give_up_while_there_is_progress(image: Image) -> None:
    """Each attempt brings 70,000 bytes; two attempts without any would be the limit."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", str(big.digest), faults.truncate(70_000), times=None)
        pull(registry, attempts=2)
        assert len(registry.sent("GET", str(big.digest))) == 5


def test_a_download_without_progress_ends() -> None:
    """A registry that always breaks after nothing is given up."""
    image = make_image(noise(5000))
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave(
            "GET", str(image.manifest.layers[0].digest), faults.truncate(0), times=None
        )
        with pytest.raises(UnreachableError):
            pull(registry, attempts=3)
        assert len(registry.sent("GET", str(image.manifest.layers[0].digest))) <= 9


@pytest.mark.parametrize("told", ["bytes 0-9/10", "bytes 5-1/x", "", "bytes */300000", "bytes 7-"])
def test_a_part_is_appended_only_where_it_belongs(image: Image, told: str) -> None:
    """After a 206 with another Content-Range than asked for, the whole blob is fetched."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", str(big.digest), faults.truncate(100_000))
        registry.misbehave("GET", str(big.digest), faults.altered(Content_Range=told), skip=1)
        pull(registry)
        asked = [r.headers.get("range") for r in registry.sent("GET", str(big.digest))]
        assert asked == [None, "bytes=100000-", None]


@pytest.mark.parametrize("status", [400, 405, 416, 501])
def test_where_no_part_is_given_the_whole_blob_is_fetched(image: Image, status: int) -> None:
    """Ranges are optional, so refusing one says nothing of the blob."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", str(big.digest), faults.truncate(100_000))
        registry.misbehave("GET", str(big.digest), faults.answer(status), skip=1)
        assert len(pull(registry).sink.blobs[big.digest]) == big.size


def test_a_manifest_that_is_compressed_unasked_is_named_as_that(image: Image) -> None:
    """A proxy does such things; a header that is not true does no harm."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", MANIFEST_GET, faults.altered(Content_Encoding="gzip"))
        assert pull(registry).image.document.raw == image.manifest.raw
        compressed = faults.answer(
            200, body=gzip.compress(image.manifest.raw), Content_Encoding="gzip"
        )
        registry.misbehave("GET", MANIFEST_GET, compressed)
        with pytest.raises(RegistryError, match="Content-Encoding 'gzip'"):
            pull(registry)


def test_a_size_that_head_does_not_tell_is_asked_for_by_get(image: Image) -> None:
    """Nothing has to be told to a HEAD, not even that it is allowed."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry, connect() as registries:
        push_to(registry.host, image, "a/b:1")
        client = Repository(registries.session(registry.host), "a/b")
        for status in (403, 405, 410, 501):
            registry.misbehave("HEAD", str(big.digest), faults.answer(status))
            assert client.blob_size(big.digest) == big.size


# Wrong content


def test_wrong_bytes_of_the_right_length_are_found_out(image: Image) -> None:
    """The digest of a layer is checked while it streams."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.content[str(big.digest)] = b"\0" * big.size
        with pytest.raises(DigestError, match=str(big.digest)):
            pull(registry)


@pytest.mark.parametrize("change", [-1, 1, -300_000, 300_000])
def test_a_wrong_length_is_found_out_at_once(image: Image, change: int) -> None:
    """Content-Length is compared with the manifest's size before the body is read."""
    big = image.manifest.layers[1]
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        wrong = (registry.content[str(big.digest)] * 2)[: big.size + change]
        registry.content[str(big.digest)] = wrong
        with pytest.raises(DigestError):
            pull(registry)


@pytest.mark.parametrize("pattern", [BLOB_GET, MANIFEST_GET])
def test_an_endless_body_ends(image: Image, pattern: str) -> None:
    """Neither a blob nor a document is read beyond its bound."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", pattern, faults.endless(), times=None)
        with pytest.raises((DigestError, RegistryError)):
            pull(registry)


def test_a_wrong_configuration_is_found_out(image: Image) -> None:
    """Its digest is in the manifest."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        config = image.manifest.config
        registry.content[str(config.digest)] = b"{" + b" " * (config.size - 2) + b"}"
        with pytest.raises(DigestError):
            pull(registry)


def test_a_pinned_digest_is_checked(image: Image) -> None:
    """A registry that answers another manifest for a digest is refused."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        pinned = f"a/b@{image.manifest.descriptor.digest}"
        assert pull(registry, pinned).sink.names == ()
        other = make_image(b"other").manifest
        registry.misbehave(
            "GET",
            MANIFEST_GET,
            faults.answer(200, body=other.raw, Content_Type=other.media_type),
            times=None,
        )
        with pytest.raises(DigestError):
            pull(registry, pinned)


def test_a_tag_beside_a_digest_does_not_weaken_it(image: Image) -> None:
    """``REPO:TAG@DIGEST`` means the digest."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        push_to(registry.host, make_image(b"other"), "a/b:2")
        pulled = pull(registry, f"a/b:2@{image.manifest.descriptor.digest}")
        assert pulled.sink.documents[-1].raw == image.manifest.raw


def test_the_digest_header_of_a_tag_is_compared(image: Image) -> None:
    """A stated digest that is not the body's is an error."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave(
            "GET", MANIFEST_GET, faults.altered(Docker_Content_Digest=ANOTHER), times=None
        )
        with pytest.raises(DigestError):
            pull(registry)


@pytest.mark.parametrize("told", [" ", "blake3:" + "a" * 64, "../../etc", "sha256", ":"])
def test_a_digest_header_of_no_known_algorithm_is_as_good_as_none(image: Image, told: str) -> None:
    """It is optional, and the bytes are checked without it."""
    with HostileRegistry() as registry:
        altered = faults.altered(Docker_Content_Digest=told)
        registry.misbehave("GET|HEAD|PUT", "", altered, times=None)
        push_to(registry.host, image, "a/b:1")
        assert pull(registry).image.document.raw == image.manifest.raw


def test_a_digest_header_of_a_known_algorithm_has_to_be_right(image: Image) -> None:
    """What begins like a digest and is none says something else, too."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave(
            "GET", MANIFEST_GET, faults.altered(Docker_Content_Digest="sha256:etc"), times=None
        )
        with pytest.raises(DigestError):
            pull(registry)


def manifest_json(image: Image, **changes: object) -> bytes:
    """The image's manifest with other members."""
    document: dict[str, Any] = json.loads(image.manifest.raw)
    document |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"manifests": []},
        {"fsLayers": []},
        {"history": []},
        {"signatures": []},
        {"Layers": []},
        {"mediaType": mediatype.OCI_INDEX},
        {"mediaType": "text/html"},
        {"schemaVersion": 1},
        {"layers": None},
        {"layers": "x"},
        {"config": []},
    ],
    ids=str,
)
def test_ambiguous_manifests_are_refused(image: Image, changes: dict[str, object]) -> None:
    """A body that could be read as two kinds of document is neither."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        raw = manifest_json(image, **changes)
        registry.add_manifest("a/b", raw, image.manifest.media_type, "bad")
        with pytest.raises((DocumentError, SignatureError)):
            pull(registry, "a/b:bad")


def test_a_manifest_is_what_its_content_type_says(image: Image) -> None:
    """``mediaType`` in the body and Content-Type must be the same."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.add_manifest("a/b", image.manifest.raw, mediatype.OCI_MANIFEST, "bad")
        with pytest.raises(DocumentError, match="served as"):
            pull(registry, "a/b:bad")


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../etc/passwd", "sha256:ABC", "md5:" + "0" * 31, "sha256:" + "0" * 63, ""],
)
def test_a_digest_is_checked_before_it_enters_a_url(image: Image, digest: str) -> None:
    """A layer's digest cannot lead to another path (CVE-2024-3727)."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.requests.clear()
        layer = {"mediaType": mediatype.DOCKER_LAYER_GZIP, "size": 1, "digest": digest}
        raw = manifest_json(image, layers=[layer])
        registry.add_manifest("a/b", raw, image.manifest.media_type, "bad")
        with pytest.raises(DocumentError):
            pull(registry, "a/b:bad")
        assert len(registry.requests) == 1


def test_a_manifest_of_five_mebibytes_is_too_large(image: Image) -> None:
    """Documents are bounded, and the bound fails rather than cuts."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        raw = image.manifest.raw + b" " * (5 << 20)
        registry.add_manifest("a/b", raw, image.manifest.media_type, "big")
        with pytest.raises((RegistryError, LimitError)):
            pull(registry, "a/b:big")


def test_a_configuration_that_claims_to_be_huge_is_not_fetched(image: Image) -> None:
    """Nothing is allocated by a claimed size."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        config = image.manifest.config.as_json() | {"size": 1 << 40}
        raw = manifest_json(image, config=config)
        registry.add_manifest("a/b", raw, image.manifest.media_type, "bad")
        with pytest.raises(LimitError):
            pull(registry, "a/b:bad")


def test_an_index_of_many_large_documents_is_refused() -> None:
    """Each is within its bound; together they would fill the memory."""
    with HostileRegistry() as registry:
        entries = []
        for number in range(10):
            image = make_image(b"x", platform=f"linux/amd64/v{number}")
            push_to(registry.host, image, "a/b:1")
            padded = image.manifest.raw.ljust(4 * MIB)
            digest = registry.add_manifest("a/b", padded, image.manifest.media_type)
            entries.append(Descriptor(image.manifest.media_type, Digest.parse(digest), len(padded)))
        index = build_index(entries, mediatype.DOCKER_INDEX)
        registry.add_manifest("a/b", index.raw, index.media_type, "many")
        with connect() as registries, pytest.raises(LimitError, match="platform"):
            open_remote(registries, Reference.parse(f"{registry.host}/a/b:many")).image()


def test_a_foreign_layer_is_refused_and_its_url_not_fetched() -> None:
    """Nothing is fetched from where a manifest says, least of all with credentials."""
    with HostileRegistry() as registry:
        foreign = Descriptor(
            mediatype.DOCKER_FOREIGN_LAYER_GZIP,
            Digest.of(b"f"),
            1,
            urls=(f"http://{registry.host}/secret",),
        )
        config = build_config(Platform(), [Digest.of(b"g")], [], created="2020-01-01T00:00:00Z")
        registry.add_blob("a/b", config.raw)
        manifest = build_manifest(
            Descriptor(mediatype.DOCKER_CONFIG, config.digest, len(config.raw)),
            [foreign],
            mediatype.DOCKER_MANIFEST,
        )
        registry.add_manifest("a/b", manifest.raw, manifest.media_type, "1")
        with connect() as registries:
            opened = open_remote(registries, Reference.parse(f"{registry.host}/a/b:1"))
            with pytest.raises(UnsupportedError, match="foreign layer"):
                refuse_foreign(opened.image().image, "a/b:1")
            with pytest.raises(UnsupportedError, match="foreign layer"):
                list(opened.read_blob(foreign))
        assert not registry.sent("GET", "secret")


def add_foreign(registry: HostileRegistry, image: Image, media_type: str) -> Descriptor:
    """``a/b:1`` is ``image``, its first layer foreign; the registry holds it all the same."""
    push_to(registry.host, image, "a/b:plain")
    layers = [layer.as_json() for layer in image.manifest.layers]
    layers[0] |= {"mediaType": media_type, "urls": [f"http://{registry.host}/secret"]}
    raw = manifest_json(image, layers=layers)
    registry.add_manifest("a/b", raw, image.manifest.media_type, "1")
    return image.manifest.layers[0]


@pytest.mark.parametrize(
    "media_type",
    [
        mediatype.DOCKER_FOREIGN_LAYER_GZIP,
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ],
)
def test_a_foreign_layer_that_the_registry_holds_is_pulled(image: Image, media_type: str) -> None:
    """Its type says where else it may be, and not that it is not here."""
    with HostileRegistry() as registry, connect() as registries:
        foreign = add_foreign(registry, image, media_type)
        named = open_remote(registries, Reference.parse(f"{registry.host}/a/b:1")).image()
        refuse_foreign(named.image, "a/b:1")
        assert foreign.digest in {blob.descriptor.digest for blob in plan([named]).blobs}
        assert len(pull(registry).sink.blobs[foreign.digest]) == foreign.size
        assert not registry.sent("GET", "secret")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_foreign_layer_is_sent_only_where_that_is_allowed(image: Image, allowed: bool) -> None:
    """What is not to be distributed is sent to nobody unasked; what is there is there."""
    with HostileRegistry() as registry, HostileRegistry() as other, connect() as registries:
        foreign = add_foreign(registry, image, mediatype.DOCKER_FOREIGN_LAYER_GZIP)
        named = open_remote(registries, Reference.parse(f"{registry.host}/a/b:1")).image()
        for name in ("c/d", "a/b"):
            target = Named(named.image, (Reference.parse(f"{other.host}/{name}:1"),))
            RegistrySink(registries, PushOptions(foreign=allowed)).write([target])
            assert (str(foreign.digest) in other.repository(name).blobs) is allowed
            assert other.repository(name).tags.keys() == {"1"}


def test_an_urls_member_of_an_ordinary_layer_is_not_used(image: Image) -> None:
    """Only the registry is asked, whatever ``urls`` says."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        layers = [x.as_json() for x in image.manifest.layers]
        layers[0]["urls"] = [f"http://{registry.host}/secret"]
        raw = manifest_json(image, layers=layers)
        registry.add_manifest("a/b", raw, image.manifest.media_type, "u")
        pull(registry, "a/b:u")
        assert not registry.sent("GET", "secret")


def test_what_is_not_there_is_not_found() -> None:
    """With the name in the message."""
    with HostileRegistry() as registry, pytest.raises(NotFoundError, match="a/b"):
        pull(registry)


# Indexes


def platforms(*names: str) -> ImageIndex:
    """An index with an image for each platform."""
    return make_index(*(make_image(name.encode(), platform=name) for name in names))


def test_an_index_comes_whole_or_one_platform_of_it() -> None:
    """Without a platform everything, with one that image, under the same name."""
    index = platforms("linux/amd64", "linux/arm64", "linux/arm/v7")
    with HostileRegistry() as registry:
        push_to(registry.host, index, "a/b:1")
        whole = pull(registry)
        assert isinstance(whole.image, ImageIndex)
        assert whole.sink.documents[-1].raw == index.index.raw
        assert len(whole.sink.documents) == 4
        registry.requests.clear()
        one = pull(registry, platform="linux/arm64")
        assert isinstance(one.image, Image)
        assert one.image.manifest.raw == index.members[1].manifest.raw
        assert one.sink.names == (Reference.parse(f"{registry.host}/a/b:1"),)
        assert len(registry.sent("GET", MANIFEST_GET)) == 2


def test_a_platform_that_is_not_there_is_told_with_those_that_are() -> None:
    """The error is a choice."""
    with HostileRegistry() as registry:
        push_to(registry.host, platforms("linux/amd64", "linux/arm64"), "a/b:1")
        with pytest.raises(NotFoundError, match=r"linux/s390x.*linux/amd64, linux/arm64"):
            pull(registry, platform="linux/s390x")


def test_the_platform_of_a_single_image_is_checked_too(image: Image) -> None:
    """A wish for another platform is not answered with the wrong image."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        assert pull(registry, platform="linux/amd64").image
        with pytest.raises(NotFoundError, match="linux/amd64"):
            pull(registry, platform="linux/arm64")


def test_an_index_that_states_no_platforms_is_looked_into() -> None:
    """The configurations tell what the index does not."""
    images = [make_image(name.encode(), platform=name) for name in ("linux/amd64", "linux/arm64")]
    entries = [image.manifest.descriptor for image in images]
    index = ImageIndex(build_index(entries), tuple(images))
    with HostileRegistry() as registry:
        push_to(registry.host, index, "a/b:1")
        pulled = pull(registry, platform="linux/arm64")
        assert isinstance(pulled.image, Image)
        assert pulled.image.config.raw == images[1].config.raw


@pytest.mark.parametrize(
    "changes", [{"size": 1}, {"mediaType": mediatype.OCI_MANIFEST}, {"size": 1 << 40}], ids=str
)
def test_what_an_index_says_of_its_manifests_is_checked(changes: Mapping[str, object]) -> None:
    """Size and type of a child are those of its bytes."""
    index = platforms("linux/amd64")
    entry = index.index.manifests[0].as_json() | changes
    raw = json.dumps(
        {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [entry]}
    ).encode()
    with HostileRegistry() as registry:
        push_to(registry.host, index, "a/b:1")
        registry.add_manifest("a/b", raw, mediatype.OCI_INDEX, "bad")
        with pytest.raises((DigestError, DocumentError, LimitError)):
            pull(registry, "a/b:bad")


def add_signed_index(registry: HostileRegistry, image: Image) -> Index:
    """Put an index of ``image`` and of an artifact that is no image at a:signed."""
    push_to(registry.host, image, "a:1")
    config = Digest.parse(registry.add_blob("a", b"{}"))
    part = Digest.parse(registry.add_blob("a", b"signature"))
    artifact = build_manifest(
        Descriptor("application/vnd.oci.empty.v1+json", config, 2),
        [Descriptor("application/x.signature", part, 9)],
        mediatype.OCI_MANIFEST,
    )
    registry.add_manifest("a", artifact.raw, artifact.media_type)
    described = replace(image.manifest.descriptor, platform=image.config.platform)
    index = build_index([described, artifact.descriptor])
    registry.add_manifest("a", index.raw, index.media_type, "signed")
    return index


def test_what_is_no_image_in_an_index_is_carried_along() -> None:
    """A signature beside the images arrives with them, byte for byte, blob for blob."""
    image = make_image(b"one", oci=True)
    with HostileRegistry() as registry, connect() as registries:
        index = add_signed_index(registry, image)
        whole = open_remote(registries, Reference.parse(f"{registry.host}/a:signed")).image()
        (pushed,) = push_to(registry.host, whole.image, "b:1", mounts=False)
        assert pushed.descriptor.digest == index.descriptor.digest
        assert registry.incomplete() == []
        assert registry.repository("b").blobs == registry.repository("a").blobs


def test_what_is_no_image_in_an_index_is_for_no_platform() -> None:
    """Nor is it offered as one."""
    image = make_image(b"one", oci=True)
    with HostileRegistry() as registry:
        add_signed_index(registry, image)
        assert pull(registry, "a:signed", "linux/amd64").image
        with pytest.raises(NotFoundError) as caught:
            pull(registry, "a:signed", "linux/s390x")
        assert "unknown" not in str(caught.value)
        assert "linux/amd64" in str(caught.value)


def test_indexes_within_indexes_end() -> None:
    """One platform can be reached through a few of them, not through any number."""
    inner = platforms("linux/amd64")
    with HostileRegistry() as registry:
        push_to(registry.host, inner, "a/b:1")
        document: Index = inner.index
        for depth in range(1, 6):
            entry = Descriptor(
                document.media_type,
                document.descriptor.digest,
                document.descriptor.size,
                platform=Platform(),
            )
            document = build_index([entry])
            registry.add_manifest("a/b", document.raw, document.media_type, f"deep{depth}")
        assert pull(registry, "a/b:deep1", "linux/amd64").image
        whole = pull(registry, "a/b:deep1")
        assert [one.media_type for one in whole.sink.documents[1:]] == [mediatype.OCI_INDEX] * 2
        for platform in ("linux/amd64", None):
            with pytest.raises(LimitError, match="nested"):
                pull(registry, "a/b:deep5", platform)


def test_an_index_with_an_index_and_artifacts_comes_back_whole() -> None:
    """Byte for byte, every document and every blob, however deep; one platform of it too."""
    inner = make_index(make_image(b"1", oci=True), make_artifact(b"note"))
    arm = make_image(b"2", platform="linux/arm64", oci=True)
    outer = make_index(make_artifact(b"chart"), inner, arm)
    with HostileRegistry() as registry:
        push_to(registry.host, outer, "a/b:1")
        pulled = pull(registry)
        assert [one.document.raw for one in walk(pulled.image)] == [
            one.document.raw for one in walk(outer)
        ]
        assert {str(digest) for digest in pulled.sink.blobs} == registry.repository("a/b").blobs
        for name, wanted in (("linux/amd64", inner.members[0]), ("linux/arm64", arm)):
            one = pull(registry, platform=name).image
            assert isinstance(one, Image)
            assert one.document.raw == wanted.document.raw


def test_an_artifact_comes_back_as_it_is() -> None:
    """A chart is no image, has no platform, and is carried byte for byte."""
    chart = make_artifact(b"templates")
    with HostileRegistry() as registry:
        push_to(registry.host, chart, "charts/web:1")
        pulled = pull(registry, "charts/web:1")
        assert isinstance(pulled.image, Artifact)
        assert pulled.image.type == "application/vnd.example.chart+json"
        assert pulled.image.manifest.raw == chart.manifest.raw
        assert pulled.sink.blobs == chart.source.blobs  # type: ignore[attr-defined]
        with pytest.raises(NotFoundError):
            pull(registry, "charts/web:1", "linux/amd64")


def test_a_member_of_no_stated_type_is_what_it_was_served_as() -> None:
    """Where the index is silent, the registry and the body must still agree."""
    image = make_image(b"one")
    entry = image.manifest.descriptor.as_json() | {"mediaType": ""}
    raw = json.dumps(
        {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [entry]}
    ).encode()
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.add_manifest("a/b", raw, mediatype.OCI_INDEX, "silent")
        assert pull(registry, "a/b:silent").sink.documents[0].raw == image.manifest.raw
        registry.add_manifest("a/b", image.manifest.raw, mediatype.OCI_MANIFEST)
        with pytest.raises(DocumentError, match="served as"):
            pull(registry, "a/b:silent")


# Schema1


@pytest.fixture
def schema1() -> Schema1Options:
    """A throw-away key and a fixed time."""
    return Schema1Options(SigningKey.generate(), "2020-01-01T00:00:00Z")


def test_a_schema1_image_is_converted(schema1: Schema1Options) -> None:
    """The layers and their diff_ids are those of the image that it was made from."""
    image = make_image(b"one", noise(5000), empty=True)
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=schema1)
        pulled = pull(registry, "a/b:1-schema1")
        assert isinstance(pulled.image, Image)
        assert pulled.image.config.diff_ids == image.config.diff_ids
        assert [x.digest for x in pulled.image.manifest.layers] == [
            x.digest for x in image.manifest.layers
        ]
        assert [h.empty_layer for h in pulled.image.config.history] == [False, False, True]
        assert pulled.image.manifest.media_type == mediatype.DOCKER_MANIFEST
        for layer in image.manifest.layers:
            assert layer.digest in pulled.sink.blobs


def test_the_layers_of_a_schema1_image_share_one_file(schema1: Schema1Options) -> None:
    """However many there are, they do not use up the files that a process may open.

    The documents that are made for them are blobs like any other.
    """
    image = make_image(*(b"layer %d" % number for number in range(12)))
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=schema1)
        with connect() as registries:
            name = Reference.parse(f"{registry.host}/a/b:1-schema1")
            before = _nameless_files()
            opened = open_remote(registries, name)
            assert _nameless_files() == before + 1
            made = opened.document()
            assert isinstance(made, Manifest)
            for document in (made.descriptor, made.config):
                assert Digest.of(b"".join(opened.read_blob(document))) == document.digest
            sink = Received()
            sink.write([opened.image()], jobs=4)
        assert [sink.blobs[x.digest] for x in image.manifest.layers] == [
            registry.content[str(x.digest)] for x in image.manifest.layers
        ]


def _nameless_files() -> int:
    """How many open files have no name any more."""
    links = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{entry}"))
    return sum(link.endswith(" (deleted)") for link in links)


def test_a_schema1_image_needs_room_for_its_layers(schema1: Schema1Options, tmp_path: Path) -> None:
    """The error says which variable chooses another place."""
    image = make_image(b"one")
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=schema1)
        reference = Reference.parse(f"{registry.host}/a/b:1-schema1")
        with (
            connect() as registries,
            pytest.raises(OutputError, match=r"temporary file in .*/missing: No such.*TMPDIR"),
        ):
            open_remote(registries, reference, scratch=lambda: str(tmp_path / "missing"))


def test_a_flipped_byte_in_schema1_is_found_out(schema1: Schema1Options) -> None:
    """Before any layer is fetched."""
    image = make_image(b"one")
    with HostileRegistry() as registry:
        _, signed = push_to(registry.host, image, "a/b:1", schema1=schema1)
        kind, raw = registry.repository("a/b").manifests[str(signed.descriptor.digest)]
        registry.repository("a/b").manifests[str(signed.descriptor.digest)] = (
            kind,
            raw.replace(b"amd64", b"amd65", 1),
        )
        registry.requests.clear()
        with pytest.raises(SignatureError):
            pull(registry, "a/b:1-schema1")
        assert registry.sent("GET", BLOB_GET) == []


def test_a_wrong_layer_of_a_schema1_image_is_found_out(schema1: Schema1Options) -> None:
    """Its blob sum is the digest that is checked."""
    image = make_image(noise(5000))
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=schema1)
        layer = image.manifest.layers[0]
        registry.content[str(layer.digest)] = b"\0" * layer.size
        with pytest.raises(DigestError, match=str(layer.digest)):
            pull(registry, "a/b:1-schema1")


def test_a_layer_of_a_schema1_image_that_is_a_bomb_is_refused(schema1: Schema1Options) -> None:
    """More than gzip can ever expand is not unpacked to the end."""
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(64 * MIB))
    digest = Digest.of(bomb)
    plain = make_image(b"one")
    layer = Descriptor(mediatype.DOCKER_LAYER_GZIP, digest, len(bomb))
    manifest = build_manifest(plain.manifest.config, [layer], mediatype.DOCKER_MANIFEST)
    image = Image(manifest, plain.config, Memory({digest: bomb}))
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", schema1=schema1)
        with pytest.raises(LimitError, match="decompresses"):
            pull(registry, "a/b:1-schema1")


def test_a_schema1_manifest_is_fetched_by_its_payloads_digest(schema1: Schema1Options) -> None:
    """What is signed has its digest without the signature."""
    with HostileRegistry() as registry:
        _, signed = push_to(registry.host, make_image(b"1"), "a/b:1", schema1=schema1)
        with connect() as registries:
            reference = Reference.parse(f"{registry.host}/a/b@{signed.descriptor.digest}")
            raw = fetch_schema1(registries, reference)
        assert verify(raw).digest == signed.descriptor.digest
        accept = registry.sent("GET", MANIFEST_GET)[0].headers["accept"]
        assert mediatype.SCHEMA1_SIGNED in accept
        assert mediatype.DOCKER_MANIFEST not in accept


def test_a_registry_that_answers_no_schema1_is_told_so(image: Image) -> None:
    """Asked for schema1, many registries answer what they have."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        with connect() as registries, pytest.raises(UnsupportedError, match="no schema1"):
            fetch_schema1(registries, Reference.parse(f"{registry.host}/a/b:1"))


# Single blobs


def test_a_blob_is_streamed_verified(image: Image) -> None:
    """By its digest; a wrong one ends with an error."""
    layer = image.manifest.layers[1]
    with HostileRegistry() as registry, connect() as registries:
        push_to(registry.host, image, "a/b:1")
        reference = Reference.parse(f"{registry.host}/a/b@{layer.digest}")
        data = b"".join(read_remote_blob(registries, reference))
        assert digest_of(data) == str(layer.digest)
        registry.content[str(layer.digest)] = b"other"
        with pytest.raises(DigestError):
            list(read_remote_blob(registries, reference))
        with pytest.raises(InvalidReferenceError, match="digest"):
            read_remote_blob(registries, reference.with_tag("1"))


def test_a_resumed_download_that_sends_too_much_is_found_out(image: Image) -> None:
    """No byte beyond the declared ones is handed on, whatever the range says."""
    big = image.manifest.layers[1]

    def generous(exchange: Exchange) -> bool:
        data = exchange.registry.content[str(big.digest)]
        told = {"Content-Range": f"bytes 100000-{big.size - 1}/{big.size}"}
        return exchange.answer(206, told, data[100_000:] + b"x" * 100_000)

    got = bytearray()
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1")
        registry.misbehave("GET", str(big.digest), faults.truncate(100_000))
        registry.misbehave("GET", str(big.digest), generous, times=None)
        with connect() as registries:
            source = RemoteSource(Repository(registries.session(registry.host), "a/b"))
            with pytest.raises(DigestError, match="sends more than the"):
                for piece in source.read_blob(big):
                    got += piece
        blob = registry.content[str(big.digest)]
    assert 100_000 <= len(got) <= big.size
    assert blob.startswith(got)
