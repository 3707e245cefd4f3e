"""What may not work of an image on its new base, which no document shows.

Its own layers were made for what the old base has: they may repeat, replace or delete what is
another thing now. Each of their paths is looked at in both bases, then the program and the user
that the image starts in what it is now. Nothing of it is an error.
"""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from imgpack.errors import ImgpackError, printable
from imgpack.events import Reporter
from imgpack.image.base.layer import BaseLayer
from imgpack.image.base.rebase import Rebased
from imgpack.image.base.tree import base_tree
from imgpack.image.base.upper import Upper, UpperContent
from imgpack.image.image import AnyImage, Image
from imgpack.layer.cache.segments import SegmentCache
from imgpack.spec.descriptor import describe
from imgpack.spec.manifest import build_manifest
from imgpack.spec.merge.changes import DEFAULT_PATH
from imgpack.spec.platform import Platform
from imgpack.tree.below import Below, Laid
from imgpack.tree.elf import HEAD, interpreter
from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry
from imgpack.tree.merge.listing import Listing, listed_sha256
from imgpack.tree.rules.accounts import check_user
from imgpack.tree.tree import join

_KINDS: Final = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symlink",
    stat.S_IFIFO: "a fifo",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at: ``kind`` is for programs, ``text`` for people.

    ``type``: the new base has another kind of thing there; ``changed``: the bases differ in
    what is replaced; ``new``: only the new base has it; ``gone``: only the old one had it;
    ``attributes``: a directory has the old base's; ``program`` and ``user``: they do not
    start. ``path`` is in the image, absolute.
    """

    kind: str
    path: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"kind": self.kind, "path": self.path, "text": self.text}


@dataclass(frozen=True, slots=True)
class OnNewBase:
    """An ``image`` on its new base, and what was found of each platform, if somebody looked."""

    image: AnyImage
    findings: Mapping[Platform, tuple[Finding, ...]] | None

    def as_json(self) -> list[dict[str, Any]]:
        """The findings for programs, each with its platform."""
        return [
            {"platform": str(platform)} | one.as_json()
            for platform, found in (self.findings or {}).items()
            for one in found
        ]


def looked(
    rebased: Rebased,
    image: Image,
    new: Listing,
    where: str,
    cache: SegmentCache | None,
    jobs: int,
    reporter: Reporter,
) -> tuple[Finding, ...]:
    """What there is to say of ``image``, which lies ``where``, now that its base makes ``new``.

    The image's own layers are read once; so are those of the old base, unless the ``cache``
    has what they make. Raises what reading them raises.
    """
    below = _below(image, rebased)
    old = base_tree(below, where, cache=cache, jobs=jobs, reporter=reporter)
    uppers = [
        Upper(BaseLayer(image, layer, where, jobs, reporter))
        for layer in image.layers[rebased.count :]
    ]
    comparison = _InBothBases(old, new)
    found = [one for upper in uppers for entry in upper.entries() for one in comparison.of(entry)]
    whole = Below([Laid(new), *(Laid(upper, exact=True) for upper in uppers)])
    return (*found, *_starting(rebased.image, whole))


def _below(image: Image, rebased: Rebased) -> Image:
    """The old base, with the layers as the image itself has them, if it does."""
    if image.absent.intersection(layer.digest for layer in image.manifest.layers[: rebased.count]):
        return rebased.old
    config, manifest = rebased.old.config, image.manifest
    described = describe(manifest.config.media_type, config.raw, config.digest)
    layers = manifest.layers[: rebased.count]
    below = build_manifest(described, layers, manifest.media_type)
    return Image(below, config, image.source, image.absent)


class _InBothBases:
    """The paths of the image's own layers, one after another, in both bases."""

    def __init__(self, old: Listing, new: Listing) -> None:
        self._old = old
        self._new = new
        self._seen: set[bytes] = set()
        self._own: set[bytes] = set()
        """Where the layers so far have something behind which the base does not show."""

    def of(self, entry: Entry) -> Iterator[Finding]:
        """What there is to say of an entry of a layer."""
        path, kind = entry.path, entry.mode if entry.mode in (WHITEOUT, OPAQUE) else 0
        above = _above(path)
        if any(one in self._own for one in above):
            return
        for directory in (*above, path) if entry.is_directory or kind == OPAQUE else above:
            yield from self._way(directory)
        if kind == OPAQUE:
            yield from self._opaque(path)
            return
        if path in self._seen:
            return
        self._seen.add(path)
        if entry.is_directory:
            yield from self._directory(entry)
        else:
            self._own.add(path)
            yield from self._replaced(entry, "deleted" if kind == WHITEOUT else "replaced")

    def _way(self, path: bytes) -> Iterator[Finding]:
        """A directory of the layer, which has to be one in the new base."""
        if not path or path in self._seen or path in self._own:
            return
        found = self._new.find(path)
        if found is None or found.is_directory:
            return
        self._own.add(path)
        self._seen.add(path)
        target = f" to {printable(found.target())}" if stat.S_ISLNK(found.mode) else ""
        yield _finding(
            "type", path, f"is {_kind(found)}{target} in the new base, and becomes a directory"
        )

    def _directory(self, entry: Entry) -> Iterator[Finding]:
        before, now = self._old.find(entry.path), self._new.find(entry.path)
        if now is None or not now.is_directory:
            return
        if _attributes(now) == _attributes(entry):
            return
        if before is None or _attributes(before) == _attributes(entry):
            yield _finding(
                "attributes", entry.path,
                f"is {_said(entry)} in the image's layers, as in the old base, "
                f"and {_said(now)} in the new one",
            )  # fmt: skip

    def _opaque(self, path: bytes) -> Iterator[Finding]:
        hidden = set(self._new.names(path)) - set(self._old.names(path))
        for name in sorted(hidden):
            yield _finding("new", join(path, name), "is new in the new base, and is deleted")

    def _replaced(self, entry: Entry, done: str) -> Iterator[Finding]:
        path = entry.path
        before, now = self._old.find(path), self._new.find(path)
        if now is None:
            if before is not None:
                yield _finding("gone", path, f"is {done}, and the new base does not have it")
        elif before is None:
            if not _same(entry, now):
                yield _finding("new", path, f"is new in the new base, and is {done}")
        elif stat.S_IFMT(before.mode) != stat.S_IFMT(now.mode):
            yield _finding(
                "type", path,
                f"was {_kind(before)}, is {_kind(now)} in the new base, and is {done}",
            )  # fmt: skip
        elif not _same(before, now) and not _same(entry, now):
            yield _finding("changed", path, f"is another one in the new base, and is {done}")


