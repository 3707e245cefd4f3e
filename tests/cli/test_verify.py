"""``imgpack verify``: what it prints, its exit codes, and an image that is built again."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from imgpack.image.base.lock import LockedTree
from imgpack.image.check import against
from imgpack.tree.merge.listing import Listing
from tests.cli.archives import write_archive
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry
from tests.store.samples import Memory, make_image, make_multi, make_nested, tar_of

_ONE = 'platforms = ["linux/amd64"]\nformat = "oci"\n'
_TWO = 'platforms = ["linux/amd64", "linux/arm64"]\nformat = "oci"\n'
_OTHER = 'platforms = ["linux/amd64", "linux/s390x"]\nformat = "oci"\n'
_NOTED = 'annotations = { "index:a" = "b" }\n'


@pytest.fixture
def damaged(tmp_path: Path) -> str:
    """A layout of which a layer has another byte."""
    path = f"{tmp_path}/layout/"
    image = make_image(Memory())
    write_archive(path, image, "foo:1")
    blob = tmp_path / "layout" / "blobs" / "sha256" / image.manifest.layers[0].digest.hex
    raw = bytearray(blob.read_bytes())
    raw[30] ^= 1
    blob.write_bytes(raw)
    return path


def test_a_sound_image_ends_with_zero(tmp_path: Path, imgpack_here: InProcess) -> None:
    """And what was looked at is told."""
    write_archive(tmp_path / "a.tar", make_nested(Memory()), "foo:1")
    lines = imgpack_here("verify", "a.tar").ok().decode().splitlines()
    assert lines[0] == "a.tar"
    assert [line.split()[0] for line in lines[1:-1]] == [
        "index", "index", "linux/amd64", "linux/arm64", "artifact",
    ]  # fmt: skip
    assert lines[-1].startswith("  sound: 4 blobs, ")


def test_an_unsound_image_ends_with_the_code_of_its_first_problem(
    damaged: str, imgpack_here: InProcess
) -> None:
    """All of them are on standard output, the first in the line of the error."""
    done = imgpack_here("verify", damaged)
    line = done.failed(12)
    assert "is not sound: layer sha256:" in line
    assert b"\n  error    blob: layer sha256:" in done.out
    assert b"\n  not sound: 2 blobs, " in done.out


def test_what_to_do_is_what_the_first_problem_says(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Of an archive that is cut as other commands say it, and no word is said twice."""
    write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 3])
    line = imgpack_here("verify", "a.tar").failed(11)
    assert line.rpartition("; ")[2] == imgpack_here("ls", "a.tar").failed(11).rpartition("; ")[2]


def test_a_digest_that_is_wrong_is_damage_once(damaged: str, imgpack_here: InProcess) -> None:
    """The line does not say it again in what is to be done."""
    line = imgpack_here("verify", damaged).failed(12)
    assert line.count("it is damaged") == 1
    assert line.endswith("; build or fetch it again")


def test_a_tree_on_disk_is_no_unsound_image(tmp_path: Path, imgpack_here: InProcess) -> None:
    """It is none, as other commands say it."""
    (tmp_path / "tree").mkdir()
    done = imgpack_here("verify", "tree")
    assert done.failed(11).startswith("imgpack: error: tree is a directory and no OCI layout; ")
    assert done.out == b""


