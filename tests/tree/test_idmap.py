"""Ids on disk as the ids of the image: ranges, capabilities and access lists."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import Entry, IdMap, Reading, file
from imgpack.errors import ConfigError, TreeError
from imgpack.tree.problems import Problems
from imgpack.tree.rules.reading import IdRange
from imgpack.tree.xattrs import interpret

PODMAN = IdMap.parse(("0:1000:1", "1:100000:65536"))
CAPS = struct.pack("<IIII", 0x3000, 0, 0, 0)
ACCESS = b"system.posix_acl_access"


def on_disk(uid: int, gid: int, **fields: object) -> Entry:
    """An entry that lies on disk, where nothing is, so that it has no attributes."""
    made = file(b"f", b"", uid=0, gid=0)
    return made._replace(content=b"/proc/self/status", uid=uid, gid=gid, **fields)  # type: ignore[arg-type]


def test_ids_of_the_host_are_those_of_the_image() -> None:
    """As in the user namespace that the tree was made in."""
    read = Reading(PODMAN)(on_disk(100000, 1000), Problems())

    assert read is not None
    assert (read.uid, read.gid) == (1, 0)
    ids = IdMap.parse(("uid:0:5:2", "gid:7:8"))
    assert (ids.uid(6, b"f"), ids.gid(8, b"f")) == (1, 7)
    assert PODMAN.uid(100000 + 65535, b"f") == 65536


def test_an_id_that_no_range_has_is_refused_or_kept() -> None:
    """With the path, the id and its kind."""
    with pytest.raises(TreeError, match="/proc/self/status has the gid 999, which no range maps"):
        Reading(PODMAN)(on_disk(1000, 999), Problems())
    with pytest.raises(TreeError, match="f has the uid 165536"):
        PODMAN.uid(165536, b"f")

    kept = IdMap.parse(("0:1000",), keep=True)
    assert (kept.uid(1000, b"f"), kept.uid(999, b"f")) == (0, 999)


def test_what_is_not_on_disk_has_the_ids_of_the_image_already() -> None:
    """Entries that a program or a list makes."""
    made = file(b"f", b"", uid=3, gid=4)

    assert Reading(PODMAN)(made, Problems()) == made


@pytest.mark.parametrize(
    "text", ["", "0", "0:0:0", "a:0:1", "0:0:1:2", "0:-1:1", "pid:0:0:1", "4294967295:0:2",
             "0:4294967296:1", "\N{ARABIC-INDIC DIGIT ONE}:0:1"]
)  # fmt: skip
def test_what_is_no_range_is_refused(text: str) -> None:
    """Also one that ends above the largest id."""
    with pytest.raises(ConfigError):
        IdMap.parse((text,))


def test_ranges_of_one_kind_do_not_overlap() -> None:
    """Which of two was meant, nobody can say."""
    with pytest.raises(ConfigError, match="two ranges map the gid 5 of the host"):
        IdMap.parse(("uid:0:5:1", "gid:0:0:6", "gid:9:5:1"))
    assert IdMap.parse(("0:0:5", "9:5:1")).gid(5, b"f") == 9


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 3000))
def test_a_range_is_a_shift(container: int, host: int, size: int, number: int) -> None:
    """Of the ids that are in it, and of no others."""
    ids = IdMap((IdRange(container, host, size),), ())
    if host <= number < host + size:
        assert ids.uid(number, b"f") == number - host + container
    else:
        with pytest.raises(TreeError):
            ids.uid(number, b"f")


def test_capabilities_of_a_namespace_are_those_of_its_root() -> None:
    """And lose the root id, if that is the root of the image."""
    value = struct.pack("<I", 0x03000001) + CAPS
    found = interpret({b"security.capability": value + struct.pack("<I", 1000)}, b"f")

    assert PODMAN.attributes(found, b"f") == found
    assert found.xattrs == ((b"security.capability", struct.pack("<I", 0x02000001) + CAPS),)
    for root, words in ((100000, "of the root 100000, which is not"), (5, "the uid 5, which no")):
        other = interpret({b"security.capability": value + struct.pack("<I", root)}, b"/f")
        with pytest.raises(TreeError, match=f"/f has (capabilities )?{words}"):
            PODMAN.attributes(other, b"/f")


def acl(*entries: tuple[int, int, int], version: int = 2) -> bytes:
    """An access list of tag, permissions and id."""
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *one) for one in entries)


def test_access_lists_name_the_ids_of_the_image() -> None:
    """Those of named users and groups; the others have none."""
    nobody = 0xFFFFFFFF
    found = interpret(
        {ACCESS: acl((1, 6, nobody), (2, 7, 100004), (4, 4, nobody), (8, 5, 1000))}, b"f"
    )

    mapped = PODMAN.attributes(found, b"f")

    assert mapped.xattrs == ((ACCESS, acl((1, 6, nobody), (2, 7, 5), (4, 4, nobody), (8, 5, 0))),)
    for value in (b"\0", acl(version=1), acl() + b"x"):
        with pytest.raises(TreeError, match=r"f has a malformed system.posix_acl_access"):
            PODMAN.attributes(interpret({ACCESS: value}, b"f"), b"f")
