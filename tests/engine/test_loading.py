"""What engines are sent, and what they have in the end."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import (
    Image,
    ImageIndex,
    Named,
    Platform,
    Published,
    images_in,
    load,
    loading,
    parse_name,
)
from imgpack.errors import DigestError, EngineError, NotFoundError, UnsupportedError
from imgpack.events import Meter, Silent
from imgpack.spec.format import Format
from tests.engine.fakes import Machine
from tests.registry.images import make_artifact
from tests.store.samples import LAYERS, Memory, make_image, make_multi, tar_of

FOO, BAR = parse_name("foo:1"), parse_name("localhost:5000/bar:2")
BASE, UPPER, OTHER = LAYERS[0], tar_of({"upper": b"u" * 5000}), tar_of({"other": b"o" * 5000})


class Telling(Silent):
    """A reporter that keeps warnings and details."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.details: list[str] = []

    def detail(self, message: str) -> None:
        """Keep it."""
        self.details.append(message)

    def warn(self, message: str, hint: object = "") -> None:
        """Keep it."""
        self.warnings.append(message)


class Measuring(Silent):
    """A reporter that is a meter as well, of all pieces of work."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done = self.ended = 0

    def begin(self, label: str, total: int | None) -> Meter:
        """Count it."""
        self.begun.append(label)
        return self

    def advance(self, count: int) -> None:
        """Add up."""
        self.done += count

    def end(self) -> None:
        """Count it."""
        self.ended += 1


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without engines."""
    return Machine(tmp_path)


def plain(layer: bytes) -> str:
    """What a layer without compression is called in an archive for docker."""
    return f"{hashlib.sha256(layer).hexdigest()}.tar"


def sent(machine: Machine, name: str, command: str) -> list[set[str]]:
    """Of each call the files that came in."""
    return [set(one["files"]) for one in machine.calls(name, command)]


def named(image: Image, *names: object) -> Named:
    """An image under names."""
    return Named(image, names or (FOO,))  # type: ignore[arg-type]


