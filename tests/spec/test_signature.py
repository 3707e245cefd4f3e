"""Signed schema1 manifests: the real vector, what is signed here, and what must be refused."""

import base64
import datetime
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from imgpack.errors import DocumentError, SignatureError, about
from imgpack.spec.schema1.payload import build_schema1
from imgpack.spec.schema1.signature import SigningKey, sign, verify
from tests.spec import schema1_cases

VECTOR = (Path(__file__).parent.parent / "data" / "schema1-signed.json").read_bytes()
PAYLOAD = VECTOR[:6735] + b"\n}"
TIME = "2026-01-02T03:04:05Z"
CASES = {case.label: case for case in schema1_cases.cases()}
SMALL = build_schema1(*schema1_cases.parsed(CASES["three layers"]), "some/repo", "tag")
ES256, ES384, ES512, RS256 = KEYS = (
    SigningKey(ec.generate_private_key(ec.SECP256R1())),
    SigningKey(ec.generate_private_key(ec.SECP384R1())),
    SigningKey(ec.generate_private_key(ec.SECP521R1())),
    SigningKey(rsa.generate_private_key(65537, 2048)),
)
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256")


def _pem(key: Any, password: bytes | None = None) -> bytes:
    protection = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password)
    )
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )
    return pem


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(key: SigningKey = ES256) -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(sign(SMALL.payload, key, TIME))
    return obj


def _with(*signatures: Any, payload: bytes = SMALL.payload) -> bytes:
    """``payload`` with other signatures put in."""
    return payload[:-2] + b',\n   "signatures": ' + json.dumps(signatures).encode() + b"\n}"


def _refusal(raw: bytes) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(raw)
    return caught.value.message


def test_the_vector_verifies() -> None:
    """A real registry's signature covers the payload and gives its digest."""
    schema1 = verify(VECTOR)
    assert schema1.payload == PAYLOAD
    assert (schema1.name, schema1.tag, schema1.architecture) == ("groot/layer1", "latest", "amd64")
    assert str(schema1.digest) == (
        "sha256:23b0f7cb5f3afa46bb25bf2acccf377bd17e93581b7fcdf132cce6c031212ea9"
    )


def test_the_vectors_key_id_follows_from_its_key() -> None:
    """A key id that is not the key's hash is refused."""
    raw = VECTOR.replace(b'"kid": "SWGQ', b'"kid": "SWGP')
    assert raw != VECTOR
    assert "key id" in _refusal(raw)


def test_one_flipped_byte_anywhere_in_the_payload_is_refused() -> None:
    """Every byte of the payload is covered; the error names the manifest."""
    stride = 23
    for position in (*range(0, 6735, stride), 6734):
        flipped = bytearray(VECTOR)
        flipped[position] ^= 1
        with pytest.raises((SignatureError, DocumentError)) as caught, about("x.y/a:b"):
            verify(bytes(flipped))
        assert caught.value.message.startswith("x.y/a:b: ")


def test_a_change_that_is_still_json_is_a_bad_signature() -> None:
    """What it says when only the signature can tell."""
    message = _refusal(VECTOR.replace(b'"tag": "latest"', b'"tag": "oldest"'))
    assert "does not verify" in message


def test_white_space_is_part_of_what_is_signed() -> None:
    """The same JSON in other bytes is not what was signed."""
    assert "does not verify" in _refusal(VECTOR.replace(b'"tag": "', b'"tag":\t"', 1))


@given(st.integers(0, len(VECTOR) - 1), st.integers(0, 255))
def test_any_other_byte_anywhere_gives_the_same_image_or_an_error(place: int, byte: int) -> None:
    """Whatever happens to the document, nothing but the signed payload is ever returned."""
    changed = VECTOR[:place] + bytes([byte]) + VECTOR[place + 1 :]
    try:
        schema1 = verify(changed)
    except (SignatureError, DocumentError):
        return
    assert schema1.payload == PAYLOAD


def test_fields_after_the_signatures_are_not_seen() -> None:
    """What no signature covers does not reach anybody."""
    extra = VECTOR[:-2] + b',\n   "history": [],\n   "architecture": "evil"\n}'
    with pytest.raises(DocumentError):  # the same key twice is refused before anything else
        verify(extra)
    extra = VECTOR[:-2] + b',\n   "config": {},\n   "other": 1\n}'
    assert verify(extra).payload == PAYLOAD


@pytest.mark.parametrize(
    ("key", "algorithm"), list(zip(KEYS, ALGORITHMS, strict=True)), ids=ALGORITHMS
)
def test_what_is_signed_here_verifies(key: SigningKey, algorithm: str) -> None:
    """Each kind of key signs, is named by its algorithm, and its signature verifies."""
    raw = sign(SMALL.payload, key, TIME)
    assert verify(raw) == SMALL
    header = json.loads(raw)["signatures"][0]["header"]
    assert header["alg"] == algorithm
    assert header["jwk"]["kid"] == key.key_id
    assert verify(raw.replace(b'"kid"', b'"did"')) == SMALL