def _starting(image: Image, whole: Below) -> Iterator[Finding]:
    """What does not start in the tree ``whole``."""
    config = image.config.config
    user = str(config.get("User") or "")
    try:
        check_user(user, whole.read_file, inherited=False)
    except ImgpackError as error:
        yield Finding("user", "/etc/passwd", error.message)
    words = config.get("Entrypoint") or config.get("Cmd") or ()
    if not isinstance(words, list) or not words:
        return
    program = _program(str(words[0]), config, whole)
    if program is None:
        yield Finding("program", str(words[0]), "the program that the image starts is not there")
        return
    content = program.content
    if not isinstance(content, UpperContent) or not stat.S_ISREG(program.mode):
        return
    runs = interpreter(content.head(HEAD))
    if runs is not None and _found(runs, whole) is None:
        yield _finding("program", program.path, f"needs {printable(runs)}, which is not there")


def _program(word: str, config: Any, whole: Below) -> Entry | None:
    """The file that a container starts, by its path or as ``PATH`` leads to it."""
    if "/" in word:
        directory = "" if word.startswith("/") else f"{config.get('WorkingDir') or ''}/"
        return _found(f"{directory}{word}".encode("utf-8", "surrogateescape"), whole)
    variables = dict(str(one).partition("=")[::2] for one in config.get("Env") or ())
    for place in (variables.get("PATH") or DEFAULT_PATH).split(":"):
        found = _found(f"{place}/{word}".encode("utf-8", "surrogateescape"), whole)
        if found is not None and not found.is_directory:
            return found
    return None


def _found(path: bytes, whole: Below) -> Entry | None:
    try:
        return whole.find(whole.resolve(path, path, file=True))
    except ImgpackError:  # through what is no directory, or links without an end
        return None


def _above(path: bytes) -> Sequence[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _attributes(entry: Entry) -> tuple[object, ...]:
    return entry.mode, entry.uid, entry.gid, _xattrs(entry)


def _xattrs(entry: Entry) -> dict[bytes, bytes]:
    return {} if isinstance(entry.content, bytes) else dict(entry.content.xattrs)


def _same(one: Entry, other: Entry) -> bool:
    """Whether two entries make the same, whenever that was."""
    if not stat.S_IFMT(one.mode) or _attributes(one) != _attributes(other):
        return False
    if stat.S_ISREG(one.mode):
        return listed_sha256(one) == listed_sha256(other)
    return (one.rdev, _target(one)) == (other.rdev, _target(other))


def _target(entry: Entry) -> bytes:
    return entry.target() if stat.S_ISLNK(entry.mode) else b""


def _kind(entry: Entry) -> str:
    return _KINDS.get(stat.S_IFMT(entry.mode), "a device")


def _said(entry: Entry) -> str:
    return f"{stat.S_IMODE(entry.mode):04o} {entry.uid}:{entry.gid}"


def _finding(kind: str, path: bytes, text: str) -> Finding:
    shown = f"/{printable(path)}"
    return Finding(kind, shown, f"{shown} {text}")
