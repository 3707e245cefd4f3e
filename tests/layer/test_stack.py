"""Layers on top of each other, staged one after the other."""

from collections.abc import Sequence
from pathlib import Path

from imgpack.api import Entries, Placed, Tree, directory_entry, file, symlink
from imgpack.errors import Hint
from imgpack.events import Silent
from imgpack.layer.planned import planned_layers
from imgpack.layer.raw import raw_layer
from imgpack.layer.stack import LayerStack, grouped
from imgpack.layer.stages import Stages
from imgpack.tar import header
from imgpack.tree.destination import place
from tests.tree.stacks import placed


class Warned(Silent):
    """A reporter that keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, message: str, hint: Hint = "") -> None:
        """Keep it."""
        self.texts.append(message)


def layers(
    trees: Sequence[Tree], lower: Tree | None = None, reporter: Warned | None = None
) -> list[list[tuple[bytes, int]]]:
    """Each layer of ``trees`` over ``lower``: the paths in it, and their permissions."""
    groups = grouped([placed(tree) for tree in trees], squash=False)
    stack = LayerStack(groups, Stages(), lower, (), reporter or Warned(), keep_identical=False)
    return [
        [(entry.path, entry.mode & 0o7777) for entry, _ in entries]
        for _, entries in planned_layers(stack)
    ]


def test_a_raw_layer_lies_below_the_next(tmp_path: Path) -> None:
    """Its links are followed, its directories repeated as it has them."""
    archive = (
        header.encode(b"usr/lib/", typeflag=header.DIRECTORY, mode=0o711)
        + header.encode(b"lib", typeflag=header.SYMLINK, link=b"usr/lib")
        + header.END
    )
    (tmp_path / "x.tar").write_bytes(archive)
    raw: Placed[Tree] = Placed(raw_layer(str(tmp_path / "x.tar"), scratch=lambda: str(tmp_path)))

    _, upper = layers([raw, Entries([file("lib/x", b"")])])

    assert upper == [(b"usr", 0o755), (b"usr/lib", 0o711), (b"usr/lib/x", 0o644)]


def test_a_destination_leads_through_links_below() -> None:
    """They are the image's, of a base or of another layer."""
    lower = Entries([symlink("app", "/opt/app"), directory_entry("opt/app", mode=0o700)])
    tree = place(Entries([file("x", b"")]), b"/app")

    expected = [(b"opt", 0o755), (b"opt/app", 0o700), (b"opt/app/x", 0o644)]
    assert layers([tree], lower) == [expected]
    assert layers([lower, tree])[1] == expected


def test_what_a_layer_replaces_is_told() -> None:
    """Each once, when it is staged."""
    reporter = Warned()

    layers([Entries([file("d/x", b"")]), Entries([file("d", b"")])], reporter=reporter)

    (warning,) = reporter.texts
    assert "d of entries replaces a directory of a lower layer" in warning