@pytest.mark.parametrize("key", KEYS, ids=ALGORITHMS)
def test_a_key_survives_being_a_file(key: SigningKey) -> None:
    """The key id is the same after PEM."""
    assert SigningKey.load(_pem(key.private)).key_id == key.key_id


def test_the_layout_is_that_of_the_vector() -> None:
    """The same payload signed here differs from the vector in key, signature and nothing else."""
    raw = sign(PAYLOAD, SigningKey.generate(), "2018-08-01T20:14:33Z")
    ours, theirs = raw.split(b"\n"), VECTOR.split(b"\n")
    differ = [
        line.split(b":")[0].strip()
        for line, other in zip(ours, theirs, strict=True)
        if line != other
    ]
    assert differ == [b'"kid"', b'"x"', b'"y"', b'"signature"']
    assert len(raw) == len(VECTOR)


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(("", "\n", " \n\t")))
def test_names_in_any_script_are_signed(name: str, tail: str) -> None:
    """Positions are counted in bytes, whatever the name and the white space at the end."""
    schema1 = build_schema1(*schema1_cases.parsed(CASES["one layer"]), name, "tag")
    payload = schema1.payload + tail.encode()
    signed = verify(sign(payload, ES256, TIME))
    assert (signed.name, signed.payload) == (name, payload)


def test_a_compact_payload_is_signed_compactly() -> None:
    """The signatures are put in without white space if the payload has none."""
    compact = json.dumps(json.loads(SMALL.payload), separators=(",", ":")).encode()
    raw = sign(compact, ES256, TIME)
    assert b"\n" not in raw and b'}],"signatures":[{' in raw
    assert verify(raw).payload == compact


def test_several_signatures_must_all_verify() -> None:
    """One bad signature among good ones spoils the document."""
    good = [_signed(key)["signatures"][0] for key in (ES256, RS256)]
    assert verify(_with(*good)) == SMALL
    bad = good[1] | {"signature": _b64(bytes(256))}
    assert "does not verify" in _refusal(_with(good[0], bad))


def test_signatures_that_disagree_about_the_payload_are_refused() -> None:
    """Two cuts would be two payloads."""
    one = _signed()["signatures"][0]
    other = json.loads(sign(SMALL.payload + b"\n", ES256, TIME))["signatures"][0]
    assert "do not agree" in _refusal(_with(one, other))


def _certificate(key: SigningKey, public: Any = None) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public or key.private.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key.private, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


_CERTIFICATE = _certificate(ES256)


@pytest.mark.parametrize("key", [ES256, RS256], ids=["ES256", "RS256"])
def test_a_certificate_may_stand_for_the_key(key: SigningKey) -> None:
    """The first certificate of ``x5c`` has the key; another certificate's does not verify."""
    signature = _signed(key)["signatures"][0]
    alg = signature["header"]["alg"]
    signature["header"] = {"alg": alg, "x5c": [_certificate(key)]}
    assert verify(_with(signature)) == SMALL
    other = SigningKey.generate() if key is ES256 else ES256
    signature["header"] = {"alg": alg, "x5c": [_certificate(other)]}
    assert _refusal(_with(signature))


_HEAD = b"\xa0\x03\x02\x01\x02\x02\x01\x01"  # a certificate's version (3) and its serial number (1)


def _with_certificate(der: bytes) -> bytes:
    signature = _signed()["signatures"][0]
    certificate = base64.b64encode(der).decode()
    return _with(signature | {"header": {"alg": "ES256", "x5c": [certificate]}})


def test_a_certificate_of_an_unknown_version_is_refused() -> None:
    """Which its library tells by an exception of its own."""
    der = base64.b64decode(_CERTIFICATE)
    assert _HEAD in der
    bent = der.replace(_HEAD, b"\xa0\x03\x02\x01\x09\x02\x01\x01")
    assert "cannot be used" in _refusal(_with_certificate(bent))


@pytest.mark.parametrize("serial", [0x00, 0x85], ids=["zero", "negative"])
def test_a_certificate_with_a_bad_serial_number_prints_no_warning(serial: int) -> None:
    """The number is not used, and a warning would show lines of a library's source."""
    der = base64.b64decode(_CERTIFICATE).replace(_HEAD, _HEAD[:-1] + bytes([serial]))
    assert verify(_with_certificate(der)) == SMALL


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_certificate_is_used_or_refused(place: int, byte: int) -> None:
    """Whatever is damaged, it is an imgpack error."""
    der = bytearray(base64.b64decode(_CERTIFICATE))
    der[place % len(der)] = byte
    with suppress(SignatureError):
        assert verify(_with_certificate(bytes(der))) == SMALL


def _bent(**changes: Any) -> bytes:
    signature = _signed()["signatures"][0]
    header = signature["header"] | changes.pop("header", {})
    header["jwk"] = header["jwk"] | changes.pop("jwk", {}) if header["jwk"] else header["jwk"]
    protected = json.loads(base64.urlsafe_b64decode(signature["protected"] + "=="))
    if "format" in changes:
        protected |= changes.pop("format")
        signature["protected"] = _b64(json.dumps(protected).encode())
    return _with(signature | {"header": header} | changes)


