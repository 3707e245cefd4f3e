"""What ``build --metadata-file`` records of a build, and images that are built of it again."""

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack import LAYER_FORMAT_VERSION
from imgpack.cli.project.file.file import ProjectError
from imgpack.cli.project.images import read_images
from imgpack.cli.project.record.reading import read_record
from imgpack.cli.project.record.values import Recorded
from tests.cli.archives import write_archive
from tests.cli.test_json import SCHEMA, check
from tests.cli_runner import InProcess
from tests.engine.fakes import Machine
from tests.registry.hostile import HostileRegistry
from tests.registry.images import make_image, push_to
from tests.store.samples import Memory, tar_of
from tests.store.samples import make_image as make_sample
from tests.strategies import json_values

SAME = b"built again, it is the same to the byte"
ROOT = SCHEMA.parent.parent
KEYS = SCHEMA.parent / "imgpack.schema.json"


@pytest.fixture
def here(tmp_path: Path, imgpack_here: InProcess) -> InProcess:
    """The command, where trees ``app`` and ``lib``, a base and ``imgpack.toml`` are."""
    for name in ("app", "lib"):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "d" / "file").write_text(name)
        for path in (f"{name}/d/file", f"{name}/d", name):
            os.utime(tmp_path / path, (5, 5))
    write_archive(tmp_path / "base.tar", make_sample(Memory()), "base:1")
    (tmp_path / "rules").write_text("*.pyc\n")
    return imgpack_here


def _inputs(path: Path) -> Any:
    return check("metadata", path.read_bytes())["inputs"]


BUILDS: tuple[tuple[str, ...], ...] = (
    ("app",),
    ("app:/opt", "lib", "--from", "base.tar", "--base-labels", "--unset-env", "X"),
    ("app", "--env", "A=$${B} ${C}", "--env", "A=2", "--label", "x=<&>\u2028", "--user", "5"),
    ("app", "--entrypoint", '["a b", "$X"]', "--cmd", "x 'y z'", "--healthcheck-cmd", "NONE"),
    ("app", "--healthcheck-cmd", '["x"]', "--healthcheck-retries", "3", "--expose", "53/udp"),
    ("app", "--platform", "linux/amd64,linux/arm64", "--annotation", "index:a=b"),
    ("app", "--annotate", "auto", "--format", "oci"),
    ("--platform", "linux/amd64=app:/x", "--platform", "linux/arm64=lib", "--squash"),
    ("app", "--compression", "gzip:5", "--chmod", "d=u=rwX,go=", "--chmod", "7", "--owner", "1:2"),
    ("app", "--mtime", "d=2020-01-01", "--mtime", "7", "--created", "2020-01-01"),
    ("app", "--exclude", "*.x", "--ignore-file", "rules", "--split", "libs=d/**"),
    ("app", "--diff", "lib", "--no-rootless-records", "--no-ignore-file"),
    ("--diff-from", "base.tar", "app", "--whiteout", "x", "--comment", "it's ${X}"),
)  # fmt: skip


