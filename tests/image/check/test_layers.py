"""What layers say, of themselves and of each other, and what documents say of them."""

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace

import pytest

from imgpack.api import (
    Descriptor,
    Image,
    ImageProblem,
    Opened,
    Platform,
    ProblemLevel,
    Root,
    Verification,
)
from imgpack.image.check import merged
from imgpack.image.check.problems import Findings
from imgpack.image.check.verify import verify_opened
from imgpack.image.resolve import Resolver
from imgpack.spec import mediatype
from imgpack.spec.config import History, build_config
from imgpack.spec.descriptor import describe
from imgpack.spec.digest import Digest
from imgpack.spec.manifest import Manifest, build_index, build_manifest
from tests.store.samples import (
    CREATED,
    LAYERS,
    Memory,
    make_artifact,
    make_image,
    make_nested,
)

Spec = tuple[str, str | bytes]
"""A name, and the bytes of a file, or ``dir``, ``-> TARGET``, ``= HARD LINK``."""


def _layer(*members: Spec) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, what in members:
            member = tarfile.TarInfo(name)
            data = b""
            if isinstance(what, bytes):
                data, member.size = what, len(what)
            elif what == "dir":
                member.type = tarfile.DIRTYPE
            else:
                mark, member.linkname = what.split(" ", 1)
                member.type = tarfile.SYMTYPE if mark == "->" else tarfile.LNKTYPE
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _verified(source: Memory, *descriptors: Descriptor, jobs: int = 1) -> Verification:
    """What a check of ``descriptors`` finds."""
    opened = Opened("here", [Root(one) for one in descriptors], Resolver(source, "here"), _nothing)
    return verify_opened(
        opened, opened.roots, None, Findings("here"), tempfile.gettempdir, jobs=jobs
    )


def _nothing() -> None:
    """Nothing is to be closed."""


def _found(*layers: Sequence[Spec]) -> list[tuple[str, str, str]]:
    """Id, level and text of what is wrong with an image of ``layers``."""
    source = Memory()
    image = make_image(source, [_layer(*members) for members in layers], docker=False)
    found = _verified(source, image.manifest.descriptor)
    return [_told(problem) for problem in found.problems]


def _told(problem: ImageProblem) -> tuple[str, str, str]:
    return problem.check.id, problem.level.value, problem.text


def test_every_deletion_deletes_something() -> None:
    """Of lower layers, and once."""
    base = [("a/one", b"1"), ("b/c/two", b"2"), ("d", "dir"), ("e/three", b"3")]
    assert _found(base, [("a/.wh.one", b""), (".wh.b", b""), ("e/.wh..wh..opq", b"")]) == []
    assert _found(base, [("a/.wh.on", b""), ("d/.wh..wh..opq", b"")]) == [
        ("whiteout", "warning", "a/on is deleted, and no lower layer has it"),
        ("whiteout", "note", "d is opaque, and lower layers have nothing in it"),
    ]
    assert _found(base, [(".wh.a", b"")], [("a/.wh.one", b""), (".wh.z", b"")]) == [
        ("whiteout", "warning", "a/one is deleted, and no lower layer has it"),
        ("whiteout", "warning", "z is deleted, and no lower layer has it"),
    ]
    assert _found([(".wh.a", b""), ("a", b"")]) == [
        ("whiteout", "warning", "a is deleted, and no lower layer has it")
    ]


def test_all_names_that_delete_nothing_are_told() -> None:
    """And the rest of the layer is looked at."""
    found = _found([("x/.wh.", b""), ("y/.wh.a/b", b""), ("z", b""), ("z", b"again")])
    assert [(check, level) for check, level, _ in found] == [
        ("whiteout-name", "error"), ("whiteout-name", "error"), ("duplicate-path", "error"),
    ]  # fmt: skip
    assert found[2][2] == (
        "z is there twice, and docker and podman refuse that; the last one counts"
    )
    assert _found([(".wh..wh.plnk", b"")]) == []


def test_hard_links_name_files_of_their_layer() -> None:
    """All that do not are told, and what else is wrong with the image."""
    base = [("a", b"1"), ("d", "dir")]
    assert _found([("a", b"1"), ("b", "= a")]) == []
    assert _found(base, [("b", "= a"), ("a", b"2")]) == [
        ("hard-link", "error",
         "b is a hard link to a, which is behind it, and docker and podman cannot unpack that"),
    ]  # fmt: skip
    above = [("x", "= a"), ("y", "= no"), ("z", "= d"), (".wh.gone", b"")]
    assert _found(base, above) == [
        ("hard-link", "error",
         "x is a hard link to a, which is in a lower layer, and docker and podman cannot unpack "
         "that"),
        ("hard-link", "error", "y is a hard link to no, which is not there"),
        ("hard-link", "error", "z is a hard link to d, which is a directory"),
        ("whiteout", "warning", "gone is deleted, and no lower layer has it"),
    ]  # fmt: skip


