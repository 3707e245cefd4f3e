"""``imgpack build`` of tar archives and single files, beside directories."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.cli.test_build import Archive
from tests.cli_runner import Imgpack, InProcess
from tests.layer.both import archived
from tests.layer.trees import settle


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree, and an archive of it beside it."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    settle(root)
    (tmp_path / "rootfs.tar").write_bytes(archived(root))
    return root


def image(tmp_path: Path, name: str) -> Archive:
    """What an archive holds."""
    return Archive((tmp_path / name).read_bytes())


def names(archive: Archive, number: int = 0) -> list[str]:
    """The names in a layer."""
    return archive.layer(number).getnames()


@pytest.mark.usefixtures("tree")
def test_an_archive_is_the_image_of_its_directory(
    imgpack_here: InProcess, imgpack: Imgpack, tmp_path: Path
) -> None:
    """From a file, compressed or not, a pipe or standard input; with its name."""
    raw = (tmp_path / "rootfs.tar").read_bytes()
    (tmp_path / "rootfs.TGZ").write_bytes(gzip.compress(raw))
    imgpack_here("build", "rootfs", "-o", "dir.tar").ok()
    for source in ("rootfs.tar", "rootfs.TGZ"):
        imgpack_here("build", source).ok()
        assert image(tmp_path, "rootfs-image.tar").digest == image(tmp_path, "dir.tar").digest
        assert image(tmp_path, "rootfs-image.tar").names == ["docker.io/library/rootfs:latest"]
    for source in ("-", "/dev/stdin"):
        imgpack("build", source, "-o", "piped.tar", "-t", "rootfs", stdin=raw).ok()
        assert image(tmp_path, "piped.tar").digest == image(tmp_path, "dir.tar").digest
    imgpack("build", "-", stdin=raw).ok()
    assert image(tmp_path, "rootfs.tar").names == ["docker.io/library/rootfs:latest"]


@pytest.mark.usefixtures("tree")
def test_an_archive_goes_where_it_is_told(
    imgpack_here: InProcess, imgpack: Imgpack, tmp_path: Path
) -> None:
    """Beside directories, and with the root's attributes for that place."""
    imgpack_here("build", "rootfs", "rootfs.tar:/opt/x", "-o", "o.tar").ok()
    assert names(image(tmp_path, "o.tar"), 1)[:3] == ["opt", "opt/x", "opt/x/bin"]
    raw = (tmp_path / "rootfs.tar").read_bytes()
    imgpack("build", "rootfs", "-:/opt/x", "-o", "p.tar", stdin=raw).ok()
    assert image(tmp_path, "p.tar").digest == image(tmp_path, "o.tar").digest


@pytest.mark.parametrize(
    ("source", "dest", "path"),
    [
        ("tool", "", "tool"),
        ("tool", ":/bin/sh", "bin/sh"),
        ("tool", ":/bin/", "bin/tool"),
        ("tool", ":/sh", "sh"),
        ("dir/odd:name", "", "odd:name"),
        ("dir/odd:name", ":/a/b/", "a/b/odd:name"),
        ("link", ":/bin/", "bin/link"),
    ],
)
def test_a_file_goes_to_its_path_or_into_a_directory(
    imgpack_here: InProcess, tmp_path: Path, source: str, dest: str, path: str
) -> None:
    """With its mode and time; a link is followed, and is called what it was called."""
    (tmp_path / "tool").write_bytes(b"program")
    (tmp_path / "tool").chmod(0o755)
    os.utime(tmp_path / "tool", (7, 7))
    (tmp_path / "dir").mkdir()
    os.link(tmp_path / "tool", tmp_path / "dir/odd:name")
    (tmp_path / "link").symlink_to("tool")
    imgpack_here("build", source + dest, "-o", "o.tar", "-t", "a").ok()

    layer = image(tmp_path, "o.tar").layer()
    assert layer.getnames()[-1] == path
    found = layer.getmember(path)
    assert (found.mode, found.mtime, found.size, found.isfile()) == (0o755, 7, 7, True)