class TestDocker:
    """Docker with its classic store."""

    def test_it_gets_tar_streams_and_keeps_the_configuration(self, machine: Machine) -> None:
        """Under all names; the ID is the configuration's digest, whatever the compression was."""
        machine.install("docker")
        image = make_image(Memory(), [BASE, UPPER])
        loaded = load([named(image, FOO, BAR)], machine.find())
        assert [(one.name, one.id, one.engine) for one in loaded] == [
            (FOO, image.config.digest, "docker"),
            (BAR, image.config.digest, "docker"),
        ]
        config = f"{image.config.digest.hex}.json"
        (call,) = machine.calls("docker", "load")
        assert call["files"].keys() == {"manifest.json", config, plain(BASE), plain(UPPER)}
        assert call["files"][plain(UPPER)] == len(UPPER)
        assert machine.left() == []

    def test_what_it_has_is_neither_read_nor_sent(self, machine: Machine) -> None:
        """The second time no layer is, and of a neighbour only its own."""
        machine.install("docker")
        source = Memory()
        first, second = make_image(source, [BASE, UPPER]), make_image(source, [BASE, OTHER])
        engine = machine.find()
        load([named(first)], engine)
        source.reads.clear()
        load([named(first, BAR)], engine)
        assert source.reads == []
        load([named(second)], engine)
        assert source.reads == [second.manifest.layers[1].digest]
        layers = [
            {name for name in one if name.endswith(".tar")}
            for one in sent(machine, "docker", "load")
        ]
        assert layers == [{plain(BASE), plain(UPPER)}, set(), {plain(OTHER)}]

    def test_a_layer_of_two_images_is_sent_once(self, machine: Machine) -> None:
        """In one archive of both."""
        machine.install("docker")
        source = Memory()
        images = [make_image(source, [BASE, UPPER]), make_image(source, [BASE, OTHER])]
        load([named(images[0]), named(images[1], BAR)], machine.find())
        assert source.reads.count(images[0].manifest.layers[0].digest) == 1
        assert len(machine.calls("docker", "load")) == 1

    def test_a_layer_that_it_has_on_others_is_sent(self, machine: Machine) -> None:
        """It knows layers by all that is below."""
        machine.install("docker")
        engine = machine.find()
        load([named(make_image(Memory(), [BASE, UPPER]))], engine)
        load([named(make_image(Memory(), [UPPER, BASE]))], engine)
        assert {plain(BASE), plain(UPPER)} <= sent(machine, "docker", "load")[1]

    def test_an_image_that_is_deleted_meanwhile_is_sent_whole(self, machine: Machine) -> None:
        """The load fails over a layer that was there a moment before, and is done again."""
        store = machine.install("docker")
        image, telling = make_image(Memory(), [BASE, UPPER]), Telling()
        engine = machine.find()
        load([named(image)], engine)
        (store / "forgets").touch()
        (loaded,) = load([named(image)], engine, reporter=telling)
        assert loaded.id == image.config.digest
        first, lacking, whole = sent(machine, "docker", "load")
        assert whole == first > lacking
        assert telling.warnings == [
            "docker load failed: open /var/lib/docker/tmp/"
            f"{plain(BASE)}: no such file or directory; all is sent now, also what docker said "
            "to have"
        ]

    def test_a_layer_that_is_not_at_hand_is_no_loss_if_docker_has_it(
        self, machine: Machine
    ) -> None:
        """A shallow image loads where its base is, and nowhere else."""
        machine.install("docker")
        image = make_image(Memory(), [BASE, UPPER])
        shallow = replace(image, absent=frozenset([image.manifest.layers[0].digest]))
        with pytest.raises(UnsupportedError, match="does not hold the layer"):
            load([named(shallow)], machine.find())
        load([named(make_image(Memory(), [BASE]), BAR)], machine.find())
        assert load([named(shallow)], machine.find())[0].id == image.config.digest

    def test_a_layer_may_end_within_a_block(self, machine: Machine) -> None:
        """What follows it in the archive begins with the next one."""
        machine.install("docker")
        image = make_image(Memory(), [BASE + b"more", UPPER], compress=False)
        assert load([named(image)], machine.find())[0].id == image.config.digest

    @pytest.mark.parametrize("compress", [True, False])
    def test_damaged_bytes_end_the_load(self, machine: Machine, compress: bool) -> None:
        """It is the layer that is at fault, and no image is there."""
        store = machine.install("docker")
        image = make_image(source := Memory(), [BASE, UPPER], compress=compress)
        digest = image.manifest.layers[1].digest
        source.blobs[digest] = source.blobs[digest][:-1] + b"!"
        with pytest.raises(DigestError, match=digest.hex):
            load([named(image)], machine.find())
        assert not (store / "images").exists()
        assert machine.left() == []

    def test_a_layer_that_unpacks_to_something_else_is_refused(self, machine: Machine) -> None:
        """The configuration says what it unpacks to."""
        machine.install("docker")
        one, other = make_image(source := Memory(), [BASE]), make_image(source, [UPPER])
        mixed = replace(one.manifest, layers=other.manifest.layers)
        with pytest.raises(DigestError, match="its configuration says"):
            load([named(replace(one, manifest=mixed))], machine.find())

    def test_what_docker_says_is_told_in_one_line(self, machine: Machine) -> None:
        """With what failed before it."""
        store = machine.install("docker")
        (store / "fails").write_text("Error: \x1b[31mno space\nleft on device")
        with pytest.raises(EngineError) as caught:
            load([named(make_image(Memory()))], machine.find())
        assert caught.value.message == (
            r"docker load failed: first line Error: \x1b[31mno space left on device"
        )

    def test_what_it_calls_its_images_is_no_option_of_the_next_command(
        self, machine: Machine
    ) -> None:
        """Nor an argument that no program takes."""
        listed = ["--format={{.}}", "-f", "x" * 300_000, "a\0b", "sha256:" + "a" * 64]
        machine.install("docker", images="\n".join(listed))
        load([named(make_image(Memory()))], machine.find())
        first = machine.calls("docker", "image inspect")[0]
        assert first["arguments"] == ["image", "inspect", listed[-1]]

    @pytest.mark.parametrize(
        "one",
        [
            {"Id": "x" * 1_000_000},
            {"Id": ["x"] * 1_000_000},
            {"Id": "\x1b[31m"},
            {"RootFS": {"Layers": [{}, None, "x"]}},
        ],
    )
    def test_nonsense_about_an_image_is_short_and_an_error(
        self, machine: Machine, one: dict[str, Any]
    ) -> None:
        """However much of it there is."""
        machine.install("docker", image_inspect=json.dumps([one]))
        with pytest.raises(EngineError) as caught:
            load([named(make_image(Memory()))], machine.find())
        assert len(caught.value.message) < 1000

    def test_an_image_that_is_another_in_the_end_is_an_error(self, machine: Machine) -> None:
        """Whatever the load said."""
        store = machine.install("docker")
        (store / "lies").touch()
        with pytest.raises(EngineError, match="was to be loaded"):
            load([named(make_image(Memory()))], machine.find())

    @pytest.mark.parametrize("system", [None, [], {}, {"Layers": None}, {"Layers": ["sha256:0"]}])
    def test_an_image_with_other_layers_is_an_error(self, machine: Machine, system: object) -> None:
        """Or with none."""
        image = make_image(Memory())
        one = {"Id": str(image.config.digest), "RootFS": system}
        machine.install("docker", image_inspect=json.dumps([one]))
        with pytest.raises(EngineError, match=r"docker has other layers of \S+foo:1 than were to"):
            load([named(image)], machine.find())

    def test_an_image_that_has_not_all_names_is_an_error(self, machine: Machine) -> None:
        """The first that is missing is named."""
        image = make_image(Memory())
        layers = [str(layer) for layer in image.config.diff_ids]
        one = {"Id": str(image.config.digest), "RootFS": {"Layers": layers}}
        machine.install("docker", image_inspect=json.dumps([one]))
        with pytest.raises(EngineError, match=r"docker has not loaded \S+bar:2"):
            load([named(image, FOO, BAR)], machine.find())

    @pytest.mark.parametrize("said", ["nonsense", "{}", "[1]", "[" * 10**5])
    def test_an_answer_that_is_none_is_an_error(self, machine: Machine, said: str) -> None:
        """In one line."""
        machine.install("docker", image_inspect=said)
        with pytest.raises(EngineError, match="did not answer with a list of images"):
            load([named(make_image(Memory()))], machine.find())

    def test_an_index_is_no_image(self, machine: Machine) -> None:
        """Nor what else lies in a registry."""
        machine.install("docker")
        with pytest.raises(EngineError, match=r"sha256:\w+ is no image, and docker loads nothing"):
            load([Named(make_artifact(b"chart"), (FOO,))], machine.find())

    def test_of_an_index_the_engine_s_platform_is_loaded(self, machine: Machine) -> None:
        """Or it is said that there is none."""
        machine.install("docker", version='{"Os":"linux","Arch":"arm64"}')
        index = make_multi(Memory(), "linux/amd64", "linux/arm64")
        (loaded,) = load([Named(index, (FOO,))], machine.find())
        assert loaded.id == index.members[1].config.digest  # type: ignore[union-attr]
        other = make_multi(Memory(), "linux/amd64", "linux/s390x")
        with pytest.raises(NotFoundError, match="no image for linux/arm64; it has linux/amd64, "):
            load([Named(other, (FOO,))], machine.find())

    def test_an_image_without_a_name_is_known_by_its_id(self, machine: Machine) -> None:
        """As docker load has it."""
        machine.install("docker")
        image = make_image(Memory())
        (loaded,) = load([Named(image)], machine.find())
        assert (loaded.name, loaded.id) == (None, image.config.digest)


