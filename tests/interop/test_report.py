"""The page of ``inspect --html`` in a real browser, which has no network."""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_runner import Imgpack
from tests.interop.browser import Page
from tests.store.samples import Memory, make_image, tar_of, write_image

HOSTILE = (
    "<img src=x onerror=document.title=1>", "<script>document.title=1<", "&lt;b&gt;", "{{data}}",
    "a\u2028b", "txt\u202egnp", "red\x1b[31m", "__proto__", "constructor",
)  # fmt: skip
LOW = {"usr/lib/big": b"b" * 60_000, "usr/lib/small": b"s" * 900, "var/cache/old": b"o" * 30_000}
HIGH = {"app/main": b"m" * 20_000, "usr/lib/small": b"t" * 800, "var/.wh.cache": b""}


def make(place: Path, *layers: dict[str, bytes], more: tuple[str, ...] = ()) -> Path:
    """The page about an image of these layers."""
    write_image(place / "a.tar", make_image(Memory(), [tar_of(one) for one in layers]))
    Imgpack(place)("inspect", "a.tar", "--image", "foo:1", "--html", "page.html", *more).ok()
    return place / "page.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests; it must ask for nothing but the files, without an error."""
    with Page(tmp_path_factory.mktemp("browser")) as page:
        yield page
        assert [url for url in page.requests if not url.startswith("file:///")] == []
        assert page.errors == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about an image whose second layer hides files of the first."""
    return make(tmp_path_factory.mktemp("report"), LOW, HIGH)


def tiles(browser: Page) -> list[str]:
    """What the outer tiles say to who cannot see them."""
    found: list[str] = browser.ask("map.tiles.map((one) => one.getAttribute('aria-label'))")
    return found


def rows(browser: Page) -> list[str]:
    """The names in the table."""
    found: list[str] = browser.ask(
        "[...document.querySelectorAll('#rows td:first-child')].map((one) => one.textContent)"
    )
    return found


def crumbs(browser: Page) -> str:
    """Where the picture is."""
    found: list[str] = browser.ask(
        "[...document.querySelectorAll('#crumbs .text')].map((one) => one.textContent)"
    )
    return " > ".join(found)


def test_what_is_hidden_is_what_du_says(browser: Page, tmp_path: Path) -> None:
    """A name of a file that shows by another one hides no bytes; neither does a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, size in (
            ("a", tarfile.REGTYPE, 5000), ("b", tarfile.LNKTYPE, 0), ("c", tarfile.SYMTYPE, 0),
            ("d", tarfile.REGTYPE, 3000),
        ):  # fmt: skip
            one = tarfile.TarInfo(name)
            one.type, one.size, one.linkname = kind, size, "a" if kind != tarfile.REGTYPE else ""
            tar.addfile(one, io.BytesIO(bytes(size)))
    above = tar_of({".wh.a": b"", ".wh.c": b"", ".wh.d": b""})
    write_image(tmp_path / "a.tar", make_image(Memory(), [out.getvalue(), above]))
    Imgpack(tmp_path)("inspect", "a.tar", "--html", "page.html").ok()
    hidden = json.loads(Imgpack(tmp_path)("du", "--json", "a.tar").ok())["hidden"]
    assert (hidden["size"], hidden["count"]) == (3000, 1)

    browser.open(tmp_path / "page.html")

    assert "2.9 KiB in 1 file (37.5 %)" in browser.ask("$('facts').innerText")


def test_layers_and_what_they_hide_are_drawn_beside_the_history(
    browser: Page, report: Path
) -> None:
    """Sizes are those of files; the deleted and the replaced one are hatched."""
    browser.open(report)

    assert tiles(browser) == [
        "Layer 1, 88.8 KiB, 3 files, 30.2 KiB hidden or deleted",
        "Layer 2, 20.3 KiB, 2 files",
    ]
    steps = browser.ask("document.getElementById('steps').innerText")
    assert "layer 0" in steps
    assert "30.2 KiB hidden" in steps
    assert browser.ask("document.querySelectorAll('#map .gone').length") == 2
    facts = browser.ask("document.getElementById('facts').innerText")
    assert "30.2 KiB in 2 files (27.7 %)" in facts


