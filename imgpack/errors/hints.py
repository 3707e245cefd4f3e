"""What to do about an error, as data: the library names no option of any caller."""

from dataclasses import dataclass
from enum import Enum


class Remedy(Enum):
    """What to do about an error, where the words depend on who called.

    Each value is the sentence for any caller, ``{0}`` for what ``Advice`` fills in. The
    command line has words of its own for some, with its options in them.
    """

    CHOOSE_PLATFORM = "choose one platform"
    CHOOSE_IMAGE = "choose one of the images: {0}"
    CHOOSE_BASE = "choose one of {0}"
    REPLACE_PLATFORM = "replace it, or leave one of them out"
    LIST_DIGESTS = "the digests there are can be listed"
    BUILD_A_TREE = "a tree becomes an image by a build"
    USE_OCI = "build the image with the OCI format"
    USE_OCI_OR_GZIP = "use the OCI format, or gzip"
    OTHER_CACHE = "choose another cache directory, or build without a cache"
    EMPTY_CACHE = "choose an empty or new directory for the cache"
    CLEAR_CACHE = "remove it, or choose another cache directory"
    NAME_IT = "give the image a name"
    GIVE_LAYERS = "give its layers, or write to a registry that has them"
    FETCH_LAYERS = "fetch the layers of the lock into the cache"
    MAKE_SHALLOW = (
        "give the layers, fetch them into the cache, or have it written without them (shallow)"
    )
    MOUNT_LAYERS = "copy the base to that registry, and name its repository to mount from"
    UPDATE_LOCK = "take it over with an update of the lock"
    LARGER_CACHE = "let the cache hold more"
    PRUNE = "they can be removed when it is written to"
    NAME_OLD_BASE = "name the base that it was built on"
    IGNORE_ONBUILD = "use a base without triggers, or ignore them"
    LOG_IN = "give credentials for {0}"
    CHECK_LOGIN = "check the credentials for {0}"
    LOG_IN_EACH = "store credentials for each of them"
    TRUST_REALM = "if you trust it, name {0} as a trusted token server"
    LONGER_TIMEOUT = "try again, or with a longer time-out"
    USE_HTTP = "if it is meant to be a plain HTTP registry, allow plain HTTP"
    USE_HTTPS = "the server wants https: do not use plain HTTP"
    TRUST_AUTHORITY = "give the certificate of its authority"
    SEND_FOREIGN = "the registry may have to be sent it all the same"
    NAME_SCHEMA1 = "give a name for it"
    MAKE_SCHEMA1 = "make a schema1 manifest from an archive of the image"
    NAME_ENGINE = "start one, or name the one that is meant"
    DELETE_DIGEST = "it may delete by digest, which removes every tag of the image: {0}"
    RECORD_OWNERS = "extract it as root, or have them recorded (rootless)"
    SAY_DELETION = "rename or remove it; what a base has is deleted by a whiteout"
    MORE_MEMORY = "make more memory available"
    NO_SCHEMA1 = (
        "Distribution up to 2.8 takes them with compatibility.schema1.enabled: true; "
        "push without schema1 otherwise"
    )

    def __call__(self, *values: str) -> "Advice":
        """This remedy for a case."""
        return Advice(self, values)


@dataclass(frozen=True, slots=True)
class Advice:
    """A remedy and what it is about; its text is for callers without words of their own."""

    remedy: Remedy
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.remedy.value.format(*self.values)


Hint = str | Advice
