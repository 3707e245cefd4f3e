"""Building and pushing at once: what is sent, when, and what becomes of a failure."""

import io
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from imgpack import api
from imgpack.errors import NotFoundError, RegistryError, SourceError, UnauthorizedError
from imgpack.files.pool import Stop
from imgpack.spec.manifest import BASE_NAME
from tests.registry import faults
from tests.registry.exchange import Action, Exchange
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, noise

MANIFEST_PUT = "/manifests/"
PATIENCE = 20
"""Seconds after which a test has failed."""


def layer(name: str, content: bytes | Callable[[], io.BytesIO], size: int | None = None) -> object:
    """A layer of one file."""
    return api.entries([api.file(name, content, size=size)])


def names(registry: HostileRegistry, *texts: str) -> list[str]:
    """Names in a registry."""
    return [f"{registry.host}/{text}" for text in texts]


@contextmanager
def pushing(scratch: Path, *, jobs: int = 4, **options: object) -> Iterator[api.LayerSink]:
    """A sink that pushes, and has no other place for layers than ``scratch``."""
    with (
        connect() as registries,
        api.pushing(
            registries=registries,
            options=api.PushOptions(**options),  # type: ignore[arg-type]
            jobs=jobs,
            scratch=lambda: str(scratch),
        ) as sink,
    ):
        yield sink


def scratch_files(scratch: Path) -> int:
    """How many files of this process lie in ``scratch``, under whichever name or none."""
    assert os.listdir(scratch) == []
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith(f"{scratch}/")
        except OSError:
            continue
    return count


def requests(registry: HostileRegistry) -> Counter[tuple[str, str, int]]:
    """What was asked and answered, without what is another one each time."""
    return Counter(
        (r.method, re.sub(r"uploads/[0-9a-f]{32}.*(digest=)", r"uploads/…\1", r.target), r.status)
        for r in registry.requests
    )


def told(event: threading.Event) -> Action:
    """Answer as a correct registry does, and say when that is done."""

    def act(exchange: Exchange) -> bool:
        exchange._route()
        event.set()
        return True

    return act


def after(event: threading.Event, content: bytes) -> Callable[[], io.BytesIO]:
    """Content that can be read once ``event`` has come."""

    def opened() -> io.BytesIO:
        assert event.wait(PATIENCE)
        return io.BytesIO(content)

    return opened


@pytest.mark.parametrize("beside", [True, False], ids=["archive", "alone"])
@pytest.mark.parametrize(
    ("texts", "source"),
    [
        (("a/b:1",), None),
        (("a/b:1", "a/b:2"), None),
        (("a/b:1", "c/d:1", "e:2"), None),
        (("a/b:1", "c/d:1"), "given/base"),
    ],
)
def test_what_is_asked_and_sent_is_what_a_push_does(
    tmp_path: Path, texts: tuple[str, ...], source: str | None, beside: bool
) -> None:
    """In one repository and several, with what can be mounted; and the archive is the same."""
    layers = [layer("x", noise(300_000)), layer("y", b"y" * 100_000), layer("x", noise(300_000))]
    seen = []
    archives = [tmp_path / "push.tar", tmp_path / "pushing.tar"]
    # One after the other at the same port: an archive holds its names.
    for archive in archives:
        with HostileRegistry() as registry, ExitStack() as stack:
            if source:
                image = build_in(tmp_path / "base.tar", layers)
                for one in image.manifest.layers[:2]:
                    registry.add_blob(source, blob(tmp_path / "base.tar", one))
            mounted = api.mount_repositories([source] if source else [], [registry.host])
            options = api.PushOptions(mount_from=mounted)
            called = names(registry, *texts)
            registries = stack.enter_context(connect())
            if archive == archives[0]:
                with api.create(str(archive)) as sink:
                    api.build(layers, into=sink, names=["x:1"])  # type: ignore[arg-type]
                opened = stack.enter_context(api.open(str(archive)))
                api.push(opened.images(), called, registries=registries, options=options, jobs=1)
            else:
                also = stack.enter_context(api.create(str(archive))) if beside else None
                with api.pushing(also, registries=registries, options=options, jobs=1) as into:
                    api.build(layers, into=into, names=called)  # type: ignore[arg-type]
            assert registry.incomplete() == []
            seen.append(requests(registry))
            tags = {n: sorted(r.tags) for n, r in registry.repositories.items() if r.tags}
            assert sum(map(len, tags.values())) == len(texts)
    assert seen[0] == seen[1]
    assert archives[1].exists() == beside


