"""Archives that other tools write: ``docker save`` of every age, podman, skopeo, crane, buildx."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import zstandard

from imgpack.api import Artifact, Descriptor, Digest, Image, Opened, images_in, verify_images
from imgpack.errors import ArchiveError, DigestError, DocumentError, LimitError, UnsupportedError
from imgpack.image.resolve import MAX_DEPTH
from imgpack.spec import mediatype
from imgpack.spec.json import encode
from imgpack.spec.manifest import build_index, build_manifest
from imgpack.store.archive import spool
from imgpack.store.contents import REF_ANNOTATION
from imgpack.store.open import open_images

from .samples import (
    LAYERS,
    Memory,
    make_artifact,
    make_config,
    make_image,
    make_multi,
    make_tar,
    manifests_of,
    only_image,
    opened_images,
    write_image,
)

CONFIG = make_config(LAYERS).raw
ID = hashlib.sha256(CONFIG).hexdigest()


def _manifest_json(config: str, layers: Sequence[str], tags: object = ("foo:1",)) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": tags, "Layers": layers}]).encode()


def _open_one(path: Path) -> tuple[Opened, Image]:
    opened = open_images(str(path))
    return opened, only_image(opened)


def _names(opened: Opened) -> list[str]:
    return [name.shown() for name in opened.image().names]


def test_the_oldest_docker_save_with_linked_layers_is_read(tmp_path: Path) -> None:
    """A repeated layer is a symbolic link to the directory of another."""
    config = make_config([*LAYERS, LAYERS[0]]).raw
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {
        name: config,
        "aa/VERSION": b"1.0",
        "aa/json": b"{}",
        "aa/layer.tar": LAYERS[0],
        "bb/layer.tar": LAYERS[1],
        "manifest.json": _manifest_json(name, ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"]),
        "repositories": b'{"foo":{"1":"cc"}}',
    }
    path = make_tar(tmp_path / "old.tar", files, {"cc/layer.tar": "../aa/layer.tar"})
    opened, image = _open_one(path)
    with opened:
        assert image.manifest.media_type == mediatype.DOCKER_MANIFEST
        digests = [Digest.of(layer) for layer in (*LAYERS, LAYERS[0])]
        assert [layer.digest for layer in image.manifest.layers] == digests
        assert {layer.media_type for layer in image.manifest.layers} == {mediatype.DOCKER_LAYER}
        assert _names(opened) == ["foo:1"]
        assert image.config.raw == config
        assert b"".join(image.source.read_blob(image.manifest.layers[1])) == LAYERS[1]
        assert verify_images(opened_images(opened), opened.location) == 2


def test_crane_writes_gzipped_layers_and_a_config_named_by_its_whole_digest(
    tmp_path: Path,
) -> None:
    """``sha256:HEX`` without a suffix, and ``HEX.tar.gz``."""
    packed = [gzip.compress(layer, mtime=0) for layer in LAYERS]
    names = [f"{hashlib.sha256(blob).hexdigest()}.tar.gz" for blob in packed]
    files = dict(zip(names, packed, strict=True))
    files[f"sha256:{ID}"] = CONFIG
    files["manifest.json"] = _manifest_json(f"sha256:{ID}", names)
    opened, image = _open_one(make_tar(tmp_path / "crane.tar", files))
    with opened:
        assert {layer.media_type for layer in image.manifest.layers} == {
            mediatype.DOCKER_LAYER_GZIP
        }
        assert verify_images(opened_images(opened), opened.location) == 2


def test_zstd_layers_make_an_oci_manifest(tmp_path: Path) -> None:
    """Docker's types cannot say zstd."""
    import zstandard

    packed = [zstandard.ZstdCompressor().compress(LAYERS[0]), LAYERS[1]]
    files = {
        "c.json": CONFIG,
        "0": packed[0],
        "1": packed[1],
        "manifest.json": _manifest_json("c.json", ["0", "1"]),
    }
    opened, image = _open_one(make_tar(tmp_path / "z.tar", files))
    with opened:
        assert image.manifest.media_type == mediatype.OCI_MANIFEST
        kinds = [layer.media_type for layer in image.manifest.layers]
        assert kinds == [mediatype.OCI_LAYER_ZSTD, mediatype.OCI_LAYER]
        assert verify_images(opened_images(opened), opened.location) == 2


