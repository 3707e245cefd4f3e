"""A registry keeps the contracts of sinks and of sources."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgpack.api import ImageSink, Opened, Reference, RegistrySink, pushing
from imgpack.image.image import layers_of
from imgpack.registry.pull.image import open_remote
from tests.contracts.image_sink import SinkContract
from tests.contracts.image_source import SourceContract
from tests.contracts.keeping_sink import KeepingContract
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, push_to
from tests.store.samples import Memory, make_image


class _Repository:
    """A repository of the loopback registry: a ``Place``."""

    def __init__(self, registry: HostileRegistry) -> None:
        self.registry = registry
        name = Reference.parse(f"{registry.host}/a/b")
        self.names = (name.with_tag("1"), name.with_tag("latest"))

    @contextmanager
    def sink(self) -> Iterator[ImageSink]:
        """A sink with connections of its own."""
        with connect() as registries:
            yield RegistrySink(registries)

    @contextmanager
    def opened(self, name: Reference) -> Iterator[Opened]:
        """Pulled by its name; no other leads to something incomplete, either."""
        assert self.registry.incomplete() == []
        with connect() as registries:
            yield open_remote(registries, name)

    def is_empty(self) -> bool:
        """Without a tag, and without a document."""
        found = self.registry.repository("a/b")
        return not found.tags and not found.manifests


class TestRegistrySink(SinkContract, KeepingContract):
    """The loopback registry, correct and with nothing in it."""

    @pytest.fixture
    def place(self) -> Iterator[_Repository]:
        """An empty repository."""
        with HostileRegistry() as registry:
            yield _Repository(registry)


class _BuildingInto(_Repository):
    """The same, by a sink that images are built into."""

    @contextmanager
    def sink(self) -> Iterator[ImageSink]:
        """A sink with connections of its own."""
        with connect() as registries, pushing(registries=registries) as sink:
            yield sink


class TestPushingSink(SinkContract, KeepingContract):
    """What is given as a whole is pushed as a whole."""

    @pytest.fixture
    def place(self) -> Iterator[_Repository]:
        """An empty repository."""
        with HostileRegistry() as registry:
            yield _BuildingInto(registry)


class TestRegistrySource(SourceContract):
    """What was pushed there; a blob is the repository's, whatever tag was opened."""

    def where(self, opened: Opened) -> str:
        """Its path there."""
        host, _, path = opened.location.rpartition(":")[0].partition("/")
        return f"{host}/v2/{path}/"

    @pytest.fixture
    def opened(self) -> Iterator[Opened]:
        """Open."""
        with HostileRegistry() as registry, connect() as registries:
            push_to(registry.host, make_image(Memory()), "a/b:1")
            yield open_remote(registries, Reference.parse(f"{registry.host}/a/b:1"))


def test_what_was_opened_is_read_no_more_when_the_connections_are_closed() -> None:
    """No other is made in silence."""
    with HostileRegistry() as registry:
        with connect() as registries:
            push_to(registry.host, make_image(Memory()), "a/b:1")
            opened = open_remote(registries, Reference.parse(f"{registry.host}/a/b:1"))
            image = opened.image().image
        asked = len(registry.requests)
        with pytest.raises(RuntimeError, match="closed"):
            b"".join(opened.read_blob(layers_of(image)[0]))
        assert len(registry.requests) == asked
