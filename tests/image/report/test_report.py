"""The page about an image: what its data say, and that nothing of an image gets out of them."""

import io
import json
import re
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from imgpack.api import ImageFiles, report_page
from imgpack.errors import printable
from imgpack.image.files.files import image_contents
from tests.image.base.test_tree import linked
from tests.store.samples import Memory, make_image, tar_of

TWO_NAMES = linked(("first", tarfile.REGTYPE, "12345"), ("second", tarfile.LNKTYPE, "first"))

LOW = tar_of({"a/b/one": b"1" * 10, "a/b/two": b"2" * 20, "gone/deep/file": b"3" * 30})
HIGH = tar_of({"a/b/two": b"4" * 40, ".wh.gone": b""})


def files_of(*layers: bytes) -> ImageFiles:
    """The files of an image that is called ``name:1``."""
    image = make_image(Memory(), layers)
    return image_contents(image, "here", tempfile.gettempdir, name="name:1")


def page(*layers: bytes, before: ImageFiles | None = None) -> str:
    """The page about an image of these layers."""
    return b"".join(report_page(files_of(*layers), before)).decode()


def data_of(text: str) -> Any:
    """What the page draws."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def paths_of(rows: list[list[Any]]) -> list[tuple[str, list[Any]]]:
    """The rows that say something, with the paths that the page puts together."""
    way: list[str] = []
    found = []
    for depth, name, *more in rows:
        if name != 0:
            assert depth <= len(way) + 1, "its directory comes first"
            way[depth - 1 :] = [name]
        if more:
            found.append(("/".join(way), more))
    return found


def test_each_entry_of_each_layer_has_a_row_with_what_became_of_it() -> None:
    """Mode, layer, size, the layer that hides it, and whether that deletes it."""
    told = paths_of(data_of(page(LOW, HIGH))["entries"])

    files = [(path, row) for path, row in told if row[0] & 0o170000 == 0o100000]
    assert files == [
        ("a/b/one", [0o100644, 1, 10]),
        ("a/b/two", [0o100644, 1, 20, 2]),
        ("a/b/two", [0o100644, 2, 40]),
        ("gone/deep/file", [0o100644, 1, 30, 2, 1]),
    ]


def test_the_bytes_of_hard_links_count_once() -> None:
    """The second name is marked, in its layer and in a higher one."""
    told = dict(paths_of(data_of(page(TWO_NAMES))["entries"]))
    assert told["first"] == [0o100644, 1, 5]
    assert told["second"] == [0o100644, 1, 5, 0, 2]


def test_bytes_that_show_by_one_name_are_not_hidden() -> None:
    """They count where they show, as `du` counts them, and not at the first name."""
    told = dict(paths_of(data_of(page(TWO_NAMES, tar_of({".wh.first": b""})))["entries"]))
    assert told["first"] == [0o100644, 1, 5, 2, 3]
    assert told["second"] == [0o100644, 1, 5]


def test_changes_are_what_was_added_removed_and_changed() -> None:
    """With the sizes before and after, and what changed; a time alone is no change."""
    told = data_of(
        page(LOW, HIGH, before=files_of(LOW, tar_of({"new": b"n", "a/b/one": b"x" * 10})))
    )
    assert paths_of(told["changes"]) == [
        ("a/b/one", [3, 0o100644, 10, 10, 1]),
        ("a/b/two", [3, 0o100644, 20, 40, 1]),
        ("gone", [2, 0o40755]),
        ("gone/deep", [2, 0o40755]),
        ("gone/deep/file", [2, 0o100644, 30]),
        ("new", [2, 0o100644, 1]),
    ]
    assert told["before"]["name"] == "name:1"
    same = data_of(page(LOW, before=files_of(LOW)))
    assert same["changes"] == []


def test_what_changed_of_a_path_is_a_sum() -> None:
    """Of its content, type, mode, owner, target, attributes or device."""

    def made(**changed: object) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, kind in (("f", b"0"), ("l", b"2"), ("c", b"3")):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "x" if name == "l" else ""
                for field, value in changed.items() if changed.get("name") == name else ():
                    setattr(member, field, value)
                tar.addfile(member, io.BytesIO(b"12345"[: member.size]))
        return out.getvalue()

    cases: list[tuple[dict[str, object], int]] = [
        ({"name": "f", "size": 5}, 1), ({"name": "f", "type": b"5"}, 2),
        ({"name": "f", "mode": 0o600}, 4), ({"name": "f", "uid": 5}, 8),
        ({"name": "f", "uid": 5, "gid": 6}, 8), ({"name": "f", "mode": 0, "gid": 6}, 12),
        ({"name": "l", "linkname": "y"}, 16), ({"name": "c", "devminor": 7}, 32),
        ({"name": "f", "pax_headers": {"SCHILY.xattr.user.a": "1"}}, 32),
    ]  # fmt: skip
    for changed, what in cases:
        told = paths_of(data_of(page(made(**changed), before=files_of(made())))["changes"])
        ((path, row),) = told
        assert (path, row[0], row[-1]) == (changed["name"], 3, what)
    timed = made(name="f", mtime=7)
    assert data_of(page(timed, before=files_of(made())))["changes"] == []


def test_hard_links_of_each_layer_count_once() -> None:
    """Also if both layers have as many."""

    def made(*names: str) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in names:
                member = tarfile.TarInfo(name)
                if name != names[0]:
                    member.type, member.linkname = tarfile.LNKTYPE, names[0]
                else:
                    member.size = 3
                tar.addfile(member, io.BytesIO(b"123"))
        return out.getvalue()

    told = paths_of(data_of(page(made("a", "b"), made("c", "d", "e")))["entries"])
    elsewhere = {path: row[4:5] == [2] for path, row in told}
    assert elsewhere == {"a": False, "b": True, "c": False, "d": True, "e": True}


def test_the_same_image_makes_the_same_page() -> None:
    """Nothing of the time, the machine or the place is in it."""
    assert page(LOW, HIGH) == page(LOW, HIGH)
    assert "here" not in json.dumps(data_of(page(LOW, HIGH)))


def test_the_page_may_run_its_own_script_and_style_alone() -> None:
    """By their hashes, and it names no address at all."""
    text = page(LOW, HIGH)

    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashes = {b64encode(sha256(one.encode()).digest()).decode() for one in (script, style)}
    (policy,) = re.findall(r'"Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert set(re.findall(r"'sha256-([^']*)'", policy)) == hashes
    assert "unsafe" not in policy
    assert not re.search(r"https?:|url\(|@import|\bsrc=|innerHTML|eval\(", text.replace(policy, ""))


names = st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)


def packed(files: Mapping[str, bytes]) -> bytes:
    """A layer with any names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"d/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@given(st.dictionaries(names, st.binary(max_size=5), max_size=5))
def test_no_name_gets_out_of_the_data(files: Mapping[str, bytes]) -> None:
    """Whatever it holds, the data are ASCII without markup, and say it as text to be shown."""
    text = page(packed({**files, "<script><!--\u2028\u202e\x1b\udcff": b""}))

    told = data_of(text)
    raw = text.partition('id="data">')[2].partition("</script>")[0]
    assert raw.isascii()
    assert not set("<>&") & set(raw)
    shown = {path for path, _ in paths_of(told["entries"])}
    assert {printable(f"d/{name}") for name in files} <= shown
    assert all(path.isprintable() for path in shown)