def test_a_file_goes_through_the_links_of_lower_layers(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Whose directories stay what they are there."""
    (tree / "usr/bin").chmod(0o711)
    (tmp_path / "tool").write_bytes(b"program")
    imgpack_here("build", "rootfs", "tool:/bin/sh", "tool:/bin/ls", "-o", "o.tar").ok()

    archive = image(tmp_path, "o.tar")
    assert names(archive, 1) == ["usr", "usr/bin", "usr/bin/sh"]
    assert archive.layer(1).getmember("usr/bin").mode == 0o711
    assert names(archive, 2) == ["usr", "usr/bin", "usr/bin/ls"]


@pytest.mark.usefixtures("tree")
def test_a_source_is_not_written_over(imgpack_here: InProcess, tmp_path: Path) -> None:
    """By whatever name."""
    raw = (tmp_path / "rootfs.tar").read_bytes()
    (tmp_path / "other").symlink_to("rootfs.tar")
    os.link(tmp_path / "rootfs.tar", tmp_path / "same")
    for output in ("rootfs.tar", "other"):
        line = imgpack_here("build", "rootfs.tar", "-o", output).failed(14)
        assert "is the source" in line
    line = imgpack_here("build", "rootfs.tar", "-o", "same").failed(14)
    assert "is a source of what would be written over it" in line
    line = imgpack_here("build", "rootfs.tar", "--metadata-file", "rootfs.tar").failed(14)
    assert "the metadata file rootfs.tar is the source" in line
    assert (tmp_path / "rootfs.tar").read_bytes() == raw


@pytest.mark.usefixtures("tree")
def test_what_an_archive_has_twice_is_warned_of(imgpack_here: InProcess, tmp_path: Path) -> None:
    """By name, and the image is made."""
    with tarfile.open(tmp_path / "rootfs.tar", "a") as tar:
        info = tarfile.TarInfo("./etc/motd")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"new"))
    done = imgpack_here("build", "rootfs.tar", "-o", "o.tar")
    done.ok()
    assert "rootfs.tar has etc/motd more than once; the last counts" in done.err
    content = image(tmp_path, "o.tar").layer().extractfile("etc/motd")
    assert content is not None
    assert content.read() == b"new"


@pytest.mark.usefixtures("tree")
def test_a_raw_layer_is_the_file_as_it_is_above_all_sources(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Its type is by its bytes, whatever the others are compressed with."""
    raw = (tmp_path / "rootfs.tar").read_bytes()
    packed = gzip.compress(raw, mtime=0)
    (tmp_path / "packed").write_bytes(packed)
    imgpack_here(
        "build", "--raw-layer", "rootfs.tar", "--raw-layer", "packed", "rootfs",
        "--compression", "zstd", "--format", "oci", "-o", "o.tar",
    ).ok()  # fmt: skip

    archive = image(tmp_path, "o.tar")
    types = [layer["mediaType"].rpartition(".")[2] for layer in archive.manifest["layers"]]
    assert types == ["tar+zstd", "tar", "tar+gzip"]
    blobs = [
        archive.files[layer["digest"].replace("sha256:", "blobs/sha256/")]
        for layer in archive.manifest["layers"]
    ]
    assert blobs[1:] == [raw, packed]
    assert len(set(archive.config["rootfs"]["diff_ids"])) == 2


@pytest.mark.usefixtures("tree")
def test_a_raw_layer_alone_is_an_image(imgpack_here: InProcess, tmp_path: Path) -> None:
    """With the file's name; the Docker format has no zstd."""
    imgpack_here("build", "--raw-layer", "rootfs.tar").ok()
    assert image(tmp_path, "rootfs-image.tar").names == ["docker.io/library/rootfs:latest"]
    line = imgpack_here("build", "--raw-layer", "rootfs.tar", "-o", "rootfs.tar").failed(14)
    assert "is the source" in line
