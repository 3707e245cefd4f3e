"""What a push would send, found out by reading only.

Invariants: nothing is written to a registry; every document of the image is
verified just as for a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imgpack.image.image import Named
from imgpack.image.plan import PlannedBlob
from imgpack.registry.push.plan import RepositoryPlan, plan_repositories
from imgpack.registry.push.push import PushOptions
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository
from imgpack.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class PushStep:
    """One thing that a push would do: ``action`` is ``keep``, ``mount``, ``send`` or ``name``."""

    action: str
    target: str
    digest: Digest
    size: int
    source: str = ""


def dry_run(
    registries: Registries, images: Sequence[Named], options: PushOptions
) -> tuple[PushStep, ...]:
    """The steps of a push, in its order. Raises what the registry raises."""
    steps: list[PushStep] = []
    homes: dict[tuple[str, Digest], str] = {}
    for plan in plan_repositories(images, options.mount_from, options.schema1):
        client = Repository(registries.session(plan.registry), plan.repository)
        blobs = (*plan.layers, *plan.configs)
        steps += [_step(registries, client, plan, blob, homes, options) for blob in blobs]
        for document in (*plan.manifests, *plan.indexes, *plan.named):
            shown = (
                document.name.shown() if document.tag is None else f"{client.name}:{document.tag}"
            )
            steps.append(PushStep("name", shown, document.descriptor.digest, len(document.raw)))
    return tuple(steps)


def _step(
    registries: Registries,
    client: Repository,
    plan: RepositoryPlan,
    blob: PlannedBlob,
    homes: dict[tuple[str, Digest], str],
    options: PushOptions,
) -> PushStep:
    descriptor = blob.descriptor
    key = (plan.registry, descriptor.digest)
    home = homes.setdefault(key, plan.repository)
    if client.has_blob(descriptor):
        return PushStep("keep", client.name, descriptor.digest, descriptor.size)
    sources = [home] if home != plan.repository else []
    for source in [*sources, *plan.bases, *plan.recorded] if options.mounts else ():
        other = Repository(registries.session(plan.registry), source)
        if source == home or other.has_blob(descriptor, pushing=False):
            return PushStep("mount", client.name, descriptor.digest, descriptor.size, source)
    return PushStep("send", client.name, descriptor.digest, descriptor.size)
