"""``imgpack build``: what it writes where, under which names, and what it says."""

import json
import os
import re
import struct
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.cli_runner import Imgpack, InProcess
from tests.privileges import IS_ROOT, OBEYING_MODES, as_user


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with fixed times."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "bin").symlink_to("usr/bin")
    for path in (root / "etc/motd", root / "etc", root):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    os.utime(root / "bin", (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    return root


class Archive:
    """What an archive holds."""

    def __init__(self, data: bytes) -> None:
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            self.files = {}
            for member in tar:
                if content := tar.extractfile(member):
                    self.files[member.name] = content.read()
        self.names: list[str] = self.json("manifest.json")[0]["RepoTags"]
        (top,) = self.json("index.json")["manifests"][:1]
        self.manifest: dict[str, Any] = self.blob(top["digest"])
        self.digest: str = top["digest"]
        self.config: dict[str, Any] = self.blob(self.manifest["config"]["digest"])

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def blob(self, digest: str) -> Any:
        return self.json(digest.replace("sha256:", "blobs/sha256/"))

    def layer(self, number: int = 0) -> tarfile.TarFile:
        """One layer, opened."""
        name = self.manifest["layers"][number]["digest"].replace("sha256:", "blobs/sha256/")
        return tarfile.open(fileobj=BytesIO(self.files[name]))

    def history(self) -> list[str]:
        """The steps that made it."""
        return [step["created_by"].removesuffix(" # imgpack") for step in self.config["history"]]


def archive(path: Path) -> Archive:
    """An archive file."""
    return Archive(path.read_bytes())


def test_a_source_alone_is_enough(imgpack_here: InProcess, tree: Path, tmp_path: Path) -> None:
    """SRC.tar beside the caller, named SRC:latest, and one line says the digest."""
    out = imgpack_here("build", "rootfs").ok()

    found = archive(tmp_path / "rootfs.tar")
    assert found.names == ["docker.io/library/rootfs:latest"]
    assert out.decode() == f"rootfs:latest@{found.digest}\n"
    assert found.manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert found.config["created"] == "2020-09-13T12:26:40Z"
    with found.layer() as layer:
        assert layer.getnames() == ["bin", "etc", "etc/motd"]


def test_the_default_names_are_those_of_the_directory(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Through a symlink, a trailing slash, or ``..``."""
    (tmp_path / "link").symlink_to("rootfs")
    for source in ("rootfs/", "link", "rootfs/../rootfs", str(tree)):
        assert imgpack_here("build", source, "-o", "x.tar").ok().startswith(b"rootfs:latest@")


def test_every_name_is_in_the_archive_and_printed_once(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """``-t`` again and again; the same name twice is one."""
    out = imgpack_here(
        "build", "rootfs", "-t", "app:1", "--tag", "quay.io/a/b", "-t", "app:1", "-o", "o.tar"
    ).ok()

    assert archive(tmp_path / "o.tar").names == ["docker.io/library/app:1", "quay.io/a/b:latest"]
    assert [line.split("@")[0] for line in out.decode().splitlines()] == [
        "app:1", "quay.io/a/b:latest",
    ]  # fmt: skip


def test_verbose_says_what_is_done(imgpack_here: InProcess, tree: Path, tmp_path: Path) -> None:
    """A line a layer, with its digest, sizes and what was reused; and what was written where."""
    imgpack_here("build", "rootfs", "-o", "o.tar").ok()
    lines = imgpack_here("-v", "build", "rootfs", "-o", "o.tar").err.splitlines()

    found = archive(tmp_path / "o.tar")
    layer = found.manifest["layers"][0]
    assert lines[0].startswith(f"imgpack: layer 1 of 1, /: {layer['digest']}, {layer['size']} B ")
    assert lines[0].endswith("1 of 1 segments reused")
    image = found.manifest["config"]["digest"]
    assert lines[1] == "imgpack: o.tar was there, and is replaced"
    assert lines[2] == f"imgpack: image {image}, manifest {found.digest}: to o.tar"


def test_a_stream_is_the_archive(imgpack: Imgpack, tree: Path, tmp_path: Path) -> None:
    """Standard output has nothing else; the names go to standard error."""
    imgpack("build", "rootfs").ok()
    done = imgpack("build", "rootfs", "-o", "-")

    assert done.ok() == (tmp_path / "rootfs.tar").read_bytes()
    assert re.fullmatch(r"rootfs:latest@sha256:[0-9a-f]{64}\n", done.err)


def into(log: str) -> tuple[str, ...]:
    """A shell that opens descriptors, such as ``>log``, in front of a command."""
    return "sh", "-c", f'exec "$@" {log}', "sh"


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_has_other_names(
    imgpack: Imgpack, tree: Path, tmp_path: Path, output: str
) -> None:
    """It is a stream by any of them: a pipe gets the archive and nothing else."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    imgpack("build", "rootfs").ok()
    done = imgpack("build", "rootfs", "-o", output)

    assert done.ok() == (tmp_path / "rootfs.tar").read_bytes()
    assert re.fullmatch(r"rootfs:latest@sha256:[0-9a-f]{64}\n", done.err)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/stderr", "/dev/fd/3", "/proc/self/fd/3"])
@pytest.mark.parametrize("append", [True, False])
def test_a_file_behind_a_descriptor_is_written_into(
    imgpack: Imgpack, tree: Path, tmp_path: Path, output: str, append: bool
) -> None:
    """A log that others write to as well stays the same file, and keeps what it has."""
    imgpack("build", "rootfs").ok()
    expected = (tmp_path / "rootfs.tar").read_bytes()
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    inode = log.stat().st_ino
    number = {"/dev/stdout": 1, "/dev/stderr": 2}.get(output, 3)
    imgpack(
        "build", "rootfs", "-o", output, prefix=into(f"{number}>{'>' if append else ''}log")
    ).ok()

    assert log.stat().st_ino == inode
    assert log.read_bytes() == (b"before\n" if append else b"") + expected
    assert sorted(os.listdir(tmp_path)) == ["log", "rootfs", "rootfs.tar"]


def test_the_metadata_may_go_to_a_descriptor(imgpack: Imgpack, tree: Path, tmp_path: Path) -> None:
    """A document on standard output has it to itself."""
    build = ("build", "rootfs", "-o", "o.tar", "--metadata-file")
    imgpack(*build, "m.json").ok()
    expected = (tmp_path / "m.json").read_bytes()
    done = imgpack(*build, "/dev/stdout")
    assert done.ok() == expected
    assert done.err.startswith("rootfs:latest@")

    (tmp_path / "log").write_bytes(b"before\n")
    assert imgpack(*build, "/dev/fd/3", prefix=into("3>>log")).ok().startswith(b"rootfs:latest@")
    assert (tmp_path / "log").read_bytes() == b"before\n" + expected


def test_a_path_that_ends_in_a_slash_is_a_layout(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """An OCI layout directory with verified blobs."""
    imgpack_here("build", "rootfs", "--format", "oci", "-o", "lay/").ok()

    assert json.loads((tmp_path / "lay/oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
    assert imgpack_here("inspect", "lay/").code == 0


def test_sources_are_layers_and_have_places(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """The first at the bottom; each has the directories on its way."""
    app = tmp_path / "app"
    app.mkdir(mode=0o750)
    (app / "main").write_text("x")
    imgpack_here("build", "rootfs", "app:/etc/app/", "app:/opt/a/b", "app:/bin/x").ok()

    found = archive(tmp_path / "rootfs.tar")
    names = []
    for number in range(4):
        with found.layer(number) as layer:
            names.append(layer.getnames())
    assert names[1] == ["etc", "etc/app", "etc/app/main"]
    assert names[2] == ["opt", "opt/a", "opt/a/b", "opt/a/b/main"]
    assert names[3] == ["usr", "usr/bin", "usr/bin/x", "usr/bin/x/main"]
    assert found.history() == [
        "COPY . /",
        "COPY . /etc/app",
        "COPY . /opt/a/b",
        "COPY . /usr/bin/x",
    ]


def test_a_colon_in_a_directorys_name_is_no_place(imgpack_here: InProcess, tmp_path: Path) -> None:
    """What exists is what is meant."""
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b/f").touch()
    imgpack_here("build", "a:b", "-t", "x", "-o", "1.tar").ok()
    imgpack_here("build", "a:b:/d", "-t", "x", "-o", "2.tar").ok()

    with archive(tmp_path / "1.tar").layer() as one, archive(tmp_path / "2.tar").layer() as two:
        assert (one.getnames(), two.getnames()) == (["f"], ["d", "d/f"])


def test_an_empty_tree_is_an_image(imgpack_here: InProcess, tmp_path: Path) -> None:
    """With one empty layer, and a time all the same."""
    (tmp_path / "empty").mkdir()
    imgpack_here("build", "empty").ok()

    found = archive(tmp_path / "empty.tar")
    assert found.config["created"] == "1970-01-01T00:00:00Z"
    with found.layer() as layer:
        assert layer.getnames() == []


@pytest.mark.parametrize(
    ("arguments", "media_type"),
    [
        ([], "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (["--compression", "none"], "application/vnd.docker.image.rootfs.diff.tar"),
        (["--format", "oci"], "application/vnd.oci.image.layer.v1.tar+gzip"),
        (
            ["--format", "oci", "--compression", "zstd:1"],
            "application/vnd.oci.image.layer.v1.tar+zstd",
        ),
        (["--format", "oci", "--compression", "none"], "application/vnd.oci.image.layer.v1.tar"),
    ],
)
def test_formats_and_compressions_have_their_types(
    imgpack_here: InProcess, tree: Path, tmp_path: Path, arguments: list[str], media_type: str
) -> None:
    """And always the same diff_id."""
    imgpack_here("build", "rootfs", *arguments).ok()

    found = archive(tmp_path / "rootfs.tar")
    imgpack_here("build", "rootfs", "-o", "plain.tar").ok()
    assert found.manifest["layers"][0]["mediaType"] == media_type
    assert found.config["rootfs"] == archive(tmp_path / "plain.tar").config["rootfs"]


CONFIGURATION: list[tuple[list[str], str, object, list[str]]] = [
    (["--entrypoint", '["/bin/sh", "-c"]'], "Entrypoint", ["/bin/sh", "-c"],
     ['ENTRYPOINT ["/bin/sh","-c"]']),
    (["--entrypoint", "/bin/app --flag 'a b'"], "Entrypoint", ["/bin/app", "--flag", "a b"],
     ['ENTRYPOINT ["/bin/app","--flag","a b"]']),
    (["--cmd", "run it"], "Cmd", ["run", "it"], ['CMD ["run","it"]']),
    (["-e", "A=1", "--env", "B=x=y", "-e", "A=2"], "Env", ["A=2", "B=x=y"],
     ["ENV A=2", "ENV B=x=y"]),
    (["-w", "/srv"], "WorkingDir", "/srv", ["WORKDIR /srv"]),
    (["-u", "1000:100"], "User", "1000:100", ["USER 1000:100"]),
    (["-l", "a=b", "--label", "c="], "Labels", {"a": "b", "c": ""}, ["LABEL a=b", "LABEL c="]),
    (["--expose", "80", "--expose", "53/udp"], "ExposedPorts", {"53/udp": {}, "80/tcp": {}},
     ["EXPOSE 53/udp", "EXPOSE 80/tcp"]),
    (["--expose", "8001-8002", "--expose", "80"], "ExposedPorts",
     {"80/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}, ["EXPOSE 80/tcp", "EXPOSE 8001-8002/tcp"]),
    (["--volume", "/data"], "Volumes", {"/data": {}}, ['VOLUME ["/data"]']),
    (["--stop-signal", "quit"], "StopSignal", "SIGQUIT", ["STOPSIGNAL SIGQUIT"]),
    (["--shell", '["/bin/bash","-c"]'], "Shell", ["/bin/bash", "-c"],
     ['SHELL ["/bin/bash","-c"]']),
    (["--onbuild", "RUN make"], "OnBuild", ["RUN make"], ["ONBUILD RUN make"]),
    (["--healthcheck-cmd", "NONE"], "Healthcheck", {"Test": ["NONE"]}, ["HEALTHCHECK NONE"]),
    (["--healthcheck-cmd", "curl -f localhost", "--healthcheck-interval", "1m30s",
      "--healthcheck-timeout", "5", "--healthcheck-retries", "4",
      "--healthcheck-start-period", "500ms"], "Healthcheck",
     {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 90_000_000_000,
      "Timeout": 5_000_000_000, "StartPeriod": 500_000_000, "Retries": 4},
     ["HEALTHCHECK --interval=90s --timeout=5s --start-period=0.5s --retries=4 "
      "CMD curl -f localhost"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "key", "value", "history"), CONFIGURATION)
def test_each_setting_is_in_the_configuration_and_the_history(
    imgpack_here: InProcess, tree: Path, tmp_path: Path,
    arguments: list[str], key: str, value: object, history: list[str],
) -> None:  # fmt: skip
    """As docker would have written it; a setting has a step without a layer."""
    imgpack_here("build", "rootfs", *arguments).ok()

    found = archive(tmp_path / "rootfs.tar")
    assert found.config["config"][key] == value
    assert found.history() == ["COPY . /", *history]
    assert [step.get("empty_layer", False) for step in found.config["history"]] == [
        False, *[True for _ in history],
    ]  # fmt: skip


def test_an_image_says_who_made_it_and_when(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Author, comment, platform and time."""
    imgpack_here(
        "build", "rootfs", "--author", "A <a@example.com>", "--comment", "first",
        "--platform", "linux/arm/v7", "--created", "2026-01-31T12:00:00+02:00",
    ).ok()  # fmt: skip

    config = archive(tmp_path / "rootfs.tar").config
    assert config["author"] == config["history"][0]["author"] == "A <a@example.com>"
    assert config["history"][0]["comment"] == "first"
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert config["created"] == config["history"][0]["created"] == "2026-01-31T10:00:00Z"


def times(path: Path) -> tuple[str, set[int]]:
    """When an image was made, and its files."""
    found = archive(path)
    with found.layer() as layer:
        return found.config["created"], {int(member.mtime) for member in layer}


@pytest.mark.parametrize(
    ("arguments", "epoch", "created", "mtimes"),
    [
        ([], "", "2020-09-13T12:26:40Z", {1_600_000_000, 1_500_000_000}),
        ([], "1550000000", "2019-02-12T19:33:20Z", {1_550_000_000, 1_500_000_000}),
        ([], "1700000000", "2023-11-14T22:13:20Z", {1_600_000_000, 1_500_000_000}),
        ([], "0", "1970-01-01T00:00:00Z", {0}),
        (["--mtime", "7"], "", "1970-01-01T00:00:07Z", {7}),
        (["--mtime", "0"], "5", "1970-01-01T00:00:05Z", {0}),
        (["--created", "9"], "5", "1970-01-01T00:00:09Z", {5}),
        (["--created", "2020-01-01T00:00:00.25Z"], "", "2020-01-01T00:00:00.25Z",
         {1_600_000_000, 1_500_000_000}),
    ],
)  # fmt: skip
def test_times_come_from_options_the_epoch_or_the_tree(
    imgpack_here: InProcess, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], epoch: str, created: str, mtimes: set[int],
) -> None:  # fmt: skip
    """In this order, and never from the clock."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    imgpack_here("build", "rootfs", *arguments).ok()

    assert times(tmp_path / "rootfs.tar") == (created, mtimes)


def owners(path: Path) -> set[tuple[int, int]]:
    """The owners in an image."""
    with archive(path).layer() as layer:
        return {(member.uid, member.gid) for member in layer}


def test_an_owner_can_be_set(imgpack_here: InProcess, tree: Path, tmp_path: Path) -> None:
    """For every entry; beyond seven octal digits too."""
    for owner in ((0, 0), (1000, 50), (3_000_000, 4_294_967_294)):
        imgpack_here("build", "rootfs", "--owner", f"{owner[0]}:{owner[1]}").ok()
        assert owners(tmp_path / "rootfs.tar") == {owner}


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to become somebody else")
def test_the_callers_files_become_roots(imgpack: Imgpack, tree: Path, tmp_path: Path) -> None:
    """The same bytes as from root's tree; the ids of others are kept."""
    imgpack("build", "rootfs", "-o", "root.tar").ok()
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 1234, 1235, follow_symlinks=False)
    imgpack("build", "rootfs", "-o", "kept.tar").ok()
    imgpack("build", "rootfs", "-o", "user.tar", prefix=as_user(1234, 1235)).ok()
    imgpack("build", "rootfs", "-o", "other.tar", prefix=as_user(77, 78)).ok()

    assert owners(tmp_path / "kept.tar") == owners(tmp_path / "other.tar") == {(1234, 1235)}
    assert (tmp_path / "user.tar").read_bytes() == (tmp_path / "root.tar").read_bytes()


def test_the_bytes_depend_on_tree_and_options_alone(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """Not on zone, locale, hash seed, jobs, cache, directory, umask or the tree's place."""
    expected = imgpack("build", "rootfs", "-o", "-", "--no-cache").ok()
    environments: list[dict[str, str]] = [
        {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"},
        {"TZ": "America/Los_Angeles", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0"},
    ]
    for number, environment in enumerate(environments):
        found = imgpack("build", "rootfs", "-o", "-", "-j", f"{1 + number * 15}", env=environment)
        assert found.ok() == expected
    (tmp_path / "elsewhere").mkdir()
    tree.rename(tmp_path / "elsewhere/rootfs")
    done = imgpack(
        "build", str(tmp_path / "elsewhere/rootfs"), "-o", "o.tar", cwd=tmp_path / "elsewhere",
        prefix=("sh", "-c", 'umask 077; exec "$@"', "sh"),
    )  # fmt: skip
    done.ok()
    assert (tmp_path / "elsewhere/o.tar").read_bytes() == expected


def test_names_of_any_bytes_are_packed(imgpack: Imgpack, tmp_path: Path) -> None:
    """Sources, destinations and files whose names are no text."""
    root = os.fsencode(tmp_path) + b"/tr\xffee"
    os.mkdir(root)
    with open(root + b"/f\xfe\n", "w"):
        pass
    imgpack("build", root, "-t", "x", "-o", b"o\xfd.tar").ok()
    imgpack("build", root + b":/d\xfc", "-t", "x").ok()

    with (
        open(os.fsencode(tmp_path) + b"/o\xfd.tar", "rb") as file,
        Archive(file.read()).layer() as one,
    ):
        assert [os.fsencode(name) for name in one.getnames()] == [b"f\xfe\n"]
    with open(root + b".tar", "rb") as file:
        found = Archive(file.read())
    with found.layer() as two:
        assert [os.fsencode(name) for name in two.getnames()] == [b"d\xfc", b"d\xfc/f\xfe\n"]
    assert found.history() == ["COPY . /d\\xfc"]


LOCALES = [
    {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "1"},
]


def test_texts_are_utf_8_in_every_locale(imgpack: Imgpack, tree: Path, tmp_path: Path) -> None:
    """Destinations and settings alike: one command line is one image ID."""
    options = (
        "-l", "k=\u00fc", "-e", "A=\u00fc", "--author", "\u00fc", "--comment", "\u00fc",
        "--cmd", "/\u00fc", "--onbuild", "RUN \u00fc", "--volume", "/\u00fc", "-u", "\u00fc",
    )  # fmt: skip
    arguments = [text.encode() for text in ("rootfs:/\u00fc", "-o", "-", *options)]
    first, *others = [imgpack("build", *arguments, env=env).ok() for env in LOCALES]

    assert others == [first, first]
    found = Archive(first)
    assert found.config["config"]["Labels"] == {"k": "\u00fc"}
    assert found.history()[:2] == ["COPY . /\u00fc", "ENV A=\u00fc"]


@pytest.mark.parametrize("env", LOCALES)
def test_texts_in_another_encoding_are_refused_in_every_locale(
    imgpack: Imgpack, tree: Path, env: dict[str, str]
) -> None:
    """Image documents are UTF-8."""
    line = imgpack("build", "rootfs", "-o", "/dev/null", "-l", b"k=\xfc", env=env).failed(7)
    assert "--label 'k=\\udcfc' is not Unicode text" in line


def test_the_history_has_only_control_characters_escaped(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """What else is printable depends on Python's release, and the image ID must not."""
    dest = "/a\n\x1b\x7f\x85/\u200b\u00a0\U0001fae9\U000e0fff\\"
    imgpack("build", f"rootfs:{dest}".encode() + b"\xff", "-t", "x").ok()

    (step,) = archive(tmp_path / "rootfs.tar").history()
    shown = "/a\\n\\x1b\\x7f\\x85/\u200b\u00a0\U0001fae9\U000e0fff\\\\xff"
    assert step == f"COPY . {shown}"


def test_the_metadata_file_tells_programs_everything(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """In the shape that push writes: names with digests, and images."""
    imgpack_here("build", "rootfs", "-t", "a:1", "-t", "b:2", "--metadata-file", "m.json").ok()

    document = json.loads((tmp_path / "m.json").read_text())
    found = archive(tmp_path / "rootfs.tar")
    assert [name["name"] for name in document["published"]] == [
        "docker.io/library/a:1",
        "docker.io/library/b:2",
    ]
    assert {name["digest"] for name in document["published"]} == {found.digest}
    (image,) = document["images"]
    assert image["manifest"]["digest"] == found.digest
    assert image["manifest"]["mediaType"] == found.manifest["mediaType"]
    assert image["config"] == found.manifest["config"]
    assert [layer["diff_id"] for layer in image["layers"]] == found.config["rootfs"]["diff_ids"]
    assert [layer["size"] for layer in image["layers"]] == [
        layer["size"] for layer in found.manifest["layers"]
    ]


def test_explaining_names_layers_and_paths(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """One line a layer, and the paths that changed below it, on standard error."""
    done = imgpack_here("build", "rootfs", "--explain", "--no-cache")
    assert done.err == "layer 1: built without a cache\n"
    made = "  1 segment: 1 compressed, from bin\n"
    err = imgpack_here("build", "rootfs", "--explain").err
    assert err == "layer 1: not built before\n" + made
    (tree / "etc/motd").write_text("more text\n")
    err = imgpack_here("build", "rootfs", "rootfs:/x", "--explain").err
    assert err.startswith("layer 1: changed\n" + made)
    assert "  etc/motd: changed: mtime, size\n" in err
    assert err.endswith("layer 2: not built before\n  1 segment: 1 compressed, from x\n")


def test_podman_drops_the_health_check_of_an_oci_image(imgpack_here: InProcess, tree: Path) -> None:
    """Told once; Docker keeps it, and both keep the shell and the triggers."""
    options = ("--shell", "sh -c", "--onbuild", "RUN x", "--format")
    assert imgpack_here("build", "rootfs", *options, "oci").err == ""
    assert imgpack_here("build", "rootfs", *options, "docker", "--healthcheck-cmd", "x").err == ""
    err = imgpack_here("build", "rootfs", *options, "oci", "--healthcheck-cmd", "x").err
    assert err.count("warning") == 1
    assert "podman ignores the health check of an OCI image; use --format docker" in err


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to write a capability")
def test_a_capability_of_another_user_namespace_is_dropped_and_told(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """The kernel does not even show it there."""
    foreign = struct.pack("<IIIIII", 0x03000001, 0x3000, 0, 0, 0, 100_000)
    try:
        os.setxattr(tree / "etc/motd", "security.capability", foreign)
    except OSError:
        pytest.skip("the file system takes no attributes")
    for _ in range(2):
        done = imgpack("build", "rootfs", prefix=("unshare", "--user", "--map-root-user"))
        done.ok()
        assert f"dropped the attribute security.capability of {tree}/etc/motd" in done.err


def test_an_overlays_upper_directory_is_told(imgpack_here: InProcess, tree: Path) -> None:
    """It lacks what the lower ones hold."""
    try:
        os.setxattr(tree / "etc", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("the file system takes no attributes")

    line = imgpack_here("build", "rootfs", "-o", "/dev/null").failed(5)
    assert f"{tree}/etc has the attribute user.overlay.opaque" in line


def test_quiet_is_quiet(imgpack_here: InProcess, tree: Path) -> None:
    """No warnings either, but the name is the result and stays."""
    os.utime(tree / "etc/motd", (-1, -1))

    assert "before 1970" in imgpack_here("build", "rootfs").err
    done = imgpack_here("-q", "build", "rootfs")
    assert done.ok().startswith(b"rootfs:latest@")
    assert done.err == ""


def test_a_cache_that_cannot_be_written_is_only_told(
    imgpack: Imgpack, tree: Path, tmp_path: Path
) -> None:
    """The same bytes; what is in it is used."""
    imgpack("build", "rootfs", "--cache-dir", "c", "-o", "1.tar").ok()
    places = [tmp_path / "c", *(tmp_path / "c").rglob("*")]
    for place in places:
        place.chmod(0o555)
    (tree / "etc").chmod(0o700)  # the times of a tree that is old enough would be believed
    (tree / "etc").chmod(0o755)
    done = imgpack(
        "build", "rootfs", "--cache-dir", "c", "--explain", "-o", "2.tar", prefix=OBEYING_MODES
    )
    for place in places:
        place.chmod(0o755)

    done.ok()
    assert done.err.splitlines() == [
        "imgpack: warning: cannot write to the cache c: Permission denied",
        "layer 1: the cache cannot be written",
        "  1 segment: 1 from the cache by content",
    ]
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


@pytest.mark.parametrize(
    ("format_", "config", "layer", "manifest"),
    [
        (
            "docker",
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        (
            "oci",
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.manifest.v1+json",
        ),
    ],
    ids=["docker", "oci"],
)
def test_a_docker_image_has_dockers_types_throughout_and_an_oci_image_ocis(
    imgpack_here: InProcess, tree: Path, format_: str, config: str, layer: str, manifest: str
) -> None:
    """Configuration, layers and manifest; some registries refuse a mixture."""
    archive = Archive(
        imgpack_here("build", "rootfs", "rootfs:/x", "-o", "-", "--format", format_).ok()
    )

    (entry,) = archive.json("index.json")["manifests"]
    assert archive.manifest["config"]["mediaType"] == config
    assert [one["mediaType"] for one in archive.manifest["layers"]] == [layer, layer]
    assert (archive.manifest["mediaType"], entry["mediaType"]) == (manifest, manifest)


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_standard_output_inside_the_source_is_refused(
    imgpack: Imgpack, tree: Path, output: str
) -> None:
    """By its device and inode: the shell made it, and only it knows the path."""
    done = imgpack("build", "rootfs", "-o", output, prefix=into(">rootfs/etc/out.tar"))

    assert "etc/out.tar is in the source, and this build writes there" in done.failed(14)


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_log_inside_the_source_is_refused(
    imgpack: Imgpack, tree: Path, tmp_path: Path, descriptor: int
) -> None:
    """What the names or the messages of this build go to changes while it is packed."""
    prefix = into(f"{descriptor}>rootfs/etc/log")
    done = imgpack("build", "rootfs", "-o", "a.tar", "-v", prefix=prefix)

    assert done.code == 14
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "there/o.tar"),
        ("-o", "there/layout/"),
        ("-o", "o.tar", "--metadata-file", "there/m.json"),
        ("-o", "o.tar", "--cache-dir", "there/cache"),
    ],
)
def test_an_output_inside_the_source_through_a_bind_mount_is_refused(
    imgpack: Imgpack, tree: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """As a container has it with ``-v $PWD:/in -v $PWD/etc:/out``: no path says so."""
    (tmp_path / "there").mkdir()
    mount = 'mount --bind rootfs/etc there || exit 99; exec "$@"'
    done = imgpack("build", "rootfs", *arguments, prefix=("unshare", "-m", "sh", "-c", mount, "sh"))
    if done.code in (1, 99):
        pytest.skip("nothing may be mounted here")

    assert "rootfs/etc is in the source, and this build writes there" in done.failed(14)


AMD64 = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 2, 62) + bytes(44)


def test_a_platform_that_the_programs_contradict_is_warned_of(
    imgpack_here: InProcess, tree: Path
) -> None:
    """With the file that says otherwise; the word of the user counts."""
    (tree / "sbin").mkdir()
    (tree / "sbin/init").write_bytes(AMD64)
    done = imgpack_here("build", "rootfs", "--platform", "linux/arm64", "-o", "-")

    assert Archive(done.ok()).config["architecture"] == "arm64"
    assert "rootfs/sbin/init is a program for linux/amd64, and the image" in done.err
    assert "warning" not in imgpack_here("build", "rootfs", "--platform", "linux/amd64").err


def test_a_platform_that_nobody_knows_is_taken_unchecked(
    imgpack_here: InProcess, tree: Path
) -> None:
    """For the runtime of tomorrow."""
    done = imgpack_here(
        "build", "rootfs", "--platform", "linux/foo", "--platform-unchecked", "-o", "-"
    )

    assert Archive(done.ok()).config["architecture"] == "foo"


def test_a_layout_is_oci_s_and_an_archive_docker_s_unless_said(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """skopeo and umoci read no Docker types in a layout."""
    (tmp_path / "tree").mkdir()
    for more, layout, archive in (
        ((), "oci.image", "docker"),
        (("--format", "docker"), "docker", "docker"),
        (("--format", "oci"), "oci.image", "oci.image"),
    ):
        for out, kind in ((f"{len(more)}{layout}/", layout), ("a.tar", archive)):
            imgpack_here("build", "tree", "-o", out, "-t", "a:1", *more).ok()
            assert f".{kind}." in json.loads(imgpack_here("manifest", out).ok())["mediaType"]
    imgpack_here("build", "tree", "-o", "zstd/", "--compression", "zstd").ok()


def test_a_layout_that_is_built_into_again_says_what_nothing_names_and_prunes_it(
    imgpack_here: InProcess, tree: Path, tmp_path: Path
) -> None:
    """Three builds of one name leave three blobs each, of which three are live."""
    for number in range(3):
        (tree / "etc/motd").write_text(f"{number}\n")
        done = imgpack_here("build", "rootfs", "-o", "lay/")
        done.ok()
    assert "lay/ holds 6 blobs (" in done.err
    assert done.err.endswith("that nothing in it names; --prune removes them\n")
    assert len(os.listdir(tmp_path / "lay/blobs/sha256")) == 9
    assert imgpack_here("build", "rootfs", "-o", "lay/", "--prune").err == ""
    assert len(os.listdir(tmp_path / "lay/blobs/sha256")) == 3
    imgpack_here("inspect", "lay/", "--verify").ok()


@pytest.mark.parametrize(
    "arguments",
    [("build", "rootfs", "-o", "a.tar"), ("copy", "a.tar", "-"), ("copy", "a.tar", "a.b/c")],
)
def test_there_is_nothing_to_prune_outside_of_a_layout(
    imgpack_here: InProcess, tree: Path, arguments: tuple[str, ...]
) -> None:
    """An archive is whole each time, and a registry collects its own garbage."""
    imgpack_here("build", "rootfs", "-o", "a.tar").ok()
    assert "--prune is for a layout" in imgpack_here(*arguments, "--prune").failed(2)
