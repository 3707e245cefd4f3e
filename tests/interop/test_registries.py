"""Pushing to and pulling from real registries; skopeo and podman read what was pushed."""

import base64
import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from imgpack.api import Descriptor, Digest, Named, Opaque, verify_images
from imgpack.image.image import RawBlob, walk
from imgpack.image.plan import plan
from imgpack.spec import mediatype
from imgpack.store.open import open_images
from tests.cli.archives import write_archive
from tests.cli_runner import Imgpack
from tests.interop.conftest import Built
from tests.interop.test_loaders import GREETING, HELLO, RUN
from tests.interop.trees import describe, differences, make_small_tree
from tests.registry.images import make_artifact, make_image, make_index
from tests.servers.certificates import NAME, Authority
from tests.servers.distribution import OCI_MANIFEST, V2_MANIFEST, Registry, docker_registry
from tests.servers.engine import Podman
from tests.servers.gateway import nginx_gateway
from tests.servers.process import named_loopback, require, run
from tests.servers.tokens import TokenServer


def sent_bodies(registry: Registry) -> int:
    """How many requests with blob data the registry has answered so far."""
    return sum(
        '"PUT /v2/' in line or '"PATCH /v2/' in line
        for line in registry.log.splitlines()
        if "/blobs/uploads/" in line
    )


def write_credentials(home: Path, host: str, user: str, password: str) -> None:
    """Docker's configuration file with a password."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (home / "docker").mkdir(exist_ok=True)
    document = {"auths": {host: {"auth": auth}}}
    (home / "docker" / "config.json").write_text(json.dumps(document))


@pytest.fixture
def hello(imgpack: Imgpack) -> str:
    """The example as an archive."""
    imgpack("build", HELLO, "-t", "hello:1", *RUN, "-o", "hello.tar").ok()
    return "hello.tar"


def manifest_digest(imgpack: Imgpack, archive: str) -> str:
    """The digest of an archive's manifest."""
    return "sha256:" + hashlib.sha256(imgpack("manifest", archive).ok()).hexdigest()


def test_skopeo_reads_a_pushed_debian(
    registry: Registry, imgpack: Imgpack, debian: Built, tmp_path: Path
) -> None:
    """``skopeo inspect`` and ``skopeo copy`` see the very manifest that was built."""
    repository, tag = debian.name.split(":")
    reference = f"{registry.host}/team/{repository}:{tag}"
    out = imgpack("push", debian.archive, reference).ok().decode()
    assert out.strip() == f"{reference}@{debian.digest}"
    skopeo = [require("skopeo"), "--insecure-policy"]
    argv = [*skopeo, "inspect", "--tls-verify=false", f"docker://{reference}"]
    assert json.loads(run(argv).stdout)["Digest"] == debian.digest
    argv = [*skopeo, "copy", "--preserve-digests", "--src-tls-verify=false"]
    run([*argv, f"docker://{reference}", f"dir:{tmp_path / 'copied'}"])
    copied = (tmp_path / "copied" / "manifest.json").read_bytes()
    assert "sha256:" + hashlib.sha256(copied).hexdigest() == debian.digest


def test_a_pulled_debian_is_the_pushed_one(
    registry: Registry, imgpack: Imgpack, debian: Built
) -> None:
    """The archive that comes back holds the same manifest, configuration and layers."""
    reference = f"{registry.host}/pulled/{debian.name}"
    imgpack("push", debian.archive, reference).ok()
    imgpack("pull", reference, "-o", "back.tar").ok()
    for part in ((), ("--config",)):
        ours = imgpack("manifest", debian.archive, *part).ok()
        assert imgpack("manifest", "back.tar", *part).ok() == ours
    described = json.loads(imgpack("inspect", "back.tar", "--json").ok())
    assert debian.digest in json.dumps(described)


def test_podman_pulls_and_runs_what_was_pushed(
    registry: Registry, podman: Podman, imgpack: Imgpack, hello: str
) -> None:
    """Over the registry, as over an archive."""
    reference = f"{registry.host}/podman/hello:1"
    imgpack("push", hello, reference).ok()
    podman("pull", "--tls-verify=false", reference)
    assert podman.run(reference) == GREETING


