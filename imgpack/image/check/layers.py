"""A blob that is read once: its digest and size, and of a layer all that its bytes promise.

With more than one job, one thread decompresses, one hashes what comes of that, and the caller's
reads the members. Nothing is decompressed twice, and no file's bytes are looked at, unless their
digests are wanted.
"""

import contextlib
import hashlib
import stat
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.compression.unpack import metered, unpack
from imgpack.errors import ArchiveError, DigestError, LimitError, NotFoundError, TreeError, brief
from imgpack.events import Reporter
from imgpack.files.ahead import ahead, joined
from imgpack.files.blobs import verify_stream
from imgpack.image.base.layer import AHEAD, PIECE
from imgpack.image.check.documents import BlobClaim
from imgpack.image.check.problems import UNREADABLE, Findings, ImageCheck
from imgpack.spec.descriptor import Descriptor
from imgpack.spec.digest import Digest
from imgpack.spec.format import compression_of
from imgpack.tar.stream import StreamMember, read_members
from imgpack.tree.members import member_entry
from imgpack.tree.merge.merged import HashedMember, LayerMembers
from imgpack.tree.tables.making import layer_table
from imgpack.tree.tables.table import LayerTable
from imgpack.tree.tree import MAX_NAME, WHITEOUT_PREFIX

_MAX_SYMLINKS: Final = 32 << 20
"""Bytes of all symbolic links that are looked at, each with what it takes in memory."""
_OVERHEAD: Final = 250
_FAULTS: Final = (*UNREADABLE, LimitError)


@dataclass(slots=True)
class CheckedLayer:
    """What is in a layer that could be read: its table, and what needs a look at other layers.

    ``symlinks`` are paths and targets; ``deletes``: there are whiteouts.
    """

    table: LayerTable
    deletes: bool
    symlinks: list[tuple[bytes, bytes]]


@dataclass(slots=True)
class LayerChecks:
    """How blobs are read, and where problems go; ``digests``: also those of files."""

    findings: Findings
    scratch: Callable[[], str]
    jobs: int
    reporter: Reporter
    digests: bool = field(kw_only=True)
    _room: int = field(default=_MAX_SYMLINKS, init=False)

    def has_room(self, member: StreamMember) -> bool:
        """Whether a symbolic link can be looked at, too, once all layers were read."""
        self._room -= len(member.path) + len(member.link) + _OVERHEAD
        return self._room > 0

    def read(self, claim: BlobClaim) -> CheckedLayer | None:
        """Read a blob; what is in it, if it is a layer that can be read."""
        if claim.diff_ids:
            return _LayerReading(self, claim).run()
        descriptor = claim.descriptor
        meter = self.reporter.begin(descriptor.digest.hex[:12], descriptor.size)
        try:
            chunks = claim.source.read_blob(descriptor)
            for _ in metered(verify_stream(chunks, descriptor, "it"), meter):
                pass
        except _FAULTS as error:
            self.findings.caught(ImageCheck.BLOB, f"blob {descriptor.digest}", error)
        finally:
            meter.end()
        return None


class _LayerReading:
    """One layer on its way."""

    def __init__(self, checks: LayerChecks, claim: BlobClaim) -> None:
        self._checks = checks
        self._findings = checks.findings
        self._claim = claim
        self._where = f"layer {claim.descriptor.digest}"
        self._deletes = False
        self._symlinks: list[tuple[bytes, bytes]] = []

    def run(self) -> CheckedLayer | None:
        descriptor = self._claim.descriptor
        meter = self._checks.reporter.begin(descriptor.digest.hex[:12], descriptor.size)
        try:
            blob = verify_stream(self._claim.source.read_blob(descriptor), descriptor, "it")
            found, raw = unpack(metered(blob, meter))
            self._check_label(descriptor, found)
            pieces = self._ahead(joined(raw, PIECE))
            with contextlib.closing(self._ahead(self._hashed(pieces))) as stream:
                return self._table(stream)
        except (DigestError, NotFoundError) as error:
            self._findings.caught(ImageCheck.BLOB, self._where, error)
        except _FAULTS as error:
            self._findings.caught(ImageCheck.LAYER, self._where, error)
        finally:
            meter.end()
        return None

    def _table(self, stream: Generator[bytes]) -> CheckedLayer | None:
        members = LayerMembers(self._where, self._members(stream))
        try:
            table = layer_table(members, self._checks.scratch)
        except (ArchiveError, TreeError) as error:
            for _ in stream:  # damage shows in the digests, which say more
                pass
            self._findings.caught(ImageCheck.LAYER, self._where, error)
            return None
        for remark in table.remarks:
            more = f" (and {remark.count - 1} more)" if remark.count > 1 else ""
            text = f"{brief(remark.path)} {remark.what}{more}"
            self._findings.add(ImageCheck.DUPLICATE, self._where, text, path=remark.path)
        return CheckedLayer(table, self._deletes, self._symlinks)

    def _ahead(self, pieces: Iterator[bytes]) -> Generator[bytes]:
        return ahead(pieces, AHEAD) if self._checks.jobs > 1 else _each(pieces)

    def _hashed(self, pieces: Generator[bytes]) -> Iterator[bytes]:
        """``pieces``, of which all promised digests are looked at in the end."""
        diff_ids, own = self._claim.diff_ids, self._claim.descriptor.digest
        others = [one for one in diff_ids if one != own]  # its own is checked with the blob
        hashers = {one.algorithm: one.hasher() for one in others}
        with contextlib.closing(pieces):
            for piece in pieces:
                for hasher in hashers.values():
                    hasher.update(piece)
                yield piece
        for one in others:
            found = Digest(one.algorithm, hashers[one.algorithm].hexdigest())
            if found != one:
                text = f"it unpacks to {found}, and the configuration says {one}"
                self._findings.add(ImageCheck.DIFF_ID, self._where, text)

    def _check_label(self, descriptor: Descriptor, found: str) -> None:
        label = compression_of(descriptor.media_type)
        if label is not None and label.value != found:
            text = f"its media type says {label.value}, and its bytes {found}"
            self._findings.add(ImageCheck.MEDIA_TYPE, self._where, text)

    def _members(self, stream: Iterator[bytes]) -> Iterator[HashedMember]:
        """The members that mean something."""
        digests = self._checks.digests
        for member, content in read_members(stream):
            path = member.path
            if WHITEOUT_PREFIX in path or len(path) > MAX_NAME:
                if not self._is_fine(member):
                    continue
                self._deletes = True
            if member.kind == stat.S_IFLNK and self._checks.has_room(member):
                self._symlinks.append((path, member.link))
            if not digests or member.kind != stat.S_IFREG:
                yield HashedMember(member, None)
                continue
            hasher = hashlib.sha256()
            for piece in content:
                hasher.update(piece)
            yield HashedMember(member, hasher.digest())

    def _is_fine(self, member: StreamMember) -> bool:
        """Whether a member has a name that can be unpacked."""
        try:
            member_entry(member, b"")
        except (TreeError, LimitError) as error:
            named = isinstance(error, TreeError)
            check = ImageCheck.WHITEOUT_NAME if named else ImageCheck.LAYER
            self._findings.add(
                check, self._where, error.message, path=member.path, kind=type(error)
            )
            return False
        return True


def _each(pieces: Iterator[bytes]) -> Generator[bytes]:
    yield from pieces
