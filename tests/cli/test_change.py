"""``imgpack config``, ``annotate``, ``tag``, ``append``, ``recompress``: where, and what stays."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgpack import api
from imgpack.errors import SourceChangedError, UnsupportedError
from imgpack.image.edit.in_place import with_changed
from tests.cli_runner import InProcess
from tests.registry.exchange import Exchange
from tests.registry.faults import altered, replace_body
from tests.registry.hostile import HostileRegistry


@pytest.fixture
def app(imgpack_here: InProcess, tmp_path: Path) -> InProcess:
    """The command, in a directory with an image, a tar of a layer and a directory."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/other").write_text("another")
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("added"))
    imgpack_here(
        *("build", "tree", "-o", "app.tar", "-t", "app:1", "-e", "A=1", "--cmd", "run"),
        *("-l", "k=v", "--mtime", "1"),
    ).ok()
    return imgpack_here


def inspected(imgpack: InProcess, *what: str) -> dict[str, Any]:
    """The one image there, as JSON."""
    (found,) = json.loads(imgpack("inspect", "--json", *what).ok())["images"]
    assert isinstance(found, dict)
    return found


def test_a_configuration_is_changed_elsewhere_and_in_place(app: InProcess) -> None:
    """To the same bytes, whenever and wherever; the history says it, the time stays."""
    change = ("-e", "B=$A-2", "--entrypoint", "/x", "--unset-label", "k", "--clear-cmd")
    before = inspected(app, "app.tar")
    out = app("config", "app.tar", *change, "-o", "new.tar").ok().decode()
    assert out.startswith("app:1@sha256:")
    assert app("config", "app.tar", *change, "--in-place").ok().decode() == out
    new = inspected(app, "app.tar")
    assert new == inspected(app, "new.tar") | {"names": new["names"]}
    assert new["runtime"] == {"Env": ["A=1", "B=1-2"], "Entrypoint": ["/x"]}
    assert new["layers"] == before["layers"]
    assert new["created"] == before["created"]
    added = new["history"][len(before["history"]) :]
    assert [(one["created_by"], one["empty_layer"]) for one in added] == [
        ("ENV B=1-2 # imgpack", True),
        ('ENTRYPOINT ["/x"] # imgpack', True),
        ("UNSET CMD # imgpack", True),
        ("UNSET LABEL k # imgpack", True),
    ]
    app("config", "app.tar", "-u", "7", "--no-history", "--created", "5", "--in-place").ok()
    last = inspected(app, "app.tar")
    assert last["history"] == new["history"]
    assert (last["created"], last["runtime"]["User"]) == ("1970-01-01T00:00:05Z", "7")


def test_who_changed_it_and_why_is_said(app: InProcess, tmp_path: Path) -> None:
    """By the steps and the image; of who said nothing, nothing is."""
    app("config", "app.tar", "-e", "B=2", "--author", "me", "--comment", "why", "--in-place").ok()
    assert inspected(app, "app.tar")["history"][-1] | {"created": ""} == {
        "created": "", "created_by": "ENV B=2 # imgpack", "author": "me", "comment": "why",
        "empty_layer": True,
    }  # fmt: skip
    app("append", "app.tar", "more", "--author", "you", "--comment", "so", "--in-place").ok()
    last = inspected(app, "app.tar")["history"][-1]
    assert (last["author"], last["comment"]) == ("you", "so")
    app("config", "app.tar", "-e", "B=3", "--in-place").ok()
    last = inspected(app, "app.tar")["history"][-1]
    assert not last.get("author") and not last.get("comment")