@pytest.mark.parametrize(("pack", "kind"), [(lzma.compress, "xz"), (bz2.compress, "bzip2")])
def test_xz_and_bzip2_layers_are_refused_with_the_reason(
    tmp_path: Path, pack: object, kind: str
) -> None:
    """No media type exists for them."""
    blob = pack(LAYERS[0])  # type: ignore[operator]
    files = {"c": CONFIG, "l": blob, "manifest.json": _manifest_json("c", ["l", "l"])}
    with pytest.raises(UnsupportedError, match=f"compressed with {kind}"):
        open_images(str(make_tar(tmp_path / "x.tar", files)))


@pytest.mark.parametrize("tags", [None, [], "absent"])
def test_an_image_may_have_no_tags(tmp_path: Path, tags: object) -> None:
    """Null, empty and missing are the same."""
    item: dict[str, object] = {"Config": "c", "RepoTags": tags, "Layers": ["0", "1"]}
    if tags == "absent":
        del item["RepoTags"]
    files = {"c": CONFIG, "0": LAYERS[0], "1": LAYERS[1]}
    files["manifest.json"] = json.dumps([item]).encode()
    with open_images(str(make_tar(tmp_path / "x.tar", files))) as opened:
        assert opened.image().names == ()


def test_short_full_and_unusable_tags_are_told_apart(tmp_path: Path) -> None:
    """Docker writes short names, podman full ones; what is no name can still be selected by."""
    tags = ["foo:1", "docker.io/library/foo:1", "quay.io/x/y:z", "Not A Name"]
    files = {"c": CONFIG, "0": LAYERS[0], "1": LAYERS[1]}
    files["manifest.json"] = _manifest_json("c", ["0", "1"], tags)
    opened, image = _open_one(make_tar(tmp_path / "x.tar", files))
    with opened:
        names = ["docker.io/library/foo:1", "quay.io/x/y:z"]
        assert [str(name) for name in opened.image().names] == names
        assert only_image(opened, "Not A Name") is image
        assert only_image(opened, "foo:1") is image


def test_two_items_of_one_image_are_one_image_with_both_names(tmp_path: Path) -> None:
    """And two images stay two."""
    items = json.loads(_manifest_json("c", ["0", "1"])) + json.loads(
        _manifest_json("c", ["0", "1"], ["bar:2"])
    )
    files = {"c": CONFIG, "0": LAYERS[0], "1": LAYERS[1]}
    files["manifest.json"] = json.dumps(items).encode()
    with open_images(str(make_tar(tmp_path / "x.tar", files))) as opened:
        assert _names(opened) == ["foo:1", "bar:2"]


def test_an_uncompressed_layer_with_another_diff_id_is_refused_when_opened(
    tmp_path: Path,
) -> None:
    """Its digest is computed anyway."""
    files = {"c": CONFIG, "0": LAYERS[1], "1": LAYERS[0]}
    files["manifest.json"] = _manifest_json("c", ["0", "1"])
    with pytest.raises(DigestError, match="diff_id"):
        open_images(str(make_tar(tmp_path / "x.tar", files)))


def test_layers_and_diff_ids_must_be_as_many(tmp_path: Path) -> None:
    """The error names the archive."""
    files = {"c": CONFIG, "0": LAYERS[0], "manifest.json": _manifest_json("c", ["0"])}
    with (
        open_images(str(make_tar(tmp_path / "x.tar", files))) as opened,
        pytest.raises(DocumentError, match=r"x\.tar: .*1 layers.*2 diff_ids"),
    ):
        opened.images()


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    """With the path that manifest.json gives it."""
    files = {"c": CONFIG, "0": LAYERS[0], "manifest.json": _manifest_json("c", ["0", "gone"])}
    with pytest.raises(ArchiveError, match="no layer 'gone'"):
        open_images(str(make_tar(tmp_path / "x.tar", files)))


