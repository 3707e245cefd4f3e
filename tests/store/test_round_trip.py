"""What is written is read back the same, by imgpack and by Python's tarfile."""

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import (
    Artifact,
    Descriptor,
    Digest,
    Image,
    ImageIndex,
    Manifest,
    Named,
    Opaque,
    Platform,
    parse_name,
    verify_images,
)
from imgpack.errors import (
    ArchiveError,
    DigestError,
    Hint,
    LimitError,
    NotFoundError,
    OutputError,
    SourceError,
    UnsupportedError,
)
from imgpack.events import Meter, Silent
from imgpack.image.image import RawBlob
from imgpack.spec import mediatype
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.spec.schema1.payload import build_schema1
from imgpack.store.archive.write import open_writer
from imgpack.store.contents import NAME_ANNOTATION, REF_ANNOTATION
from imgpack.store.open import open_images
from tests.killed import kill_in

from .samples import (
    LAYERS,
    NAMES,
    Memory,
    make_artifact,
    make_image,
    make_multi,
    manifests_of,
    only_image,
    opened_images,
    read_layers,
    tar_of,
    write_all,
    write_image,
)


class Warnings(Silent):
    """A reporter that keeps warnings and counts bytes."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.bytes = 0

    def warn(self, message: str, hint: Hint = "") -> None:
        self.warnings.append(message)

    def begin(self, label: str, total: int | None) -> Meter:
        return self

    def advance(self, count: int) -> None:
        self.bytes += count

    def end(self) -> None:
        pass


class Failing(Memory):
    """Blobs of which the second fails in the middle."""

    def __init__(self, failure: type[BaseException]) -> None:
        super().__init__()
        self.failure = failure

    def read_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[bytes]:
        for chunk in super().read_blob(descriptor, offset):
            yield chunk
            if len(self.reads) > 1:
                raise self.failure


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
@pytest.mark.parametrize("docker", [True, False])
@pytest.mark.parametrize("compress", [True, False])
def test_an_image_comes_back_with_every_byte(
    tmp_path: Path, target: str, docker: bool, compress: bool
) -> None:
    """Documents, names and layers, from an archive and from a layout."""
    source = Memory()
    image = make_image(source, docker=docker, compress=compress)
    write_image(f"{tmp_path}/{target}", image)
    with open_images(f"{tmp_path}/{target}") as opened:
        read = only_image(opened)
        assert read.manifest.raw == image.manifest.raw
        assert read.config.raw == image.config.raw
        assert opened.image().names == NAMES
        assert read_layers(read) == [source.blobs[one.digest] for one in image.manifest.layers]
        assert verify_images(opened_images(opened), opened.location) == 2


def test_blobs_are_read_from_any_offset(tmp_path: Path) -> None:
    """That is how an upload goes on where it stopped."""
    source = Memory()
    image = make_image(source, compress=False)
    write_image(tmp_path / "a.tar", image)
    with open_images(str(tmp_path / "a.tar")) as opened:
        layer = image.manifest.layers[1]
        assert b"".join(opened.read_blob(layer, 512)) == LAYERS[1][512:]
        assert b"".join(opened.read_blob(layer, layer.size)) == b""


def test_the_members_are_the_documented_ones_in_their_order(tmp_path: Path) -> None:
    """Metadata first, each blob once, no links, nothing of this machine."""
    source = Memory()
    image = make_image(source, [LAYERS[0], LAYERS[1], LAYERS[0]])
    write_image(tmp_path / "a.tar", image)
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    first, second = dict.fromkeys(layer.digest.hex for layer in image.manifest.layers)
    assert [member.name for member in members] == [
        "oci-layout",
        "index.json",
        "manifest.json",
        "schema1.json",
        "blobs",
        "blobs/sha256",
        f"blobs/sha256/{image.manifest.descriptor.digest.hex}",
        f"blobs/sha256/{image.config.digest.hex}",
        f"blobs/sha256/{first}",
        f"blobs/sha256/{second}",
    ]
    for member in members:
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert member.mtime == 0
        assert member.mode == (0o755 if member.isdir() else 0o644)
        assert member.isreg() or member.isdir()
        assert not member.pax_headers
    assert (tmp_path / "a.tar").read_bytes().endswith(bytes(1024))


def test_the_metadata_is_what_each_loader_reads(tmp_path: Path) -> None:
    """One descriptor a name with exactly two annotations; full names for Docker and podman."""
    image = make_image(Memory())
    write_image(tmp_path / "a.tar", image)
    with tarfile.open(tmp_path / "a.tar") as tar:
        files = {
            name: json.loads(file.read())
            for name in ("oci-layout", "index.json", "manifest.json")
            if (file := tar.extractfile(name))
        }
    assert files["oci-layout"] == {"imageLayoutVersion": "1.0.0"}
    bare = image.manifest.descriptor.as_json()
    assert files["index.json"]["manifests"] == [
        bare | {"annotations": {NAME_ANNOTATION: name, REF_ANNOTATION: tag}}
        for name, tag in (("docker.io/library/foo:1", "1"), ("localhost:5000/bar/foo:v2", "v2"))
    ]
    assert files["manifest.json"] == [
        {
            "Config": f"blobs/sha256/{image.config.digest.hex}",
            "RepoTags": ["docker.io/library/foo:1", "localhost:5000/bar/foo:v2"],
            "Layers": [f"blobs/sha256/{layer.digest.hex}" for layer in image.manifest.layers],
        }
    ]


def test_schema1_is_stored_for_the_first_name_of_a_docker_image_only(tmp_path: Path) -> None:
    """An OCI image has none."""
    image = make_image(Memory())
    write_image(tmp_path / "a.tar", image)
    with open_images(str(tmp_path / "a.tar")) as opened:
        made = build_schema1(image.manifest, image.config, "library/foo", "1")
        assert opened.schema1_payload == made.payload
    write_image(tmp_path / "b.tar", make_image(Memory(), docker=False))
    with open_images(str(tmp_path / "b.tar")) as opened:
        assert opened.schema1_payload is None


def test_an_image_without_a_name_is_written_with_a_warning(tmp_path: Path) -> None:
    """Docker loads it by ID; loaders that are containerd store nothing."""
    image = make_image(Memory())
    reporter = Warnings()
    with open_writer(str(tmp_path / "a.tar"), reporter=reporter) as writer:
        writer.write([Named(image)])
    assert len(reporter.warnings) == 1
    assert "has no name" in reporter.warnings[0]
    with tarfile.open(tmp_path / "a.tar") as tar:
        index, manifest = (tar.extractfile(name) for name in ("index.json", "manifest.json"))
        assert index and "annotations" not in json.load(index)["manifests"][0]
        assert manifest and json.load(manifest)[0]["RepoTags"] is None
    with open_images(str(tmp_path / "a.tar")) as opened:
        assert opened.image().names == ()


def test_zstd_and_mixed_layers_tell_crane_what_they_are(tmp_path: Path) -> None:
    """LayerSources, by diff_id, with Docker's types; not for uniform gzip."""
    source = Memory()
    image = make_image(source, docker=False)
    one, two = image.manifest.layers
    zstd = Descriptor(mediatype.OCI_LAYER_ZSTD, one.digest, one.size)
    manifest = build_manifest(image.manifest.config, [zstd, two], mediatype.OCI_MANIFEST)
    write_image(tmp_path / "a.tar", Image(manifest, image.config, source))
    with tarfile.open(tmp_path / "a.tar") as tar:
        file = tar.extractfile("manifest.json")
        assert file
        sources = json.load(file)[0]["LayerSources"]
    first, second = map(str, image.config.diff_ids)
    assert sources[first]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.zstd"
    assert sources[second]["mediaType"] == mediatype.DOCKER_LAYER_GZIP


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
def test_a_multi_platform_image_is_a_nested_index(tmp_path: Path, target: str) -> None:
    """index.json names the index; manifest.json names linux/amd64 alone."""
    source = Memory()
    image = make_multi(source, "linux/arm64/v8", "linux/amd64")
    write_image(f"{tmp_path}/{target}", image)
    with open_images(f"{tmp_path}/{target}") as opened:
        read = opened.image(opened.select("foo:1")).image
        assert isinstance(read, ImageIndex)
        assert read.index.raw == image.index.raw
        assert [one.raw for one in manifests_of(read)] == [one.raw for one in manifests_of(image)]
        assert verify_images(opened_images(opened), opened.location) == 2
    if target == "image.tar":
        with tarfile.open(tmp_path / target) as tar:
            file = tar.extractfile("manifest.json")
            assert file
            (item,) = json.load(file)
        amd64 = image.members[1]
        assert isinstance(amd64, Image)
        assert item["Config"].endswith(amd64.config.digest.hex)


