"""Archives of every tool as the base of an image: their layers are read byte for byte."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from imgpack.api import Digest, Format, Platform, RuntimeChanges
from imgpack.image.documents import Recipe
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.json import encode
from imgpack.store.open import open_images
from tests.store.samples import CREATED, LAYERS, make_config, make_tar, only_image, read_layers

CONFIG = make_config(LAYERS).raw
HEX = Digest.of(CONFIG).hex
PLAIN = tuple(Digest.of(layer).hex for layer in LAYERS)
PACKED = tuple(gzip.compress(layer, mtime=0) for layer in LAYERS)
OLD = ("1" * 64, "2" * 64)
"""Ids of layers that are no digest of anything."""


def _manifest_json(config: str, *layers: str, **more: Any) -> dict[str, bytes]:
    item = {"Config": config, "RepoTags": ["foo:1"], "Layers": layers}
    return {"manifest.json": encode([item | more])}


def _members(tar: Path, members: list[tuple[str, bytes | None, str]], kind: bytes) -> Path:
    """An archive of files, and of links of one kind where there is no content."""
    with tarfile.open(tar, "w") as archive:
        for name, content, link in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = kind, link
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    return tar


def docker_1_9(path: Path) -> None:
    """Without ``manifest.json``: a chain of parents."""
    files: dict[str, bytes] = {"repositories": encode({"foo": {"1": OLD[1]}})}
    for number, (name, layer) in enumerate(zip(OLD, LAYERS, strict=True)):
        said: dict[str, Any] = {"id": name, "created": CREATED, "docker_version": "1.9.1"}
        said |= {"container_config": {"Cmd": [f"step {number}"]}}
        if number:
            said |= {"parent": OLD[0], "architecture": "amd64", "os": "linux", "config": {}}
        files |= {f"{name}/VERSION": b"1.0", f"{name}/json": encode(said)}
        files[f"{name}/layer.tar"] = layer
    make_tar(path, files)


def docker_24(path: Path) -> None:
    """A directory for each layer, and the configuration beside them."""
    files = {f"{HEX}.json": CONFIG, "repositories": encode({"foo": {"1": OLD[1]}})}
    for name, layer in zip(OLD, LAYERS, strict=True):
        files |= {f"{name}/VERSION": b"1.0", f"{name}/json": b"{}", f"{name}/layer.tar": layer}
    names = [f"{name}/layer.tar" for name in OLD]
    make_tar(path, files | _manifest_json(f"{HEX}.json", *names))


def docker_25(path: Path) -> None:
    """Blobs and an index, and ``manifest.json`` beside it."""
    _layout(path, LAYERS, mediatype.OCI_LAYER, docker=True)


def podman_oci(path: Path) -> None:
    """``oci-archive`` of podman, buildah and skopeo: a layout in a tar."""
    _layout(path, PACKED, mediatype.OCI_LAYER_GZIP, docker=False)


def _layout(path: Path, blobs: tuple[bytes, ...], kind: str, *, docker: bool) -> None:
    def described(kind: str, raw: bytes) -> dict[str, Any]:
        return {"mediaType": kind, "digest": str(Digest.of(raw)), "size": len(raw)}

    layers = [described(kind, blob) for blob in blobs]
    config = described(mediatype.OCI_CONFIG, CONFIG)
    manifest = encode({"schemaVersion": 2, "mediaType": mediatype.OCI_MANIFEST,
                       "config": config, "layers": layers})  # fmt: skip
    named = {"annotations": {"org.opencontainers.image.ref.name": "foo:1"}}
    index = {"schemaVersion": 2, "manifests": [described(mediatype.OCI_MANIFEST, manifest) | named]}
    files = {f"blobs/sha256/{Digest.of(raw).hex}": raw for raw in (*blobs, CONFIG, manifest)}
    files |= {"index.json": encode(index), "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    if docker:
        names = [f"blobs/sha256/{Digest.of(blob).hex}" for blob in blobs]
        sources = {one["digest"]: one for one in layers}
        files |= _manifest_json(f"blobs/sha256/{HEX}", *names, LayerSources=sources)
        files["repositories"] = encode({"foo": {"1": PLAIN[1]}})
    make_tar(path, files)


def podman_docker(path: Path) -> None:
    """``docker-archive``: a file for each layer, and links for readers of old."""
    names = [f"{name}.tar" for name in PLAIN]
    files = dict(zip(names, LAYERS, strict=True)) | {f"{HEX}.json": CONFIG}
    files |= {f"{name}/json": b"{}" for name in OLD} | _manifest_json(f"{HEX}.json", *names)
    files["repositories"] = encode({"localhost/foo": {"1": OLD[1]}})
    links = {f"{old}/layer.tar": f"../{name}" for old, name in zip(OLD, names, strict=True)}
    make_tar(path, files, links)


def crane(path: Path) -> None:
    """Crane and kaniko: compressed layers under the digests of their bytes."""
    names = [f"{Digest.of(blob).hex}.tar.gz" for blob in PACKED]
    files = {f"sha256:{HEX}": CONFIG} | dict(zip(names, PACKED, strict=True))
    make_tar(path, files | _manifest_json(f"sha256:{HEX}", *names))


def jib(path: Path) -> None:
    """The same with a configuration that is named for what it is."""
    names = [f"{Digest.of(blob).hex}.tar.gz" for blob in PACKED]
    files = dict(zip(names, PACKED, strict=True)) | {"config.json": CONFIG}
    make_tar(path, files | _manifest_json("config.json", *names))


def hard_linked(path: Path) -> None:
    """What a file system that deduplicates makes of an archive that is unpacked and packed."""
    front: Mapping[str, bytes] = {f"{HEX}.json": CONFIG} | _manifest_json(f"{HEX}.json", "a", "b/c")
    members: list[tuple[str, bytes | None, str]] = [
        *((f"./{name}", raw, "") for name, raw in front.items()),
        ("./x", LAYERS[0], ""),
        ("./y", LAYERS[1], ""),
        ("./a", None, "./x"),
        ("./b/c", None, "y"),
    ]
    _members(path, members, tarfile.LNKTYPE)


def sparse(path: Path) -> None:
    """``tar -S`` packs a layer of zeros in pieces (GNU format 1.0 in pax records)."""
    layer = LAYERS[1]
    piece = -(-len(layer) // 512) * 512 - 512
    stored = f"2\n0\n{piece}\n{len(layer)}\n0\n".encode().ljust(512, b"\0") + layer[:piece]
    assert not any(layer[piece:])
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        front = {"c.json": CONFIG, "a": LAYERS[0]} | _manifest_json("c.json", "a", "b")
        for name, raw in front.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
        member = tarfile.TarInfo("GNUSparseFile.0/b")
        member.size = len(stored)
        member.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "b",
            "GNU.sparse.realsize": str(len(layer)),
        }
        archive.addfile(member, io.BytesIO(stored))


TOOLS = (docker_1_9, docker_24, docker_25, podman_docker, podman_oci, crane, jib, hard_linked)


@pytest.mark.parametrize("write", [*TOOLS, sparse], ids=lambda write: write.__name__)
@pytest.mark.parametrize("kind", Format)
def test_an_archive_of_any_tool_is_a_base(
    tmp_path: Path, write: Callable[[Path], None], kind: Format
) -> None:
    """Its layers are the lowest, its configuration and history go on in the new one."""
    write(tmp_path / "base.tar")
    packed = write in (crane, jib, podman_oci)
    with open_images(str(tmp_path / "base.tar")) as opened:
        base = only_image(opened)
        assert read_layers(base) == list(PACKED if packed else LAYERS)
    if write is not docker_1_9:
        assert base.config.raw == CONFIG

    recipe = Recipe(Platform(), RuntimeChanges(), format=kind, base=base)
    manifest, config = recipe.documents([], [], "2026-01-02T03:04:05Z")
    assert config.diff_ids == tuple(Digest.of(layer) for layer in LAYERS)
    assert config.history == base.config.history
    assert [layer.digest for layer in manifest.layers] == [
        Digest.of(blob) for blob in (PACKED if packed else LAYERS)
    ]
    assert {Format.of(layer.media_type) for layer in manifest.layers} == {kind}
    assert recipe.remarks(0) == ()
    assert "container_config" not in json.loads(config.raw)
    assert ImageConfig.parse(config.raw) == config
