"""What a push would send, found out by reading only.

Invariants: nothing is written to a registry; every document of the image is
verified just as for a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imgpack.registry.push.plan import Blob, Delivery, Parcel, parcels
from imgpack.registry.push.push import PushOptions
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository
from imgpack.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a push would do: ``action`` is ``keep``, ``mount``, ``send`` or ``name``."""

    action: str
    target: str
    digest: Digest
    size: int
    source: str = ""


def rehearse(
    registries: Registries, deliveries: Sequence[Delivery], options: PushOptions
) -> tuple[Step, ...]:
    """The steps of a push, in its order. Raises what the registry raises."""
    steps: list[Step] = []
    homes: dict[tuple[str, Digest], str] = {}
    for parcel in parcels(deliveries, options.mount_from, options.schema1):
        client = Repository(registries.session(parcel.registry), parcel.repository)
        blobs = (*parcel.layers, *parcel.configs)
        steps += [_step(registries, client, parcel, blob, homes, options) for blob in blobs]
        for document in (*parcel.children, *parcel.documents):
            shown = (
                document.name.shown() if document.tag is None else f"{client.name}:{document.tag}"
            )
            steps.append(Step("name", shown, document.digest, len(document.raw)))
    return tuple(steps)


def _step(
    registries: Registries,
    client: Repository,
    parcel: Parcel,
    blob: Blob,
    homes: dict[tuple[str, Digest], str],
    options: PushOptions,
) -> Step:
    descriptor = blob.descriptor
    key = (parcel.registry, descriptor.digest)
    home = homes.setdefault(key, parcel.repository)
    if client.has_blob(descriptor):
        return Step("keep", client.name, descriptor.digest, descriptor.size)
    sources = [home] if home != parcel.repository else []
    for source in [*sources, *parcel.bases, *parcel.recorded] if options.mounts else ():
        other = Repository(registries.session(parcel.registry), source)
        if source == home or other.has_blob(descriptor, pushing=False):
            return Step("mount", client.name, descriptor.digest, descriptor.size, source)
    return Step("send", client.name, descriptor.digest, descriptor.size)
