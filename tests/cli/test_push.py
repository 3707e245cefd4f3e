"""``imgpack push`` as a user meets it."""

import json
import os
import random
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from imgpack.api import Image, Named, parse_name, remote_name
from imgpack.cli.options.transfer import upload_journal
from imgpack.errors import (
    ArchiveError,
    DigestError,
    DocumentError,
    InvalidReferenceError,
    RegistryError,
    SourceError,
    UnauthorizedError,
    UnreachableError,
)
from imgpack.spec import mediatype
from imgpack.spec.digest import EMPTY_LAYER
from imgpack.store.archive.write import open_writer
from tests.cli.archives import write_archive
from tests.cli_runner import Imgpack, InProcess
from tests.registry import faults
from tests.registry.hostile import HostileRegistry
from tests.registry.images import MIB, make_image, noise, push_to


@pytest.fixture
def image() -> Image:
    """Two layers and an entry without one."""
    return make_image(b"one" * 100, noise(3 * MIB), empty=True)


def test_an_archive_goes_to_the_names_that_it_holds(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Standard output is one line a name, with its digest, and nothing else."""
    with HostileRegistry() as registry:
        names = [f"{registry.host}/a/b:1", f"{registry.host}/c:latest"]
        write_archive(tmp_path / "a.tar", image, *names)
        out = imgpack_here("push", "a.tar").ok()
        digest = image.manifest.descriptor.digest
        assert sorted(out.decode().splitlines()) == sorted(f"{name}@{digest}" for name in names)
        assert registry.incomplete() == []


def test_given_references_count_instead(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``imgpack push ARCHIVE REF…``; without a tag it is latest."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/never:1")
        out = imgpack_here("push", "a.tar", f"{registry.host}/x", f"{registry.host}/y:2").ok()
        assert [line.partition("@")[0] for line in out.decode().splitlines()] == [
            f"{registry.host}/x:latest",
            f"{registry.host}/y:2",
        ]
        assert "never" not in registry.repositories


def test_pushing_again_moves_no_layer(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """And a layout directory pushes the same image as an archive."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        write_archive(f"{tmp_path}/layout/", image, f"{registry.host}/a:1")
        first = imgpack_here("push", "a.tar").ok()
        registry.requests.clear()
        assert imgpack_here("push", "layout/").ok() == first
        assert registry.sent("POST") == []


def test_the_metadata_file_says_everything(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Digests, sizes, media types, diff_ids and names, as JSON."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        imgpack_here("push", "a.tar", "--metadata-file", "m.json").ok()
        document = json.loads((tmp_path / "m.json").read_bytes())
        descriptor = image.manifest.descriptor
        assert document["published"] == [
            {
                "name": f"{registry.host}/a:1",
                "digest": str(descriptor.digest),
                "mediaType": descriptor.media_type,
                "size": descriptor.size,
            }
        ]
        (one,) = document["images"]
        assert [x["diff_id"] for x in one["layers"]] == [str(d) for d in image.config.diff_ids]
        assert one["config"]["digest"] == str(image.config.digest)


def test_schema1_goes_with_it(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """``--schema1`` adds a second line, and the empty layer."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        out = imgpack_here("push", "a.tar", "--schema1").ok().decode()
        assert [line.partition("@")[0] for line in out.splitlines()] == [
            f"{registry.host}/a:1",
            f"{registry.host}/a:1-schema1",
        ]
        assert str(EMPTY_LAYER) in registry.content


def test_a_dry_run_sends_nothing(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """What would be sent is said, on standard output."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        out = imgpack_here("push", "a.tar", "--dry-run").ok().decode()
        assert [line.split()[0] for line in out.splitlines()] == ["send"] * 3 + ["name"]
        assert {r.method for r in registry.requests} == {"HEAD"}


@pytest.mark.parametrize("short", [True, False])
def test_mount_from_takes_a_path_or_a_whole_name(
    imgpack_here: InProcess, tmp_path: Path, image: Image, short: bool
) -> None:
    """``--mount-from REPO`` is in the registry that is pushed to."""
    with HostileRegistry() as registry:
        for layer in image.manifest.layers:
            registry.add_blob("test2/base", image.source.blobs[layer.digest])  # type: ignore[attr-defined]
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        source = "test2/base" if short else f"{registry.host}/test2/base"
        imgpack_here("push", "a.tar", "--mount-from", source).ok()
        assert len(registry.sent("PUT", "uploads")) == 1


def test_by_digest_for_a_later_index(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """Two machines push by digest, a third joins: the index holds both platforms."""
    other = make_image(b"arm", platform="linux/arm64")
    with HostileRegistry() as registry:
        name = f"{registry.host}/app"
        lines = []
        for number, one in enumerate((image, other)):
            write_archive(tmp_path / f"{number}.tar", one, f"{name}:x")
            lines.append(imgpack_here("push", f"{number}.tar", "--by-digest").ok().decode().strip())
        assert registry.repository("app").tags == {}
        added = [part for line in lines for part in ("--add", line)]
        out = imgpack_here("index", "create", f"{name}:1", *added).ok().decode()
        assert out.startswith(f"{name}:1@sha256:")
        kind, raw = registry.repository("app").manifests[registry.repository("app").tags["1"]]
        platforms = [entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]]
        assert platforms == ["amd64", "arm64"]
        assert kind == "application/vnd.docker.distribution.manifest.list.v2+json"
        assert registry.incomplete() == []


# What goes wrong


def test_a_missing_archive_is_named(imgpack_here: InProcess) -> None:
    """Not taken for a reference."""
    outcome = imgpack_here("push", "gone.tar", "localhost:1/x")
    assert outcome.code in (SourceError.exit_code, ArchiveError.exit_code, 20)
    assert "gone.tar" in outcome.failed(outcome.code)


def test_an_archive_without_a_name_needs_a_reference(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """The hint says how."""
    write_archive(tmp_path / "a.tar", image)
    line = imgpack_here("push", "a.tar").failed(InvalidReferenceError.exit_code)
    assert "imgpack push ARCHIVE REF" in line


def test_a_damaged_archive_is_not_pushed(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """A flipped byte in a layer: no manifest is sent."""
    with HostileRegistry() as registry:
        path = tmp_path / "a.tar"
        write_archive(path, image, f"{registry.host}/a:1")
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        line = imgpack_here("push", "a.tar").failed(DigestError.exit_code)
        assert str(image.manifest.layers[1].digest) in line
        assert registry.sent("PUT", "manifests") == []


def test_an_unreachable_registry_is_named(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """With what to do about it."""
    with HostileRegistry() as registry:
        host = registry.host
    write_archive(tmp_path / "a.tar", image, f"{host}/a:1")
    line = imgpack_here("push", "a.tar", "--retries", "0").failed(UnreachableError.exit_code)
    assert host in line


def test_what_landed_is_printed_though_the_rest_fails(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Another registry that is not there; then schema1, which this one does not take."""
    digest = image.manifest.descriptor.digest
    write_archive(tmp_path / "a.tar", image)
    with HostileRegistry() as registry:
        first = f"{registry.host}/a1:9"
        done = imgpack_here("push", "a.tar", first, "localhost:1/x:1", "--retries", "0")
        assert "localhost:1/x: " in done.failed(UnreachableError.exit_code)
        assert done.out.decode() == f"{first}@{digest}\n"
    with HostileRegistry() as registry:
        registry.misbehave("PUT", "schema1", faults.with_status(415), times=None)
        done = imgpack_here("push", "a.tar", f"{registry.host}/a1:9", "--schema1")
        done.failed(RegistryError.exit_code)
        assert done.out.decode() == f"{registry.host}/a1:9@{digest}\n"


def test_a_reader_that_goes_away_does_not_stop_a_push(
    imgpack: Imgpack, tmp_path: Path, image: Image
) -> None:
    """``imgpack push … | head -1``: every name is pushed all the same."""
    write_archive(tmp_path / "a.tar", image)
    with HostileRegistry() as registry:
        names = [f"{registry.host}/a:{number}" for number in range(3)]
        done = imgpack("push", "a.tar", *names, prefix=("sh", "-c", 'exec "$@" >/dev/full', "sh"))
        assert "standard output" in done.failed(14)
        assert registry.repository("a").tags.keys() == {"0", "1", "2"}


def test_a_schema1_manifest_replaces_nothing_else(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """Neither the image's own tag nor the schema1 manifest of another image."""
    with HostileRegistry() as registry:
        name = f"{registry.host}/a"
        write_archive(tmp_path / "a.tar", image)
        for arguments in (
            (f"{name}:1", "--schema1-tag", "1"),
            (f"{name}:1", f"{name}:1-schema1"),
        ):
            line = imgpack_here("push", "a.tar", *arguments, "--schema1").failed(2)
            assert "would replace what else is pushed to" in line
        assert registry.requests == []
        imgpack_here(
            "push", "a.tar", f"{name}:1", f"{name}:2", "--schema1", "--schema1-tag", "s"
        ).ok()


def test_two_images_do_not_share_a_schema1_tag(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """The second manifest would replace the first."""
    with HostileRegistry() as registry:
        with open_writer(str(tmp_path / "two.tar")) as writer:
            writer.write(
                [
                    Named(one, (parse_name(f"{registry.host}/a:{number}"),))
                    for number, one in enumerate((image, make_image(b"other")))
                ]
            )
        arguments = ("push", "two.tar", "--schema1")
        line = imgpack_here(*arguments, "--schema1-tag", "s").failed(2)
        assert "would replace what else is pushed to" in line
        assert registry.requests == []
        imgpack_here(*arguments).ok()
        assert registry.repository("a").tags.keys() == {"0", "1", "0-schema1", "1-schema1"}


def test_a_tag_that_is_left_out_is_told(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """``--by-digest`` pushes none; a digest that is another image's is an error as ever."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image)
        done = imgpack_here("push", "a.tar", f"{registry.host}/a:1", "--by-digest")
        done.ok()
        assert f"{registry.host}/a:1: --by-digest pushes no tag, so '1' is left out" in done.err
        other = f"{registry.host}/a@{EMPTY_LAYER}"
        imgpack_here("push", "a.tar", other, "--by-digest").failed(DocumentError.exit_code)


def test_a_foreign_layer_goes_from_an_archive_if_it_may(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """It is pulled with the rest, and a warning names the option that sends it."""
    layers = [layer.as_json() for layer in image.manifest.layers]
    layers[0] |= {"mediaType": mediatype.DOCKER_FOREIGN_LAYER_GZIP, "urls": ["https://a.test/"]}
    raw = json.dumps(json.loads(image.manifest.raw) | {"layers": layers}).encode()
    with HostileRegistry() as registry, HostileRegistry() as other:
        push_to(registry.host, image, "a/b:plain")
        registry.add_manifest("a/b", raw, image.manifest.media_type, "1")
        archive = str(tmp_path / "f.tar")
        imgpack_here("pull", f"{registry.host}/a/b:1", "-o", archive).ok()
        imgpack_here("inspect", "--verify", archive).ok()
        warned = imgpack_here("push", archive, f"{other.host}/a/b:1")
        assert "--allow-nondistributable" in warned.err
        digest = layers[0]["digest"]
        assert digest not in other.repository("a/b").blobs
        imgpack_here("push", archive, f"{other.host}/a/b:1", "--allow-nondistributable").ok()
        assert digest in other.repository("a/b").blobs


@pytest.mark.parametrize(
    ("command", "text", "told"),
    [
        (("push", "a.tar"), "localhost:5601", "localhost:5601 names a registry and no repository"),
        (("push", "a.tar"), "127.0.0.1:5601", "127.0.0.1:5601 names a registry and no repository"),
        (("tags",), "registry.test:5000", "write registry.test:5000/REPOSITORY"),
        (("rm",), "[::1]:5000", "names a registry and no repository"),
        (("pull",), "node.js:18", "(or docker.io/library/node.js:18, if that is meant)"),
        (("pull",), "docker://localhost:1/a", "leave out the scheme"),
        (("push", "a.tar"), "oci://localhost:1/a", "leave out the scheme"),
    ],
)
def test_names_that_are_none_are_told_before_anything_is_asked(
    imgpack_here: InProcess, tmp_path: Path, image: Image,
    command: tuple[str, ...], text: str, told: str,
) -> None:  # fmt: skip
    """A registry without a repository is no image on Docker Hub."""
    write_archive(tmp_path / "a.tar", image)
    assert told in imgpack_here(*command, text).failed(InvalidReferenceError.exit_code)


def test_a_plain_name_and_a_number_are_a_name_and_a_tag() -> None:
    """As everywhere else."""
    assert remote_name("app:5000").shown() == "app:5000"
    assert remote_name("docker.io/library/node.js:18").tag == "18"


def test_wrong_credentials_are_told_without_showing_them(
    imgpack_here: InProcess, tmp_path: Path, image: Image
) -> None:
    """The password is nowhere in the output; the right one works."""
    with HostileRegistry(auth="basic") as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        outcome = imgpack_here("-v", "push", "a.tar", "--creds", "user:hunter22")
        assert "hunter22" not in outcome.err
        outcome.failed(UnauthorizedError.exit_code)
        imgpack_here("push", "a.tar", "--creds", "user:secret").ok()
        assert registry.incomplete() == []


def test_a_web_server_is_told_apart(imgpack_here: InProcess, tmp_path: Path, image: Image) -> None:
    """200 to everything is no push."""
    with HostileRegistry() as registry:
        registry.misbehave("GET|HEAD|POST|PUT|PATCH", "", faults.yes, times=None)
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        imgpack_here("push", "a.tar").failed(RegistryError.exit_code)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--schema1-tag", "x"),
        ("--schema1", "--by-digest"),
        ("--mount-from", "a/b", "--no-mount"),
        ("--jobs", "0"),
        ("--chunk-size", "0"),
        ("--platform", "nonsense", "x", "y"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(
    imgpack_here: InProcess, tmp_path: Path, image: Image, arguments: tuple[str, ...]
) -> None:
    """Before anything is sent."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        assert imgpack_here("push", "a.tar", *arguments).code in (2, 7)
        assert registry.requests == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a.tar", "--metadata-file", "a.tar"), 14, "is a.tar, or lies in it"),
        (("a.tar", "--metadata-file", "link"), 14, "is a.tar, or lies in it"),
        (("lay/", "--metadata-file", "lay/index.json"), 14, "is lay/, or lies in it"),
        (("a.tar", "--metadata-file", "lay"), 14, "is a directory"),
        (("a.tar", "--metadata-file", "missing/m"), 14, "cannot write missing/m"),
        (("a.tar", "--metadata-file", "m", "--dry-run"), 2, "--dry-run"),
        (("a.tar", "--metadata-file", ""), 2, "is no file"),
        (("a.tar", "--metadata-file", "-"), 2, "is no file"),
        (("a.tar", "--schema1", "--signing-key", "k", "--metadata-file", "k"), 14, "is k, or"),
    ],
)
def test_a_metadata_file_that_cannot_be_one_is_told_before_the_push(
    imgpack_here: InProcess, tmp_path: Path, image: Image,
    arguments: tuple[str, ...], code: int, words: str,
) -> None:  # fmt: skip
    """Nothing is sent, and the archive is what it was."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        write_archive(f"{tmp_path}/lay/", image, f"{registry.host}/a:1")
        (tmp_path / "link").symlink_to("a.tar")
        before = (tmp_path / "a.tar").read_bytes(), (tmp_path / "lay/index.json").read_bytes()

        assert words in imgpack_here("push", *arguments).failed(code)

        assert registry.requests == []
    assert before == ((tmp_path / "a.tar").read_bytes(), (tmp_path / "lay/index.json").read_bytes())
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "lay", "link"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_once(
    imgpack: Imgpack, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """In the middle of four uploads to a registry that takes its time."""
    image = make_image(*(noise(200_000, seed) for seed in range(6)))
    waiting = threading.Event()

    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        registry.misbehave("PUT", "uploads", faults.hold(waiting), times=None)
        process = imgpack.start("push", "a.tar")
        assert waiting.wait(20)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 6
        assert process.returncode == code, err
        assert out == b""
        assert b"Traceback" not in err
        assert registry.repository("a").tags == {}


@pytest.mark.parametrize("habits", [{}, {"strict_state": True}, {"keep_sessions": False}], ids=str)
def test_a_killed_push_can_be_repeated(
    imgpack: Imgpack, tmp_path: Path, habits: dict[str, object]
) -> None:
    """SIGKILL at a random number of bytes, several times; the last run ends with the image."""
    image = make_image(noise(2 * MIB, 1), noise(3 * MIB, 2), b"small")
    dice = random.Random(str(habits))
    with HostileRegistry(**habits) as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        for _ in range(3):
            reached, killed = threading.Event(), threading.Event()
            bound = dice.randrange(1, 4 * MIB)

            def kill_at(
                exchange: faults.Exchange,
                bound: int = bound,
                reached: threading.Event = reached,
                killed: threading.Event = killed,
            ) -> bool:
                session = exchange.record.path.rpartition("/")[2]
                upload = registry.uploads.get(session)
                if upload is not None:
                    upload.data += exchange.body(bound)
                reached.set()
                killed.wait(20)
                return exchange.reset()

            registry.misbehave("PUT|PATCH", "uploads|manifests", kill_at, times=1)
            process = imgpack.start("push", "a.tar", "--retries", "0")
            while not reached.wait(0.02) and process.poll() is None:
                pass  # it may have nothing more to send, and end
            process.kill()
            process.communicate(timeout=20)
            killed.set()
            registry.faults.clear()
            assert registry.incomplete() == []
        digest = image.manifest.descriptor.digest
        out = imgpack("push", "a.tar").ok().decode()
        assert out == f"{registry.host}/a:1@{digest}\n"
        assert registry.repository("a").tags == {"1": str(digest)}
        assert registry.incomplete() == []


def test_an_interrupted_upload_goes_on_in_the_next_process(
    imgpack: Imgpack, tmp_path: Path, home: Path
) -> None:
    """Killed after 1 MiB of 3: the second run sends the other two. ``--no-resume`` does not."""
    image = make_image(noise(3 * MIB, 1))
    size = image.manifest.layers[0].size
    for options, expected in (((), size - MIB), (("--no-resume",), size)):
        with HostileRegistry() as registry:
            reached = threading.Event()

            def half(exchange: faults.Exchange, reached: threading.Event = reached) -> bool:
                upload = exchange.registry.uploads[exchange.record.path.rpartition("/")[2]]
                upload.data += exchange.body(MIB)
                reached.set()
                time.sleep(0.3)
                return exchange.reset()

            write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
            registry.misbehave("PUT", "uploads", half)
            process = imgpack.start("push", "a.tar", *options)
            assert reached.wait(20)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=20)
            registry.requests.clear()
            imgpack("push", "a.tar", *options).ok()
            most = max(r.received for r in registry.requests)
            assert most == expected
            assert registry.incomplete() == []
    for directory, _, files in os.walk(home):
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600


def test_a_user_without_a_home_pushes_without_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to a directory called ``~``, nor to the root."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")

    assert upload_journal() is None


def _several(tmp_path: Path, host: str) -> tuple[Image, Image, Image]:
    """A layout of three images: two with names, one without."""
    images = make_image(b"one"), make_image(b"two"), make_image(b"three")
    named = [
        Named(images[0], (parse_name(f"{host}/old/a:1"), parse_name(f"{host}/old/a:2"))),
        Named(images[1], (parse_name("b:3"),)),
        Named(images[2]),
    ]
    with open_writer(f"{tmp_path}/several/") as writer:
        writer.write(named)
    return images


def test_all_images_go_to_another_repository_under_their_tags(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """One without a tag goes there by its digest; nothing goes where the names say."""
    with HostileRegistry() as registry:
        images = _several(tmp_path, registry.host)
        target = f"{registry.host}/mirror/all"
        out = imgpack_here("push", "several", "--all", "--repository", target).ok().decode()
        digests = [image.manifest.descriptor.digest for image in images]
        assert sorted(out.splitlines()) == sorted(
            [
                f"{target}:1@{digests[0]}",
                f"{target}:2@{digests[0]}",
                f"{target}:3@{digests[1]}",
                f"{target}@{digests[2]}",
            ]
        )
        assert list(registry.repositories) == ["mirror/all"]


def test_a_tag_of_two_images_is_refused_in_one_repository(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Before anything is sent."""
    with HostileRegistry() as registry:
        one, two = make_image(b"one"), make_image(b"two")
        with open_writer(f"{tmp_path}/l/") as writer:
            writer.write([Named(one, (parse_name("a:1"),)), Named(two, (parse_name("b:1"),))])
        said = imgpack_here("push", "l", "--repository", f"{registry.host}/c").failed(7)
        assert f"{registry.host}/c:1 is to name two images" in said
        assert registry.repositories == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--all", "x.example/y:1"), "leave out x.example/y:1"),
        (("--repository", "x.example/y", "x.example/z"), "leave out x.example/z"),
        (("--all", "--image", "foo"), "--all and --image contradict"),
        (("--repository", "x.example/y:1"), "write x.example/y"),
    ],
)
def test_what_contradicts_all_images_is_refused(
    imgpack_here: InProcess, tmp_path: Path, image: Image, arguments: tuple[str, ...], said: str
) -> None:
    """Names are kept, or given."""
    write_archive(tmp_path / "a.tar", image, "foo:1")
    assert said in imgpack_here("push", "a.tar", *arguments).failed(2)


def test_an_archive_comes_from_standard_input(
    imgpack: Imgpack, tmp_path: Path, image: Image
) -> None:
    """``imgpack build … -o - | imgpack push - REF``, or to the names that it holds."""
    with HostileRegistry() as registry:
        write_archive(tmp_path / "a.tar", image, f"{registry.host}/a:1")
        archive = (tmp_path / "a.tar").read_bytes()
        digest = image.manifest.descriptor.digest
        for arguments, name in ((), "a:1"), ((f"{registry.host}/b:2",), "b:2"):
            out = imgpack("push", "-", *arguments, stdin=archive).ok().decode()
            assert out == f"{registry.host}/{name}@{digest}\n"
