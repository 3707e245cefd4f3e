"""Secrets in the texts of an image: each layer is read once, and of each file the beginning."""

import stat
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from imgpack.errors import NotFoundError
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.entries import Laying, may_be_secret
from imgpack.image.lint.findings import LintFindings
from imgpack.tree.secrets.texts import secrets_in
from imgpack.tree.tree import Tree

MAX_TEXT: Final = 1 << 20
"""Bytes of a file that is looked into: larger ones are data."""
READ: Final = 64 << 10
"""Bytes of it that are read, from the beginning."""
_LEAST: Final = 20
"""Bytes of the shortest secret that is known by its form."""
_BINARY: Final = 1024
"""Bytes in which a file that is no text has a NUL."""


class Texts:
    """Places of files of each layer that may be texts: a bit for each."""

    def __init__(self, layers: int) -> None:
        self.places = tuple(_Places() for _ in range(layers))

    def look(self, one: Laying) -> None:
        """Remember where ``one`` is, if its bytes are to be read."""
        if (
            one.layer is not None
            and one.held == one.layer
            and is_candidate(one.path, one.mode, one.size)
        ):
            self.places[one.layer].add(one.place)


def is_candidate(path: bytes, mode: int, size: int) -> bool:
    """Whether a file may be a text with a secret."""
    return stat.S_ISREG(mode) and _LEAST <= size <= MAX_TEXT and may_be_secret(path)


def check_layers(files: ImageFiles, texts: Texts, findings: LintFindings) -> None:
    """Add the secrets of the files that ``texts`` knows. Raises as ``ImageFiles.contents``."""
    for layer, places in enumerate(texts.places):
        try:
            for found in files.contents(layer, places):
                path = found.member.path
                _add(findings, path, layer, _beginning(found.pieces), files)
        except NotFoundError:
            findings.unchecked(f"secrets in files: the bytes of layer {layer + 1} are not at hand")


def check_tree(tree: Tree, findings: LintFindings) -> None:
    """Add the secrets of the files of ``tree``. Raises as ``Tree.entries``."""
    for entry in tree.entries():
        if is_candidate(entry.path, entry.mode, entry.size):
            try:
                with entry.open() as file:
                    text = file.read(READ)
            except OSError:
                findings.unchecked("secrets in files: some cannot be read")
                continue
            _add(findings, entry.path, None, text)


def _add(
    findings: LintFindings,
    path: bytes,
    layer: int | None,
    text: bytes,
    files: ImageFiles | None = None,
) -> None:
    if b"\0" in text[:_BINARY]:
        return
    for secret in secrets_in(text):
        there = None if files is None else files.at(path)
        gone = there is None or there.layer != layer
        findings.add(
            "secret-content",
            secret.kind + (f": {secret.shown}" if secret.shown else ""),
            path,
            layer,
            deleted_by=_hiding(files, path, layer) if files is not None and gone else None,
            line=secret.line,
        )


def _hiding(files: ImageFiles, path: bytes, layer: int | None) -> int | None:
    """The layer that hides what ``layer`` has at ``path``."""
    for number in range((layer or 0) + 1, len(files.tables)):
        above = path
        while above:
            rows = files.tables[number].at(above)
            if any(row.deletes or above == path or not row.is_directory for row in rows):
                return number
            above = above.rpartition(b"/")[0]
    return None


def _beginning(pieces: Iterable[bytes]) -> bytes:
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= READ:
            break
    return b"".join(found)[:READ]


class _Places(Collection[int]):
    """A set of small numbers, in a bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def add(self, number: int) -> None:
        """Put ``number`` into it."""
        byte, bit = divmod(number, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits) + len(self._bits) // 8))
        if not self._bits[byte] >> bit & 1:
            self._bits[byte] |= 1 << bit
            self._count += 1

    def __contains__(self, number: object) -> bool:
        assert isinstance(number, int)
        byte, bit = divmod(number, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        for byte, bits in enumerate(self._bits):
            for bit in range(8) if bits else ():
                if bits >> bit & 1:
                    yield 8 * byte + bit

    def __len__(self) -> int:
        return self._count
