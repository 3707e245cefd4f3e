"""Whether the user of an image is one of the image.

Source: OCI image-spec ``config.md``, "User": names are looked up when a container starts,
in the image's own /etc/passwd and /etc/group; it does not start if they are not there.
"""

from collections.abc import Callable
from typing import Final

from imgpack.errors import ConfigError
from imgpack.tree.rules.accounts import find_user, resolve_user

_PASSWD: Final = "/etc/passwd"
_GROUP: Final = "/etc/group"


def check_user(
    text: str, read_file: Callable[[str], bytes | None], *, inherited: bool
) -> str | None:
    """What its user should know of ``USER[:GROUP]``, the ``User`` of an image.

    ``read_file`` reads an absolute path of the image, links followed (``None``: no such
    file). Raises ``ConfigError`` for a name that is not there; of one that is ``inherited``,
    from a base whose files may have been replaced, it is only told.
    """
    if not text:
        return None
    passwd = read_file(_PASSWD)
    try:
        uid, _ = resolve_user(text, passwd, read_file(_GROUP) if ":" in text else None)
    except ConfigError as error:
        if inherited:
            return f"the base's user does not work any more: {error.message}"
        raise
    if inherited or not uid or find_user(text.partition(":")[0], passwd):
        return None
    return f"the user {uid} is not in {_PASSWD} of the image: its $HOME will be /"