def test_names_that_promise_a_digest_are_held_to_it(tmp_path: Path) -> None:
    """Whatever form they promise it in: a byte of it that changed may be what is run."""
    wrong = "0" * 64
    promises = f"blobs/sha256/{wrong}", f"{wrong}.json", f"sha256:{wrong}", f"x/{wrong}.json"
    for config in promises:
        files = {config: CONFIG, "0": LAYERS[0], "1": LAYERS[1]}
        files["manifest.json"] = _manifest_json(config, ["0", "1"])
        damaged = rf"x\.tar: the configuration {config} is damaged: .*{ID}"
        with pytest.raises(DigestError, match=damaged):
            open_images(str(make_tar(tmp_path / "x.tar", files)))
    files = {"c": CONFIG, f"blobs/sha256/{wrong}": LAYERS[0], "1": LAYERS[1]}
    files["manifest.json"] = _manifest_json("c", [f"blobs/sha256/{wrong}", "1"])
    with pytest.raises(DigestError, match=r"layer .* is damaged"):
        open_images(str(make_tar(tmp_path / "y.tar", files)))


def _oci_files(
    source: Memory, entries: Sequence[Mapping[str, object]], *, manifest_json: bytes | None = None
) -> dict[str, bytes]:
    files = {f"blobs/sha256/{digest.hex}": raw for digest, raw in source.blobs.items()}
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    files["index.json"] = encode({"schemaVersion": 2, "manifests": list(entries)})
    if manifest_json is not None:
        files["manifest.json"] = manifest_json
    return files


def test_docker_25_with_its_leftovers_is_read_by_its_index(tmp_path: Path) -> None:
    """Uncompressed OCI layers, LayerSources, ``repositories``, blobs that nobody names."""
    source = Memory()
    image = make_image(source, docker=False, compress=False)
    source.add(b'{"id":"leftover"}')
    layers = [f"blobs/sha256/{layer.digest.hex}" for layer in image.manifest.layers]
    items = json.loads(_manifest_json(f"blobs/sha256/{image.config.digest.hex}", layers))
    items[0]["LayerSources"] = {}
    annotations = {
        "io.containerd.image.name": "docker.io/library/foo:1",
        "org.opencontainers.image.ref.name": "1",
    }
    entry = image.manifest.descriptor.as_json() | {"annotations": annotations}
    files = _oci_files(source, [entry], manifest_json=json.dumps(items).encode())
    files["repositories"] = b"{}"
    opened, read = _open_one(make_tar(tmp_path / "x.tar", files))
    with opened:
        assert read.manifest.raw == image.manifest.raw
        assert _names(opened) == ["foo:1"]
        assert verify_images(opened_images(opened), opened.location) == 2


@pytest.mark.parametrize(
    ("annotations", "names", "label"),
    [
        ({"org.opencontainers.image.ref.name": "docker.io/library/x:1"}, ["x:1"], None),
        ({"org.opencontainers.image.ref.name": "v1"}, [], "v1"),
        ({"io.containerd.image.name": "UPPER"}, [], "UPPER"),
        ({}, [], None),
    ],
)
def test_names_come_from_the_annotations_that_tools_write(
    tmp_path: Path, annotations: dict[str, str], names: list[str], label: str | None
) -> None:
    """podman puts the whole name into ref.name, skopeo and umoci a tag, others nothing."""
    source = Memory()
    image = make_image(source, docker=False)
    entry = image.manifest.descriptor.as_json() | {"annotations": annotations}
    opened, read = _open_one(make_tar(tmp_path / "x.tar", _oci_files(source, [entry])))
    with opened:
        assert _names(opened) == names
        if label is not None:
            assert only_image(opened, label) is read