def test_keys_open_directories_and_go_up_again(browser: Page, report: Path) -> None:
    """Arrows move, Enter opens, Escape and Backspace go up to where it was, with the focus."""
    browser.open(report)

    browser.ask("map.tiles[0].focus()")
    browser.press("ArrowRight")
    assert browser.ask("document.activeElement.getAttribute('aria-label')").startswith("Layer 2")
    browser.press("ArrowLeft", "Enter")
    assert crumbs(browser) == "Image > Layer 1"
    assert [one.split(",")[0] for one in tiles(browser)] == ["usr", "var"]
    browser.press("Enter", "Enter")
    assert crumbs(browser) == "Image > Layer 1 > usr > lib"
    assert rows(browser) == ["big", "small"]
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Escape")
    assert browser.ask("document.activeElement.getAttribute('aria-label')").startswith("lib")
    browser.press("Backspace", "Backspace", "Backspace")
    assert crumbs(browser) == "Image"


def test_clicks_open_and_a_layer_is_found_from_its_step(browser: Page, report: Path) -> None:
    """What is of other layers is dimmed while one is pointed at."""
    browser.open(report)

    browser.ask("document.querySelector('#steps [data-layer=\"2\"]').focus()")
    assert browser.ask("map.tiles.map((one) => one.classList.contains('dim'))") == [True, False]
    browser.press("Enter")
    assert crumbs(browser) == "Image > Layer 2"
    browser.ask("[...document.querySelectorAll('#views button')][1].click()")
    assert crumbs(browser) == "/"
    browser.ask(
        "[...map.element.children].find((one) => one.textContent.startsWith('lib')).click()"
    )
    assert crumbs(browser) == "/ > usr > lib"
    assert rows(browser) == ["big", "small/"]


def test_a_search_finds_paths_with_their_sizes(browser: Page, report: Path) -> None:
    """From the key / on, whatever the case; a hit opens where it lies."""
    browser.open(report)

    browser.press("/")
    browser.type("LIB/S")
    assert rows(browser) == ["/usr/lib/small", "/usr/lib/small"]
    assert browser.ask("document.getElementById('count').textContent") == "2 paths, 1.7 KiB"
    told = browser.ask("document.getElementById('rows').innerText")
    assert "hidden by 2" in told
    browser.ask("document.querySelector('#rows button').click()")
    assert crumbs(browser) == "Image > Layer 1 > usr > lib"
    browser.press("/")
    browser.type("nothing")
    browser.press("Escape")
    assert rows(browser) == ["big", "small"]


def test_the_table_has_the_same_for_who_reads_it(browser: Page, report: Path) -> None:
    """Its names open what they stand for, and the focus stays in the table."""
    browser.open(report)

    assert rows(browser) == ["Layer 1: layer 0", "Layer 2: layer 1"]
    browser.ask("document.querySelector('#rows button').focus()")
    browser.press("Enter", "Enter")
    assert crumbs(browser) == "Image > Layer 1 > usr"
    assert browser.ask("document.activeElement.textContent") == "lib/"
    browser.press("Escape", "Escape")
    browser.ask("document.getElementById('flat').click()")
    assert rows(browser)[:2] == ["/usr/lib/big", "/var/cache/old"]
    assert "deleted by 2" in browser.ask("document.getElementById('rows').innerText")


def test_names_are_shown_and_never_run(browser: Page, tmp_path: Path) -> None:
    """Markup and control characters are text, in the picture and in the table."""
    page = make(tmp_path, {f"d/{name}": b"x" * 1000 for name in HOSTILE})
    browser.open(page)

    browser.ask("view('paths', 1)")
    escaped = {
        "a\u2028b": "a\\u2028b",
        "txt\u202egnp": "txt\\u202egnp",
        "red\x1b[31m": "red\\x1b[31m",
    }
    assert set(rows(browser)) == {escaped.get(name, name) for name in HOSTILE}
    assert browser.ask("document.title") == "foo:1: image report"
    assert browser.ask("document.querySelectorAll('img, script').length") == 2
    assert {one.split(", 1000 B")[0] for one in tiles(browser)} == set(rows(browser))