MALFORMED: tuple[tuple[bytes, str], ...] = (
    (SMALL.payload, "not signed"),
    (_with(), "not signed"),
    (_with(1), "not an object"),
    (_with(*[_signed()["signatures"][0]] * 33), "33 signatures"),
    (_bent(protected="!"), "not base64url"),
    (_bent(protected=None), "no protected"),
    (_bent(protected=_b64(b"[]")), "not a JSON object"),
    (_bent(protected="é"), "not base64url"),
    (_bent(format={"formatLength": 10**9}), "but it has"),
    (_bent(format={"formatLength": 0}), "but it has"),
    (_bent(format={"formatLength": -5}), "but it has"),
    (_bent(format={"formatLength": True}), "no formatLength"),
    (_bent(format={"formatLength": 1.5}), "no formatLength"),
    (_bent(format={"formatTail": 3}), "no formatTail"),
    (_bent(format={"formatTail": _b64(b"\n }")}), "does not verify"),
    (_bent(format={"time": "2000-01-01T00:00:00Z"}), "does not verify"),
    (_bent(signature="AAAA"), "3 bytes"),
    (_bent(signature=_b64(bytes(64))), "does not verify"),
    (_bent(signature=_b64(b"\xff" * 64)), "does not verify"),
    (_bent(signature="ab\tcd"), "not base64url"),
    (_bent(header={"alg": "none"}), "'none'"),
    (_bent(header={"alg": "ES384"}), "'ES384'"),
    (_bent(header={"alg": "HS256"}), "'HS256'"),
    (_bent(header={"jwk": None}), "names no key"),
    (_bent(header={"x5c": ["AAAA"]}), "cannot be used"),
    (_bent(header={"x5c": [1]}), "not a string"),
    (_bent(header={"x5c": "AAAA"}), "not an array"),
    (_bent(jwk={"kid": None}), "key id"),
    (_bent(jwk={"kty": "oct"}), "unknown kind"),
    (_bent(jwk={"crv": "P-192"}), "unknown kind"),
    (_bent(jwk={"crv": ["P-256"]}), "unknown kind"),
    (_bent(jwk={"x": "AAAA"}), "wrong length"),
    (_bent(jwk={"x": _b64(bytes(32))}), "cannot be used"),
    (_bent(jwk={"kty": "RSA", "n": _b64(b"\xff" * 2000), "e": "AQAB"}), "8192 bits"),
    (_bent(jwk={"kty": "RSA", "n": "AA", "e": "AA"}), "cannot be used"),
)


# The keys are new ones in every run, and so are these bytes: they must not name the tests.
@pytest.mark.parametrize(("raw", "reason"), MALFORMED, ids=[reason for _, reason in MALFORMED])
def test_a_malformed_signature_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    """Each way to be wrong has its own words."""
    assert reason in _refusal(raw)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (_pem(ES256.private, b"secret"), "encrypted"),
        (_pem(ed25519.Ed25519PrivateKey.generate()), "kind"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "kind"),
        (_pem(rsa.generate_private_key(65537, 1024)), "kind"),
        (_pem(dsa.generate_private_key(1024)), "kind"),
        (
            ES256.private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "no private key",
        ),
    ],
    ids=["empty", "damaged", "encrypted", "ed25519", "secp256k1", "rsa1024", "dsa", "public"],
)
def test_an_unusable_signing_key_is_refused_with_the_reason(pem: bytes, reason: str) -> None:
    """The error names the file and says which keys there are."""
    with pytest.raises(SignatureError, match=reason) as caught, about("key.pem"):
        SigningKey.load(pem)
    assert caught.value.message.startswith("key.pem: ")
    assert "P-256" in str(caught.value.hint)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"{", VECTOR, b'{"a":1,}'])
def test_what_cannot_be_signed_is_refused(payload: bytes) -> None:
    """Only an unsigned JSON object with a field has a place for signatures."""
    with pytest.raises(SignatureError):
        sign(payload, ES256, TIME)


@pytest.mark.parametrize(
    ("public", "alg"),
    [
        (ec.generate_private_key(ec.SECP256K1()).public_key(), "ES256"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "ES256"),
        (rsa.RSAPublicNumbers(65537, 2**8192 + 1).public_key(), "RS256"),
    ],
    ids=["secp256k1", "ed25519", "rsa8193"],
)
def test_a_certificate_with_another_curve_or_a_huge_rsa_key_is_refused(
    public: Any, alg: str
) -> None:
    """What a key of its own may be is what a certificate's may be."""
    signature = _signed()["signatures"][0]
    signature["header"] = {"alg": alg, "x5c": [_certificate(ES256, public)]}
    assert "neither EC on a NIST curve nor RSA" in _refusal(_with(signature))


def test_the_rsa_modulus_in_a_jwk_has_no_leading_zero() -> None:
    """RFC 7518, 6.3.1.1: as many bytes as are needed; the key id is made of the same key."""
    for field, length in (("n", 256), ("e", 3)):
        octets = base64.urlsafe_b64decode(RS256.jwk()[field] + "==")
        assert len(octets) == length
        assert octets[0] != 0
