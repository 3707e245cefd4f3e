"""A base is the same base whoever wrote it down, and wherever it is."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.bases import (
    COMMITTED,
    TOOL,
    changed,
    commit,
    import_tree,
    make_alpine,
    make_application,
    started,
    timeless,
)
from tests.interop.trees import differences
from tests.servers.distribution import Registry
from tests.servers.engine import Engine, Podman
from tests.servers.process import require, require_root, run

NAME = "localhost/proof/written:base"
SKOPEO = ("--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false")


def skopeo(*arguments: str) -> None:
    """``skopeo copy``."""
    run([require("skopeo"), *SKOPEO, *arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base and the application are, each made once."""
    place = tmp_path_factory.mktemp("written")
    make_alpine(place / "tree")
    make_application(place / "app", place / "tree/etc/passwd")
    return place


@pytest.fixture(scope="module")
def saved(engine: Engine, place: Path) -> Path:
    """A base of three layers as ``docker save`` writes it."""
    import_tree(engine, place / "tree", NAME)
    for script in COMMITTED:
        commit(engine, NAME, script, NAME)
    engine("save", "-o", str(place / "docker.tar"), NAME)
    return place / "docker.tar"


def by_docker(_: Podman, saved: Path) -> Path:
    """What ``docker save`` wrote."""
    return saved


def by_podman(podman: Podman, saved: Path) -> Path:
    """``podman save``, in its first format."""
    return _podman_saves(podman, saved, "docker-archive")


def by_podman_as_oci(podman: Podman, saved: Path) -> Path:
    """``podman save``, in its other format."""
    return _podman_saves(podman, saved, "oci-archive")


def _podman_saves(podman: Podman, saved: Path, kind: str) -> Path:
    written = saved.parent / f"podman-{kind}.tar"
    if written.exists():
        return written  # podman adds to no archive
    podman("load", "-i", str(saved))
    podman("save", "-q", "--format", kind, "-o", str(written), NAME)
    return written


def by_skopeo(_: Podman, saved: Path) -> Path:
    """``skopeo copy`` to a docker-archive."""
    written = saved.parent / "skopeo.tar"
    if not written.exists():
        skopeo(f"docker-archive:{saved}", f"docker-archive:{written}:{NAME}")
    return written


def by_skopeo_as_oci(_: Podman, saved: Path) -> Path:
    """``skopeo copy`` to an oci-archive, which has layers compressed by skopeo."""
    written = saved.parent / "skopeo-oci.tar"
    skopeo(f"docker-archive:{saved}", f"oci-archive:{written}:base")
    return written


def by_skopeo_as_layout(_: Podman, saved: Path) -> Path:
    """``skopeo copy`` to an OCI layout."""
    written = saved.parent / "skopeo-layout"
    skopeo(f"docker-archive:{saved}", f"oci:{written}:base")
    return written


def by_buildah(podman: Podman, saved: Path) -> Path:
    """``buildah commit`` of a container that has one thing more."""
    storage = saved.parent / "buildah"
    buildah = [require("buildah"), "--storage-driver", "vfs"]
    buildah += ["--root", str(storage / "root"), "--runroot", str(storage / "run")]
    (saved.parent / "auth.json").write_text("{}")
    env = {**os.environ, "REGISTRY_AUTH_FILE": str(saved.parent / "auth.json")}
    source = f"docker-archive:{saved}"
    container = run([*buildah, "from", source], env=env).stdout.decode().strip()
    run(
        [*buildah, "copy", "-q", container, str(saved.parent / "tree/etc/issue"), "/etc/more"],
        env=env,
    )
    written = saved.parent / "buildah.tar"
    run([*buildah, "commit", "-q", container, f"oci-archive:{written}:base"], env=env)
    return written


def by_umoci(_: Podman, saved: Path) -> Path:
    """An OCI layout that umoci made, out of the tree of the lowest layer."""
    written = saved.parent / "umoci"
    umoci = require("umoci")
    run([umoci, "init", "--layout", str(written)])
    run([umoci, "new", "--image", f"{written}:base"])
    run([umoci, "insert", "--image", f"{written}:base", str(saved.parent / "tree"), "/"])
    return written


Writer = Callable[[Podman, Path], Path]
WRITERS = (
    *(by_docker, by_podman, by_podman_as_oci, by_skopeo, by_skopeo_as_oci),
    *(by_skopeo_as_layout, by_buildah, by_umoci),
)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_every_writers_base_is_built_on(
    engine: Engine, podman: Podman, imgpack: Imgpack, saved: Path, writer: Writer
) -> None:
    """What is built on it loads in docker and in podman, and runs."""
    base = writer(podman, saved)
    name = f"localhost/proof/{writer.__name__}:app"
    imgpack("build", "--from", base, saved.parent / "app", "-t", name, "-o", "app.tar").ok()
    for loader in (engine, podman):
        loader("load", "-i", str(imgpack.directory / "app.tar"))
        said = loader.run(name, "/bin/sh", "-c", f"/{TOOL} cat /etc/app/app.conf /etc/issue")
        assert said == b"answer = 42\na base\n"