def test_an_index_of_which_one_platform_was_pulled_is_that_image(tmp_path: Path) -> None:
    """As Docker with containerd's store saves it, with or without the other manifests."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    pulled, other = images_in(image)
    entry = image.index.descriptor.as_json()
    layers = [f"blobs/sha256/{layer.digest.hex}" for layer in pulled.manifest.layers]
    listed = _manifest_json(f"blobs/sha256/{pulled.config.digest.hex}", layers)
    for one in (other.config.digest, other.manifest.descriptor.digest):
        del source.blobs[one]
        files = _oci_files(source, [entry], manifest_json=listed)
        opened, read = _open_one(make_tar(tmp_path / "x.tar", files))
        with opened:
            assert read.manifest.raw == pulled.manifest.raw


def test_what_is_no_image_in_a_layout_stands_beside_the_image(tmp_path: Path) -> None:
    """A signature or chart is there under its digest, and the image under its name."""
    source = Memory()
    image = make_image(source, docker=False)
    other = make_artifact(source).manifest.descriptor
    entry = image.manifest.descriptor.as_json() | {"annotations": {REF_ANNOTATION: "v1"}}
    path = make_tar(tmp_path / "x.tar", _oci_files(source, [other.as_json(), entry]))
    with open_images(str(path)) as opened:
        assert only_image(opened, "v1").manifest.raw == image.manifest.raw
        assert isinstance(opened.image(opened.select(str(other.digest))).image, Artifact)


def test_nested_indexes_are_followed_and_bounded(tmp_path: Path) -> None:
    """Two levels are read; a tower is refused."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64")
    index = image.index
    for level in range(6):
        source.add(index.raw)
        files = _oci_files(source, [index.descriptor.as_json()])
        with open_images(str(make_tar(tmp_path / f"{level}.tar", files))) as opened:
            if level < MAX_DEPTH:
                assert len(manifests_of(opened.image().image)) == 2
            else:
                with pytest.raises(LimitError, match=rf"{level}\.tar: indexes are nested"):
                    opened.images()
        index = build_index([index.descriptor])


@pytest.mark.parametrize("multi", [False, True])
def test_a_directory_of_skopeos_is_read(tmp_path: Path, *, multi: bool) -> None:
    """``dir:`` of skopeo, ``docker-dir`` of podman: blobs by their digests, without a name."""
    source = Memory()
    image = make_multi(source, "linux/amd64", "linux/arm64") if multi else make_image(source)
    where = tmp_path / "dir"
    where.mkdir()
    for digest, raw in source.blobs.items():
        inner = any(digest == one.descriptor.digest for one in manifests_of(image))
        (where / f"{digest.hex}{'.manifest.json' if inner else ''}").write_bytes(raw)
    (where / "manifest.json").write_bytes(image.document.raw)
    with pytest.raises(ArchiveError, match="is a directory and no OCI layout"):
        open_images(str(where))
    (where / "version").write_bytes(b"Directory Transport Version: 1.1\n")
    with open_images(str(where)) as opened:
        assert opened.image().image.document.raw == image.document.raw
        assert verify_images(opened_images(opened), opened.location) == 2
    (where / "version").write_bytes(b"Directory Transport Version: 2.0\n")
    with pytest.raises(ArchiveError, match="is unknown"):
        open_images(str(where))


def test_a_configuration_that_is_not_named_by_its_digest_beside_index_json_is_ambiguous(
    tmp_path: Path,
) -> None:
    """Its bytes may be the same; what manifest.json names is not what index.json names."""
    source = Memory()
    image = make_image(source, docker=False)
    layers = [f"blobs/sha256/{layer.digest.hex}" for layer in image.manifest.layers]
    for name, raw in (("config.json", image.config.raw), (f"{'0' * 64}.json", CONFIG)):
        listed = _manifest_json(name, layers)
        files = _oci_files(source, [image.manifest.descriptor.as_json()], manifest_json=listed)
        files[name] = raw
        with pytest.raises(ArchiveError, match=rf"x\.tar is ambiguous: .*'{name}', and index"):
            open_images(str(make_tar(tmp_path / "x.tar", files)))


def test_a_manifest_json_that_closes_the_array_early_is_refused(tmp_path: Path) -> None:
    """The array is read as the value of a key; nothing may stand beside it."""
    good = _manifest_json("c", ["0", "1"])
    files = {"c": CONFIG, "0": LAYERS[0], "1": LAYERS[1]}
    for more in (b',"x":[1]', b',"more":' + good):
        files["manifest.json"] = good + more
        with pytest.raises(ArchiveError, match=r"manifest\.json"):
            open_images(str(make_tar(tmp_path / "x.tar", files)))


