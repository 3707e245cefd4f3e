"""A flattened image is unpacked as before, and docker makes of a base what a rebase does."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from imgpack.api import AnyImage, Image, flatten, images_in, parse_name
from imgpack.spec.descriptor import describe as described
from imgpack.spec.json import decode, encode
from imgpack.spec.manifest import build_manifest
from imgpack.store.open import open_images
from tests.cli_runner import Imgpack
from tests.interop.committed import committed
from tests.interop.trees import Facts, describe, differences
from tests.servers.engine import Engine
from tests.servers.process import require, require_root, run
from tests.store.samples import write_image

NAMES = (parse_name("localhost/flat:1"),)


def unpacked(image: AnyImage, place: Path) -> dict[bytes, Facts]:
    """What umoci makes of an image."""
    layout = write_image(f"{place}/layout/", image, NAMES)
    run([require("umoci"), "unpack", "--image", f"{layout}:1", str(place / "bundle")])
    return describe(place / "bundle/rootfs")


def lowest(image: Image, count: int) -> Image:
    """An image of only the lowest layers of ``image``."""
    obj = decode(image.config.raw)
    obj["rootfs"]["diff_ids"] = obj["rootfs"]["diff_ids"][:count]
    obj["history"] = obj["history"][:count]
    config = type(image.config).parse(encode(obj))
    of_config = described(image.manifest.config.media_type, config.raw)
    layers = image.manifest.layers[:count]
    return replace(
        image,
        config=config,
        manifest=build_manifest(of_config, layers, image.manifest.media_type),
    )


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_umoci_unpacks_what_it_did_before(seed: int, above: bool, tmp_path: Path) -> None:
    """Of one layer, and of one on top of two that stay."""
    require_root("foreign owners")
    image = committed(seed)
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    base = str(write_image(tmp_path / "base.tar", lowest(image, 2)))
    before = unpacked(image, tmp_path / "before")
    with flatten(image, above=base if above else None) as found:
        (one,) = images_in(found)
        assert len(one.layers) == (3 if above else 1)
        assert differences(before, unpacked(found, tmp_path / "after")) == []


DOCKERFILE = """\
FROM {base}
ENV MINE=x LANG=D
LABEL mine=1
EXPOSE 81
USER 7
CMD ["mine"]
COPY file /file
"""


def config_in(archive: Path) -> dict[str, object]:
    """What the one image's configuration says, in any order of its variables."""
    with open_images(str(archive)) as opened:
        (image,) = images_in(opened.image().image)
        config = {key: value for key, value in image.config.config.items() if value}
    config.pop("Image", None)  # the one before the last instruction, in the engine's own store
    config["Env"] = sorted(config["Env"])
    return config


def test_docker_makes_the_same_of_the_new_base(
    engine: Engine, imgpack: Imgpack, tmp_path: Path
) -> None:
    """The same Dockerfile on both bases: a rebase of one is the other, and it runs."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").touch()
    classic = {**os.environ, "DOCKER_BUILDKIT": "0"}
    for name, said in {
        "old": ("-e", "V=1", "-e", "LANG=C", "-l", "v=1", "--entrypoint", '["/old"]'),
        "new": ("-e", "V=2", "-e", "NEW=1", "-l", "v=2", "--workdir", "/w", "--expose", "80"),
    }.items():
        (tmp_path / "root" / "version").write_text(name)
        imgpack("build", "root", "-t", f"{name}:1", "-o", f"{name}.tar", *said).ok()
        engine.load(tmp_path / f"{name}.tar")
        context = tmp_path / f"context-{name}"
        context.mkdir()
        (context / "file").write_text("mine")
        (context / "Dockerfile").write_text(DOCKERFILE.format(base=f"{name}:1"))
        engine("build", "-t", f"on-{name}:1", str(context), env=classic)
        engine("save", "-o", str(tmp_path / f"on-{name}.tar"), f"on-{name}:1")

    imgpack(
        *("rebase", "on-old.tar", "--from", "old.tar", "--onto", "new.tar"),
        *("-o", "x.tar", "-t", "rebased:1"),
    ).ok()

    assert config_in(tmp_path / "x.tar") == config_in(tmp_path / "on-new.tar")
    engine.load(tmp_path / "x.tar")
    container = engine("create", "rebased:1").decode().strip()
    copied = engine("cp", f"{container}:/file", "-"), engine("cp", f"{container}:/version", "-")
    engine("rm", container)
    assert b"mine" in copied[0]
    assert b"new" in copied[1]