def built(
    imgpack: Imgpack,
    saved: Path,
    base: str | Path,
    *flags: str,
    prefix: tuple[str, ...] = (),
) -> tuple[str, str]:
    """The digests of the manifest and of the configuration of what is built on ``base``."""
    options = ("-t", "app:1", "-o", "app.tar", *flags)
    imgpack("build", "--from", base, saved.parent / "app", *options, prefix=prefix).ok()
    parts = (imgpack("manifest", "app.tar", *part).ok() for part in ((), ("--config",)))
    manifest, config = (hashlib.sha256(part).hexdigest() for part in parts)
    return manifest, config


@pytest.fixture
def reference(registry: Registry, saved: Path) -> str:
    """The base in a registry."""
    reference = f"{registry.host}/proof/base:1"
    skopeo("--format", "oci", f"docker-archive:{saved}", f"docker://{reference}")
    return reference


def test_it_is_one_image_wherever_its_base_is(
    reference: str, imgpack: Imgpack, saved: Path
) -> None:
    """In a registry, an archive or a layout that imgpack pulled, or that skopeo copied."""
    imgpack("pull", reference, "-o", "base.tar").ok()
    imgpack("pull", reference, "-o", "base/").ok()
    expected = built(imgpack, saved, reference)
    for base in ("base.tar", "base", "base:1"):
        assert built(imgpack, saved, base) == expected, base
    for kind in ("oci", "oci-archive"):
        target = f"{kind}:{imgpack.directory}/{kind}:1"
        skopeo("--preserve-digests", f"docker://{reference}", target)
        assert built(imgpack, saved, kind)[1] == expected[1]


def test_it_is_one_image_from_a_lock_without_network(
    reference: str, imgpack: Imgpack, saved: Path
) -> None:
    """With the base's layers at hand or without, in a network namespace that has nothing."""
    require_root("a network namespace")
    offline = (require("unshare"), "--net")
    expected = built(imgpack, saved, reference)
    imgpack("pull", reference, "-o", "base.tar").ok()
    for source in (reference, "base.tar"):
        imgpack("base", "lock", source, "-o", "base.lock").ok()
        for flags in (("--shallow",), ("--base-layers", "base.tar"), ("--shallow", "--no-cache")):
            assert built(imgpack, saved, "base.lock", *flags, prefix=offline) == expected, flags
    imgpack("base", "fetch", "base.lock").ok()
    assert built(imgpack, saved, "base.lock", prefix=offline) == expected


def test_a_shallow_image_goes_where_its_base_is(
    reference: str, registry: Registry, imgpack: Imgpack, podman: Podman, saved: Path
) -> None:
    """A push sends its own layers alone, and podman pulls all of it."""
    imgpack("base", "lock", reference, "-o", "base.lock").ok()
    built(imgpack, saved, "base.lock", "--shallow")
    name = f"{registry.host}/other/app:1"
    imgpack("push", "app.tar", name).ok()
    podman("pull", "-q", "--tls-verify=false", name)
    assert podman.run(name, "/bin/cat", "/etc/app/app.conf", "/etc/issue") == (
        b"answer = 42\na base\n"
    )


def test_it_is_one_configuration_whoever_saved_its_base(
    podman: Podman, imgpack: Imgpack, saved: Path
) -> None:
    """docker, podman and skopeo write the layers as they are, and imgpack compresses them."""
    expected = built(imgpack, saved, saved)
    for writer in (by_podman, by_skopeo):
        assert built(imgpack, saved, writer(podman, saved)) == expected, writer.__name__


UPPER = (
    "rm -r /opt/old /bin/linked; mkdir /opt/old; echo >/opt/old/new; mv /srv /srv2; rm /lib/apk -r;"
    "echo >/lib/apk; ln /etc/issue /etc/again; chmod 700 /var/lib; mkdir -p /a/b; chown 5:6 /a;"
    "ln -s /a/b /c; echo x >>/etc/motd; rm -r /usr/share; ln -s ../a /usr/share"
)


def test_what_a_container_changed_is_what_docker_commits(
    engine: Engine, imgpack: Imgpack, saved: Path
) -> None:
    """From the upper directory of its overlay, deletions and directories made anew and all."""
    wait = ("/bin/busybox", "sleep", "600")
    options = ("-t", "localhost/proof/upper:1", "-o", "upper.tar")
    with changed(engine, NAME, UPPER) as container:
        engine("commit", container, "localhost/proof/upper:committed")
        described = json.loads(engine("inspect", container))[0]
        upper = described["GraphDriver"]["Data"]["UpperDir"]
        imgpack("build", "--from", saved, "--overlay-upper", upper, *options).ok()
    engine.load(imgpack.directory / "upper.tar")
    found = []
    for tag in ("committed", "1"):
        create = ("create", "--network", "none", f"localhost/proof/upper:{tag}", *wait)
        with started(engine, engine(*create).decode().strip()) as place:
            found.append(timeless(place))
    assert differences(*found) == []
