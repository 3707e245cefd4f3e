"""Whether the program that an image starts can start."""

import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.image.lint import dynamic
from imgpack.image.lint.dynamic import ElfFile, read_elf
from imgpack.tree.elf import ProgramHeader
from tests.image.lint.images import ARM64, found, image, layer, link, linted, member, program

LOADER = "lib64/ld-linux-x86-64.so.2"
STATIC = program(interpreter=b"")


def starts(config: dict[str, Any], files: dict[str, Any], *others: tarfile.TarInfo) -> list[Any]:
    """What is found in an image of one layer that starts something."""
    return found(image([layer(files, *others)], config))


def run(files: dict[str, Any], *others: tarfile.TarInfo, **config: Any) -> list[Any]:
    """As ``starts``, of the entrypoint ``/app``."""
    return starts({"Entrypoint": ["/app"], **config}, files, *others)


def test_a_program_that_is_not_there_is_found() -> None:
    """By its path, in the working directory, and by PATH."""
    missing = [("entrypoint-missing", "config")]
    there = {"app": (STATIC, 0o755), "usr/bin/tool": (STATIC, 0o755)}
    assert starts({"Entrypoint": ["/ap"]}, there) == missing
    assert starts({"Entrypoint": ["./tool"]}, there) == missing
    assert starts({"Cmd": ["app"]}, there) == missing
    assert starts({"Cmd": ["tool"], "Env": ["PATH=/opt"]}, there) == missing

    assert starts({"Entrypoint": ["./tool"], "WorkingDir": "/usr/bin"}, there) == []
    assert starts({"Cmd": ["tool"]}, there) == []
    assert starts({"Entrypoint": ["/app"], "Cmd": ["/not/looked/at"]}, there) == []


def test_an_image_that_starts_nothing_is_told() -> None:
    """It has neither an entrypoint nor a command."""
    assert [one.rule.id for one in linted(image([layer({})]), "user-root").findings] == [
        "command-missing"
    ]


def test_links_are_followed_as_the_image_has_them() -> None:
    """Also absolute ones, and those of directories."""
    files = {"usr/bin/busybox": (STATIC, 0o755)}
    links = link("bin", "usr/bin"), link("app", "/bin/sh"), link("usr/bin/sh", "busybox")
    assert run(files, *links) == []
    assert run(files, link("app", "/bin/sh"), link("bin", "/bin")) == [
        ("entrypoint-missing", "config")
    ]


def test_a_program_that_cannot_be_executed_is_found() -> None:
    """Without the bit, or because it is a directory."""
    assert run({"app": (STATIC, 0o644)}) == [("entrypoint-not-executable", b"app")]
    directory = member("app", tarfile.DIRTYPE, 0o755)
    assert run({}, directory) == [("entrypoint-not-executable", b"app")]


@pytest.mark.parametrize("data", [b"", b"echo\n", b"\xef\xbb\xbf#!/bin/sh\n", b"\n#!/bin/sh\n"])
def test_what_the_kernel_cannot_execute_is_found(data: bytes) -> None:
    """It is neither an ELF file nor a script."""
    assert run({"app": (data, 0o755)}) == [("entrypoint-format", b"app")]


def test_a_program_of_another_architecture_is_found() -> None:
    """But not one of 32 bits on a machine of 64."""
    arm = {"app": (program(interpreter=b"", machine=ARM64), 0o755)}
    assert run(arm) == [("entrypoint-architecture", b"app")]
    assert found(image([layer(arm)], {"Cmd": ["/app"]}, platform="linux/arm64")) == []


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        (b"#!/bin/sh", []),
        (b"#! /bin/sh -e", []),
        (b"#!/bin/env sh", []),
        (b"#!/bin/env -S A=b sh -e", []),
        (b"#!/bin/sh\r", ["interpreter-missing"]),
        (b"#!/bin/bash", ["interpreter-missing"]),
        (b"#!/bin/env bash", ["interpreter-missing"]),
        (b"#!/bin/broken", ["interpreter-missing"]),
        (b"#!", ["entrypoint-format"]),
    ],
)
def test_what_runs_a_script_has_to_be_there(line: bytes, rules: list[str]) -> None:
    """Without the carriage return that Windows puts behind it."""
    files = {
        "app": (line + b"\n", 0o755), "bin/sh": (STATIC, 0o755), "bin/env": (STATIC, 0o755),
        "bin/broken": (b"#!/none\n", 0o755),
    }  # fmt: skip
    assert [rule for rule, _ in run(files)] == rules


