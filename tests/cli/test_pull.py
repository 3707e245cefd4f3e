"""``imgpack pull``, ``copy``, ``tags``, ``index`` and ``rm`` as a user meets them."""

import json
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import Descriptor, Digest, Image, ImageConfig, ImageIndex, Index, Named
from imgpack.errors import (
    ConfigError,
    DigestError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    UnauthorizedError,
    UnreachableError,
    UnsupportedError,
)
from imgpack.image.image import walk
from imgpack.spec import mediatype
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.store.archive.write import open_writer
from imgpack.store.open import open_images
from tests.cli.archives import write_archive
from tests.cli_runner import Imgpack, InProcess
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import Memory, make_artifact, make_image, make_index, noise, push_to
from tests.registry.test_pull import add_signed_index


@pytest.fixture
def image() -> Image:
    """Two layers."""
    return make_image(b"one" * 100, noise(100_000))


def test_pull_writes_the_archive_that_was_pushed(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Byte for byte; the default output is called after the repository."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/x/app:1")
        imgpack_here("push", "a.tar").ok()
        out = imgpack_here("pull", f"{registry.host}/x/app:1").ok().decode()
        assert out == f"{registry.host}/x/app:1@{image.manifest.descriptor.digest}\n"
        assert (tmp_path / "app.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()


def test_pull_can_stream_and_write_layouts(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``-o -`` is the archive on standard output, and nothing else."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        reference = f"{registry.host}/app:1"
        imgpack_here("pull", reference, "-o", "a.tar").ok()
        assert imgpack_here("pull", reference, "-o", "-").ok() == (tmp_path / "a.tar").read_bytes()
        imgpack_here("pull", reference, "-o", "layout/").ok()
        with open_images(str(tmp_path / "layout")) as opened:
            assert opened.image().image.document.raw == image.manifest.raw


def test_only_a_stream_needs_a_directory_for_temporary_files(
    imgpack_here: InProcess, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only file system, a pull to a volume works."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        reference = f"{registry.host}/app:1"
        imgpack_here("pull", reference, "-o", "a.tar").ok()
        imgpack_here("copy", reference, "./b.tar").ok()
        imgpack_here("inspect", reference).ok()
        for command in (("pull", reference, "-o", "-"), ("copy", reference, "-")):
            assert "let TMPDIR name one" in imgpack_here(*command).failed(14)


def test_an_empty_output_is_no_default(imgpack_here: InProcess, image: Image) -> None:
    """A variable that is not set must not choose a name."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        line = imgpack_here("pull", f"{registry.host}/app:1", "-o", "").failed(14)
        assert "the output has an empty name" in line


def test_a_pull_that_fails_leaves_nothing(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Neither the output nor a temporary."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        layer = image.manifest.layers[1]
        registry.content[str(layer.digest)] = b"\0" * layer.size
        imgpack_here("pull", f"{registry.host}/app:1").failed(DigestError.exit_code)
        assert list(tmp_path.iterdir()) == []


def test_a_failed_pull_keeps_what_was_there(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """An older archive survives."""
    (tmp_path / "app.tar").write_bytes(b"older")
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        registry.misbehave("GET", "blobs", faults.answer(403, "DENIED"), times=None)
        assert imgpack_here("pull", f"{registry.host}/app:1").code != 0
    assert (tmp_path / "app.tar").read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


def test_one_platform_of_several(imgpack_here: InProcess, tmp_path: Path) -> None:
    """``--platform``; a wrong one is told with the right ones."""
    index = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry:
        push_to(registry.host, index, "app:1")
        reference = f"{registry.host}/app:1"
        out = imgpack_here("pull", reference, "--platform", "linux/arm64").ok().decode()
        assert str(index.members[1].manifest.descriptor.digest) in out
        line = imgpack_here("pull", reference, "--platform", "linux/s390x").failed(
            NotFoundError.exit_code
        )
        assert "linux/amd64, linux/arm64" in line


def test_pull_can_rename(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """``-t NAME`` instead of the registry's name."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        imgpack_here("pull", f"{registry.host}/app:1", "-o", "a.tar", "-t", "mine:2").ok()
    with open_images(str(tmp_path / "a.tar")) as opened:
        assert [name.shown() for name in opened.roots[0].names] == ["mine:2"]


# copy


def test_copy_goes_any_way(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """Archive, registry, other registry, layout, archive: the manifest stays what it is."""
    with HostileRegistry() as one, HostileRegistry() as two:
        write_archive(tmp_path / "a.tar", image, "app:1")
        imgpack_here("copy", "a.tar", f"{one.host}/app:1").ok()
        imgpack_here("copy", f"{one.host}/app:1", f"{two.host}/other:2").ok()
        imgpack_here("copy", f"{two.host}/other:2", "layout/").ok()
        imgpack_here("copy", "layout/", "./b.tar").ok()
        assert two.incomplete() == []
        with open_images(str(tmp_path / "b.tar")) as opened:
            last = opened.image()
            assert last.image.document.raw == image.manifest.raw
            assert [name.shown() for name in last.names] == [f"{two.host}/other:2"]


def test_copy_within_a_registry_moves_no_layer(imgpack_here: InProcess, image: Image) -> None:
    """Every blob is mounted; nothing is downloaded but documents."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a:1")
        registry.requests.clear()
        out = imgpack_here("copy", f"{registry.host}/a:1", f"{registry.host}/b:2").ok().decode()
        assert out == f"{registry.host}/b:2@{image.manifest.descriptor.digest}\n"
        assert len(registry.sent("POST", "mount=")) == 3
        assert registry.sent("PUT", "uploads") == []
        assert len(registry.sent("GET", "blobs")) == 1
        assert registry.incomplete() == []


def test_copy_keeps_an_index_whole_or_takes_one_platform(imgpack_here: InProcess) -> None:
    """The default is everything."""
    index = make_index(make_image(b"1"), make_image(b"2", platform="linux/arm64"))
    with HostileRegistry() as registry:
        push_to(registry.host, index, "a:1")
        imgpack_here("copy", f"{registry.host}/a:1", f"{registry.host}/b:1").ok()
        assert registry.repository("b").tags["1"] == str(index.index.descriptor.digest)
        imgpack_here(
            "copy", f"{registry.host}/a:1", f"{registry.host}/c:1", "--platform", "linux/arm64"
        ).ok()
        child = index.members[1].manifest.descriptor.digest
        assert registry.repository("c").tags["1"] == str(child)
        assert registry.incomplete() == []


def test_copy_does_not_give_one_registrys_password_to_the_other(
    imgpack_here: InProcess, image: Image
) -> None:
    """``--creds`` is for the destination, ``--src-creds`` for the source."""
    with (
        HostileRegistry(auth="basic", password="source") as one,
        HostileRegistry(auth="basic", password="target") as two,
    ):
        one.habits.auth = ""
        push_to(one.host, image, "a:1")
        one.habits.auth = "basic"
        arguments = ("copy", f"{one.host}/a:1", f"{two.host}/a:1", "--creds", "user:target")
        assert imgpack_here(*arguments).code != 0
        assert not any("authorization" in r.headers for r in one.requests)
        imgpack_here(*arguments, "--src-creds", "user:source").ok()
        assert len({r.headers.get("authorization") for r in two.requests} - {None}) == 1
        assert two.incomplete() == []


def test_a_refused_registry_is_told_with_the_option_for_it(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``--creds``, ``--src-creds``, or none but a login; not one that is somebody else's."""
    with HostileRegistry(auth="basic", password="source") as one, HostileRegistry() as two:
        source, target = f"{one.host}/a:1", f"{two.host}/a:1"
        login = f"log in with imgpack login {one.host}"
        for command, hint in (
            (("pull", source), f"{login}, or give --creds"),
            (("copy", source, "x.tar"), f"{login}, or give --creds"),
            (("copy", source, target, "--creds", "user:x"), f"{login}, or give --src-creds"),
            (("copy", source, target), f"{login}, or give --src-creds"),
            (("index", "create", target, "--add", source, "--creds", "user:x"), login),
            (("index", "create", source, "--add", source), f"{login}, or give --creds"),
        ):
            line = imgpack_here(*command).failed(UnauthorizedError.exit_code)
            assert line.endswith(f"; {hint}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("copy", "a.tar", "localhost:1/a", "--src-creds", "user:x"), "a.tar is none"),
        (("copy", "localhost:1/a", "b.tar", "--mount-from", "x/y"), "b.tar is none"),
        (("copy", "localhost:1/a", "b/", "--allow-nondistributable"), "b/ is none"),
        (("copy", "localhost:1/a", "b.tar", "--src-creds", "u:x", "--creds", "u:x"), "either"),
        (("copy", "localhost:1/a", "localhost:1/b", "--src-creds", "u"), "--src-creds USER:PASS"),
    ],
)
def test_options_that_mean_nothing_are_usage_errors(
    imgpack_here: InProcess, tmp_path: Path, image: Image, arguments: tuple[str, ...], told: str
) -> None:
    """Rather than ignored."""
    write_archive(tmp_path / "a.tar", image, "a:1")
    assert told in imgpack_here(*arguments).failed(2)


@pytest.mark.parametrize(
    "arguments",
    [("pull", "localhost:1/a:1"), ("copy", "localhost:1/a:1", "x.tar"), ("tags", "localhost:1/a"),
     ("inspect", "localhost:1/a:1"), ("rm", "localhost:1/a:1"),
     ("index", "create", "localhost:1/b", "--add", "localhost:1/a:1")],
)  # fmt: skip
def test_an_unreachable_registry_is_told_with_the_reference(
    imgpack_here: InProcess, arguments: tuple[str, ...]
) -> None:
    """Which says more than the registry's address."""
    line = imgpack_here(*arguments, "--retries", "0").failed(UnreachableError.exit_code)
    assert line.startswith("imgpack: error: localhost:1/a")


def test_a_nameless_copy_is_told_how_images_get_names(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``copy`` has no ``-t``."""
    write_archive(tmp_path / "a.tar", image)
    done = imgpack_here("copy", "a.tar", "b.tar")
    done.ok()
    assert "imgpack build -t and imgpack pull -t name it" in done.err


# tags, index, rm


def test_tags_are_listed(imgpack_here: InProcess, image: Image) -> None:
    """One a line, or as JSON."""
    with HostileRegistry(page=2) as registry:
        push_to(registry.host, image, *(f"a/b:{n}" for n in range(5)))
        name = f"{registry.host}/a/b"
        assert imgpack_here("tags", name).ok() == b"0\n1\n2\n3\n4\n"
        document = json.loads(imgpack_here("tags", name, "--json").ok())
        assert document == {"name": name, "tags": ["0", "1", "2", "3", "4"]}
        imgpack_here("tags", f"{name}:1").failed(InvalidReferenceError.exit_code)


def test_an_index_brings_images_from_other_repositories(imgpack_here: InProcess) -> None:
    """Mounted within the registry, copied from another one; annotated."""
    with HostileRegistry() as one, HostileRegistry() as two:
        push_to(one.host, make_image(noise(5000)), "amd:1")
        push_to(two.host, make_image(b"2", platform="linux/arm64"), "arm:1")
        one.requests.clear()
        imgpack_here(
            "index",
            "create",
            f"{one.host}/all:1",
            "--add",
            f"{one.host}/amd:1",
            "--add",
            f"{two.host}/arm:1",
            "--annotation",
            "org.opencontainers.image.title=all",
        ).ok()
        assert one.incomplete() == []
        kind, raw = one.repository("all").manifests[one.repository("all").tags["1"]]
        assert kind == "application/vnd.oci.image.index.v1+json"
        assert json.loads(raw)["annotations"] == {"org.opencontainers.image.title": "all"}
        assert len(one.sent("PUT", "uploads")) == 2


def test_an_index_takes_the_platforms_that_are_asked_for(imgpack_here: InProcess) -> None:
    """From an index that has more; one that nobody has is an error."""
    index = make_index(
        make_image(b"1"),
        make_image(b"2", platform="linux/arm64"),
        make_image(b"3", platform="linux/386"),
    )
    with HostileRegistry() as registry:
        push_to(registry.host, index, "a:1")
        new, source = f"{registry.host}/b:1", f"{registry.host}/a:1"
        arguments = ("index", "create", new, "--add", source)
        imgpack_here(*arguments, "--platform", "linux/arm64", "--platform", "linux/386").ok()
        _, raw = registry.repository("b").manifests[registry.repository("b").tags["1"]]
        architectures = [e["platform"]["architecture"] for e in json.loads(raw)["manifests"]]
        assert architectures == ["arm64", "386"]
        imgpack_here(*arguments, "--platform", "linux/s390x").failed(NotFoundError.exit_code)


def test_two_images_of_one_platform_make_no_index(imgpack_here: InProcess) -> None:
    """Which of them would be run is nobody's guess; the same one twice is no problem."""
    with HostileRegistry() as registry:
        push_to(registry.host, make_image(b"1"), "a:1")
        push_to(registry.host, make_image(b"2"), "a:2")
        one, two = f"{registry.host}/a:1", f"{registry.host}/a:2"
        new = f"{registry.host}/b:1"
        line = imgpack_here("index", "create", new, "--add", one, "--add", two)
        assert "linux/amd64" in line.failed(ConfigError.exit_code)
        imgpack_here("index", "create", new, "--add", one, "--add", one).ok()


def test_an_image_without_a_schema1_manifest_is_told_how_to_get_one(
    imgpack_here: InProcess,
) -> None:
    """The registry of today says 404 when only schema1 is asked for."""
    image = make_image(b"x", oci=True)
    with HostileRegistry() as registry:
        push_to(registry.host, image, "shown/one:1")
        name = f"{registry.host}/shown/one"
        asked = imgpack_here("manifest", f"{name}:1", "--schema1")
        told = asked.failed(UnsupportedError.exit_code)
        assert "answers no schema1 manifest" in told
        assert "imgpack manifest ARCHIVE --schema1" in told
        imgpack_here("manifest", f"{name}:2", "--schema1").failed(NotFoundError.exit_code)


def test_a_tag_is_removed(imgpack_here: InProcess, image: Image) -> None:
    """The name is printed; a second time it is not found."""
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a:1", "a:2")
        name = f"{registry.host}/a:1"
        assert imgpack_here("rm", name).ok().decode() == f"{name}\n"
        assert registry.repository("a").tags.keys() == {"2"}
        imgpack_here("rm", name).failed(NotFoundError.exit_code)


def test_a_tag_with_a_digest_is_removed_alone(imgpack_here: InProcess, image: Image) -> None:
    """The digest is checked, and nothing but the tag goes; where that cannot be, nothing does."""
    digest = image.document.descriptor.digest
    with HostileRegistry() as registry:
        push_to(registry.host, image, "a/b:1", "a/b:2")
        name = f"{registry.host}/a/b"
        wrong = imgpack_here("rm", f"{name}:1@sha256:{'0' * 64}")
        assert "nothing was deleted" in wrong.failed(DigestError.exit_code)
        assert imgpack_here("rm", f"{name}:1@{digest}").ok().decode() == f"{name}:1@{digest}\n"
        assert registry.repository("a/b").tags == {"2": str(digest)}
        registry.habits.deletes = False
        refused = imgpack_here("rm", f"{name}:2@{digest}").failed(RegistryError.exit_code)
        assert "does not delete tags" in refused
        assert f"imgpack rm {name}@{digest}" in refused


def test_rm_explains_what_a_registry_does_not_delete(imgpack_here: InProcess, image: Image) -> None:
    """405 for a tag: by digest it may work; for a digest: the operator must allow it."""
    with HostileRegistry(deletes=False) as registry:
        push_to(registry.host, image, "a:1")
        pinned = f"{registry.host}/a@{image.manifest.descriptor.digest}"
        line = imgpack_here("rm", f"{registry.host}/a:1").failed(RegistryError.exit_code)
        assert f"imgpack rm {pinned}" in line
        line = imgpack_here("rm", pinned).failed(RegistryError.exit_code)
        assert "storage.delete.enabled" in line


def test_rm_wants_an_exact_name(imgpack_here: InProcess) -> None:
    """Nothing is deleted by a default tag."""
    imgpack_here("rm", "localhost:1/a").failed(InvalidReferenceError.exit_code)


def test_one_password_does_not_go_to_two_registries(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``--creds`` with names in several registries is a usage error."""
    with HostileRegistry() as one, HostileRegistry() as two:
        write_archive(tmp_path / "a.tar", image, "app:1")
        names = (f"{one.host}/a:1", f"{two.host}/a:1")
        for command in (("push", "a.tar"), ("rm",)):
            outcome = imgpack_here(*command, *names, "--creds", "user:secret")
            assert "--creds is for one registry" in outcome.failed(2)
        assert one.requests == two.requests == []


def test_attestations_stay_beside_what_they_attest(imgpack_here: InProcess) -> None:
    """Children of an unknown platform are kept, with the annotations that say whose they are."""
    image, note = make_image(b"1"), make_image(b"note", platform="unknown/unknown")
    entries = [
        replace(image.manifest.descriptor, platform=image.config.platform),
        replace(
            note.manifest.descriptor,
            platform=note.config.platform,
            annotations=(("vnd.docker.reference.type", "attestation-manifest"),),
        ),
    ]
    with HostileRegistry() as registry:
        push_to(registry.host, ImageIndex(build_index(entries), (image, note)), "a:1")
        push_to(registry.host, make_image(b"2", platform="linux/arm64"), "b:1")
        new = f"{registry.host}/c:1"
        added = ("--add", f"{registry.host}/a:1", "--add", f"{registry.host}/b:1")
        imgpack_here("index", "create", new, *added).ok()
        _, raw = registry.repository("c").manifests[registry.repository("c").tags["1"]]
        written = Index.parse(raw).manifests
        assert [str(entry.platform) for entry in written] == [
            "linux/amd64",
            "unknown/unknown",
            "linux/arm64",
        ]
        assert written[1].annotation("vnd.docker.reference.type") == "attestation-manifest"
        assert registry.incomplete() == []


def test_a_signed_index_goes_through_an_archive(imgpack_here: InProcess) -> None:
    """What is no image in it is still there when it is pushed from the archive."""
    image = make_image(b"one", oci=True)
    with HostileRegistry() as registry:
        index = add_signed_index(registry, image)
        for out in ("out.tar", "out/"):
            imgpack_here("pull", f"{registry.host}/a:signed", "-o", out).ok()
            name = f"{registry.host}/b:{'tar' if out == 'out.tar' else 'dir'}"
            pushed = imgpack_here("push", out, name).ok().decode()
            assert pushed.strip() == f"{name}@{index.descriptor.digest}"
        assert registry.incomplete() == []


def test_an_index_in_an_index_goes_any_way_byte_for_byte(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Registry, archive, layout, another registry: every document is what it was."""
    inner = make_index(make_image(b"1", oci=True), make_artifact(b"note"))
    outer = make_index(inner, make_image(b"2", platform="linux/arm64", oci=True))
    raws = [one.document.raw for one in walk(outer)]
    with HostileRegistry() as one, HostileRegistry() as two:
        push_to(one.host, outer, "a:1")
        imgpack_here("pull", f"{one.host}/a:1", "-o", "a.tar").ok()
        imgpack_here("copy", "a.tar", "layout/").ok()
        for path in ("a.tar", "layout"):
            with open_images(str(tmp_path / path)) as opened:
                assert [each.document.raw for each in walk(opened.image().image)] == raws
        out = imgpack_here("push", "layout/", f"{two.host}/b:1").ok().decode()
        assert out == f"{two.host}/b:1@{outer.index.descriptor.digest}\n"
        assert {raw for _, raw in two.repository("b").manifests.values()} == set(raws)
        assert two.incomplete() == []


def test_a_chart_is_carried_though_it_is_no_image(imgpack_here: InProcess, tmp_path: Path) -> None:
    """Between registries, and through a layout."""
    chart = make_artifact(b"templates")
    with HostileRegistry() as one, HostileRegistry() as two:
        push_to(one.host, chart, "charts/web:1")
        imgpack_here("copy", f"{one.host}/charts/web:1", f"{two.host}/web:1").ok()
        imgpack_here("copy", f"{one.host}/charts/web:1", "layout/").ok()
        imgpack_here("push", "layout/", f"{two.host}/web:2").ok()
        digest = str(chart.manifest.descriptor.digest)
        assert two.repository("web").tags == {"1": digest, "2": digest}
        assert two.incomplete() == []


def test_a_copied_layout_keeps_its_bare_tags(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """What other tools write for a name: a tag without a repository."""
    with open_writer(f"{tmp_path}/layout/") as writer:
        writer.write([Named(image, (), ("v1", "stable"))])
    for target in ("b.tar", "copied/"):
        imgpack_here("copy", "layout/", f"./{target}").ok()
        with open_images(str(tmp_path / target)) as opened:
            assert opened.image().labels == ("v1", "stable")
        imgpack_here("manifest", f"./{target}", "--image", "stable").ok()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_a_pull_stops_at_once_and_leaves_nothing(
    imgpack: Imgpack, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Four downloads that do not end: no output, no temporary, no traceback."""
    image = make_image(*(noise(200_000, seed) for seed in range(5)))
    waiting = threading.Event()

    with HostileRegistry() as registry:
        push_to(registry.host, image, "app:1")
        layers = "|".join(layer.digest.hex for layer in image.manifest.layers)
        registry.misbehave("GET", layers, faults.hold(waiting), times=None)
        process = imgpack.start("pull", f"{registry.host}/app:1")
        assert waiting.wait(20)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 6
        assert process.returncode == code, err
        assert out == b""
        assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_copy_says_what_it_replaces(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """An archive is never added to; a new one, a stream and a layout replace nothing."""
    write_archive(tmp_path / "a.tar", image, "app:1")
    assert imgpack_here("copy", "a.tar", "b.tar").err == ""
    told = "imgpack: warning: b.tar was there, and is replaced\n"
    assert imgpack_here("copy", "a.tar", "b.tar").err == told
    for target in ("lay/", "lay/", "-"):
        assert "replaced" not in imgpack_here("copy", "a.tar", target).err


def _beside(platform: str, layer_type: str, content: bytes) -> Image:
    """An image in name only, as cosign and BuildKit make them: its layers are no tars."""
    system, _, machine = platform.partition("/")
    layer = Descriptor(layer_type, Digest.of(content), len(content), (("org.example", "<1>"),))
    raw = json.dumps(
        {
            "architecture": machine,
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"}],
            "os": system,
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest)]},
            "config": {},
        }
    ).encode()
    config = ImageConfig.parse(raw)
    described = Descriptor(mediatype.OCI_CONFIG, config.digest, len(raw))
    manifest = build_manifest(described, [layer], mediatype.OCI_MANIFEST)
    return Image(manifest, config, Memory({layer.digest: content}))


def test_signatures_and_attestations_go_any_way_with_the_digests_they_had(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """cosign's tags and BuildKit's index: registry, archive, layout, another registry."""
    image = make_image(b"1", oci=True)
    note = _beside("unknown/unknown", "application/vnd.in-toto+json", b'{"_type":"statement"}')
    about = (
        ("vnd.docker.reference.digest", str(image.manifest.descriptor.digest)),
        ("vnd.docker.reference.type", "attestation-manifest"),
    )
    entries = [
        replace(image.manifest.descriptor, platform=image.config.platform),
        replace(note.manifest.descriptor, platform=note.config.platform, annotations=about),
    ]
    whole = ImageIndex(build_index(entries), (image, note))
    tag = str(whole.index.descriptor.digest).replace(":", "-")
    signed = {
        "1": whole,
        f"{tag}.sig": _beside("", "application/vnd.dev.cosign.simplesigning.v1+json", b'{"c":1}'),
        f"{tag}.att": _beside("", "application/vnd.dsse.envelope.v1+json", b'{"p":""}'),
    }
    with HostileRegistry() as one, HostileRegistry() as two:
        for name, what in signed.items():
            push_to(one.host, what, f"a/app:{name}")
            imgpack_here("pull", f"{one.host}/a/app:{name}", "-o", "a.tar").ok()
            imgpack_here("copy", "a.tar", "layout/").ok()
        imgpack_here("inspect", "layout/", "--verify").ok()
        for name, what in signed.items():
            target = f"{two.host}/b/app:{name}"
            out = imgpack_here("push", "layout/", target, "--image", name).ok().decode()
            assert out == f"{target}@{what.document.descriptor.digest}\n"
        assert two.incomplete() == []
        assert two.repository("b/app").manifests == one.repository("a/app").manifests
        assert two.repository("b/app").tags == one.repository("a/app").tags
        assert two.repository("b/app").blobs == one.repository("a/app").blobs
