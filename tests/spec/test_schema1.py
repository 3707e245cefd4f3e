"""The schema1 conversion, against what Distribution made and what the format's rules say."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given

from imgpack.api import Descriptor, Digest, ImageConfig, Manifest
from imgpack.errors import DocumentError, LimitError, UnsupportedError
from imgpack.spec import mediatype
from imgpack.spec.descriptor import describe
from imgpack.spec.digest import EMPTY_LAYER, EMPTY_LAYER_GZIP
from imgpack.spec.json import encode
from imgpack.spec.manifest import build_manifest
from imgpack.spec.schema1.payload import (
    Schema1,
    build_schema1,
    config_of_rows,
    empty_layers,
    normal_time,
    parse_payload,
    real_layers,
    to_config,
)
from imgpack.spec.schema1.signature import verify
from tests import strategies
from tests.spec import schema1_cases
from tests.spec.schema1_cases import REPOSITORY, TAG, Case

DATA = Path(__file__).parent.parent / "data"
# Docker-Content-Digest of Distribution 2.8.2 (Debian's docker-registry 2.8.2+ds1), asked for the
# v2 manifest of each case under REPOSITORY:TAG without the v2 type in Accept.
GOLDEN: dict[str, str] = json.loads((DATA / "schema1-golden.json").read_text("utf-8"))
CASES = {case.label: case for case in schema1_cases.cases()}
# A base layer gives the oldest row a parent, and such a text is no time: readers refuse both.
UNREADABLE = {"base layer", "time: offset of 99 hours"}


def _build(case: Case) -> Schema1:
    return build_schema1(*schema1_cases.parsed(case), REPOSITORY, TAG)


def _diff_ids(case: Case) -> dict[Digest, Digest]:
    diff_ids = ImageConfig.parse(case.config).diff_ids
    return {Digest.of(schema1_cases.layer_blob(i)): diff_id for i, diff_id in enumerate(diff_ids)}


def _manifest_for(config: ImageConfig, media_type: str = mediatype.DOCKER_LAYER_GZIP) -> Manifest:
    layers = [
        Descriptor(media_type, Digest.of(b"blob %d" % i), i) for i in range(len(config.diff_ids))
    ]
    return build_manifest(
        describe(mediatype.DOCKER_CONFIG, config.raw), layers, mediatype.DOCKER_MANIFEST
    )


def _payload() -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(_build(CASES["three layers"]).payload)
    return obj


def _refusal(obj: dict[str, Any]) -> str:
    with pytest.raises(DocumentError) as caught:
        parse_payload(encode(obj))
    return caught.value.message


def test_every_case_has_a_digest_of_the_registry() -> None:
    """The golden digests and the cases are the same set."""
    assert set(GOLDEN) == set(CASES)


@pytest.mark.parametrize("label", CASES)
def test_the_digest_is_the_one_that_distribution_states(label: str) -> None:
    """The payload has the digest that Distribution 2.8.2 gave its own conversion."""
    assert str(_build(CASES[label]).digest) == GOLDEN[label]


@pytest.mark.parametrize("case", list(schema1_cases.refused()), ids=lambda case: case.label)
def test_what_distribution_refuses_to_convert_is_refused(case: Case) -> None:
    """Distribution 2.8.2 answered 400 for each of these."""
    with pytest.raises(DocumentError):
        _build(case)


@pytest.mark.parametrize("label", [label for label in CASES if label not in UNREADABLE])
def test_what_is_built_is_read_back(label: str) -> None:
    """The strict reader takes what the builder makes, and finds the same layers in it."""
    case = CASES[label]
    schema1 = _build(case)
    assert parse_payload(schema1.payload) == schema1
    blobs = [Digest.of(schema1_cases.layer_blob(i)) for i in range(case.layers)]
    assert list(real_layers(schema1)) == blobs
    before, after = ImageConfig.parse(case.config), to_config(schema1, _diff_ids(case))
    assert after.diff_ids == before.diff_ids
    assert [(entry.created_by, entry.empty_layer) for entry in after.history[:-1]] == [
        (entry.created_by, entry.empty_layer) for entry in before.history[:-1]
    ]
    assert after.config == before.config


@given(strategies.configs())
def test_any_image_survives_the_way_there_and_back(config: ImageConfig) -> None:
    """Whatever the configuration, ids chain, and the back conversion finds what schema1 keeps."""
    manifest = _manifest_for(config)
    schema1 = build_schema1(manifest, config, "a/b", "c")
    assert parse_payload(schema1.payload) == schema1
    assert len(schema1.blob_sums) == len(schema1.compatibility) == len(config.history)
    assert empty_layers(config) == (EMPTY_LAYER in schema1.blob_sums)
    diff_ids = {
        layer.digest: diff_id
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    }
    back = to_config(schema1, diff_ids)
    assert back.diff_ids == config.diff_ids
    assert (back.config, back.author, back.platform) == (
        config.config,
        config.author,
        config.platform,
    )
    assert [entry.comment for entry in back.history[:-1]] == [
        entry.comment for entry in config.history[:-1]
    ]


@given(strategies.configs())
def test_the_top_id_depends_on_the_raw_configuration(config: ImageConfig) -> None:
    """Two spellings of one configuration are two images."""
    other = ImageConfig.parse(config.raw + b"\n")
    assume(config.raw != other.raw)
    manifest, repository = _manifest_for(config), "a/b"
    one, two = (build_schema1(manifest, each, repository, "c") for each in (config, other))
    assert one.compatibility[1:] == two.compatibility[1:]
    assert one.compatibility[0] != two.compatibility[0]


def test_the_vector_has_eight_ids_that_follow_from_its_blobs() -> None:
    """Every id below the top one is the hash of its blob and its parent."""
    schema1 = verify((DATA / "schema1-signed.json").read_bytes())
    assert str(schema1.digest) == (
        "sha256:23b0f7cb5f3afa46bb25bf2acccf377bd17e93581b7fcdf132cce6c031212ea9"
    )
    parent, checked = "", 0
    for blob, text in list(zip(schema1.blob_sums, schema1.compatibility, strict=True))[:0:-1]:
        row = json.loads(text)
        assert row["id"] == hashlib.sha256(f"{blob.hex} {parent}".encode()).hexdigest()
        assert row.get("parent", "") == parent
        parent, checked = row["id"], checked + 1
    assert checked == 8
    assert json.loads(schema1.compatibility[0])["parent"] == parent


def test_the_vector_and_the_v2_manifest_name_the_same_layers() -> None:
    """Without its throwaway rows the schema1 vector has the layers of the v2 vector."""
    schema1 = verify((DATA / "schema1-signed.json").read_bytes())
    manifest = Manifest.parse((DATA / "schema2-manifest.json").read_bytes())
    assert real_layers(schema1) == tuple(layer.digest for layer in manifest.layers)


def test_the_vectors_rows_are_rebuilt_from_its_own_history() -> None:
    """The vector converted to v2 and back again has the same rows below the top, byte for byte."""
    schema1 = verify((DATA / "schema1-signed.json").read_bytes())
    manifest = Manifest.parse((DATA / "schema2-manifest.json").read_bytes())
    config = to_config(schema1, {layer.digest: layer.digest for layer in manifest.layers})
    again = build_schema1(manifest, config, schema1.name, schema1.tag)
    assert again.compatibility[1:] == schema1.compatibility[1:]
    assert again.blob_sums == schema1.blob_sums
    top, again_top = (json.loads(each.compatibility[0]) for each in (schema1, again))
    assert again_top | {"id": top["id"]} == top


def test_the_empty_layer_is_the_one_that_every_registry_knows() -> None:
    """Its bytes have the digest of the specification; changing them changes every digest."""
    assert len(EMPTY_LAYER_GZIP) == 32
    assert str(EMPTY_LAYER) == (
        "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
    )


def test_zstd_layers_are_refused_with_the_reason() -> None:
    """No reader of schema1 knows zstd."""
    config = ImageConfig.parse(CASES["one layer"].config)
    manifest = _manifest_for(config, mediatype.OCI_LAYER_ZSTD)
    with pytest.raises(UnsupportedError, match="zstd"):
        build_schema1(manifest, config, "a", "b")


def test_a_configuration_with_fewer_entries_than_layers_is_refused() -> None:
    """Distribution would drop the layers on top without a word."""
    obj = json.loads(CASES["three layers"].config)
    config = ImageConfig.parse(encode(obj | {"history": obj["history"][:2]}))
    with pytest.raises(DocumentError, match="3 layers, 3 diff_ids and 2 history"):
        build_schema1(_manifest_for(config), config, "a", "b")


@pytest.mark.parametrize("field", [{"parent": "f" * 64}, {"throwaway": True}])
def test_a_configuration_that_would_pass_for_another_row_is_refused(field: dict[str, Any]) -> None:
    """A key of its own that schema1 reads as something else must not come through."""
    obj = json.loads(CASES["one layer"].config)
    config = ImageConfig.parse(encode(obj | field))
    with pytest.raises(DocumentError, match=next(iter(field))):
        build_schema1(_manifest_for(config), config, "a", "b")


def test_the_descriptor_is_that_of_the_unsigned_payload() -> None:
    """Media type, digest and size are the payload's."""
    schema1 = _build(CASES["one layer"])
    assert schema1.descriptor == Descriptor(
        "application/vnd.docker.distribution.manifest.v1+json",
        Digest.of(schema1.payload),
        len(schema1.payload),
    )