def build_in(archive: Path, layers: list[object]) -> api.Image:
    """An image in an archive."""
    with api.create(str(archive)) as sink:
        return api.build(layers, into=sink, names=["x:1"])  # type: ignore[arg-type]


def blob(archive: Path, descriptor: api.Descriptor) -> bytes:
    """A blob of an archive."""
    with api.open(str(archive)) as opened:
        return b"".join(opened.read_blob(descriptor))


def test_a_layer_is_there_before_the_next_one_is_read(tmp_path: Path) -> None:
    """The second waits for the first one's upload, the third for the second one's."""
    events = [threading.Event() for _ in range(2)]
    layers = [
        layer("a", b"first"),
        layer("b", after(events[0], b"second"), 6),
        layer("c", after(events[1], b"third"), 5),
    ]
    with HostileRegistry() as registry, pushing(tmp_path, jobs=1) as sink:
        for number, event in enumerate(events):
            registry.misbehave("PUT", "uploads", told(event), skip=number)
        api.build(layers, into=sink, names=names(registry, "a/b:1"))  # type: ignore[arg-type]
        assert registry.incomplete() == []
        assert len(registry.sent("PUT", "uploads")) == 4
        assert list(registry.repository("a/b").tags) == ["1"]


def test_the_space_of_a_layer_is_given_back_when_it_is_sent(tmp_path: Path) -> None:
    """With one upload at a time: when the second begins, the first one's file is gone."""
    begun = threading.Event()
    counts: list[int] = []

    def opened() -> io.BytesIO:
        assert begun.wait(PATIENCE)
        counts.append(scratch_files(tmp_path))
        return io.BytesIO(b"third")

    layers = [layer("a", noise(100_000)), layer("b", b"second"), layer("c", opened, 5)]
    held = threading.Event()

    def hold(exchange: Exchange) -> bool:
        begun.set()
        assert held.wait(PATIENCE)
        return False

    with HostileRegistry() as registry, pushing(tmp_path, jobs=1) as sink:
        registry.misbehave("PUT", "uploads", hold, skip=1)
        building = threading.Thread(
            target=api.build,
            args=(layers,),
            kwargs={"into": sink, "names": names(registry, "a/b:1")},
        )
        building.start()
        assert begun.wait(PATIENCE)
        while not counts and building.is_alive():
            begun.wait(0.01)
        held.set()
        building.join()
        assert counts == [2]  # the second, which is being sent, and the third
        assert registry.incomplete() == []
        assert scratch_files(tmp_path) == 0


