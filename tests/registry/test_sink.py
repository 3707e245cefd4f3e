"""A registry keeps the promises of every sink."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from imgpack.image.image import ImageSink
from imgpack.image.opened import Opened
from imgpack.registry.pull.image import open_remote
from imgpack.registry.push.push import RegistrySink
from imgpack.spec.reference import Reference
from tests.contracts.image_sink import ImageSinkContract, Place
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect


@dataclass
class OneRepository:
    """A repository of the loopback registry as a ``Place``."""

    registry: HostileRegistry
    repository: str = "a/b"

    @contextmanager
    def sink(self) -> Iterator[ImageSink]:
        """A sink with connections of its own."""
        with connect() as registries:
            yield RegistrySink(registries)

    def name(self, tag: str) -> Reference:
        """A tag of the repository."""
        return Reference.parse(f"{self.registry.host}/{self.repository}:{tag}")

    def names(self) -> set[Reference]:
        """Its tags, each of which leads to something complete."""
        assert self.registry.incomplete() == []
        return {self.name(tag) for tag in self.registry.repository(self.repository).tags}

    @contextmanager
    def read(self, name: Reference) -> Iterator[Opened]:
        """Pulled by its name."""
        with connect() as registries:
            yield open_remote(registries, name)


class TestRegistrySink(ImageSinkContract):
    """The loopback registry, correct and with nothing in it."""

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        """An empty repository."""
        with HostileRegistry() as registry:
            yield OneRepository(registry)
