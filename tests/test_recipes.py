"""The recipes: what the pages say is done, and makes the images that they promise."""

import io
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import imgpack
from tests.cli_runner import Imgpack
from tests.privileges import IS_ROOT, as_user
from tests.recipes import (
    ACTION,
    PAGES,
    ROOT,
    SH,
    TEMPLATE,
    Runner,
    Shell,
    boxes,
    evaluated,
    expanded,
    gitlab_job,
    members,
    tree,
)
from tests.servers.distribution import V2_MANIFEST, Registry
from tests.servers.process import require, require_root, run

OUTER, INNER = "registry.example.com", "inner.example.com"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def based(registry: Registry, tmp_path: Path, name: str, **files: str) -> str:
    """A small base in the registry, and its name there."""
    place = tree(tmp_path / "base", etc__passwd="root:x:0:0::/:\nnode:x:1000:1000::/:\n", **files)
    reference = f"{registry.host}/{name}"
    Imgpack(tmp_path)("build", place, "-t", reference, "--push").ok()
    return reference


def pulled(registry: Registry, name: str, tmp_path: Path) -> tuple[Any, list[bytes]]:
    """The configuration and the layers of an image of the registry."""
    archive = tmp_path / "pulled.tar"
    creds = ("--creds", ":".join(registry.user)) if registry.user else ()
    Imgpack(tmp_path)("pull", f"{registry.host}/{name}", "-o", archive, *creds).ok()
    with imgpack.open(str(archive)) as opened:
        (named,) = opened.images()
        assert isinstance(named.image, imgpack.Image)
        document = named.image.document
        return named.image.config.config, [
            b"".join(opened.read_blob(layer)) for layer in document.layers
        ]


def test_a_static_binary_is_the_whole_image(registry: Registry, tmp_path: Path) -> None:
    """It lies over the certificates, in the registry, and runs without anything else."""
    require_root("a change of the root directory")
    shell = Shell(tmp_path / "work", {OUTER: registry.host})
    (shell.directory / "dist").mkdir()
    hello = ROOT / "examples" / "hello" / "rootfs"
    shutil.copyfile(hello / "hello", shell.directory / "dist" / "server")
    for box in boxes("static-binary.md", "sh"):
        shell(box)
    config, layers = pulled(registry, "server:1.0", tmp_path)
    assert (config["Entrypoint"], config["User"]) == (["/server"], "65532:65532")
    assert len(layers) == 2
    found = members(layers)
    assert found["server"].mode == 0o755
    assert "etc/ssl/certs/ca-certificates.crt" in found
    root = tree(tmp_path / "root", etc__greeting="good morning\n")
    with tarfile.open(fileobj=io.BytesIO(layers[1])) as tar:
        tar.extract("server", root, filter="tar")
    assert run([require("chroot"), str(root), "/server"]).stdout == b"good morning\n"


def wheel(place: Path) -> None:
    """A package with a script, as an index would have it."""
    place.mkdir()
    with zipfile.ZipFile(place / "greet-1.0-py3-none-any.whl", "w") as made:
        info = "greet-1.0.dist-info"
        made.writestr("greet.py", "def main(): print('good morning')\n")
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/entry_points.txt", "[console_scripts]\ngreet = greet:main\n")
        made.writestr(f"{info}/RECORD", "")


def test_a_python_environment_has_one_digest_wherever_it_was_made(
    registry: Registry, tmp_path: Path
) -> None:
    """Its scripts name the place that they have in the image, and nothing names this machine's."""
    wheel(tmp_path / "index")
    base = based(registry, tmp_path, "python:3.11-slim-bookworm", usr__local__bin__python3="")
    names = {OUTER: registry.host, "python:3.11-slim-bookworm": base}
    made = set()
    for place in ("one", "another"):
        shell = Shell(tmp_path / place, names)
        tree(shell.directory, requirements_dot_txt="greet\n", src__main_dot_py="import greet\n")
        tree(shell.directory / "src" / "__pycache__", main_dot_pyc=place)
        for box in boxes("python.md", "sh"):
            shell(box, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "index"))
        made.add(registry.manifest("app", "1.0").digest)
    assert len(made) == 1

    config, layers = pulled(registry, "app:1.0", tmp_path)
    assert len(layers) == 3
    assert "PATH=/opt/venv/bin:" in config["Env"][0]
    with tarfile.open(fileobj=io.BytesIO(layers[1])) as tar:
        script = tar.extractfile("opt/venv/bin/greet")
        assert script is not None
        assert script.read().startswith(b"#!/opt/venv/bin/python3\n")
        assert tar.getmember("opt/venv/bin/python3").linkname == "/usr/local/bin/python3"
        assert "opt/venv/lib" in tar.getnames()
    assert str(tmp_path).encode() not in b"".join(layers)
    assert not [name for name in members(layers) if "__pycache__" in name or "RECORD" in name]


