"""Trees of every kind of entry, with names that readers of text trip over."""

from collections.abc import Iterable

from hypothesis import strategies as st

from imgpack.api import (
    Entries,
    Entry,
    block_device,
    character_device,
    directory_entry,
    fifo,
    file,
    hard_link,
    symlink,
)

AWKWARD = b" \t\n\r\\#=*?[]\"'$~\x01\x7f\x80\xc3\xa9\xffaAbz.-_0"
"""Bytes that some format escapes, and ordinary ones."""

_NUMBERS = st.integers(0, 2**32 - 2)
_NAMES = st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=4).map(bytes)


def _is_name(name: bytes) -> bool:
    return name not in (b".", b"..") and not name.startswith(b".wh.")


def names() -> st.SearchStrategy[bytes]:
    """Names of entries: few, so that they meet, and strange."""
    return st.sampled_from([b"a", b"a.b", b"b", b"c", b"d e"]) | _NAMES.filter(_is_name)


def paths() -> st.SearchStrategy[bytes]:
    """Paths of one to three components."""
    return st.lists(names(), min_size=1, max_size=3).map(b"/".join)


def _fields() -> st.SearchStrategy[dict[str, object]]:
    xattrs = st.dictionaries(
        st.sampled_from([b"user.a", b"user.b c", b"security.capability", b"user.\xff"]),
        st.binary(min_size=1, max_size=4),
        max_size=2,
    )
    return st.fixed_dictionaries(
        {
            "mode": st.integers(0, 0o7777),
            "uid": _NUMBERS,
            "gid": _NUMBERS,
            "mtime_ns": st.integers(-(10**10), 10**20),
            "xattrs": xattrs,
        }
    )


@st.composite
def _entries(draw: st.DrawFn, path: bytes) -> Entry:
    fields = draw(_fields())
    kind = draw(st.sampled_from("fffddlcbp"))
    if kind == "f":
        return file(path, draw(st.binary(max_size=5)), **fields)  # type: ignore[arg-type]
    if kind == "d":
        return directory_entry(path, **fields)  # type: ignore[arg-type]
    if kind == "l":
        target = draw(st.lists(st.sampled_from(AWKWARD + b"/"), min_size=1).map(bytes))
        return symlink(path, target, **fields)  # type: ignore[arg-type]
    if kind == "p":
        return fifo(path, **fields)  # type: ignore[arg-type]
    make = character_device if kind == "c" else block_device
    return make(path, draw(st.integers(0, 4095)), draw(st.integers(0, 255)), **fields)  # type: ignore[arg-type]


def _above(path: bytes) -> Iterable[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


@st.composite
def trees(draw: st.DrawFn) -> Entries:
    """A tree of some entries; parents that are none of them are made up."""
    found: dict[bytes, Entry] = {}
    for path in draw(st.lists(paths(), max_size=12, unique=True)):
        if all(above not in found or found[above].is_directory for above in _above(path)):
            entry = draw(_entries(path))
            below = any(other.startswith(path + b"/") for other in found)
            found[path] = directory_entry(path) if below else entry
    others = [path for path, entry in found.items() if not entry.is_directory]
    if others:
        first = draw(st.sampled_from(others))
        for number in range(draw(st.integers(0, 2))):
            found[b"link%d" % number] = hard_link(b"link%d" % number, first)
    return Entries(found.values())
