"""Commands run with fewer privileges than the tests have, by util-linux's ``setpriv``.

Under root the permissions of files decide nothing; these prefixes of a command let
them decide again. Under any other user they are empty or impossible.
"""

import os

IS_ROOT = os.geteuid() == 0

OBEYING_MODES: tuple[str, ...] = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if IS_ROOT else ()
)
"""The same user, for whom a file without permissions cannot be read."""


def as_user(uid: int, gid: int) -> tuple[str, ...]:
    """Another user, who may nevertheless read and write everything: only for root."""
    caps = "+dac_override,+dac_read_search"
    return (
        "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
        f"--inh-caps={caps}", f"--ambient-caps={caps}",
    )  # fmt: skip