def test_the_label_that_is_asked_for_moves(app: InProcess, tmp_path: Path) -> None:
    """What is under another one stays; an image that had the same one loses it."""
    app("copy", "app.tar", "lay/").ok()
    index = json.loads((tmp_path / "lay/index.json").read_text())
    (entry,) = index["manifests"]
    index["manifests"] = [
        entry | {"annotations": {"org.opencontainers.image.ref.name": name}}
        for name in ("left", "moves")
    ]
    (tmp_path / "lay/index.json").write_text(json.dumps(index))

    app("config", "lay/:moves", "-e", "B=2", "--in-place").ok()

    entries = json.loads((tmp_path / "lay/index.json").read_text())["manifests"]
    names = {
        one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in entries
    }
    assert len(entries) == 2
    assert names["left"] == entry["digest"] != names["moves"]

    with api.open(str(tmp_path / "lay")) as opened:
        left, moves = opened.roots
        assert (left.labels, moves.labels) == (("left",), ("moves",))
        there = opened.image(left)
        after = with_changed(opened, left, replace(there, labels=("left", "moves")))
        assert [one.labels for one in after] == [("left", "moves"), ()]
        again = with_changed(opened, moves, opened.image(moves))
        assert [one.labels for one in again] == [("left",), ("moves",)]


def test_what_is_appended_is_no_base(app: InProcess) -> None:
    """Of what is not there it is not said how to build on it."""
    line = app("append", "app.tar", "team/base:1", "-o", "x.tar").failed(3)
    assert "--from" not in line


def test_a_change_that_is_there_already_is_none(app: InProcess, tmp_path: Path) -> None:
    """Neither a step nor another digest comes of it; of several only those that are new."""
    given = ("-e", "A=1", "-l", "k=v", "--cmd", "run", "--expose", "80", "--volume", "/v")
    app("config", "app.tar", *given, "-u", "7", "--entrypoint", "/x", "--in-place").ok()
    before = (tmp_path / "app.tar").read_bytes()
    for line in (
        ("config", "app.tar", *given, "-u", "7", "--entrypoint", "/x"),
        ("append", "app.tar", "tree"),
        ("annotate", "app.tar", "--remove", "none"),
    ):
        done = app(*line, "--in-place")
        done.ok()
        assert "there is nothing to change" in done.err
        assert (tmp_path / "app.tar").read_bytes() == before
    app("tag", "app.tar", "app:1").ok()
    assert (tmp_path / "app.tar").read_bytes() == before
    count = len(inspected(app, "app.tar")["history"])
    app("config", "app.tar", *given, "-e", "B=2", "--expose", "80-81", "--in-place").ok()
    app("append", "app.tar", "tree", "more", "--in-place").ok()
    steps = [one["created_by"] for one in inspected(app, "app.tar")["history"][count:]]
    assert steps == ["ENV B=2 # imgpack", "EXPOSE 80-81/tcp # imgpack", "COPY . / # imgpack"]
    assert "no-history" in app("config", "app.tar", "-e", "A=2", "--comment", "x",
                               "--no-history", "--in-place").failed(2)  # fmt: skip


def test_what_an_image_has_not_is_said_of_the_image(app: InProcess) -> None:
    """And not of a base; so is a command that an entrypoint drops."""
    done = app("config", "app.tar", "--unset-env", "Z", "--entrypoint", "/x", "-o", "x.tar")
    done.ok()
    assert "app.tar: the image has no ENV Z to unset" in done.err
    assert 'the image\'s CMD ["run"] is dropped' in done.err


def test_triggers_are_the_image_s_own(app: InProcess) -> None:
    """They stay until they are cleared; a build on the image would need to ignore them."""
    app("config", "app.tar", "--onbuild", "RUN make", "--in-place").ok()
    app("config", "app.tar", "-e", "X=1", "--in-place").ok()
    app("append", "app.tar", "more", "layer.tar", "--in-place").ok()
    assert inspected(app, "app.tar")["runtime"]["OnBuild"] == ["RUN make"]
    app("config", "app.tar", "--clear-onbuild", "--in-place").ok()
    assert "OnBuild" not in inspected(app, "app.tar")["runtime"]