def test_symbolic_links_that_lead_nowhere_are_noted() -> None:
    """Through other links, too; what a runtime mounts is not looked for."""
    sound = [
        ("usr/lib/x", b""), ("lib", "-> usr/lib"), ("etc/x", "-> ../lib/x"), ("abs", "-> /lib/x"),
        ("mtab", "-> /proc/mounts"), ("root", "-> /"), ("self", "-> ."),
    ]  # fmt: skip
    assert _found(sound) == []
    assert _found([("a/up", "-> ../../b"), ("a/no", "-> ../lib/y"), ("lib", "-> a")]) == [
        ("symlink", "note", "a/up leads above the root of the image"),
        ("symlink", "note", "a/no leads to lib/y, which is not there"),
    ]
    assert _found([("no", "-> where")], [(".wh.no", b"")]) == []


def test_only_so_many_links_through_others_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a walk through all layers."""
    monkeypatch.setattr(merged, "_FOLLOWED", 3)
    links = [(f"{number}", "-> no") for number in range(5)]
    assert [text for _, _, text in _found(links)] == [
        f"{number} leads to no, which is not there" for number in range(3)
    ]


def test_a_path_that_nobody_could_show_is_kept_short() -> None:
    """The text shortens it; programs get it up to what Linux takes."""
    for length, known in ((4096, True), (4097, False)):
        path = "n" * (length - 2) + "/l"
        source = Memory()
        layer = _layer((path, "-> " + "../" * 9))
        image = make_image(source, [layer], docker=False)
        (problem,) = _verified(source, image.manifest.descriptor).problems
        assert problem.path == (path.encode() if known else None)


def test_what_is_no_layer_is_told_of_it_alone() -> None:
    """No tar, no known compression, something inside of a file."""
    found = _found([("a", b""), ("a/b", b"")], [("ok", b"")])
    assert [check for check, _, _ in found] == ["layer"]
    source = Memory()
    image = make_image(source, [b"no tar" * 200, LAYERS[0]], docker=False)
    (problem,) = _verified(source, image.manifest.descriptor).problems
    assert (problem.check.id, problem.where) == (
        "layer", f"layer {image.manifest.layers[0].digest}"
    )  # fmt: skip


def _with(image: Image, source: Memory, **changes: object) -> Descriptor:
    """``image`` under a configuration with ``changes``."""
    config = image.config
    said = {
        "platform": config.platform, "diff_ids": config.diff_ids, "history": config.history,
    } | changes  # fmt: skip
    made = build_config(
        said["platform"],
        said["diff_ids"],
        said["history"],
        created=CREATED,  # type: ignore[arg-type]
    )
    source.add(made.raw)
    manifest = build_manifest(
        describe(mediatype.OCI_CONFIG, made.raw), image.manifest.layers, mediatype.OCI_MANIFEST
    )
    source.add(manifest.raw)
    return manifest.descriptor


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_a_configuration_says_of_layers_is_checked(jobs: int) -> None:
    """Layers unpack to its diff_ids, of which there are as many; so is the history."""
    source = Memory()
    image = make_image(source, docker=False)
    wrong = Digest.of(b"else")
    history = (History(CREATED, "one"),)
    swapped = (image.config.diff_ids[0], wrong)

    found = _verified(source, _with(image, source, diff_ids=swapped), jobs=jobs)
    assert [_told(one)[:2] for one in found.problems] == [("diff-id", "error")]
    assert f"the configuration says {wrong}" in found.problems[0].text
    found = _verified(source, _with(image, source, history=history), jobs=jobs)
    assert [_told(one) for one in found.problems] == [
        ("history", "warning", "1 history entries have a layer, and there are 2")
    ]
    assert found.sound
    fewer = {"diff_ids": image.config.diff_ids[:1], "history": history}
    found = _verified(source, _with(image, source, **fewer), jobs=jobs)
    assert [one.check.id for one in found.problems] == ["history", "layer-count"]
    assert found.blobs == 2


def test_a_wrong_diff_id_hides_nothing_in_the_layer() -> None:
    """Its members are looked at, for the bytes are those that the manifest promises."""
    source = Memory()
    image = make_image(source, [_layer(("a", b""), ("a", b"2"))], docker=False)
    found = _verified(source, _with(image, source, diff_ids=(Digest.of(b"else"),)))
    assert [one.check.id for one in found.problems] == ["diff-id", "duplicate-path"]


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("linux/arm/v7", None), ("linux/arm/v6", "warning"), ("linux/arm", None),
        ("linux/arm64", "error"), ("windows/arm/v7", "error"),
    ],
)  # fmt: skip
def test_an_index_says_the_platform_of_the_configuration(said: str, level: str | None) -> None:
    """A variant that only one of them says is none of the differences."""
    source = Memory()
    image = make_image(source, docker=False, platform=Platform("linux", "arm", "v7"))
    entry = replace(image.manifest.descriptor, platform=Platform.parse(said))
    index = build_index([entry])
    source.add(index.raw)
    found = _verified(source, index.descriptor)
    assert [one.level.value for one in found.problems] == ([level] if level else [])


@pytest.mark.parametrize(
    ("architecture", "told"),
    [("amd64", []), ("x86_64", ["warning"]), ("unknown", ["warning"]), ("loong64", [])],
)
def test_something_runs_the_platform(architecture: str, told: list[str]) -> None:
    """Engines look for Go's names, and find no others."""
    source = Memory()
    image = make_image(source, docker=False, platform=Platform("linux", architecture))
    found = _verified(source, image.manifest.descriptor)
    assert [one.level.value for one in found.problems] == told
    assert {one.check.id for one in found.problems} <= {"platform"}