def test_names_that_are_not_ascii_are_kept() -> None:
    """The payload is UTF-8, not escapes."""
    case = CASES["one layer"]
    schema1 = build_schema1(*schema1_cases.parsed(case), "größe", "日本")
    assert '"name": "größe"'.encode() in schema1.payload
    assert parse_payload(schema1.payload) == schema1


def test_the_times_are_those_of_go() -> None:
    """Trailing zeros go, the zone stays, and nothing is the zero time."""
    assert normal_time("") == "0001-01-01T00:00:00Z"
    assert normal_time("2026-01-02T03:04:05.100+00:00") == "2026-01-02T03:04:05.1Z"
    assert normal_time("2026-01-02T3:04:05,000+05:30") == "2026-01-02T03:04:05+05:30"


def test_rows_that_repeat_the_one_below_are_dropped() -> None:
    """Docker reads consecutive rows of one id as one row."""
    obj = _payload()
    for key in ("fsLayers", "history"):
        obj[key].insert(1, obj[key][1])
    assert parse_payload(encode(obj)).compatibility == _build(CASES["three layers"]).compatibility


def _row(change: Callable[[dict[str, Any]], Any], index: int) -> dict[str, Any]:
    obj = _payload()
    row = json.loads(obj["history"][index]["v1Compatibility"])
    change(row)
    obj["history"][index]["v1Compatibility"] = json.dumps(row)
    return obj