def test_the_other_images_of_an_archive_stay(app: InProcess, tmp_path: Path) -> None:
    """Also under the other names of the one that is changed under one."""
    app("tag", "app.tar", "app:2").ok()
    app("config", "app.tar:app:2", "-e", "B=2", "--in-place").ok()
    documents = json.loads(app("inspect", "--json", "app.tar").ok())["images"]
    assert [(one["names"], one["runtime"]["Env"]) for one in documents] == [
        (["docker.io/library/app:1"], ["A=1"]),
        (["docker.io/library/app:2"], ["A=1", "B=2"]),
    ]
    app("tag", "app.tar:app:1", "app:2", "other").ok()
    documents = json.loads(app("inspect", "--json", "app.tar").ok())["images"]
    names = {name.rpartition("/")[2] for one in documents for name in one["names"]}
    assert names == {"app:1", "app:2", "other:latest"}
    with tarfile.open(tmp_path / "app.tar") as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        items = json.load(member)
    assert [one["RepoTags"] for one in items] == [
        ["docker.io/library/app:1", "docker.io/library/app:2", "docker.io/library/other:latest"],
        None,
    ]


def test_what_another_changes_meanwhile_is_not_lost(app: InProcess, tmp_path: Path) -> None:
    """Whoever read an archive before that has to read it again; the other's image stays."""
    place = str(tmp_path / "app.tar")
    with api.open(place) as opened:
        root = opened.select(None)
        there = opened.image(root)
        app("tag", "app.tar", "other").ok()
        with pytest.raises(SourceChangedError, match="changed by another"):
            api.replace_image(opened, root, there)
    assert inspected(app, "app.tar")["names"] == [
        "docker.io/library/app:1",
        "docker.io/library/other:latest",
    ]
    assert not list(tmp_path.glob(".app.tar*"))


def test_of_a_layout_another_image_may_change_meanwhile(app: InProcess, tmp_path: Path) -> None:
    """But not the one that is changed: what the other made of it stays."""
    app("copy", "app.tar", "lay/").ok()
    with api.open(str(tmp_path / "lay")) as opened:
        root = opened.select(None)
        there = opened.image(root)
        app("build", "more", "-o", "lay/", "-t", "more").ok()
        api.replace_image(opened, root, there)
        app("config", "./lay:app:1", "-e", "B=2", "--in-place").ok()
        with pytest.raises(SourceChangedError, match="changed by another"):
            api.replace_image(opened, root, there)
    assert inspected(app, "./lay:app:1")["runtime"]["Env"] == ["A=1", "B=2"]


def test_an_archive_in_place_stays_as_private_as_it_was(app: InProcess, tmp_path: Path) -> None:
    """And is found through a link, which stays one."""
    (tmp_path / "app.tar").chmod(0o600)
    (tmp_path / "link.tar").symlink_to("app.tar")
    app("config", "link.tar", "-e", "B=2", "--in-place").ok()
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "app.tar").stat().st_mode & 0o777 == 0o600
    assert inspected(app, "app.tar")["runtime"]["Env"] == ["A=1", "B=2"]


def test_a_lock_is_no_image_to_change(app: InProcess, tmp_path: Path) -> None:
    """It would be replaced by an archive; a program is told so, too."""
    app("base", "lock", "app.tar", "-o", "app.lock").ok()
    before = (tmp_path / "app.lock").read_bytes()
    assert "no archive or layout" in app("tag", "app.lock", "x").failed(2)
    with pytest.raises(UnsupportedError, match="no archive or layout"):
        api.tag(str(tmp_path / "app.lock"), ["x"])
    assert (tmp_path / "app.lock").read_bytes() == before


@pytest.mark.parametrize("name", [(), ("-t", "app:1")])
def test_a_layout_is_changed_where_it_is(app: InProcess, tmp_path: Path, name: Any) -> None:
    """With a name or without; what is not named any more can be pruned."""
    app("build", "tree", "-o", "layout/", *name).ok()
    before = inspected(app, "layout")
    app("config", "layout/", "-e", "B=2", "--in-place", "--prune").ok()
    app("annotate", "layout/", "--annotation", "index-descriptor:a=b", "--in-place").failed(7)
    app("annotate", "layout/", "--annotation", "manifest-descriptor:a=b", "--in-place").ok()
    found = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert [one["annotations"]["a"] for one in found] == ["b"]
    app("annotate", "layout/", "--remove", "manifest-descriptor:a", "--in-place").ok()
    (found,) = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert "a" not in found.get("annotations", {})
    new = inspected(app, "layout", "--verify")
    assert (new["runtime"]["Env"], new["names"]) == (["B=2"], before["names"])
    assert len(list((tmp_path / "layout/blobs/sha256").iterdir())) == 3


