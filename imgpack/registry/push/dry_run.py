"""What a push would send, found out by reading only.

Invariants: nothing is written to a registry; every document of the image is
verified just as for a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from imgpack.image.image import Named
from imgpack.registry.push.plan import RepositoryPlan, plan_repositories
from imgpack.registry.push.push import PushOptions
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor
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
        for descriptor in (blob.descriptor for blob in (*plan.layers, *plan.configs)):
            home = homes.setdefault((plan.registry, descriptor.digest), plan.repository)
            action, source = "keep", ""
            if not client.has_blob(descriptor, certain=True):
                source = _source(client, plan, descriptor, home) if options.mounts else ""
                action = "mount" if source else "send"
            steps.append(PushStep(action, client.name, descriptor.digest, descriptor.size, source))
        for document in (*plan.manifests, *plan.indexes, *plan.named):
            shown = (
                document.name.shown() if document.tag is None else f"{client.name}:{document.tag}"
            )
            steps.append(PushStep("name", shown, document.descriptor.digest, len(document.raw)))
    return tuple(steps)


def _source(client: Repository, plan: RepositoryPlan, blob: Descriptor, home: str) -> str:
    """The repository that a blob would be mounted from, or the empty string."""
    if home != plan.repository:
        return home
    for source in (*plan.bases, *plan.recorded):
        if source == home or Repository(client.session, source).has_blob(blob, pushing=False):
            return source
    return ""
