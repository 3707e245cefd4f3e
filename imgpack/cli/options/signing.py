"""The key and the time of a schema1 signature: from an option, the environment and the clock.

The time is ``SOURCE_DATE_EPOCH`` if that is set. A signature is never the same
twice, for ECDSA takes a random number, but its manifest's digest is: it is that
of the payload.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from imgpack import api
from imgpack.cli.options.clock import now_ns, source_date_epoch
from imgpack.cli.options.parameters import FILE, gathered
from imgpack.errors import SignatureError, about
from imgpack.files.reading import read_regular
from imgpack.spec.config import rfc3339

if TYPE_CHECKING:
    from imgpack.spec.schema1.signature import SigningKey

MAX_KEY: Final = 1 << 20


def signing_key(path: str | None) -> SigningKey:
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


@dataclass(frozen=True, slots=True)
class Schema1Flags:
    """Whether a schema1 manifest is pushed as well, and how it is signed."""

    schema1: bool
    schema1_tag: str | None
    signing_key: str | None

    def check(self, *, by_digest: bool) -> None:
        """Raise ``click.UsageError`` for a contradiction."""
        if not self.schema1 and (self.schema1_tag is not None or self.signing_key is not None):
            raise click.UsageError("--schema1-tag and --signing-key go with --schema1")
        if self.schema1 and by_digest:
            raise click.UsageError("--schema1 needs a tag, and --by-digest gives none")

    def options(self) -> api.Schema1Options | None:
        """How to sign, or ``None``. Raises ``SignatureError``."""
        if not self.schema1:
            return None
        key = signing_key(self.signing_key)
        return api.Schema1Options(key, signing_time(), self.schema1_tag or "")


def check_schema1_tags(
    pairs: Iterable[tuple[object, api.Reference]], options: api.Schema1Options
) -> None:
    """No schema1 manifest may go to a tag that something else of this push goes to.

    ``pairs`` are what is pushed, and a name of it.
    """
    tagged = [(one, name) for one, name in pairs if name.tag is not None]
    owners: dict[api.Reference, object] = {replace(name, digest=None): None for _, name in tagged}
    for one, name in tagged:
        schema1 = options.name(name)
        if owners.setdefault(schema1, one) is not one:
            raise click.UsageError(
                f"the schema1 manifest of {name.shown()} would replace what else is pushed to"
                f" {schema1.shown()}; choose another --schema1-tag"
            )


schema1_options = gathered(
    "schema1",
    Schema1Flags,
    click.option("--schema1", is_flag=True, help="Also push the signed schema1 manifest."),
    click.option(
        "--schema1-tag", metavar="TAG", help="Its tag; by default the image's and -schema1."
    ),
    click.option(
        "--signing-key",
        metavar="PEM",
        type=FILE,
        help="Sign schema1 with this private key.",
    ),
)
