"""The platform of a tree is read from its programs."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from imgpack.api import Directory, Placed, Platform, Tree
from imgpack.tree.destination import place
from imgpack.tree.elf import find_program


def elf(machine: int, *, bits: int = 2, order: int = 1) -> bytes:
    """The first bytes of an ELF program."""
    ident = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    return ident + struct.pack("<HH" if order == 1 else ">HH", 2, machine) + bytes(44)


def platform(trees: Sequence[Tree], programs: Sequence[str] = ()) -> Platform | None:
    """What the first program that is found is for."""
    found = find_program(trees, programs)
    return found.platform if found else None


def tree(root: Path, files: dict[str, bytes], dest: bytes = b"") -> Placed[Directory]:
    """A tree with these files."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return place(Directory(str(root).encode()), b"/" + dest)


@pytest.mark.parametrize(
    ("head", "architecture"),
    [
        (elf(62), "amd64"),
        (elf(183), "arm64"),
        (elf(3, bits=1), "386"),
        (elf(40, bits=1), "arm"),
        (elf(243), "riscv64"),
        (elf(21), "ppc64le"),
        (elf(22, order=2), "s390x"),
    ],
)
def test_a_shell_tells_the_architecture(tmp_path: Path, head: bytes, architecture: str) -> None:
    """The ELF header of /bin/sh names the machine, in Go's words."""
    found = platform([tree(tmp_path, {"bin/sh": head})])

    assert found == Platform("linux", architecture)


def test_the_entrypoint_is_asked_before_the_shell(tmp_path: Path) -> None:
    """An image for an emulated shell runs its entrypoint."""
    one = tree(tmp_path, {"bin/sh": elf(62), "srv/app": elf(183)})

    assert platform([one], ["/srv/app"]) == Platform("linux", "arm64")


def test_a_destination_is_where_a_program_is_looked_for(tmp_path: Path) -> None:
    """A tree under /opt holds /opt/run, and no /run."""
    one = tree(tmp_path, {"run": elf(183)}, dest=b"opt")

    assert platform([one], ["/opt/run"]) == Platform("linux", "arm64")
    assert platform([one], ["/run"]) is None


def test_a_symlink_never_leads_out_of_the_tree(tmp_path: Path) -> None:
    """An absolute link names a file of the image, not of the building host."""
    outside = tmp_path / "outside"
    outside.write_bytes(elf(62))
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sh").symlink_to(outside)
    (root / "usr").symlink_to(tmp_path)

    assert platform([Directory(str(root).encode())], ["/usr/outside"]) is None


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", elf(9999), elf(62)[:19]])
def test_what_is_no_known_program_tells_nothing(tmp_path: Path, data: bytes) -> None:
    """Scripts, fragments and unknown machines leave the question open."""
    assert platform([tree(tmp_path, {"bin/sh": data})]) is None


def test_a_program_outside_a_trees_destination_does_not_decide_the_platform(tmp_path: Path) -> None:
    """A tree under /opt has no /bin/sh, although it has a file of which that path ends."""
    one = tree(tmp_path, {"sh": elf(183), "n/sh": elf(183)}, dest=b"opt")

    assert platform([one]) is None
    assert platform([one], ["/bin/sh", "/usr/bin/sh"]) is None
    assert platform([one], ["/opt/sh"]) == Platform("linux", "arm64")