def test_without_a_name_docker_s_containerd_knows_it_by_its_digest(machine: Machine) -> None:
    """The image is in the index of what is loaded all the same, once."""
    machine.install("docker", info='{"DriverStatus":"io.containerd.snapshotter.v1"}')
    image = make_image(Memory())
    (loaded,) = load([Named(image)], machine.find())
    assert (loaded.name, loaded.id) == (None, image.manifest.descriptor.digest)


def test_docker_with_containerd_s_store_gets_the_blobs_as_they_are(machine: Machine) -> None:
    """It keeps them, and knows the image by its manifest."""
    machine.install(
        "docker", info='{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}'
    )
    image = make_image(Memory())
    (loaded,) = load([named(image)], machine.find())
    assert loaded.id == image.manifest.descriptor.digest
    layers = {f"blobs/sha256/{layer.digest.hex}" for layer in image.manifest.layers}
    assert layers <= sent(machine, "docker", "load")[0]
    (machine.directory / "stores/docker/lies").touch()
    with pytest.raises(EngineError, match=f"^docker has sha256:0+ for .*foo:1, and {loaded.id} "):
        load([named(image)], machine.find())


class TestPodman:
    """Podman over a storage on this machine, and a remote one."""

    def test_it_pulls_what_it_lacks(self, machine: Machine) -> None:
        """Also a layer that it has on others; the directory is gone then."""
        machine.install("podman")
        engine = machine.find()
        first, second = make_image(Memory(), [BASE, UPPER]), make_image(Memory(), [UPPER, OTHER])
        for image, name in (first, FOO), (second, BAR):
            (loaded,) = load([named(image, name)], engine)
            assert (loaded.name, loaded.id) == (name, image.config.digest)
        fixed = {"version", "manifest.json"}
        layers = [files - fixed for files in sent(machine, "podman", "pull")]
        hexes = [plain(one).removesuffix(".tar") for one in (BASE, UPPER, OTHER)]
        assert layers == [
            {hexes[0], hexes[1], first.config.digest.hex},
            {hexes[2], second.config.digest.hex},
        ]
        assert machine.left() == []

    def test_a_layer_of_two_images_is_sent_once(self, machine: Machine) -> None:
        """Each image has a directory of its own."""
        machine.install("podman")
        images = [make_image(Memory(), [BASE, UPPER]), make_image(Memory(), [BASE, OTHER])]
        load([named(images[0]), named(images[1], BAR)], machine.find())
        base = plain(BASE).removesuffix(".tar")
        assert [base in files for files in sent(machine, "podman", "pull")] == [True, False]

    def test_an_image_that_is_deleted_meanwhile_is_sent_whole(self, machine: Machine) -> None:
        """As with docker."""
        store = machine.install("podman")
        image, telling = make_image(Memory()), Telling()
        load([named(image)], machine.find())
        (store / "forgets").touch()
        load([named(image)], machine.find(), reporter=telling)
        assert len(sent(machine, "podman", "pull")[-1]) == 5
        assert len(telling.warnings) == 1
        assert machine.left() == []

    def test_a_remote_one_is_fed_an_archive(self, machine: Machine) -> None:
        """It sees no directory of this machine."""
        machine.install("podman", info='{"host":{"serviceIsRemote":true}}')
        image = make_image(Memory())
        assert load([named(image)], machine.find())[0].id == image.config.digest
        assert machine.calls("podman", "pull") == []


