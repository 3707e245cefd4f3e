"""Mounting blobs from other repositories: when it works, and when it does not."""

from collections.abc import Iterator

import pytest

from imgpack.api import (
    Descriptor,
    Image,
    Named,
    PushOptions,
    Reference,
    Registries,
    RegistrySink,
    SessionOptions,
    TransportOptions,
    dry_run,
)
from imgpack.credentials.lookup import Credential
from imgpack.errors import ImgpackError, NotFoundError, UnauthorizedError
from imgpack.registry.push.mount import recorded_bases
from imgpack.spec.manifest import BASE_NAME
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import Memory, connect, make_image, make_index, noise, push_to

MOUNT = "mount="


def hold(registry: HostileRegistry, repository: str, image: Image) -> None:
    """Let ``repository`` hold the image's layers already."""
    for layer in image.manifest.layers:
        registry.add_blob(repository, image.source.blobs[layer.digest])  # type: ignore[attr-defined]


@pytest.fixture
def image() -> Image:
    """Two layers."""
    return make_image(b"one", noise(50_000))


def from_base(registry: HostileRegistry) -> tuple[Reference, ...]:
    return (Reference.parse(f"{registry.host}/base"),)


def test_layers_are_mounted_from_the_named_repository(image: Image) -> None:
    """``POST …?mount=…&from=…`` answered 201: no byte of a layer is sent."""
    with HostileRegistry() as registry:
        hold(registry, "base", image)
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry))
        mounts = registry.sent("POST", MOUNT)
        assert {m.query["mount"][0] for m in mounts} >= {
            str(x.digest) for x in image.manifest.layers
        }
        assert all(m.query["from"] == ["base"] for m in mounts)
        assert all(m.headers["content-length"] == "0" for m in mounts)
        sent = [r.query["digest"] for r in registry.sent("PUT", "uploads")]
        assert sent == [[str(image.config.digest)]]
        assert registry.incomplete() == []


def test_a_202_goes_on_with_the_session_that_it_opens(image: Image) -> None:
    """No second POST, and nothing is left open."""
    with HostileRegistry(mounts=False) as registry:
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry))
        assert len(registry.sent("POST")) == 3
        assert len(registry.sent("POST", MOUNT)) == 3
        assert registry.uploads == {}
        assert registry.incomplete() == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 503])
def test_a_refused_mount_never_fails_a_push(image: Image, status: int) -> None:
    """Any error leads to a plain upload, and that repository is not asked again."""
    with HostileRegistry() as registry:
        registry.misbehave("POST", MOUNT, faults.answer(status, "DENIED"), times=None)
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry), jobs=1)
        assert len(registry.sent("POST", MOUNT)) == 1
        assert registry.incomplete() == []


def test_a_broken_connection_during_a_mount_is_no_failure(image: Image) -> None:
    """A reset is as good as a no."""
    with HostileRegistry() as registry:
        registry.misbehave("POST", MOUNT, faults.reset(), times=None)
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry))
        assert registry.incomplete() == []


def test_a_mount_that_is_only_claimed_is_not_believed(image: Image) -> None:
    """201 without the blob's digest, and the blob is not there: it is uploaded."""
    with HostileRegistry() as registry:
        registry.misbehave("POST", MOUNT, faults.answer(201, Location="/x"), times=None)
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry))
        assert registry.incomplete() == []
        assert len(registry.sent("PUT", "uploads")) == 3


def test_a_claimed_mount_that_is_found_missing_later_is_repaired(image: Image) -> None:
    """201 with the digest but without the blob: the manifest's refusal tells, and it is sent."""
    with HostileRegistry() as registry:
        lost = str(image.manifest.layers[0].digest)
        registry.misbehave(
            "POST", f"mount=sha256%3A{lost[7:]}", faults.answer(201, Docker_Content_Digest=lost)
        )
        push_to(registry.host, image, "a/b:1", mount_from=from_base(registry))
        assert registry.incomplete() == []