def test_the_loader_and_the_libraries_have_to_be_there() -> None:
    """Those of libraries as well, each told once."""
    main = program(b"libone.so", b"libc.so.6")
    one = program(b"libtwo.so", b"libc.so.6", interpreter=b"")
    assert run({"app": (main, 0o755)}) == [("interpreter-missing", b"app")]
    files = {"app": (main, 0o755), LOADER: STATIC, "usr/lib/libone.so": one}
    assert run(files) == [
        ("library-missing", b"app"),
        ("library-missing", b"usr/lib/libone.so"),
    ]
    rest = {"lib/x86_64-linux-gnu/libc.so.6": STATIC, "lib/libtwo.so": one}
    assert run(files | rest) == []


@pytest.mark.parametrize(
    ("place", "how"),
    [
        (
            "srv/x",
            {"ld.so.conf": b"include ld.so.conf.d/*.conf\n", "ld.so.conf.d/x.conf": b"/srv/x\n"},
        ),
        ("srv/x", {"ld.so.conf": b"# /no\n\t/srv/x # here\n"}),
        ("srv/x", {"ld.so.cache": b"glibc\0libx.so\0/srv/x/libx.so\0"}),
    ],
)  # fmt: skip
def test_libraries_are_where_the_image_says(place: str, how: dict[str, bytes]) -> None:
    """In ld.so.conf, what it includes, or its cache."""
    files = {"app": (program(b"libx.so"), 0o755), LOADER: STATIC, f"{place}/libx.so": STATIC}
    assert [rule for rule, _ in run(files)] == ["library-missing"]
    assert run(files | {f"etc/{name}": data for name, data in how.items()}) == []


def test_libraries_are_where_the_program_says() -> None:
    """In its RPATH or RUNPATH, beside it, at a path, or in a variable."""
    library = {LOADER: STATIC, "opt/lib/libx.so": STATIC}
    for made in (
        program(b"libx.so", runpath=b"/none:$ORIGIN/opt/lib"),
        program(b"libx.so", rpath=b"${ORIGIN}/opt/$LIB"),
        program(b"/opt/lib/libx.so"),
    ):
        assert run(library | {"app": (made, 0o755)}) == []
    plain = {"app": (program(b"libx.so"), 0o755)}
    assert run(library | plain, Env=["LD_LIBRARY_PATH=/none:/opt/lib"]) == []


def test_places_are_those_of_the_file_that_needs_a_library() -> None:
    """Of a program in another directory, and of what it needs; $LIB is lib or lib64."""
    app = program(b"libx.so", runpath=b"$ORIGIN/../$LIB")
    files = {"opt/bin/app": (app, 0o755), LOADER: STATIC}
    for place, rules in (("opt/lib", []), ("opt/lib64", []), ("lib", []),
                         ("opt/bin/lib", ["library-missing"])):  # fmt: skip
        made = files | {f"{place}/libx.so": STATIC}
        told = starts({"Entrypoint": ["/opt/bin/app"]}, made)
        assert [rule for rule, _ in told] == rules
    # $PLATFORM is not known, and looked for as if it were not there.
    app = program(b"libx.so", runpath=b"/srv$PLATFORM")
    made = {"app": (app, 0o755), LOADER: STATIC, "srv/libx.so": STATIC}
    assert run(made) == []


def test_the_rpath_of_a_program_holds_for_its_libraries() -> None:
    """Unless one of them has a RUNPATH of its own."""
    app = program(b"libone.so", rpath=b"/opt")
    for runpath, rules in ((b"", []), (b"/none", ["library-missing"])):
        one = program(b"libtwo.so", interpreter=b"", runpath=runpath)
        files = {"app": (app, 0o755), LOADER: STATIC, "opt/libone.so": one, "opt/libtwo.so": STATIC}
        assert [rule for rule, _ in run(files)] == rules


def test_the_loader_of_musl_is_its_own_library() -> None:
    """And has directories of its own."""
    main = program(b"libc.musl-x86_64.so.1", b"libx.so", interpreter=b"/lib/ld-musl-x86_64.so.1")
    files = {"app": (main, 0o755), "lib/ld-musl-x86_64.so.1": STATIC}
    assert run(files) == [("library-missing", b"app")]
    assert run(files | {"usr/local/lib/libx.so": STATIC}) == []
    path = {"etc/ld-musl-x86_64.path": b"/opt\n", "opt/libx.so": STATIC}
    assert run(files | path) == []


