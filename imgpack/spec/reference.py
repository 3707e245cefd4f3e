"""Image references: ``[registry/]repository[:tag][@digest]``.

Source: the grammar of distribution's ``reference`` package, and its
normalisation of familiar names: ``debian`` is ``docker.io/library/debian``.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from imgpack.errors import InvalidReferenceError, UnsupportedError, without_user
from imgpack.spec.digest import Digest

DEFAULT_REGISTRY: Final = "docker.io"
DEFAULT_TAG: Final = "latest"
_DOCKER_HUB: Final = frozenset({"docker.io", "index.docker.io"})
MAX_NAME: Final = 255
"""Characters of registry and repository together; the bound of distribution's grammar."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::([0-9]{{1,5}}))?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BARE_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A normalised reference; ``tag`` and ``digest`` may both be there, or neither."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        host = _REGISTRY.fullmatch(self.registry)
        if host is None or not 0 < int(host[1] or 1) < 1 << 16:
            raise InvalidReferenceError(f"invalid registry {self.registry!r} in an image name")
        if not _REPOSITORY.fullmatch(self.repository):
            raise InvalidReferenceError(
                f"invalid repository {self.repository!r}",
                "use lower-case letters, digits and single . _ - or / between them",
            )
        if _split_registry(self.name) != (self.registry, self.repository):
            raise InvalidReferenceError(
                f"{self.name!r} is not a normalised name",
                "a registry's name has a dot or a port, or is localhost",
            )
        if len(self.name) > MAX_NAME:
            raise InvalidReferenceError(
                f"the image name {self.name[:40]!r}… has {len(self.name)} characters",
                f"at most {MAX_NAME} are allowed",
            )
        if self.tag is not None and not is_tag(self.tag):
            raise InvalidReferenceError(
                f"invalid tag {self.tag[:140]!r}",
                "a tag has up to 128 letters, digits and . _ -, and starts with none of . and -",
            )

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Parse and normalise ``text``; no tag is added. Raises ``InvalidReferenceError``."""
        if "://" in text:
            shown = without_user(text)
            raise InvalidReferenceError(
                f"invalid image name {shown!r}",
                f"leave out the scheme: {shown.partition('://')[2] or 'registry/repository:tag'}",
            )
        remainder, at, digest_text = text.partition("@")
        head, slash, last = remainder.rpartition("/")
        last, colon, tag = last.partition(":")
        try:
            digest = Digest.parse(digest_text) if at else None
            return cls(*_split_registry(head + slash + last), tag if colon else None, digest)
        except (InvalidReferenceError, UnsupportedError) as error:
            shown = without_user(text)
            if shown != text:  # and what error says may quote what is left out
                raise InvalidReferenceError(
                    f"invalid image name {shown!r}", "leave out the user name and password"
                ) from None
            raise error.reworded(f"invalid image name {text!r}: {error.message}") from None

    @property
    def name(self) -> str:
        """``registry/repository``, in full."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The name as people write it: without ``docker.io/`` and ``library/``."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        for short in (self.repository.removeprefix("library/"), self.repository):
            # A shorter name that reads as another image, or as an image ID, is no name for it.
            if not _BARE_DIGEST.fullmatch(short) and _split_registry(short) == (
                self.registry,
                self.repository,
            ):
                return short
        return self.name

    @property
    def target(self) -> str:
        """What a manifest URL ends in: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        return _suffixed(self.name, self.tag, self.digest)

    def shown(self) -> str:
        """The whole reference in its familiar form."""
        return _suffixed(self.familiar, self.tag, self.digest)

    def tagged(self) -> "Reference":
        """This reference with the default tag if it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> "Reference":
        """The same repository with another tag and no digest."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> "Reference":
        """The same repository, pinned to ``digest``, without a tag."""
        return replace(self, tag=None, digest=digest)


def _suffixed(name: str, tag: str | None, digest: Digest | None) -> str:
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = DEFAULT_REGISTRY if first.lower() in _DOCKER_HUB else first
        repository = rest
    else:
        registry, repository = DEFAULT_REGISTRY, name
    if not slash and _BARE_DIGEST.fullmatch(name):
        raise InvalidReferenceError(
            "64 hexadecimal digits name an image ID, not a repository", "give the image a name"
        )
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def is_tag(text: str) -> bool:
    """Whether ``text`` can be a tag."""
    return _TAG.fullmatch(text) is not None


def parse_name(text: str) -> Reference:
    """A name for an image that is made: a tag (``latest`` if none), never a digest."""
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidReferenceError(
            f"invalid image name {text!r}: it has a digest",
            "an image's digest follows from its content; give a tag",
        )
    return reference.tagged()
