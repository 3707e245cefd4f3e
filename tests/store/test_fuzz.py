"""Documents of any content in an archive: read, refused by name, never more."""

import copy
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from imgpack.errors import ImgpackError
from imgpack.image.describe import described
from imgpack.image.image import Image, Named
from imgpack.image.opened import Opened
from imgpack.image.schema1 import schema1_payload
from imgpack.image.verify import verify_images
from imgpack.spec import mediatype
from imgpack.spec.config import ImageConfig
from imgpack.spec.digest import Digest
from imgpack.spec.reference import parse_name
from imgpack.spec.schema1.payload import build_schema1, parse_payload, real_layers, to_config
from imgpack.store.archive.write import open_writer
from imgpack.store.contents import blob_path
from imgpack.store.open import open_images
from tests.strategies import json_values

from .samples import Memory, make_image, make_tar, opened_images

NAME: Final = parse_name("localhost:5000/app:1")
KINDS: Final = ("config", "manifest", "index", "index.json", "manifest.json", "schema1.json")
MOST: Final = 64 << 20
"""Bytes of memory that no document of a few kilobytes is worth."""

_DEEP: Final[Any] = json.loads("[" * 70 + "]" * 70)
_HOSTILE: Final = (
    None, True, 0, -1, 1 << 53, 1 << 64, 10**300, 0.5, "", "x", "sha256:", f"sha256:{'g' * 64}",
    f"sha256:{'0' * 64}", f"sha512:{'0' * 128}", f"md5:{'0' * 32}", "../../etc/passwd", "\x00",
    "\x1b[2J", "x" * 300, "9" * 5000, [], {}, [{}], [[]] * 3, {"digest": 1}, _DEEP,
    mediatype.OCI_INDEX, mediatype.OCI_MANIFEST, mediatype.DOCKER_CONFIG, mediatype.SCHEMA1_SIGNED,
    "application/vnd.oci.image.layer.nondistributable.v1.tar", "2020-99-99T99:99:99Z",
)  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what it is in, and its key there."""
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(found):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


@st.composite
def _changes(draw: st.DrawFn) -> list[tuple[int, str, Any]]:
    """What is done to a document: at which place, how, and with what."""
    how = st.sampled_from(("set", "set", "set", "delete", "add", "repeat", "case", "bytes"))
    values = st.sampled_from(_HOSTILE) | json_values()
    one = st.tuples(st.integers(0, 1 << 16), how, values)
    return draw(st.lists(one, min_size=1, max_size=3))


def _changed(raw: bytes, changes: list[tuple[int, str, Any]]) -> bytes:
    document = json.loads(raw)
    for at, how, drawn in changes:
        value = copy.deepcopy(drawn)
        places = list(_places(document))
        if not places or how == "bytes":
            continue
        where, key = places[at % len(places)]
        if how == "set":
            where[key] = value
        elif how == "delete":
            del where[key]
        elif how == "repeat" and isinstance(where, list):
            where += [where[key]] * (at % 2000)
        elif isinstance(where, dict):
            new = str(value)[:20] if how == "add" else str(key).swapcase()
            where[new] = value if how == "add" else where[key]
    raw = json.dumps(document).encode("utf-8", "surrogatepass")
    for at, how, value in changes:
        if how == "bytes":
            cut = at % (len(raw) + 1)
            raw = raw[:cut] + str(value).encode("utf-8", "replace") + raw[cut + at % 3 :]
    return raw


def _described(media_type: str, raw: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(raw)), "size": len(raw)}


def _files(kind: str, changes: list[tuple[int, str, Any]]) -> dict[str, bytes]:
    """An archive of which the document ``kind`` is changed, and all digests are right."""
    source = Memory()
    image = make_image(source)

    def made(name: str, document: Any) -> bytes:
        raw = json.dumps(document).encode()
        return _changed(raw, changes) if name == kind else raw

    config = made("config", json.loads(image.config.raw))
    manifest = json.loads(image.manifest.raw)
    manifest["config"] |= {"digest": str(Digest.of(config)), "size": len(config)}
    manifest_raw = made("manifest", manifest)
    entry = _described(image.manifest.media_type, manifest_raw)
    platform = {"os": "linux", "architecture": "amd64"}
    index = made(
        "index",
        {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": [entry | {"platform": platform}],
        },
    )
    named = {"annotations": {"io.containerd.image.name": str(NAME)}}
    roots = [_described(mediatype.OCI_INDEX, index) | named, entry]
    layers = [blob_path(layer.digest) for layer in image.manifest.layers]
    item = {"Config": blob_path(Digest.of(config)), "RepoTags": [str(NAME)], "Layers": layers}
    schema1 = build_schema1(image.manifest, image.config, NAME.repository, NAME.target)
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": made("index.json", {"schemaVersion": 2, "manifests": roots}),
        "manifest.json": made("manifest.json", [item]),
        "schema1.json": made("schema1.json", json.loads(schema1.payload)),
    }
    blobs = (
        config,
        manifest_raw,
        index,
        *(source.blobs[one.digest] for one in image.manifest.layers),
    )
    return files | {blob_path(Digest.of(raw)): raw for raw in blobs}


def _used(opened: Opened, target: Path) -> None:
    """Everything that commands do with what is there."""
    images = opened.images()
    for named in images:
        json.dumps(described(named))
        if isinstance(named.image, Image):
            schema1_payload(named.image, NAME, opened.schema1_payload)
    verify_images(opened_images(opened), opened.location)
    with open_writer(str(target)) as writer:
        writer.write([Named(one.image, one.names or (NAME,)) for one in images])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), _changes(), st.booleans())
def test_a_document_of_any_content_is_read_or_refused(
    kind: str, changes: list[tuple[int, str, Any]], docker: bool
) -> None:
    """With ``oci-layout`` and without: nothing but an ``ImgpackError`` comes out, and in bounds."""
    files = _files(kind, changes)
    if docker:
        del files["oci-layout"]
    with tempfile.TemporaryDirectory() as directory:
        path = make_tar(Path(directory, "a.tar"), files)
        tracemalloc.start()
        try:
            for use in ("all", "find", "select"):
                try:
                    with open_images(str(path)) as opened:
                        if use == "all":
                            _used(opened, Path(directory, "b.tar"))
                        elif use == "find":
                            opened.describe(Digest.of(b"absent"))
                        else:
                            opened.document(opened.select(f"sha256:{'0' * 8}"))
                except ImgpackError as error:
                    assert len(error.message) < 20_000
            assert tracemalloc.get_traced_memory()[1] < MOST
        finally:
            tracemalloc.stop()


@settings(max_examples=200, deadline=None)
@given(_changes(), st.integers(-1, 1))
def test_a_schema1_payload_of_any_content_is_read_or_refused(
    changes: list[tuple[int, str, Any]], row: int
) -> None:
    """As a whole, or within one of its rows, which are documents themselves."""
    image = make_image(Memory())
    raw = build_schema1(image.manifest, image.config, NAME.repository, NAME.target).payload
    if row < 0:
        raw = _changed(raw, changes)
    else:
        document = json.loads(raw)
        entry = document["history"][row]
        entry["v1Compatibility"] = _changed(entry["v1Compatibility"].encode(), changes).decode()
        raw = json.dumps(document).encode()
    with suppress(ImgpackError):
        known = parse_payload(raw)
        config = to_config(known, {digest: digest for digest in real_layers(known)})
        ImageConfig.parse(config.raw)
