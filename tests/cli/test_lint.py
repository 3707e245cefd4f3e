"""``imgpack lint``: what it prints, for whom, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest

from imgpack import errors
from imgpack.image.lint import findings
from imgpack.image.lint.rules import RULES
from tests.cli.archives import write_archive
from tests.cli.screen import shown
from tests.cli.test_json import check
from tests.cli_runner import InProcess
from tests.image.lint.images import GITHUB, image, layer
from tests.registry.hostile import HostileRegistry
from tests.store.samples import Memory, make_artifact, make_multi

ROOT = Path(__file__).resolve().parent.parent.parent
SARIF = ROOT / "tests" / "data" / "sarif-2.1.0-rtm.5.json"
"""The schema of OASIS, as the npm package @microsoft/jest-sarif has it."""
BAD = image(
    [
        layer({"app/run": (b"#!/bin/sh\r\n", 0o755), "app/.env": f"T={GITHUB}\n".encode()}),
        layer({"app/.wh..env": b"", "a\x1b[31m/b c\n": (b"", 0o666)}),
    ],
    {"Entrypoint": ["/app/run"]},
)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """An archive with much that is wrong."""
    write_archive(tmp_path / "bad.tar", BAD, "foo:1")
    return tmp_path


@pytest.mark.usefixtures("bad")
def test_what_is_found_is_told_by_rules(imgpack_here: InProcess) -> None:
    """The worst first, without a control sequence, and no secret whole."""
    done = imgpack_here("lint", "bad.tar")

    assert done.code == errors.FINDINGS_EXIT_CODE
    assert done.out.decode().splitlines() == [
        "error interpreter-missing: what runs the program is not in the image",
        "  /app/run needs /bin/sh\\r, which is not there",
        "error secret-content: a file has a private key or a token",
        "  /app/.env:1: a token of GitHub: ghp_… (40 characters) (in layer 1; gone from layer 2 on,"
        " and still in the image)",
        "warning secret-file: a file that is secret by its name",
        "  /app/.env looks like settings that are often secret (in layer 1; gone from layer 2 on,"
        " and still in the image)",
        "warning world-writable-file: everybody may write a file",
        "  /a\\x1b[31m/b c\\n has the mode 0666 (in layer 2)",
        "info user-root: it runs as root",
        "  config.User: there is none",
        "2 errors, 2 warnings, 1 note",
    ]


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--fail-on", "never"), 0),
        (("--ignore", "interpreter-missing", "--ignore", "secret-content:app"), 0),
        (("--ignore", "interpreter-missing,secret-content:app,x"), errors.FINDINGS_EXIT_CODE),
        (("--ignore", "interpreter-missing, secret-content:app"), 0),
        (("--ignore", "interpreter-missing",), errors.FINDINGS_EXIT_CODE),
        (
            ("--fail-on", "warning", "--ignore", "interpreter-missing", "--ignore",
             "secret-content"), errors.FINDINGS_EXIT_CODE,
        ),
        (("--ignore", "nothing"), errors.ConfigError.exit_code),
        (("--json", "--sarif"), 2),
    ],
)  # fmt: skip
def test_the_exit_code_says_whether_something_is_as_bad(
    imgpack_here: InProcess, options: tuple[str, ...], code: int
) -> None:
    """As bad as was asked for, without what is ignored."""
    assert imgpack_here("lint", "bad.tar", *options).code == code


@pytest.mark.usefixtures("bad")
def test_programs_get_a_document(imgpack_here: InProcess) -> None:
    """Of the shape that docs/output.schema.json says."""
    document = check("lint", imgpack_here("lint", "bad.tar", "--json", "--fail-on", "never").ok())
    assert document["counts"] == {"error": 2, "warning": 2, "info": 1}
    assert {
        "rule": "secret-content", "level": "error", "path": "app/.env", "line": 1, "layer": 1,
        "deletedBy": 2, "message": "a token of GitHub: ghp_… (40 characters)",
    } in document["findings"]  # fmt: skip


def is_sarif(document: Any) -> None:
    """Fail unless it is of the schema, and what the schema cannot say holds as well."""
    jsonschema.Draft4Validator(json.loads(SARIF.read_text("utf-8"))).validate(document)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == rules[result["ruleIndex"]]["defaultConfiguration"]["level"]
        for location in result["locations"]:
            physical = location["physicalLocation"]
            uri = physical["artifactLocation"]["uri"]
            assert uri.isascii()
            local = uri.removeprefix("file://")
            assert not set(local) & set(" :\n\x1b"), "it is a relative reference (RFC 3986)"


@pytest.mark.usefixtures("bad")
def test_code_scanning_gets_a_document(imgpack_here: InProcess) -> None:
    """With all rules, and every finding where it is."""
    document = json.loads(imgpack_here("lint", "bad.tar", "--sarif", "--fail-on", "never").ok())
    is_sarif(document)
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    places = [
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]
    ]
    assert places == ["app/run", "app/.env", "app/.env", "a%1B%5B31m/b%20c%0A", "bad.tar"]
    told = {one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]}
    assert len(told) == len(places), "GitHub makes one alert of what has the same"
    assert GITHUB not in json.dumps(document)


@pytest.mark.parametrize(
    "command", ["lint --sarif", "lint --json", "history --json", "verify --json"]
)
def test_an_archive_may_be_called_what_is_no_text(
    command: str, bad: Path, imgpack_here: InProcess
) -> None:
    """JSON has its name escaped, a URI as its bytes."""
    name = os.fsdecode(b"b\xff.tar")
    (bad / "bad.tar").rename(bad / name)
    document = json.loads(imgpack_here(*command.split(), name).out)
    if command == "lint --sarif":
        is_sarif(document)
        assert "b%FF.tar" in json.dumps(document)
    else:
        assert document["location"] == name


def test_two_findings_that_say_the_same_are_two(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Of tokens in one file, told without their values; the lines need not stay."""
    other = GITHUB[:5] + GITHUB[:4:-1]
    for number, text in enumerate((f"{GITHUB}\n{other}\n", f"\n\n{GITHUB}\n\n{other}\n")):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "f").write_text(text)
    prints = []
    for name in "01":
        document = json.loads(imgpack_here("lint", name, "--sarif", "--fail-on", "never").ok())
        is_sarif(document)
        found = document["runs"][0]["results"]
        prints.append([one["partialFingerprints"]["primaryLocationLineHash"] for one in found])
    assert len(set(prints[0])) == 2
    assert prints[0] == prints[1]