@pytest.mark.parametrize("where", ["web.tar", "web/"])
@pytest.mark.parametrize("options", BUILDS, ids=lambda options: " ".join(options)[:40])
def test_what_options_built_is_built_again(
    here: InProcess, tmp_path: Path, options: tuple[str, ...], where: str
) -> None:
    """From their record alone, to the byte; and it says what imgpack.toml may say."""
    os.chdir(tmp_path)
    here("build", *options, "-t", "web:1", "-o", where, "--metadata-file", "build.json").ok()
    inputs = _inputs(tmp_path / "build.json")
    schema = json.loads(KEYS.read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate({"image": inputs["image"]})
    assert SAME in here("verify", where, "--rebuild", "-f", "build.json").ok()


def test_what_a_file_built_is_built_again(here: InProcess, tmp_path: Path) -> None:
    """All of its images are in one record, with what they are built on, and without the file."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "imgpack.toml").write_text(
        '[variables]\nV = "3"\n'
        '[image.web]\nlayers = ["../app"]\nenv = { V = "${V}", W = "$${V}" }\nannotate = "auto"\n'
        '[image.top]\nlayers = ["../lib:/opt"]\nfrom-image = "web"\noutput = "top/"\n'
        '[image.alone]\nlayers = [{ source = "../lib", exclude = ["x"] }]\n'
    )
    (tmp_path / "sub" / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "7"\n')
    options = ("-f", "sub/imgpack.toml", "-e", "MORE=1", "--metadata-file", "build.json")
    here("build", "web", "top", *options).ok()
    inputs = _inputs(tmp_path / "build.json")
    assert [*inputs["image"]] == [*inputs["built"]] == ["web", "top"]
    assert inputs["image"]["web"]["env"] == {"V": "3", "W": "$${V}", "MORE": "1"}
    assert inputs["checkout"] == "sub"
    (tmp_path / "sub" / "imgpack.toml").unlink()
    for image in ("sub/web.tar", "sub/top", "web", "top"):
        assert SAME in here("verify", image, "--rebuild", "-f", "build.json").ok()
    line = here("verify", "base.tar", "--rebuild", "-f", "build.json").failed(2)
    assert "base.tar is no image of build.json, nor where one is written; it has web, top" in line


def test_the_base_of_a_named_image_is_in_its_record(here: InProcess, tmp_path: Path) -> None:
    """It is built again with it, and is not the image that is meant."""
    (tmp_path / "imgpack.toml").write_text(
        '[image.low]\nlayers = ["lib"]\n[image.top]\nlayers = ["app"]\nfrom-image = "low"\n'
    )
    here("build", "top", "--metadata-file", "build.json").ok()
    inputs = _inputs(tmp_path / "build.json")
    assert [*inputs["image"]] == ["low", "top"]
    assert [*inputs["built"]] == ["top"]
    os.replace(tmp_path / "top.tar", tmp_path / "elsewhere.tar")
    assert SAME in here("verify", "elsewhere.tar", "--rebuild", "-f", "build.json").ok()


def test_paths_begin_where_the_build_was(
    here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the metadata file, wherever the checkout is by now."""
    (tmp_path / "one" / "out").mkdir(parents=True)
    os.replace(tmp_path / "app", tmp_path / "one" / "app")
    monkeypatch.setattr(here, "directory", tmp_path / "one")
    here("build", "app", "-o", "out/web.tar", "--metadata-file", "out/build.json").ok()
    assert _inputs(tmp_path / "one" / "out" / "build.json")["directory"] == ".."
    monkeypatch.setattr(here, "directory", tmp_path)
    os.replace(tmp_path / "one", tmp_path / "two")
    (tmp_path / "two" / "out" / "web.tar").rename(tmp_path / "web.tar")
    assert SAME in here("verify", "web.tar", "--rebuild", "-f", "two/out/build.json").ok()


def test_links_on_the_way_to_a_record_are_followed(here: InProcess, tmp_path: Path) -> None:
    """To the directory that it is in, and to what the user calls it."""
    (tmp_path / "far" / "out").mkdir(parents=True)
    (tmp_path / "out").symlink_to("far/out")
    (tmp_path / "far" / "build.json").touch()
    (tmp_path / "link.json").symlink_to("far/build.json")
    for path in ("out/build.json", "link.json", str(tmp_path / "build.json")):
        here("build", "app", "-o", "web.tar", "--metadata-file", path).ok()
        for image in ("web.tar", "./web.tar", str(tmp_path / "web.tar")):
            assert SAME in here("verify", image, "--rebuild", "-f", path).ok()


def test_a_path_that_is_no_utf8_is_recorded(here: InProcess, tmp_path: Path) -> None:
    """As the lone surrogates of Python, escaped."""
    name = os.fsdecode(b"\xff\n\x1b")
    os.replace(tmp_path / "app", tmp_path / name)
    here("build", name, "-o", "web.tar", "-t", "web", "--metadata-file", "build.json").ok()
    assert b"\\udcff\\n\\u001b" in (tmp_path / "build.json").read_bytes()
    assert SAME in here("verify", "web.tar", "--rebuild", "-f", "build.json").ok()


def test_the_epoch_of_the_build_counts_and_not_that_of_now(
    here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there was one or not; so times of another checkout do no harm."""
    for then, now in (("3", None), (None, "3"), ("3", "4")):
        for epoch, do in ((then, "build"), (now, "verify")):
            monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
            if epoch is not None:
                monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
            if do == "build":
                here("build", "app", "-o", "web.tar", "--metadata-file", "build.json").ok()
                assert _inputs(tmp_path / "build.json").get("sourceDateEpoch") == (
                    None if then is None else int(then)
                )
            else:
                assert SAME in here("verify", "web.tar", "--rebuild", "-f", "build.json").ok()
    os.utime(tmp_path / "app" / "d", (9, 9))
    assert SAME in here("verify", "web.tar", "--rebuild", "-f", "build.json").ok()


def test_nothing_of_the_machine_is_recorded(here: InProcess, tmp_path: Path) -> None:
    """No password, no place of the cache, no registry that it was pushed to."""
    with HostileRegistry() as registry:
        here(
            "build", "app", "-t", f"{registry.host}/web:1", "--push", "--creds", "me:secret-word",
            "--cache-dir", "cache-place", "-j", "3", "--retries", "2",
            "--metadata-file", "build.json",
        ).ok()  # fmt: skip
        text = json.dumps(_inputs(tmp_path / "build.json"))
        for word in ("secret-word", "cache-place", "jobs", "retries", str(tmp_path)):
            assert word not in text
        image = f"{registry.host}/web:1"
        assert SAME in here("verify", image, "--rebuild", "-f", "build.json").ok()


def test_a_tag_that_moved_is_no_difference(here: InProcess, tmp_path: Path) -> None:
    """The base is recorded with its digest, and asked for by that."""
    base = make_image(tar_of({"etc/passwd": b"one"}))
    newer = make_image(tar_of({"etc/passwd": b"two"}))
    with HostileRegistry() as registry:
        push_to(registry.host, base, "base:1")
        here(
            "build", "app", "--from", f"{registry.host}/base:1", "-o", "web.tar",
            "--metadata-file", "build.json",
        ).ok()  # fmt: skip
        inputs = _inputs(tmp_path / "build.json")
        digest = str(base.manifest.descriptor.digest)
        assert inputs["image"]["app"]["from"] == f"{registry.host}/base:1@{digest}"
        assert inputs["built"]["app"]["base"] == {"digest": digest}
        push_to(registry.host, newer, "base:1")
        assert SAME in here("verify", "web.tar", "--rebuild", "-f", "build.json").ok()


def test_credentials_are_for_the_base_that_is_fetched_again(
    here: InProcess, tmp_path: Path
) -> None:
    """Those that verify is given, since none are recorded."""
    base = make_image(tar_of({"etc/passwd": b"one"}))
    with HostileRegistry() as registry:
        push_to(registry.host, base, "base:1")
        registry.habits.auth = "basic"
        creds = ("--creds", f"{registry.habits.username}:{registry.habits.password}")
        here(
            "build", "app", "--from", f"{registry.host}/base:1", "-o", "web.tar",
            "--metadata-file", "build.json", *creds,
        ).ok()  # fmt: skip
        again = ("verify", "web.tar", "--rebuild", "-f", "build.json")
        assert SAME in here(*again, *creds).ok()
        assert f"build.json: inputs.image.app: GET http://{registry.host}/" in here(*again).failed(
            18
        )


def test_of_several_images_in_a_registry_the_name_says_which(
    here: InProcess, tmp_path: Path
) -> None:
    """That it got; where else they were pushed is not recorded."""
    with HostileRegistry() as registry:
        (tmp_path / "imgpack.toml").write_text(
            f'[image.web]\nname = "{registry.host}/web"\nlayers = ["app"]\n'
            f'[image.api]\nname = "{registry.host}/api"\nlayers = ["lib"]\n'
            f'push = ["{registry.host}/elsewhere:1"]\n'
        )
        here("build", "--push", "--metadata-file", "build.json").ok()
        assert "push" not in _inputs(tmp_path / "build.json")["image"]["api"]
        for name in ("web", "elsewhere:1"):
            image = f"{registry.host}/{name}"
            assert SAME in here("verify", image, "--rebuild", "-f", "build.json").ok()


def test_what_an_engine_alone_got_is_not_compressed(
    here: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it when it is built again, into a file."""
    machine = Machine(tmp_path / "machine")
    machine.install("docker")
    machine.use(monkeypatch)
    here("build", "app", "-t", "web", "--load", "--metadata-file", "build.json").ok()
    here("build", "-f", "build.json").ok()
    here("build", "app", "-t", "web", "-o", "plain.tar", "--compression", "none").ok()
    assert (tmp_path / "plain.tar").read_bytes() == (tmp_path / "web.tar").read_bytes()


def _change(tmp_path: Path, change: Callable[[Any], object]) -> None:
    document = json.loads((tmp_path / "build.json").read_text())
    change(document["inputs"])
    (tmp_path / "build.json").write_text(json.dumps(document))


@pytest.fixture
def built(here: InProcess, tmp_path: Path) -> InProcess:
    """The command, where ``web.tar`` is built on ``base.tar``, with a record."""
    here(
        "build", "app", "--from", "base.tar", "-t", "web", "-o", "web.tar", "--metadata-file",
        "build.json",
    ).ok()  # fmt: skip
    return here


def _verified(built: InProcess) -> tuple[list[str], list[dict[str, str]]]:
    """The causes that people are told, and the changes that programs are."""
    told = built("verify", "web.tar", "--rebuild", "-f", "build.json")
    document = check(
        "verify", built("verify", "web.tar", "--rebuild", "-f", "build.json", "--json").out
    )
    assert told.code == (not document["rebuild"]["identical"])
    lines = told.out.decode().splitlines()
    causes = [line.strip() for line in lines if line.startswith(("  first cause: ", "  also: "))]
    return causes, document["rebuild"]["changes"]


def test_another_base_is_the_first_cause(built: InProcess, tmp_path: Path) -> None:
    """What it has otherwise is told behind that."""
    write_archive(tmp_path / "base.tar", make_sample(Memory(), [tar_of({"x": b"y"})]), "base:1")
    causes, changes = _verified(built)
    assert [change["what"] for change in changes] == ["base"]
    assert causes[0] == (
        f"first cause: it was built on {changes[0]['recorded']}, and now on {changes[0]['now']}"
    )
    assert all(cause.startswith("also: ") for cause in causes[1:])


def test_another_layer_format_is_the_first_cause(built: InProcess, tmp_path: Path) -> None:
    """Of a difference; without one, nothing is said of it."""
    _change(tmp_path, lambda inputs: inputs.update(layerFormat=1, imgpack="0.0.1"))
    causes, changes = _verified(built)
    assert causes == []
    os.utime(tmp_path / "app" / "d" / "file", (6, 6))
    causes, changes = _verified(built)
    assert [change["what"] for change in changes] == ["layer-format", "imgpack"]
    assert causes[:2] == [
        "first cause: it was built with layer format 1, and this imgpack has "
        f"{LAYER_FORMAT_VERSION}",
        f"also: it was built by imgpack 0.0.1, and this is {changes[1]['now']}",
    ]
    assert causes[2].startswith("also: in layer 3 at /d/file, mtime: ")


def test_another_image_is_the_first_cause(built: InProcess, tmp_path: Path) -> None:
    """That is not what was built then, whatever its name."""
    built("build", "lib", "-t", "web", "-o", "web.tar").ok()
    causes, changes = _verified(built)
    assert [change["what"] for change in changes] == ["image"]
    assert causes[0].startswith("first cause: this is not the image that was recorded: sha256:")


@pytest.mark.parametrize("changed", ["mode", "mtime", "content", "gone"])
def test_a_changed_file_is_the_first_cause(built: InProcess, tmp_path: Path, changed: str) -> None:
    """With its path; nothing else has changed."""
    path = tmp_path / "app" / "d" / "file"
    if changed == "mode":
        path.chmod(0o600)
    elif changed == "content":
        path.write_text("ppa")
    elif changed == "gone":
        path.unlink()
    os.utime(path.parent if changed == "gone" else path, (5, 6 if changed == "mtime" else 5))
    causes, changes = _verified(built)
    assert changes == []
    what = "path" if changed == "gone" else changed
    assert causes[0].startswith(f"first cause: in layer 3 at /d/file, {what}: ")


@pytest.mark.parametrize(
    "options",
    [("-", "-o", "web.tar"), ("app", "-:/x", "-o", "web.tar"),
     ("app", "--from", "-", "-o", "web.tar"), ("/dev/stdin", "-o", "web.tar"),
     ("--platform", "linux/amd64=-:/x", "-o", "web.tar")],
    ids=str,
)  # fmt: skip
def test_what_came_through_a_pipe_is_one_line(
    here: InProcess, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """For it is not there again; the record is written."""
    base = "--from" in options
    data = (tmp_path / "base.tar").read_bytes() if base else tar_of({"x": b"y"})
    (tmp_path / "in.tar").write_bytes(data)
    script = 'exec "$0" -m imgpack build "$@" --metadata-file build.json -t web < in.tar'
    command = ["sh", "-c", script, sys.executable, *options]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    key = "from" if base else "platforms" if "--platform" in options else "layers"
    line = here("verify", "web.tar", "--rebuild", "-f", "build.json").failed(2)
    assert f"build.json: inputs.image.web.{key}: it was read from standard input or a pipe" in line


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(image=None), "inputs.image: a table is expected, and not nothing"),
        (lambda d: d.update(image={}, built={}), "build.json: inputs: there is no image in it"),
        (lambda d: d.update(imgpack=5), "inputs.imgpack: text is expected, and not a number"),
        (lambda d: d.update(layerFormat=True), "inputs.layerFormat: a number is expected"),
        (lambda d: d.update(sourceDateEpoch=-1), "inputs.sourceDateEpoch: it is no time"),
        (lambda d: d.update(secret="x"), "inputs.secret: there is no such key"),
        (lambda d: d.pop("directory"), "inputs: there is no directory"),
        (lambda d: d["image"].update(x=json.loads("[" * 60 + "]" * 60)), "nested too deeply"),
        (lambda d: d.update(directory="\ud800"), "inputs.directory: it is no Unicode text"),
        (lambda d: d.update(directory="\0"), "inputs.directory: it has a NUL in it"),
        (lambda d: d.update(built={"x": {}}), "inputs.built.x: there is no such image"),
        (lambda d: d["built"].update(web={"digest": "sha256:1"}), "built.web.digest: a digest is"),
        (lambda d: d["image"]["web"].update(cache=1), "image.web.cache: there is no such key"),
        (lambda d: d["image"]["web"].update(layers=[None]), "web.layers[0]: text or a table is"),
        (lambda d: d["image"]["web"].update(layers=["nosuch"]), "nosuch does not exist"),
        (lambda d: d["image"]["web"].update(env={"A": "${B}"}), "'${B}' is no variable"),
        (lambda d: d["image"].update({"-f": {}}), "no image can be called so"),
        (lambda d: d["image"]["web"].update(user=1 << 70), "a number of more than 64 bits"),
    ],
)  # fmt: skip
def test_a_fault_of_a_record_is_one_line_with_its_key(
    built: InProcess, tmp_path: Path, change: Callable[[Any], object], told: str
) -> None:
    """It may come from anywhere."""
    _change(tmp_path, change)
    done = built("verify", "web.tar", "--rebuild", "-f", "build.json")
    assert told in done.failed(3 if "nosuch" in told else 2)