def test_what_changed_is_a_picture_and_a_list(browser: Page, tmp_path: Path) -> None:
    """With the sizes before and after."""
    old = tmp_path / "old"
    old.mkdir()
    make(old, LOW)
    page = make(tmp_path, LOW, HIGH, more=("--compare", "old/a.tar:foo:1"))
    browser.open(page)

    assert "2 added, 2 removed, 1 changed" in browser.ask(
        "document.getElementById('changes').textContent"
    )
    browser.ask("document.getElementById('flat').click()")
    assert rows(browser) == [
        "/var/cache/",
        "/var/cache/old",
        "/app/",
        "/app/main",
        "/usr/lib/small",
    ]
    told = browser.ask("document.getElementById('rows').innerText").split("\n")[-1].split("\t")
    assert told[1:5] == ["changed", "900 B", "800 B", "\u2212100 B"]
    assert told[5:] == ["content", "-rw-r--r--"]


@pytest.mark.parametrize("width", [400, 700, 1280, 2000])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_into_any_window_by_day_and_night(
    browser: Page, report: Path, width: int, dark: bool
) -> None:
    """Nothing is wider than the window, and the ink is lighter than the page in the dark."""
    browser.open(report, width=width, dark=dark)

    assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
    lightness = "Number(getComputedStyle(document.body).{}.match(/\\d+/)[0])"
    ink, paper = (browser.ask(lightness.format(one)) for one in ("color", "backgroundColor"))
    assert (ink > paper) is dark


def test_a_hundred_thousand_files_are_drawn_and_searched(browser: Page, tmp_path: Path) -> None:
    """The picture has what can be seen, the table its largest, the search all of it."""
    chance = random.Random(1)
    many = {
        f"d{n % 40}/s{n // 40 % 50}/file-{n}": b"x" * chance.randrange(9) for n in range(100_000)
    }
    page = make(tmp_path, many)
    assert page.stat().st_size < 5_000_000
    browser.open(page)

    assert "100,000" in browser.ask("document.getElementById('facts').innerText")
    assert 40 < browser.ask("map.element.children.length") <= 2600
    browser.press("/")
    browser.type("file-77777")
    assert len(rows(browser)) == 1
    browser.ask("document.getElementById('search').select()")
    browser.type("file-")
    assert browser.ask("document.getElementById('count').textContent").startswith("100,000 paths, ")
    assert len(rows(browser)) == 200


def test_a_lock_has_all_layers_as_one(browser: Page, tmp_path: Path) -> None:
    """It is not known which of them has what, and their sizes are those that are stored."""
    write_image(tmp_path / "a.tar", make_image(Memory(), [tar_of(LOW), tar_of(HIGH)]))
    imgpack = Imgpack(tmp_path)
    imgpack("base", "lock", "a.tar:foo:1", "-o", "base.lock").ok()
    imgpack("inspect", "base.lock", "--html", "page.html").ok()
    browser.open(tmp_path / "page.html")

    assert tiles(browser) == ["All layers, 78.9 KiB, 3 files"]
    browser.ask("document.querySelector('#steps [data-layer=\"2\"]').click()")
    assert crumbs(browser) == "Image > All layers"


@pytest.mark.parametrize("layers", [[], [tar_of({})], [tar_of({"x": b""}), tar_of({".wh.x": b""})]])
def test_an_image_without_bytes_is_told_as_such(
    browser: Page, tmp_path: Path, layers: list[bytes]
) -> None:
    """No layer, an empty one, and one that deletes all there is."""
    write_image(tmp_path / "a.tar", make_image(Memory(), layers))
    Imgpack(tmp_path)("inspect", "a.tar", "--html", "page.html").ok()
    browser.open(tmp_path / "page.html")

    assert "No bytes of files here" in browser.ask("map.element.textContent")
    assert rows(browser) == [f"Layer {n + 1}: layer {n}" for n in range(len(layers))]
    browser.ask("view('paths')")
    browser.press("Escape", "/")
    browser.type("x")
    assert len(rows(browser)) == len(layers) // 2
