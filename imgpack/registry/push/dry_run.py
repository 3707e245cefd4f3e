"""What a push would send, found out by reading only.

Invariants: nothing is written to a registry; every document of the image is
verified just as for a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from imgpack.image.image import Named
from imgpack.registry.push.mount import MAX_TRIES
from imgpack.registry.push.plan import RepositoryPlan, not_at_hand, plan_repositories
from imgpack.registry.push.push import PushOptions
from imgpack.registry.registries import Registries
from imgpack.registry.repository import Repository
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class PushStep:
    """One thing that a push would do.

    ``action`` is ``keep``, ``mount``, ``send``, ``name``, or ``skip`` for a layer that is not
    to be distributed.
    """

    action: str
    target: str
    digest: Digest
    size: int
    source: str = ""


def dry_run(
    registries: Registries, images: Sequence[Named], options: PushOptions
) -> tuple[PushStep, ...]:
    """The steps of a push, in its order. Raises what the push would for a layer that is missing,
    and what the registry raises.
    """
    steps: list[PushStep] = []
    leaders: dict[tuple[str, Digest], PushStep] = {}
    for plan in plan_repositories(images, options.mount_from, options.schema1):
        client = Repository(registries.session(plan.registry), plan.repository)
        for layer in plan.missing:
            step = _step(client, plan, layer, None, options)
            if step.action not in ("keep", "mount"):
                raise not_at_hand(client.name, layer, mounts=options.mounts)
            steps.append(step)
        for descriptor in (blob.descriptor for blob in (*plan.layers, *plan.configs)):
            leader = leaders.get((plan.registry, descriptor.digest))
            step = _step(client, plan, descriptor, leader, options)
            leaders.setdefault((plan.registry, descriptor.digest), step)
            steps.append(step)
        for document in (*plan.manifests, *plan.indexes):  # of an index, without a tag
            digest = document.descriptor.digest
            steps.append(PushStep("send", client.name, digest, len(document.raw)))
        for document in plan.named:
            shown = (
                document.name.shown() if document.tag is None else f"{client.name}:{document.tag}"
            )
            steps.append(PushStep("name", shown, document.descriptor.digest, len(document.raw)))
    return tuple(steps)


def _step(
    client: Repository,
    plan: RepositoryPlan,
    blob: Descriptor,
    leader: PushStep | None,
    options: PushOptions,
) -> PushStep:
    action, source = "keep", ""
    if not client.has_blob(blob, certain=True):
        source = _source(client, plan, blob, leader) if options.mounts else ""
        action = "mount" if source else "send" if options.sends(blob) else "skip"
    return PushStep(action, client.name, blob.digest, blob.size, source)


def _source(
    client: Repository, plan: RepositoryPlan, blob: Descriptor, leader: PushStep | None
) -> str:
    """The repository that a blob would be mounted from, or the empty string."""
    brought = leader is not None and leader.action == "send"
    first = None if leader is None else leader.target.partition("/")[2]
    # Whether the image holds a blob is not read here: without it the push will fail anyway.
    sources = plan.mount_sources(first, lambda: True, brought=brought)
    for source in islice(sources, MAX_TRIES):
        known = source == first and leader is not None and leader.action != "skip"
        if known or Repository(client.session, source).has_blob(blob, pushing=False):
            return source
    return ""