def test_a_stream_has_the_bytes_of_the_file_and_is_never_sought(tmp_path: Path) -> None:
    """As into a pipe; the scratch directory is empty again."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += memoryview(data)  # type: ignore[arg-type]
            return memoryview(data).nbytes  # type: ignore[arg-type]

        def seek(self, offset: int, whence: int = 0) -> int:
            raise AssertionError("a pipe cannot be sought")

    source = Memory()
    image = make_image(source)
    reference = write_image(tmp_path / "a.tar", image).read_bytes()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pipe = Pipe()
    with open_writer("-", stdout=pipe, scratch=lambda: str(scratch)) as writer:  # type: ignore[arg-type]
        for layer in image.manifest.layers:
            blob = writer.open_blob()
            blob.write(source.blobs[layer.digest])
            blob.commit(layer.digest, layer.size)
        assert not pipe.data
        writer.write([Named(image, NAMES)])
    assert bytes(pipe.data) == reference
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("target", ["image.tar", "layout/", "-"])
def test_a_layer_is_read_where_it_is_written_before_all_is_there(
    tmp_path: Path, target: str
) -> None:
    """From any byte, while the next one is written; one that is not committed is not there."""
    place = target if target == "-" else f"{tmp_path}/{target}"
    with open_writer(place, stdout=io.BytesIO(), scratch=lambda: str(tmp_path)) as writer:
        contents = [b"one" * 1000, b"two" * 2000]
        known = [Descriptor("", Digest.of(content), len(content)) for content in contents]
        for content, layer in zip(contents, known, strict=True):
            blob = writer.open_blob()
            blob.write(content)
            blob.commit(layer.digest, layer.size)
        blob = writer.open_blob()
        blob.write(b"three")
        for content, layer in zip(contents, known, strict=True):
            for offset in (0, 1000, layer.size):
                assert b"".join(writer.read_blob(layer, offset)) == content[offset:]
        with pytest.raises((ArchiveError, SourceError)):
            b"".join(writer.read_blob(Descriptor("", Digest.of(b"three"), 5)))
        blob.abort()


def test_a_named_pipe_or_device_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """``-o /dev/null`` as root must not put a file there."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        image = make_image(Memory(), [b"x"])
        with open_writer(str(tmp_path / "pipe"), scratch=lambda: str(tmp_path)) as writer:
            writer.write([Named(image, NAMES)])
        assert os.read(reader, 10) == b"oci-layout"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_remains_of_what_was_not_finished(
    tmp_path: Path, target: str, failure: type[BaseException]
) -> None:
    """A failure while layers are streamed in, and one in the middle of ``write``."""
    with pytest.raises(failure), open_writer(f"{tmp_path}/{target}") as writer:
        blob = writer.open_blob()
        blob.write(LAYERS[0])
        blob.commit(Digest.of(LAYERS[0]), len(LAYERS[0]))
        writer.open_blob().write(b"more")
        raise failure
    assert os.listdir(tmp_path) == []
    image = make_image(Failing(failure))
    with pytest.raises(failure), open_writer(f"{tmp_path}/{target}") as writer:
        writer.write([Named(image, NAMES)], jobs=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw[:-1], "truncated"),
        (lambda raw: raw + b"x", "more than"),
        (lambda raw: raw[:20] + b"?" + raw[21:], "damaged"),
    ],
)
def test_a_source_with_wrong_bytes_is_refused(
    tmp_path: Path, target: str, change: object, reason: str
) -> None:
    """The blob is named, and nothing is written."""
    source = Memory()
    image = make_image(source)
    digest = image.manifest.layers[0].digest
    source.blobs[digest] = change(source.blobs[digest])  # type: ignore[operator]
    with (
        pytest.raises(DigestError, match=f"{digest}.*{reason}"),
        open_writer(f"{tmp_path}/{target}") as writer,
    ):
        writer.write([Named(image, NAMES)])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