def test_a_directory_is_like_one_platform(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Which has to be chosen; and so has one of several images, by its name."""
    (tmp_path / "tree").mkdir()
    write_archive(tmp_path / "a.tar", make_multi(Memory(), "linux/amd64", "linux/arm64"), "foo:1")
    line = imgpack_here("verify", "a.tar", "--against", "tree").failed(25)
    assert line.endswith("a directory is like one; choose one with --platform")
    images = (make_image(Memory()), "foo:1"), (make_image(Memory(), [tar_of({})]), "foo:2")
    for number, (image, name) in enumerate(images):
        write_archive(tmp_path / f"{number}.tar", image, name)
        imgpack_here("copy", f"{number}.tar", "both/").ok()
    line = imgpack_here("verify", "both", "--against", "tree").failed(25)
    assert line.endswith("choose one with --image: foo:1, foo:2")


def test_names_from_an_image_cannot_act_on_the_terminal(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """They are escaped, for people and for programs."""
    layer = tar_of({"\x1b]0;x\x07": b"", "\x1b[2J/.wh.": b""})
    write_archive(tmp_path / "a.tar", make_image(Memory(), [layer]), "foo:1")
    for options in ((), ("--json",)):
        done = imgpack_here("verify", "a.tar", *options)
        assert done.code == 5
        assert b"\x1b" not in done.out
        assert "\x1b" not in done.err


@pytest.mark.parametrize("options", [(), ("--against", "tree"), ("--rebuild",)], ids=str)
def test_what_programs_get_has_the_shape_of_the_schema(
    tmp_path: Path, imgpack_here: InProcess, options: tuple[str, ...]
) -> None:
    """Sound, or not like what it is compared with."""
    _write_project(tmp_path)
    imgpack_here("build").ok()
    document = check("verify", imgpack_here("verify", "web.tar", "--json", *options).ok())
    assert document["sound"] is True
    (tmp_path / "tree" / "file").write_bytes(b"other")
    done = imgpack_here("verify", "web.tar", "--json", *options)
    document = check("verify", done.out)
    assert done.code == bool(options)
    if "--rebuild" in options:
        assert document["rebuild"]["images"][0]["causes"][0]["path"] == "file"
    if "--against" in options:
        assert document["against"]["paths"][0]["path"] == "file"


def test_problems_of_an_unsound_image_have_the_shape_of_the_schema(
    damaged: str, imgpack_here: InProcess
) -> None:
    """And an id each."""
    done = imgpack_here("verify", damaged, "--json")
    document = check("verify", done.out)
    assert document["sound"] is False
    assert [one["id"] for one in document["findings"]] == ["blob"]


def test_an_image_in_a_registry_is_checked(tmp_path: Path, imgpack_here: InProcess) -> None:
    """As one that lies here."""
    write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
    with HostileRegistry() as registry:
        reference = f"{registry.host}/foo:1"
        imgpack_here("push", "a.tar", reference, "--plain-http").ok()
        lines = imgpack_here("verify", reference, "--plain-http").ok().decode().splitlines()
    assert lines[0] == reference
    assert lines[-1].startswith("  sound: 2 blobs, ")


def _write_project(directory: Path) -> None:
    (directory / "tree").mkdir()
    (directory / "tree" / "file").write_bytes(b"one")
    os.utime(directory / "tree" / "file", (5, 5))
    os.utime(directory / "tree", (5, 5))
    (directory / "imgpack.toml").write_text(
        '[image.web]\nlayers = ["tree"]\noutput = "web.tar"\n'
        '[image."app.x"]\nlayers = ["tree:/opt"]\nfrom-image = "web"\noutput = "app/"\n'
    )


@pytest.mark.parametrize("what", ["web.tar", "./web.tar", "web", "app/", "app.x"])
def test_an_image_is_built_again_from_its_file(
    tmp_path: Path, imgpack_here: InProcess, what: str
) -> None:
    """By its name, or by where it is written; and nothing there is written again."""
    _write_project(tmp_path)
    imgpack_here("build").ok()
    before = (tmp_path / "web.tar").stat()

    assert (
        b"built again, it is the same to the byte" in imgpack_here("verify", what, "--rebuild").ok()
    )
    (tmp_path / "tree" / "file").write_bytes(b"two")
    os.utime(tmp_path / "tree" / "file", (5, 5))
    done = imgpack_here("verify", what, "--rebuild")
    assert done.code == 1
    lines = done.out.decode().splitlines()
    start = lines.index("  built again, it is another: A is the image, B what is built now")
    assert lines[start - 1].startswith("  sound: ")
    assert lines[start + 2].startswith("  first cause: in layer 1 at /file, content: ")
    after = (tmp_path / "web.tar").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (_ONE, _TWO, "  what both have is the same, but only one is an index or has all of it"),
        (_TWO, _ONE, "  what both have is the same, but only one is an index or has all of it"),
        (_TWO, _TWO + _NOTED, "  + annotations.a: b"),
        (_TWO, _OTHER, "  only in A: linux/arm64"),
        (_OTHER, _TWO, "  only in B: linux/arm64"),
    ],
)  # fmt: skip
def test_an_index_that_is_another_is_not_the_same(
    tmp_path: Path, imgpack_here: InProcess, then: str, now: str, told: str
) -> None:
    """Though each platform that is in both is; of one platform alone nothing else is asked."""
    _write_project(tmp_path)
    text = (tmp_path / "imgpack.toml").read_text()
    (tmp_path / "imgpack.toml").write_text(text.replace("output", f"{then}output", 1))
    imgpack_here("build", "web").ok()
    same = b"built again, it is the same to the byte"
    assert same in imgpack_here("verify", "web", "--rebuild").ok()
    (tmp_path / "imgpack.toml").write_text(text.replace("output", f"{now}output", 1))

    done = imgpack_here("verify", "web", "--rebuild")

    assert done.code == 1
    assert told in done.out.decode().splitlines()
    document = check("verify", imgpack_here("verify", "web", "--rebuild", "--json").out)
    assert document["rebuild"]["identical"] is False
    if _ONE not in (then, now):
        words = ("verify", "web", "--rebuild", "--platform", "linux/amd64")
        assert same in imgpack_here(*words).ok()


def test_of_several_images_in_a_layout_one_is_built_again(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """By its name in the file or there; a layout alone does not say which."""
    _write_project(tmp_path)
    text = (tmp_path / "imgpack.toml").read_text().replace('"web.tar"', '"app/"\ntags = ["2"]')
    (tmp_path / "imgpack.toml").write_text(text)
    imgpack_here("build").ok()
    line = imgpack_here("verify", "app", "--rebuild").failed(2)
    assert "app has several images of imgpack.toml; name one: web, app.x" in line
    same = b"built again, it is the same to the byte"
    for words in (("web",), ("app.x",), ("app/:web:2",), ("app", "--image", "app.x")):
        assert same in imgpack_here("verify", *words, "--rebuild").ok()
    line = imgpack_here("verify", "app:3", "--rebuild").failed(2)
    assert "app:3 is no image of imgpack.toml, nor where one is written" in line


def test_what_cannot_be_built_again_is_one_line(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Without a file, or with one that does not say how."""
    write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
    assert "there is no imgpack.toml here" in imgpack_here("verify", "a.tar", "--rebuild").failed(2)
    _write_project(tmp_path)
    line = imgpack_here("verify", "a.tar", "--rebuild").failed(2)
    assert "a.tar is no image of imgpack.toml, nor where one is written; it has web, app.x" in line
    assert "does not exist" in imgpack_here("verify", "web", "--rebuild").failed(3)


@pytest.mark.parametrize("option", ["--ignore=mode", "--file=imgpack.toml"])
def test_options_of_a_comparison_need_one(
    tmp_path: Path, imgpack_here: InProcess, option: str
) -> None:
    """They would say nothing."""
    write_archive(tmp_path / "a.tar", make_image(Memory()), "foo:1")
    assert " is for --" in imgpack_here("verify", "a.tar", option).failed(2)


def test_a_directory_is_compared(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Each path that is not alike is a line."""
    _write_project(tmp_path)
    imgpack_here("build", "web").ok()
    assert b"tree is like the image" in imgpack_here("verify", "web.tar", "--against", "tree").ok()
    (tmp_path / "tree" / "file").chmod(0o600)
    (tmp_path / "tree" / "new").touch()
    os.utime(tmp_path / "tree", (5, 5))
    done = imgpack_here("verify", "web.tar", "--against", "tree")
    assert done.code == 1
    assert done.out.decode().splitlines()[-3:] == [
        "  ~ /file  mode 0644 → 0600",
        "  + /new  only in the directory",
        "  2 paths in tree are not as in the image",
    ]


def test_notes_of_a_kind_are_told_up_to_a_number(tmp_path: Path, imgpack_here: InProcess) -> None:
    """The rest is counted, and told to programs."""
    for count in (10, 12):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            for number in range(count):
                member = tarfile.TarInfo(f"l{number:02}")
                member.type, member.linkname = tarfile.SYMTYPE, "/none"
                tar.addfile(member)
        write_archive(tmp_path / "a.tar", make_image(Memory(), [layer.getvalue()]), "foo:1")

        lines = imgpack_here("verify", "a.tar").ok().decode().splitlines()

        assert sum(line.startswith("  note     symlink: ") for line in lines) == (
            10 if count == 10 else 11
        )
        assert ("  note     symlink: and 2 more (see --json)" in lines) is (count == 12)
        assert lines[-1].endswith(f", {count} notes")
        document = check("verify", imgpack_here("verify", "--json", "a.tar").ok())
        assert len(document["findings"]) == count


def test_of_much_that_is_not_alike_the_rest_is_counted(
    tmp_path: Path, imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what only the image has."""
    _write_project(tmp_path)
    for number in range(4):
        (tmp_path / "tree" / f"more{number}").touch()
    imgpack_here("build", "web").ok()
    for number in range(4):
        (tmp_path / "tree" / f"more{number}").unlink()
    ignored = ("--ignore", "mtime")
    compared = ("verify", "web.tar", "--against", "tree", *ignored)
    end = ["  4 paths in tree are not as in the image"]
    told = [f"  - /more{number}  only in the image" for number in range(4)]
    assert imgpack_here(*compared).out.decode().splitlines()[2:] == [
        imgpack_here(*compared).out.decode().splitlines()[2], *told, *end,
    ]  # fmt: skip
    monkeypatch.setattr(against, "_LISTED", 3)
    lines = imgpack_here(*compared).out.decode().splitlines()
    assert lines[-5:] == [*told[:3], "  and 1 more", *end]
    monkeypatch.setattr(against, "_LISTED", 4)
    assert "  and " not in imgpack_here(*compared).out.decode()


@pytest.mark.parametrize(
    "ignored", [("mode,links",), ("mode", "links"), ("mode, links,",)], ids=str
)
def test_what_need_not_be_alike_is_a_list(
    tmp_path: Path, imgpack_here: InProcess, ignored: tuple[str, ...]
) -> None:
    """With commas, or one after another."""
    _write_project(tmp_path)
    os.link(tmp_path / "tree" / "file", tmp_path / "tree" / "twin")
    os.utime(tmp_path / "tree", (5, 5))
    imgpack_here("build", "web").ok()
    (tmp_path / "tree" / "twin").unlink()
    (tmp_path / "tree" / "twin").write_bytes(b"one")
    (tmp_path / "tree" / "file").chmod(0o600)
    for path in ("tree/twin", "tree"):
        os.utime(tmp_path / path, (5, 5))
    compared = ("verify", "web.tar", "--against", "tree")
    assert b"  ~ /twin  links /file \xe2\x86\x92 none\n" in imgpack_here(*compared).out
    imgpack_here(*compared, *(f"--ignore={one}" for one in ignored)).ok()
    assert "--ignore 'nod' is none of type, mode" in imgpack_here(
        *compared, "--ignore", "mode,nod"
    ).failed(2)


def _locked(tmp_path: Path, imgpack_here: InProcess) -> None:
    _write_project(tmp_path)
    imgpack_here("build", "web", "--metadata-file", "build.json").ok()
    imgpack_here("base", "lock", "web.tar", "-o", "web.lock").ok()
    (tmp_path / "web.tar").unlink()


def test_of_a_lock_what_it_has_is_checked(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Its list of files is like a directory or not; that layers were not checked is noted."""
    _locked(tmp_path, imgpack_here)
    out = imgpack_here("verify", "web.lock", "--against", "tree").ok().decode()
    assert "the layer is not here (a shallow image, or a lock), and was not checked" in out
    assert out.endswith("  sound: 0 blobs, 0 B, 1 note\n  tree is like the image\n")
    done = imgpack_here("verify", "web.lock", "--rebuild", "-f", "build.json")
    assert b"built again, it is the same to the byte" in done.ok()
    (tmp_path / "tree" / "file").write_bytes(b"two")
    os.utime(tmp_path / "tree" / "file", (5, 5))
    done = imgpack_here("verify", "web.lock", "--against", "tree")
    assert done.code == 1
    assert "~ /file  content sha256:" in done.out.decode()
    done = imgpack_here("verify", "web.lock", "--rebuild", "-f", "build.json")
    assert done.code == 1
    assert b"~ /file  content sha256:" in done.out


def test_a_list_of_a_lock_that_is_not_its_own_is_an_error(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """And nothing is compared with it, for people and for programs."""
    _locked(tmp_path, imgpack_here)
    document = json.loads((tmp_path / "web.lock").read_text())
    document["images"][0]["tree"]["sha256"] = "0" * 64
    (tmp_path / "web.lock").write_text(json.dumps(document))
    done = imgpack_here("verify", "web.lock", "--against", "tree")
    assert "tree of linux/amd64: the list of files is not the one whose sha256" in done.failed(12)
    assert b"tree was not compared: what is in the image is not known" in done.out
    done = imgpack_here("verify", "web.lock", "--against", "tree", "--json")
    assert check("verify", done.out)["against"] is None


def test_each_line_of_the_list_of_a_lock_is_checked(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Though the list has the digest that the lock says."""
    _locked(tmp_path, imgpack_here)
    document = json.loads((tmp_path / "web.lock").read_text())
    tree = document["images"][0]["tree"]
    text = LockedTree.parse(tree).listing("x").text.replace(b"mode=0644", b"mode=0888")
    document["images"][0]["tree"] = LockedTree.of(Listing(text)).as_json()
    (tmp_path / "web.lock").write_text(json.dumps(document))
    line = imgpack_here("verify", "web.lock").failed(10)
    assert "tree of linux/amd64: line 3 is malformed" in line


def test_a_shallow_image_is_not_said_to_be_like_a_directory(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """For what is in it is not known."""
    _locked(tmp_path, imgpack_here)
    imgpack_here("build", "tree:/x", "--from", "web.lock", "--shallow", "-o", "top.tar").ok()
    line = imgpack_here("verify", "top.tar", "--against", "tree").failed(9)
    assert "top.tar cannot be compared with a directory: layers of it are not here" in line


def test_inspect_says_the_same(damaged: str, imgpack_here: InProcess) -> None:
    """The first problem, with the same exit code."""
    line = imgpack_here("inspect", "--verify", damaged).failed(12)
    found = json.loads(imgpack_here("verify", "--json", damaged).out)["findings"][0]
    assert found["where"] in line
