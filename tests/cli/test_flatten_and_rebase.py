"""``imgpack flatten`` and ``rebase``: where they read from and write to, and what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli_runner import InProcess
from tests.registry.hostile import HostileRegistry


@pytest.fixture
def stack(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with two bases and an image on the first."""
    for name, files in {
        "old": {"etc/conf": "old", "etc/gone": "x"},
        "new": {"etc/conf": "new", "etc/more": "y"},
        "app": {"etc/conf": "mine", "app": "z"},
    }.items():
        for path, data in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(data)
    imgpack_here("build", "old", "-o", "old.tar", "-t", "base:1", "-e", "V=1", "--cmd", "a").ok()
    imgpack_here("build", "new", "-o", "new.tar", "-t", "base:2", "-e", "V=2", "--cmd", "b").ok()
    imgpack_here("build", "--from", "old.tar", "app", "-o", "app.tar", "-t", "app:1").ok()
    return imgpack_here


def inspected(imgpack: InProcess, what: str) -> dict[str, Any]:
    """The one image there, as JSON."""
    (found,) = json.loads(imgpack("inspect", "--json", what).ok())["images"]
    assert isinstance(found, dict)
    return found


def test_an_image_is_flattened_into_an_archive_and_a_layout(stack: InProcess) -> None:
    """Under its own name, or the one that is given; the digests are the same."""
    done = stack("flatten", "app.tar", "-o", "one.tar")
    assert done.ok().decode().startswith("app:1@sha256:")
    out = stack("flatten", "app.tar", "-o", "layout/", "-t", "flat:1", "-t", "flat:2").ok()
    assert [line.partition("@")[0] for line in out.decode().splitlines()] == ["flat:1", "flat:2"]
    one, other = inspected(stack, "one.tar"), inspected(stack, "layout")
    assert one["config"]["digest"] == other["config"]["digest"]
    assert len(one["layers"]) == 1
    assert one["runtime"] == inspected(stack, "app.tar")["runtime"]


@pytest.mark.parametrize(
    "command", ["flatten layout", "rebase layout --from old.tar --onto new.tar"]
)
def test_what_an_index_holds_of_the_old_manifest_goes(
    stack: InProcess, tmp_path: Path, command: str
) -> None:
    """A copy of its bytes is none of the new one's."""
    stack("copy", "app.tar", "layout/").ok()
    index = json.loads((tmp_path / "layout/index.json").read_text())
    index["manifests"][0] |= {"data": "e30=", "artifactType": "x/y"}
    (tmp_path / "layout/index.json").write_text(json.dumps(index))

    stack(*command.split(), "-o", "made/").ok()

    (entry,) = json.loads((tmp_path / "made/index.json").read_text())["manifests"]
    assert not {"data", "artifactType"} & entry.keys()


def test_only_what_is_above_a_base_is_flattened(stack: InProcess) -> None:
    """The base's layers stay, to be shared."""
    stack("flatten", "app.tar", "--above", "old.tar", "-o", "x.tar").ok()
    base, image = inspected(stack, "old.tar"), inspected(stack, "x.tar")
    assert image["layers"][:-1] == base["layers"]
    line = stack("flatten", "app.tar", "--above", "new.tar", "-o", "y.tar").failed(7)
    assert "app.tar is not on that base: its layer 1 is sha256:" in line


def test_a_rebase_says_what_to_look_at(stack: InProcess, tmp_path: Path) -> None:
    """On standard error, with what to do; and to programs."""
    done = stack(
        *("rebase", "app.tar", "--from", "old.tar", "--onto", "new.tar"),
        *("-o", "x.tar", "--metadata-file", "m.json"),
    )
    assert done.ok().decode().startswith("app:1@sha256:")
    assert "/etc/conf is another one in the new base, and is replaced; the image's own" in done.err
    found = json.loads((tmp_path / "m.json").read_text())["findings"]
    assert [(one["platform"], one["kind"], one["path"]) for one in found] == [
        ("linux/amd64", "changed", "/etc/conf"),
        ("linux/amd64", "program", "b"),
    ]
    image = inspected(stack, "x.tar")
    assert image["layers"][0] == inspected(stack, "new.tar")["layers"][0]
    assert (image["runtime"]["Env"], image["runtime"]["Cmd"]) == (["V=2"], ["b"])


