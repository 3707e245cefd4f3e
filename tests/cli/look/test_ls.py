"""What files an image has, as people and programs see it."""

import json
from pathlib import Path

import pytest

from tests.cli.archives import write_archive
from tests.cli.look.images import directory, entry, layer, write_image
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry
from tests.store.samples import Memory, make_artifact, make_image


@pytest.fixture(autouse=True)
def image(tmp_path: Path) -> None:
    """An image of two layers."""
    write_image(tmp_path / "a.tar")


def listed(imgpack_here: InProcess, *arguments: str) -> list[str]:
    """The lines of ``ls``."""
    return imgpack_here("ls", "a.tar", *arguments).ok().decode().splitlines()


def test_a_directory_is_listed_one_name_a_line(imgpack_here: InProcess) -> None:
    """Without what is deleted; what a higher layer only has something in is there."""
    assert listed(imgpack_here) == ["bin", "dev", "etc", "lib", "srv", "tmp", "usr", "var"]
    assert listed(imgpack_here, "/etc") == ["app.conf", "group", "passwd", r"shadow\x1b[2J"]
    assert listed(imgpack_here, "etc/../var/./") == []


def test_everything_is_listed_with_its_path(imgpack_here: InProcess) -> None:
    """In the order of a tree, of the image or below a directory."""
    assert listed(imgpack_here, "-R", "usr") == ["/usr/lib", "/usr/lib/libc.so"]
    assert listed(imgpack_here, "-R") == [
        "/bin", "/bin/also", "/bin/su", "/dev", "/dev/null", "/etc", "/etc/app.conf",
        "/etc/group", "/etc/passwd", r"/etc/shadow\x1b[2J", "/lib", "/srv", "/srv/copy", "/tmp",
        "/usr", "/usr/lib", "/usr/lib/libc.so", "/var",
    ]  # fmt: skip


def test_a_long_line_is_that_of_ls(imgpack_here: InProcess) -> None:
    """Type and mode, links, owners as the image calls them, size or device, time, target."""
    when = "2023-11-14 22:13:20"
    assert listed(imgpack_here, "-l") == [
        f"drwxr-xr-x 1 root root 0 {when} bin",
        f"drwxr-xr-x 1 root root 0 {when} dev",
        f"drwxr-xr-x 1 root root 0 {when} etc",
        f"lrwxrwxrwx 1 root root 8 {when} lib -> /usr/lib",
        "drwxr-xr-x 1 root root 0 1970-01-01 00:00:00 srv",
        f"drwxrwxrwt 1 root root 0 {when} tmp",
        f"drwxr-xr-x 1 root root 0 {when} usr",
        f"drwxr-xr-x 1 root root 0 {when} var",
    ]
    assert listed(imgpack_here, "-l", "bin") == [
        f"-rwsr-xr-x 2 root root 4 {when} also",
        f"-rwsr-xr-x 2 root root 4 {when} su",
    ]
    assert listed(imgpack_here, "-l", "/dev/null") == [
        f"crw-rw-rw- 1 root root 1,3 {when} /dev/null"
    ]
    assert listed(imgpack_here, "-l", "etc")[:2] == [
        "-rw-r--r-- 1 app  staff  3 1970-01-01 00:00:00 app.conf",
        f"-rw-r--r-- 1 root root  22 {when} group",
    ]
    assert listed(imgpack_here, "-n", "etc")[0].startswith("-rw-r--r-- 1 1000 50  3 ")