def test_node_modules_are_a_layer_of_their_own(registry: Registry, tmp_path: Path) -> None:
    """A change of the program changes one layer; the lock and the git directory stay out."""
    base = based(registry, tmp_path, "node:22-slim", usr__local__bin__node="")
    shell = Shell(tmp_path / "work", {OUTER: registry.host, "node:22-slim": base})
    app = {"server_dot_js": "1", "node_modules__left__index_dot_js": "", "_dot_git__HEAD": ""}
    seen = []
    for text in ("1", "2"):
        tree(shell.directory, **{**app, "server_dot_js": text})
        for box in boxes("node.md", "sh"):
            shell(box)
        config, layers = pulled(registry, "web:1.0", tmp_path)
        seen.append(layers)
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]
    assert {name for name in members(seen[0][1:]) if name.count("/") < 2} == {
        *("app", "app/server.js", "app/node_modules"),
    }
    assert (config["User"], config["WorkingDir"]) == ("node", "/app")


INSTALL = """#!/bin/sh
mkdir -p $1/dev $1/etc
mknod $1/dev/null c 1 3
echo secret > $1/etc/key
chown 42:43 $1/etc/key
"""


def test_a_system_is_built_by_a_user_who_is_not_root(registry: Registry, tmp_path: Path) -> None:
    """Owners and devices are what the tar and the record say, whoever runs it."""
    require("fakeroot")
    shell = Shell(tmp_path / "work", {OUTER: registry.host})
    tree(shell.directory, install_dot_sh=INSTALL).chmod(0o777)
    (shell.directory / "install.sh").chmod(0o755)
    stand_in(shell.directory.parent / "programs", tmp_path)
    user = as_user(1000, 1000) if IS_ROOT else ()
    for box in boxes("debian.md", "sh"):
        cache = str(shell.directory / "cache")
        shell(box, interpreter=SH, prefix=user, XDG_CACHE_HOME=cache)
    config, layers = pulled(registry, "debian:12", tmp_path)
    found = members(layers)
    assert (found["etc/shadow"].uid, found["etc/shadow"].gid) == (0, 42)
    assert found["dev/zero"].ischr()
    assert "var/log/install.log" not in found
    assert config["Cmd"] == ["bash"]
    with imgpack.open(str(shell.directory / "service.tar")) as opened:
        (named,) = opened.images()
        made = members([b"".join(opened.read_blob(one)) for one in named.image.document.layers])
    assert (made["etc/key"].uid, made["etc/key"].gid) == (42, 43)
    assert (made["dev/null"].devmajor, made["dev/null"].devminor) == (1, 3)


def stand_in(programs: Path, tmp_path: Path) -> None:
    """A mmdebstrap that writes the tar of a small system, for the tests have no network."""
    with tarfile.open(tmp_path / "system.tar", "w") as tar:
        for name, kind, gid in (
            ("./dev/zero", tarfile.CHRTYPE, 0),
            ("./etc/shadow", tarfile.REGTYPE, 42),
            ("./var/log/install.log", tarfile.REGTYPE, 0),
            ("./var/cache/apt/pkgcache.bin", tarfile.REGTYPE, 0),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.gid, entry.devmajor, entry.devminor = kind, gid, 1, 5
            tar.addfile(entry)
    program = programs / "mmdebstrap"
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path / 'system.tar'}\n")
    program.chmod(0o755)


def test_an_archive_is_carried_into_another_network(
    registry: Registry, basic_registry: Registry, tmp_path: Path
) -> None:
    """Its digest is the same there, and it serves as a base without the outer registry."""
    names = {OUTER: registry.host, INNER: basic_registry.host, "-u ci": "-u alice"}
    based(registry, tmp_path, "app:1.0")
    shell = Shell(tmp_path / "work", names)
    tree(shell.directory, token="correct horse\n", site__index_dot_html="<p>")
    for box in boxes("air-gap.md", "sh"):
        shell(box)
    outer = registry.manifest("app", "1.0").digest
    assert basic_registry.manifest("team/app", "1.0").digest == outer
    assert basic_registry.manifest("team/site", "1.0").status == 200


def joined(registry: Registry, repository: str) -> list[str]:
    """The architectures of the index that a matrix was joined to."""
    answer = registry.manifest(repository, "1.0", INDEX, OCI_INDEX)
    return [one["platform"]["architecture"] for one in json.loads(answer.body)["manifests"]]