def test_a_manifest_cannot_name_a_layer_that_was_not_streamed_in(
    tmp_path: Path, target: str
) -> None:
    """A built image has no other source of its layers; nothing becomes visible."""
    image = replace(make_image(Memory()), source=RawBlob(b""))
    with (
        pytest.raises(DigestError, match=f"{image.manifest.layers[0].digest}.*truncated"),
        open_writer(f"{tmp_path}/{target}") as writer,
    ):
        writer.write([Named(image, NAMES)], jobs=1)
    assert os.listdir(tmp_path) == []


def test_a_blob_is_not_read_twice(tmp_path: Path) -> None:
    """Not when a layer repeats, and not when the image is there twice; progress is exact."""
    source = Memory()
    image = make_image(source, [LAYERS[0], LAYERS[0], LAYERS[1]])
    reporter = Warnings()
    with open_writer(str(tmp_path / "a.tar"), reporter=reporter) as writer:
        writer.write([Named(image, NAMES[:1]), Named(image, NAMES[1:])])
    layers = {layer.digest: layer.size for layer in image.manifest.layers}
    assert sorted(source.reads) == sorted(layers)
    assert reporter.bytes == sum(layers.values())


def test_several_images_share_an_archive(tmp_path: Path) -> None:
    """Each is selected by name, tag, manifest digest or image ID; several need a choice."""
    source = Memory()
    one = make_image(source)
    two = make_image(source, [tar_of({"other": b"2"})])
    write_all(tmp_path / "a.tar", Named(one, NAMES[:1]), Named(two, NAMES[1:]))
    with open_images(str(tmp_path / "a.tar")) as opened:
        assert len(opened.images()) == 2
        ids = str(two.config.digest), str(two.manifest.descriptor.digest)
        for text in ("localhost:5000/bar/foo:v2", "v2", *ids):
            assert only_image(opened, text).manifest.raw == two.manifest.raw
        with pytest.raises(Exception, match=r"holds 2 images.*choose one.*foo:1"):
            opened.select(None)
        with pytest.raises(Exception, match="no image 'nothing:7'"):
            opened.select("nothing:7")


