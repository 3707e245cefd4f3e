"""What the command line says to do about an error, with its own options in it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from imgpack.errors import Hint, Remedy

_ELSEWHERE: Final = re.compile(r"imgpack [a-z][^,;]*")
"""A command in the words of a hint, with options of its own."""
_OPTION: Final = re.compile(r"(?<!\S)--?[a-z][a-z0-9-]*")
WORDS: Final = {
    Remedy.CHOOSE_PLATFORM: "choose one with --platform",
    Remedy.CHOOSE_IMAGE: "choose one with --image: {0}",
    Remedy.CHOOSE_BASE: "choose one of {0}",
    Remedy.REPLACE_PLATFORM: "--replace puts the new one in its place",
    Remedy.LIST_DIGESTS: "imgpack inspect --json shows the digests there are",
    Remedy.BUILD_A_TREE: "a tree becomes an image with: imgpack build",
    Remedy.USE_OCI: "imgpack build --format oci makes one that can",
    Remedy.USE_OCI_OR_GZIP: "add --format oci, or use --compression gzip",
    Remedy.OTHER_CACHE: "name another with --cache-dir, or use --no-cache",
    Remedy.EMPTY_CACHE: "name an empty or new directory with --cache-dir",
    Remedy.CLEAR_CACHE: "remove it, or name another cache with --cache-dir",
    Remedy.NAME_IT: "imgpack build -t and imgpack pull -t name it",
    Remedy.GIVE_LAYERS: "give them with --base-layers, or push it to a registry that has them",
    Remedy.FETCH_LAYERS: "imgpack base fetch LOCK gets them into the cache",
    Remedy.MAKE_SHALLOW: (
        "--shallow writes it without them, which is enough for imgpack push; to have them, "
        "imgpack build --base-layers ARCHIVE, or imgpack base fetch LOCK before the build"
    ),
    Remedy.MOUNT_LAYERS: (
        "copy the base to that registry and name its repository with --mount-from, or push what "
        "imgpack build --base-layers makes"
    ),
    Remedy.LARGER_CACHE: "allow more with --cache-limit",
    Remedy.UPDATE_LOCK: "imgpack base update {0} brings it up to date",
    Remedy.PRUNE: "--prune removes them",
    Remedy.NAME_OLD_BASE: "--from OLDBASE names the base that it was built on",
    Remedy.IGNORE_ONBUILD: "--ignore-onbuild drops them",
    Remedy.LOG_IN: "log in with imgpack login {0}",
    Remedy.CHECK_LOGIN: "check the credentials for {0} (imgpack login {0})",
    Remedy.LOG_IN_EACH: "use imgpack login for each of them instead",
    Remedy.TRUST_REALM: "if you trust it, give --trust-realm {0}",
    Remedy.LONGER_TIMEOUT: "try again, or see --timeout",
    Remedy.USE_HTTP: "if it is meant to be a plain HTTP registry, use --plain-http",
    Remedy.USE_HTTPS: "the server wants https: give --no-plain-http",
    Remedy.TRUST_AUTHORITY: "name the authority with --ca-file",
    Remedy.SEND_FOREIGN: "--allow-nondistributable sends it",
    Remedy.NAME_SCHEMA1: "say --name NAME:TAG",
    Remedy.MAKE_SCHEMA1: "imgpack manifest ARCHIVE --schema1 makes one",
    Remedy.NAME_ENGINE: "start one, or name the one that is meant with --engine",
    Remedy.DELETE_DIGEST: (
        "it may delete by digest, which removes every tag of the image: imgpack rm {0}"
    ),
    Remedy.RECORD_OWNERS: "extract it as root, or record them with --rootless",
    Remedy.SAY_DELETION: "rename or remove it; --whiteout PATH deletes what a base has",
    Remedy.MORE_MEMORY: "make more memory available, or use fewer --jobs",
    Remedy.NO_SCHEMA1: (
        "Distribution up to 2.8 takes them with compatibility.schema1.enabled: true; "
        "push without --schema1 otherwise"
    ),
}


def worded(hint: Hint, options: Collection[str] | None = None) -> str:
    """``hint`` in the words of the command line.

    If they name an option that is not among the ``options`` which the command has, those for
    any caller.
    """
    if isinstance(hint, str):
        return hint
    words = WORDS[hint.remedy]
    if options is not None and not own_options(words).issubset(options):
        return str(hint)
    return words.format(*hint.values)


def own_options(words: str) -> set[str]:
    """The options in ``words`` that are not named as those of some ``imgpack COMMAND``."""
    return set(_OPTION.findall(_ELSEWHERE.sub("", words)))


def line(message: str, hint: Hint, options: Collection[str] | None = None) -> str:
    """What happened and what to do, for one line; ``options`` as for ``worded``."""
    return f"{message}; {worded(hint, options)}" if hint else message