def application(shell: Shell, *names: str) -> None:
    """What was compiled before, in the checkout of a commit."""
    for name in names:
        tree(shell.directory / name, run="#!/bin/sh\n")
        (shell.directory / name / "run").chmod(0o755)
    git = "git -c user.name=a -c user.email=a@example.com"
    shell(f"git init -q . && git add . && {git} commit -q -m first")


def test_github_s_matrix_builds_two_platforms_and_joins_them(
    basic_registry: Registry, tmp_path: Path
) -> None:
    """Each by the action, logged in with a token; its output is what the registry has."""
    (text,) = boxes("github-actions.md", "yaml")
    jobs = yaml.safe_load(text)["jobs"]
    shell = Shell(tmp_path / "work", {OUTER: basic_registry.host})
    application(shell, "dist")
    github = {"github": {"actor": "alice"}, "secrets": {"GITHUB_TOKEN": "correct horse"}}
    for matrix in jobs["build"]["strategy"]["matrix"]["include"]:
        (step,) = (one for one in jobs["build"]["steps"] if "github-action" in one.get("uses", ""))
        given = {
            name: shell.named(evaluated(value, {**github, "matrix": matrix}))
            for name, value in step["with"].items()
        }
        runner = Runner(shell, tmp_path / matrix["tag"])
        outputs = runner.action(given, leave_out={"Install imgpack"})
        manifest = basic_registry.manifest("shop/app", matrix["tag"], V2_MANIFEST)
        assert outputs == {"digest": manifest.digest}
        assert (tmp_path / matrix["tag"] / "temp" / "imgpack-cache" / "CACHEDIR.TAG").is_file()
    runner = Runner(shell, tmp_path / "join")
    for step in jobs["join"]["steps"]:
        if step["name"] != "Install":
            runner.step(step, github)
    assert joined(basic_registry, "shop/app") == ["amd64", "arm64"]
    config, _ = pulled(basic_registry, "shop/app:1.0-amd64", tmp_path)
    assert config["Entrypoint"] == ["/opt/app/run"]


def test_the_action_writes_an_archive_where_nothing_is_pushed(tmp_path: Path) -> None:
    """Without a registry no one logs in; lines with spaces and dollars stay what they are."""
    shell = Shell(tmp_path / "work", {})
    application(shell, "my dist")
    given = {
        "sources": "my dist:/opt/app\n",
        "tags": "app:1\napp:2\n",
        "options": '--mtime=0\n--label=note=a $HOME `id` "b"\n',
        "push": "false",
        "archive": "out.tar",
    }
    outputs = Runner(shell, tmp_path / "runner").action(given, leave_out={"Install imgpack"})
    with imgpack.open(str(shell.directory / "out.tar")) as opened:
        (named,) = opened.images()
    assert isinstance(named.image, imgpack.Image)
    assert named.image.config.config["Labels"] == {"note": 'a $HOME `id` "b"'}
    assert [name.shown() for name in named.names] == ["app:1", "app:2"]
    assert outputs["digest"] == str(named.image.document.descriptor.digest)


def test_gitlab_s_matrix_builds_two_platforms_and_joins_them(
    basic_registry: Registry, tmp_path: Path
) -> None:
    """With the template's scripts and the job's own token, by a plain shell."""
    (text,) = boxes("gitlab-ci.md", "yaml")
    page = yaml.safe_load(text)
    shell = Shell(tmp_path / "builds" / "app", {})
    application(shell, "dist-amd64", "dist-arm64")
    predefined = {
        "CI_REGISTRY": basic_registry.host,
        "CI_REGISTRY_IMAGE": f"{basic_registry.host}/group/app",
        "CI_REGISTRY_USER": "alice",
        "CI_REGISTRY_PASSWORD": "correct horse",
        "CI_COMMIT_SHORT_SHA": "0123abcd",
        "CI_COMMIT_TIMESTAMP": "2026-11-26T05:00:00+01:00",
        "CI_BUILDS_DIR": str(tmp_path / "builds"),
    }
    build = gitlab_job(page, "build-image")
    for arch in build["parallel"]["matrix"][0]["ARCH"]:
        gitlab_script(shell, build, {**predefined, "ARCH": arch})
    gitlab_script(shell, gitlab_job(page, "join"), predefined)
    assert joined(basic_registry, "group/app") == ["amd64", "arm64"]
    noted = (shell.directory / "imgpack.digests").read_text()
    assert noted.startswith(f"{basic_registry.host}/group/app:1.0@sha256:")


