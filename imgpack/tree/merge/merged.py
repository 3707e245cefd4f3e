"""What the layers of an image make together, from their members alone.

OCI image-spec ``layer.md``, "Applying Changesets". Bottom first, each layer in two steps: what
its whiteouts delete of the layers below goes first, wherever they stand in the archive; then its
members come in their order. A name stands for an inode, so that a file replaced under one of its
names is the old one under the others, and one whose first name is deleted lives on.

Where engines differ, it is as the overlays of docker, podman and containerd have it. But a
directory that a layer leaves out on the way to what it has stays what it is below: only some of
them make it ``0755 0:0``.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple, Protocol

from imgpack.errors import ArchiveError, LimitError, NotFoundError, about, brief
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import OPAQUE, WHITEOUT, Entry
from imgpack.tree.members import member_entry
from imgpack.tree.problems import Problems
from imgpack.tree.tree import MAX_NAME, WHITEOUT_PREFIX, Stamps, check_length, join

MAX_ENTRIES: Final = 4_000_000
"""Entries of all layers of an image together: two gigabytes of memory."""
MAX_NAMES: Final = 1 << 28
"""Bytes of all their paths, targets and attributes, also of directories that are made up."""

_MADE_UP: Final = -1
_TWICE: Final = "is there twice, and docker and podman refuse that; the last one counts"
_OUTSIDE: Final = "is a hard link to a file of a lower layer, which docker and podman cannot unpack"
_COVERED: Final = "is no directory below, and becomes one for what this layer has in it"


class LayerBytes(Protocol):
    """The bytes of a layer, uncompressed."""

    def open(self, member: StreamMember) -> BinaryIO:
        """Those of a regular file, from their start; the caller closes it."""


class HashedMember(NamedTuple):
    """A member of a layer, and the SHA-256 of its bytes if it was computed."""

    member: StreamMember
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class LayerMembers:
    """The members of one layer in the archive's order; ``name`` is what messages call it.

    Without ``source`` no content can be opened.
    """

    name: str
    members: Iterable[HashedMember]
    source: LayerBytes | None = None


class _Inode:
    """What one or several names stand for; the content of their entries.

    ``children`` are those of a directory by name. ``layer`` is the number of the one that it is
    of. ``number`` is its own, if it has several names, of which there are ``links``.
    """

    __slots__ = ("children", "digest", "layer", "links", "member", "number", "source")

    def __init__(
        self,
        member: StreamMember,
        layer: int,
        digest: bytes | None = None,
        source: LayerBytes | None = None,
    ) -> None:
        self.member = member
        self.layer = layer
        self.digest = digest
        self.source = source
        self.children: dict[bytes, _Inode] | None = {} if member.kind == stat.S_IFDIR else None
        self.links = 1
        self.number = 0

    @property
    def target(self) -> bytes:
        """Where a symbolic link points."""
        return self.member.link

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        """As its layer says."""
        return self.member.xattrs

    @property
    def sha256(self) -> str | None:
        """That of a regular file's bytes in hexadecimal, if it is known."""
        return None if self.digest is None else self.digest.hex()

    def open(self) -> BinaryIO:
        """The bytes, if the layer is at hand. Raises ``NotFoundError``."""
        if self.source is None:
            raise NotFoundError(
                f"the bytes of {brief(self.member.path)} are in a layer that is not at hand",
                "use the image itself, with its layers",
            )
        return self.source.open(self.member)

    def entry(self, path: bytes) -> Entry:
        """The entry of this at ``path``."""
        member = self.member
        size = len(member.link) if member.kind == stat.S_IFLNK else member.size
        return Entry(
            path, self, member.kind | member.mode, self.number, 0, self.links,
            member.uid, member.gid, size, member.mtime_ns, 0, member.rdev,
        )  # fmt: skip