def test_files_of_a_tree_are_where_sources_are(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Below the directory that was given, seen from here; outside of it by the whole path."""
    (tmp_path / "root fs" / "app").mkdir(parents=True)
    (tmp_path / "root fs" / "app" / ".env").write_text("A=1\n")
    here = f"file://{quote(str(tmp_path))}"
    for place, given, expected in (
        (".", "root fs", "root%20fs/app/.env"),
        (".", str(tmp_path / "root fs"), "root%20fs/app/.env"),
        ("root fs", ".", "app/.env"),
        ("root fs/app", "..", f"{here}/root%20fs/app/.env"),
    ):
        imgpack_here.directory = tmp_path / place
        document = json.loads(imgpack_here("lint", "--sarif", given).ok())
        is_sarif(document)
        (found,) = document["runs"][0]["results"]
        assert found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == expected


@pytest.mark.parametrize(
    ("files", "kept", "last"),
    [(20, 1000, None), (21, 1000, "  and 1 more"), (25, 1000, "  and 5 more"),
     (25, 22, "  and 5 more")],
)  # fmt: skip
def test_of_a_rule_that_finds_much_some_are_shown(
    tmp_path: Path, imgpack_here: InProcess, monkeypatch: pytest.MonkeyPatch,
    files: int, kept: int, last: str | None,
) -> None:  # fmt: skip
    """The rest is counted, whether or not it was kept."""
    monkeypatch.setattr(findings, "MOST_TOLD", kept)
    (tmp_path / "t").mkdir()
    for number in range(files):
        (tmp_path / "t" / f"f{number:02}").touch()
        (tmp_path / "t" / f"f{number:02}").chmod(0o666)

    lines = imgpack_here("lint", "t").ok().decode().splitlines()

    assert lines[0].startswith("warning world-writable-file: ")
    shown = [line for line in lines if line.startswith("  /f")]
    assert shown == [f"  /f{number:02} has the mode 0666" for number in range(min(kept, 20))]
    assert lines[1 + len(shown) : -1] == ([] if last is None else [last])
    assert lines[-1] == f"{files} warnings"


def test_a_directory_is_a_tree(tmp_path: Path, imgpack_here: InProcess) -> None:
    """But a layout an image."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / ".env").write_bytes(b"")
    done = imgpack_here("lint", "t", "--fail-on", "info")
    assert done.code == errors.FINDINGS_EXIT_CODE
    assert done.out.startswith(b"warning secret-file")
    assert (
        b"nothing is wrong (1 ignored)" in imgpack_here("lint", "t", "--ignore", "secret-file").ok()
    )

    imgpack_here("build", "t", "-t", "foo:1", "-o", "layout/").ok()
    assert b"command-missing" in imgpack_here("lint", "layout").ok()


def test_registries_layouts_and_locks_are_checked_and_artifacts_told(
    bad: Path, imgpack_here: InProcess
) -> None:
    """Of a lock, what it says; the bytes are said to be not checked."""
    told = imgpack_here("lint", "bad.tar", "--fail-on", "never").ok()
    with HostileRegistry() as registry:
        name = f"{registry.host}/foo:1"
        imgpack_here("copy", "bad.tar", name).ok()
        assert imgpack_here("lint", name, "--fail-on", "never").ok() == told
    imgpack_here("copy", "bad.tar", "layout/").ok()
    assert imgpack_here("lint", "layout/:foo:1", "--fail-on", "never").ok() == told

    imgpack_here("base", "lock", "bad.tar", "-o", "a.lock").ok()
    lint = imgpack_here("lint", "a.lock", "--json", "--cache-dir", "none")
    document = check("lint", lint.ok())
    assert document["counts"] == {"error": 0, "warning": 1, "info": 1}
    assert document["unchecked"] == ["what runs the program: its bytes are not at hand"]

    write_archive(bad / "b.tar", make_artifact(Memory()), "b:1")
    assert "is an artifact" in imgpack_here("lint", "b.tar").failed(9)


def test_platforms_that_are_not_looked_at_are_said(tmp_path: Path, imgpack_here: InProcess) -> None:
    """Unless one was asked for; a job that checks one of three is not to think that all are."""
    image = make_multi(Memory(), "linux/amd64", "linux/arm64")
    write_archive(tmp_path / "a.tar", image, "foo:1")
    told = imgpack_here("lint", "a.tar").ok().decode().splitlines()
    assert "not checked: linux/arm64: the image for linux/amd64 is looked at" in told
    document = check("lint", imgpack_here("lint", "a.tar", "--json").ok())
    assert document["unchecked"] == ["linux/arm64: the image for linux/amd64 is looked at"]
    chosen = imgpack_here("lint", "a.tar", "--platform", "linux/arm64").ok()
    assert b"not checked" not in chosen


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_fit_the_terminal(bad: Path, columns: int) -> None:
    """However narrow it is: what is left of a line is indented."""
    _, lines = shown(
        bad, "lint", "bad.tar", "--progress", "none", columns=columns, rows=60, code=30
    )
    told = [line for line in lines if line]
    starts = [line.split()[0] for line in told if not line.startswith(" ")]
    assert starts == ["error", "error", "warning", "warning", "info", "2"]
    assert "still in the image" in " ".join(" ".join(told).split())


def test_the_page_of_rules_is_current() -> None:
    """docs/lint.md is what scripts/lint-rules would write now."""
    command = [sys.executable, str(ROOT / "scripts" / "lint-rules"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
