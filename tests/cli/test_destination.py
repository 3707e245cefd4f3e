"""Where images go: to a registry only if somebody named it, and to a file if it looks like one."""

from pathlib import Path

import pytest

from imgpack.errors import InvalidReferenceError
from tests.cli_runner import InProcess

INVALID = InvalidReferenceError.exit_code


@pytest.fixture
def archive(imgpack_here: InProcess, tmp_path: Path) -> str:
    """An archive with the name that a build gives by default."""
    (tmp_path / "rootfs").mkdir()
    imgpack_here("build", "rootfs").ok()
    return "rootfs.tar"


@pytest.mark.parametrize("destination", ["newdir", "team/app", "team/app:1", "out/x.oci"])
def test_a_copy_goes_to_no_registry_that_nobody_named(
    imgpack_here: InProcess, archive: str, destination: str
) -> None:
    """Least of all to Docker Hub; how to write a path is said, and how Docker Hub."""
    line = imgpack_here("copy", archive, destination).failed(INVALID)
    assert f"'{destination}' names no registry; write REGISTRY/{destination}" in line
    assert "docker.io/" in line
    assert f"./{destination} is an archive, ./{destination}/ a layout" in line


def test_a_destination_that_is_no_name_is_taken_for_a_path(
    imgpack_here: InProcess, archive: str
) -> None:
    """And how to write it is said."""
    line = imgpack_here("copy", archive, "My Images").failed(INVALID)
    assert "./My Images is an archive" in line


def test_a_push_without_a_reference_goes_to_no_registry_that_nobody_named(
    imgpack_here: InProcess, archive: str
) -> None:
    """A build's default name is none for a registry, and Docker Hub is asked for explicitly."""
    line = imgpack_here("push", archive).failed(INVALID)
    assert "rootfs.tar: 'rootfs:latest' names no registry" in line
    assert "write REGISTRY/rootfs:latest, or docker.io/library/rootfs:latest for Docker Hub" in line


@pytest.mark.parametrize(
    "command",
    [("push", "rootfs.tar", "team/app"), ("index", "create", "app:1", "--add", "localhost:1/a"),
     ("rm", "app:1"), ("rm", "team/app:1")],
    ids=" ".join,
)  # fmt: skip
def test_what_is_written_or_deleted_names_its_registry(
    imgpack_here: InProcess, archive: str, command: tuple[str, ...]
) -> None:
    """In every command."""
    assert "names no registry" in imgpack_here(*command).failed(INVALID)


def test_an_archive_and_a_reference_in_the_wrong_order_are_told(
    imgpack_here: InProcess, archive: str
) -> None:
    """With the right one."""
    line = imgpack_here("push", "localhost:1/app:1", archive).failed(2)
    assert "ARCHIVE comes first: imgpack push rootfs.tar localhost:1/app:1" in line
