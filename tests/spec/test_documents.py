"""Manifests, indexes and configurations: there and back, and what is refused with which reason."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imgpack.api import Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Runtime
from imgpack.errors import DocumentError, LimitError, about
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config, rfc3339
from imgpack.spec.descriptor import MAX_SIZE
from imgpack.spec.json import encode
from imgpack.spec.manifest import build_index, build_manifest, parse_document
from tests import strategies

VECTOR = (Path(__file__).parent.parent / "data" / "schema2-manifest.json").read_bytes()
ONE = Digest.of(b"one")
CONFIG = Descriptor(mediatype.DOCKER_CONFIG, ONE, 3)
LAYER = Descriptor(mediatype.DOCKER_LAYER_GZIP, ONE, 3)
MANIFEST: dict[str, Any] = json.loads(
    build_manifest(CONFIG, [LAYER], mediatype.DOCKER_MANIFEST).raw
)
INDEX: dict[str, Any] = json.loads(build_index([CONFIG], mediatype.OCI_INDEX).raw)
IMAGE: dict[str, Any] = json.loads(
    build_config(Platform(), [ONE], [History("", "a")], created="2026-01-02T03:04:05Z").raw
)


@given(strategies.manifests())
def test_a_manifest_survives_being_parsed(manifest: Manifest) -> None:
    """What was built is what is parsed, from the raw bytes alone."""
    assert Manifest.parse(manifest.raw) == manifest
    assert Manifest.parse(manifest.raw, manifest.media_type) == manifest
    assert parse_document(manifest.raw) == manifest
    assert manifest.descriptor.digest == Digest.of(manifest.raw)


@given(strategies.indexes())
def test_an_index_survives_being_parsed(index: Index) -> None:
    """Platforms, annotations and all."""
    assert Index.parse(index.raw) == index
    assert parse_document(index.raw, index.media_type) == index
    assert index.descriptor.size == len(index.raw)


@given(strategies.configs())
def test_a_configuration_survives_being_parsed(config: ImageConfig) -> None:
    """The raw bytes hold everything."""
    assert ImageConfig.parse(config.raw) == config
    assert config.digest == Digest.of(config.raw)


def test_a_document_has_the_digest_that_it_was_named_by() -> None:
    """Of whatever algorithm; sha256 where nothing is said."""
    raw = encode(MANIFEST)
    sha512 = Digest("sha512", hashlib.sha512(raw).hexdigest())
    for parse in (Manifest.parse, parse_document):
        manifest = parse(raw, "", sha512)
        assert manifest.descriptor == Descriptor(mediatype.DOCKER_MANIFEST, sha512, len(raw))
    assert Index.parse(encode(INDEX), digest=ONE).descriptor.digest == ONE
    assert ImageConfig.parse(encode(IMAGE), ONE).digest == ONE
    assert ImageConfig.parse(encode(IMAGE)).digest == Digest.of(encode(IMAGE))


def test_a_manifest_of_no_image_is_known_by_its_configuration() -> None:
    """Charts, signatures and attestations; what they say they are is kept."""
    assert Manifest.parse(encode(MANIFEST)).is_image
    chart = MANIFEST["config"] | {"mediaType": "application/vnd.cncf.helm.config.v1+json"}
    obj = MANIFEST | {"config": chart, "mediaType": mediatype.OCI_MANIFEST}
    bare = Manifest.parse(encode(obj))
    assert (bare.is_image, bare.artifact_type) == (False, "")
    said = Manifest.parse(encode(obj | {"artifactType": "application/vnd.x", "subject": chart}))
    assert (said.is_image, said.artifact_type) == (False, "application/vnd.x")


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_written_in_utc_and_read_back(moment: datetime) -> None:
    """With four digits of the year, and a fraction only where there is one."""
    assume(datetime(1, 1, 3) < moment.replace(tzinfo=None) < datetime(9999, 12, 29))
    text = rfc3339(moment)
    assert datetime.fromisoformat(text) == moment.astimezone(UTC)
    assert text.endswith("Z") and text[4] == "-" and ("." in text) == bool(moment.microsecond)
    assert "." not in text or not text.endswith("0Z")


@given(strategies.runtimes())
def test_what_is_not_set_is_not_written(runtime: Runtime) -> None:
    """An empty field has no key, but an emptied entrypoint or command has."""
    obj = runtime.as_json()
    assert ("Entrypoint" in obj) == (runtime.entrypoint is not None)
    assert ("Cmd" in obj) == (runtime.cmd is not None)
    assert all(value for key, value in obj.items() if key not in ("Entrypoint", "Cmd"))


def test_the_users_manifest_is_read_and_keeps_its_digest() -> None:
    """The v2 vector: seven layers, its bytes untouched."""
    manifest = Manifest.parse(VECTOR, mediatype.DOCKER_MANIFEST)
    assert manifest.raw == VECTOR
    assert len(manifest.layers) == 7
    assert manifest.config.size == 4071
    assert str(manifest.layers[6].digest).startswith("sha256:a944fc40555a13bb")
    assert manifest.descriptor == Descriptor(
        mediatype.DOCKER_MANIFEST,
        Digest.parse("sha256:98777f8b9ed8c5651a2b105cc1868672b3c0ce7e840ccf8866aac42b79956c4d"),
        1771,
    )


def test_a_manifest_built_from_the_users_has_the_same_fields_in_the_same_order() -> None:
    """Only the white space differs."""
    manifest = Manifest.parse(VECTOR)
    built = build_manifest(manifest.config, manifest.layers, manifest.media_type)
    assert json.dumps(json.loads(built.raw)) == json.dumps(json.loads(VECTOR))
    assert json.dumps(json.loads(built.raw), indent=3).encode() == VECTOR.rstrip(b"\n")


def _refusal(obj: Any, media_type: str = "") -> str:
    with pytest.raises(DocumentError) as caught, about("x.y/a:b"):
        parse_document(encode(obj), media_type)
    assert caught.value.message.startswith("x.y/a:b: ")
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"manifests": []}, "ambiguous"),
        ({"fsLayers": []}, "ambiguous"),
        ({"history": []}, "ambiguous"),
        ({"signatures": []}, "ambiguous"),
        ({"mediaType": mediatype.DOCKER_INDEX}, "ambiguous"),
        ({"mediaType": mediatype.OCI_INDEX}, "ambiguous"),
        ({"mediaType": mediatype.SCHEMA1}, "not an image manifest"),
        ({"mediaType": "text/plain"}, "not an image manifest"),
        ({"mediaType": 5}, "'mediaType'"),
        ({"schemaVersion": 1}, "schemaVersion is 1, not 2"),
        ({"schemaVersion": "2"}, "'schemaVersion'"),
        ({"schemaVersion": True}, "'schemaVersion'"),
        ({"Layers": []}, "the key 'Layers' for 'layers'"),
        ({"layer\u017f": []}, "the key 'layer\u017f' for 'layers'"),
        ({"MANIFESTS": []}, "the key 'MANIFESTS' for 'manifests'"),
        ({"layers": {}}, "'layers'"),
        ({"layers": None}, "'layers'"),
        ({"layers": [None]}, "not an object"),
        ({"config": []}, "'config'"),
        ({"annotations": {"a": 1}}, "annotation"),
        ({"artifactType": 1}, "'artifactType'"),
    ],
)
def test_an_ambiguous_or_malformed_manifest_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """Two readers must not see two images in one document (CVE-2021-41190)."""
    assert reason in _refusal(MANIFEST | change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"layers": []}, "ambiguous"),
        ({"config": {}}, "ambiguous"),
        ({"mediaType": mediatype.OCI_MANIFEST}, "ambiguous"),
        ({"manifests": {}}, "'manifests'"),
        ({"manifests": [1]}, "not an object"),
        ({"manifests": [MANIFEST["config"] | {"platform": {"os": "a/b"}}]}, "invalid platform"),
        ({"manifests": [MANIFEST["config"] | {"platform": []}]}, "'platform'"),
    ],
)
def test_an_ambiguous_or_malformed_index_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """The same for the other kind."""
    assert reason in _refusal(INDEX | change)


def test_a_document_served_as_another_kind_is_refused() -> None:
    """The served type and the document's own must be one (CVE-2021-41190)."""
    assert "was served as" in _refusal(MANIFEST, mediatype.OCI_INDEX)
    assert "was served as" in _refusal(MANIFEST, mediatype.OCI_MANIFEST)
    bare = {key: value for key, value in INDEX.items() if key != "mediaType"}
    assert "ambiguous" in _refusal(bare, mediatype.DOCKER_MANIFEST)