class Merged:
    """The tree of layers, bottom first."""

    def __init__(self, layers: Iterable[LayerMembers], name: str = "layers") -> None:
        """Take ``layers``, each of which is read before the next is asked for.

        Raises ``ArchiveError``, ``TreeError`` and ``LimitError`` naming the layer, for one that
        cannot be unpacked, and what reading it raises.
        """
        self._name = name
        self._root = _Inode(_made_up(b""), _MADE_UP)
        self._notes = _Notes()
        linked: list[_Inode] = []
        for number, layer in enumerate(layers):
            with about(layer.name):
                _Unpacking(self._root, number, layer, linked, self._notes).run()
        _count_links(self._root, linked)

    def __str__(self) -> str:
        return self._name

    @property
    def stamps(self) -> Stamps | None:
        """None: it is no tree on disk."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What engines have trouble with: for each kind and layer, the first path that has it."""
        return tuple(
            f"{layer}: {brief(first)} {what}" + (f" (and {count - 1} more)" if count > 1 else "")
            for (layer, what), (first, count) in self._notes.found.items()
        )

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """As ``Tree.entries``."""
        if under:
            yield self._root.entry(under)
        ways = [(under, _sorted(self._root))]
        while ways:
            above, left = ways[-1]
            for name, inode in left:
                path = join(above, name)
                yield inode.entry(path)
                if inode.children:
                    ways.append((path, _sorted(inode)))
                    break
            else:
                ways.pop()

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``."""
        found = _lookup(self._root, path)
        return None if found is None else found.entry(path)

    def names(self, path: bytes) -> list[bytes]:
        """The names in the directory at ``path``, sorted; none if it is no directory."""
        found = _lookup(self._root, path)
        return sorted(found.children) if found is not None and found.children else []


def _made_up(path: bytes) -> StreamMember:
    return StreamMember(path, stat.S_IFDIR, 0o755, 0, 0, 0, 0, b"", 0, {}, _MADE_UP)


def _sorted(directory: _Inode) -> Iterator[tuple[bytes, _Inode]]:
    children = directory.children or {}
    return iter([(name, children[name]) for name in sorted(children)])


def _lookup(root: _Inode, path: bytes) -> _Inode | None:
    """What is at ``path``."""
    found: _Inode | None = root
    for part in path.split(b"/") if path else ():
        if found is None or found.children is None:
            return None
        found = found.children.get(part)
    return found


def _count_links(root: _Inode, linked: list[_Inode]) -> None:
    """Say how many names each inode still has, of those that had several."""
    if not linked:
        return
    for inode in linked:
        inode.links = 0
    left = [root]
    while left:
        for inode in (left.pop().children or {}).values():
            if inode.children:
                left.append(inode)
            elif inode.number:
                inode.links += 1


@dataclass(slots=True)
class _Notes:
    """What is counted over all layers: entries, their bytes, and trouble by layer and kind."""

    entries: int = 0
    size: int = 0
    found: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)

    def count(self, member: StreamMember) -> None:
        """Take ``member`` into account. Raises ``LimitError``."""
        self.entries += 1
        self.size += len(member.path) + len(member.link)
        for name, value in member.xattrs.items():
            self.size += len(name) + len(value)
        if self.entries > MAX_ENTRIES or self.size > MAX_NAMES:
            raise LimitError(
                "the layers up to it have too many files, or their names are too long together",
                f"at most {MAX_ENTRIES:,} files with {MAX_NAMES >> 20} MiB of names are read",
            )


@dataclass(slots=True)
class _Unpacking:
    """One layer on its way on top of ``root``, the tree of those below."""

    root: _Inode
    number: int
    layer: LayerMembers
    linked: list[_Inode]
    notes: _Notes
    _above: bytes = b""
    _directory: _Inode | None = None  # at the path _above, where the last member was
    _borrowed: set[bytes] = field(default_factory=set)  # its names for files of lower layers

    def run(self) -> None:
        """Delete what it deletes, and put there what it has."""
        # All of it comes first: only the lower layers lose anything by it.
        for member, digest in [one for one in self.layer.members if self._stays(one.member)]:
            above, _, name = member.path.rpartition(b"/")
            directory = self._directory
            if directory is None or above != self._above:
                directory = self._directory = self._way(above)
                self._above = above
            if not member.path:
                self._set_root(member)
            elif member.kind:
                inode = _Inode(member, self.number, digest, self.layer.source)
                self._put(directory, name, inode, member.path)
            else:
                self._put(directory, name, self._linked(member), member.path)

    def _stays(self, member: StreamMember) -> bool:
        """Whether ``member`` is an entry; if it deletes something, that is done."""
        self.notes.count(member)
        if WHITEOUT_PREFIX not in member.path:
            return True
        entry = member_entry(member, b"")
        if entry is None or entry.mode not in (OPAQUE, WHITEOUT):
            return entry is not None
        above, _, name = entry.path.rpartition(b"/")
        directory = _lookup(self.root, entry.path if entry.mode == OPAQUE else above)
        if directory is not None and directory.children:
            if entry.mode == OPAQUE:
                directory.children.clear()
            else:
                directory.children.pop(name, None)
        return False

    def _set_root(self, member: StreamMember) -> None:
        if member.kind != stat.S_IFDIR:
            raise ArchiveError("its root is no directory")
        self.root.member = member

    def _way(self, path: bytes) -> _Inode:
        """The directory at ``path``, for what this layer has in it."""
        found = self.root
        parts = path.split(b"/") if path else []
        for count, part in enumerate(parts, 1):
            assert found.children is not None
            inner = found.children.get(part)
            if inner is None or inner.children is None:
                made = _made_up(b"/".join(parts[:count]))
                if inner is not None and self._has(inner, made.path):
                    raise ArchiveError(
                        f"{brief(made.path)} is no directory, and there is something in it"
                    )
                if inner is not None:
                    self._note(_COVERED, made.path)
                self.notes.count(made)
                check_length(part, path)
                inner = found.children[part] = _Inode(made, self.number)
            found = inner
        return found

    def _put(self, directory: _Inode, name: bytes, inode: _Inode, path: bytes) -> None:
        """Make ``inode`` what ``name`` is in ``directory``."""
        if len(name) > MAX_NAME:
            check_length(name, path)
        assert directory.children is not None
        before = directory.children.get(name)
        if before is not None:
            if self._has(before, path) and before.member.offset != _MADE_UP:
                self._note(_TWICE, path)
            if before.children is not None:
                if inode.children is not None:
                    before.member, before.layer = inode.member, self.number
                    return
                self._directory = None  # it may be one of those that go
        directory.children[name] = inode

    def _linked(self, member: StreamMember) -> _Inode:
        """The inode that the hard link ``member`` names, with what its header says."""
        inode = _lookup(self.root, member.link)
        if inode is None or inode.children is not None:
            raise ArchiveError(
                f"{brief(member.path)} is a hard link to {brief(member.link)}, which is "
                + ("not there" if inode is None else "a directory"),
                "make the layer again, from the whole tree",
            )
        if inode.layer != self.number:
            self._note(_OUTSIDE, member.path)
            self._borrowed.add(member.path)
        # Engines set the owner and the permissions that its own header has.
        inode.member = inode.member._replace(
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            mtime_ns=member.mtime_ns,
            xattrs={**inode.member.xattrs, **member.xattrs},
        )
        if not inode.number:
            self.linked.append(inode)
            inode.number = len(self.linked)
        return inode

    def _has(self, inode: _Inode, path: bytes) -> bool:
        """Whether it is this layer that put ``inode`` at ``path``."""
        return inode.layer == self.number or path in self._borrowed

    def _note(self, what: str, path: bytes) -> None:
        first, count = self.notes.found.get((self.layer.name, what), (path, 0))
        self.notes.found[self.layer.name, what] = first, count + 1
