"""Reading what ``index.json`` says: the OCI half of an archive, or a layout directory.

OCI image-spec ``image-layout.md`` and ``image-index.md``. Descriptors of one
digest are one image with several names. And what skopeo calls ``dir:`` (podman
``docker-dir``): one manifest or index with its blobs in one directory.
"""

from typing import Any, Final

from imgpack.errors import ArchiveError, about
from imgpack.image.opened import Root
from imgpack.spec.descriptor import Descriptor, parse_digest
from imgpack.spec.digest import Digest
from imgpack.spec.json import decode
from imgpack.spec.manifest import Index, parse_document
from imgpack.spec.reference import is_tag
from imgpack.store.contents import NAME_ANNOTATION, REF_ANNOTATION, SHALLOW_ANNOTATION
from imgpack.store.documents import ContainerSource, parse_names, read_small

_DUMP: Final = b"Directory Transport Version: 1."
_KNOWN: Final = frozenset({"mediaType", "digest", "size", "annotations", "platform"})
"""The fields of an entry that are told otherwise; a platform is not (``index_entries``)."""
_POINTERS: Final = frozenset({NAME_ANNOTATION, REF_ANNOTATION, SHALLOW_ANNOTATION})


def read_layout(source: ContainerSource) -> list[Root]:
    """What ``index.json`` points at. Raises ``ArchiveError``, ``DocumentError``."""
    path = source.path
    with about(f"{path}: oci-layout"):
        check_version(read_small(source.container, "oci-layout", path) or b"")
    raw = read_small(source.container, "index.json", path)
    if raw is None:
        raise ArchiveError(f"{path} has oci-layout and no index.json", "it is not an OCI layout")
    with about(f"{path}: index.json"):
        index = Index.parse(raw)
        for entry in index.manifests:
            left_out = entry.annotation(SHALLOW_ANNOTATION) or ""
            source.left_out |= {parse_digest(text) for text in left_out.split()}
    groups: dict[Digest, list[Descriptor]] = {}
    fields: dict[Digest, dict[str, Any]] = {}
    for entry, said in zip(index.manifests, decode(raw)["manifests"], strict=True):
        groups.setdefault(entry.digest, []).append(entry)
        others = {key: value for key, value in said.items() if key not in _KNOWN}
        fields[entry.digest] = fields.get(entry.digest, {}) | others
    return [_root(entries, fields[digest]) for digest, entries in groups.items()]


def read_dump(source: ContainerSource) -> list[Root]:
    """The one image of a ``dir:``, without a name. Raises ``ArchiveError``, ``DocumentError``."""
    path = source.path
    with about(f"{path}: version"):
        version = read_small(source.container, "version", path) or b""
        if not version.startswith(_DUMP):
            raise ArchiveError(f"the version {version[:40]!r} is unknown", "1.0 and 1.1 are read")
    raw = read_small(source.container, "manifest.json", path)
    if raw is None:
        raise ArchiveError(f"{path} has no manifest.json")
    with about(f"{path}: manifest.json"):
        descriptor = parse_document(raw).descriptor
    source.made[descriptor.digest] = raw
    source.paths = _dump_paths
    return [Root(descriptor)]


def _dump_paths(digest: Digest) -> tuple[str, ...]:
    own = digest.hex if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.hex}"
    return own, f"{own}.manifest.json"


def check_version(raw: bytes) -> None:
    """Refuse an ``oci-layout`` of another version. Raises ``ArchiveError``, ``DocumentError``."""
    version = decode(raw).get("imageLayoutVersion")
    if version != "1.0.0":
        raise ArchiveError(
            f"the image layout version {str(version)[:40]!r} is unknown",
            "1.0.0 is the one there is",
        )


def _root(entries: list[Descriptor], fields: dict[str, Any]) -> Root:
    texts: list[str] = []
    labels: list[str] = []
    annotations: dict[str, str] = {}
    for entry in entries:
        own = dict(entry.annotations)
        ref, name = own.get(REF_ANNOTATION), own.get(NAME_ANNOTATION)
        if name is None and ref is not None:
            # Only podman puts a whole name into ref.name; for all others it is a tag.
            (labels if is_tag(ref) else texts).append(ref)
        elif name is not None:
            texts.append(name)
        annotations |= {key: value for key, value in own.items() if key not in _POINTERS}
    names, others = parse_names(texts)
    bare = Descriptor(entries[0].media_type, entries[0].digest, entries[0].size)
    labels = list(dict.fromkeys((*labels, *others)))
    platforms = dict.fromkeys(entry.platform for entry in entries if entry.platform is not None)
    return Root(
        bare, names, tuple(labels), tuple(annotations.items()), tuple(fields.items()),
        tuple(platforms),
    )  # fmt: skip
