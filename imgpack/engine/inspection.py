"""What docker and podman say of the images that they have; the commands are the same."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from imgpack.engine.loading import whole_images
from imgpack.engine.program import EngineProgram
from imgpack.errors import EngineError
from imgpack.image.image import Named
from imgpack.spec.digest import Digest

_AT_ONCE: Final = 200
"""Images asked for by one command, whose arguments have a limit."""
_MOST: Final = 10_000
"""Images that are asked for at all: to have a layer is to be sent less, and no more."""
_ID: Final = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_LONGEST: Final = 200
"""Characters of an identifier that are shown."""


def layers_there(program: EngineProgram) -> Iterator[tuple[str, ...]]:
    """The ``diff_id``s of each image that is there, bottom first.

    An image that is deleted meanwhile is none. Raises ``EngineError``.
    """
    listed = program.ask("images", "--all", "--quiet", "--no-trunc").decode("ascii", "replace")
    ids = [one for one in dict.fromkeys(listed.split()) if _ID.fullmatch(one)][:_MOST]
    for start in range(0, len(ids), _AT_ONCE):
        for one in inspected(program, ids[start : start + _AT_ONCE]):
            yield _layers(one)


def inspected(program: EngineProgram, names: Sequence[str]) -> list[dict[str, Any]]:
    """What the engine says of images, as far as it has them. Raises ``EngineError``."""
    end = program.end("image", "inspect", *names)
    try:
        found = json.loads(end.output or b"[]")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise EngineError(f"{program.name} image inspect did not answer with a list of images")
    return found


def identifier(one: dict[str, Any]) -> str:
    """What an engine knows an image by; podman leaves out the algorithm."""
    found = one.get("Id")
    found = found[:_LONGEST] if isinstance(found, str) else ""
    return found if ":" in found else f"sha256:{found}"


def identify_by_config(program: EngineProgram, named: Named, kind: str) -> Digest:
    """The image's configuration, if the engine has it with all layers, under all names.

    ``kind`` is what messages call the engine. Raises ``EngineError``.
    """
    ((_, image),) = whole_images([named], kind)
    wanted = str(image.config.digest)
    names = [str(tag) for tag in named.tags] or [image.config.digest.hex]
    found = inspected(program, names)
    if len(found) < len(names):
        raise EngineError(f"{program.name} has not loaded {names[len(found)]}")
    for name, one in zip(names, found, strict=False):
        if identifier(one) != wanted:
            raise EngineError(
                f"{program.name} has {identifier(one)} for {name}, and {wanted} was to be loaded"
            )
        if _layers(one) != tuple(map(str, image.config.diff_ids)):
            raise EngineError(f"{program.name} has other layers of {name} than were to be loaded")
    return image.config.digest


def _layers(one: dict[str, Any]) -> tuple[str, ...]:
    system = one.get("RootFS")
    layers = system.get("Layers") if isinstance(system, dict) else None
    return tuple(one for one in layers if isinstance(one, str)) if isinstance(layers, list) else ()
