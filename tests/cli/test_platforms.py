"""Several platforms in one run, and an index made of what is on disk."""

import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imgpack import api
from tests.cli_runner import Imgpack, InProcess
from tests.registry.hostile import HostileRegistry
from tests.registry.images import MIB, noise

BOTH = ("--platform", "linux/amd64=amd64", "--platform", "linux/arm64=arm64")


@pytest.fixture
def here(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """Two platforms' files, and what they share, which does not compress."""
    for name in ("amd64", "arm64", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "arch").write_text(name)
    (tmp_path / "shared" / "data").write_bytes(noise(MIB))
    return imgpack_here


def members(archive: Path) -> list[str]:
    """The names of an archive's files."""
    with tarfile.open(archive) as tar:
        return [one.name for one in tar if one.isfile()]


def document(archive: Path, name: str) -> Any:
    """A JSON file in an archive."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return json.load(file)


def opened(path: Path) -> api.ImageIndex:
    """The one index in an archive or a layout."""
    with api.open(str(path)) as found:
        image = found.image().image
    assert isinstance(image, api.ImageIndex)
    return image


def images(path: Path) -> dict[str, api.Image]:
    """The images in it by their platforms."""
    return {str(one.config.platform): one for one in api.images_in(opened(path))}


def test_an_index_is_nested_in_the_archive(here: InProcess, tmp_path: Path) -> None:
    """One descriptor leads to it; ``manifest.json`` has the platform that most have."""
    digest = here("build", *BOTH, "shared", "-t", "app:1", "-o", "app.tar").ok().decode().strip()
    (entry,) = document(tmp_path / "app.tar", "index.json")["manifests"]
    assert digest == f"app:1@{entry['digest']}"
    assert "platform" not in entry
    (item,) = document(tmp_path / "app.tar", "manifest.json")
    found = images(tmp_path / "app.tar")
    assert list(found) == ["linux/amd64", "linux/arm64"]
    assert item["Config"].endswith(found["linux/amd64"].config.digest.hex)
    names = members(tmp_path / "app.tar")
    assert len(names) == len(set(names)) == 3 + 1 + 4 + 3


def test_what_is_shared_lies_below_and_is_stored_once(here: InProcess, tmp_path: Path) -> None:
    """So that what a platform has of its own counts."""
    here("build", "shared", *BOTH, "-t", "app:1", "-o", "app/").ok()
    amd64, arm64 = images(tmp_path / "app").values()
    assert amd64.manifest.layers[0] == arm64.manifest.layers[0]
    assert amd64.manifest.layers[1] != arm64.manifest.layers[1]
    assert amd64.manifest.layers[0].size > MIB


def test_the_bytes_depend_on_nothing_but_what_goes_in(here: InProcess, tmp_path: Path) -> None:
    """Neither on threads nor on the cache; each image is the one that a build of its own makes."""
    command = ("build", "shared", *BOTH, "-t", "app:1", "-o", "app.tar")
    seen = set()
    for more in ("--no-cache", "-j1"), ("--no-cache", "-j4"), ("-j4",), ("-j1",):
        here(*command, *more).ok()
        seen.add((tmp_path / "app.tar").read_bytes())
    assert len(seen) == 1
    for name, image in images(tmp_path / "app.tar").items():
        own = name.rpartition("/")[2]
        here("build", "shared", own, "--platform", name, "-t", "app:1", "-o", "one.tar").ok()
        with api.open(str(tmp_path / "one.tar")) as alone:
            assert alone.image().image.document == image.document


def test_several_sources_of_a_platform_are_its_layers(here: InProcess, tmp_path: Path) -> None:
    """Bottom first, each with its destination; one source may be of two platforms."""
    here(
        "build", "--platform", "linux/amd64=amd64", "--platform",
        "linux/amd64,linux/s390x=shared:/opt", "-t", "a", "-o", "a.tar",
    ).ok()  # fmt: skip
    found = images(tmp_path / "a.tar")
    steps = {
        name: [one.created_by for one in image.config.history] for name, image in found.items()
    }
    assert steps == {
        "linux/amd64": ["COPY . / # imgpack", "COPY . /opt # imgpack"],
        "linux/s390x": ["COPY . /opt # imgpack"],
    }


def test_a_source_is_called_as_it_is(here: InProcess, tmp_path: Path) -> None:
    """By bytes that are no UTF-8, too."""
    (tmp_path / os.fsdecode(b"a\xff=b")).mkdir()
    here("build", "--platform", os.fsdecode(b"linux/arm64=a\xff=b"), "-t", "a", "-o", "a.tar").ok()
    with api.open(str(tmp_path / "a.tar")) as found:
        (image,) = api.images_in(found.image().image)
        assert str(image.config.platform) == "linux/arm64"


def test_one_platform_with_a_source_is_one_image(here: InProcess, tmp_path: Path) -> None:
    """There is nothing to choose from."""
    here("build", *BOTH[:2], "-t", "a", "-o", "a.tar").ok()
    with api.open(str(tmp_path / "a.tar")) as found:
        assert isinstance(found.image().image, api.Image)


@pytest.mark.parametrize("kind", ["base.tar", "base.lock"])
def test_each_platform_goes_on_its_base(here: InProcess, tmp_path: Path, kind: str) -> None:
    """Out of an index or a lock of several; without sources of their own as well."""
    here("build", *BOTH, "shared", "-t", "base:1", "-o", "base.tar").ok()
    flags: tuple[str, ...] = ("--from", kind)
    if kind == "base.lock":
        platforms = ("--platform", "linux/amd64", "--platform", "linux/arm64")
        here("base", "lock", "base.tar", *platforms, "-o", kind).ok()
        flags += ("--base-layers", "base.tar")
    here("build", *BOTH, *flags, "-t", "app:1", "-o", "app.tar").ok()
    here("build", "--platform", "linux/arm64,linux/amd64", *flags, "-e", "A=1", "-o", "env/").ok()
    base, app, env = (images(tmp_path / name) for name in ("base.tar", "app.tar", "env"))
    assert list(env) == ["linux/arm64", "linux/amd64"]
    for name, image in base.items():
        assert app[name].manifest.layers[:2] == image.manifest.layers
        assert app[name].manifest.layers[2].size < 100  # its base has just that
        assert env[name].config.config["Env"][-1] == "A=1"


def test_a_base_may_come_from_standard_input(here: InProcess, tmp_path: Path) -> None:
    """It is opened once for all platforms."""
    here("build", *BOTH, "-t", "base:1", "-o", "base.tar").ok()
    command = ("build", "shared:/x", "--platform", "linux/arm64,linux/amd64", "-t", "a:1")
    here(*command, "--from", "base.tar", "-o", "1.tar").ok()
    real = Imgpack(tmp_path)
    real(*command, "--from", "-", "-o", "2.tar", stdin=(tmp_path / "base.tar").read_bytes()).ok()
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_a_base_without_one_of_them_lists_what_it_has(here: InProcess, tmp_path: Path) -> None:
    """Before anything is built."""
    here("build", *BOTH, "-t", "base:1", "-o", "base.tar").ok()
    platforms = ("--platform", "linux/arm64", "--platform", "linux/s390x")
    done = here("build", "shared", *platforms, "--from", "base.tar", "-o", "x.tar")
    assert (done.code, "no image for linux/s390x; choose one of: linux/amd64, linux/arm64") == (
        20,
        done.err.strip().partition("has ")[2],
    )
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["linux/amd64=amd64", "linux/amd64"], "linux/amd64 is given twice"),
        (["linux/amd64", "linux/amd64=amd64"], "linux/amd64 is given twice"),
        (["linux/amd64,linux/amd64"], "linux/amd64 is given twice"),
        (["linux/arm64=amd64", "linux/arm64/v8=arm64"], "linux/arm64/v8 and linux/arm64 are one"),
        (["linux/amd64="], "--platform linux/amd64= names no source"),
        (["linux/nope=amd64"], "no runtime knows the platform linux/nope"),
        (["amd64=amd64"], "invalid platform 'amd64'"),
        (["linux/amd64=amd64", "linux/amd64=amd64"], "amd64 is given twice for the same place"),
        (["linux/amd64=amd64", "linux/arm64=-"], "reads standard input, and each platform"),
        (["linux/amd64=amd64", "linux/arm64=nothing"], "nothing does not exist"),
    ],
)
def test_what_cannot_be_is_told(here: InProcess, arguments: list[str], problem: str) -> None:
    """In one line."""
    options = [part for text in arguments for part in ("--platform", text)]
    done = here("build", "shared", *options, "-o", "x.tar")
    assert done.code != 0
    assert problem in done.err
    assert done.err.count("\n") == 1


def test_nothing_shared_names_no_archive(here: InProcess) -> None:
    """Neither platform's directory is what the image is called."""
    assert "say where it goes: -o FILE" in here("build", *BOTH).err


def test_a_program_for_another_platform_is_told(here: InProcess, tmp_path: Path) -> None:
    """For each of the images, by its own programs."""
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + bytes(44)
    for name in ("amd64", "arm64"):
        (tmp_path / name / "app").write_bytes(elf)
    done = here("build", *BOTH, "--entrypoint", "/app", "-t", "a", "-o", "a.tar")
    done.ok()
    assert done.err.count("is a program for") == 1
    assert "arm64/app is a program for linux/amd64, and the image is for linux/arm64" in done.err


def test_a_dry_run_lists_each(here: InProcess) -> None:
    """Under its platform; as JSON in one document."""
    text = here("build", *BOTH, "--dry-run").ok().decode()
    assert [line for line in text.splitlines() if line.startswith("platform")] == [
        "platform linux/amd64:",
        "platform linux/arm64:",
    ]
    found = json.loads(here("build", *BOTH, "--dry-run", "--json").ok())
    assert {name: one["layers"][0]["source"] for name, one in found["platforms"].items()} == {
        "linux/amd64": "amd64",
        "linux/arm64": "arm64",
    }


@pytest.mark.parametrize("also", [(), ("-o", "x.tar")])
def test_a_push_sends_what_is_shared_once_and_children_first(
    here: InProcess, tmp_path: Path, also: tuple[str, ...]
) -> None:
    """The index comes last, and the metadata says its digest."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/a/b:1"
        more = (*also, "--metadata-file", "m.json")
        out = here("build", "shared", *BOTH, "-t", name, "--push", *more).ok().decode()
        assert registry.incomplete() == []
        puts = [r.target for r in registry.requests if r.method == "PUT" and "/blobs/" in r.target]
        sent = Counter(target.partition("digest=")[2] for target in puts)
        assert set(sent.values()) == {1}
        assert len(sent) == 3 + 2
        manifests = [
            r.target for r in registry.requests if r.method == "PUT" and "/manifests/" in r.target
        ]
        assert [target.rpartition("/")[2].partition(":")[0] for target in manifests] == [
            "sha256", "sha256", "1",
        ]  # fmt: skip
    metadata = json.loads((tmp_path / "m.json").read_bytes())
    assert out.strip() == f"{name}@{metadata['published'][0]['digest']}"
    assert metadata["images"][0]["index"]["digest"] == metadata["published"][0]["digest"]
    if also:
        assert images(tmp_path / "x.tar").keys() == {"linux/amd64", "linux/arm64"}


def test_a_push_over_bases_of_the_registry_sends_what_is_new(
    here: InProcess, tmp_path: Path
) -> None:
    """The layers of each platform's base are mounted, and the archive beside it has them all."""
    with HostileRegistry() as registry:
        base, name = f"{registry.host}/a/base:1", f"{registry.host}/a/app:1"
        here("build", "shared", *BOTH, "-t", base, "--push").ok()
        (tmp_path / "new").write_bytes(b"new")
        seen = len(registry.requests)
        platforms = ("--platform", "linux/amd64,linux/arm64")
        here("build", "new", "--from", base, *platforms, "-t", name, "--push", "-o", "x.tar").ok()
        assert registry.incomplete() == []
        asked = registry.requests[seen:]
        puts = [r for r in asked if r.method == "PUT" and "/blobs/" in r.target]
        gets = [r for r in asked if r.method == "GET" and "/manifests/" in r.target]
        assert (len(puts), len(gets)) == (1 + 2, 1 + 2)
    before = images(tmp_path / "x.tar")
    assert [len(one.manifest.layers) for one in before.values()] == [3, 3]
    here("inspect", "--verify", "x.tar").ok()


def test_a_stream_is_the_same_archive(here: InProcess, tmp_path: Path) -> None:
    """With the index's name on standard error."""
    here("build", "shared", *BOTH, "-t", "a:1", "-o", "a.tar").ok()
    done = here("build", "shared", *BOTH, "-t", "a:1", "-o", "-")
    assert done.ok() == (tmp_path / "a.tar").read_bytes()
    assert done.err.startswith("a:1@sha256:")


def test_annotations_are_said_where_they_should_be(here: InProcess, tmp_path: Path) -> None:
    """And the image is OCI's then, which is told, unless that was asked for."""
    texts = ["a=1", "manifest[linux/arm64]:b=2", "index:c=3", "index-descriptor:d=4"]
    given = [part for text in texts for part in ("--annotation", text)]
    done = here("build", *BOTH, *given, "-t", "a:1", "-o", "a.tar")
    done.ok()
    assert "the image gets OCI's media types" in done.err
    assert document(tmp_path / "a.tar", "index.json")["manifests"][0]["annotations"]["d"] == "4"
    assert dict(opened(tmp_path / "a.tar").index.annotations) == {"c": "3"}
    assert [dict(one.manifest.annotations) for one in images(tmp_path / "a.tar").values()] == [
        {"a": "1"},
        {"a": "1", "b": "2"},
    ]
    assert here("build", *BOTH, *given, "-t", "a:1", "-o", "b.tar", "--format", "oci").err == ""
    assert "no annotations; leave out" in here("build", *BOTH, *given, "--format", "docker").err


def test_what_the_project_says_is_on_all_documents(here: InProcess, tmp_path: Path) -> None:
    """With the image's own time, if that is given."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\n')
    auto = ("--annotate", "auto", "--annotation", "org.opencontainers.image.version=2")
    time = ("--created", "2026-01-01T00:00:00Z")
    here("build", *BOTH, *auto, *time, "-t", "a:1", "-o", "a.tar").ok()
    expected = {"title": "app", "version": "2", "created": "2026-01-01T00:00:00Z"}
    front = "org.opencontainers.image."
    for one in images(tmp_path / "a.tar").values():
        assert dict(one.manifest.annotations) == {front + k: v for k, v in expected.items()}
    del expected["version"]  # what was written is said where it was written, and nowhere else
    on_index = {front + key: text for key, text in expected.items()}
    assert dict(opened(tmp_path / "a.tar").index.annotations) == on_index


def test_flatten_and_rebase_annotate_as_well(here: InProcess, tmp_path: Path) -> None:
    """What they make."""
    here("build", "shared", "--platform", "linux/amd64", "-t", "base:1", "-o", "base.tar").ok()
    here("build", "amd64", "--from", "base.tar", "-t", "a:1", "-o", "a.tar").ok()
    for command in ("flatten a.tar", "rebase a.tar --onto base.tar --from base.tar"):
        here(*command.split(), "-o", "new.tar", "--annotation", "a=b").ok()
        manifest = json.loads(here("manifest", "new.tar").ok())
        assert manifest["annotations"]["a"] == "b"
        assert "oci" in manifest["mediaType"]


class TestIndexCreate:
    """``index create`` without a registry."""

    @pytest.fixture
    def parts(self, here: InProcess) -> InProcess:
        """An image for each of three platforms, and another one for arm64."""
        here("build", "amd64", "--platform", "linux/amd64", "-t", "a:1", "-o", "amd64.tar").ok()
        here("build", "arm64", "--platform", "linux/arm64", "-t", "a:1", "-o", "arm64.lay/").ok()
        here("build", "shared", "--platform", "linux/arm64", "-t", "b:1", "-o", "other.tar").ok()
        here("build", "shared", "--platform", "linux/s390x", "-t", "c:1", "-o", "other/").ok()
        here("build", "amd64", "--platform", "linux/s390x", "-t", "d:1", "-o", "other/").ok()
        return here

    @pytest.mark.parametrize("output", ["new.tar", "new/"])
    def test_archives_and_layouts_are_joined(
        self, parts: InProcess, tmp_path: Path, output: str
    ) -> None:
        """The images are what they were, one of several is chosen by its name."""
        added = ("--add", "amd64.tar", "--add", "arm64.lay/", "--add", "other:c:1")
        said = parts("index", "create", *added, "-o", output, "-t", "x:1").ok().decode()
        index = opened(tmp_path / output)
        assert said.strip() == f"x:1@{index.index.descriptor.digest}"
        assert list(images(tmp_path / output)) == ["linux/amd64", "linux/arm64", "linux/s390x"]

    @pytest.mark.parametrize("output", ["new.tar", "new/"])
    def test_a_platform_is_added_and_replaced(
        self, parts: InProcess, tmp_path: Path, output: str
    ) -> None:
        """Under the name that it had; what is there is replaced when that is said."""
        start = ("index", "create", "--annotation", "k=v", "-t", "x:1", "-o", output)
        parts(*start, "--add", "amd64.tar").ok()
        to = ("index", "create", "-o", output)
        assert parts(*to, "--append", "--add", "arm64.lay/").ok().startswith(b"x:1@")
        before = images(tmp_path / output)
        done = parts(*to, "--append", "--add", "other.tar")
        assert "has another image for linux/arm64; --replace puts the new one" in done.err
        parts(*to, "--replace", "--add", "other.tar").ok()
        after = images(tmp_path / output)
        assert list(after) == list(before) == ["linux/amd64", "linux/arm64"]
        assert after["linux/amd64"].document == before["linux/amd64"].document
        assert after["linux/arm64"].document != before["linux/arm64"].document
        assert opened(tmp_path / output).index.annotations == (("k", "v"),)

    def test_a_registry_s_index_is_added_to(self, parts: InProcess, tmp_path: Path) -> None:
        """From an archive; all of it is there before the index is."""
        with HostileRegistry() as registry:
            name = f"{registry.host}/a/b:1"
            parts("push", "amd64.tar", name).ok()
            parts("index", "create", name, "--append", "--add", "arm64.lay/").ok()
            assert registry.incomplete() == []
            first = parts("index", "create", f"{name}2", "--append", "--add", "arm64.lay/")
            told = first.failed(20)
            assert "there is nothing to append to: " in told
            assert told.endswith("; leave out --append and --replace for the first image")
            parts("index", "create", "-o", "all.tar", "--add", name, "-t", "x:1").ok()
        assert list(images(tmp_path / "all.tar")) == ["linux/amd64", "linux/arm64"]

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ("--add amd64.tar", "say where the index goes: REF, or -o"),
            ("x:1 -o x.tar --add amd64.tar", "say where the index goes: REF, or -o"),
            ("x.tar --add amd64.tar", "REF x.tar is a path; write -o x.tar"),
            ("-o x.tar --add arm64.lay/ --add other.tar", "two different images are for"),
            ("-o x.tar --add other", "holds 2 images"),
            (
                "-o x.tar --append --add amd64.tar",
                "leave out --append and --replace",
            ),
            ("-o - --append --add amd64.tar", "holds no index to append to"),
            ("-o x.tar --add amd64.tar --platform linux/s390x", "none of the images is for"),
            ("-o x.tar --add amd64.tar --annotation manifest:a=b", "joins images as they are"),
            ("localhost:1/x --add amd64.tar --annotation index-descriptor:a=b", "add -o"),
            ("-o x.tar --add nothing.tar", "nothing.tar does not exist"),
        ],
    )
    def test_what_cannot_be_joined_is_told(
        self, parts: InProcess, arguments: str, problem: str
    ) -> None:
        """In one line, and nothing is written."""
        done = parts("index", "create", *arguments.split())
        assert done.code != 0
        assert problem in done.err
        assert not (parts.directory / "x.tar").exists()

    def test_an_archive_of_several_images_is_not_made_one_of_one(
        self, parts: InProcess, tmp_path: Path
    ) -> None:
        """What else it holds would be gone."""
        parts("copy", "other/", "two.tar").ok()
        before = (tmp_path / "two.tar").read_bytes()
        done = parts("index", "create", "-o", "two.tar", "--append", "--add", "amd64.tar")
        assert "holds 2 images, and the others would be lost" in done.err
        assert (tmp_path / "two.tar").read_bytes() == before
