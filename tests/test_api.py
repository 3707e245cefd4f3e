"""The public API, as a program uses it."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imgpack
from imgpack import errors
from imgpack.api import Reference
from imgpack.events import Meter, Silent
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, push_to

ROOT = Path(__file__).resolve().parent.parent
TREE = imgpack.entries([imgpack.file("etc/motd", b"hello\n")])


class Telling(Silent):
    """Keeps what is told in detail."""

    def __init__(self) -> None:
        self.details: list[str] = []

    def begin(self, label: str, total: int | None) -> Meter:
        return super().begin(label, total)

    def detail(self, message: str) -> None:
        self.details.append(message)


def build(target: Path, **options: Any) -> imgpack.Image:
    """An image of one small layer at ``target``."""
    with imgpack.create(str(target)) as sink:
        return imgpack.build([TREE], into=sink, **options)


@pytest.mark.parametrize("name", ["api", "errors"])
def test_the_modules_beside_the_names_are_there_at_once(name: str) -> None:
    """``imgpack.errors.NotFoundError`` needs no import of its own, and a misspelt name is none."""
    code = f"import imgpack; print(imgpack.{name}.__name__); imgpack.misspelt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"imgpack.{name}\n"
    assert "has no attribute 'misspelt'" in done.stderr


@pytest.mark.parametrize("module", ["__init__.py", "api/__init__.py"])
def test_a_type_checker_knows_every_name(module: str) -> None:
    """It would take a ``__getattr__`` for every name that is misspelt, so it does not see one."""
    tree = ast.parse((ROOT / "imgpack" / module).read_text())
    assert "__getattr__" not in [getattr(node, "name", "") for node in tree.body]


def test_the_layers_of_a_new_image_are_read_from_where_they_went(tmp_path: Path) -> None:
    """The image itself does not have them, and says so."""
    image = build(tmp_path / "a.tar")
    (layer,) = image.layers
    with pytest.raises(errors.UnsupportedError, match="is where it was built into"):
        b"".join(image.source.read_blob(layer.descriptor))
    with imgpack.open(str(tmp_path / "a.tar")) as opened:
        assert sum(map(len, opened.read_blob(layer.descriptor))) == layer.descriptor.size


def test_credentials_come_from_where_an_environment_says(tmp_path: Path) -> None:
    """It is given; that of the process says nothing."""
    (tmp_path / "config.json").write_text('{"auths": {"r.example": {"auth": "dTpw"}}}')
    store = imgpack.api.credential_store({"DOCKER_CONFIG": str(tmp_path)})
    assert store.find("r.example") == imgpack.api.Credential("u", "p")
    assert imgpack.api.credential_store({}).find("r.example") is None


@pytest.mark.parametrize("target", ["a.tar", "a/"])
def test_the_files_of_an_image_are_read_with_their_bytes(tmp_path: Path, target: str) -> None:
    """As a container has them; those of one layer as they are in it, with what it deletes."""
    lower = imgpack.entries([imgpack.file("etc/old", b"old"), imgpack.file("etc/kept", b"low")])
    upper = imgpack.entries([imgpack.file("etc/kept", b"x" * 2_000_000)])
    with imgpack.create(f"{tmp_path}/{target}") as sink:
        imgpack.build([lower, upper, imgpack.api.whiteouts([b"etc/old"])], into=sink)
    with imgpack.open_files(f"{tmp_path}/{target}") as files:
        assert [entry.path for entry in files.entries()] == [b"etc", b"etc/kept"]
        kept = files.find(b"etc/kept")
        assert kept is not None and kept.open().read() == b"x" * 2_000_000
        found = [[(row.path, row.deletes) for row in table.rows()] for table in files.tables]
        (old,) = [row for row in files.tables[0].rows() if row.path == b"etc/old"]
        assert b"".join(files.read_row(0, old)) == b"old"
    assert [row for row in found[2] if row[0] != b"etc"] == [(b"etc/old", True)]


def test_the_readme_says_no_name_that_is_not_there() -> None:
    """Each ``imgpack.NAME`` is one that ``import imgpack`` gives."""
    text = (ROOT / "README.md").read_text()
    names = set(re.findall(r"\bimgpack\.([A-Za-z_]+)", text)) - {"toml", "pyz", "schema"}
    assert names >= {"tarball", "open_files"}
    assert [name for name in sorted(names) if not hasattr(imgpack, name)] == []


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_several_layers_go_right_to_their_places(tmp_path: Path, compression: str) -> None:
    """What is said of each layer is foreseen, so an archive is written once."""
    trees = [imgpack.entries([imgpack.file(f"{n}", bytes([n]) * 9)]) for n in range(3)]
    reporter = Telling()
    with imgpack.create(f"{tmp_path}/a.tar", reporter=reporter) as sink:
        imgpack.build(
            trees, into=sink, names=["a:1"], format=imgpack.Format.OCI, compression=compression
        )
    assert reporter.details == []


@pytest.mark.parametrize("created", ["yesterday", "2026-01-31", "2026-02-30T00:00:00Z", ""])
def test_a_time_that_is_none_is_refused(tmp_path: Path, created: str) -> None:
    """Engines refuse the whole configuration over it."""
    with pytest.raises(errors.ConfigError, match="RFC 3339"):
        build(tmp_path / "a.tar", created=created)
    assert not list(tmp_path.iterdir())


def test_a_name_alone_is_no_sequence_of_names(tmp_path: Path) -> None:
    """Its letters would each be a name."""
    with pytest.raises(TypeError, match="'app' is one name"):
        build(tmp_path / "a.tar", names="app")


@pytest.mark.parametrize("target", ["a.tar", "a/"])
def test_an_output_is_written_once(tmp_path: Path, target: str) -> None:
    """What was written stays; a second image is for a second ``create``."""
    with imgpack.create(f"{tmp_path}/{target}") as sink:
        imgpack.build([TREE], into=sink, names=["a:1"])
        with pytest.raises(RuntimeError, match="create it again"):
            imgpack.build([TREE], into=sink, names=["a:2"])
    with imgpack.open(f"{tmp_path}/{target}") as opened:
        assert [name.shown() for named in opened.images() for name in named.names] == ["a:1"]


@pytest.mark.parametrize("dest", ["/", "/opt"])
def test_the_root_of_a_tree_is_a_directory(dest: str) -> None:
    """A file without a path would be lost in silence."""
    with pytest.raises(errors.TreeError, match="root"):
        imgpack.entries([imgpack.file("", b"lost")], dest=dest)


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_make_no_image(tmp_path: Path, jobs: int) -> None:
    """Its layers would be empty."""
    with pytest.raises(ValueError, match="at least one job"):
        build(tmp_path / "a.tar", jobs=jobs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["env", "entrypoint", "cmd", "volumes", "onbuild", "shell"])
def test_a_text_is_no_tuple_of_texts(name: str) -> None:
    """Each of its letters would be a variable, a word or a path."""
    wrong: dict[str, Any] = {name: "/run"}
    with pytest.raises(TypeError, match=f"{name} is a tuple"):
        imgpack.Runtime(**wrong)


@pytest.mark.parametrize("content", ["text", bytearray(b"bytes")])
def test_content_is_bytes_or_opens_them(content: Any) -> None:
    """Text has bytes in some encoding only, and what can change is no content."""
    with pytest.raises(TypeError, match="content is bytes"):
        imgpack.file("a", content, size=4)


def test_an_image_without_a_name_is_not_pushed_in_silence(tmp_path: Path) -> None:
    """It would go nowhere, and all would seem well."""
    build(tmp_path / "a.tar")
    unnamed: tuple[list[str] | None, ...] = (None, [])
    with imgpack.open(f"{tmp_path}/a.tar") as opened:
        for names in unnamed:
            with pytest.raises(errors.InvalidReferenceError, match="has no name"):
                imgpack.push(opened.images(), names)


@pytest.mark.parametrize("path", ["\0.tar", "./a\0b", "/a\0b/"])
def test_a_path_that_no_system_takes_is_an_error_of_its_kind(path: str) -> None:
    """Whatever it is for: a NUL is nothing that Python tells of."""
    with pytest.raises(errors.SourceError, match="does not exist"), imgpack.open(path):
        pass
    with pytest.raises(errors.OutputError, match="is no path"), imgpack.create(path):
        pass
    with pytest.raises(errors.SourceError, match="does not exist"):
        imgpack.directory(path)


def test_a_blob_and_what_is_deleted_are_named_by_a_text_or_a_reference() -> None:
    """As what is opened and pushed; a text that names no registry deletes nothing."""
    image = make_image(b"layer")
    layer = image.manifest.layers[0]
    with HostileRegistry() as registry, connect() as registries:
        for kind in (str, Reference.parse):
            name = kind(f"{registry.host}/a/b:1")
            push_to(registry.host, image, "a/b:1")
            digest = str(layer.digest) if kind is str else layer.digest
            with imgpack.api.open_blob(name, digest, registries=registries) as chunks:
                assert len(b"".join(chunks)) == layer.size
            imgpack.api.delete(name, registries=registries)
            assert registry.repository("a/b").tags == {}
        with pytest.raises(errors.InvalidReferenceError, match="names no registry"):
            imgpack.api.delete("a/b:1", registries=registries)
