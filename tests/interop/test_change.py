"""What is changed without a build is what others see: in archives, in layouts, in registries."""

import json
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.image.base.members import DIRECTORY, FILE, layer_of
from tests.interop.trees import describe
from tests.servers.distribution import docker_registry
from tests.servers.engine import docker_engine
from tests.servers.process import require, require_root, run


@pytest.fixture
def app(tmp_path: Path) -> Imgpack:
    """The command, in a directory with an archive and a layer."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    layer = layer_of([("added", DIRECTORY, ""), ("added/file", FILE, "new")])
    (tmp_path / "layer.tar").write_bytes(layer)
    imgpack = Imgpack(tmp_path)
    imgpack("build", "tree", "-o", "app.tar", "-t", "localhost/app:1", "-e", "A=1").ok()
    return imgpack


def test_docker_skopeo_and_podman_see_the_change(app: Imgpack, tmp_path: Path) -> None:
    """Of an archive that was changed where it is, also by its new name."""
    app("config", "app.tar", "-e", "B=2", "--cmd", '["/x"]', "--in-place").ok()
    app("append", "app.tar", "layer.tar", "--in-place").ok()
    app("tag", "app.tar", "localhost/app:2").ok()
    skopeo = require("skopeo")
    for kind, name in (("docker-archive", "localhost/app:2"), ("oci-archive", "2")):
        place = f"{kind}:{tmp_path}/app.tar:{name}"
        config = json.loads(run([skopeo, "inspect", "--config", place]).stdout)
        assert config["config"]["Env"] == ["A=1", "B=2"]
        assert config["config"]["Cmd"] == ["/x"]
        assert len(config["rootfs"]["diff_ids"]) == 2
        app("annotate", "app.tar", "--annotation", "a=b", "--in-place").ok()  # of OCI's types
    with docker_engine() as docker:
        assert "localhost/app:2" in docker.load(tmp_path / "app.tar")
        env = docker("image", "inspect", "localhost/app:1", "--format", "{{json .Config.Env}}")
        assert json.loads(env) == ["A=1", "B=2"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_umoci_unpacks_a_layout_that_was_changed(
    app: Imgpack, tmp_path: Path, compression: str
) -> None:
    """Its tag says the new image; what was appended is there."""
    require_root("owners")
    app("copy", "app.tar", "layout/").ok()
    app("config", "layout/", "-e", "B=2", "--in-place").ok()
    app("append", "layout/", "layer.tar", "--in-place").ok()
    command = ("recompress", "layout/", "--compression", compression, "--in-place", "--prune")
    app(*command, "--format", "oci").ok()
    umoci = require("umoci")
    place = f"{tmp_path}/layout:1"
    history = json.loads(run([umoci, "stat", "--image", place, "--json"]).stdout)["history"]
    assert [one["created_by"] for one in history][-2:] == [
        "ENV B=2 # imgpack",
        "COPY . / # imgpack",
    ]
    if compression != "zstd":  # which this umoci does not unpack
        run([umoci, "unpack", "--image", place, str(tmp_path / "bundle")])
        assert {b"file", b"added/file"} <= set(describe(tmp_path / "bundle/rootfs"))


def test_distribution_moves_its_tags(app: Imgpack, tmp_path: Path) -> None:
    """A configuration in place, and tags without a blob; skopeo reads both."""
    skopeo = require("skopeo")
    with docker_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/app"
        app("push", "app.tar", f"{name}:1").ok()
        app("config", f"{name}:1", "-e", "B=2", "--in-place").ok()
        app("annotate", f"{name}:1", "--annotation", "a=b", "--in-place").ok()
        sent = registry.log.count("/blobs/")
        app("tag", f"{name}:1", "moved", f"{name}:too").ok()
        assert registry.log.count("/blobs/") == sent
        for tag in ("1", "moved", "too"):
            place = [f"docker://{name}:{tag}", "--tls-verify=false"]
            config = json.loads(run([skopeo, "inspect", "--config", *place]).stdout)
            assert config["config"]["Env"] == ["A=1", "B=2"]
            manifest = json.loads(run([skopeo, "inspect", "--raw", *place]).stdout)
            assert manifest["annotations"] == {"a": "b"}
