"""Reading what ``index.json`` says: the OCI half of an archive, or a layout directory.

OCI image-spec ``image-layout.md`` and ``image-index.md``. Descriptors of one
digest are one image with several names. An index of which only one manifest is
there (a pull of one platform, saved by Docker) is that one image.
"""

from typing import Final

from imgpack.errors import ArchiveError, LimitError
from imgpack.image.image import Image, MultiImage
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.json import decode
from imgpack.spec.manifest import MAX_INDEX_ENTRIES, Index, Manifest
from imgpack.spec.reference import Reference, is_tag
from imgpack.store.contents import NAME_ANNOTATION, REF_ANNOTATION
from imgpack.store.documents import Blobs, Found, parse_names, read_small

_MAX_DEPTH: Final = 4
_TYPES: Final = mediatype.MANIFESTS | mediatype.INDEXES | {""}


def read_layout(blobs: Blobs) -> list[Found]:
    """The images of ``index.json``. Raises ``ArchiveError``, ``DocumentError``, ``DigestError``."""
    path = blobs.path
    check_version(read_small(blobs.container, "oci-layout", path) or b"", path)
    raw = read_small(blobs.container, "index.json", path)
    if raw is None:
        raise ArchiveError(f"{path} has oci-layout and no index.json", "it is not an OCI layout")
    groups: dict[Digest, list[Descriptor]] = {}
    for entry in Index.parse(raw, what=f"{path}: index.json").manifests:
        if entry.media_type in _TYPES:
            groups.setdefault(entry.digest, []).append(entry)
    found = (_found(blobs, entries) for entries in groups.values())
    return [one for one in found if one is not None]


def check_version(raw: bytes, path: str) -> None:
    """Refuse an ``oci-layout`` of another version. Raises ``ArchiveError``, ``DocumentError``."""
    version = decode(raw, f"{path}: oci-layout").get("imageLayoutVersion")
    if version != "1.0.0":
        raise ArchiveError(
            f"{path}: the image layout version {str(version)[:40]!r} is unknown",
            "1.0.0 is the one there is",
        )


def _found(blobs: Blobs, entries: list[Descriptor]) -> Found | None:
    document = blobs.manifest(entries[0])
    if isinstance(document, Manifest) and not _is_image(document):
        return None
    texts: list[str] = []
    labels: list[str] = []
    for entry in entries:
        ref = entry.annotation(REF_ANNOTATION)
        name = entry.annotation(NAME_ANNOTATION)
        if ref is not None:
            labels.append(ref)
        # Only podman puts a whole name into ref.name; for all others it is a tag.
        if name is None and ref is not None and not is_tag(ref):
            name = ref
        if name is not None:
            texts.append(name)
    names, others = parse_names(texts)
    return Found(_image(blobs, document, names), tuple(dict.fromkeys((*labels, *others))))


def _image(
    blobs: Blobs, document: Manifest | Index, names: tuple[Reference, ...]
) -> Image | MultiImage:
    if isinstance(document, Manifest):
        return blobs.image(document, names)
    leaves = _leaves(blobs, document, 0)
    only = [manifest for manifest in leaves if _is_image(manifest)]
    if not only:
        raise ArchiveError(
            f"{blobs.path} has none of the manifests of the index {document.descriptor.digest}"
        )
    if len(only) == 1 and len(leaves) < len(document.manifests):
        return blobs.image(only[0], names)
    members = tuple(blobs.image(m, ()) if _is_image(m) else blobs.artifact(m) for m in leaves)
    return MultiImage(document, members, names)


def _is_image(manifest: Manifest) -> bool:
    """Whether it is one; charts, signatures and attachments have manifests, too."""
    return manifest.config.media_type in mediatype.IMAGE_CONFIGS


def _leaves(blobs: Blobs, index: Index, depth: int) -> list[Manifest]:
    if depth >= _MAX_DEPTH:
        raise LimitError(f"{blobs.path}: indexes are nested more than {_MAX_DEPTH} deep")
    out: list[Manifest] = []
    for entry in index.manifests:
        if entry.media_type in _TYPES and blobs.holds(entry):
            document = blobs.manifest(entry)
            if isinstance(document, Manifest):
                out.append(document)
            else:
                out += _leaves(blobs, document, depth + 1)
        if len(out) > MAX_INDEX_ENTRIES:
            raise LimitError(f"{blobs.path}: an index names more than {MAX_INDEX_ENTRIES} images")
    return out
