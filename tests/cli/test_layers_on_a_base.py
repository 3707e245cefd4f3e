"""``imgpack build --from``: what goes into the layers that lie on a base."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from imgpack import api
from tests.cli_runner import InProcess
from tests.store.samples import only_image


@pytest.fixture
def base(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with an archive of a base and an application."""
    root = tmp_path / "root"
    for path in ("usr/bin", "etc", "tmp", "var/log"):
        (root / path).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "bin").symlink_to("usr/bin")
    (root / "etc/passwd").write_text("app:x:5:6::/:/bin/sh\n")
    (root / "usr/bin/sh").write_text("#!")
    imgpack_here("build", "root", "-o", "base.tar", "-t", "base:1").ok()
    app = tmp_path / "app"
    for path in ("bin/tool", "tmp/scratch", "opt/new"):
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(path)
    (app / "etc").mkdir()
    (app / "etc/passwd").write_text("app:x:5:6::/:/bin/sh\n")
    return imgpack_here


def layers(path: Path) -> list[list[tarfile.TarInfo]]:
    """The members of each layer of an archive."""
    with api.open(str(path)) as opened:
        image = only_image(opened)
        blobs = [b"".join(opened.read_blob(layer.descriptor)) for layer in image.layers]
    return [tarfile.open(fileobj=io.BytesIO(blob)).getmembers() for blob in blobs]


def names(members: list[tarfile.TarInfo]) -> list[str]:
    """Their paths."""
    return [member.name for member in members]


def test_an_application_lies_on_its_base(base: InProcess, tmp_path: Path) -> None:
    """Through its links, in its directories, and without what it has just so."""
    base("build", "--from", "base.tar", "app", "-o", "x.tar").ok()

    lower, upper = layers(tmp_path / "x.tar")
    assert names(lower) == names(layers(tmp_path / "base.tar")[0])
    assert names(upper) == [
        "usr", "usr/bin", "usr/bin/tool", "opt", "opt/new", "tmp", "tmp/scratch"
    ]  # fmt: skip
    assert {member.name: member.mode for member in upper}["tmp"] == 0o1777


def test_a_dry_run_lists_what_a_build_on_the_base_packs(base: InProcess, tmp_path: Path) -> None:
    """Entry by entry, and writes no archive."""
    command = ("build", "--from", "base.tar", "app", "-o", "x.tar", "--whiteout", "/var/log")
    shown = json.loads(base(*command, "--dry-run", "--json").ok())
    assert not (tmp_path / "x.tar").exists()
    base(*command).ok()

    _, deletions, upper = layers(tmp_path / "x.tar")
    assert names(deletions) == ["var", "var/.wh.log"]
    for listed, packed in zip(shown["layers"][1:], [upper], strict=True):
        assert [entry["path"] for entry in listed["entries"]] == ["/" + n for n in names(packed)]


def test_a_rule_that_names_a_directory_of_the_base_changes_it(
    base: InProcess, tmp_path: Path
) -> None:
    """As the base has it; one for everything does not."""
    base("build", "--from", "base.tar", "app", "-o", "x.tar", "--chown", "tmp=app").ok()
    base("build", "--from", "base.tar", "app", "-o", "y.tar", "--chown", "7").ok()

    def tmp(archive: str) -> tuple[int, int]:
        (found,) = [one for one in layers(tmp_path / archive)[1] if one.name == "tmp"]
        return found.mode, found.uid

    assert tmp("x.tar") == (0o1777, 5)
    assert tmp("y.tar") == (0o1777, 0)


def test_a_base_that_is_another_makes_another_layer(base: InProcess, tmp_path: Path) -> None:
    """Though nothing changed in the application: the cache knows what was below."""
    cache = ("--cache-dir", "cache")
    base("build", "--from", "base.tar", "app", "-o", "x.tar", *cache).ok()
    (tmp_path / "root/tmp").chmod(0o755)
    (tmp_path / "root/bin").unlink()
    base("build", "root", "-o", "base.tar", "-t", "base:1").ok()
    base("build", "--from", "base.tar", "app", "-o", "y.tar", *cache).ok()
    base("build", "--from", "base.tar", "app", "-o", "z.tar", "--no-cache").ok()

    assert names(layers(tmp_path / "y.tar")[1])[:2] == ["bin", "bin/tool"]
    assert (tmp_path / "y.tar").read_bytes() == (tmp_path / "z.tar").read_bytes()


