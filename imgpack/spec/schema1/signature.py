"""The signatures of schema1 manifests: libtrust's "pretty signature", made and checked.

Source: Distribution "Image Manifest V 2, Schema 1", section "Signed
Manifests", and JSON Web Signature (RFC 7515) for what is inside.

The signed document is the payload cut open before its last brace, with
``signatures`` put in. Every signature's protected header says where the cut
was (``formatLength``, in bytes) and what was cut off (``formatTail``), so the
payload can be put together again; that payload, and nothing else of the
document, is what was signed and what is used.

Invariants: ``verify`` returns only what every signature covers. A signature
tells that nobody changed the payload since; whose key it is, nobody knows.
"""

import base64
import binascii
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imgpack.errors import DocumentError, ImgpackError, SignatureError
from imgpack.spec.json import decode, encode
from imgpack.spec.schema1.payload import Schema1, parse_payload

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey
    PublicKey = EllipticCurvePublicKey | RSAPublicKey

MAX_SIGNATURES: Final = 32
MAX_RSA_BITS: Final = 8192
"""A larger modulus makes verification slow enough to be an attack."""

_SPACE: Final = b" \t\r\n"
# Curve: its algorithm, the bytes of a coordinate, and the hash.
_CURVES: Final = {
    "P-256": ("ES256", 32, "sha256"),
    "P-384": ("ES384", 48, "sha384"),
    "P-521": ("ES512", 66, "sha512"),
}
_CURVE_NAMES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_RSA: Final = {"RS256": "sha256", "RS384": "sha384", "RS512": "sha512"}
_KEY_HINT: Final = (
    "give an unencrypted PEM private key: EC on P-256, P-384 or P-521, or RSA of 2048 bits or more"
)


def verify(raw: bytes) -> Schema1:
    """Check every signature of ``raw`` and parse the payload that they cover.

    Raises ``SignatureError``, or ``DocumentError`` when the payload is malformed.
    """
    payload, signatures = _open(raw)
    signed = _b64url(payload)
    for signature in signatures:
        _verify_one(signature, signed)
    return parse_payload(payload)


def _open(raw: bytes) -> tuple[bytes, list[dict[str, Any]]]:
    signatures = decode(raw).get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise SignatureError("the manifest is not signed: it has no signatures")
    if len(signatures) > MAX_SIGNATURES:
        raise SignatureError(f"{len(signatures)} signatures are absurd")
    formats = {_format(signature) for signature in signatures}
    if len(formats) != 1:
        raise SignatureError("the signatures do not agree where the payload ends")
    length, tail = formats.pop()
    if not 0 < length <= len(raw):
        raise SignatureError(
            f"a signature is for {length} bytes of the manifest, but it has {len(raw)}"
        )
    return raw[:length] + tail, signatures


def _format(signature: Any) -> tuple[int, bytes]:
    """``formatLength`` and ``formatTail`` of one signature."""
    if not isinstance(signature, dict):
        raise SignatureError("a signature is not an object")
    header = _text(signature, "protected")
    try:
        protected = decode(_unb64url(header))
    except DocumentError as error:
        raise SignatureError(f"protected header: {error.message}", error.hint) from error
    length = protected.get("formatLength")
    if not isinstance(length, int) or isinstance(length, bool):
        raise SignatureError("a signature has no formatLength")
    return length, _unb64url(_text(protected, "formatTail"))


def _text(obj: Mapping[str, Any], key: str) -> str:
    value = obj.get(key)
    if not isinstance(value, str):
        raise SignatureError(f"a signature has no {key}")
    return value


def _verify_one(signature: Mapping[str, Any], signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    header = signature.get("header")
    if not isinstance(header, dict):
        raise SignatureError("a signature has no header")
    try:
        key = _header_key(header)
        data = _text(signature, "protected").encode("ascii") + b"." + signed
        value = _unb64url(_text(signature, "signature"))
        _check(key, _text(header, "alg"), value, data)
    except InvalidSignature as error:
        raise SignatureError(
            "the signature does not verify: the payload is not what was signed",
            "do not use it; fetch it again from a source that you trust",
        ) from error
    except (ValueError, UnsupportedAlgorithm, OverflowError) as error:
        raise SignatureError(f"the key or signature cannot be used: {error}") from error


def _check(key: "PublicKey", algorithm: str, value: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    known = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    if isinstance(key, ec.EllipticCurvePublicKey):
        expected, size, name = _curve(key)
        if algorithm == expected and len(value) == 2 * size:
            r, s = int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big")
            key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(known[name]))
            return
    elif algorithm in _RSA:
        key.verify(value, data, padding.PKCS1v15(), known[_RSA[algorithm]])
        return
    raise SignatureError(
        f"the signature is not one of its key: algorithm {algorithm[:40]!r}, {len(value)} bytes"
    )


def _header_key(header: Mapping[str, Any]) -> "PublicKey":
    """The public key of a header: of its first certificate if there is one, else its ``jwk``."""
    chain, jwk = header.get("x5c"), header.get("jwk")
    key = None if jwk is None else _jwk_key(jwk)
    if not isinstance(chain, list | None):
        raise SignatureError("the certificates are not an array")
    if chain:
        return _certificate_key(chain[0])
    if key is None:
        raise SignatureError("a signature names no key")
    return key


def _certificate_key(text: Any) -> "PublicKey":
    from cryptography import x509

    if not isinstance(text, str):
        raise SignatureError("a certificate is not a string")
    with warnings.catch_warnings():
        # Of odd serial numbers, say, which are not used here: only the key counts.
        warnings.simplefilter("ignore")
        try:
            key = x509.load_der_x509_certificate(base64.b64decode(text, validate=True)).public_key()
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from error
    return _usable(key)


def _jwk_key(jwk: Any) -> "PublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if not isinstance(jwk, dict):
        raise SignatureError("a key is not an object")

    def octets(name: str) -> bytes:
        return _unb64url(_text(jwk, name))

    key: PublicKey
    kind, curve = _text(jwk, "kty"), jwk.get("crv")
    if kind == "RSA":
        modulus, exponent = (int.from_bytes(octets(name), "big") for name in "ne")
        if modulus.bit_length() > MAX_RSA_BITS:
            raise SignatureError(f"the RSA key has more than {MAX_RSA_BITS} bits")
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    elif kind == "EC" and isinstance(curve, str) and curve in _CURVES:
        x, y = octets("x"), octets("y")
        if {len(x), len(y)} != {_CURVES[curve][1]}:
            raise SignatureError("the key has coordinates of a wrong length")
        curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), curves[curve]
        )
        key = numbers.public_key()
    else:
        raise SignatureError(f"the key is of an unknown kind, {kind[:40]!r}")
    if "kid" in jwk and jwk["kid"] != _key_id(key):
        raise SignatureError("the key does not have the key id that it is given")
    return key