def _digests(index: ImageIndex) -> set[str]:
    """Those of all that it consists of."""
    found = {str(index.index.descriptor.digest)}
    for one in images_in(index):
        blobs = (one.manifest.descriptor, one.manifest.config, *one.manifest.layers)
        found |= {str(blob.digest) for blob in blobs}
    return found


class TestContainerd:
    """containerd through ``ctr``, and the nodes of kind."""

    def test_it_gets_the_blobs_that_it_lacks_as_they_are(self, machine: Machine) -> None:
        """And is known by the manifest."""
        machine.install("ctr")
        engine = machine.find()
        first, second = make_image(Memory(), [BASE, UPPER]), make_image(Memory(), [BASE, OTHER])
        assert load([named(first)], engine)[0].id == first.manifest.descriptor.digest
        load([named(second)], engine)
        shared = f"blobs/sha256/{first.manifest.layers[0].digest.hex}"
        assert [shared in files for files in sent(machine, "ctr", "images import")] == [True, False]

    def test_an_index_goes_in_whole(self, machine: Machine) -> None:
        """It keeps all platforms."""
        machine.install("ctr")
        index = make_multi(Memory(), "linux/amd64", "linux/arm64")
        assert load([Named(index, (FOO,))], machine.find())[0].id == index.index.descriptor.digest

    def test_an_index_of_which_it_keeps_its_own_platform_is_not_loaded(
        self, machine: Machine
    ) -> None:
        """``ctr images check`` says that it is complete, and looks at no other."""
        index = make_multi(Memory(), "linux/amd64", "linux/arm64")
        lost = str(index.members[1].document.descriptor.digest)
        machine.install("ctr", content_list="\n".join(_digests(index) - {lost}))
        with pytest.raises(EngineError, match=f"it lacks {lost}"):
            load([Named(index, (FOO,))], machine.find())

    def test_what_is_lost_meanwhile_is_sent_again(self, machine: Machine) -> None:
        """It says that the image is not complete, and gets all of it."""
        store = machine.install("ctr")
        image, telling = make_image(Memory()), Telling()
        load([named(image)], machine.find())
        (store / "forgets").touch()
        load([named(image)], machine.find(), reporter=telling)
        assert len(telling.warnings) == 1

    def test_an_image_without_a_name_is_refused(self, machine: Machine) -> None:
        """Nothing would be left of it."""
        machine.install("ctr")
        with pytest.raises(UnsupportedError, match="keeps no image without a name"):
            load([Named(make_image(Memory()))], machine.find())

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ("REF TYPE DIGEST STATUS", "containerd has not loaded .*foo:1 as sha256:"),
            ("docker.io/library/foo:1 t sha256:0 complete", "has not loaded .*foo:1 as"),
            ("docker.io/library/foo:10 t {digest} complete", "has not loaded .*foo:1 as"),
            ("docker.io/library/foo:1 t {digest} incomplete", "containerd has not all of .*foo:1"),
        ],
    )
    def test_an_image_that_is_not_there_whole_is_an_error(
        self, machine: Machine, said: str, problem: str
    ) -> None:
        """Whatever the import said."""
        image = make_image(Memory())
        digest = str(image.manifest.descriptor.digest)
        machine.install("ctr", images_check=said.format(digest=digest))
        with pytest.raises(EngineError, match=problem):
            load([named(image)], machine.find())

    def test_a_layer_that_is_not_at_hand_must_be_there(self, machine: Machine) -> None:
        """A shallow image loads where its base is, and nowhere else."""
        machine.install("ctr")
        image = make_image(Memory(), [BASE, UPPER])
        shallow = replace(image, absent=frozenset([image.manifest.layers[0].digest]))
        with pytest.raises(UnsupportedError, match="does not hold the layer"):
            load([named(shallow)], machine.find())
        load([named(make_image(Memory(), [BASE]), BAR)], machine.find())
        assert load([named(shallow)], machine.find())[0].id == image.manifest.descriptor.digest

    def test_a_cluster_of_kind_has_nodes(self, machine: Machine) -> None:
        """Or there is nothing to load into."""
        machine.install("docker")
        machine.install("kind", get_nodes="")
        with pytest.raises(EngineError, match="kind has no nodes"):
            load([named(make_image(Memory()))], machine.find("kind"))

    @pytest.mark.parametrize("said", ["nonsense", "[]", '{"status":[]}', "{}", "[" * 10**5])
    def test_a_node_of_kind_that_answers_nonsense_has_it_not(
        self, machine: Machine, said: str
    ) -> None:
        """It is an error of the engine and none of ours."""
        machine.install("docker", exec=said)
        machine.install("kind")
        with pytest.raises(EngineError, match="kind-control-plane has not loaded"):
            load([named(make_image(Memory()))], machine.find("kind"))

    def test_kind_gives_a_file_to_its_nodes(self, machine: Machine) -> None:
        """Each of which is asked what it has then."""
        image = make_image(Memory())
        machine.install("docker", exec=f'{{"status":{{"id":"{image.config.digest}"}}}}')
        machine.install("kind")
        (loaded,) = load([named(image)], machine.find("kind"))
        assert loaded.id == image.manifest.descriptor.digest
        assert len(machine.calls("kind", "load image-archive")) == 1
        asked = [one["arguments"][1] for one in machine.calls("docker", "exec")]
        assert asked == ["kind-control-plane", "kind-worker"]
        assert machine.left() == []

    def test_a_node_of_kind_is_no_option_of_the_runtime(self, machine: Machine) -> None:
        """What is called so is none."""
        machine.install("docker")
        machine.install("kind", get_nodes="--privileged\na\0b")
        with pytest.raises(EngineError, match="kind has no nodes"):
            load([named(make_image(Memory()))], machine.find("kind"))
        assert machine.calls("docker", "exec") == []

    def test_a_node_of_kind_that_has_it_not_is_named(self, machine: Machine) -> None:
        """Though kind said nothing."""
        machine.install("docker", exec='{"status":{"id":"sha256:other"}}')
        machine.install("kind")
        with pytest.raises(EngineError, match="kind-control-plane has not loaded"):
            load([named(make_image(Memory()))], machine.find("kind"))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", ["docker", "podman", "containerd", "kind"])