def test_a_record_that_was_moved_says_where_it_looks(built: InProcess, tmp_path: Path) -> None:
    """For it has to lie where it was in the checkout."""
    (tmp_path / "sub").mkdir()
    os.replace(tmp_path / "build.json", tmp_path / "sub" / "build.json")
    line = built("verify", "web.tar", "--rebuild", "-f", "sub/build.json").failed(3)
    assert "sub/build.json: inputs.image.web." in line
    assert line.endswith("; paths begin at ./sub, as sub/build.json says from where it lies")


def test_a_pipe_is_not_waited_for(built: InProcess, tmp_path: Path) -> None:
    """Whoever wrote the record."""
    os.mkfifo(tmp_path / "fifo")
    for key, value in (("layers", ["fifo:/x"]), ("from", "./fifo"), ("diff-from", "./fifo")):
        _change(tmp_path, lambda inputs, k=key, v=value: inputs["image"]["web"].update({k: v}))
        line = built("verify", "web.tar", "--rebuild", "-f", "build.json").failed(2)
        assert "it was read from standard input or a pipe, and is not there again" in line
        _change(tmp_path, lambda inputs, k=key: inputs["image"]["web"].pop(k))


def test_an_image_through_a_pipe_is_not_compared(built: InProcess, tmp_path: Path) -> None:
    """For it is read twice."""
    done = built("verify", "-", "--rebuild", "-f", "build.json", stdin=b"x")
    assert "- is read once, and --rebuild compares it; name a file" in done.failed(2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "build.json:1: it is no JSON: "),
        ('{"inputs": {}, "inputs": {}}', "it is no JSON: a name is there twice"),
        ('{"x": NaN}', "it is no JSON: NaN is no number"),
        ('{"images": []}', "it has no inputs"),
        ('{"inputs": []}', "build.json: inputs: a table is expected, and not a list"),
        ('{"x": ' + "[" * 100_000, "it is nested too deeply"),
        ('{"x": ' + "9" * 5000 + "}", "it is no JSON: "),
        ('{"x": "' + "9" * (4 << 20) + '"}', "it is larger than 4194304 bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_record_is_one_line(
    here: InProcess, tmp_path: Path, text: str, told: str
) -> None:
    """Whatever it is."""
    (tmp_path / "build.json").write_text(text)
    assert told in here("verify", "base.tar", "--rebuild", "-f", "build.json").failed(2)


