"""Which schema1 payload stands for an image: the one that its archive carries, or a new one."""

from imgpack.errors import ArchiveError, Remedy, UnsupportedError, about
from imgpack.image.image import Image, Named
from imgpack.spec.reference import DEFAULT_TAG, Reference
from imgpack.spec.schema1.payload import build_schema1, parse_payload, real_layers


def schema1_name(named: Named, wanted: str | None) -> Reference:
    """The name that a schema1 manifest of ``named`` holds: the ``wanted`` one, else the first.

    Raises ``UnsupportedError`` if it has none.
    """
    for name in named.tags:
        if wanted in (str(name), name.shown(), name.tag):
            return name
    if not named.tags:
        raise UnsupportedError(
            "the image has no name, and a schema1 manifest holds one", Remedy.NAME_SCHEMA1()
        )
    return named.tags[0]


def schema1_payload(
    image: Image, name: Reference, stored: bytes | None = None, *, exactly: bool = False
) -> bytes:
    """The payload for ``name``: what is ``stored``, if it is for that name, else one made for it.

    ``exactly`` says that the name was chosen, and not just the first one. Raises
    ``ArchiveError`` if what is stored is of another image.
    """
    tag = name.tag or DEFAULT_TAG
    made = build_schema1(image.manifest, image.config, name.repository, tag)
    if stored is None:
        return made.payload
    with about("schema1.json"):
        known = parse_payload(stored)
    if (known.name, known.tag) != (name.repository, tag) or exactly:
        return made.payload
    if real_layers(known) != tuple(layer.digest for layer in image.manifest.layers):
        raise ArchiveError(
            "ambiguous: schema1.json names other layers than the manifest",
            "make the archive again",
        )
    return stored
