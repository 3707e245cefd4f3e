"""OCI layouts that a registry may have under any name: artifacts, and images that act up."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tar.making import member, pax

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
MANIFEST, INDEX, CONFIG = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json", f"{OCI}.config.v1+json"
LAYER = f"{OCI}.layer.v1.tar"
PLATFORM = {"os": "linux", "architecture": "amd64"}
EVIL = "e\x1b]0;owned\x07\x1b[2Jv\x9b31m\u202ei\u2066l\r\b\x7f\u2028"
"""Escape sequences of both kinds, C1 controls, text that runs backwards, ends of lines."""

Descriptor = dict[str, Any]
Maker = Callable[["Layout"], Descriptor]


class Layout:
    """An OCI layout at ``path``, of which every blob is what its digest says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, media_type: str, *, absent: bool = False) -> Descriptor:
        """A blob, or one that lies elsewhere."""
        digest = hashlib.sha256(data).hexdigest()
        if not absent:
            (self.path / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(self, media_type: str, **keys: Any) -> Descriptor:
        """A JSON document as a blob."""
        return self.blob(json.dumps(keys).encode(), media_type)

    def manifest(self, config: Descriptor, *layers: Descriptor, **more: Any) -> Descriptor:
        """A manifest."""
        return self.document(
            MANIFEST, schemaVersion=2, mediaType=MANIFEST, config=config, layers=layers, **more
        )

    def index(self, *members: Descriptor) -> Descriptor:
        """An index."""
        return self.document(INDEX, schemaVersion=2, mediaType=INDEX, manifests=members)

    def image(self, *tars: bytes, **config: Any) -> Descriptor:
        """An image of layers that are not compressed."""
        layers = [self.blob(tar, LAYER) for tar in tars]
        return self.manifest(self.config([layer["digest"] for layer in layers], **config), *layers)

    def config(self, diff_ids: list[str], **more: Any) -> Descriptor:
        """The configuration of an image."""
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        return self.document(CONFIG, **PLATFORM, rootfs=rootfs, **more)

    def finish(self, described: Descriptor, name: str = "strange:1") -> None:
        """Name what it holds."""
        named = {**described, "annotations": {"org.opencontainers.image.ref.name": name}}
        self.path.joinpath("index.json").write_text(
            json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
        )


def tar(*members: bytes) -> bytes:
    """An archive."""
    return b"".join(members) + bytes(1024)


PLAIN = tar(member("etc/", kind=b"5"), member("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"))


def _artifact(layout: Layout) -> Descriptor:
    empty = layout.blob(b"{}", "application/vnd.oci.empty.v1+json")
    text = layout.blob(b"a text", "text/plain")
    return layout.manifest(empty, text, artifactType="application/vnd.example.text")


def _attested(layout: Layout) -> Descriptor:
    image = layout.image(PLAIN)
    said = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    }
    unknown = {"os": "unknown", "architecture": "unknown"}
    attestation = {**_attestation(layout), "platform": unknown, "annotations": said}
    return layout.index({**image, "platform": PLATFORM}, attestation)


def _only_attestation(layout: Layout) -> Descriptor:
    unknown = {"os": "unknown", "architecture": "unknown"}
    return layout.index({**_attestation(layout), "platform": unknown}, _artifact(layout))


def _attestation(layout: Layout) -> Descriptor:
    statement = layout.blob(b'{"_type": "x"}', "application/vnd.in-toto+json")
    config = layout.document(
        CONFIG,
        os="unknown",
        architecture="unknown",
        rootfs={"type": "layers", "diff_ids": [statement["digest"]]},
    )
    return layout.manifest(config, statement)


def _unknown_layer(layout: Layout) -> Descriptor:
    layer = layout.blob(b"nobody knows what", "application/vnd.example.strange+squashfs")
    return layout.manifest(layout.config([layer["digest"]]), layer)


def _foreign(layout: Layout) -> Descriptor:
    packed = gzip.compress(PLAIN, mtime=0)
    layer = layout.blob(packed, f"{DOCKER}.image.rootfs.foreign.diff.tar.gzip", absent=True)
    diff_id = f"sha256:{hashlib.sha256(PLAIN).hexdigest()}"
    config = layout.config([diff_id]) | {"mediaType": f"{DOCKER}.container.image.v1+json"}
    kind = f"{DOCKER}.distribution.manifest.v2+json"
    layers = [{**layer, "urls": ["https://example.invalid/layer"]}]
    return layout.document(kind, schemaVersion=2, mediaType=kind, config=config, layers=layers)


def _nested(layout: Layout) -> Descriptor:
    image = {**layout.image(PLAIN), "platform": PLATFORM}
    return layout.index(layout.index(image), layout.index(layout.index()))


def _bare(layout: Layout) -> Descriptor:
    return layout.image()


