"""A repository's tags, page by page; adding some, and deleting what they name.

OCI distribution-spec v1.1, "Listing Tags" and "Deleting tags". Invariants: a page link is followed
on the registry's own origin only; pages and tags are bounded; a link that was
followed before ends the listing with an error instead of a loop; what is not a
tag (``null``, digests: some registries list them) is left out.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from imgpack.errors import ImgpackError, RegistryError, Remedy, about
from imgpack.image.image import Published
from imgpack.registry.repository import NOT_A_REGISTRY, Repository
from imgpack.spec.json import decode
from imgpack.spec.reference import Reference, is_tag

PAGE: Final = 1000
"""Tags asked for at once; Amazon's registry refuses more."""
MAX_PAGES: Final = 10_000
MAX_TAGS: Final = 1_000_000

_LINK = re.compile(r'<([^<>]*)>\s*((?:;\s*[A-Za-z]+\s*=\s*(?:"[^"]*"|[^\s",;]+)\s*)*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)\s*(?:;|$)', re.I)


def list_tags(client: Repository) -> Iterator[str]:
    """Every tag of the repository, in the registry's order, each once."""
    target = client.path(f"tags/list?n={PAGE}")
    seen: set[str] = set()
    visited: set[str] = set()
    while target:
        if target in visited or len(visited) >= MAX_PAGES or len(seen) > MAX_TAGS:
            raise RegistryError(
                f"{client.name}: the list of tags does not end",
                "the registry sends the same page again, or too many of them",
            )
        visited.add(target)
        with client.session.request("GET", target, scopes=(client.pull,)) as response:
            with about(f"{client.name}: the list of tags"):
                page = decode(response.read_document())
            links, url = response.header_values("Link"), response.url
        for tag in _tags(page, client.name):
            if tag not in seen:
                seen.add(tag)
                yield tag
        following = _next(links)
        target = "" if following is None else client.session.link(following, url)


def _tags(page: dict[str, Any], name: str) -> Iterator[str]:
    tags = page.get("tags")
    if tags is None:
        # Some registries say nothing of tags where there are none, but whose list this is.
        if "tags" in page or isinstance(page.get("name"), str):
            return
        raise RegistryError(f"{name}: the answer is no list of tags", NOT_A_REGISTRY)
    if not isinstance(tags, list):
        raise RegistryError(f"{name}: the list of tags is not a list")
    for tag in tags:
        if isinstance(tag, str) and is_tag(tag):
            yield tag


def _next(links: tuple[str, ...]) -> str | None:
    for header in links:
        for link in _LINK.finditer(header[:16384]):
            if _NEXT.search(link[2]):
                return link[1]
    return None


def add_tags(client: Repository, name: Reference, tags: Iterable[str]) -> Iterator[Published]:
    """Give what ``name`` names these tags as well, one after another; no blob is looked at.

    The document is stored again as it is, as what it says it is. Raises ``NotFoundError``,
    ``RegistryError``, ``DocumentError``.
    """
    served = client.get_manifest(name.digest or name.tagged().target, pushing=True)
    descriptor = served.described(name.shown())
    for tag in tags:
        client.put_manifest(served.raw, descriptor.media_type, tag, descriptor.digest)
        yield Published(name.with_tag(tag), descriptor)


def delete_name(client: Repository, name: Reference) -> None:
    """Delete a tag, or by its digest a manifest with all its tags.

    A name with both means the tag, if it has that digest. Raises ``DigestError`` if it
    has not, ``RegistryError``.
    """
    try:
        if name.tag is not None and name.digest is not None:
            client.delete_tag(name.tag, name.digest)
        else:
            client.delete_manifest(name.digest or name.target)
    except ImgpackError as error:
        raise _explained(error, name, client) from error


def _explained(error: ImgpackError, name: Reference, client: Repository) -> ImgpackError:
    """What to do when a registry does not delete (405): many delete by digest only, or not."""
    answer = error.answer
    if answer is None or not (
        answer.status == 405 or {"UNSUPPORTED", "DIGEST_INVALID"} & set(answer.codes)
    ):
        return error
    if name.tag is None:
        return RegistryError(
            f"{name.shown()}: the registry does not delete images",
            "its operator can allow it (Distribution: storage.delete.enabled)",
        )
    digest = name.digest or client.head_manifest(name.tag)
    return RegistryError(
        f"{name.shown()}: the registry does not delete tags",
        Remedy.DELETE_DIGEST(name.with_digest(digest).shown())
        if digest is not None
        else "it may delete by digest, which removes every tag of the image",
    )
