"""Listing tags, page by page, from registries that list strange things; and deleting."""

import hashlib
import json

import pytest

from imgpack.api import Digest
from imgpack.errors import (
    DigestError,
    DocumentError,
    ImgpackError,
    NotFoundError,
    RegistryError,
    UnsafeError,
)
from imgpack.registry.repository import Repository
from imgpack.registry.tags import list_tags
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, push_to


def listed(registry: HostileRegistry) -> list[str]:
    """All tags of a/b."""
    with connect(attempts=1) as registries:
        return list(list_tags(Repository(registries.session(registry.host), "a/b")))


def with_tags(registry: HostileRegistry, *tags: str) -> None:
    registry.repository("a/b").tags = dict.fromkeys(tags, "sha256:" + "0" * 64)


def page(document: object, **headers: str) -> faults.Action:
    return faults.answer(200, body=json.dumps(document).encode(), **headers)


def test_all_pages_are_read() -> None:
    """The Link header leads from one to the next."""
    tags = [f"t{n:03}" for n in range(25)]
    with HostileRegistry(page=10) as registry:
        with_tags(registry, *tags)
        assert listed(registry) == tags
        assert len(registry.requests) == 3
        assert registry.requests[0].query["n"] == ["1000"]


def test_null_and_digests_in_the_list_are_left_out() -> None:
    """Nexus lists null, Artifactory lists digests; neither is a tag."""
    with HostileRegistry() as registry:
        odd = ["a", None, "sha256:" + "0" * 64, 7, "", "b", "-x", "a", ["c"], "x" * 129]
        registry.misbehave("GET", "tags/list", page({"name": "a/b", "tags": odd}))
        assert listed(registry) == ["a", "b"]


def test_no_tags_at_all_is_an_empty_list() -> None:
    """``null`` instead of a list means none."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page({"name": "a/b", "tags": None}))
        assert listed(registry) == []


@pytest.mark.parametrize("document", [{"name": "a/b"}, {"tags": None}], ids=str)
def test_a_list_that_says_only_whose_it_is_is_empty(document: object) -> None:
    """The name or the member is enough to know it for a list of tags."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page(document))
        assert listed(registry) == []


@pytest.mark.parametrize(
    "document", [{"tags": {}}, {"tags": "x"}, [], "x", {}, {"status": "UP"}, {"name": 1}], ids=str
)
def test_what_is_no_list_of_tags_is_an_error(document: object) -> None:
    """A strange answer is told, not taken for an empty list."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page(document))
        with pytest.raises((RegistryError, DocumentError)):
            listed(registry)


def test_an_unknown_repository_is_not_found() -> None:
    """The registry says so."""
    with HostileRegistry() as registry, pytest.raises(NotFoundError):
        listed(registry)


def test_a_page_that_comes_again_is_an_error() -> None:
    """A registry cannot keep us in a circle."""
    link = '</v2/a/b/tags/list?last=x&n=1>; rel="next"'
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page({"tags": ["a"]}, Link=link), times=None)
        with pytest.raises(RegistryError, match="does not end"):
            listed(registry)
        assert len(registry.requests) == 2


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "https://example.org", "//example.org"])
def test_a_page_elsewhere_is_read_from_the_registry_itself(host: str) -> None:
    """Only the path and the query of a Link are followed, on our own origin."""
    with HostileRegistry() as registry:
        with_tags(registry, "z")
        link = f'<{host}/v2/a/b/tags/list?last=a&n=5>; rel="next"'
        registry.misbehave("GET", "tags/list", page({"tags": ["a"]}, Link=link))
        assert listed(registry) == ["a", "z"]
        assert registry.requests[1].target == "/v2/a/b/tags/list?last=a&n=5"


@pytest.mark.parametrize("path", ["/admin/delete", "/v2/../admin", "http://x/y"])
def test_a_page_outside_the_api_is_refused(path: str) -> None:
    """A Link cannot make us call something else."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page({"tags": []}, Link=f'<{path}>; rel="next"'))
        with pytest.raises(UnsafeError):
            listed(registry)
        assert len(registry.requests) == 1


@pytest.mark.parametrize(
    "link",
    ["", "x", "<>", '</v2/x>; rel="prev"', "<" * 5000, '</v2/x>; rel="not-next"', "</v2/x>"],
)
def test_other_links_are_not_followed(link: str) -> None:
    """Only ``rel=next`` is."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", page({"tags": ["a"]}, Link=link))
        assert listed(registry) == ["a"]


def test_a_next_link_may_stand_among_others() -> None:
    """Several links in one header, parameters in any order, quotes or none."""
    for rel in ("rel=next", 'title="a"; rel="next"', 'rel="last next"'):
        with HostileRegistry() as registry:
            with_tags(registry, "z")
            link = f'</v2/p>; rel="prev", </v2/a/b/tags/list?last=a>; {rel}'
            registry.misbehave("GET", "tags/list", page({"tags": ["a"]}, Link=link))
            assert listed(registry) == ["a", "z"]


def test_an_endless_list_ends() -> None:
    """The body of a page is bounded."""
    with HostileRegistry() as registry:
        registry.misbehave("GET", "tags/list", faults.endless(), times=None)
        with pytest.raises(ImgpackError):
            listed(registry)


def test_a_tag_and_an_image_can_be_deleted() -> None:
    """By tag only the tag goes, by digest everything that points there."""
    image = make_image(b"1")
    with HostileRegistry() as registry, connect() as registries:
        push_to(registry.host, image, "a/b:1", "a/b:2", "a/b:3")
        client = Repository(registries.session(registry.host), "a/b")
        client.delete_manifest("1")
        assert listed(registry) == ["2", "3"]
        client.delete_manifest(image.manifest.descriptor.digest)
        assert listed(registry) == []
        with pytest.raises(NotFoundError):
            client.delete_manifest(Digest.of(b"nothing"))


# Deleting


def test_a_tag_beside_a_digest_is_all_that_is_deleted() -> None:
    """The digest says which image the tag has to be; the image keeps its other tags."""
    image = make_image()
    digest = image.document.descriptor.digest
    with HostileRegistry() as registry, connect() as registries:
        push_to(registry.host, image, "a/b:1", "a/b:2")
        client = Repository(registries.session(registry.host), "a/b")
        with pytest.raises(DigestError, match="not"):
            client.delete_tag("1", Digest.of(b"another"))
        assert registry.sent("DELETE") == []
        client.delete_tag("1", digest)
        assert [r.path for r in registry.sent("DELETE")] == ["/v2/a/b/manifests/1"]
        assert registry.repository("a/b").tags == {"2": str(digest)}
        client.delete_tag("2", Digest("sha512", hashlib.sha512(image.document.raw).hexdigest()))
        assert registry.repository("a/b").tags == {}


@pytest.mark.parametrize("status", [200, 204])
def test_a_deletion_that_deleted_nothing_is_not_believed(status: int) -> None:
    """A web server says 200 to a DELETE as well; a registry does not have it any more then."""
    with HostileRegistry() as registry, connect(attempts=1) as registries:
        push_to(registry.host, make_image(), "a/b:1", "a/b:2")
        client = Repository(registries.session(registry.host), "a/b")
        registry.misbehave("DELETE", "/manifests/1", faults.answer(status), times=None)
        with pytest.raises(RegistryError, match="still has it"):
            client.delete_manifest("1")
        registry.misbehave("DELETE", "/manifests/2", faults.with_status(status), times=None)
        client.delete_manifest("2")
        assert set(registry.repository("a/b").tags) == {"1"}