@pytest.mark.parametrize("target", ["image.tar", "layout/"])
def test_what_points_at_an_image_without_being_a_name_is_carried(
    tmp_path: Path, target: str
) -> None:
    """Bare tags, as umoci and skopeo write them, and annotations, on an image and an artifact."""
    source = Memory()
    one = Named(make_image(source, docker=False), (), ("v1", "v2"), (("a", "b"),))
    two = Named(make_artifact(source), (), ("chart",))
    write_all(f"{tmp_path}/{target}", one, two)
    with open_images(f"{tmp_path}/{target}") as opened:
        found = [(named.names, named.labels, named.annotations) for named in opened.images()]
    assert found == [((), ("v1", "v2"), (("a", "b"),)), ((), ("chart",), ())]


def _refs(path: Path) -> list[str]:
    index = json.loads((path / "index.json").read_bytes())
    return [entry["annotations"][REF_ANNOTATION] for entry in index["manifests"]]


def test_a_tag_stands_once_in_an_index_json(tmp_path: Path) -> None:
    """To umoci it would be ambiguous; the second name with it stands there whole."""
    source = Memory()
    image, other = make_image(source), make_image(source, [LAYERS[1]])
    names = (parse_name("a:1"), parse_name("b:1"), parse_name("c:2"))
    target = write_all(f"{tmp_path}/l/", Named(image, names), Named(other, (), ("2",)))
    assert _refs(target) == ["1", "docker.io/library/b:1", "docker.io/library/c:2", "2"]
    write_image(target, other, (parse_name("d:1"), parse_name("b:1")))
    whole = [f"docker.io/library/{name}" for name in ("c:2", "d:1", "b:1")]
    assert _refs(target) == ["1", whole[0], "2", *whole[1:]]
    write_image(target, image, names[:1])
    assert sorted(_refs(target)) == sorted(["1", "2", *whole])
    with open_images(str(target)) as opened:
        assert {name.shown() for root in opened.roots for name in root.names} == {
            "a:1",
            "b:1",
            "c:2",
            "d:1",
        }
        assert only_image(opened, "b:1").manifest.raw == other.manifest.raw


def test_artifacts_alone_have_no_manifest_json(tmp_path: Path) -> None:
    """It could name nothing, and no reader takes an empty one. No loader misses a name."""
    reporter = Warnings()
    with open_writer(str(tmp_path / "a.tar"), reporter=reporter) as writer:
        writer.write([Named(make_artifact(Memory()))])
    assert reporter.warnings == []
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert "manifest.json" not in tar.getnames()
    with open_images(str(tmp_path / "a.tar")) as opened:
        assert isinstance(opened.image().image, Artifact)


