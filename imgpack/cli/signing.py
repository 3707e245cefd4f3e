"""The key and the time of a schema1 signature: from an option, the environment and the clock.

The time is ``SOURCE_DATE_EPOCH`` if that is set. A signature is never the same
twice, for ECDSA takes a random number, but its manifest's digest is: it is that
of the payload.
"""

import os
import time
from typing import TYPE_CHECKING, Final

from imgpack.errors import ConfigError, SignatureError

if TYPE_CHECKING:
    from imgpack.spec.signature import SigningKey

MAX_KEY: Final = 1 << 20
_LAST_SECOND: Final = 253402300799  # the last second of the year 9999


def signing_key(path: str | None) -> "SigningKey":
    """The key in a PEM file, or a throw-away one. Raises ``SignatureError``."""
    from imgpack.spec.signature import SigningKey

    if path is None:
        return SigningKey.generate()
    try:
        with open(path, "rb") as file:
            return SigningKey.load(file.read(MAX_KEY), path)
    except OSError as error:
        raise SignatureError(
            f"cannot read the signing key {path}: {error.strerror}", "give a PEM file"
        ) from error


def signing_time() -> str:
    """Now, or ``SOURCE_DATE_EPOCH``, as RFC 3339 in UTC. Raises ``ConfigError``."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        seconds = int(time.time())
    elif text.isascii() and text.isdigit() and int(text) <= _LAST_SECOND:
        seconds = int(text)
    else:
        raise ConfigError(f"SOURCE_DATE_EPOCH is {text!r}", "set it to a number of seconds")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
