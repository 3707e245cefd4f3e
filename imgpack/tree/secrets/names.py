"""Names that files have which are secret, or mostly are, and hardly meant to be in an image."""

import stat
from typing import Final

HISTORY: Final = "the history of a repository"
SETTINGS: Final = "settings that are often secret"
KEY: Final = "a private key"
CREDENTIALS: Final = "credentials"
_KINDS: Final = {
    b".git": HISTORY, b".hg": HISTORY, b".svn": HISTORY,
    b".env": SETTINGS, b".env.local": SETTINGS, b".env.production": SETTINGS,
    b"id_rsa": KEY, b"id_dsa": KEY, b"id_ecdsa": KEY, b"id_ed25519": KEY,
    b".aws/credentials": CREDENTIALS, b".git-credentials": CREDENTIALS,
    b".npmrc": CREDENTIALS, b".pypirc": CREDENTIALS, b".netrc": CREDENTIALS,
    b".pgpass": CREDENTIALS, b".docker/config.json": CREDENTIALS, b".dockercfg": CREDENTIALS,
    b".config/containers/auth.json": CREDENTIALS, b".kube/config": CREDENTIALS,
    b"kubeconfig": CREDENTIALS, b".vault-token": CREDENTIALS, b".s3cfg": CREDENTIALS,
    b".cargo/credentials.toml": CREDENTIALS, b".config/gh/hosts.yml": CREDENTIALS,
    b".azure/msal_token_cache.json": CREDENTIALS,
    b".terraform.d/credentials.tfrc.json": CREDENTIALS,
    b"gcloud/application_default_credentials.json": CREDENTIALS,
}  # fmt: skip
_LONGEST: Final = 3
"""Components of the longest of these names."""
MAY_BE_KEYS: Final = (b".pem", b".key")
"""Certificates and much else have these, too: whether it is a key, the beginning says."""
PRIVATE_KEY_MARK: Final = b"PRIVATE KEY-----"
"""What every private key in PEM has (RFC 7468), in the first line."""
SUSPECT_ENDS: Final = frozenset(name[-3:] for name in (*_KINDS, *MAY_BE_KEYS))
"""The last three bytes of every such path, and of some others: this is asked of every entry."""


def suspected(path: bytes, mode: int) -> str | None:
    """What ``path`` is by its name, with the ``mode`` of an entry; of ``MAY_BE_KEYS`` nothing."""
    if path[-3:] not in SUSPECT_ENDS:
        return None
    parts = path.rsplit(b"/", _LONGEST)
    ends = (b"/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    kind = next((_KINDS[end] for end in ends if end in _KINDS), None)
    if kind is None:
        return None
    # A file .git only says where the repository lies.
    fits = stat.S_ISDIR if kind is HISTORY else stat.S_ISREG
    return kind if fits(mode) else None