def test_a_line_without_a_type_changes_what_the_base_has(base: InProcess, tmp_path: Path) -> None:
    """As a source and over one: its directories, its links, and files whose bytes are at hand."""
    (tmp_path / "p.mtree").write_text(
        "./etc mode=0700 uname=app\n./etc/passwd mode=0600\n./bin uid=7\n./usr\n"
        "./etc/new type=dir\n./var type=dir mode=0700\n"
    )
    base("build", "--from", "base.tar", "p.mtree", "-o", "x.tar").ok()
    base("build", "--from", "base.tar", "app", "--mtree", "p.mtree", "-o", "y.tar").ok()

    for archive in ("x.tar", "y.tar"):
        upper = {member.name: member for member in layers(tmp_path / archive)[1]}
        assert (upper["etc"].mode, upper["etc"].uid) == (0o700, 5)
        assert upper["etc"].isdir()
        assert (upper["etc/passwd"].mode, upper["etc/passwd"].size) == (0o600, 21)
        assert upper["etc/new"].isdir()
        assert "var" not in upper
    upper = {member.name: member for member in layers(tmp_path / "x.tar")[1]}
    assert (upper["bin"].linkname, upper["bin"].uid) == ("usr/bin", 7)
    assert "usr" not in upper


@pytest.mark.parametrize("arguments", [("p.mtree",), ("app", "--mtree", "p.mtree")])
def test_a_file_of_the_base_is_never_emptied_by_a_list(
    base: InProcess, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Nor passed over, through links as well; with its bytes it is written."""
    command = ("build", "--from", "base.tar", *arguments, "-o", "x.tar")
    (tmp_path / "p.mtree").write_text("\n./bin/sh mode=0700\n")
    assert "p.mtree:2: bin/sh is a file of a lower layer, whose bytes are" in base(*command).failed(
        5
    )
    (tmp_path / "p.mtree").write_text("./usr/bin/sh mode=0700 contents=app/opt/new\n")
    base(*command).ok()
    upper = {member.name: member for member in layers(tmp_path / "x.tar")[1]}
    assert (upper["usr/bin/sh"].size, upper["usr/bin/sh"].mode) == (7, 0o700)


def test_a_typed_line_of_a_list_needs_bytes_for_a_file_of_the_base(
    base: InProcess, tmp_path: Path
) -> None:
    """Or has to say that it is empty."""
    command = ("build", "--from", "base.tar", "p.mtree", "-o", "x.tar")
    (tmp_path / "p.mtree").write_text("./usr/bin/sh type=file\n")
    assert "p.mtree:1: usr/bin/sh is a file of a lower layer" in base(*command).failed(5)
    (tmp_path / "p.mtree").write_text("./usr/bin/sh type=file size=0\n")
    base(*command).ok()
    assert layers(tmp_path / "x.tar")[1][-1].size == 0


def test_a_list_changes_what_lower_sources_have(base: InProcess, tmp_path: Path) -> None:
    """Also a directory that a later list changes again, and in one layer of all."""
    (tmp_path / "p.mtree").write_text("./opt mode=0700\n./opt/new mode=0600\n")
    (tmp_path / "q.mtree").write_text("./opt uid=9\n")
    command = ("build", "app", "p.mtree", "q.mtree", "-o", "x.tar")

    base(*command).ok()
    *_, middle, top = ({one.name: one for one in each} for each in layers(tmp_path / "x.tar"))
    assert (middle["opt/new"].mode, middle["opt/new"].size) == (0o600, 7)
    assert (top["opt"].mode, top["opt"].uid) == (0o700, 9)
    base(*command, "--squash").ok()
    whole = {one.name: one for one in layers(tmp_path / "x.tar")[0]}
    assert (whole["opt"].mode, whole["opt"].uid, whole["opt/new"].mode) == (0o700, 9, 0o600)


def test_a_single_file_goes_into_a_directory_of_the_base(base: InProcess, tmp_path: Path) -> None:
    """As ``cp`` copies it, through links; over a file it takes its place."""
    (tmp_path / "server").write_text("s")
    targets = ("/bin", "/tmp", "/etc/passwd", "/opt/new/name", "/var/log/")
    sources = [f"server:{target}" for target in targets]
    done = base("build", "--from", "base.tar", *sources, "server:/opt", "-o", "x.tar")

    done.ok()
    assert "replaces" not in done.err
    last = [members[-1].name for members in layers(tmp_path / "x.tar")[1:]]
    assert last == [
        "usr/bin/server", "tmp/server", "etc/passwd", "opt/new/name", "var/log/server", "opt/server"
    ]  # fmt: skip
    base("build", "--from", "base.tar", "server:/bin", "--exclude", "no", "-o", "x.tar").ok()
    assert layers(tmp_path / "x.tar")[1][-1].name == "usr/bin/server"


def test_what_replaces_a_directory_is_named_as_it_was_given(
    base: InProcess, tmp_path: Path
) -> None:
    """By its source, and not by its name in the image."""
    (tmp_path / "etc").write_text("s")
    done = base("build", "--from", "base.tar", "etc", "-o", "x.tar")
    assert "etc of etc replaces a directory of a lower layer" in done.err
    done = base("build", "--from", "base.tar", "./etc:/", "-o", "x.tar")
    assert "etc of ./etc replaces a directory of a lower layer" in done.err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("--entrypoint", "/ap/x"), "/ap/x"),
        (("--cmd", "/etc/passwd/x"), "/etc/passwd/x"),
        (("--cmd", "nothing"), "nothing"),
        (("--cmd", "x", "--workdir", "/opt"), "x"),
        (("--cmd", "./new", "--workdir", "/opt"), ""),
        (("--cmd", "new", "-e", "PATH=/x:/opt"), ""),
        (("--entrypoint", "/bin/sh"), ""),
        (("--entrypoint", "sh", "--cmd", "no"), ""),
        ((), ""),
    ],
)
def test_a_program_that_is_not_in_the_image_is_told(
    base: InProcess, arguments: tuple[str, ...], missing: str
) -> None:
    """By its path, through links, or where ``PATH`` leads."""
    done = base("build", "--from", "base.tar", "app", *arguments, "-o", "x.tar")

    done.ok()
    told = f"imgpack: warning: the program {missing!r} is not in the image\n"
    assert done.err == (told if missing else "")


def test_a_program_of_the_base_that_is_deleted_is_told(base: InProcess, tmp_path: Path) -> None:
    """The base has it, and the new image not."""
    base("build", "root", "--entrypoint", "/bin/sh", "-o", "base.tar").ok()
    done = base("build", "--from", "base.tar", "--whiteout", "/usr/bin/sh", "-o", "x.tar")

    assert "the program '/bin/sh' of the base is not in the image" in done.err, done


@pytest.mark.parametrize(
    ("mode", "closes"),
    [("644", True), ("u=rw,go=r", True), ("a-x", True), ("755", False), ("u=rwX,go=rX", False),
     ("app=644", False), ("go-x", False)],
)  # fmt: skip
def test_a_mode_that_closes_all_directories_is_told(
    base: InProcess, tmp_path: Path, mode: str, closes: bool
) -> None:
    """For everything: a pattern may be of files alone."""
    (tmp_path / "app/app").touch()
    done = base("build", "app", "--chmod", mode, "-o", "x.tar")

    done.ok()
    told = f"--chmod {mode} takes the x of directories as well, and nobody but root enters them"
    assert (told in done.err) == closes
