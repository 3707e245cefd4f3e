"""The key and the time of a schema1 signature: from an option, the environment and the clock.

The time is ``SOURCE_DATE_EPOCH`` if that is set. A signature is never the same
twice, for ECDSA takes a random number, but its manifest's digest is: it is that
of the payload.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from imgpack.cli.options.clock import now_ns, source_date_epoch
from imgpack.errors import SignatureError, about
from imgpack.files.reading import read_regular
from imgpack.spec.config import rfc3339

if TYPE_CHECKING:
    from imgpack.spec.schema1.signature import SigningKey

MAX_KEY: Final = 1 << 20


def signing_key(path: str | None) -> "SigningKey":
    """The key in a PEM file, or a throw-away one. Raises ``SignatureError``."""
    from imgpack.spec.schema1.signature import SigningKey

    if path is None:
        return SigningKey.generate()
    try:
        with about(path):
            return SigningKey.load(read_regular(path, MAX_KEY, follow=True))
    except OSError as error:
        raise SignatureError(
            f"cannot read the signing key {path}: {error.strerror}", "give a PEM file"
        ) from error


def signing_time() -> str:
    """Now, or ``SOURCE_DATE_EPOCH``, as RFC 3339 in UTC. Raises ``ConfigError``."""
    seconds = source_date_epoch()
    if seconds is None:
        seconds = now_ns() // 1_000_000_000
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