def test_annotations_come_and_go(app: InProcess) -> None:
    """The image ID stays; Docker's media types cannot say any."""
    before = inspected(app, "app.tar")
    done = app("annotate", "app.tar", "--annotation", "a=b", "--annotation", "c=d", "--in-place")
    done.ok()
    assert "the image gets OCI's media types" in done.err
    app("annotate", "app.tar", "--remove", "a", "--annotation", "layer:x=y", "--in-place").ok()
    found = inspected(app, "app.tar")
    assert found["annotations"] == {"c": "d"}
    assert found["layers"][0]["annotations"] == {"x": "y"}
    assert found["config"]["digest"] == before["config"]["digest"]
    done = app("annotate", "app.tar", "--remove", "nothing", "--in-place")
    assert done.err.splitlines() == [
        "imgpack: warning: app.tar: there is no annotation nothing to remove",
        "imgpack: warning: app.tar: there is nothing to change: it says this already",
    ]
    done = app("annotate", "app.tar", "--remove", "c", "--remove", "layer:e", "--in-place")
    assert done.err == "imgpack: warning: app.tar: there is no annotation e to remove\n"


def test_what_is_appended_is_what_a_build_on_the_image_makes(app: InProcess) -> None:
    """The same configuration, to the byte; its own annotations stay."""
    app("annotate", "app.tar", "--annotation", "a=b", "--in-place").ok()
    app("append", "app.tar", "more:/opt", "layer.tar", "-o", "x.tar", "--author", "me").ok()
    app("build", "more:/opt", "--raw-layer", "layer.tar", "--from", "app.tar", "-o", "y.tar",
        "--author", "me").ok()  # fmt: skip
    one, other = inspected(app, "x.tar", "--verify"), inspected(app, "y.tar")
    assert one["config"]["digest"] == other["config"]["digest"]
    assert one["layers"] == other["layers"]
    assert one["annotations"] == {"a": "b"}


@pytest.mark.parametrize("compression", ["gzip:9", "zstd", "none"])
def test_recompressing_keeps_the_image(app: InProcess, compression: str) -> None:
    """Its ID and what its layers unpack to, which are verified."""
    app("append", "app.tar", "layer.tar", "--in-place").ok()
    before = inspected(app, "app.tar")
    command = ("recompress", "app.tar", "--compression", compression)
    app(*command, "--format", "oci", "-o", "x.tar", "-j", "1").ok()
    app(*command, "--format", "oci", "-o", "y.tar", "-j", "4").ok()
    after = inspected(app, "x.tar", "--verify")
    assert after["layers"] == inspected(app, "y.tar")["layers"]
    assert after["config"]["digest"] == before["config"]["digest"]
    assert {one["mediaType"].rpartition(".")[2] for one in after["layers"]} == {
        "tar" if compression == "none" else f"tar+{compression.partition(':')[0]}"
    }
    if compression == "none":
        assert [one["digest"] for one in after["layers"]] == [
            one["diff_id"] for one in after["layers"]
        ]


def multi(app: InProcess) -> list[str]:
    """Make an archive of two platforms; what it names."""
    app("build", "tree", "--platform", "linux/amd64", "--platform", "linux/arm64",
        "-o", "multi.tar", "-t", "m:1").ok()  # fmt: skip
    return manifests(app, "multi.tar")


def manifests(app: InProcess, what: str) -> list[str]:
    """The digests that an index names."""
    return [one["digest"] for one in json.loads(app("manifest", what).ok())["manifests"]]


