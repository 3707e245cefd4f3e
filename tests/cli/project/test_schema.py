"""The schema and the page of imgpack.toml: current, valid, and right about what is read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from imgpack.cli.project.schema.keys import KEYS, LAYER_KEYS
from tests.cli.project.shop import Shop
from tests.cli.project.test_keys import CASES
from tests.cli.test_json import check

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "imgpack.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def as_json(value: Any) -> Any:
    """TOML as an editor sees it: a time is a text."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def valid(text: str) -> bool:
    """Whether the schema takes a file."""
    return bool(VALIDATOR.is_valid(as_json(tomllib.loads(text))))


def test_schema_and_page_are_current() -> None:
    """They are what scripts/project-file would write now."""
    command = [sys.executable, str(ROOT / "scripts" / "project-file"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_schema_is_one() -> None:
    """Of JSON Schema 2020-12."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_example_of_a_key_is_valid(name: str) -> None:
    """In the page and in errors people read it."""
    assert valid(f"image.web.{name} = {KEYS[name].example}")
    if name != "platforms":  # whose table has tables in it
        KEYS[name].kind.texts(tomllib.loads(f"x = {KEYS[name].example}")["x"])


@pytest.mark.parametrize("name", sorted(LAYER_KEYS))
def test_the_example_of_a_layers_key_is_valid(name: str) -> None:
    """As part of a table with a source."""
    source = "" if name == "source" else 'source = "x", '
    assert valid(f"image.web.layers = [{{ {source}{name} = {LAYER_KEYS[name].example} }}]")


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_builds_is_valid(name: str) -> None:
    """Every file of the tests of keys."""
    assert valid(f"[image.web]\n{CASES[name][0]}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[variables]",
        "[images.web]",
        "image.web.tgas = 1",
        "image.web.tags = 1",
        'image.web.tag = "1"\nimage.web.tags = "2"',
        "image.web.squash = 1",
        "image.web.env = 1",
        'image.web.env = "A=1"',
        "image.web.env.DEBUG = true",
        'image.web.env."A=B" = "c"',
        'image.web.labels."" = "x"',
        "image.web.healthcheck.cmds = 1",
        'image.web.healthcheck = "true"',
        "image.web.layers = [1]",
        'image.web.layers = [{ dest = "/" }]',
        'image.web.layers = [{ source = "x", to = "/" }]',
        "image.web.healthcheck.retries = 1.5",
        'image."-x".tag = "1"',
        "variables.V = true\n[image.web]",
        'variables.1V = "x"\n[image.web]',
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(shop: Shop, text: str) -> None:
    """With exit code 2, and one line that says where."""
    assert not valid(text)
    assert shop.error(text).startswith("imgpack.toml")


def test_every_file_in_the_documentation_is_valid() -> None:
    """A file is a block of TOML that has an image."""
    found = 0
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            document = tomllib.loads(block)
            document = document.get("tool", {}).get("imgpack", document)
            if "image" in document:
                VALIDATOR.validate(as_json(document))
                found += 1
    assert found >= 2


def test_what_is_printed_is_a_file_again(shop: Shop) -> None:
    """Of the shape of docs/output.schema.json; its images are what the schema of files takes."""
    others = {"from", "diff-from"}  # beside from-image
    keys = {name: key for name, key in KEYS.items() if name not in others}
    text = "\n".join(f"{name} = {key.example}" for name, key in keys.items())
    shop.write(f"image.base.layers = 'trees/lib'\n[image.web]\n{text}")
    printed = shop.imgpack("build", "--print", "-e", "B=2", "--expose", "90").ok()
    document = check("plan", printed)
    VALIDATOR.validate({"image": document["image"]})
    web = document["image"]["web"]
    assert list(document["image"]) == ["base", "web"]
    assert web.keys() == {name.partition(".")[0] for name in keys} - {"name"}
    assert web["env"] == {"PORT": "8080", "PATH": "/opt/app:${PATH}", "B": "2"}
    assert web["expose"] == ["8080", "53/udp", "90"]
    assert web["entrypoint"] == ["/opt/app/web", "--serve"]
    assert web["healthcheck"]["retries"] == 3
    assert web["tags"] == [
        "registry.example.com/shop/web:1.0",
        "registry.example.com/shop/web:latest",
    ]
    assert not (shop.directory / "base.tar").exists()
