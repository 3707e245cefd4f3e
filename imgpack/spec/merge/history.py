"""The history of an image on a base: which of its entries are the base's, which are its own.

OCI image-spec ``config.md``, "history": each layer has one entry, in the layers' order. Entries
are decoded JSON objects, of which nothing is lost.
"""

from collections.abc import Iterable
from typing import Any, Final

from imgpack.spec.config import History, ImageConfig
from imgpack.spec.json import decode

Step = dict[str, Any]
"""An entry."""

_MISSING: Final = "history missing in base"


def missing_history(config: ImageConfig) -> int:
    """How many layers have no entry."""
    return len(config.diff_ids) - _layers(_steps(config))


def steps(config: ImageConfig) -> list[Step]:
    """All entries; behind them one that says so for each layer that they say nothing of."""
    return [*_steps(config), *_missing(missing_history(config), config)]


def steps_above(config: ImageConfig, base: ImageConfig) -> tuple[list[Step], bool]:
    """The entries above those of ``base``, whose layers come first; whether it begins with them.

    If it does not, the layers alone tell where its own begin.
    """
    found, below = _steps(config), _steps(base)
    begins = found[: len(below)] == below
    above = found[len(below) :] if begins else found
    own = len(config.diff_ids) - len(base.diff_ids)
    for _ in range(_layers(above) - own):
        first = next(at for at, step in enumerate(above) if not step.get("empty_layer"))
        above = above[first + 1 :]
    return [*_missing(own - _layers(above), config), *above], begins


def without_layers(found: Iterable[Step]) -> list[Step]:
    """The entries as those of layers that are not there any more."""
    return [step | {"empty_layer": True} for step in found]


def _steps(config: ImageConfig) -> list[Step]:
    return list(decode(config.raw).get("history") or ())


def _layers(found: Iterable[Step]) -> int:
    return sum(not step.get("empty_layer") for step in found)


def _missing(count: int, config: ImageConfig) -> list[Step]:
    return [History(config.created, comment=_MISSING).as_json() for _ in range(count)]