@pytest.mark.parametrize(
    "how",
    [
        {"etc/ld.so.conf": b"include ld.so.conf /etc/ld.so.conf\n" * 1000},
        {"etc/ld.so.cache": b"/a" * (1 << 18)},
    ],
)
def test_files_of_directories_that_go_in_circles_are_read_once(how: dict[str, bytes]) -> None:
    """And none of them makes the others void, or takes for ever."""
    files = {"app": (program(b"libx.so"), 0o755), LOADER: STATIC, **how}
    assert [rule for rule, _ in run(files)] == ["library-missing"]
    assert run(files | {"usr/lib/libx.so": STATIC}) == []


def unchecked(files: dict[str, Any], **config: Any) -> list[str]:
    """What is not looked at of an image whose entrypoint is ``/app``."""
    told = linted(image([layer(files)], {"Entrypoint": ["/app"], **config}), "user-root")
    assert [one.rule.id for one in told.findings if one.rule.id == "library-missing"] == []
    return list(told.unchecked)


def test_what_would_take_too_long_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and nothing is called missing that was not looked for to the end."""
    monkeypatch.setattr("imgpack.image.lint.libraries._STEPS", 100)
    monkeypatch.setattr("imgpack.image.lint.program._LIBRARIES", 3)
    said = ["some libraries: there are too many, or places to look for them"]
    files = {"app": (program(b"libx.so"), 0o755), LOADER: STATIC}
    assert unchecked(files, Env=["LD_LIBRARY_PATH=" + "/x:" * 200]) == said
    names = [b"lib%d" % number for number in range(4)]
    many = {f"lib/{name.decode()}": STATIC for name in names}
    assert unchecked({"app": (program(*names), 0o755), LOADER: STATIC, **many}) == said


def test_a_program_is_not_looked_for_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand directories of PATH may be deep, or lead through many links."""
    monkeypatch.setattr("imgpack.image.lint.program._STEPS", 100)
    deep = ["PATH=" + ":".join(["/a" * 30] * 10) + ":/bin"]
    one = image([layer({"bin/app": STATIC})], {"Entrypoint": ["app"], "Env": deep})
    assert "entrypoint-missing" in [told.rule.id for told in linted(one).findings]


def test_what_an_elf_file_says_is_read() -> None:
    """Its libraries in their order."""
    made = program(b"a", b"b", runpath=b"/r", rpath=b"/p")
    assert read_elf(lambda at, size: made[at : at + size]) == ElfFile(
        "amd64", b"/lib64/ld-linux-x86-64.so.2", (b"a", b"b"), b"/p", b"/r"
    )


def test_an_address_is_in_the_part_that_is_loaded_there() -> None:
    """From its first byte to its last, and nowhere else."""
    parts = [ProgramHeader(2, 7, 0, 1000), ProgramHeader(1, 64, 100, 10)]
    where = [dynamic._offset(address, parts) for address in (99, 100, 105, 109, 110)]
    assert where == [None, 64, 69, 73, None]


@given(st.lists(st.tuples(st.integers(4, 420), st.binary(min_size=1, max_size=8)), max_size=8))
def test_no_program_is_too_strange(changes: list[tuple[int, bytes]]) -> None:
    """Whatever is in its headers, it is read to the end."""
    raw = bytearray(program(b"libx.so", b"liby.so", runpath=b"$ORIGIN/../lib"))
    for at, data in changes:
        raw[at : at + len(data)] = data
    files = {"app": (bytes(raw), 0o755), LOADER: bytes(raw), "lib/libx.so": bytes(raw)}
    run(files)


@given(st.binary(max_size=300))
def test_no_script_is_too_strange(line: bytes) -> None:
    """Nor what is said behind its name."""
    run({"app": (b"#!" + line, 0o755), "bin/env": (b"#!/bin/env " + line, 0o755)})


@given(st.dictionaries(
    st.sampled_from(["Entrypoint", "Cmd", "Env", "User", "Labels", "WorkingDir"]),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
))  # fmt: skip
def test_no_configuration_is_too_strange(config: dict[str, Any]) -> None:
    """Of values of another type nothing is said."""
    run({"app": (STATIC, 0o755)}, **{"Entrypoint": ["/app"], **config})