def test_a_broken_chain_is_refused() -> None:
    """Every row's parent is the row below it, and the oldest has none."""
    assert "the row below it" in _refusal(_row(lambda row: row.update(parent="0" * 64), 0))
    assert "the row below it" in _refusal(_row(lambda row: row.pop("parent"), 0))
    assert "the oldest row" in _refusal(_row(lambda row: row.update(parent="0" * 64), 2))


def test_an_id_in_two_places_is_refused() -> None:
    """A chain that comes back to itself would never end."""
    obj = _payload()
    for key in ("fsLayers", "history"):
        obj[key].insert(0, obj[key][1])
    assert "in two places" in _refusal(obj)


def test_a_payload_of_absurdly_many_rows_is_refused() -> None:
    """Every row may be a layer, and so a request."""
    obj = _payload()
    for key in ("fsLayers", "history"):
        obj[key] *= 400
    with pytest.raises(LimitError, match="1200 rows"):
        parse_payload(encode(obj))


@pytest.mark.parametrize("bad", ["", "abc", "A" * 64, "0" * 63 + "\n", "../" * 20, "0" * 65])
def test_an_id_that_is_not_64_hex_digits_is_refused(bad: str) -> None:
    """Ids become names of directories in some readers."""
    assert "not 64 hex digits" in _refusal(_row(lambda row: row.update(id=bad), 1))


@pytest.mark.parametrize("key", ["config", "layers", "manifests", "signatures", "Layers"])
def test_the_fields_of_another_kind_of_document_make_it_ambiguous(key: str) -> None:
    """No reader may take it for a v2 manifest or an index (CVE-2021-41190)."""
    message = _refusal(_payload() | {key: []})
    assert "ambiguous" in message or "some readers take" in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schemaVersion": 2}, "schemaVersion is 2, not 1"),
        ({"schemaVersion": True}, "schemaVersion"),
        ({"fsLayers": []}, "0 fsLayers"),
        ({"fsLayers": [], "history": []}, "at least one"),
        ({"fsLayers": None}, "fsLayers"),
        ({"history": {}}, "history"),
        ({"name": 1}, "name"),
        ({"fslayers": []}, "the key 'fslayers' for 'fsLayers'"),
        ({"fsLayers": [{"blobSum": "sha256:00"}] * 3}, "invalid digest"),
        ({"fsLayers": [1, 2, 3]}, "not an object"),
        ({"history": [{"v1Compatibility": "{"}] * 3}, "v1Compatibility: the document is not JSON"),
        (
            {"history": [{"v1Compatibility": "[]"}] * 3},
            "v1Compatibility: the document is not a JSON object",
        ),
        ({"history": [{"v1Compatibility": {}}] * 3}, "not a string"),
    ],
)
def test_a_malformed_payload_is_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    """Each field has its own refusal."""
    assert reason in _refusal(_payload() | change)


def test_the_back_conversion_keeps_numbers_as_they_were_spelled() -> None:
    """Values go through as text, so nothing is rounded."""
    case = CASES["spelling: numbers"]
    raw = to_config(_build(case), _diff_ids(case)).raw
    assert b'"n":[1e3,-0,1.0,1E+2,12345678901234567890]' in raw