def test_candidates_are_tried_in_turn_and_sessions_do_not_leak(image: Image) -> None:
    """The second repository has it; the session of the first is cancelled."""
    with HostileRegistry() as registry:
        hold(registry, "second", image)
        sources = tuple(Reference.parse(f"{registry.host}/{n}") for n in ("first", "second"))
        push_to(registry.host, image, "a/b:1", mount_from=sources)
        layer = str(image.manifest.layers[0].digest)
        asked = [
            m.query["from"][0] for m in registry.sent("POST", MOUNT) if layer in m.query["mount"]
        ]
        assert asked == ["first", "second"]
        assert registry.uploads == {}


def test_at_most_three_repositories_are_asked_for_a_blob(image: Image) -> None:
    """A long list of candidates does not cost more than it may save."""
    with HostileRegistry() as registry:
        sources = tuple(Reference.parse(f"{registry.host}/n{n}") for n in range(9))
        push_to(registry.host, image, "a/b:1", mount_from=sources)
        asked = [m.query["mount"][0] for m in registry.sent("POST", MOUNT)]
        assert max(asked.count(digest) for digest in asked) == 3


def test_the_recorded_base_is_a_candidate(image: Image) -> None:
    """``org.opencontainers.image.base.name`` says where the base's layers are."""
    with HostileRegistry() as registry:
        based = make_image(
            b"one", noise(50_000), annotations={BASE_NAME: f"{registry.host}/debian:12"}
        )
        hold(registry, "debian", based)
        push_to(registry.host, based, "a/b:1")
        assert [r.query["digest"] for r in registry.sent("PUT", "uploads")] == [
            [str(based.config.digest)]
        ]


@pytest.mark.parametrize("bytes_given", [None, b"x" * 200], ids=["absent", "wrong"])
def test_an_image_cannot_have_mounted_what_it_does_not_hold(bytes_given: bytes | None) -> None:
    """Who knows a digest only does not get a private layer published by another's push."""
    secret = make_image(b"a secret that only the user may read")
    layer = secret.manifest.layers[0]
    with HostileRegistry() as registry:
        hold(registry, "private", secret)
        annotations = {BASE_NAME: f"{registry.host}/private:1"}
        image = make_image(b"a secret that only the user may read", annotations=annotations)
        given = {} if bytes_given is None else {layer.digest: bytes_given[: layer.size]}
        evil = Image(image.manifest, image.config, Missing(given))
        for names in (("public:1",), ("private:2", "public:1")):
            with pytest.raises(ImgpackError):
                push_to(registry.host, evil, *names)
            assert str(layer.digest) not in registry.repository("public").blobs
            assert registry.sent("POST", MOUNT) == []


def test_a_blob_is_not_read_to_be_mounted_from_where_the_user_said(image: Image) -> None:
    """Neither for the recorded base nor for the repositories of one push."""
    with HostileRegistry() as registry:
        hold(registry, "base", image)
        annotations = {BASE_NAME: f"{registry.host}/recorded:1"}
        based = make_image(b"one", noise(50_000), annotations=annotations)
        unread = Image(based.manifest, based.config, Memory({}))
        push_to(registry.host, unread, "a/b:1", "c/d:1", mount_from=from_base(registry))
        assert registry.incomplete() == []
        layers = {str(layer.digest) for layer in based.manifest.layers}
        mounts = [m.query for m in registry.sent("POST", MOUNT) if m.query["mount"][0] in layers]
        assert [query["from"] for query in mounts] == [["base"]] * 4


@pytest.mark.parametrize("bases", [(), ("other", "base")], ids=["no-base", "bases"])
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
@pytest.mark.parametrize("there", [False, True], ids=["", "there"])
def test_a_dry_run_chooses_what_the_push_then_mounts(
    bases: tuple[str, ...], recorded: bool, there: bool
) -> None:
    """From the same repositories in the same order."""
    with HostileRegistry() as registry:
        annotations = {BASE_NAME: f"{registry.host}/debian:1"} if recorded else {}
        based = make_image(b"one", noise(50_000), annotations=annotations)
        for repository in ("base", "debian", *(["a/b"] if there else [])):
            hold(registry, repository, based)
        references = tuple(Reference.parse(f"{registry.host}/{name}") for name in bases)
        names = tuple(Reference.parse(f"{registry.host}/{name}:1") for name in ("a/b", "c/d"))
        with connect() as registries:
            options = PushOptions(mount_from=references)
            steps = dry_run(registries, [Named(based, names)], options)
        push_to(registry.host, based, "a/b:1", "c/d:1", mount_from=references)
        mounted = {
            (mount.path.split("/v2/")[1].removesuffix("/blobs/uploads/"), *mount.query["from"])
            for mount in registry.sent("POST", MOUNT)
            if mount.status == 201
        }
        assert mounted == {
            (step.target.partition("/")[2], step.source) for step in steps if step.source
        }


