"""The files of two images side by side: as two dictionaries would have them."""

import io
import stat
import tarfile
import tempfile
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import (
    ComparisonScope,
    FileDifference,
    Ignored,
    Image,
    ImageFiles,
    Presence,
    ignore,
)
from imgpack.image.compare.rows import file_differences
from imgpack.image.files.files import image_contents
from tests.store.samples import Memory, make_image

ALL = ComparisonScope()
PATHS = ("a", "a-b", "a/b", "a/b/c", "a/c", "a.b", "d", "d/e")
MEMBER = st.tuples(
    st.sampled_from(PATHS),
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([0o644, 0o755]),
)
Member = tuple[str, bytes, str, int]
Layer = dict[str, Member]


def sound(members: Sequence[Member]) -> Layer:
    """What of ``members`` makes a layer that can be unpacked: parents are directories."""
    found: Layer = {}
    for member in members:
        path, kind, *_ = member
        parts = path.split("/")
        ways = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if path in found or any(found.get(way, ("", b"5"))[1] != b"5" for way in ways):
            continue
        if any(one.startswith(path + "/") for one in found) and kind != tarfile.DIRTYPE:
            continue
        if kind == tarfile.LNKTYPE and found.get("a", ("", b""))[1] != tarfile.REGTYPE:
            continue
        found[path] = member
    return found


def tar_of(layer: Mapping[str, Member]) -> bytes:
    """The layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, kind, data, mode in layer.values():
            member = tarfile.TarInfo(path)
            member.type, member.mode = kind, mode
            if kind == tarfile.REGTYPE:
                member.size = len(data)
            elif kind != tarfile.DIRTYPE:
                member.linkname = "a" if kind == tarfile.LNKTYPE else data
            tar.addfile(member, io.BytesIO(data.encode()))
    return buffer.getvalue()


LAYERS = st.lists(MEMBER, max_size=8).map(sound)
IMAGES = st.lists(LAYERS, min_size=1, max_size=3)


def files_of(layers: Sequence[Mapping[str, Member]]) -> ImageFiles:
    """The files of an image of ``layers``."""
    image: Image = make_image(Memory(), [tar_of(layer) for layer in layers])
    return image_contents(image, "here", tempfile.gettempdir)


def whole(files: ImageFiles) -> dict[bytes, tuple[object, ...]]:
    """All that an image has, with what else has the inode of each."""
    entries = list(files.entries())
    groups: dict[tuple[int, int], list[bytes]] = {}
    for entry in entries:
        if entry.links > 1:
            groups.setdefault((entry.device, entry.inode), []).append(entry.path)
    return {
        entry.path: (
            entry.mode,
            entry.target() if stat.S_ISLNK(entry.mode) else b"",
            getattr(entry.content, "sha256", None),
            groups.get((entry.device, entry.inode), [b""])[0] if entry.links > 1 else entry.path,
        )
        for entry in entries
    }


@given(IMAGES, IMAGES)
def test_all_that_differs_is_found_and_nothing_else(a: list[Layer], b: list[Layer]) -> None:
    """In any layers, with what higher ones hide, and hard links."""
    first, second = files_of(a), files_of(b)
    before, after = whole(first), whole(second)

    found = {one.path: one for one in file_differences(first, second, ALL)}

    found.pop(b"", None)
    paths = before.keys() | after.keys()
    assert set(found) == {path for path in paths if before.get(path) != after.get(path)}
    for path, one in found.items():
        there = Presence.CHANGED
        if path not in before or path not in after:
            there = Presence.ADDED if path in after else Presence.REMOVED
        assert one.presence is there


def told(a: Layer, b: Layer, scope: ComparisonScope = ALL) -> dict[bytes, tuple[str, ...]]:
    """The fields of the paths that differ."""
    found: list[FileDifference] = list(file_differences(files_of([a]), files_of([b]), scope))
    return {one.path: one.fields for one in found}


def layer(*members: Member) -> Layer:
    """Members by their paths."""
    return {member[0]: member for member in members}


FILE, LINK = tarfile.REGTYPE, tarfile.LNKTYPE


def test_names_of_one_file_are_compared_by_what_they_share() -> None:
    """A copy is no hard link, and not to share links can be ignored."""
    a = layer(("a", FILE, "x", 0o644), ("d", LINK, "", 0o644))
    b = layer(("a", FILE, "x", 0o644), ("d", FILE, "x", 0o644))

    assert told(a, b) == {b"d": ("links",)}
    assert told(a, b, ComparisonScope(ignored=frozenset({Ignored.LINKS}))) == {}


def test_what_is_left_out_by_patterns_does_not_count() -> None:
    """With their exceptions, as a build has them."""
    a = layer(("a/b", FILE, "x", 0o644), ("a/c", FILE, "x", 0o644), ("d", FILE, "x", 0o644))
    b = layer(("a/b", FILE, "y", 0o644), ("a/c", FILE, "y", 0o644), ("d", FILE, "y", 0o644))

    assert set(told(a, b)) == {b"a/b", b"a/c", b"d"}
    assert set(told(a, b, ComparisonScope(excluded=ignore(["a"])))) == {b"d"}
    assert set(told(a, b, ComparisonScope(excluded=ignore(["a", "!a/c"])))) == {b"a/c", b"d"}
    assert set(told(a, b, ComparisonScope(excluded=ignore(["**/b"])))) == {b"a/c", b"d"}
    assert set(told(a, b, ComparisonScope(paths=(b"a",)))) == {b"a/b", b"a/c"}
    assert set(told(a, b, ComparisonScope(paths=(b"a/c", b"d")))) == {b"a/c", b"d"}