@pytest.mark.parametrize("beside", [True, False], ids=["archive", "alone"])
def test_a_refusal_ends_the_build_at_once(tmp_path: Path, beside: bool) -> None:
    """With the push's own error, while a gigabyte is left to be read; nothing has a name."""
    refused = threading.Event()
    read = 0

    class Zeros(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            nonlocal read
            assert refused.wait(PATIENCE)
            read += len(buffer)
            return len(buffer)

    def refuse(exchange: Exchange) -> bool:
        done = faults.answer(401, "UNAUTHORIZED")(exchange)
        refused.set()
        return done

    size = 1 << 30
    (tmp_path / "scratch").mkdir()
    layers = [layer("a", noise(100_000)), layer("b", lambda: io.BufferedReader(Zeros()), size)]
    with HostileRegistry() as registry, ExitStack() as stack:
        registry.misbehave("PUT", "uploads", refuse, times=None)
        also = stack.enter_context(api.create(str(tmp_path / "x.tar"))) if beside else None
        registries = stack.enter_context(connect())
        with (
            pytest.raises(UnauthorizedError),
            api.pushing(
                also, registries=registries, scratch=lambda: str(tmp_path / "scratch")
            ) as sink,
        ):
            api.build(layers, into=sink, names=names(registry, "a/b:1"), compression="none")  # type: ignore[arg-type]
        assert 0 < read < size
        assert registry.repository("a/b").manifests == {}
        assert registry.sent("PUT", MANIFEST_PUT) == []
    assert scratch_files(tmp_path / "scratch") == 0
    assert os.listdir(tmp_path) == ["scratch"]


def test_an_error_of_the_build_names_nothing(tmp_path: Path) -> None:
    """The layers that are there stay; a running upload is given up."""
    there = threading.Event()

    def fails() -> io.BytesIO:
        assert there.wait(PATIENCE)
        raise SourceError("the second cannot be read")

    with HostileRegistry() as registry:
        registry.misbehave("PUT", "uploads", told(there))
        with pytest.raises(SourceError, match="second"), pushing(tmp_path) as sink:
            layers = [layer("a", b"first"), layer("b", fails, 5)]
            api.build(layers, into=sink, names=names(registry, "a/b:1"))  # type: ignore[arg-type]
        assert registry.repository("a/b").manifests == {}
        assert registry.uploads == {}
    assert scratch_files(tmp_path) == 0


def test_an_upload_is_cancelled_when_the_build_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a push that is interrupted: its session is ended where nothing remembers it."""
    begun, stopped = threading.Event(), threading.Event()
    stop = Stop.set

    def tells(self: Stop) -> None:
        stop(self)
        stopped.set()

    def slowly(exchange: Exchange) -> bool:
        begun.set()
        assert stopped.wait(PATIENCE)
        return False

    def fails() -> io.BytesIO:
        assert begun.wait(PATIENCE)
        raise SourceError("the second cannot be read")

    monkeypatch.setattr(Stop, "set", tells)
    with HostileRegistry() as registry:
        registry.misbehave("PUT", "uploads", slowly)
        with pytest.raises(SourceError, match="second"), pushing(tmp_path) as sink:
            # More than what a socket takes before the other end reads.
            layers = [layer("a", noise(32 << 20)), layer("b", fails, 5)]
            api.build(
                layers,  # type: ignore[arg-type]
                into=sink,
                names=names(registry, "a/b:1"),
                compression="none",
            )
        assert len(registry.sent("PUT", "uploads")) == len(registry.sent("DELETE", "uploads")) == 1
        assert registry.repository("a/b").manifests == {}
        assert registry.uploads == {}


def test_what_lies_below_is_there_before_anything_is_read(tmp_path: Path) -> None:
    """A layer of the base that nobody holds: else nothing is sent, and no source is opened."""
    with HostileRegistry() as registry:
        base, held = shallow_base(registry)

        def opened() -> io.BytesIO:
            raise AssertionError("it is read")

        placement = api.Placement(base)
        with pytest.raises(NotFoundError, match=str(held.manifest.layers[1].digest)):
            build_on(registry, tmp_path, placement, layer("own", opened, 5))
        assert registry.sent("POST") == []
        registry.add_blob("a/b", b"".join(held.source.read_blob(held.manifest.layers[1])))
        build_on(registry, tmp_path, placement, layer("own", b"own"))
        assert registry.incomplete() == []
        assert len(registry.sent("PUT", "uploads")) == 2


def shallow_base(registry: HostileRegistry) -> tuple[api.Base, api.Image]:
    """A base that holds none of its layers, of which the registry has the first."""
    from dataclasses import replace

    held = make_image(tar(b"one"), tar(b"two"))
    absent = frozenset(one.digest for one in held.manifest.layers)
    registry.add_blob("a/b", b"".join(held.source.read_blob(held.manifest.layers[0])))
    tree = api.entries([api.file("etc/one", b"one")]).tree
    return api.Base(replace(held, absent=absent), tree), held


def tar(content: bytes) -> bytes:
    """Something that only looks like a layer."""
    return content * 1000


def build_on(
    registry: HostileRegistry, scratch: Path, placement: api.Placement, *layers: object
) -> api.Image:
    """Build and push over a base."""
    with pushing(scratch) as sink:
        return api.build(
            layers,  # type: ignore[arg-type]
            into=sink,
            names=names(registry, "a/b:1"),
            placement=placement,
        )


def test_a_base_s_layers_are_sent_while_others_are_made(tmp_path: Path) -> None:
    """Those that it holds; or they are mounted from where the user says that it is."""
    sent = threading.Event()
    held = make_image(tar(b"one"), annotations={BASE_NAME: "elsewhere.example/base:1"})
    placement = api.Placement(api.Base(held, api.entries([]).tree))
    with HostileRegistry() as registry:
        registry.misbehave("PUT", str(held.manifest.layers[0].digest)[7:], told(sent))
        build_on(registry, tmp_path, placement, layer("own", after(sent, b"own"), 3))
        assert registry.incomplete() == []
        assert len(registry.sent("PUT", "uploads")) == 3


def test_a_layer_that_is_only_said_to_be_there_is_sent_after_all(tmp_path: Path) -> None:
    """What was not sent is kept until the manifest is taken."""
    content = layer("a", b"first")
    lost = build_in(tmp_path / "x.tar", [content]).manifest.layers[0]
    (tmp_path / "s").mkdir()
    with HostileRegistry() as registry, pushing(tmp_path / "s") as sink:
        yes = faults.answer(200, Docker_Content_Digest=str(lost.digest))
        registry.misbehave("HEAD", str(lost.digest), yes, times=None)
        api.build([content], into=sink, names=names(registry, "a/b:1"))  # type: ignore[list-item]
        assert [r.status for r in registry.sent("PUT", MANIFEST_PUT)] == [400, 201]
        assert registry.incomplete() == []


def test_a_sent_layer_that_a_registry_loses_is_its_own_error(tmp_path: Path) -> None:
    """It is not kept; what the registry said is told."""
    with HostileRegistry() as registry, pushing(tmp_path) as sink:
        registry.misbehave(
            "PUT", MANIFEST_PUT, faults.answer(400, "MANIFEST_BLOB_UNKNOWN"), times=None
        )
        with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
            api.build([layer("a", b"a")], into=sink, names=names(registry, "a/b:1"))  # type: ignore[list-item]
        assert registry.repository("a/b").tags == {}


def test_names_come_before_the_archive(tmp_path: Path) -> None:
    """A file that is there says that all is there; each name is told when it is."""
    archive = tmp_path / "x.tar"
    published: list[str] = []
    with HostileRegistry() as registry, connect() as registries, api.create(str(archive)) as also:
        called = names(registry, "a/b:1", "c:2")

        def named(one: api.Published) -> None:
            assert not archive.exists()
            assert registry.incomplete() == []
            published.append(str(one.name))

        with api.pushing(also, registries=registries, on_published=named) as sink:
            api.build([layer("a", b"a")], into=sink, names=called)  # type: ignore[list-item]
        assert published == called
        assert archive.exists()


def test_a_refused_name_leaves_no_archive(tmp_path: Path) -> None:
    """Of two names the second: the first is there, and the archive is not."""
    archive = tmp_path / "x.tar"
    with HostileRegistry() as registry, connect() as registries:
        registry.misbehave("PUT", "c/manifests", faults.answer(403, "DENIED"), times=None)
        with (
            pytest.raises(UnauthorizedError),
            api.create(str(archive)) as also,
            api.pushing(also, registries=registries) as sink,
        ):
            called = names(registry, "a/b:1", "c:2")
            api.build([layer("a", b"a")], into=sink, names=called)  # type: ignore[list-item]
        assert list(registry.repository("a/b").tags) == ["1"]
        assert os.listdir(tmp_path) == []


def test_two_registries_get_everything_before_either_names_it(tmp_path: Path) -> None:
    """The layer goes to both, and its file is kept until both have it."""
    with HostileRegistry() as one, HostileRegistry() as other, pushing(tmp_path) as sink:
        other.misbehave("PUT", "uploads", faults.answer(500), times=1)
        called = [*names(one, "a/b:1"), *names(other, "a/b:1")]
        api.build([layer("a", noise(200_000))], into=sink, names=called)  # type: ignore[list-item]
        for registry in (one, other):
            assert registry.incomplete() == []
            assert list(registry.repository("a/b").tags) == ["1"]


def test_what_the_registry_has_is_not_sent(tmp_path: Path) -> None:
    """Not even a session is opened for it."""
    with HostileRegistry() as registry:
        for _ in range(2):
            registry.requests.clear()
            with pushing(tmp_path) as sink:
                api.build([layer("a", b"a")], into=sink, names=names(registry, "a/b:1"))  # type: ignore[list-item]
        assert registry.sent("POST") == []
        assert len(registry.sent("HEAD")) == 2


def test_no_more_uploads_are_under_way_than_are_asked_for(tmp_path: Path) -> None:
    """With two at once, the third waits for one of them."""
    most, running, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def counted(exchange: Exchange) -> bool:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        both.wait(PATIENCE)
        with lock:
            running -= 1
        return False

    with HostileRegistry() as registry, pushing(tmp_path, jobs=2) as sink:
        registry.misbehave("PUT", "uploads", counted, times=4)
        layers = [layer("a", noise(1000, seed)) for seed in range(4)]
        api.build(layers, into=sink, names=names(registry, "a/b:1"))  # type: ignore[arg-type]
        assert registry.incomplete() == []
    assert most == 2