def test_a_document_without_a_type_is_what_its_fields_say() -> None:
    """OCI allows ``mediaType`` to be absent."""
    bare = {key: value for key, value in MANIFEST.items() if key != "mediaType"}
    assert parse_document(encode(bare)).media_type == mediatype.OCI_MANIFEST
    served = parse_document(encode(bare), mediatype.DOCKER_MANIFEST + "; charset=utf-8")
    assert served.media_type == mediatype.DOCKER_MANIFEST


def test_a_document_of_no_kind_is_refused() -> None:
    """Neither a manifest's nor an index's fields."""
    assert "ambiguous" in _refusal({"schemaVersion": 2})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": -1}, "size -1"),
        ({"size": MAX_SIZE + 1}, "size"),
        ({"size": "3"}, "'size'"),
        ({"size": 3.0}, "'size'"),
        ({"size": True}, "'size'"),
        ({"size": None}, "'size'"),
        ({"digest": "sha256:../../x"}, "invalid digest"),
        ({"digest": None}, "'digest'"),
        ({"Digest": str(ONE)}, "the key 'Digest' for 'digest'"),
        ({"urls": ["a", 1]}, "url"),
        ({"annotations": []}, "'annotations'"),
        ({"mediaType": "a" * 256}, "256 characters"),
    ],
)
def test_a_malformed_descriptor_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """Digests and sizes are checked before anything is fetched by them."""
    with pytest.raises(DocumentError) as caught:
        parse_document(encode(MANIFEST | {"layers": [MANIFEST["config"] | change]}))
    assert reason in caught.value.message