class Missing(Memory):
    """A source that says so when it does not hold a blob."""

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """The bytes, if they are there."""
        if descriptor.digest not in self.blobs:
            raise NotFoundError(f"no blob {descriptor.digest}")
        return super().read_blob(descriptor, offset)


def test_a_base_in_another_registry_is_no_candidate() -> None:
    """A mount from elsewhere is impossible, and only disturbs the token server."""
    with HostileRegistry() as registry:
        image = make_image(b"one", annotations={BASE_NAME: "docker.io/library/debian:12"})
        push_to(registry.host, image, "a/b:1")
        assert registry.sent("POST", MOUNT) == []


@pytest.mark.parametrize("name", ["", "::", "UPPER", "a/../b", "x" * 1000, "http://x/y"])
def test_a_base_name_that_is_none_is_ignored(name: str) -> None:
    """Annotations are input."""
    assert recorded_bases(make_image(b"1", annotations={BASE_NAME: name})) == ()


def test_the_bases_of_an_index_are_those_of_its_images() -> None:
    """Each child may have one of its own."""
    one = make_image(b"1", annotations={BASE_NAME: "localhost/x:1"})
    two = make_image(b"2", annotations={BASE_NAME: "localhost/y:1"}, platform="linux/arm64")
    assert [base.repository for base in recorded_bases(make_index(one, two))] == ["x", "y"]


def test_mounting_can_be_switched_off(image: Image) -> None:
    """No mount is tried, not even between the repositories of one push."""
    with HostileRegistry() as registry:
        push_to(
            registry.host, image, "a/b:1", "c/d:1", mount_from=from_base(registry), mounts=False
        )
        assert registry.sent("POST", MOUNT) == []
        assert registry.incomplete() == []


class Known:
    """The hostile registry's own user."""

    def find(self, registry: str, repository: str) -> Credential:
        return Credential("user", "secret")


def push_with_tokens(registry: HostileRegistry, image: Image) -> None:
    name = Reference.parse(f"{registry.host}/a/b:1")
    options = SessionOptions(sleep=lambda seconds: None)
    with Registries(TransportOptions(), options, Known()) as registries:
        pushing = PushOptions(mount_from=from_base(registry))
        RegistrySink(registries, pushing).write([Named(image, (name,))], jobs=1)


def test_the_token_for_a_mount_holds_pull_on_the_source(image: Image) -> None:
    """Distribution refuses a mount with 401 unless the token may read ``from``."""
    with HostileRegistry(auth="bearer") as registry:
        hold(registry, "base", image)
        push_with_tokens(registry, image)
        scopes = [r.query.get("scope", []) for r in registry.sent("GET", "^/token")]
        assert scopes[0] == ["repository:a/b:pull,push"]
        assert any("repository:base:pull" in " ".join(scope) for scope in scopes[1:])
        assert {r.status for r in registry.sent("POST", MOUNT)} <= {201, 202}
        assert [r.query["digest"] for r in registry.sent("PUT", "uploads")] == [
            [str(image.config.digest)]
        ]


def test_a_source_that_may_not_be_read_costs_only_the_mount(image: Image) -> None:
    """The token server does not grant it; the layers are uploaded."""
    with HostileRegistry(auth="bearer", denied=frozenset({"base"})) as registry:
        hold(registry, "base", image)
        push_with_tokens(registry, image)
        assert len(registry.sent("PUT", "uploads")) == 3
        assert registry.incomplete() == []


def test_a_target_that_may_not_be_written_is_an_error(image: Image) -> None:
    """Falling back has its limits: without the right to push there is no push."""
    with HostileRegistry(auth="bearer", denied=frozenset({"a/b"})) as registry:
        with pytest.raises(UnauthorizedError):
            push_with_tokens(registry, image)
        assert registry.repository("a/b").tags == {}