def _chart(layout: Layout) -> Descriptor:
    config = layout.document("application/vnd.cncf.helm.config.v1+json", name="chart", version="1")
    kind = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    chart = tar(member("chart/Chart.yaml", b"name: chart\n"))
    return layout.manifest(config, layout.blob(gzip.compress(chart, mtime=0), kind))


def _signature(layout: Layout) -> Descriptor:
    payload = layout.blob(b'{"critical": {}}', "application/vnd.dev.cosign.simplesigning.v1+json")
    signed = {**payload, "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="}}
    return layout.manifest(layout.config([payload["digest"]]), signed)


def _no_tar(layout: Layout) -> Descriptor:
    return layout.image(b"this is no archive, whatever it is called" * 30)


def _empty_index(layout: Layout) -> Descriptor:
    return layout.index()


STRANGE: dict[str, Maker] = {
    "an artifact": _artifact,
    "an index with an attestation": _attested,
    "an attestation": _attestation,
    "an index of an attestation and an artifact": _only_attestation,
    "a layer of an unknown type": _unknown_layer,
    "a layer that lies elsewhere": _foreign,
    "an index of indexes": _nested,
    "an image without layers": _bare,
    "a chart": _chart,
    "a signature": _signature,
    "a layer that is no archive": _no_tar,
    "an index of nothing": _empty_index,
}


def _named(name: bytes, data: bytes, *records: tuple[str, str | bytes]) -> bytes:
    return pax(("path", name), *records) + member("x", data)


def evil_image(layout: Layout) -> Descriptor:
    """An image all of whose names, labels, attributes, targets and history act on a terminal."""
    evil = EVIL.encode()
    bottom = tar(
        _named(evil, b"text\n" + evil, ("SCHILY.xattr.user." + EVIL, evil)),
        _named(b"not utf-8 \xff\xfe" + evil, b"1"),
        _named(b"line\nfeed", b"2"),
        pax(("path", b"link" + evil), ("linkpath", b"/to/" + evil)) + member("l", kind=b"2"),
        pax(("path", b"hard" + evil), ("linkpath", evil)) + member("h", kind=b"1", link="x"),
        pax(("path", b"dir" + evil)) + member("d", kind=b"5"),
        _named(b"etc/passwd", evil.replace(b"\r", b"").replace(b"\n", b"") + b":x:0:0::/:\n"),
    )
    top = tar(
        _named(b".wh.not utf-8 \xff\xfe" + evil, b""),
        _named(evil, b"text\nother\n" + evil),
        _named(b"dir" + evil + b"/" + evil, b"new"),
    )
    history = [{"created_by": EVIL, "comment": EVIL, "author": EVIL}] * 2
    run = {
        "Labels": {EVIL: EVIL},
        "Env": [f"A={EVIL}"],
        "Cmd": [EVIL],
        "Entrypoint": [f"/{EVIL}"],
        "User": EVIL,
        "WorkingDir": f"/{EVIL}",
    }
    return layout.image(bottom, top, history=history, config=run, author=EVIL)


def _evil_member(name: bytes, **record: bytes) -> Maker:
    def make(layout: Layout) -> Descriptor:
        records = [("path", name), *record.items()]
        return layout.image(tar(pax(*records) + member("x", b"1")))

    return make


EVIL_ERRORS: dict[str, Maker] = {
    "a name that leads out": _evil_member(b"../" + EVIL.encode()),
    "a deletion of nothing": _evil_member(b".wh.x/" + EVIL.encode()),
    "a name that is too long": _evil_member(EVIL.encode() * 20),
    "a time that is no number": _evil_member(EVIL.encode(), mtime=EVIL.encode()),
    "a layer whose type is evil": lambda layout: layout.manifest(
        layout.config([f"sha256:{'a' * 64}"]), layout.blob(b"x" * 600, f"text/{EVIL}")
    ),
    "a configuration of an evil type": lambda layout: layout.manifest(
        layout.document(f"application/{EVIL}", a=1), layout.blob(b"x", "text/plain")
    ),
    "an artifact of an evil type": lambda layout: layout.manifest(
        layout.blob(b"{}", "application/vnd.oci.empty.v1+json"),
        layout.blob(b"x", "text/plain"),
        artifactType=f"application/{EVIL}",
        annotations={EVIL: EVIL},
    ),
    "a platform that is evil": lambda layout: layout.index(
        {**layout.image(PLAIN), "platform": {"os": EVIL, "architecture": EVIL, "variant": EVIL}}
    ),
    "a digest that is evil": lambda layout: layout.manifest(
        {"mediaType": CONFIG, "digest": f"sha256:{EVIL}", "size": 2}
    ),
    "a key that is evil": lambda layout: layout.document(
        MANIFEST, schemaVersion=EVIL, mediaType=MANIFEST, config=EVIL, layers=[]
    ),
}
