"""schema1 against Distribution 2.8.2: its own conversion says that ours is right."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.test_loaders import EVERY_OPTION, HELLO
from tests.interop.trees import make_small_tree
from tests.servers.distribution import SCHEMA1_SIGNED, V2_MANIFEST, Registry
from tests.servers.process import require, run

CASES = {
    "one-layer": (0, ()),
    "one-layer-with-options": (0, EVERY_OPTION),
    "three-layers": (2, ()),
    "three-layers-with-options": (2, EVERY_OPTION),
    "only-empty-entries-on-top": (1, ("-e", "A=<&>", "--author", "Zoë\u2028", "--cmd", "x")),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """An archive, and the repository of the registry that it is named after."""

    archive: str
    repository: str
    reference: str


@pytest.fixture(params=CASES, ids=str)
def image(request: pytest.FixtureRequest, imgpack: Imgpack, registry: Registry) -> Sample:
    """An image of the case's layers and options."""
    layers, options = CASES[request.param]
    uppers = []
    for number in range(layers):
        make_small_tree(imgpack.directory / f"upper{number}", **{f"file{number}": str(number)})
        uppers.append(f"upper{number}")
    repository = f"schema1/{request.param}"
    reference = f"{registry.host}/{repository}:v1"
    imgpack("build", str(HELLO), *uppers, *options, "-t", reference, "-o", "image.tar").ok()
    return Sample("image.tar", repository, reference)


def digest_of(payload: bytes) -> str:
    """The digest of a document."""
    return "sha256:" + hashlib.sha256(payload).hexdigest()


def test_the_registrys_conversion_has_our_digest(
    registry: Registry, imgpack: Imgpack, image: Sample
) -> None:
    """Asked without the v2 type, the registry makes the document that imgpack made before."""
    imgpack("push", image.archive).ok()
    ours = imgpack("manifest", image.archive, "--schema1", "--unsigned").ok()
    converted = registry.manifest(image.repository, "v1", SCHEMA1_SIGNED)
    assert converted.status == 200, converted.body
    theirs = json.loads(converted.body)
    theirs.pop("signatures")
    assert json.loads(ours) == theirs
    assert digest_of(ours) == converted.digest


def test_imgpack_reads_the_registrys_own_schema1(
    registry: Registry, imgpack: Imgpack, image: Sample
) -> None:
    """``imgpack manifest REF --schema1`` is the second curl command of the seed."""
    imgpack("push", image.archive).ok()
    stored = registry.manifest(image.repository, "v1")
    assert imgpack("manifest", image.reference).ok() == stored.body
    printed = json.loads(imgpack("manifest", image.reference, "--schema1").ok())
    fetched = json.loads(registry.manifest(image.repository, "v1", SCHEMA1_SIGNED).body)
    printed.pop("signatures")
    fetched.pop("signatures")
    assert printed == fetched


def test_a_registry_that_takes_schema1_verifies_our_signature(
    schema1_registry: Registry, imgpack: Imgpack, image: Sample, tmp_path: Path
) -> None:
    """``--schema1`` pushes the signed document beside the v2 one; skopeo copies it."""
    name = f"{schema1_registry.host}/{image.repository}:v1"
    imgpack("push", image.archive, name, "--schema1").ok()
    stored = schema1_registry.manifest(image.repository, "v1-schema1", SCHEMA1_SIGNED)
    assert stored.status == 200, stored.body
    document = json.loads(stored.body)
    assert (document["name"], document["tag"]) == (image.repository, "v1-schema1")
    assert schema1_registry.manifest(image.repository, "v1", V2_MANIFEST).status == 200
    argv = [require("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false"]
    run([*argv, f"docker://{name}-schema1", f"dir:{tmp_path / 'copied'}"])


def test_a_tag_for_schema1_can_be_chosen(schema1_registry: Registry, imgpack: Imgpack) -> None:
    """``--schema1-tag`` names it."""
    imgpack("build", str(HELLO), "-t", "image:1", "-o", "image.tar").ok()
    name = f"{schema1_registry.host}/signed/chosen:v1"
    imgpack("push", "image.tar", name, "--schema1", "--schema1-tag", "old").ok()
    assert schema1_registry.manifest("signed/chosen", "old", SCHEMA1_SIGNED).status == 200


def test_a_registry_that_refuses_schema1_is_told_in_one_line(
    registry: Registry, imgpack: Imgpack
) -> None:
    """Distribution answers 500 when schema1 is disabled; imgpack does not try for ever."""
    imgpack("build", str(HELLO), "-t", "image:1", "-o", "image.tar").ok()
    refused = imgpack("push", "image.tar", f"{registry.host}/refused/app:v1", "--schema1")
    assert "schema1" in refused.failed(21)
    assert registry.manifest("refused/app", "v1").status == 200


def test_a_signed_manifest_of_an_archive_verifies_elsewhere(imgpack: Imgpack) -> None:
    """The signed document's payload is the unsigned one, byte for byte."""
    imgpack("build", str(HELLO), *EVERY_OPTION, "-t", "image:1", "-o", "image.tar").ok()
    signed = json.loads(imgpack("manifest", "image.tar", "--schema1").ok())
    payload = imgpack("manifest", "image.tar", "--schema1", "--unsigned").ok()
    assert len(signed.pop("signatures")) == 1
    assert signed == json.loads(payload)