@pytest.mark.parametrize("image_format", ["docker", "oci"])
def test_others_pull_what_is_pushed_while_it_is_built(
    registry: Registry, podman: Podman, imgpack: Imgpack, tmp_path: Path, image_format: str
) -> None:
    """On a base in the same registry, which is mounted; podman runs it, skopeo verifies it."""
    base, reference = f"{registry.host}/built/base:1", f"{registry.host}/built/{image_format}:1"
    command = ("build", "--format", image_format, "--push")
    imgpack(*command, HELLO, "-t", base, *RUN).ok()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_bytes(b"more")
    before = sent_bodies(registry)
    out = imgpack(*command, "more", "--from", base, "-t", reference, "-o", "beside.tar").ok()
    assert sent_bodies(registry) == before + 2
    assert out.decode() == f"{reference}@{manifest_digest(imgpack, 'beside.tar')}\n"
    podman("pull", "--tls-verify=false", reference)
    assert podman.run(reference) == GREETING
    argv = [require("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false"]
    run([*argv, "--preserve-digests", f"docker://{reference}", f"dir:{tmp_path / 'copied'}"])
    copied = (tmp_path / "copied" / "manifest.json").read_bytes()
    assert copied == imgpack("manifest", "beside.tar").ok()


def test_podman_and_skopeo_write_what_imgpack_pulls(
    registry: Registry, podman: Podman, imgpack: Imgpack, hello: str
) -> None:
    """Images that other programs pushed come back whole."""
    podman("load", "-i", str(imgpack.directory / hello))
    reference = f"{registry.host}/theirs/podman:1"
    podman("push", "--tls-verify=false", "docker.io/library/hello:1", f"docker://{reference}")
    imgpack("pull", reference, "-o", "podman.tar").ok()
    other = f"{registry.host}/theirs/skopeo:1"
    argv = [require("skopeo"), "--insecure-policy", "copy", "--dest-tls-verify=false"]
    run([*argv, f"docker-archive:{imgpack.directory / hello}", f"docker://{other}"])
    imgpack("pull", other, "-o", "skopeo.tar").ok()
    wanted = json.loads(imgpack("manifest", hello, "--config").ok())["rootfs"]
    for archive in ("podman.tar", "skopeo.tar"):
        assert json.loads(imgpack("manifest", archive, "--config").ok())["rootfs"] == wanted


@pytest.mark.parametrize(("image_format", "kind"), [("docker", V2_MANIFEST), ("oci", OCI_MANIFEST)])
def test_the_manifest_is_stored_under_its_own_type(
    registry: Registry, imgpack: Imgpack, image_format: str, kind: str
) -> None:
    """The registry answers with the type that was built."""
    imgpack("build", HELLO, "-t", "hello:1", "--format", image_format, "-o", "f.tar").ok()
    imgpack("push", "f.tar", f"{registry.host}/typed/{image_format}:1").ok()
    stored = registry.manifest(f"typed/{image_format}", "1", V2_MANIFEST, OCI_MANIFEST)
    assert stored.headers["Content-Type"] == kind
    assert stored.body == imgpack("manifest", "f.tar").ok()


def test_pushing_again_moves_no_layer(registry: Registry, imgpack: Imgpack, hello: str) -> None:
    """The second push asks and sends the manifest, nothing else."""
    reference = f"{registry.host}/again/hello:1"
    imgpack("push", hello, reference).ok()
    before = sent_bodies(registry)
    assert before >= 2
    imgpack("push", hello, reference).ok()
    assert sent_bodies(registry) == before


def test_a_mounted_layer_is_not_sent(registry: Registry, imgpack: Imgpack, hello: str) -> None:
    """``--mount-from`` takes every blob over from another repository."""
    imgpack("push", hello, f"{registry.host}/mount/from:1").ok()
    before = sent_bodies(registry)
    into = f"{registry.host}/mount/into:1"
    imgpack("push", hello, into, "--mount-from", "mount/from").ok()
    assert sent_bodies(registry) == before
    assert registry.manifest("mount/into", "1").status == 200


def test_a_mount_that_fails_is_an_upload(registry: Registry, imgpack: Imgpack, hello: str) -> None:
    """A repository that does not exist costs nothing but the attempt."""
    into = f"{registry.host}/mount/failed:1"
    imgpack("push", hello, into, "--mount-from", "does/not/exist").ok()
    assert registry.manifest("mount/failed", "1").digest == manifest_digest(imgpack, hello)


def test_one_blob_streams_to_standard_output(
    registry: Registry, imgpack: Imgpack, hello: str
) -> None:
    """``imgpack blob REF@sha256:…``."""
    imgpack("push", hello, f"{registry.host}/blob/hello:1").ok()
    document = json.loads(imgpack("manifest", hello).ok())
    digest = document["config"]["digest"]
    blob = imgpack("blob", f"{registry.host}/blob/hello@{digest}").ok()
    assert blob == imgpack("manifest", hello, "--config").ok()


def test_a_password_opens_the_basic_registry(
    basic_registry: Registry, imgpack: Imgpack, hello: str, home: Path
) -> None:
    """From Docker's configuration file; without it, or with another, the code is 18."""
    reference = f"{basic_registry.host}/private/hello:1"
    assert basic_registry.host in imgpack("push", hello, reference).failed(18)
    write_credentials(home, basic_registry.host, "alice", "hunter2")
    refused = imgpack("--verbose", "push", hello, reference)
    refused.failed(18)
    assert "hunter2" not in refused.err
    write_credentials(home, basic_registry.host, "alice", "correct horse")
    imgpack("push", hello, reference).ok()
    imgpack("pull", reference, "-o", "back.tar").ok()
    assert manifest_digest(imgpack, "back.tar") == manifest_digest(imgpack, hello)


@pytest.mark.parametrize("oauth2", [True, False], ids=["oauth2", "get-only"])
def test_tokens_open_the_token_registry(
    token_registry: Registry,
    token_server: TokenServer,
    imgpack: Imgpack,
    hello: str,
    home: Path,
    oauth2: bool,
) -> None:
    """Pushing needs alice's token, pulling none; few tokens are fetched, none without need."""
    token_server.accounts.oauth2 = oauth2
    reference = f"{token_registry.host}/team/hello:1"
    write_credentials(home, token_registry.host, "alice", "correct horse")
    imgpack("push", hello, reference).ok()
    pushed = [request for request in token_server.requests if request.user == "alice"]
    assert pushed
    scopes = {scope for request in token_server.requests for scope in request.scopes}
    assert scopes <= {"repository:team/hello:pull,push", "repository:team/hello:pull"}
    assert len(token_server.requests) <= 4
    token_server.requests.clear()
    (home / "docker" / "config.json").unlink()
    imgpack("pull", reference, "-o", "back.tar").ok()
    assert {request.user for request in token_server.requests} == {None}
    assert manifest_digest(imgpack, "back.tar") == manifest_digest(imgpack, hello)


def test_a_mount_asks_for_a_token_of_both_repositories(
    token_registry: Registry, token_server: TokenServer, imgpack: Imgpack, hello: str, home: Path
) -> None:
    """The source repository's pull scope is asked for, and no blob is sent again."""
    write_credentials(home, token_registry.host, "alice", "correct horse")
    imgpack("push", hello, f"{token_registry.host}/team/from:1").ok()
    before = sent_bodies(token_registry)
    into = f"{token_registry.host}/team/into:1"
    imgpack("push", hello, into, "--mount-from", "team/from").ok()
    assert sent_bodies(token_registry) == before
    scopes = {scope for request in token_server.requests for scope in request.scopes}
    assert "repository:team/from:pull" in scopes


def test_tls_is_verified(
    registry: Registry, authority: Authority, imgpack: Imgpack, hello: str, tmp_path: Path
) -> None:
    """An unknown authority is refused with code 17; there are three ways to make it known."""
    prefix = named_loopback(NAME, tmp_path)
    pair = authority.issue("registry")
    trusted = str(authority.certificate)
    with nginx_gateway(tmp_path / "nginx", registry, tls=pair) as gateway:
        reference = f"{NAME}:{gateway.port}/tls/hello:1"
        refused = imgpack("push", hello, reference, prefix=prefix)
        assert NAME in refused.failed(17)
        imgpack("push", hello, reference, "--ca-file", trusted, prefix=prefix).ok()
        by_environment = {"SSL_CERT_FILE": trusted}
        imgpack("pull", reference, "-o", "back.tar", prefix=prefix, env=by_environment).ok()
        unverified = imgpack("manifest", reference, "--tls-verify=false", prefix=prefix)
        assert unverified.ok() == imgpack("manifest", hello).ok()
        assert "imgpack: warning: " in unverified.err
    assert manifest_digest(imgpack, "back.tar") == manifest_digest(imgpack, hello)


def test_a_registry_that_does_not_know_of_its_tls_is_pushed_to_all_the_same(
    registry: Registry, authority: Authority, imgpack: Imgpack, hello: str, tmp_path: Path
) -> None:
    """Its Locations say http; the bytes go over https."""
    prefix = named_loopback(NAME, tmp_path)
    with nginx_gateway(
        tmp_path / "nginx", registry, tls=authority.issue("unaware"), forwards_scheme=False
    ) as gateway:
        reference = f"{NAME}:{gateway.port}/unaware/hello:1"
        trusted = ("--ca-file", str(authority.certificate))
        pushed = imgpack("-v", "push", hello, reference, *trusted, prefix=prefix)
        pushed.ok()
        imgpack("pull", reference, "-o", "back.tar", *trusted, prefix=prefix).ok()
    assert f"PUT https://{NAME}" in pushed.err
    assert "http://" not in pushed.err
    assert manifest_digest(imgpack, "back.tar") == manifest_digest(imgpack, hello)


def test_a_body_limit_is_got_round_by_chunks(
    registry: Registry, imgpack: Imgpack, tmp_path: Path
) -> None:
    """nginx answers 413 to a large body; the layer arrives in smaller ones."""
    tree = make_small_tree(imgpack.directory / "rootfs", small="x")
    (tree / "noise").write_bytes(os.urandom(24 << 20))
    imgpack("build", "rootfs", "-t", "large:1", "-o", "large.tar").ok()
    with nginx_gateway(tmp_path / "nginx", registry, body_limit="10m") as gateway:
        imgpack("push", "large.tar", f"{gateway.host}/limited/large:1").ok()
        assert " 413 " in gateway.accesses
    assert registry.manifest("limited/large", "1").digest == manifest_digest(imgpack, "large.tar")


def test_a_redirecting_storage_never_sees_the_credentials(
    basic_registry: Registry, imgpack: Imgpack, hello: str, home: Path, tmp_path: Path
) -> None:
    """Blobs are fetched from where the registry sends us, without its password."""
    with nginx_gateway(tmp_path / "nginx", basic_registry, redirecting=True) as gateway:
        write_credentials(home, gateway.host, "alice", "correct horse")
        reference = f"{gateway.host}/redirected/hello:1"
        imgpack("push", hello, reference).ok()
        imgpack("pull", reference, "-o", "back.tar").ok()
        fetched = gateway.storage_accesses.splitlines()
    assert len(fetched) >= 2
    assert all('authorization="-"' in line or 'authorization=""' in line for line in fetched)
    assert manifest_digest(imgpack, "back.tar") == manifest_digest(imgpack, hello)


def test_an_index_in_an_index_and_a_chart_come_back_as_they_were(
    registry: Registry, imgpack: Imgpack
) -> None:
    """A real registry takes them, child before parent, and every document stays what it is."""
    inner = make_index(make_image(b"1", oci=True), make_artifact(b"note"))
    arm = make_image(b"2", platform="linux/arm64", oci=True)
    outer = make_index(inner, arm, make_artifact(b"chart"))
    write_archive(imgpack.directory / "nested.tar", outer, "nested:1")
    reference = f"{registry.host}/nested/all:1"
    imgpack("push", "nested.tar", reference).ok()
    assert registry.manifest("nested/all", "1", mediatype.OCI_INDEX).body == outer.index.raw
    imgpack("pull", reference, "-o", "back.tar").ok()
    with open_images(str(imgpack.directory / "back.tar")) as opened:
        back = opened.image().image
        assert [one.document.raw for one in walk(back)] == [one.document.raw for one in walk(outer)]
        assert verify_images([back], "back.tar") == len(plan([Named(back)]).blobs)
    argv = [require("skopeo"), "--override-arch=arm64", "inspect", "--raw", "--config"]
    config = run([*argv, "--tls-verify=false", f"docker://{reference}"]).stdout
    assert json.loads(config)["architecture"] == "arm64"


def test_what_an_index_names_by_an_unknown_type_comes_back_as_it_was(
    registry: Registry, imgpack: Imgpack
) -> None:
    """A real registry takes it for a blob, and the index that names it for whole."""
    image, raw = make_image(b"1", oci=True), b'{"unknown":1}'
    unknown = Descriptor("application/vnd.example.unknown+json", Digest.of(raw), len(raw))
    whole = make_index(image, Opaque(unknown, RawBlob(raw)))
    write_archive(imgpack.directory / "opaque.tar", whole, "opaque:1")
    reference = f"{registry.host}/opaque:1"
    out = imgpack("push", "opaque.tar", reference).ok().decode()
    assert out == f"{reference}@{whole.index.descriptor.digest}\n"
    imgpack("pull", reference, "-o", "back.tar").ok()
    with open_images(str(imgpack.directory / "back.tar")) as opened:
        back = opened.image().image
        assert back.document.descriptor == whole.index.descriptor
        assert b"".join(opened.read_blob(unknown)) == raw


def test_a_registry_that_is_not_there_is_named(imgpack: Imgpack, hello: str) -> None:
    """Code 16 and the host."""
    assert "127.0.0.1:9" in imgpack("push", hello, "127.0.0.1:9/nobody/home:1").failed(16)


def test_what_is_not_in_the_registry_is_named(registry: Registry, imgpack: Imgpack) -> None:
    """Code 20, the reference, and no file left behind."""
    reference = f"{registry.host}/not/there:1"
    assert "not/there" in imgpack("pull", reference, "-o", "out.tar").failed(20)
    assert os.listdir(imgpack.directory) == []


def test_a_killed_push_can_be_repeated(imgpack: Imgpack, tmp_path: Path) -> None:
    """Killed at any point, no tag points at half an image, and the next push completes it."""
    for number in range(3):
        tree = make_small_tree(imgpack.directory / f"layer{number}", **{f"f{number}": "x"})
        (tree / f"noise{number}").write_bytes(os.urandom(4 << 20))
    imgpack("build", "layer0", "layer1", "layer2", "-t", "big:1", "-o", "big.tar").ok()
    digest = manifest_digest(imgpack, "big.tar")
    with docker_registry(tmp_path / "registry") as registry:
        reference = f"{registry.host}/killed/big:1"
        began = time.monotonic()
        imgpack("push", "big.tar", f"{registry.host}/whole/big:1").ok()
        whole, dice = time.monotonic() - began, random.Random(1)
        for number in range(8):
            # The later half of a run is where the bytes go.
            pushing = imgpack.start("push", "big.tar", f"{registry.host}/killed/big:1")
            time.sleep(whole * dice.uniform(0.1 if number % 2 else 0.5, 1.0))
            pushing.send_signal(signal.SIGKILL)
            pushing.communicate()
            found = registry.manifest("killed/big", "1")
            assert found.status == 404 or found.digest == digest
        imgpack("push", "big.tar", reference).ok()
        imgpack("pull", reference, "-o", "back.tar").ok()
        assert manifest_digest(imgpack, "back.tar") == digest


def test_the_pulled_tree_is_the_source_tree(
    registry: Registry, podman: Podman, imgpack: Imgpack, edge: Built
) -> None:
    """Through build, push, and another program's pull, nothing of the edge tree is lost."""
    reference = f"{registry.host}/whole/{edge.name}"
    imgpack("push", edge.archive, reference).ok()
    podman("pull", "--tls-verify=false", reference)
    place = podman("image", "mount", reference).decode().strip()
    try:
        assert differences(edge.source, describe(Path(place))) == []
    finally:
        podman("image", "unmount", reference)