def test_of_an_index_all_are_changed_or_the_one_that_is_asked_for(app: InProcess) -> None:
    """In place the others stay beside it; elsewhere it is alone."""
    before = multi(app)
    app("config", "multi.tar", "-e", "B=2", "-o", "all.tar").ok()
    assert not set(manifests(app, "all.tar")) & set(before)
    arm = ("--platform", "linux/arm64")
    app("config", "multi.tar", "-e", "B=2", *arm, "-o", "one.tar").ok()
    one = inspected(app, "one.tar")
    assert one["platform"]["architecture"] == "arm64"
    app("config", "multi.tar", "-e", "B=2", *arm, "--in-place").ok()
    assert manifests(app, "multi.tar") == [before[0], one["manifest"]["digest"]]
    app("annotate", "multi.tar", "--annotation", "a=b", *arm, "--in-place").ok()
    assert manifests(app, "multi.tar")[0] == before[0]
    app("append", "multi.tar", "layer.tar", "--in-place").ok()
    app("recompress", "multi.tar", "--compression", "none", "--in-place").ok()
    assert app("inspect", "multi.tar", "--verify").ok()


def test_in_a_registry_the_tag_moves_and_no_layer_is_read(app: InProcess) -> None:
    """Documents and what is new are sent; a tag is a manifest stored once more."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/team/app"
        app("push", "app.tar", f"{name}:1").ok()
        layers = [one["digest"] for one in inspected(app, "app.tar")["layers"]]
        registry.requests.clear()
        app("config", f"{name}:1", "-e", "B=2", "--in-place").ok()
        app("annotate", f"{name}:1", "--annotation", "a=b", "--in-place").ok()
        app("append", f"{name}:1", "layer.tar", "-o", f"{name}:2").ok()
        assert not [one for one in registry.requests if one.method in ("GET", "PUT", "PATCH")
                    and any(digest in one.path for digest in layers)]  # fmt: skip
        registry.requests.clear()
        out = app("tag", f"{name}:2", "three", f"{name}:4").ok().decode()
        digest = app("digest", f"{name}:2").ok().decode().strip()
        assert out == f"{name}:three@{digest}\n{name}:4@{digest}\n"
        assert not [one for one in registry.requests if "/blobs/" in one.path]
        assert app("digest", f"{name}:4").ok().decode().strip() == digest
        assert inspected(app, f"{name}:1")["runtime"]["Env"] == ["A=1", "B=2"]
        assert registry.incomplete() == []
        line = app("tag", f"{name}:2", f"{registry.host}/else/where:1").failed(7)
        assert "is in another repository than" in line


@pytest.mark.parametrize("source", ["app.tar", "multi.tar"])
def test_a_tag_that_another_moves_meanwhile_stays_what_the_other_made_of_it(
    app: InProcess, source: str
) -> None:
    """Whoever read it before has to read it again; a tag is looked at just before it moves."""
    multi(app)
    with HostileRegistry() as registry:
        name = f"{registry.host}/team/app:1"
        app("push", source, name).ok()
        app("config", source, "-e", "OTHER=1", "-o", f"{registry.host}/team/app:2").ok()
        tags = registry.repository("team/app").tags

        def move(exchange: Exchange) -> bool:
            tags["1"] = tags["2"]
            return False

        registry.misbehave("POST", "/blobs/uploads/", move)
        line = app("append", name, "layer.tar", "--in-place").failed(SourceChangedError.exit_code)
        assert f"app:1 was changed by another, after it was read: it is {tags['2']}" in line
        assert tags["1"] == tags["2"]
        app("append", name, "layer.tar", "--in-place").ok()
        app("append", name, "layer.tar", "-o", name).ok()  # is not in place, and asks nothing
        assert registry.incomplete() == []


@pytest.mark.parametrize("served", ["application/json", "text/plain; charset=utf-8"])
def test_a_tag_is_stored_as_what_its_document_says_it_is(app: InProcess, served: str) -> None:
    """Some registries call everything JSON; one that says what it is not is not believed."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/team/app"
        app("push", "app.tar", f"{name}:1").ok()
        registry.misbehave("GET", "/manifests/", altered(Content_Type=served))
        digest = app("tag", f"{name}:1", "two").ok().decode().strip().partition("@")[2]
        assert registry.repository("team/app").manifests[digest][0].endswith("manifest.v2+json")
        wrong = altered(Content_Type="application/vnd.oci.image.index.v1+json")
        registry.misbehave("GET", "/manifests/", wrong)
        assert "but was served as" in app("tag", f"{name}:1", "three").failed(10)
        registry.misbehave("GET", "/manifests/", replace_body(b'{"schemaVersion":2}'))
        assert "does not say what this is" in app("tag", f"{name}:1", "three").failed(10)
        assert "three" not in registry.repository("team/app").tags