def test_adding_to_a_layout_keeps_other_images_and_moves_the_name(tmp_path: Path) -> None:
    """As a registry does with a tag."""
    source = Memory()
    one = make_image(source)
    two = make_image(source, [tar_of({"other": b"2"})])
    target = f"{tmp_path}/layout"
    write_image(f"{target}/", one)
    write_image(target, two, NAMES[1:])
    with open_images(target) as opened:
        first, second = opened.images()
        assert (first.names, second.names) == (NAMES[:1], NAMES[1:])
        assert verify_images(opened_images(opened), opened.location) == 3
    assert sorted(os.listdir(target)) == ["blobs", "index.json", "oci-layout"]


def test_a_label_takes_the_tag_of_a_name_in_a_layout(tmp_path: Path) -> None:
    """Else umoci and skopeo find the tag twice, and take neither."""
    source, target = Memory(), f"{tmp_path}/layout/"
    one, two = make_image(source), make_image(source, [tar_of({"other": b"2"})])
    write_image(target, one, (parse_name("foo:v1"),))
    with open_writer(target) as writer:
        writer.write([Named(two, labels=("v1",))])
    with open_images(target) as opened:
        assert [(root.names, root.labels) for root in opened.roots] == [
            ((parse_name("foo:v1"),), ()),
            ((), ("v1",)),
        ]
    refs = [entry["annotations"][REF_ANNOTATION] for entry in _entries(tmp_path / "layout")]
    assert refs == ["docker.io/library/foo:v1", "v1"]


def _entries(layout: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found


def test_a_failed_addition_leaves_the_layout_as_it_was(tmp_path: Path) -> None:
    """To the byte, and without a leftover."""
    write_image(f"{tmp_path}/layout/", make_image(Memory()))

    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (tmp_path / "layout").rglob("*") if p.is_file()}

    before = files()
    other = make_image(Failing(KeyboardInterrupt), [b"first", b"second"])
    with pytest.raises(KeyboardInterrupt), open_writer(f"{tmp_path}/layout/") as writer:
        writer.write([Named(other, NAMES)], jobs=1)
    assert files() == before
    assert len(list((tmp_path / "layout").iterdir())) == 3


def test_an_empty_directory_becomes_a_layout_and_any_other_is_refused(tmp_path: Path) -> None:
    """A directory of something else is never written into."""
    (tmp_path / "empty").mkdir()
    write_image(f"{tmp_path}/empty/", make_image(Memory()))
    with open_images(f"{tmp_path}/empty") as opened:
        assert verify_images(opened_images(opened), opened.location) == 2
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(OutputError, match="no OCI layout"):
        open_writer(f"{tmp_path}/home/").__enter__()
    assert os.listdir(tmp_path / "home") == ["letter"]
    with pytest.raises(OutputError, match="no directory"):
        open_writer(f"{tmp_path}/home/letter/").__enter__()


def test_many_writers_of_one_layout_lose_no_image(tmp_path: Path) -> None:
    """The index is changed under a lock."""
    images = [make_image(Memory(), [tar_of({f"f{n}": b"x"})]) for n in range(8)]
    threads = [
        threading.Thread(
            target=write_image, args=(f"{tmp_path}/shared/", image, (parse_name(f"img:{n}"),))
        )
        for n, image in enumerate(images)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_images(f"{tmp_path}/shared/") as opened:
        names = sorted(name.tag or "" for one in opened.roots for name in one.names)
        assert names == [str(n) for n in range(8)]
        assert verify_images(opened_images(opened), opened.location) == 8
    assert sorted(os.listdir(tmp_path)) == ["shared"]
    assert sorted(os.listdir(tmp_path / "shared")) == ["blobs", "index.json", "oci-layout"]


def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path) -> None:
    """``/dev/full`` answers every write as a full disk does."""
    image = make_image(Memory())
    with (
        pytest.raises(OutputError, match=r"/dev/full.*No space left.*free some space"),
        open_writer("/dev/full", scratch=lambda: str(tmp_path)) as writer,
    ):
        writer.write([Named(image, NAMES)])
    assert os.listdir(tmp_path) == []


