"""The JSON that programs get is what docs/output.schema.json says, and no field is kept back."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from imgpack.api import AnyImage
from tests.cli.archives import write_archive
from tests.cli_runner import InProcess
from tests.engine.fakes import Machine
from tests.registry.hostile import HostileRegistry
from tests.registry.images import make_image as make_pushed
from tests.store.samples import Memory, make_artifact, make_image, make_nested

SCHEMA = Path(__file__).resolve().parent.parent.parent / "docs" / "output.schema.json"


def _closed(value: Any) -> Any:
    """The same schema, but a field that it does not name is an error."""
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: _closed(item) for key, item in value.items()}
    if "properties" in value and value.get("type") == "object":
        out["additionalProperties"] = False
    return out


def check(kind: str, raw: bytes) -> Any:
    """The document, if it is of that kind."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    document = json.loads(raw)
    jsonschema.Draft202012Validator(schema).validate(document)
    closed = _closed({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
    jsonschema.Draft202012Validator(closed).validate(document)
    return document


def test_the_schema_is_one() -> None:
    """Of JSON Schema 2020-12."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("make", [make_image, make_artifact, make_nested])
@pytest.mark.parametrize("options", [(), ("--verify",)], ids=len)
def test_what_inspect_says_has_the_shape_of_the_schema(
    tmp_path: Path, imgpack_here: InProcess, make: Any, options: tuple[str, ...]
) -> None:
    """Whatever the image, and whether it was verified."""
    image: AnyImage = make(Memory())
    write_archive(tmp_path / "a.tar", image, "foo:1")
    document = check("inspect", imgpack_here("inspect", "--json", *options, "a.tar").ok())
    assert document["verified"] is bool(options)
    assert document["images"][0]["names"] == ["docker.io/library/foo:1"]


def test_a_metadata_file_and_inspect_say_the_same_of_an_image(
    tmp_path: Path, imgpack_here: InProcess
) -> None:
    """Of a build and of a push."""
    (tmp_path / "t").mkdir()
    with HostileRegistry() as registry:
        name = f"{registry.host}/foo:1"
        build = ("build", "t", "-t", name, "-e", "A=b", "-o", "t.tar")
        imgpack_here(*build, "--metadata-file", "build.json").ok()
        built = check("metadata", (tmp_path / "build.json").read_bytes())
        imgpack_here("push", "t.tar", "--metadata-file", "push.json").ok()
        pushed = check("metadata", (tmp_path / "push.json").read_bytes())

    inspected = check("inspect", imgpack_here("inspect", "--json", "t.tar").ok())
    assert built["images"] == pushed["images"] == inspected["images"]
    assert built["published"] == pushed["published"]
    assert built["published"] == [{"name": name, **built["images"][0]["manifest"]}]


def test_tags_and_the_cache_are_in_the_schema(tmp_path: Path, imgpack_here: InProcess) -> None:
    """So every document is."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", make_pushed(b"one"), f"{registry.host}/a:1")
        imgpack_here("push", "a.tar").ok()
        assert check("tags", imgpack_here("tags", f"{registry.host}/a", "--json").ok())["tags"]
    (tmp_path / "t").mkdir()
    imgpack_here("build", "t", "--cache-dir", "c").ok()
    check("cache", imgpack_here("cache", "info", "--cache-dir", "c", "--json").ok())
    trim = ("cache", "trim", "--max-size", "0", "--cache-dir", "c", "--json")
    check("trimmed", imgpack_here(*trim).ok())


def _record(imgpack_here: InProcess, directory: Path, kind: str, *arguments: str) -> Any:
    """The metadata of a command, whose identifier file says the same."""
    imgpack_here(*arguments, "--metadata-file", "m.json", "--iidfile", "id").ok()
    document = check("metadata", (directory / "m.json").read_bytes())
    known = document.get("containerimage.config.digest") or document["containerimage.digest"]
    assert (directory / "id").read_text() == known, kind
    return document


def test_every_command_that_makes_or_moves_an_image_records_it_in_one_shape(
    tmp_path: Path, imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the keys that scripts know from buildx; ``--iidfile`` has the image's ID."""
    machine = Machine(tmp_path / "machine")
    machine.install("docker")
    machine.use(monkeypatch)
    (tmp_path / "t").mkdir()
    with HostileRegistry() as registry:
        foo, bar = f"{registry.host}/foo:1", f"{registry.host}/bar:1"
        commands: dict[str, tuple[str, ...]] = {
            "build": ("build", "t", "-t", foo, "-o", "t.tar"),
            "push": ("push", "t.tar"),
            "pull": ("pull", foo, "-o", "pulled.tar"),
            "copy": ("copy", "t.tar", "./copied.tar"),
            "copy to a registry": ("copy", "t.tar", bar),
            "load": ("load", "t.tar"),
            "build, pushed and loaded": ("build", "t", "-t", foo, "--push", "--load"),
            "flatten": ("flatten", "t.tar", "-o", "flat.tar"),
            "rebase": ("rebase", "t.tar", "--from", "t.tar", "--onto", "t.tar", "-o", "r.tar"),
            "index create": ("index", "create", bar, "--add", foo),
        }
        for kind, arguments in commands.items():
            document = _record(imgpack_here, tmp_path, kind, *arguments)
            name = bar if bar in arguments else foo
            assert document["image.name"] == name, kind
            assert [one["name"] for one in document["published"]] == [name], kind
            (image,) = document["images"]
            whole = image.get("manifest") or image["index"]
            assert document["containerimage.descriptor"] == whole, kind
            assert document["containerimage.digest"] == whole["digest"], kind
            assert ("loaded" in document) is ("load" in kind), kind


def test_of_several_images_there_is_no_one_digest(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Each is described, and an identifier for all is refused before anything is written."""
    for text in "foo", "bar":
        (tmp_path / text).mkdir()
        (tmp_path / text / text).write_text(text)
        imgpack_here("build", text, "-o", "layout/").ok()
    copy = ("copy", "layout", "both.tar")
    imgpack_here(*copy, "--metadata-file", "m.json").ok()
    document = check("metadata", (tmp_path / "m.json").read_bytes())
    assert len(document["images"]) == 2
    assert "containerimage.digest" not in document
    (tmp_path / "both.tar").unlink()
    said = imgpack_here(*copy, "--iidfile", "id").failed(2)
    assert "--iidfile is for one image, and there are 2" in said
    assert not (tmp_path / "both.tar").exists()