def test_a_layer_behind_a_long_pax_link_is_found(tmp_path: Path) -> None:
    """A link of more than a hundred characters is in a pax header, whole."""
    directory = "d" * 120
    files = {
        "c": CONFIG,
        f"{directory}/layer.tar": LAYERS[0],
        "1": LAYERS[1],
        "manifest.json": _manifest_json("c", ["a/layer.tar", "1"]),
    }
    path = make_tar(tmp_path / "x.tar", files, {"a/layer.tar": f"../{directory}/layer.tar"})
    assert b" linkpath=../ddd" in path.read_bytes()
    opened, image = _open_one(path)
    with opened:
        assert b"".join(image.source.read_blob(image.manifest.layers[0])) == LAYERS[0]


@pytest.mark.parametrize("prefix", ["./", ".//", "x/../"])
def test_paths_in_manifest_json_are_joined_as_loaders_join_them(
    tmp_path: Path, prefix: str
) -> None:
    """Docker and skopeo take ``./``; a digest in such a path counts as in any other."""
    blobs = {f"blobs/sha256/{Digest.of(raw).hex}": raw for raw in (CONFIG, *LAYERS)}
    config, *layers = (f"{prefix}{name}" for name in blobs)
    manifest = {"manifest.json": _manifest_json(config, layers)}
    opened, image = _open_one(make_tar(tmp_path / "x.tar", manifest | blobs))
    with opened:
        assert image.config.raw == CONFIG
        assert verify_images([image], "x.tar") == 2
    wrong = blobs | {layers[0].removeprefix(prefix): LAYERS[1]}
    with pytest.raises(DigestError):
        open_images(str(make_tar(tmp_path / "y.tar", manifest | wrong)))


def _v1(number: int, parent: str = "", **more: object) -> bytes:
    """What Docker 1.9 wrote of a layer; its id is not a digest of anything."""
    fields = {"id": f"{number:064x}", "created": "2015-01-02T03:04:05Z", "docker_version": "1.9.1"}
    command = {"container_config": {"Cmd": ["/bin/sh", "-c", f"step {number}"]}}
    return encode(fields | ({"parent": parent} if parent else {}) | command | more)


def _before_1_10(top: bytes = b"") -> dict[str, bytes]:
    one, two = f"{1:064x}", f"{2:064x}"
    config = {"architecture": "amd64", "os": "linux", "Size": 7, "config": {"Cmd": ["/x"]}}
    return {
        f"{two}/VERSION": b"1.0",
        f"{two}/json": top or _v1(2, one, **config),
        f"{two}/layer.tar": LAYERS[1],
        f"{one}/json": _v1(1),
        f"{one}/layer.tar": LAYERS[0],
        "repositories": encode({"foo": {"1": two, "2": two}}),
    }


def test_an_archive_from_before_docker_1_10_is_read(tmp_path: Path) -> None:
    """``repositories`` and a directory a layer; the configuration is what Docker makes of it."""
    opened, image = _open_one(make_tar(tmp_path / "x.tar", _before_1_10()))
    with opened:
        assert _names(opened) == ["foo:1", "foo:2"]
        assert verify_images([image], "x.tar") == 2
        assert json.loads(image.config.raw) == {
            "architecture": "amd64",
            "config": {"Cmd": ["/x"]},
            "container_config": {"Cmd": ["/bin/sh", "-c", "step 2"]},
            "created": "2015-01-02T03:04:05Z",
            "docker_version": "1.9.1",
            "history": [
                {"created": "2015-01-02T03:04:05Z", "created_by": f"/bin/sh -c step {number}"}
                for number in (1, 2)
            ],
            "os": "linux",
            "rootfs": {
                "type": "layers",
                "diff_ids": [str(Digest.of(layer)) for layer in LAYERS],
            },
        }


@pytest.mark.parametrize("parent", [f"{2:064x}", f"{3:064x}", "../x", "A" * 64])
def test_parents_in_a_circle_or_missing_are_refused(tmp_path: Path, parent: str) -> None:
    """Each step down is to another layer of the archive."""
    files = _before_1_10(_v1(2, parent))
    with pytest.raises(ArchiveError, match=r"is no parent|has no 0"):
        open_images(str(make_tar(tmp_path / "x.tar", files)))


