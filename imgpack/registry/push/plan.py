"""What a push has to do: which blobs and documents go to which repository, under which names.

Invariants: every document was verified before anything is planned; a blob
appears once in a repository, however many images name it; a foreign layer
is there if its source holds it; documents are in an order that is never dangling.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from imgpack.errors import (
    AmbiguousError,
    DocumentError,
    InvalidReferenceError,
    NotFoundError,
    Remedy,
    UnsupportedError,
)
from imgpack.image.image import Artifact, Image, Named, Opaque, RawBlob, walk
from imgpack.image.plan import PlannedBlob, one_for_each, plan
from imgpack.registry.push.mount import recorded_bases
from imgpack.spec import mediatype
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import EMPTY_LAYER, EMPTY_LAYER_GZIP, Digest
from imgpack.spec.reference import Reference
from imgpack.spec.schema1.payload import build_schema1, empty_layers
from imgpack.spec.schema1.signature import SigningKey, sign


@dataclass(frozen=True, slots=True)
class Schema1Options:
    """How to sign schema1 manifests; ``time`` is RFC 3339 in UTC; ``tag`` empty: TAG-schema1."""

    key: SigningKey
    time: str
    tag: str = ""

    def name(self, name: Reference) -> Reference:
        """Where the schema1 manifest of what goes to ``name`` goes."""
        return name.with_tag(self.tag or f"{name.tag}-schema1")


@dataclass(frozen=True, slots=True)
class PushDocument:
    """Bytes to PUT under a tag, or under their own digest (``tag`` ``None``).

    The descriptor's digest is the payload's, for schema1.
    """

    name: Reference
    raw: bytes
    descriptor: Descriptor
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """Everything that goes to one repository.

    ``manifests`` may go at once, ``indexes`` one after another, then ``named``. ``bases``
    are repositories that the user named to mount from, ``recorded`` those that the image
    itself names; ``missing`` are layers that no image holds: they have to be there.
    """

    registry: str
    repository: str
    layers: tuple[PlannedBlob, ...]
    configs: tuple[PlannedBlob, ...]
    manifests: tuple[PushDocument, ...]
    indexes: tuple[PushDocument, ...]
    named: tuple[PushDocument, ...]
    bases: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    missing: tuple[Descriptor, ...] = ()

    @property
    def blobs(self) -> dict[Digest, PlannedBlob]:
        """Layers and configurations by digest."""
        return {blob.descriptor.digest: blob for blob in (*self.layers, *self.configs)}

    def mount_sources(
        self, leader: str | None, is_held: Callable[[], bool], *, brought: bool
    ) -> Iterator[str]:
        """Other repositories that may have a blob, each once, the surest first.

        ``leader`` has it from this push, by an upload if it was ``brought``. Where else
        nobody but the image says that it may be, only a blob goes that it holds itself:
        ``is_held`` may have to read all of it, and is asked when the rest is of no use.
        """
        leaders = () if leader is None else (leader,)
        seen = {self.repository}
        for source in (*(leaders if brought else ()), *self.bases):
            if source not in seen:
                seen.add(source)
                yield source
        guessed = [one for one in dict.fromkeys((*leaders, *self.recorded)) if one not in seen]
        if guessed and is_held():
            yield from guessed


def not_at_hand(repository: str, layer: Descriptor, *, mounts: bool) -> NotFoundError:
    """The error for a layer that neither the image nor the registry has; if it ``mounts`` any."""
    cannot = (
        "can it be mounted from elsewhere in the registry"
        if mounts
        else "may it be mounted from elsewhere"
    )
    return NotFoundError(
        f"{repository} does not have the layer {layer.digest} of the base, nor {cannot}, "
        "and the image does not hold it (it is shallow)",
        Remedy.MOUNT_LAYERS(),
    )


def plan_repositories(
    images: Sequence[Named],
    mount_from: Iterable[Reference] = (),
    schema1: Schema1Options | None = None,
) -> tuple[RepositoryPlan, ...]:
    """What goes to each repository, in the order in which they are first named.

    Raises ``DocumentError`` for a name whose digest is not the image's,
    ``InvalidReferenceError`` for an image without a name, which would go nowhere, and
    what ``one_for_each`` does.
    """
    images = one_for_each(images)
    for named in images:
        digest = named.image.document.descriptor.digest
        if not named.names:
            raise InvalidReferenceError(f"the image {digest} has no name", Remedy.NAME_IT())
        for name in named.names:
            if name.digest not in (None, digest):
                raise DocumentError(
                    f"{name.shown()}: the image's digest is {digest}",
                    "push it to a tag, or to the digest that it has",
                )
    places = dict.fromkeys(
        (name.registry, name.repository) for named in images for name in named.names
    )
    given = tuple(mount_from)
    return tuple(_plan(place, images, given, schema1) for place in places)


def _plan(
    place: tuple[str, str],
    images: Sequence[Named],
    mount_from: tuple[Reference, ...],
    schema1: Schema1Options | None,
) -> RepositoryPlan:
    here = [
        Named(named.image, names)
        for named in images
        if (names := tuple(n for n in named.names if (n.registry, n.repository) == place))
    ]
    planned = plan(here)
    members = {
        one.document.descriptor.digest
        for named in here
        for one in walk(named.image)
        if one is not named.image
    }
    inner = [
        PushDocument(here[0].names[0], document.raw, document.descriptor)
        for document in planned.documents
        if document.descriptor.digest in members
    ]
    documents: list[PushDocument] = []
    empty: tuple[PlannedBlob, ...] = ()
    for named in here:
        root = named.image.document
        if isinstance(root, Opaque):
            raise UnsupportedError(
                f"{root.descriptor.digest} is {root.media_type[:80]!r}, which is neither a "
                "manifest nor an index: a registry takes no other under a name",
                "choose an image, or copy it to a layout",
            )
        documents += [PushDocument(n, root.raw, root.descriptor, n.tag) for n in named.names]
        if schema1 is not None:
            made, needs_empty = _schema1(named, schema1)
            documents += made
            empty = _EMPTY if needs_empty else empty
    recorded = [base for named in here for base in recorded_bases(named.image)]
    return RepositoryPlan(
        *place,
        layers=(*planned.blobs, *empty),
        configs=planned.configs,
        manifests=tuple(d for d in inner if d.descriptor.media_type in mediatype.MANIFESTS),
        indexes=tuple(d for d in inner if d.descriptor.media_type in mediatype.INDEXES),
        named=tuple(documents),
        bases=_in_registry(place[0], mount_from),
        recorded=_in_registry(place[0], recorded),
        missing=planned.missing,
    )


def _in_registry(registry: str, names: Iterable[Reference]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.repository for name in names if name.registry == registry))


_EMPTY = (
    PlannedBlob(
        Descriptor(mediatype.DOCKER_LAYER_GZIP, EMPTY_LAYER, len(EMPTY_LAYER_GZIP)),
        RawBlob(EMPTY_LAYER_GZIP),
    ),
)


def _schema1(named: Named, options: Schema1Options) -> tuple[list[PushDocument], bool]:
    """The schema1 manifests of an image, and whether they need the empty layer."""
    image = named.image
    if isinstance(image, Artifact):
        raise UnsupportedError(
            f"this is an artifact of type {image.type}, not an image, so it has no schema1 manifest"
        )
    if not isinstance(image, Image):
        raise AmbiguousError(
            "a schema1 manifest is of one platform, and this image has several",
            Remedy.CHOOSE_PLATFORM(),
        )
    documents: list[PushDocument] = []
    for name in named.names:
        if name.tag is None:
            continue
        tagged = options.name(name)
        made = build_schema1(image.manifest, image.config, name.repository, tagged.target)
        raw = sign(made.payload, options.key, options.time)
        signed = Descriptor(mediatype.SCHEMA1_SIGNED, made.digest, len(raw))
        documents.append(PushDocument(tagged, raw, signed, tagged.target))
    return documents, empty_layers(image.config)