def test_a_base_that_there_was_not_is_a_change() -> None:
    """What says most of a difference is first."""
    then = Recorded("1", 4, None, "", "", {}, {"a": "sha256:1"})
    now = Recorded("2", 5, 7, "x", "y", {"a": "z"}, {"b": "sha256:2"})
    assert [(one.what, one.recorded, one.now) for one in then.changes(now, "a")] == [
        ("layer-format", "4", "5"), ("base", "sha256:1", "nothing"), ("imgpack", "1", "2"),
    ]  # fmt: skip
    assert [one.what for one in then.changes(replace(now, layer_format=4), "c")] == ["imgpack"]
    assert list(then.changes(replace(then, epoch=3, directory="d"), "a")) == []


_RECORD = {
    "imgpack": "1", "layerFormat": 4, "sourceDateEpoch": 1, "directory": "..", "checkout": ".",
    "image": {"web": {"layers": ["a", {"source": "b", "dest": "/c"}], "env": {"A": "1"}}},
    "built": {"web": {"digest": f"sha256:{'0' * 64}", "base": {"digest": f"sha256:{'1' * 64}"}}},
}  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else ()
    found = [path]
    for key, item in enumerate(value) if isinstance(value, list) else items:
        found += _places(item, (*path, key))
    return found


@given(json_values(), st.sampled_from(_places(_RECORD)[1:]), st.randoms())
def test_any_other_value_is_taken_or_refused(
    value: Any, place: tuple[Any, ...], chance: random.Random
) -> None:
    """With a ``ProjectError`` and nothing else, wherever it stands."""
    inputs = copy.deepcopy(_RECORD)
    inner: Any = inputs
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    if chance.random() < 0.2:
        inner.update({"other": value}) if isinstance(inner, dict) else inner.append(value)
    try:
        file = read_record("build.json", json.dumps({"inputs": inputs}))
        assert file.recorded is not None
        if all(isinstance(table, dict) for table in file.images.values()):
            read_images(file, {})
    except ProjectError as error:
        assert error.message.startswith("build.json: inputs")
        assert "\n" not in error.message
