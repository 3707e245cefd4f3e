"""Archives, streams and layouts keep the contracts of sinks and of sources."""

import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from imgpack.api import ImageSink, Opened, Reference
from imgpack.errors import ArchiveError
from imgpack.store.archive.write import open_writer
from imgpack.store.open import open_images
from tests.contracts.image_sink import SinkContract
from tests.contracts.image_source import SourceContract
from tests.contracts.keeping_sink import KeepingContract

from .samples import NAMES, Memory, make_image, only_image, saved, write_image


class _Path:
    """An archive file or layout in an empty directory: a ``Place``."""

    names: tuple[Reference, Reference] = NAMES

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.path = f"{directory}/{name}"

    def sink(self) -> AbstractContextManager[ImageSink]:
        return open_writer(self.path)

    def opened(self, name: Reference) -> AbstractContextManager[Opened]:
        return open_images(self.path)

    def is_empty(self) -> bool:
        return os.listdir(self.directory) == []


class _Stream(_Path):
    """Standard output, kept in a file when it is to be read."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "kept.tar")
        self.out = io.BytesIO()

    def sink(self) -> AbstractContextManager[ImageSink]:
        return open_writer("-", stdout=self.out, scratch=lambda: str(self.directory))

    def opened(self, name: Reference) -> AbstractContextManager[Opened]:
        Path(self.path).write_bytes(self.out.getvalue())
        return super().opened(name)

    def is_empty(self) -> bool:
        return super().is_empty() and not self.out.getvalue()


class TestArchiveSink(SinkContract):
    """A file."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> _Path:
        """Where it will be."""
        return _Path(tmp_path, "image.tar")


class TestLayoutSink(SinkContract, KeepingContract):
    """A directory."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> _Path:
        """Where it will be."""
        return _Path(tmp_path, "layout/")


class TestStreamSink(SinkContract):
    """Standard output."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> _Path:
        """Where it will be."""
        return _Stream(tmp_path)


class TestArchiveSource(SourceContract):
    """imgpack's own archive."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Opened]:
        """Open."""
        with open_images(str(write_image(tmp_path / "a.tar", make_image(Memory())))) as opened:
            yield opened


class TestLayoutSource(SourceContract):
    """A directory."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Opened]:
        """Open."""
        with open_images(str(write_image(f"{tmp_path}/layout/", make_image(Memory())))) as opened:
            yield opened


class TestDockerSaveSource(SourceContract):
    """An archive without manifests, whose layers have other names than their digests."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Opened]:
        """Open."""
        with open_images(str(saved(tmp_path / "saved.tar"))) as opened:
            yield opened


@pytest.mark.parametrize("target", ["a.tar", "layout/"])
def test_what_was_closed_reads_no_other_file(tmp_path: Path, target: str) -> None:
    """Its descriptor may be another file's by then, which a second close would take away."""
    opened = open_images(str(write_image(f"{tmp_path}/{target}", make_image(Memory()))))
    layer = only_image(opened).manifest.layers[0]
    opened.close()
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    try:
        opened.close()
        for other in others:
            os.fstat(other)
        with pytest.raises((OSError, ArchiveError), match="Bad file descriptor"):
            b"".join(opened.read_blob(layer))
    finally:
        for other in others:
            os.close(other)
