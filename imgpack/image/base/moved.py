"""How a base differs from what it was when it was locked."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from imgpack.image.base.lock import Lock, LockedImage
from imgpack.spec.json import decode

_PATH: Final = re.compile(rb"[^ ]*")
_NUMBERS: Final = re.compile(rb" (?:time|inode)=[^ \n]*")
"""What differs between builds of the same thing: a file that has only another time is the same."""
_OTHERWISE_TOLD: Final = frozenset({"rootfs", "history", "created", "config"})


@dataclass(frozen=True, slots=True)
class Moved:
    """What is another in the image of one platform; digests and numbers of layers and files.

    ``config`` are keys of the configuration (``config.Env``).
    """

    platform: str
    before: str | None
    after: str
    layers_kept: int
    layers_new: tuple[str, ...]
    config: tuple[str, ...]
    added: int
    removed: int
    changed: int

    def as_json(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)


def moved(old: Lock, new: Lock) -> tuple[Moved, ...]:
    """What differs for each platform of ``new``; nothing if none does."""
    before = {str(image.platform): image for image in old.images}
    pairs = ((before.get(str(image.platform)), image) for image in new.images)
    return tuple(
        _moved(was, now)
        for was, now in pairs
        if was is None or was.manifest.raw != now.manifest.raw
    )


def _moved(was: LockedImage | None, now: LockedImage) -> Moved:
    there = set() if was is None else {layer.digest for layer in was.manifest.layers}
    new = tuple(str(one.digest) for one in now.manifest.layers if one.digest not in there)
    old_files, files = ({} if one is None else _files(one) for one in (was, now))
    old_config, config = ({} if one is None else dict(_settings(one)) for one in (was, now))
    return Moved(
        str(now.platform),
        None if was is None else str(was.manifest.descriptor.digest),
        str(now.manifest.descriptor.digest),
        len(now.manifest.layers) - len(new),
        new,
        tuple(
            sorted(
                key
                for key in old_config.keys() | config.keys()
                if old_config.get(key) != config.get(key)
            )
        ),
        len(files.keys() - old_files.keys()),
        len(old_files.keys() - files.keys()),
        sum(old_files[path] != files[path] for path in files.keys() & old_files.keys()),
    )


def _files(image: LockedImage) -> dict[bytes, bytes]:
    """What the tree says of each path."""
    lines = image.tree.listing("the base").text.split(b"\n")[1:-1]
    return {
        path[0]: _NUMBERS.sub(b"", line[path.end() :])
        for line in lines
        if (path := _PATH.match(line)) is not None
    }


def _settings(image: LockedImage) -> Iterator[tuple[str, Any]]:
    """The keys of the configuration and what they say."""
    document = decode(image.config.raw)
    for key, value in document.items():
        if key not in _OTHERWISE_TOLD:
            yield key, value
    for key, value in image.config.config.items():
        yield f"config.{key}", value