@pytest.mark.parametrize("count", [10, 13])
def test_findings_of_a_kind_are_told_up_to_a_number(
    imgpack_here: InProcess, tmp_path: Path, count: int
) -> None:
    """The rest is counted, and told with --verbose."""
    for name in ("old", "new", "app"):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"f{number}").write_text(f"{name}\n")
        place = ("build", name, "-o", f"{name}.tar")
        imgpack_here(*place, *(("--from", "old.tar") if name == "app" else ())).ok()
    command = ("rebase", "app.tar", "--from", "old.tar", "--onto", "new.tar", "-o", "x.tar")
    done = imgpack_here(*command)
    done.ok()
    assert done.err.count("is another one in the new base") == 10
    assert ("and 3 more of the kind 'changed'" in done.err) is (count == 13)
    assert (" more of the kind" in done.err) is (count == 13)
    done = imgpack_here(*command, "--verbose")
    assert done.err.count("is another one in the new base") == count
    assert " more of the kind" not in done.err
    assert "is another one" not in imgpack_here(*command, "--no-look").err


def test_a_rebase_within_a_registry_moves_no_layer(stack: InProcess) -> None:
    """The old base is the one that the image names; without a look not a byte is read either."""
    with HostileRegistry() as registry:
        host = registry.host
        stack("push", "old.tar", f"{host}/base:1").ok()
        stack("push", "new.tar", f"{host}/base:2").ok()
        stack("build", "--from", f"{host}/base:1", "app", "-o", "app.tar", "-t", "app:1").ok()
        stack("push", "app.tar", f"{host}/app:1").ok()
        registry.requests.clear()

        out = stack(
            "rebase", f"{host}/app:1", "--onto", f"{host}/base:2", "--no-look", "-o", f"{host}/b:1"
        ).ok()

        assert out.decode().startswith(f"{host}/b:1@sha256:")
        layers = [one["digest"] for one in inspected(stack, f"{host}/b:1")["layers"]]
        assert [one for one in registry.requests if one.method == "GET"
                and any(digest in one.path for digest in layers)] == []  # fmt: skip
        (config,) = (one.query["digest"] for one in registry.sent("PUT", "uploads"))
        assert config[0] not in layers
        assert registry.incomplete() == []
        stack("flatten", f"{host}/b:1", "-o", f"{host}/flat:1").ok()
        assert len(inspected(stack, f"{host}/flat:1")["layers"]) == 1
        assert registry.incomplete() == []


def test_an_old_base_that_is_gone_is_named(stack: InProcess) -> None:
    """With the way to name another."""
    with HostileRegistry() as registry:
        host = registry.host
        stack("build", "app", "-o", "x.tar", "-t", f"{host}/gone:1").ok()
        stack("build", "--from", "x.tar", "app", "--keep-identical", "-o", "app.tar").ok()
        line = stack("rebase", "app.tar", "--onto", "new.tar", "-o", "y.tar").failed(20)
    assert f"app.tar says that it is on {host}/gone@sha256:" in line
    assert line.endswith("; --from OLDBASE names the base that it was built on")


@pytest.mark.parametrize(
    ("command", "code", "problem"),
    [
        ("flatten app.tar", 2, "Missing option '-o'"),
        ("rebase app.tar -o x.tar", 2, "Missing option '--onto'"),
        ("flatten app.tar -o localhost:1/x:1 -t y", 2, "-t is for archives and layouts"),
        ("flatten app.tar -o localhost:1/x:1 --prune", 2, "--prune is for a layout"),
        ("flatten app.tar -o x.tar -t A:b", 6, "A"),
        ("flatten app.tar -o team/x", 6, "names no registry; write"),
        ("flatten app.tar -o x.tar --metadata-file x.tar", 14, "the metadata file is x.tar"),
        ("flatten app.tar -o x.tar --metadata-file app.tar", 14, "the metadata file is app.tar"),
        ("flatten app.tar -o x.tar --compression lz4", 7, "lz4"),
        ("flatten app.tar -o x.tar --compression zstd", 9, "add --format oci"),
        ("flatten app.tar -o x.tar --platform linux/s390x", 20, "linux/s390x"),
        ("flatten localhost:1/x -o x.tar --image y", 2, "--image is for archives"),
        ("flatten missing.tar -o x.tar", 3, "missing.tar"),
        ("flatten app.tar -o missing/x.tar", 14, "missing"),
        ("rebase app.tar --onto missing.tar -o x.tar", 3, "missing.tar"),
        (
            "rebase app.tar --onto new.tar -o x.tar --metadata-file new.tar",
            14,
            "the metadata file is new.tar",
        ),
        (
            "rebase app.tar --onto new.tar --from old.tar -o x.tar --metadata-file old.tar",
            14,
            "the metadata file is old.tar",
        ),
        ("rebase old.tar --onto new.tar -o x.tar", 20, "does not say what base it is on; --from"),
        ("rebase app.tar --onto new.tar --from app.tar -o x.tar --cache-limit x", 2, "--cache-l"),
    ],
)
def test_what_cannot_be_done_is_told(
    stack: InProcess, tmp_path: Path, command: str, code: int, problem: str
) -> None:
    """In one line, and nothing is written."""
    assert problem in stack(*command.split()).failed(code)
    assert not (tmp_path / "x.tar").exists()
