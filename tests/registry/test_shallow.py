"""Pushing what does not hold all its layers: they are there, or mounted, or nothing is sent."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imgpack.api import Image, Named, PushOptions, Reference, dry_run
from imgpack.errors import NotFoundError
from imgpack.spec.manifest import BASE_NAME
from tests.registry.hostile import HostileRegistry
from tests.registry.images import connect, make_image, make_index, noise, push_to

CONTENTS = (b"base", noise(20_000), b"own")


def shallow(registry: HostileRegistry, base: str = "") -> Image:
    """An image that holds the last of its layers; ``base`` is what it records."""
    annotations = {BASE_NAME: f"{registry.host}/{base}"} if base else {}
    image = make_image(*CONTENTS, annotations=annotations)
    return replace(image, absent=frozenset(one.digest for one in image.manifest.layers[:2]))


def hold_base(registry: HostileRegistry, repository: str, contents: Sequence[bytes]) -> None:
    """Let ``repository`` hold layers of these contents."""
    image = make_image(*contents)
    for layer in image.manifest.layers:
        registry.add_blob(repository, b"".join(image.source.read_blob(layer)))


@pytest.mark.parametrize("where", ["there", "recorded", "given"])
def test_the_base_s_layers_are_there_or_mounted(where: str) -> None:
    """From what the image names as its base, or what the user names."""
    with HostileRegistry() as registry:
        image = shallow(registry, "debian:12" if where == "recorded" else "")
        place = {"there": "a/b", "recorded": "debian", "given": "mine"}[where]
        hold_base(registry, place, CONTENTS[:2])
        given = (Reference.parse(f"{registry.host}/mine"),) if where == "given" else ()
        push_to(registry.host, image, "a/b:1", mount_from=given)
        sent = {r.query["digest"][0] for r in registry.sent("PUT", "uploads")}
        assert sent == {str(image.manifest.layers[2].digest), str(image.config.digest)}
        assert registry.incomplete() == []
        mounts = {r.query["mount"][0] for r in registry.sent("POST", "mount=") if r.status == 201}
        base = {str(layer.digest) for layer in image.manifest.layers[:2]}
        assert mounts == (set() if where == "there" else base)
        assert str(image.manifest.descriptor.digest) in registry.repository("a/b").manifests


@pytest.mark.parametrize("options", [{}, {"mounts": False}], ids=["", "no-mount"])
def test_what_cannot_be_had_stops_a_push_before_anything_is_sent(
    options: dict[str, object],
) -> None:
    """To whichever of its registries; the layer is named."""
    with HostileRegistry() as whole, HostileRegistry() as registry:
        image = shallow(registry, "debian:12")
        hold_base(whole, "a/b", CONTENTS[:2])
        hold_base(registry, "debian", CONTENTS[:1] if not options else CONTENTS[:2])
        names = [Reference.parse(f"{one.host}/a/b:1") for one in (whole, registry)]
        with connect() as registries, pytest.raises(NotFoundError) as caught:
            from imgpack.api import RegistrySink

            made = PushOptions(**options)  # type: ignore[arg-type]
            RegistrySink(registries, made).write([Named(image, tuple(names))])
        missing = image.manifest.layers[0 if options else 1].digest
        assert f"{registry.host}/a/b does not have the layer {missing}" in str(caught.value)
        for one in (whole, registry):
            assert one.sent("PUT", "uploads") == []
            assert one.sent("PUT", "manifests") == []
            assert one.incomplete() == []


def test_another_image_of_the_push_may_hold_them() -> None:
    """Then they are sent, as all of its layers are."""
    with HostileRegistry() as registry:
        image = shallow(registry)
        index = make_index(image, make_image(*CONTENTS[:2], platform="linux/arm64"))
        push_to(registry.host, index, "a/b:1")
        assert registry.sent("POST", "mount=") == []
        assert str(index.index.descriptor.digest) in registry.repository("a/b").manifests


def test_a_dry_run_says_the_same() -> None:
    """What is mounted, or what is missing."""
    with HostileRegistry() as registry, connect() as registries:
        named = [Named(shallow(registry, "debian:12"), (Reference.parse(f"{registry.host}/a:1"),))]
        with pytest.raises(NotFoundError, match="does not have the layer"):
            dry_run(registries, named, PushOptions())
        hold_base(registry, "debian", CONTENTS[:2])
        steps = dry_run(registries, named, PushOptions())
        assert [step.action for step in steps] == ["mount", "mount", "send", "send", "name"]
        assert {step.source for step in steps[:2]} == {"debian"}
