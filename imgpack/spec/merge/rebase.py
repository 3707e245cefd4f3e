"""The configuration of an image that gets another base: three documents become one.

What the image has as its old base had it was never decided by the image, so it is now as the
new base has it; what differs is the image's own and stays. Variables, labels, ports and volumes
are looked at one by one, everything else as a whole.

Invariants: keys that are not known here are merged like the others; what none of the three has
is not there; and an image that goes to another base and back is what it was, but for what both
it and the other base have alike.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import DocumentError, printable
from imgpack.spec.config import ImageConfig
from imgpack.spec.json import decode, encode, member
from imgpack.spec.manifest import BASE_KEYS
from imgpack.spec.merge.document import CACHE
from imgpack.spec.merge.history import steps, steps_above

_PLATFORM: Final = ("architecture", "os", "variant", "os.version", "os.features")
_OWN: Final = ("created", "author")
_WRITTEN: Final = frozenset({*_PLATFORM, *_OWN, "config", "rootfs", "history"})


@dataclass(frozen=True, slots=True)
class RebasedConfig:
    """``remarks`` are what a user should know of it."""

    config: ImageConfig
    remarks: tuple[str, ...]


def rebase_config(
    image: ImageConfig, old: ImageConfig, new: ImageConfig, labels: Mapping[str, str]
) -> RebasedConfig:
    """The configuration of ``image``, whose first layers are those of ``old``, on ``new``.

    The platform is that of ``new``, time and author are the image's; ``labels`` say what it is
    on now, if labels said that before. Raises ``DocumentError``
    for a document that is malformed where it is merged, ``LimitError`` for a large one.
    """
    documents = [decode(one.raw) for one in (image, old, new)]
    own, _, newest = documents
    configs = [member(one, "config", dict, default={}) for one in documents]
    merge = _ThreeWay()
    out = {
        key: value
        for key, value in merge.values(*documents, apart=_WRITTEN)
        if not key.startswith(CACHE)
    }
    out |= {key: own[key] for key in _OWN if key in own}
    out |= {key: newest[key] for key in _PLATFORM if key in newest}
    runtime = out["config"] = merge.runtime(*configs)
    said = _by_key(configs[0], "Labels").keys() & BASE_KEYS
    if said or runtime.get("Labels", {}).keys() & BASE_KEYS:
        runtime["Labels"] = {
            key: value for key, value in runtime["Labels"].items() if key not in BASE_KEYS
        } | (dict(labels) if said else {})
    above = image.diff_ids[len(old.diff_ids) :]
    diff_ids = [str(diff_id) for diff_id in (*new.diff_ids, *above)]
    out["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    history, begins = steps_above(image, old)
    out["history"] = [*steps(new), *history]
    if not begins:
        merge.remarks.append(
            "the image's history does not begin with its base's: what it says above the base's "
            "layers is kept"
        )
    return RebasedConfig(ImageConfig.parse(encode(out)), tuple(merge.remarks))


_ABSENT: Final = object()
_BY_KEY: Final = {
    "Env": "ENV", "Labels": "LABEL", "ExposedPorts": "EXPOSE", "Volumes": "VOLUME"
}  # fmt: skip
_TOGETHER: Final = frozenset({"Entrypoint", "Cmd", "OnBuild", *_BY_KEY})
_BOTH: Final = "image and new base changed it, and the image's is kept"


def _differ(one: Any, other: Any) -> bool:
    """Whether two values mean different things: Docker writes nothing as null, [], {} or ""."""
    return bool(one != other) and not (_is_nothing(one) and _is_nothing(other))


def _is_nothing(value: Any) -> bool:
    return value is _ABSENT or value is None or value in ([], {}, "")


class _ThreeWay:
    """Three-way merges, each of the image's, the old base's and the new base's; and remarks."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def values(
        self,
        own: Mapping[str, Any],
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        *,
        apart: frozenset[str] = frozenset(),
        what: str = "",
        differ: Callable[[Any, Any], bool] = _differ,
    ) -> Iterator[tuple[str, Any]]:
        """Key by key but for those ``apart``: the new base's first, in its order.

        ``what`` names a key in the remark about one that both changed.
        """
        for key in dict.fromkeys((*new, *own)):
            if key in apart:
                continue
            mine, before, theirs = (one.get(key, _ABSENT) for one in (own, old, new))
            kept = differ(mine, before)
            if what and kept and differ(theirs, before) and differ(mine, theirs):
                self.remarks.append(f"{what} {printable(key)}: {_BOTH}")
            if key in (own if kept else new):
                yield key, mine if kept else theirs

    def runtime(
        self, own: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The ``config`` object."""
        out = dict(self.values(own, old, new, apart=_TOGETHER, what="config"))
        for key, name in _BY_KEY.items():
            maps = [_by_key(one, key) for one in (own, old, new)]
            # A port's value is empty, and so may a label's be: they are there or not.
            merged = dict(self.values(*maps, what=name, differ=operator.ne))
            empty = [one[key] for one in (own, new) if key in one and not one[key]]
            if merged:
                out[key] = list(merged.values()) if key == "Env" else merged
            elif empty:
                out[key] = empty[0]
        if new.get("OnBuild"):
            self.remarks.append("the new base's ONBUILD triggers are not run, and dropped")
        if "OnBuild" in own:
            out["OnBuild"] = own["OnBuild"]
        return out | self._command(own, old, new)

    def _command(
        self, own: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Entrypoint and cmd, which belong together: a cmd is what some entrypoint gets."""
        mine, before, theirs = (one.get("Entrypoint") for one in (own, old, new))
        own_entrypoint, changed = _differ(mine, before), _differ(before, theirs)
        own_cmd = own_entrypoint or _differ(own.get("Cmd"), old.get("Cmd"))
        if own_entrypoint and changed and _differ(mine, theirs):
            self.remarks.append(f"ENTRYPOINT: {_BOTH}")
        if own_cmd and changed and not own_entrypoint:
            self.remarks.append("the image's CMD is passed to the new base's ENTRYPOINT, another")
        sources = {"Entrypoint": own if own_entrypoint else new, "Cmd": own if own_cmd else new}
        return {key: source[key] for key, source in sources.items() if key in source}


def _by_key(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What is to be looked at one by one; of variables each as a whole, by its name."""
    if key != "Env":
        return dict(member(config, key, dict, default={}))
    texts = member(config, key, list, default=[])
    if not all(isinstance(text, str) for text in texts):
        raise DocumentError("one of the 'Env' is not a string")
    return {text.partition("=")[0]: text for text in texts}