def test_a_layer_that_is_none_of_files_is_said_to_be_so() -> None:
    """As that of a signature, in which nobody can look; what it runs on is no matter."""
    source = Memory()
    image = make_image(source, docker=False, platform=Platform("linux", "unknown"))
    kind = "application/vnd.dev.cosign.simplesigning.v1+json"
    obj = json.loads(image.manifest.raw)
    for layer in obj["layers"]:
        layer["mediaType"] = kind
    manifest = Manifest.parse(json.dumps(obj).encode())
    source.add(manifest.raw)
    found = _verified(source, manifest.descriptor)
    assert found.blobs == 2
    assert [_told(one)[:2] for one in found.problems] == [("media-type", "note")] * 2
    assert all(kind in one.text for one in found.problems)


def test_what_an_index_lacks_is_a_note_unless_it_lacks_everything() -> None:
    """Docker saves what it pulled of an index."""
    source = Memory()
    image = make_image(source, docker=False)
    lost = Descriptor(mediatype.OCI_MANIFEST, Digest.of(b"lost"), 4)
    for entries, level in (([image.manifest.descriptor, lost], "note"), ([lost], "error")):
        index = build_index(entries)
        source.add(index.raw)
        (problem,) = _verified(source, index.descriptor).problems
        assert _told(problem)[:2] == ("absent", level)


def test_the_platform_of_what_an_index_lacks_is_told() -> None:
    """If the index says it."""
    source = Memory()
    image = make_image(source, docker=False)
    lost = Descriptor(mediatype.OCI_MANIFEST, Digest.of(b"lost"), 4)
    arm = replace(lost, digest=Digest.of(b"arm"), platform=Platform.parse("linux/arm64"))
    index = build_index([image.manifest.descriptor, lost, arm])
    source.add(index.raw)
    assert [one.text for one in _verified(source, index.descriptor).problems] == [
        f"the manifest {lost.digest} that it names is not there",
        f"the manifest {arm.digest} (linux/arm64) that it names is not there",
    ]


def test_what_is_damaged_or_for_another_platform_is_there() -> None:
    """An index names it and has it."""
    source = Memory()
    image = make_image(source, docker=False, platform=Platform.parse("linux/arm64"))
    index = build_index([image.manifest.descriptor])
    source.add(index.raw)
    opened = Opened("here", [Root(index.descriptor)], Resolver(source, "here"), _nothing)
    found = verify_opened(
        opened, opened.roots, Platform.parse("linux/amd64"), Findings("here"), tempfile.gettempdir
    )
    assert (found.problems, [one.kind for one in found.images]) == ((), ["index"])
    source.blobs[image.manifest.config.digest] = b"damaged"
    found = _verified(source, index.descriptor)
    assert [_told(one)[:2] for one in found.problems] == [("document", "error")]
    assert found.blobs == 2


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (mediatype.OCI_LAYER, "is not here (a shallow image, or a lock)"),
        (mediatype.DOCKER_FOREIGN_LAYER_GZIP, "is kept elsewhere (a foreign layer)"),
    ],
)
def test_a_layer_that_need_not_be_there_is_a_note(kind: str, why: str) -> None:
    """The others are read."""
    source = Memory()
    image = make_image(source, docker=False)
    away, other = image.manifest.layers
    manifest = build_manifest(
        image.manifest.config, [replace(away, media_type=kind), other], mediatype.OCI_MANIFEST
    )
    source.add(manifest.raw)
    del source.blobs[away.digest]
    resolver = Resolver(source, "here", lacks=lambda digest: digest == away.digest)
    opened = Opened("here", [Root(manifest.descriptor)], resolver, _nothing)
    found = verify_opened(opened, opened.roots, None, Findings("here"), tempfile.gettempdir)
    assert [_told(one) for one in found.problems] == [
        ("absent", "note", f"the layer {why}, and was not checked")
    ]
    assert found.blobs == 1


