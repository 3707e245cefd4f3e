"""One layer as a tree with its deletions, in memory: what it has at a path, and in what order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from imgpack.errors import LimitError
from imgpack.image.base.layer import BaseLayer
from imgpack.tar.stream import StreamMember
from imgpack.tree.entry import OPAQUE, OPAQUE_NAME, Entry
from imgpack.tree.members import member_entry
from imgpack.tree.merge.merged import MAX_ENTRIES
from imgpack.tree.problems import Problems
from imgpack.tree.tree import Stamps, join


@dataclass(frozen=True, slots=True)
class UpperContent:
    """What a member of a layer has; its bytes are read again when they are asked for."""

    layer: BaseLayer
    member: StreamMember
    digest: bytes | None

    @property
    def target(self) -> bytes:
        """Where a symbolic link points."""
        return self.member.link

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        """As the layer says."""
        return self.member.xattrs

    @property
    def sha256(self) -> str | None:
        """That of a regular file's bytes in hexadecimal."""
        return None if self.digest is None else self.digest.hex()

    def open(self) -> BinaryIO:
        """The bytes of a small file. Raises ``NotFoundError``."""
        return self.layer.open(self.member)

    def head(self, size: int) -> bytes:
        """The first bytes of a file."""
        return self.layer.head(self.member, size)


class Upper:
    """The tree of ``layer``, whose members are read once, now; of a path the last counts.

    A hard link is what it names, if that is in the layer. Raises what reading raises.
    """

    def __init__(self, layer: BaseLayer) -> None:
        self._name = layer.name
        self._found: dict[bytes, Entry] = {}
        for member, digest in layer.members().members:
            entry = member_entry(member, UpperContent(layer, member, digest))
            if entry is None:
                continue
            if len(self._found) > MAX_ENTRIES:
                raise LimitError(f"{self._name} has more than {MAX_ENTRIES:,} files")
            if not member.kind and (named := self._found.get(member.link)):
                entry = named._replace(path=entry.path)
            key = join(entry.path, OPAQUE_NAME) if entry.mode == OPAQUE else entry.path
            self._found[key] = entry

    def __str__(self) -> str:
        return self._name

    @property
    def stamps(self) -> Stamps | None:
        """None: it is no tree on disk."""
        return None

    def entries(self, problems: Problems | None = None, under: bytes = b"") -> Iterator[Entry]:
        """Everything, in the order of the archive."""
        return iter(self._found.values())

    def find(self, path: bytes) -> Entry | None:
        """As ``Tree.find``; an opaque directory has its mark under the name of that."""
        return self._found.get(path)