def gitlab_script(shell: Shell, job: Mapping[str, Any], predefined: Mapping[str, str]) -> None:
    """Run a job's script in one shell, as a runner does."""
    shell("\n".join(job["script"]), interpreter=SH, **expanded(job["variables"], predefined))


def test_a_monorepo_pushes_the_images_that_changed(
    basic_registry: Registry, tmp_path: Path
) -> None:
    """Without a change none is pushed; what a layer is part of is, and only that layer is sent."""
    shell = Shell(tmp_path / "work", {OUTER: basic_registry.host})
    (project,), (local,) = boxes("monorepo.md", "toml"), boxes("monorepo.md", "sh")
    (shell.directory / "imgpack.toml").write_text(shell.named(project))
    parts = ("runtime", "common", "web", "api", "worker")
    tree(shell.directory, **{f"dist__{part}__start": part for part in parts})
    (workflow,) = boxes("monorepo.md", "yaml")
    steps = yaml.safe_load(workflow)["jobs"]["images"]["steps"]
    by_name = {one["name"]: one for one in steps if "name" in one}
    runner = Runner(shell, tmp_path / "runner")
    runner.step(by_name["Log in"], {"secrets": {"GITHUB_TOKEN": "correct horse"}})

    def run_job() -> tuple[str, list[str]]:
        before = basic_registry.log.count("\n")
        runner.step(by_name["Build all, push what changed"], {})
        log = basic_registry.log.split("\n", before)[-1]
        *_, changed = runner.outputs()
        return changed, re.findall(r'"PUT /v2/(shop/\w+/(?:blobs|manifests))/\S+ HTTP', log)

    changed, sent = run_job()
    assert changed == "changed=web api worker"
    shared = [f"shop/{image}/manifests" for image in ("web", "api", "worker")]
    # Five layers and three configurations: what is shared is mounted from where it was sent to.
    assert sorted(one for one in sent if one not in shared) == [
        *["shop/api/blobs"] * 2, *["shop/web/blobs"] * 4, *["shop/worker/blobs"] * 2,
    ]  # fmt: skip
    assert run_job() == ("changed=", [])
    tree(shell.directory, dist__web__start="other")
    changed, sent = run_job()
    assert changed == "changed=web"
    assert sent == ["shop/web/blobs"] * 2 + ["shop/web/manifests"]
    tree(shell.directory, dist__api__start="other")
    assert run_job()[0] == "changed=api worker"
    shell(local)
    _, layers = pulled(basic_registry, "shop/worker:main", tmp_path)
    assert len(layers) == 4


def test_no_expression_stands_in_a_script() -> None:
    """What a user typed would be run: expressions go to variables, and scripts read those."""
    steps = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    for page in ("github-actions.md", "monorepo.md"):
        for job in yaml.safe_load(boxes(page, "yaml")[0])["jobs"].values():
            steps += job["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) > 4
    assert not [script for script in scripts if "${{" in script]
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_the_action_uses_what_it_declares() -> None:
    """Each input reaches a step, and no step asks for one that is not there."""
    action = yaml.safe_load(ACTION.read_text())
    used = set(re.findall(r"inputs\.([\w-]+)", ACTION.read_text()))
    assert used == set(action["inputs"])
    for step in action["runs"]["steps"]:
        assert "uses" in step or step["shell"] == "bash"
    assert all("description" in one for one in action["inputs"].values())


def test_the_template_s_scripts_can_be_parsed_and_use_its_variables() -> None:
    """Those of GitLab begin with CI."""
    job = yaml.safe_load(TEMPLATE.read_text())[".imgpack"]
    script = "\n".join([*job["before_script"], *job["script"]])
    subprocess.run(["sh", "-n", "-c", script], check=True)
    used = {name for name in re.findall(r"\$([A-Z]\w+)", script) if not name.startswith("CI_")}
    assert used - {"PATH"} == set(job["variables"])


def test_every_recipe_is_listed_says_what_was_tested_and_is_run() -> None:
    """No page lies there that nothing runs; no link of one leads nowhere."""
    pages = {path.name for path in PAGES.glob("*.md")} - {"README.md"}
    listed = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\)", (PAGES / "README.md").read_text(), re.M)
    assert set(listed) == pages
    here = Path(__file__).read_text()
    for page in [*pages, "README.md"]:
        text = (PAGES / page).read_text()
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (PAGES / link).exists(), f"{page}: {link}"
        if page != "README.md":
            assert "\nTested: " in text
            assert "Only read:" in " ".join(text.split())
            assert f'boxes("{page}"' in here