def test_a_manifest_of_an_index_without_its_configuration_is_not_there() -> None:
    """Docker saves it alone of what it did not pull; by itself it is a mistake."""
    source = Memory()
    image = make_image(source, docker=False)
    other = make_image(source, [_layer(("b", b"2"))], docker=False)
    del source.blobs[other.manifest.config.digest]
    index = build_index([image.manifest.descriptor, other.manifest.descriptor])
    source.add(index.raw)
    found = _verified(source, index.descriptor)
    assert [_told(one)[:2] for one in found.problems] == [("absent", "note")]
    assert [one.kind for one in found.images] == ["index", "image"]
    found = _verified(source, other.manifest.descriptor)
    assert [_told(one)[:2] for one in found.problems] == [("document", "error")]


def test_a_wrong_name_of_a_compression_is_a_warning() -> None:
    """What runs it goes by the bytes."""
    source = Memory()
    image = make_image(source, docker=False)
    layers = [replace(one, media_type=mediatype.OCI_LAYER_ZSTD) for one in image.manifest.layers]
    manifest = build_manifest(image.manifest.config, layers, mediatype.OCI_MANIFEST)
    source.add(manifest.raw)
    found = _verified(source, manifest.descriptor)
    assert [_told(one)[:2] for one in found.problems] == [("media-type", "warning")] * 2


def test_what_is_no_image_is_checked_by_digest_and_size() -> None:
    """Artifacts, attestations and types that nobody knows are said to be what they are."""
    source = Memory()
    nested = make_nested(source)
    blob = Descriptor("application/x-unknown", source.add(b"what"), 4)
    found = _verified(source, nested.index.descriptor, blob)
    kinds = [image.kind for image in found.images]
    assert kinds == ["index", "index", "image", "image", "artifact", "other"]
    assert found.problems == ()
    for digest in (blob.digest, make_artifact(source).manifest.layers[0].digest):
        source.blobs[digest] = b"evil"
    damaged = _verified(source, nested.index.descriptor, blob)
    assert [_told(one)[:2] for one in damaged.problems] == [("blob", "error")] * 2


def test_a_blob_is_read_once_however_many_images_have_it() -> None:
    """For digest, diff_id and what is in it."""
    source = Memory()
    image = make_image(source, docker=False)
    other = _with(image, source, history=())
    source.reads.clear()
    found = _verified(source, image.manifest.descriptor, other, jobs=2)
    assert found.sound
    assert sorted(source.reads) == sorted(set(source.reads))


def test_layers_that_images_share_are_looked_at_with_each() -> None:
    """What one of them has below may be what another lacks."""
    source = Memory()
    low, high = _layer(("a", b"1")), _layer((".wh.a", b""))
    fine = make_image(source, [low, high], docker=False).manifest.descriptor
    wrong = make_image(source, [high], docker=False).manifest.descriptor
    for descriptors in ((fine, wrong), (wrong, fine)):
        (problem,) = _verified(source, *descriptors).problems
        assert problem.text == "a is deleted, and no lower layer has it"


def test_many_problems_of_a_kind_are_counted() -> None:
    """The first hundred are told."""
    found = _found([(f"{number}", "-> /no") for number in range(150)])
    assert len(found) == 101
    assert found[-1][2] == "and 50 more problems like these"


def test_a_layer_in_whatever_bytes_is_no_mistake() -> None:
    """Compressed twice, cut in its compressed stream, or empty."""
    source = Memory()
    for raw in (gzip.compress(LAYERS[0]), b"", gzip.compress(LAYERS[0])[:40]):
        image = make_image(source, [raw], docker=False)
        found = _verified(source, image.manifest.descriptor)
        assert all(isinstance(one.level, ProblemLevel) for one in found.problems)