def _piped(path: Path, raw: bytes) -> Thread:
    os.mkfifo(path)
    writer = Thread(target=path.write_bytes, args=(raw,))
    writer.start()
    return writer


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, zstandard.compress])
def test_an_archive_is_read_from_a_pipe_and_compressed_as_a_whole(
    tmp_path: Path, wrap: Callable[[bytes], bytes]
) -> None:
    """It lies in a file without a name meanwhile."""
    good = write_image(tmp_path / "good.tar", make_image(Memory()))
    raw = wrap(good.read_bytes())
    (tmp_path / "x.tar.any").write_bytes(raw)
    writer = _piped(tmp_path / "pipe", raw)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name in ("x.tar.any", "pipe"):
        with open_images(f"{tmp_path}/{name}", scratch=lambda: str(scratch)) as opened:
            assert verify_images(opened_images(opened), opened.location) == 2
            assert list(scratch.iterdir()) == []
    writer.join()


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes never fill a disk."""
    monkeypatch.setattr(spool, "MAX_SPOOLED", 100_000)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(200_000)))
    with pytest.raises(LimitError, match=r"x\.tar\.gz: it decompresses to more than 100000"):
        open_images(f"{tmp_path}/x.tar.gz")


def test_blobs_that_are_links_inside_a_layout_are_read(tmp_path: Path) -> None:
    """To a file or a directory, over several steps; nothing is followed out of the layout."""
    target = write_image(f"{tmp_path}/layout/", make_image(Memory()))
    (target / "store").mkdir()
    for number, blob in enumerate(sorted((target / "blobs/sha256").iterdir())):
        blob.rename(target / f"store/{number}")
        (target / f"step{number}").symlink_to(f"./store/../store/{number}")
        blob.symlink_to(f"../../step{number}")
    (target / "blobs").rename(target / "elsewhere")
    (target / "blobs").symlink_to("elsewhere")
    with open_images(str(target)) as opened:
        assert verify_images(opened_images(opened), opened.location) == 2
    (target / "step0").unlink()
    (target / "step0").symlink_to("step0")
    with pytest.raises(ArchiveError, match="out of the layout"), open_images(str(target)) as opened:
        verify_images(opened_images(opened), opened.location)


def _sha512(raw: bytes) -> Digest:
    return Digest("sha512", hashlib.sha512(raw).hexdigest())


def test_our_own_archive_may_have_any_digest_that_is_registered(tmp_path: Path) -> None:
    """Of its configuration and layers; ``manifest.json`` and ``index.json`` agree on them."""
    source = Memory()
    image = make_image(source, compress=False)
    config = replace(image.config, digest=_sha512(image.config.raw))
    layers = [
        Descriptor(layer.media_type, _sha512(raw), len(raw))
        for layer, raw in zip(image.manifest.layers, LAYERS, strict=True)
    ]
    source.blobs |= {_sha512(raw): raw for raw in (config.raw, *LAYERS)}
    described = replace(image.manifest.config, digest=config.digest)
    manifest = build_manifest(described, layers, image.manifest.media_type)
    path = write_image(tmp_path / "a.tar", Image(manifest, config, source))
    opened, read = _open_one(path)
    with opened:
        assert read.document.raw == manifest.raw
        assert verify_images([read], "here") == 2


@pytest.mark.parametrize("by_name", [True, False], ids=["named", "not-named"])
def test_a_layer_and_a_configuration_may_be_named_by_sha512(tmp_path: Path, by_name: bool) -> None:
    """By their paths or by their diff_ids; what is damaged is told either way."""
    config = encode(json.loads(CONFIG) | {"rootfs": _rootfs(_sha512(LAYERS[0]))} | {"history": []})
    for raw in (LAYERS[0], b"x" + LAYERS[0]):
        layer = f"blobs/sha512/{_sha512(LAYERS[0]).hex}" if by_name else "a/layer.tar"
        name = f"blobs/sha512/{_sha512(config).hex}" if by_name else "config.json"
        files = {name: config, layer: raw, "manifest.json": _manifest_json(name, [layer])}
        path = make_tar(tmp_path / "a.tar", files)
        if raw != LAYERS[0]:
            with pytest.raises(DigestError, match=r"layer.*sha512:"):
                _open_one(path)
            continue
        opened, image = _open_one(path)
        with opened:
            digest = _sha512(config) if by_name else Digest.of(config)
            assert image.config.digest == digest
            assert verify_images([image], "here") == 1


def _rootfs(*diff_ids: Digest) -> dict[str, object]:
    return {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