def test_a_manifest_of_absurdly_many_layers_is_refused() -> None:
    """No reader takes it, and every layer would be a request."""
    with pytest.raises(LimitError, match="1025 layers"):
        parse_document(encode(MANIFEST | {"layers": [MANIFEST["config"]] * 1025}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rootfs": None}, "'rootfs'"),
        ({"rootfs": []}, "'rootfs'"),
        ({"rootfs": {"diff_ids": [1]}}, "invalid digest"),
        ({"rootfs": {"diff_ids": "x"}}, "'diff_ids'"),
        ({"rootfs": {"Diff_IDs": []}}, "the key 'Diff_IDs' for 'diff_ids'"),
        ({"history": {}}, "'history'"),
        ({"history": [None]}, "not an object"),
        ({"history": [{"created_by": 1}]}, "'created_by'"),
        ({"history": [{"Created_By": "x"}]}, "the key 'Created_By' for 'created_by'"),
        ({"history": [{"empty_layer": 1}]}, "'empty_layer'"),
        ({"history": [{}, {}]}, "2 history entries have a layer, and there are 1 diff_ids"),
        ({"History": []}, "the key 'History' for 'history'"),
        ({"architecture": 64}, "'architecture'"),
        ({"os": "../etc"}, "invalid platform"),
        ({"config": []}, "'config'"),
        ({"created": 5}, "'created'"),
    ],
)
def test_a_malformed_configuration_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """Each field has its own refusal."""
    with pytest.raises(DocumentError) as caught, about("the configuration"):
        ImageConfig.parse(encode(IMAGE | change))
    assert reason in caught.value.message
    assert caught.value.message.startswith("the configuration: ")


def test_a_configuration_without_history_is_taken() -> None:
    """Some builders write none."""
    assert ImageConfig.parse(encode(IMAGE | {"history": None})).history == ()