def test_links_lead_where_they_do_in_the_image(imgpack_here: InProcess) -> None:
    """One at the end too, but for a long line, unless a slash follows it."""
    assert listed(imgpack_here, "lib") == ["libc.so"]
    assert listed(imgpack_here, "lib/libc.so") == ["lib/libc.so"]
    assert [line.split()[-1] for line in listed(imgpack_here, "-l", "lib")] == ["/usr/lib"]
    assert [line.split()[-1] for line in listed(imgpack_here, "-l", "lib/")] == ["libc.so"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc/old", "/etc/old is not in the image; layer 1 has it, and layer 2 deletes it"),
        ("/var/gone", "/var/gone is not in the image; layer 1 has it, and layer 2 deletes it"),
        ("etc/paswd", "/etc/paswd is not in the image; there is /etc/passwd"),
        ("lib/libz", "/lib/libz is not in the image: /usr/lib/libz is missing; list the dir"),
        ("/nowhere/at/all", "/nowhere/at/all is not in the image: /nowhere is missing"),
        ("etc/passwd/x", "/etc/passwd/x is not in the image: /etc/passwd is not a directory"),
        ("etc/passwd/", "/etc/passwd/ is not a directory in the image"),
        ("etc/\x1b[2J", r"/etc/\x1b[2J is not in the image"),
    ],
)
def test_a_path_that_is_not_there_is_told(imgpack_here: InProcess, path: str, told: str) -> None:
    """With who deleted it, what comes nearest, or where the way ends."""
    assert f"error: {told}" in imgpack_here("ls", "a.tar", path).failed(28)


def test_links_in_circles_end(tmp_path: Path, imgpack_here: InProcess) -> None:
    """As those that lead nowhere, and beyond the root."""
    links = {"loop": "loop", "none": "/x/y", "up": "../../../etc", "a": "b", "b": "a"}
    made = [entry(name, kind=b"2", link=to) for name, to in links.items()]
    made += [directory("etc"), entry("etc/x")]
    write_archive(tmp_path / "a.tar", make_image(Memory(), [layer(*made)]))

    error = imgpack_here("ls", "a.tar", "loop").failed(28)
    assert "too many symlinks; they lead in a circle" in error
    assert "/loop is one of them" in error
    assert "too many symlinks" in imgpack_here("ls", "a.tar", "a/x").failed(28)
    assert "/none is not in the image: /x is missing" in imgpack_here("ls", "a.tar", "none").failed(
        28
    )
    assert listed(imgpack_here, "up") == ["x"]


