"""What a record says of a build, beside the tables of its images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class InputChange:
    """Something that decides bytes, is not in a tree, and is not as it was ``recorded``."""

    what: str
    recorded: str
    now: str

    def as_json(self) -> dict[str, str]:
        """The JSON object."""
        return {"what": self.what, "recorded": self.recorded, "now": self.now}


@dataclass(frozen=True, slots=True)
class Recorded:
    """With what it was built, where its paths begin, and what was made: digests by image.

    ``directory`` and ``checkout`` are paths from here, empty for here. ``bases`` are those of what
    an image was built on.
    """

    imgpack: str
    layer_format: int
    epoch: int | None
    directory: str
    checkout: str
    digests: Mapping[str, str]
    bases: Mapping[str, str]

    def changes(self, now: Recorded, name: str) -> Iterator[InputChange]:
        """What is otherwise ``now`` that ``name`` is built again; what says most is first."""
        pairs = {
            "layer-format": (str(self.layer_format), str(now.layer_format)),
            "base": (self.bases.get(name, "nothing"), now.bases.get(name, "nothing")),
            "imgpack": (self.imgpack, now.imgpack),
        }
        for what, (recorded, here) in pairs.items():
            if recorded != here:
                yield InputChange(what, recorded, here)


def together(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ``records`` of several images that one run built, as one."""
    whole = dict(records[-1])
    for key in ("image", "built"):
        whole[key] = {name: one for record in records for name, one in record[key].items()}
    return whole
