"""Secrets in the texts of an image: each layer is read once, and of each file the beginning."""

import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from imgpack.errors import NotFoundError
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.entries import Laying, may_be_secret
from imgpack.image.lint.findings import MOST_TOLD, LintFindings
from imgpack.tree.secrets.texts import Secret, secrets_in
from imgpack.tree.tree import Tree

_RULE: Final = "secret-content"
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
    found = _FoundSecrets(findings, files)
    for layer, places in enumerate(texts.places):
        try:
            for content in files.contents(layer, places):
                found.add(content.member.path, layer, _beginning(content.pieces))
        except NotFoundError:
            findings.unchecked(f"secrets in files: the bytes of layer {layer + 1} are not at hand")
    found.tell()


def check_tree(tree: Tree, findings: LintFindings) -> None:
    """Add the secrets of the files of ``tree``. Raises as ``Tree.entries``."""
    found = _FoundSecrets(findings)
    for entry in tree.entries():
        if is_candidate(entry.path, entry.mode, entry.size):
            try:
                with entry.open() as file:
                    text = file.read(READ)
            except OSError:
                findings.unchecked("secrets in files: some cannot be read")
                continue
            found.add(entry.path, None, text)
    found.tell()


@dataclass(slots=True)
class _FoundSecrets:
    """Secrets until they are told: which layers hide them is asked once for all, in one pass.

    When there are as many as are told, they are; all others are counted.
    """

    findings: LintFindings
    files: ImageFiles | None = None
    secrets: list[tuple[bytes, int | None, Secret]] = field(default_factory=list)
    told: bool = False

    def add(self, path: bytes, layer: int | None, text: bytes) -> None:
        """The secrets of ``text``, the beginning of the file at ``path`` in ``layer``."""
        if b"\0" in text[:_BINARY]:
            return
        for secret in secrets_in(text):
            if self.told or self.findings.ignores(_RULE, path):
                self._tell(path, layer, secret)
                continue
            self.secrets.append((path, layer, secret))
            if len(self.secrets) == MOST_TOLD:
                self.tell()

    def tell(self) -> None:
        """Add what was found to the findings."""
        hidden = {} if self.files is None or not self.secrets else self._hidden(self.files)
        for path, layer, secret in self.secrets:
            self._tell(path, layer, secret, hidden.get((path, layer)))
        self.told = self.told or bool(self.secrets)
        self.secrets.clear()

    def _tell(
        self, path: bytes, layer: int | None, secret: Secret, deleted_by: int | None = None
    ) -> None:
        message = secret.kind + (f": {secret.shown}" if secret.shown else "")
        self.findings.add(_RULE, message, path, layer, deleted_by=deleted_by, line=secret.line)

    def _hidden(self, files: ImageFiles) -> dict[tuple[bytes, int | None], int]:
        """The layers that hide files with secrets, by paths and layers."""
        wanted = {(path, layer) for path, layer, _ in self.secrets}
        return {
            (one.row.path, one.layer): one.by
            for one in files.laid()
            if (one.row.path, one.layer) in wanted and one.by != one.layer
        }


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
