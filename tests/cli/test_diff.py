"""``imgpack diff``: what two images have otherwise, wherever they are, and its exit codes."""

import json
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from imgpack import api
from imgpack.api import Descriptor, Opaque, Platform
from imgpack.cli.output.compared.lines import ComparedCounts
from tests.cli.archives import write_archive
from tests.cli.look.images import directory, entry, layer
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry
from tests.store.samples import Memory, make_artifact, make_image, make_multi, tar_of

ONE = tar_of({"etc/motd": b"one\ntwo\n", "gone/a": b"", "gone/b": b""})
TWO = tar_of({"etc/motd": b"one\n2\n", "new": b"\0"})


@pytest.fixture
def archives(tmp_path: Path) -> None:
    """``a.tar`` and ``b.tar``, which differ in one layer of two."""
    base = tar_of({"base": b"b"})
    write_archive(tmp_path / "a.tar", make_image(Memory(), [base, ONE]), "foo:1")
    write_archive(tmp_path / "b.tar", make_image(Memory(), [base, TWO]), "foo:2")


@pytest.mark.usefixtures("archives")
def test_files_that_differ_are_told_behind_the_cause(imgpack_here: InProcess) -> None:
    """A directory that only one has is one line, and a text its lines."""
    done = imgpack_here("diff", "a.tar", "b.tar", "--text")

    assert done.code == 1
    lines = done.out.decode().splitlines()
    assert lines[1] == (
        "  first cause: in layer 2 at /etc/motd, content: sha256:"
        + lines[1].partition("sha256:")[2]
    )
    assert "  all else follows from it" in lines
    assert "    1: the same" in lines
    assert "    2: differs" in lines
    assert "    - /gone/  0755 0:0, and 2 paths in it" in lines
    assert "    + /new  0644 0:0 1 B" in lines
    start = lines.index("    --- a/etc/motd")
    assert [line[4:] for line in lines[start + 1 : start + 6]] == [
        "+++ b/etc/motd", "@@ -1,2 +1,2 @@", " one", "-two", "+2",
    ]  # fmt: skip
    assert lines[-1] == ("  1 layer and 5 files (1 only in B, 3 only in A, 1 changed) differ")


