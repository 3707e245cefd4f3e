"""The platform of a tree is read from its programs, and so is what runs them."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Directory, Placed, Platform, Tree
from imgpack.tree.destination import place
from imgpack.tree.elf import HEAD, find_program, interpreter, program_headers


def elf(machine: int, *, bits: int = 2, order: int = 1) -> bytes:
    """The first bytes of an ELF program."""
    ident = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    return ident + struct.pack("<HH" if order == 1 else ">HH", 2, machine) + bytes(44)


def platform(trees: Sequence[Tree], programs: Sequence[str] = ()) -> Platform | None:
    """What the first program that is found is for."""
    found = find_program(trees, [program.encode() for program in programs])
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


def test_a_name_without_a_path_is_looked_for_where_programs_are(tmp_path: Path) -> None:
    """As an engine does with its PATH."""
    one = tree(tmp_path, {"bin/sh": elf(62), "usr/local/bin/app": elf(183)})

    assert platform([one], ["app"]) == Platform("linux", "arm64")
    assert platform([one], ["none"]) == Platform("linux", "amd64")


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


def elf_with(interpreter_path: bytes, *, wide: bool, little: bool) -> bytes:
    """A program with a first segment of another kind, and one that names what runs it."""
    order, start = "<" if little else ">", 64 if wide else 52
    size = 56 if wide else 32
    head = bytearray(start + 2 * size)
    head[:6] = b"\x7fELF" + bytes([2 if wide else 1, 1 if little else 2])
    struct.pack_into(order + ("Q" if wide else "I"), head, 32 if wide else 28, start)
    struct.pack_into(order + "HH", head, 54 if wide else 42, size, 2)
    where = (len(head), 0, 0, len(interpreter_path) + 1, 0, 0)
    segment = struct.pack(order + ("I4x6Q" if wide else "I6I4x"), 3, *where)
    head[start + size :] = segment
    return bytes(head) + interpreter_path + b"\0rest"


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("little", [True, False])
def test_what_runs_a_program_is_found(wide: bool, little: bool) -> None:
    """In every width and byte order; a program that is cut short has none."""
    program = elf_with(b"/lib/ld.so", wide=wide, little=little)
    assert interpreter(program) == b"/lib/ld.so"
    assert interpreter(program[:70]) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"#!/bin/sh\n", b"/bin/sh"),
        (b"#! /usr/bin/env python3\nx", b"/usr/bin/env"),
        (b"#!/bin/sh", b"/bin/sh"),
        (b"#!\n/bin/sh", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_what_runs_a_script_is_found(head: bytes, expected: bytes | None) -> None:
    """The first word of its first line."""
    assert interpreter(head) == expected


def test_the_system_s_own_programs_have_their_interpreter() -> None:
    """What a real linker wrote."""
    found = interpreter(Path("/bin/ls").read_bytes()[:HEAD])
    assert found is not None
    assert Path(os.fsdecode(found)).exists()


@given(st.binary(max_size=300))
def test_nothing_in_a_program_makes_it_fail(tail: bytes) -> None:
    """Whatever the headers say."""
    for head in (b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"#!"):
        interpreter(head + tail)


_PLACES = ("", "app", "bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
_NAMES = ("sh", "bash", "dash", "busybox", "env", "true", "ls", "init")


@pytest.mark.parametrize("place", _PLACES)
def test_a_program_is_looked_for_in_each_usual_place(tmp_path: Path, place: str) -> None:
    """One that is named, and those that most images have."""
    for name in (*_NAMES, "mine"):
        found = platform([tree(tmp_path / name, {f"{place}/{name}".lstrip("/"): elf(183)})], [name])
        assert found == Platform("linux", "arm64")
    for name in _NAMES:
        one = Directory(os.fsencode(tmp_path / name))
        found_at = find_program([one])
        assert found_at is not None
        assert found_at.path == f"{tmp_path}/{name}/{place}/{name}".replace("//", "/").encode()


def test_a_higher_tree_decides_what_a_path_is(tmp_path: Path) -> None:
    """As a higher layer does."""
    low, high = (tree(tmp_path / n, {"bin/sh": elf(m)}) for n, m in (("low", 62), ("high", 183)))
    assert platform([low, high]) == Platform("linux", "arm64")
    assert platform([high, low]) == Platform("linux", "amd64")


def test_the_name_of_what_runs_a_program_ends_with_its_segment() -> None:
    """Or with a zero in it; an empty one is none."""
    whole = elf_with(b"/lib/ld.so", wide=True, little=True)
    assert interpreter(whole.replace(b"\0rest", b"rest!")) == b"/lib/ld.sor"
    assert interpreter(whole.replace(b"/lib", b"/l\0b")) == b"/l"
    assert interpreter(whole.replace(b"/lib", b"\0lib")) is None


@pytest.mark.parametrize("wide", [True, False])
def test_segments_are_told_up_to_one_that_is_cut(wide: bool) -> None:
    """Where they lie in the file and in memory, and how long they are."""
    program = elf_with(b"/ld", wide=wide, little=True)
    first, second = program_headers(program)
    assert first == (0, 0, 0, 0)
    assert second == (3, len(program) - len(b"/ld\0rest"), 0, 4)
    start = second.offset
    assert list(program_headers(program[:start])) == [first, second]
    assert list(program_headers(program[: start - 1])) == [first]
    assert list(program_headers(b"\x7fELG" + program[4:])) == []