def _usable(key: Any) -> "PublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey) and key.key_size <= MAX_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVE_NAMES:
        return key
    raise SignatureError("the key is neither EC on a NIST curve nor RSA")


def _curve(key: "EllipticCurvePublicKey") -> tuple[str, int, str]:
    return _CURVES[_CURVE_NAMES[_usable(key).curve.name]]  # type: ignore[union-attr]


def _key_id(key: "PublicKey") -> str:
    """libtrust's key id: 240 bits of the key's hash in base32, in twelve groups of four."""
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that schema1 manifests are signed with."""

    private: "PrivateKey"

    @classmethod
    def generate(cls) -> "SigningKey":
        """A throw-away P-256 key: registries take any, they want only that there is one."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, pem: bytes) -> "SigningKey":
        """The key in ``pem``. Raises ``SignatureError``."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError as error:
            raise SignatureError("the key is encrypted", _KEY_HINT) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SignatureError("it holds no private key that can be read", _KEY_HINT) from error
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVE_NAMES:
            return cls(key)
        if isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= MAX_RSA_BITS:
            return cls(key)
        raise SignatureError("the key is of a kind that schema1 does not know", _KEY_HINT)

    @property
    def key_id(self) -> str:
        """The ``kid`` of its signatures."""
        return _key_id(self.private.public_key())

    def jwk(self) -> dict[str, str]:
        """The public key as a JSON Web Key, its fields in alphabetical order."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            rsa_numbers = public.public_numbers()
            n, e = rsa_numbers.n, rsa_numbers.e
            return {
                "e": _b64url(e.to_bytes((e.bit_length() + 7) // 8, "big")).decode(),
                "kid": self.key_id,
                "kty": "RSA",
                "n": _b64url(n.to_bytes((n.bit_length() + 7) // 8, "big")).decode(),
            }
        numbers, curve = public.public_numbers(), _CURVE_NAMES[public.curve.name]
        size = _CURVES[curve][1]
        return {
            "crv": curve,
            "kid": self.key_id,
            "kty": "EC",
            "x": _b64url(numbers.x.to_bytes(size, "big")).decode(),
            "y": _b64url(numbers.y.to_bytes(size, "big")).decode(),
        }

    def sign_bytes(self, data: bytes) -> tuple[str, bytes]:
        """The algorithm's name and the signature of ``data``, in JSON Web Signature's form."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

        if isinstance(self.private, rsa.RSAPrivateKey):
            return "RS256", self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        known = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
        algorithm, size, name = _CURVES[_CURVE_NAMES[self.private.curve.name]]
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(known[name])))
        return algorithm, r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign(payload: bytes, key: SigningKey, time: str) -> bytes:
    """``payload`` with a signature of ``key`` in it; ``time`` is RFC 3339 in UTC.

    Raises ``SignatureError`` if the payload is no JSON object with a field.
    """
    try:
        fields = decode(payload)
    except ImgpackError as error:
        raise SignatureError(error.message, error.hint) from error
    if not fields or "signatures" in fields:
        raise SignatureError("the schema1 payload is empty or already signed")
    body = payload.rstrip(_SPACE)[:-1].rstrip(_SPACE)
    tail = payload[len(body) :]
    protected = _b64url(
        encode({"formatLength": len(body), "formatTail": _b64url(tail).decode(), "time": time})
    )
    algorithm, value = key.sign_bytes(protected + b"." + _b64url(payload))
    signatures = [
        {
            "header": {"jwk": key.jwk(), "alg": algorithm},
            "signature": _b64url(value).decode(),
            "protected": protected.decode(),
        }
    ]
    indent = _indent(payload)
    if not indent:
        return body + b',"signatures":' + encode(signatures) + b"}"
    text = encode(signatures, indent=len(indent)).replace(b"\n", b"\n" + indent)
    return body + b",\n" + indent + b'"signatures": ' + text + b"\n}"


def _indent(payload: bytes) -> bytes:
    """The spaces before the first key of an indented payload; none for a compact one."""
    before = payload.partition(b'"')[0]
    spaces = before[2:]
    return spaces if before.startswith(b"{\n") and not spaces.strip(b" ") else b""


def _b64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64url(text: str) -> bytes:
    # libtrust's decoder drops spaces and line breaks, and wants no padding.
    kept = text.replace(" ", "").replace("\n", "")
    try:
        padded = kept.encode("ascii") + b"=" * (-len(kept) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError("a signature is not base64url") from error
