"""``imgpack inspect``, ``manifest`` and ``blob`` on references, against a real registry."""

import json
import re
import urllib.parse
import urllib.request

import pytest

from imgpack.api import Digest, Image
from imgpack.spec import mediatype
from imgpack.spec.schema1.payload import build_schema1
from imgpack.spec.schema1.signature import verify
from tests.cli_runner import InProcess
from tests.servers.distribution import Registry
from tests.store.samples import Memory, make_image, make_multi


def _send(url: str, body: bytes, kind: str, method: str) -> str:
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.headers.get("Location", ""))


def _push_blob(registry: Registry, repository: str, raw: bytes) -> None:
    start = f"http://{registry.host}/v2/{repository}/blobs/uploads/"
    place = urllib.parse.urljoin(start, _send(start, b"", mediatype.OCTET_STREAM, "POST"))
    digest = Digest.of(raw)
    _send(f"{place}&digest={digest}", raw, mediatype.OCTET_STREAM, "PUT")


def _push(registry: Registry, repository: str, tag: str, image: Image, source: Memory) -> None:
    for raw in source.blobs.values():
        _push_blob(registry, repository, raw)
    url = f"http://{registry.host}/v2/{repository}/manifests/{tag}"
    _send(url, image.manifest.raw, image.manifest.media_type, "PUT")


@pytest.fixture
def pushed(registry: Registry) -> tuple[Image, str]:
    """A docker-format image in the registry, and its reference."""
    source = Memory()
    image = make_image(source)
    _push(registry, "shown/one", "1", image, source)
    return image, f"{registry.host}/shown/one:1"


def test_a_reference_shows_what_an_archive_shows(
    pushed: tuple[Image, str], imgpack_here: InProcess
) -> None:
    """For people and for programs, and verified."""
    image, reference = pushed
    out = imgpack_here("inspect", "--verify", reference).ok().decode()
    assert out.startswith(reference)
    assert str(image.config.digest) in out
    assert "verified: 2 layers" in out
    document = json.loads(imgpack_here("inspect", "--json", reference).ok())
    assert document["images"][0]["manifest"] == image.manifest.descriptor.as_json()
    pinned = reference.rpartition(":")[0] + f"@{image.manifest.descriptor.digest}"
    assert str(image.config.digest) in imgpack_here("inspect", pinned).ok().decode()


def test_documents_are_those_of_the_registry(
    pushed: tuple[Image, str], imgpack_here: InProcess
) -> None:
    """The v2 manifest, the configuration, and the registry's own schema1 manifest, verified."""
    image, reference = pushed
    assert imgpack_here("manifest", reference).ok() == image.manifest.raw
    assert imgpack_here("manifest", "--config", reference).ok() == image.config.raw
    payload = build_schema1(image.manifest, image.config, "shown/one", "1").payload
    assert imgpack_here("manifest", "--schema1", "--unsigned", reference).ok() == payload
    assert verify(imgpack_here("manifest", "--schema1", reference).ok()).payload == payload


def test_one_blob_is_streamed(pushed: tuple[Image, str], imgpack_here: InProcess) -> None:
    """By its digest, with or without a tag before it."""
    image, reference = pushed
    layer = image.manifest.layers[0]
    raw = b"".join(image.source.read_blob(layer))
    assert imgpack_here("blob", f"{reference}@{layer.digest}").ok() == raw
    untagged = re.sub(r":1$", "", reference)
    assert imgpack_here("blob", f"{untagged}@{layer.digest}").ok() == raw
    missing = Digest.of(b"missing")
    assert str(missing) in imgpack_here("blob", f"{untagged}@{missing}").failed(20)


def test_a_platform_is_chosen_out_of_an_index(registry: Registry, imgpack_here: InProcess) -> None:
    """Without a choice the index itself is printed."""
    source = Memory()
    multi = make_multi(source, "linux/amd64", "linux/arm64/v8")
    for image in multi.members:
        _push(registry, "shown/multi", str(image.config.platform)[6:11], image, source)
    url = f"http://{registry.host}/v2/shown/multi/manifests/latest"
    _send(url, multi.index.raw, multi.index.media_type, "PUT")
    reference = f"{registry.host}/shown/multi"
    assert imgpack_here("manifest", reference).ok() == multi.index.raw
    chosen = imgpack_here("manifest", reference, "--platform", "linux/arm64").ok()
    assert chosen == multi.members[1].manifest.raw
    assert "linux/arm64/v8" in imgpack_here("inspect", reference).ok().decode()


def test_options_of_archives_are_refused_for_references(
    pushed: tuple[Image, str], imgpack_here: InProcess
) -> None:
    """Usage errors."""
    _, reference = pushed
    imgpack_here("inspect", reference, "--image", "x").failed(2)
    imgpack_here("manifest", reference, "--schema1", "--signing-key", "x").failed(2)


def test_a_missing_tag_is_named(registry: Registry, imgpack_here: InProcess) -> None:
    """With the code for what does not exist, and how to see what does."""
    reference = f"{registry.host}/shown/nothing:7"
    line = imgpack_here("inspect", reference).failed(20)
    assert "shown/nothing" in line
    assert line.endswith("; check the name; imgpack tags REPO lists those that are there")