def test_a_directory_of_a_layer_may_have_nothing_but_deletions(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Then the layer says nothing of the directory itself."""
    upper = layer(entry("etc/.wh.old"), entry("var/lib/.wh.old"))
    write_archive(tmp_path / "a.tar", make_image(Memory(), [layer(entry("etc/old")), upper]))

    assert listed(imgpack_here, "--layer", "2", "etc") == ["old (whiteout)"]
    assert listed(imgpack_here, "--layer", "2") == ["etc", "var"]
    assert listed(imgpack_here, "--layer", "2", "var") == ["lib"]
    assert listed(imgpack_here) == ["etc"]
    assert "/usr is not in layer 2" in imgpack_here("ls", "a.tar", "--layer", "2", "usr").failed(28)


def test_a_layer_is_listed_with_what_it_deletes(imgpack_here: InProcess) -> None:
    """Whiteouts and opaque directories are marked; lower layers are not looked at."""
    assert listed(imgpack_here, "-R", "--layer", "2") == [
        "/etc", "/etc/app.conf", "/etc/old (whiteout)", r"/etc/shadow\x1b[2J", "/srv", "/srv/copy",
        "/usr", "/usr/lib", "/usr/lib/libc.so", "/var (opaque)", "/var",
    ]  # fmt: skip
    assert listed(imgpack_here, "--layer", "2", "var") == [". (opaque)"]
    assert listed(imgpack_here, "--layer", "2", "-l", "etc")[1].split() == [
        "whiteout", "-", "-", "-", "-", "-", "old", "(whiteout)",
    ]  # fmt: skip
    assert listed(imgpack_here, "--layer", "1", "etc") == ["group", "old", "passwd"]
    assert listed(imgpack_here, "--layer", "2", "etc/app.conf") == ["etc/app.conf"]
    assert listed(imgpack_here, "--layer", "2", "etc/old") == ["etc/old (whiteout)"]
    assert listed(imgpack_here, "--layer", "2", "-R", "var") == ["/var (opaque)"]
    assert "not in layer 2" in imgpack_here("ls", "a.tar", "bin", "--layer", "2").failed(28)
    assert "no layer 3; a.tar has 2" in imgpack_here("ls", "a.tar", "--layer", "3").failed(2)


def test_json_is_one_document_with_an_entry_a_line(imgpack_here: InProcess) -> None:
    """Also of a whole image, of a layer, and of nothing."""
    whole = imgpack_here("ls", "--json", "-R", "a.tar").ok()
    document = check("listing", whole)
    assert len(whole.splitlines()) == len(document["entries"]) + 1
    entries = {one["path"]: one for one in document["entries"]}
    assert entries["/dev/null"]["device"] == [1, 3]
    assert entries["/lib"]["target"] == "/usr/lib"
    assert entries["/bin/su"]["mode"] == "4755"
    assert entries["/bin/su"]["links"] == 2
    conf = entries["/etc/app.conf"]
    assert (conf["user"], conf["group"], conf["layer"]) == ("app", "staff", 2)
    assert conf["mtime"] == "1970-01-01T00:00:00.5Z"
    assert check("listing", imgpack_here("ls", "--json", "a.tar", "var").ok())["entries"] == []
    second = check("listing", imgpack_here("ls", "--json", "a.tar", "-R", "--layer", "2").ok())
    assert {"path": "/etc/old", "type": "whiteout", "layer": 2} in second["entries"]


def test_a_link_to_a_lower_layers_file_is_what_the_layer_has(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Of the layer alone nobody knows what it links to; in the image it is a file."""
    link = entry("two", kind=b"1", link="one", mode=0o600)
    layers = [layer(entry("one", b"12345")), layer(link)]
    write_archive(tmp_path / "a.tar", make_image(Memory(), layers))

    (line,) = listed(imgpack_here, "-l", "--layer", "2")
    assert line.endswith(" two link to one")
    second = check("listing", imgpack_here("ls", "--json", "a.tar", "--layer", "2").ok())
    assert [(one["type"], one["target"]) for one in second["entries"]] == [("hard link", "one")]
    assert [line.split()[-1] for line in listed(imgpack_here, "-l")] == ["one", "two"]


def test_names_that_are_no_text_and_times_that_are_none_are_listed(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Escaped for people, surrogates for programs."""
    odd = entry(b"\xff\n".decode("utf-8", "surrogateescape"), mtime=-1)
    late = entry("late", mtime=10.0**12)
    write_archive(tmp_path / "a.tar", make_image(Memory(), [layer(odd, late)]))

    assert listed(imgpack_here, "-l") == [
        "-rw-r--r-- 1 0 0 0 @1000000000000      late",
        r"-rw-r--r-- 1 0 0 0 1969-12-31 23:59:59 \udcff\n",
    ]
    found = json.loads(imgpack_here("ls", "a.tar", "--json").ok())["entries"]
    assert [one["path"] for one in found] == ["/late", "/\udcff\n"]
    assert [one["mtime"] for one in found] == ["@1000000000000", "1969-12-31T23:59:59Z"]


def test_of_a_registry_each_layer_is_read_once(imgpack_here: InProcess) -> None:
    """What is in it is remembered by digest; the manifest is asked for each time."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/app:1"
        imgpack_here("push", "a.tar", name).ok()
        ls = ("ls", name, "-R", "--cache-dir", "c")
        first = imgpack_here(*ls).ok()
        asked = len(registry.sent("GET", "/blobs/"))
        assert first == imgpack_here("ls", "a.tar", "-R").ok() == imgpack_here(*ls).ok()
        imgpack_here("du", name, "--cache-dir", "c").ok()
        again = registry.sent("GET", "/blobs/")[asked:]

    assert len({one.target for one in again}) == 1, "the configuration"


def test_locks_and_layouts_are_listed_and_artifacts_told(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Whatever holds the image; an artifact has no files."""
    imgpack_here("copy", "a.tar", "layout/").ok()
    imgpack_here("base", "lock", "a.tar", "-o", "a.lock").ok()
    names = imgpack_here("ls", "a.tar", "-R").ok()
    assert imgpack_here("ls", "layout/:app:1", "-R").ok() == names
    assert imgpack_here("ls", "a.lock", "-R").ok() == names
    long = listed(imgpack_here, "-nR")
    assert imgpack_here("ls", "a.lock", "-nR").ok().decode().splitlines() == long
    told = imgpack_here("ls", "a.lock", "--layer", "1").failed(20)
    assert "and not what each of them has; imgpack base fetch LOCK" in told
    write_archive(tmp_path / "b.tar", make_artifact(Memory()), "b:1")
    assert "is an artifact" in imgpack_here("ls", "b.tar").failed(9)