def test_a_killed_writer_leaves_nothing_on_sigterm(tmp_path: Path) -> None:
    """The command's handler turns the signal into an exit, and the draft goes with it."""
    script = (
        "import sys, time\n"
        "from imgpack.store.archive.write import open_writer\n"
        "from imgpack.cli.signals import Handlers\n"
        "def work():\n"
        "    with open_writer(sys.argv[1]) as writer:\n"
        "        writer.open_blob().write(b'x' * 100_000)\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "with Handlers():\n"
        "    work()\n"
    )
    for target in ("a.tar", "layout/"):
        command = [sys.executable, "-c", script, f"{tmp_path}/{target}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            assert len(os.listdir(tmp_path)) == 1
            process.terminate()
            assert process.wait(30) == 143
        assert os.listdir(tmp_path) == []


def kill_a_writer(target: Path | str) -> None:
    """Let a process write a blob, and kill it."""
    work = "it.open_blob().write(b'x' * 100_000)"
    kill_in("imgpack.store.archive.write", "open_writer(path)", work, target)


@pytest.mark.parametrize("target", ["a.tar", "layout/", "layout"])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path, target: str) -> None:
    """Beside an archive, beside a new layout, and in a layout that exists."""
    image = make_image(Memory())
    if target == "layout":
        write_image(f"{tmp_path}/layout/", image)
    kill_a_writer(f"{tmp_path}/{target}")
    assert any(path.name.endswith(".tmp") for path in tmp_path.rglob("*"))

    write_image(f"{tmp_path}/{target}", image)

    assert os.listdir(tmp_path) == [target.rstrip("/")]
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("target", ["a.tar", "layout/", "layout"])
def test_two_live_writers_leave_one_another_alone(tmp_path: Path, target: str) -> None:
    """The second begins and ends while the first is at work."""
    one, two = make_image(Memory()), make_image(Memory(), [tar_of({"other": b"2"})])
    path = f"{tmp_path}/{target}"
    if target == "layout":
        write_image(f"{path}/", one)
    with open_writer(path) as writer:
        blob = writer.open_blob()
        blob.write(b"from the first one")
        write_image(path, two, ())
        blob.abort()
        writer.write([Named(one, NAMES)])
    with open_images(path) as opened:
        assert len(opened.images()) == (1 if target == "a.tar" else 2)
        verify_images(opened_images(opened), opened.location)


def test_a_directory_of_leftovers_becomes_a_layout(tmp_path: Path) -> None:
    """A writer that was killed in an empty directory does not spoil it."""
    (tmp_path / "empty").mkdir()
    kill_a_writer(tmp_path / "empty")
    write_image(f"{tmp_path}/empty/", make_image(Memory()))
    assert sorted(os.listdir(tmp_path / "empty")) == ["blobs", "index.json", "oci-layout"]


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "meanwhile"])
def test_a_layout_whose_index_json_or_oci_layout_is_a_link_is_not_written(
    tmp_path: Path, name: str, late: bool
) -> None:
    """The link may lead anywhere, and what it leads to would be locked or replaced."""
    target = write_image(f"{tmp_path}/layout/", make_image(Memory()))
    before = (target / "index.json").read_bytes()
    outside = (target / name).read_bytes()

    def link() -> None:
        (target / name).rename(tmp_path / "outside")
        (target / name).symlink_to(tmp_path / "outside")

    if not late:
        link()
    other = make_image(Memory(), [tar_of({"other": b"2"})])
    with (
        pytest.raises((ArchiveError, OutputError), match=r"layout.*symbolic link"),
        open_writer(f"{tmp_path}/layout/") as writer,
    ):
        if late:
            link()
        writer.write([Named(other, NAMES)])
    assert (tmp_path / "outside").read_bytes() == outside
    assert (target / "index.json").read_bytes() == before
    assert (target / name).is_symlink()


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_a_sha512_blob_goes_into_a_new_layout(tmp_path: Path, there: bool) -> None:
    """And into one that has had none of its kind."""
    source = Memory()
    image = make_image(source)
    layers = []
    for layer in image.manifest.layers:
        raw = source.blobs[layer.digest]
        digest = Digest("sha512", hashlib.sha512(raw).hexdigest())
        source.blobs[digest] = raw
        layers.append(Descriptor(layer.media_type, digest, len(raw)))
    manifest = build_manifest(image.manifest.config, layers, image.manifest.media_type)
    if there:
        write_image(f"{tmp_path}/layout/", make_image(Memory(), [tar_of({"x": b"y"})]), ())
    other = Image(manifest, image.config, source)
    target = write_image(f"{tmp_path}/layout/", other)
    assert len(list((target / "blobs/sha512").iterdir())) == 2
    with open_images(str(target)) as opened:
        read = only_image(opened, "foo:1")
        assert read_layers(read) == [source.blobs[layer.digest] for layer in layers]
        assert verify_images(opened_images(opened), opened.location) == 2 + there