def test_what_is_sent_is_told_in_bytes(machine: Machine, kind: str, fails: bool) -> None:
    """And that it is over, however it ended."""
    image = make_image(source := Memory(), [BASE, UPPER], compress=False)
    for name in ("podman", "ctr", "kind"):
        machine.install(name)
    machine.install("docker", exec=f'{{"status":{{"id":"{image.config.digest}"}}}}')
    engine = machine.find(kind, told := Measuring())
    if fails:
        del source.blobs[image.manifest.layers[1].digest]
    with pytest.raises(KeyError) if fails else nullcontext():
        load([named(image)], engine)
    assert told.begun == [f"to {kind}"] * (2 if kind == "podman" else 1)
    assert told.ended == len(told.begun)
    assert told.done >= len(BASE) + (0 if fails else len(UPPER))


def test_a_platform_of_the_engine_is_what_it_says(machine: Machine) -> None:
    """Whoever reads a reference asks for that one alone."""
    machine.install("docker", version='{"Os":"windows","Arch":"s390x"}')
    machine.install("podman", info='{"host":{"os":"freebsd","arch":"arm64"}}')
    assert machine.find("docker").platform == Platform("windows", "s390x")
    assert machine.find("podman").platform == Platform("freebsd", "arm64")


@dataclass
class Also:
    """Another sink for what is loaded, that has got it with so many jobs."""

    default_format: Format = Format.OCI
    jobs: int = 0

    def write(self, images: Sequence[Named], *, jobs: int = 4) -> tuple[Published, ...]:
        """Keep nothing."""
        self.jobs = jobs
        return (Published(BAR, images[0].image.document.descriptor),)


def test_what_is_loaded_is_in_another_sink_before(machine: Machine) -> None:
    """Written by as many jobs, in its format; and it says what was published."""
    machine.install("docker")
    image = make_image(Memory())
    told: list[int] = []
    also, telling = Also(), Telling()
    with loading(
        machine.find(),
        also,  # type: ignore[arg-type]
        reporter=telling,
        on_loaded=lambda _: told.append(also.jobs),
    ) as sink:
        published = sink.write([named(image)], jobs=3)
    assert sink.default_format is Format.OCI
    assert published == (Published(BAR, image.manifest.descriptor),)
    assert told == [3]
    assert telling.details == ["docker has 0 of what 1 images consist of"]