def test_the_record_says_the_image_that_was_changed(app: InProcess, tmp_path: Path) -> None:
    """And not the others of its archive."""
    app("build", "more", "-o", "m.tar", "-t", "m:1").ok()
    app("copy", "app.tar", "both/").ok()
    app("copy", "m.tar", "both/").ok()
    app("copy", "both/", "both.tar").ok()
    app("config", "both.tar:m:1", "-e", "B=2", "--in-place", "--iidfile", "id",
        "--metadata-file", "m.json").ok()  # fmt: skip
    found = json.loads((tmp_path / "m.json").read_text())
    assert [one["name"] for one in found["published"]] == ["docker.io/library/m:1"]
    assert (tmp_path / "id").read_text() == found["images"][0]["config"]["digest"]


@pytest.mark.parametrize(
    ("command", "code", "problem"),
    [
        ("config app.tar -e A=2", 2, "-o FILE|DIR/|-|REF, or --in-place"),
        ("config app.tar -e A=2 -o x.tar --in-place", 2, "give one of them"),
        ("config app.tar --in-place", 2, "say what to change"),
        ("config app.tar -e A -o x.tar", 7, "has no name and value"),
        ("config app.tar -e A=1 --unset-env A -o x.tar", 7, "both set and unset"),
        ("config app.tar -e A=1 --in-place -t x", 2, "-t is for -o"),
        ("config localhost:1/x:1 -e A=1 --in-place -t x", 2, "-t is for -o"),
        ("config localhost:1/x@sha256:{} -e A=1 --in-place", 2, "has a digest"),
        ("config team/x:1 -e A=1 --in-place", 6, "names no registry; write"),
        ("config missing.tar -e A=1 --in-place", 3, "missing.tar"),
        ("config app.tar -e A=1 --in-place --prune", 2, "--prune is for a layout"),
        ("config app.tar -e A=1 --in-place --platform linux/s390x", 20, "linux/s390x"),
        ("config app.tar:other:1 -e A=1 --in-place", 20, "holds no image"),
        ("annotate app.tar -o x.tar", 2, "say what to change"),
        ("annotate app.tar --remove a=b -o x.tar", 7, "write its key"),
        ("annotate app.tar --remove index:a -o x.tar", 7, "there is no index"),
        ("append app.tar --in-place", 2, "Missing argument 'LAYER...'"),
        ("append app.tar missing -o x.tar", 3, "missing does not exist; name"),
        ("append app.tar app.tar -o x.tar --compression lz4", 7, "lz4"),
        ("append app.tar ./app.tar -o ./app.tar", 14, "the output ./app.tar is the source"),
        ("append app.tar more -o more/x.tar", 14, "lies inside the source"),
        ("append app.tar more -o x.tar --metadata-file more/m", 14, "lies inside the source"),
        ("recompress app.tar --compression zstd -o x.tar", 9, "add --format oci"),
        ("tag app.tar A:b", 6, "A"),
        ("tag - x", 2, "no archive or layout that can be changed"),
        ("tag app.tar x --image other", 20, "holds no image"),
        ("tag localhost:1/x y@sha256:{}", 6, "it has a digest"),
    ],
)
def test_what_cannot_be_done_is_told(
    app: InProcess, tmp_path: Path, command: str, code: int, problem: str
) -> None:
    """In one line; nothing is written, and what was there stays as it was."""
    before = (tmp_path / "app.tar").read_bytes()
    assert problem in app(*command.format("0" * 64).split()).failed(code)
    assert not (tmp_path / "x.tar").exists()
    assert (tmp_path / "app.tar").read_bytes() == before