def test_what_changed_in_a_directory_that_changed_is_told(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Only what one image lacks is counted with its directory; each change has its values."""
    for name, mode, data in (("a", 0o755, b"1"), ("b", 0o700, b"22")):
        made = [directory("d", mode), entry("d/f", data), entry("d/l", kind=b"2", link=name)]
        low = layer(entry(name), mtime_of(entry("m"), 3 if name == "a" else 4))
        write_archive(tmp_path / name, make_image(Memory(), [low, layer(*made)]), "foo:1")

    lines = imgpack_here("diff", "a", "b", "--only", "layers,files").out.decode().splitlines()

    files = lines[lines.index("  Files") + 1 : -2]
    assert files[0].startswith("    - /a  0644 0:0 0 B")
    assert files[1] == "    + /b  0644 0:0 0 B"
    assert files[2] == "    ~ /d/  mode 0755 → 0700"
    assert files[3].startswith("    ~ /d/f  size 1 → 2, content sha256:6b86b273ff34 → sha256:")
    assert files[4:] == [
        "    ~ /d/l@  target a → b",
        "    ~ /m  mtime 1970-01-01 00:00:03 → 1970-01-01 00:00:04",
    ]
    assert "(and 1 more like it)" in lines[1]
    assert "  all else follows from it" not in lines
    assert lines[-1] == "  2 layers and 6 files (1 only in B, 1 only in A, 4 changed) differ"


def mtime_of(made: tuple[tarfile.TarInfo, bytes], seconds: int) -> tuple[tarfile.TarInfo, bytes]:
    """A member of another time."""
    made[0].mtime = seconds
    return made


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (ComparedCounts(settings=1), "1 field differs"),
        (ComparedCounts(settings=2), "2 fields differ"),
        (ComparedCounts(layers=1), "1 layer differs"),
        (ComparedCounts(settings=1, layers=1), "1 field and 1 layer differ"),
        (ComparedCounts(added=1), "1 file (1 only in B, 0 only in A, 0 changed) differs"),
        (ComparedCounts(changed=1, removed=1),
         "2 files (0 only in B, 1 only in A, 1 changed) differ"),
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_is_counted(counts: ComparedCounts, line: str) -> None:
    """One differs, several differ; nothing is no difference."""
    assert counts.line() == line
    assert counts
    assert not ComparedCounts()


@pytest.mark.usefixtures("archives")
def test_images_that_are_the_same_end_with_zero(imgpack_here: InProcess, tmp_path: Path) -> None:
    """In whatever they lie; and what is ignored is the same."""
    done = imgpack_here("copy", "a.tar", "layout/")
    assert done.code == 0

    assert b"identical" in imgpack_here("diff", "a.tar", "layout/").ok()
    assert b"nothing differs" in imgpack_here("diff", "a.tar", "b.tar", "--only", "config").ok()
    imgpack_here("diff", "a.tar", "b.tar", "--ignore", "layers,content", "--path", "/etc").ok()


@pytest.mark.usefixtures("archives")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("a.tar", "none.tar"), 3),
        (("a.tar",), 2),
        (("a.tar", "b.tar", "--only", "nothing"), 2),
        (("a.tar", "b.tar", "--ignore", "atime"), 2),
        (("a.tar", "b.tar", "--ignore", "manifest,config,history,layers,files"), 2),
        (("a.tar", "b.tar", "--path", "../x"), 2),
        (("-", "-"), 2),
        (("a.tar", "b.tar", "--image", "foo:3"), 20),
        (("a.tar:foo:1", "b.tar", "--image", "foo:1"), 2),
        (("localhost:1/a", "localhost:1/b", "--image", "foo:1"), 2),
        (("a.tar", "b.tar", "--platform", "linux/s390x"), 20),
    ],
)
def test_trouble_has_codes_of_its_own(
    imgpack_here: InProcess, arguments: tuple[str, ...], code: int
) -> None:
    """None of which is that of a difference."""
    imgpack_here("diff", *arguments).failed(code)


@pytest.mark.usefixtures("archives")
@pytest.mark.parametrize("only", ["files", "layers"])
def test_a_path_that_neither_has_is_no_equality(imgpack_here: InProcess, only: str) -> None:
    """It is said, with what may be meant; a path that one of them has is compared."""
    done = imgpack_here("diff", "a.tar", "b.tar", "--only", only, "--path", "/etc/mtod")

    assert done.code == 28
    assert done.err == "imgpack: error: /etc/mtod is in neither image; there is /etc/motd\n"
    assert imgpack_here("diff", "a.tar", "b.tar", "--only", only, "--path", "new").code == 1
    imgpack_here("diff", "a.tar", "b.tar", "--only", "config", "--path", "/etc/mtod").ok()


@pytest.mark.usefixtures("archives")
def test_a_tree_on_disk_is_compared_by_another_command(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Whichever of both it is."""
    (tmp_path / "tree").mkdir()
    for arguments in (("a.tar", "tree"), ("tree", "a.tar")):
        line = imgpack_here("diff", *arguments).failed(11)
        assert line.endswith("compared with it by: imgpack verify IMAGE --against tree")


def test_a_path_through_a_link_is_told_where_it_leads(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Paths are those of files, and nothing lies below a link."""
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/sh").touch()
    (tree / "bin").symlink_to("usr/bin")
    imgpack_here("build", "tree", "-o", "c.tar").ok()

    done = imgpack_here("diff", "c.tar", "c.tar", "--path", "/bin/sh")

    assert done.code == 28
    assert "/bin/sh is in neither image; links lead to /usr/bin/sh" in done.err


@pytest.mark.usefixtures("archives")
def test_a_program_gets_all_of_it(imgpack_here: InProcess) -> None:
    """In the shape of the schema, also if nothing differs."""
    done = imgpack_here("diff", "a.tar", "b.tar", "--json", "--text")

    assert done.code == 1
    document = check("diff", done.out)
    (image,) = document["images"]
    assert [cause["kind"] for cause in image["causes"]] == ["content"]
    assert [(one["path"], one["presence"]) for one in image["files"]] == [
        ("etc/motd", "changed"), ("gone", "removed"), ("gone/a", "removed"),
        ("gone/b", "removed"), ("new", "added"),
    ]  # fmt: skip
    assert image["texts"][0]["diff"][-1] == "+2"
    motd = image["files"][0]
    assert [motd[side]["digest"] for side in ("a", "b")] == [
        f"sha256:{sha256(data).hexdigest()}" for data in (b"one\ntwo\n", b"one\n2\n")
    ]
    assert "digest" not in image["files"][1]["a"], "of a directory"
    assert image["counts"]["layers"] == 1
    assert not document["equal"]
    assert check("diff", imgpack_here("diff", "a.tar", "a.tar", "--json").ok())["equal"]


def test_each_platform_is_compared_with_its_own(imgpack_here: InProcess, tmp_path: Path) -> None:
    """And one that the other image lacks is a difference."""
    write_archive(tmp_path / "a", make_multi(Memory(), "linux/amd64", "linux/arm64"), "foo:1")
    write_archive(tmp_path / "b", make_multi(Memory(), "linux/amd64", "linux/s390x"), "foo:1")

    done = imgpack_here("diff", "a", "b")

    assert done.code == 1
    lines = done.out.decode().splitlines()
    assert lines[:2] == ["linux/amd64", "  they are identical"]
    assert lines[-2:] == ["only in A: linux/arm64", "only in B: linux/s390x"]
    document = check("diff", imgpack_here("diff", "a", "b", "--json").out)
    assert (document["onlyInA"], document["onlyInB"]) == (["linux/arm64"], ["linux/s390x"])


def test_what_an_index_says_of_itself_is_compared(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Though each image of it is the same."""
    write_archive(tmp_path / "a.tar", make_multi(Memory(), "linux/amd64", "linux/arm64"), "foo:1")
    imgpack_here("annotate", "a.tar", "--annotation", "index:k=v", "-o", "b.tar").ok()

    done = imgpack_here("diff", "a.tar", "b.tar")

    assert done.code == 1
    lines = done.out.decode().splitlines()
    assert lines[:4] == ["index", "  + annotations.k: v", "", "linux/amd64"]
    document = check("diff", imgpack_here("diff", "a.tar", "b.tar", "--json").out)
    assert document["index"] == [{"path": ["annotations", "k"], "b": "v"}]
    assert not document["equal"]
    imgpack_here("diff", "a.tar", "b.tar", "--ignore", "annotations").ok()


def test_platforms_of_one_image_are_compared_with_each_other(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """If it is asked for; the cause is that they are for other machines."""
    write_archive(tmp_path / "a", make_multi(Memory(), "linux/amd64", "linux/arm64"), "foo:1")

    done = imgpack_here(
        "diff", "a", "a", "--platform", "linux/amd64", "--platform-b", "linux/arm64"
    )

    assert done.code == 1
    assert b"first cause: the platforms differ, in architecture: amd64 in A, arm64 in B" in done.out


def test_artifacts_are_compared_by_their_documents(imgpack_here: InProcess, tmp_path: Path) -> None:
    """They have no files."""
    write_archive(tmp_path / "a", make_artifact(Memory()), "foo:1")
    write_archive(tmp_path / "i", make_image(Memory()), "foo:1")

    assert b"identical" in imgpack_here("diff", "a", "a").ok()
    assert imgpack_here("diff", "a", "i").code == 1


@pytest.mark.parametrize(("other", "code"), [(b"{}", 0), (b"[]", 1)])
def test_what_has_an_unknown_type_is_the_same_if_its_digest_is(
    imgpack_here: InProcess, tmp_path: Path, other: bytes, code: int
) -> None:
    """Nobody can say more of it."""
    for name, raw in (("a", b"{}"), ("b", other)):
        source = Memory()
        blob = Descriptor("application/unknown", source.add(raw), len(raw))
        write_archive(f"{tmp_path}/{name}/", Opaque(blob, source), "foo:1")

    assert imgpack_here("diff", "a/", "b/").code == code


def test_a_lock_is_compared_with_what_it_locked(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Its files too, of which it has no bytes; and what moved since shows."""
    made = [api.entries([api.file("etc/motd", b"hello")])]
    other = [api.entries([api.file("etc/motd", b"HELLO")])]
    for name, layers in (("a.tar", made), ("b.tar", other)):
        with api.create(str(tmp_path / name)) as sink:
            api.build(layers, into=sink, names=["a:1"], platform=Platform())
    (tmp_path / "a.lock").write_bytes(api.lock_base(str(tmp_path / "a.tar")).encode())

    assert b"identical" in imgpack_here("diff", "a.lock", "a.tar").ok()
    done = imgpack_here("diff", "a.lock", "b.tar", "--json")
    assert done.code == 1
    assert b"not shown: a lock" in imgpack_here("diff", "a.lock", "b.tar", "--text").out
    (image,) = json.loads(done.out)["images"]
    assert [(one["path"], one["fields"]) for one in image["files"]] == [("etc/motd", ["content"])]

    imgpack_here("base", "fetch", "a.lock").ok()
    fetched = imgpack_here("diff", "a.lock", "b.tar", "--text").out
    assert fetched == imgpack_here("diff", "a.tar", "b.tar", "--text").out
    assert b"-hello" in fetched


def test_nothing_of_an_image_acts_on_the_terminal(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Names, and what is in texts."""
    for name, data in (("a", b"x\x1b[2J\n"), ("b", b"y\x1b[2J\t\n")):
        layer = tar_of({"bad\x1b[2J": data, f"\x1b]0;{name}": b""})
        write_archive(tmp_path / name, make_image(Memory(), [layer]), "foo:1")

    done = imgpack_here("diff", "a", "b", "--text")

    assert done.code == 1
    assert b"\x1b" not in done.out
    assert b"+y\\x1b[2J\t" in done.out


def test_an_archive_is_compared_with_a_registry(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Which is asked for documents alone, if nothing differs."""
    image = make_image(Memory(), [ONE])
    write_archive(tmp_path / "a.tar", image, "foo:1")
    with HostileRegistry() as registry:
        reference = f"{registry.host}/foo:1"
        imgpack_here("push", "a.tar", reference, "--plain-http").ok()
        assert b"identical" in imgpack_here("diff", "a.tar", reference, "--plain-http").ok()


def test_large_files_and_binaries_have_no_lines(imgpack_here: InProcess, tmp_path: Path) -> None:
    """They are told all the same."""
    for name, end in (("a", b"1"), ("b", b"2")):
        layer = tar_of({"big": b"x\n" * 200_000 + end, "program": b"\0" + end})
        write_archive(tmp_path / name, make_image(Memory(), [layer]), "foo:1")

    lines = imgpack_here("diff", "a", "b", "--text").out.decode().splitlines()

    assert "    Binary files a/program and b/program differ" in lines
    assert "    1 file not shown: too large, alone or together" in lines