def test_the_back_conversion_takes_off_what_only_a_row_has() -> None:
    """Ids, sizes and the throwaway mark are no part of an image configuration."""
    row = {"id": "0" * 64, "parent_id": "x", "layer_id": "y", "Size": 7, "os": "linux"}
    row["container_config"] = {"Cmd": ["a", "b c"]}
    payload = {
        "schemaVersion": 1,
        "name": "n",
        "tag": "t",
        "architecture": "s390x",
        "fsLayers": [{"blobSum": str(EMPTY_LAYER)}],
        "history": [{"v1Compatibility": json.dumps(row)}],
    }
    diff_id = Digest.of(b"diff")
    config = to_config(parse_payload(encode(payload)), {EMPTY_LAYER: diff_id})
    assert json.loads(config.raw) == {
        "architecture": "s390x",
        "container_config": {"Cmd": ["a", "b c"]},
        "history": [{"created_by": "a b c"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
    }


@pytest.mark.parametrize(
    "key",
    [
        "ID", "Parent", "throwAway", "Created", "container_Config",
        "Author", "Comment", "Architecture", "OS", "Config",
    ],
)  # fmt: skip
def test_a_rows_key_in_another_case_is_refused(key: str) -> None:
    """Go's decoder would take it for the key that is meant, and others would not."""
    refusal = _refusal(_row(lambda row: row.update({key: None}), 1))
    assert f"some readers take the key {key!r} for {key.lower()!r}" in refusal


@pytest.mark.parametrize(
    ("table", "key"), [("fsLayers", "blobsum"), ("history", "V1Compatibility")]
)
def test_a_key_in_another_case_beside_a_row_is_refused(table: str, key: str) -> None:
    """One reader would see another layer, or another row, than the next."""
    obj = _payload()
    obj[table][1][key] = next(iter(obj[table][0].values()))
    assert "some readers take" in _refusal(obj)


OLD = {
    "id": "0" * 64,
    "created": "2015-03-04T05:06:07.000+00:00",
    "os": "linux",
    "config": {
        "Hostname": "h",
        "Cmd": ["/x", "<y>"],
        "ExposedPorts": None,
        "PortSpecs": None,
        "MacAddress": "",
        "VolumeDriver": "",
        "NetworkDisabled": False,
        "Volumes": {"/b": {}, "/a": {}},
        "Entrypoint": "one",
        "Labels": {},
    },
}


def _converted(**fields: Any) -> dict[str, Any]:
    """What becomes of ``OLD`` with ``fields`` when it is read from an old archive."""
    config = config_of_rows([(EMPTY_LAYER, encode(OLD | fields))])
    found: dict[str, Any] = json.loads(config.raw)
    return found


def test_an_image_of_docker_before_1_8_3_is_converted_through_dockers_structures() -> None:
    """Keys that they lack are dropped, those that are never left out appear; the id is Docker's."""
    config = config_of_rows([(EMPTY_LAYER, encode(OLD | {"docker_version": "1.8.2"}))])
    blank = (
        '{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,'
        '"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,'
        '"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,'
        '"OnBuild":null,"Labels":null}'
    )
    own = (
        blank.replace('"Hostname":""', '"Hostname":"h"')
        .replace('"Cmd":null', r'"Cmd":["/x","\u003cy\u003e"]')
        .replace('"Volumes":null', '"Volumes":{"/a":{},"/b":{}}')
        .replace('"Entrypoint":null', '"Entrypoint":["one"]')
        .replace('"Labels":null', '"Labels":{}')
    )
    expected = (
        f'{{"config":{own},"container_config":{blank},"created":"2015-03-04T05:06:07Z",'
        '"docker_version":"1.8.2","history":[{"created":"2015-03-04T05:06:07Z"}],'
        f'"os":"linux","rootfs":{{"type":"layers","diff_ids":["{EMPTY_LAYER}"]}}}}'
    )
    assert config.raw.decode() == expected


@pytest.mark.parametrize("version", ["1.8.3", "1.10.0", "17.03.1-ce", "1.9", ""])
def test_a_later_image_is_converted_as_it_stands(version: str) -> None:
    """From 1.8.3 on Docker wrote what it reads; other tools name no version."""
    assert _converted(docker_version=version)["config"] == OLD["config"]


@pytest.mark.parametrize("version", ["1.8.2", "1.8", "1.6.0", "0.9.1", "1.8.2-rc1", "1.7.1.9"])
def test_every_earlier_version_is_old(version: str) -> None:
    """Compared number by number."""
    assert "PortSpecs" not in _converted(docker_version=version)["config"]


def test_what_dockers_structures_refuse_is_refused() -> None:
    """Docker ends with an error, too."""
    for wrong in ({"Env": [1]}, {"Tty": "yes"}, {"Labels": {"a": 1}}, {"User": 0}):
        with pytest.raises(DocumentError):
            _converted(docker_version="1.8.2", config=wrong)