@pytest.mark.parametrize("name", ["copy.tar", "copy/"])
def test_what_nobody_knows_in_an_index_or_beside_an_image_is_carried(
    tmp_path: Path, name: str
) -> None:
    """A blob of an unknown type, with what index.json says of it, byte for byte."""
    source = Memory()
    odd = Opaque(Descriptor("application/x", source.add(b"odd"), 3), source)
    inner = Opaque(Descriptor("application/y", source.add(b"inner"), 5), source)
    image = make_image(source, docker=False)
    index = build_index([image.manifest.descriptor, inner.descriptor])
    whole = ImageIndex(index, (image, inner))
    first = write_all(
        tmp_path / "first.tar",
        Named(odd, labels=("v1",), annotations=(("a", "b"),)),
        Named(whole, NAMES[:1]),
    )
    with open_images(str(first)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 4
        copy = write_all(f"{tmp_path}/{name}", *opened.images())
    with open_images(str(copy)) as opened:
        found = opened.images()
        assert (found[0].labels, found[0].annotations) == (("v1",), (("a", "b"),))
        assert [one.image.document.descriptor.digest for one in found] == [
            odd.descriptor.digest,
            index.descriptor.digest,
        ]
        for one in (odd, inner):
            assert b"".join(opened.read_blob(one.descriptor)) == source.blobs[one.descriptor.digest]
        with pytest.raises(UnsupportedError, match=r"'application/x'.*neither a manifest nor"):
            opened.document(opened.select("v1"))


def test_a_damaged_blob_of_an_unknown_type_is_found(tmp_path: Path) -> None:
    """By a verification, and by a copy."""
    source = Memory()
    odd = Opaque(Descriptor("application/x", source.add(b"odd"), 3), source)
    target = write_all(f"{tmp_path}/first/", Named(odd))
    (target / "blobs/sha256" / odd.descriptor.digest.hex).write_bytes(b"odd?"[:2] + b"?")
    with open_images(str(target)) as opened:
        with pytest.raises(DigestError):
            verify_images(opened_images(opened), opened.location)
        with pytest.raises(DigestError):
            write_all(tmp_path / "copy.tar", *opened.images())


def test_an_artifacts_type_stands_in_index_json(tmp_path: Path) -> None:
    """Who lists referrers goes by it."""
    source = Memory()
    raw = make_artifact(source).manifest.raw.replace(b'{"schema', b'{"artifactType":"a/b","schema')
    artifact = Artifact(Manifest.parse(raw), source)
    target = write_all(f"{tmp_path}/layout/", Named(artifact))
    (entry,) = json.loads((target / "index.json").read_bytes())["manifests"]
    assert entry["artifactType"] == "a/b"


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("z.tar.gz", "z.tar"),
        ("z.tgz", "z.tar"),
        ("z.tar.zst", "z.tar"),
        ("oci:lay", "lay/"),
        ("oci-archive:z.tar", "z.tar"),
    ],
)
def test_a_name_that_promises_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, instead: str
) -> None:
    """A plain tar under it would surprise whoever reads it; with ./ in front colons are names."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as caught:
        open_writer(name)
    assert f"write {instead}," in str(caught.value)
    write_image("./oci:lay", make_image(Memory()))
    assert os.listdir() == ["oci:lay"]


def test_a_layout_without_an_image_has_nothing_to_be_copied(tmp_path: Path) -> None:
    """No success without anything done: not of a copy, a push or a verification."""
    target = write_image(f"{tmp_path}/layout/", make_image(Memory()))
    (target / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[]}')
    for platform in (None, Platform()):
        with (
            open_images(str(target)) as opened,
            pytest.raises(NotFoundError, match="layout holds no image"),
        ):
            opened.images(platform)


def test_more_names_than_loaders_read_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    """containers/image stops at a mebibyte of manifest.json, and says nothing of why."""
    names = tuple(NAMES[0].with_tag(f"{'t' * 120}{number}") for number in range(9000))
    target = tmp_path / "a.tar"
    with (
        pytest.raises(LimitError, match=r"a\.tar: manifest\.json would have \d+ bytes"),
        open_writer(str(target)) as writer,
    ):
        writer.write([Named(make_image(Memory()), names)])
    assert list(tmp_path.iterdir()) == []
