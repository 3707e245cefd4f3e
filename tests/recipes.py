"""What the pages of docs/recipes say to do, taken out of them and done against loopback.

``sh`` boxes are run as they stand, but that registries and bases are those of the test;
``yaml`` boxes and the CI files of ``examples/`` are read, and the scripts in them run with what
a runner of that service gives to a script. Only the expressions are known that these files use.
"""

import io
import os
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.servers.process import run

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "recipes"
ACTION = ROOT / "examples" / "github-action" / "action.yml"
TEMPLATE = ROOT / "examples" / "gitlab" / "imgpack.gitlab-ci.yml"

BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail", "-c")
SH = ("sh", "-eu", "-c")


def boxes(page: str, language: str) -> list[str]:
    """The boxes of a page in one language."""
    text = (PAGES / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tree(place: Path, **files: str) -> Path:
    """A directory with files; ``__`` in a name is a slash, ``_dot_`` a dot."""
    for name, text in files.items():
        path = place / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place


def members(layers: list[bytes]) -> dict[str, tarfile.TarInfo]:
    """The entries of all layers by name."""
    found = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            found.update({entry.name: entry for entry in tar})
    return found


class Shell:
    """A directory where scripts are run; ``names`` are what stands for what in them."""

    def __init__(self, directory: Path, names: Mapping[str, str]) -> None:
        self.directory = directory
        self._names = names
        programs = directory.parent / "programs"
        programs.mkdir(parents=True, exist_ok=True)
        directory.mkdir(exist_ok=True)
        _link(programs / "imgpack", Path(sys.executable).parent / "imgpack")
        _link(programs / "python3", Path(sys._base_executable))  # type: ignore[attr-defined]
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def named(self, text: str) -> str:
        """A text with the names of this test."""
        for name, ours in self._names.items():
            text = text.replace(name, ours)
        return text

    def __call__(
        self,
        script: str,
        *,
        interpreter: tuple[str, ...] = BASH,
        prefix: tuple[str, ...] = (),
        **variables: str,
    ) -> str:
        """Run a script, which must succeed; what it wrote to standard output."""
        environment = {**self.environment, **variables}
        command = [*prefix, *interpreter, self.named(script)]
        return run(command, cwd=self.directory, env=environment).stdout.decode()


def _link(name: Path, target: Path) -> None:
    if not name.is_symlink():
        name.symlink_to(target)


def evaluated(text: str, contexts: Mapping[str, Mapping[str, str]]) -> str:
    """A string of a workflow, with ``${{ context.name }}`` replaced: nothing else is known."""

    def value(found: re.Match[str]) -> str:
        context, _, name = found[1].partition(".")
        return contexts[context][name]

    return re.sub(r"\$\{\{ ([a-z]+\.[\w.-]+) \}\}", value, text)


class Runner:
    """A runner of GitHub's for composite actions and ``run`` steps, as far as they are run here."""

    def __init__(self, shell: Shell, place: Path) -> None:
        self._shell = shell
        self._files = {name: place / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH")}
        self._temp = place / "temp"
        self._temp.mkdir(parents=True)

    def step(self, step: Mapping[str, Any], contexts: Mapping[str, Mapping[str, str]]) -> str:
        """Run the script of one step."""
        variables = {
            name: self._shell.named(evaluated(str(text), contexts))
            for name, text in step.get("env", {}).items()
        }
        files = {name: str(path) for name, path in self._files.items()}
        runner = {"GITHUB_ACTOR": "alice", "RUNNER_TEMP": str(self._temp), "CI": "true"}
        return self._shell(step["run"], **files, **runner, **variables)

    def action(self, given: Mapping[str, str], leave_out: set[str]) -> dict[str, str]:
        """Run the action's scripts with these inputs, without some steps; its outputs."""
        action = yaml.safe_load(ACTION.read_text())
        defaults = {name: one.get("default", "") for name, one in action["inputs"].items()}
        assert given.keys() <= defaults.keys()
        contexts = {"inputs": {**defaults, **given}}
        for step in action["runs"]["steps"]:
            if step["name"] in leave_out or "uses" in step:
                continue
            condition = re.fullmatch(r"inputs\.(\w+) != ''", step.get("if", "inputs.tags != ''"))
            assert condition is not None
            if contexts["inputs"][condition[1]]:
                self.step(step, contexts)
        return dict(line.split("=", 1) for line in self.outputs())

    def outputs(self) -> Iterator[str]:
        """The lines of what the steps put out."""
        yield from self._files["GITHUB_OUTPUT"].read_text().splitlines()


def gitlab_job(page: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A job of the page over the template that it extends: maps are united, all else replaced."""
    template = yaml.safe_load(TEMPLATE.read_text())
    job = dict(page[name])
    parent = template[job.pop("extends")]
    merged: dict[str, Any] = {**parent, **job}
    for key in ("variables", "cache"):
        if isinstance(parent[key], dict) and isinstance(job.get(key, {}), dict):
            merged[key] = {**parent[key], **job.get(key, {})}
    return merged


def expanded(variables: Mapping[str, str], predefined: Mapping[str, str]) -> dict[str, str]:
    """Variables of a job with ``$NAME`` in them replaced, as GitLab does it."""

    def value(found: re.Match[str]) -> str:
        return predefined[found[1]]

    return {
        **predefined,
        **{name: re.sub(r"\$(\w+)", value, str(text)) for name, text in variables.items()},
    }
