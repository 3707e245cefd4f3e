"""The benchmark's own code: its inputs, tables and charts. Nothing here is timed."""

import hashlib
import math
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks import (  # noqa: E402
    cache,
    changed,
    chart,
    codecs,
    cold,
    growth,
    inputs,
    memory,
    page,
    peers,
    registry,
    sizes,
    weights,
)
from benchmarks.figures import (  # noqa: E402
    TARGET_HEAD,
    Section,
    Series,
    Table,
    Target,
    line,
    markdown,
    slope,
    target_rows,
)
from benchmarks.inputs import MIB  # noqa: E402
from benchmarks.run import Bench, BenchError, Run, Runs, Tool, pipeline  # noqa: E402
from benchmarks.sameness import environment  # noqa: E402
from benchmarks.servers import Request  # noqa: E402

MET = Target("gzip <cold> & warm", "tar | pigz", 0.35, 0.2)
MISSED = Target("zstd", "tar | zstd -T2 -3", 0.9, 1.8)
UNKNOWN = Target("push", "skopeo", 0.7, None)
GROWTH = tuple(
    Series(panel, name, ((1e3, low), (1e4, low * 9), (1e6, low * 950)))
    for panel in ("seconds, by files", "peak MiB, by files", "seconds, by bytes")
    for name, low in (("gzip", 0.01), ("none & more", 0.005))
)
SVG = "{http://www.w3.org/2000/svg}"


def section() -> Section:
    """A section with something of everything."""
    table = Table("A tree", ("tool", "wall s"), (("tar | pigz", "1.00"), ("imgpack", "0.20")))
    targets = (MET, MISSED, UNKNOWN)
    return Section("build", "full", 5, targets, (table,), GROWTH, ("A note.",))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A work directory of the test's own."""
    return Bench(tmp_path / "work", scale="small", rounds=2, keep=False)


def contents(tree: Path) -> dict[str, tuple[int, str]]:
    """Each file's time and digest."""
    return {
        str(path.relative_to(tree)): (
            int(path.lstat().st_mtime),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(tree.rglob("*"))
    }


def test_tiny_files_are_the_same_each_time(tmp_path: Path) -> None:
    """Two trees of one recipe hold the same names, contents and times."""
    first, second = tmp_path / "first", tmp_path / "second"
    for tree in (first, second):
        tree.mkdir()
        inputs.write_tiny(tree, 1203)
    found = contents(first)
    assert found == contents(second)
    assert sum(digest != "" for _, digest in found.values()) == 1203
    assert {time for time, _ in found.values()} == {inputs.TIME}


def test_the_large_file_is_pinned() -> None:
    """A recipe gives these very bytes, of the size asked for, on every machine."""
    digest = hashlib.sha256()
    sizes = [len(piece) for piece in inputs.pieces(200_001, 1, pool_size=1 << 16)]
    for piece in inputs.pieces(200_001, 1, pool_size=1 << 16):
        digest.update(piece)
    assert sum(sizes) == 200_001
    assert digest.hexdigest() == PINNED
    assert b"".join(inputs.pieces(9999, 2, pool_size=1 << 16)) != b"".join(
        inputs.pieces(9999, 1, pool_size=1 << 16)
    )


PINNED = "853774afdeb9dd82c182cb8ea313fff2e42babcec110da39ad92aa653f2981ad"


def test_half_of_the_large_file_compresses() -> None:
    """Noise and words alternate, so that no compressor has it too easy or too hard."""
    import zlib

    data = inputs.pool(0, 1 << 18)
    assert len(data) == 1 << 18
    assert 0.5 < len(zlib.compress(data, 6)) / len(data) < 0.8


def test_weights_are_pinned_and_compress_as_a_sample_does() -> None:
    """These very bytes on every machine; a drawn sample compresses to the same size."""
    import random
    import zlib

    data = b"".join(weights.numbers(1_000_000, 1))
    assert hashlib.sha256(data).hexdigest() == WEIGHTS
    assert len(data) == 1_000_000
    draw = random.Random(2)
    drawn = (weights.bfloat16(draw.gauss(0, weights.SIGMA)) for _ in range(500_000))
    sample = b"".join(number.to_bytes(2, "little") for number in drawn)
    assert len(zlib.compress(data, 1)) == pytest.approx(len(zlib.compress(sample, 1)), rel=0.002)


WEIGHTS = "4da1246456970e45047ccbfa12d898487a60f8e80be85375db29652076207885"


@pytest.mark.parametrize(
    ("value", "bits"), [(1.0, 0x3F80), (-2.0, 0xC000), (1.00390625, 0x3F80), (1.01171875, 0x3F82)]
)
def test_a_bfloat16_is_the_nearest_one(value: float, bits: int) -> None:
    """Halfway between two, the even one."""
    assert weights.bfloat16(value) == bits


def test_a_model_lies_in_shards_that_differ(tmp_path: Path) -> None:
    """Each of its own numbers, so that no segment occurs twice."""
    weights.write_weights(tmp_path, 40_000, 4)
    found = sorted(tmp_path.iterdir())
    assert [path.name for path in found][::3] == [
        "model-00001-of-00004.bin",
        "model-00004-of-00004.bin",
    ]
    assert {path.stat().st_size for path in found} == {10_000}
    assert len({path.read_bytes() for path in found}) == 4


def test_every_change_of_one_file_changes_that_file_and_is_undone(tmp_path: Path) -> None:
    """Small and large files, the first and the last of a walk; then the tree is what it was."""
    inputs.write_tiny(tmp_path, 3)
    for name in ("a/first", "m", "z"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"%s\n" % name.encode() * 1000)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(9 << 20)
    settings = tmp_path / inputs.SETTINGS
    settings.parent.mkdir(parents=True)
    inputs.write_settings(tmp_path, 0)
    inputs.still(tmp_path)
    before = contents(tmp_path)
    touched = {}
    with changed.changes(tmp_path) as changes:
        state = before
        for version, (name, change) in enumerate(changes.items(), 1):
            change(version)
            after = contents(tmp_path)
            touched[name] = {path for path in after if after[path] != state[path]}
            state = after
    assert touched == {
        "one file": {inputs.SETTINGS},
        "the first small file": {"a/first"},
        "a small file in the middle": {inputs.SETTINGS},
        "the last small file": {"z"},
        "a large file in the middle": {"big"},
        "the last large file": {"big"},
        "the last file touched": {"z"},
    }
    assert contents(tmp_path) == before


def test_every_limit_is_on_a_tool_or_a_size_that_its_input_has(bench: Bench) -> None:
    """No row waits for what nobody measures."""
    tools = {tool.name for tool in peers.pipes(bench, bench.work) + peers.ours(bench, bench.work)}
    theirs = {peers.UMOCI, peers.NEWER_UMOCI, peers.PIGZ, peers.ZSTD, peers.DIGESTS, peers.TAR}
    known = tools | theirs | {sizes.GZIP_6, sizes.ZSTD_FRAME}
    for given in (cold.MAIN, *cold.SIDE):
        beside = set() if given is cold.MAIN else set(cold.LEFT_OUT_BESIDE)
        for limit in (*given.limits, *cold.EVERY):
            assert {limit.ours, limit.peer} <= known - beside, (given.name, limit.job)


def test_a_pipe_makes_both_digests(bench: Bench, tmp_path: Path) -> None:
    """Of the tar and of what zstd makes of it: both are there when the pipe ends."""
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    tree = tmp_path / "tree"
    tree.mkdir()
    inputs.write_tiny(tree, 100)
    tool = next(tool for tool in peers.pipes(bench, tree) if tool.name == peers.DIGESTS)
    said = {line.split()[0] for line in bench.output(tool.argv).splitlines()}
    assert tool.output is not None
    plain = subprocess.run(["zstd", "-dcq", tool.output], capture_output=True, check=True).stdout
    packed = tool.output.read_bytes()
    assert said == {hashlib.sha256(data).hexdigest() for data in (plain, packed)}


def test_a_size_to_compare_with_is_computed_once(bench: Bench, tmp_path: Path) -> None:
    """It is remembered for the input's name."""
    tree = tmp_path / "tree-1"
    tree.mkdir()
    inputs.write_tiny(tree, 100)
    size = sizes.reference(bench, tree, sizes.GZIP_6)
    assert size is not None
    inputs.write_tiny(tree / "more", 100)
    assert sizes.reference(bench, tree, sizes.GZIP_6) == size
    runs = Runs({peers.OURS: (Run(1, 1, 1, 2 * size),)}, {})
    limit = cold.Limit("gzip, size", peers.OURS, sizes.GZIP_6, 1.01, "output")
    target = limit.target("wheels", bench, tree, runs)
    assert (target.job, target.value, target.met) == ("wheels, gzip, size", 2, False)


def test_the_file_that_changes_changes_and_comes_back(tmp_path: Path) -> None:
    """Each version is another content; version 0 has the maker's content and time."""
    path = tmp_path / inputs.SETTINGS
    path.parent.mkdir(parents=True)
    seen = set()
    for version in (0, 1, 2):
        inputs.write_settings(tmp_path, version)
        seen.add(path.read_bytes())
    assert len(seen) == 3
    inputs.write_settings(tmp_path, 0)
    assert path.read_bytes() == inputs.settings_text(0)
    assert path.stat().st_mtime == inputs.TIME


def test_the_last_file_is_the_one_that_a_build_meets_last(tmp_path: Path) -> None:
    """Below the last directory that holds a file at all, in the order of bytes; no link."""
    for name in ("b/old", "z/d/a", "z/d/z/file", "z/d/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "z" / "empty").mkdir()
    (tmp_path / "z" / "zz").symlink_to("../b")

    assert list(inputs.files(tmp_path))[-1] == tmp_path / "z" / "d" / "z" / "file"


def test_an_input_is_whole_or_not_there(bench: Bench) -> None:
    """What is found under an input's name was finished; what was left half-made is made anew."""
    maker = inputs.Inputs(bench)
    part = bench.directory("inputs") / "half.part"
    tree = maker.made("half", 1, lambda place: inputs.write_tiny(place, 3))
    (tree.with_name(tree.name + ".part")).mkdir()
    again = maker.made("half", 1, lambda place: pytest.fail("it was made twice"))
    assert again == tree
    assert not part.exists()
    assert inputs.main_facts(tree)[0] == inputs.count(tree) == 6


def test_a_table_is_well_formed_markdown() -> None:
    """Every line has as many cells as the head, and a pipe within one is escaped."""
    lines = markdown(TARGET_HEAD, target_rows((MET, MISSED, UNKNOWN))).splitlines()
    assert len(lines) == 5
    for text in lines:
        cells = text.replace("\\|", "").strip("|").split("|")
        assert len(cells) == len(TARGET_HEAD), text
    assert lines[2].endswith("| met |")
    assert lines[3].endswith("| **missed** by 100 % |")
    assert lines[4].endswith("| not measured |")


def test_a_near_miss_is_told_from_none() -> None:
    """A miss of less than a percent never reads as 0 %."""
    assert Target("size", "gzip -6", 1.0, 1.001, digits=3).verdict == "**missed** by 0.1 %"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    """A table never comes out crooked."""
    with pytest.raises(ValueError, match="3 cells under a head of 2"):
        markdown(("a", "b"), [("1", "2", "3")])


def test_the_bars_are_well_formed_and_end_where_the_figures_are() -> None:
    """A bar is as long as its share of the target, whose line is the same for all."""
    root = ElementTree.fromstring(chart.bars((MET, MISSED, UNKNOWN)))
    width = {
        kind: [
            float(each.attrib["width"])
            for each in root.iter(f"{SVG}rect")
            if each.attrib.get("class") == kind
        ]
        for kind in ("met", "missed")
    }
    goals = [each for each in root.iter(f"{SVG}line") if each.attrib["class"] == "goal"]
    assert len(goals) == 1
    bars = [each for each in root.iter(f"{SVG}rect") if each.attrib["class"] == "met"]
    at_goal = float(goals[0].attrib["x1"]) - float(bars[0].attrib["x"])
    assert width["met"] == [pytest.approx(at_goal * 0.2 / 0.35, abs=0.1)]
    assert len(width["missed"]) == 1
    assert width["missed"][0] > at_goal
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert MET.job in texts


def test_the_growth_chart_is_well_formed_and_stays_within_its_card() -> None:
    """A line for each series, a dot for each point, none outside the picture."""
    root = ElementTree.fromstring(chart.panels(GROWTH, "Growth & more"))
    lines = list(root.iter(f"{SVG}polyline"))
    dots = list(root.iter(f"{SVG}circle"))
    assert len(lines) == len(GROWTH)
    assert len(dots) == 3 * len(GROWTH)
    height = float(root.attrib["height"])
    for dot in dots:
        assert 0 < float(dot.attrib["cx"]) < chart.WIDTH
        assert 0 < float(dot.attrib["cy"]) < height
    first = [float(dot.attrib["cy"]) for dot in dots[:3]]
    assert first == sorted(first, reverse=True)


@pytest.mark.parametrize(
    ("power", "text"), [(-2, "0.01"), (0, "1"), (2, "100"), (4, "10k"), (6, "1M"), (10, "10G")]
)
def test_an_axis_is_marked_shortly(power: int, text: str) -> None:
    """Powers of ten have names."""
    assert chart.ticked(power) == text


def test_a_charts_picture_suits_light_and_dark() -> None:
    """The card and the text change together where the reader prefers dark."""
    for text in (chart.bars((MET,)), chart.panels(GROWTH, "Growth")):
        light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
        assert ".card" in light
        assert ".card" in dark


def test_a_section_survives_being_saved(tmp_path: Path) -> None:
    """What is read is what was written."""
    section().save(tmp_path / "build.json")
    assert page.load(tmp_path) == [section()]


def test_publishing_replaces_only_what_is_between_the_markers(tmp_path: Path) -> None:
    """The explanation by hand stays; publishing twice changes nothing more; charts lie beside."""
    place = tmp_path / "benchmarks.md"
    place.write_text(f"# Head\n\n{page.BEGIN}\noutdated\n{page.END}\n\n## Tail\n")
    page.publish([section()], "A machine.", place)
    text = place.read_text("utf-8")
    assert text.startswith("# Head\n")
    assert text.endswith("## Tail\n")
    assert "outdated" not in text
    assert "**missed** by 100 %" in text
    for name in (page.TARGETS_CHART, page.GROWTH_CHART):
        assert f"({name})" in text
        ElementTree.parse(tmp_path / name)
    page.publish([section()], "A machine.", place)
    assert place.read_text("utf-8") == text


def test_the_page_of_the_checkout_has_its_markers() -> None:
    """Publishing finds where the figures go, and the page shows the charts that lie beside it."""
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    for name in (page.TARGETS_CHART, page.GROWTH_CHART):
        assert (f"({name})" in text) == (ROOT / "docs" / name).exists()


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where the figures have no place."""
    place = tmp_path / "benchmarks.md"
    place.write_text("nothing")
    with pytest.raises(ValueError, match="no markers"):
        page.publish([section()], "A machine.", place)
    assert place.read_text() == "nothing"


def test_small_figures_are_never_taken_for_full_ones() -> None:
    """The page says that a small run shows nothing."""
    small = Section("build", "small", 1, (MET,))
    assert "At small scale" in page.figures([small], "A machine.")
    assert "At small scale" not in page.figures([section()], "A machine.")


def test_a_ratio_is_taken_within_a_round() -> None:
    """A round in which the machine was slow for both does not bend the ratio."""
    runs = Runs(
        {
            "ours": (Run(1, 1, 1), Run(10, 1, 1), Run(2, 1, 1)),
            "theirs": (Run(2, 1, 1), Run(20, 1, 1), Run(4, 1, 1)),
        },
        {},
    )
    assert runs.ratio("ours", "theirs") == 0.5
    assert runs.median("ours") == 2
    assert runs.ratio("ours", "absent") is None


def test_proportional_growth_has_slope_one_and_a_line_fits_it() -> None:
    """The fits find what the points were made from."""
    points = [(float(x), 0.5 + 0.002 * x) for x in (10, 100, 1000, 10000)]
    a, b, error = line(points)
    assert (a, b) == (pytest.approx(0.5), pytest.approx(0.002))
    assert error < 1e-9
    assert slope([(x, 3 * x) for x, _ in points]) == pytest.approx(1)
    assert slope([(x, 7.0) for x, _ in points]) == pytest.approx(0)
    assert math.isnan(slope(points[:1]))


def test_a_line_ends_where_the_disk_begins_to_limit() -> None:
    """A size beyond is shown and not fitted."""
    points = [(10**n, 0.1 + 10**n / 1e9, 10**n / 1e9, MIB) for n in (6, 7, 8, 9)]
    found = {"gzip": [*points, (10**10, 99.0, 50.0, MIB)]}
    table = growth._table("bytes", found, 0.1, ("GB", 1e9))

    assert "99.00 s, 1 MiB" in table.rows[0]
    assert table.rows[0][-3:] == ("0.10 s + 1 s a GB", "0 %", "0 %")


def test_the_best_level_is_the_fastest_that_is_small_enough() -> None:
    """A level that is too large on one input is out, however fast."""
    walls = {"1": 1.0, "2": 2.0, "3": 1.9, "4": 4.0}
    ratios = {"1": [1.0, 1.04], "2": [1.0, 1.0], "3": [1.03, 1.02], "4": [0.9, 0.9]}
    assert codecs.fastest_within(walls, ratios) == "3"
    assert codecs.fastest_within(walls, {"1": [2.0]}) is None


def test_a_small_cache_is_used_below_its_limit_and_at_it(bench: Bench) -> None:
    """Both figures are there, and what was made is gone."""
    found = cache.run(bench)

    assert len(found.targets) == len(found.tables[0].rows) == 2
    assert all(target.value is not None and target.value > 0 for target in found.targets)
    assert list(bench.out.iterdir()) == []


def test_requests_beyond_one_head_a_blob_are_counted() -> None:
    """Two HEADs of one blob count as one more; everything else counts."""
    asked = [
        Request("GET", "/v2/", 200),
        Request("HEAD", "/v2/a/blobs/sha256:1", 200),
        Request("HEAD", "/v2/a/blobs/sha256:2", 200),
        Request("HEAD", "/v2/a/blobs/sha256:2", 200),
        Request("PUT", "/v2/a/manifests/1", 201),
    ]
    assert registry.beyond_heads(asked) == 3


def test_tools_run_in_turn_and_a_failing_one_is_left_out(bench: Bench) -> None:
    """Each round has every tool once, outputs are removed first, a failure stops no other."""
    output = bench.work / "output"
    order = bench.work / "order"
    script = 'test ! -e "$1"; printf 12345 >"$1"; echo "$3" >>"$2"'
    tools = [Tool(name, pipeline(script, output, order, name), output) for name in ("one", "two")]
    tools.append(Tool("broken", pipeline("echo why >&2; false | true")))
    runs = bench.in_turn("test", tools)
    assert set(runs.runs) == {"one", "two"}
    assert "why" in runs.failures["broken"]
    assert [run.output for run in runs.runs["one"]] == [5, 5]
    assert order.read_text().split() == ["one", "two", "two", "one"]
    assert not output.exists()


def test_peak_memory_is_the_commands_own(bench: Bench) -> None:
    """This process's memory does not count."""
    big = "data = bytearray(b'x') * (96 << 20)"
    used = bench.measure((sys.executable, "-S", "-c", big))
    assert used.peak > 96 << 20
    ballast = bytearray(os.urandom(1 << 20)) * 128
    assert bench.measure(("true",)).peak < 48 << 20
    assert len(ballast) == 128 << 20


@pytest.mark.parametrize(
    ("holders", "then", "low", "high"),
    [(2, "", 128, 180), (1, "os.fork();", 64, 100)],
)
def test_the_memory_of_all_processes_is_added_up(
    holders: int, then: str, low: int, high: int
) -> None:
    """What the parts of a command use counts together, and what two of them share counts once."""
    child = (
        f"import os, sys; data = bytearray(b'x') * (64 << 20); {then}"
        "os.write(1, b'.'); sys.stdin.read()"
    )
    shell = " & ".join(['"$1" -S -c "$2" <&3'] * holders)
    argv = pipeline(f"exec 3<&0; {shell} & wait", sys.executable, child)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(2) == b".."
        session = memory.Session(process.pid)
        session.look()
        process.stdin.close()
    assert low << 20 < session.peak < high << 20


def test_a_slow_tool_runs_once_and_is_compared_within_that_round(bench: Bench) -> None:
    """The other tools' later rounds do not count against it."""
    tools = [Tool("slow", ("true",), once=True), Tool("fast", ("true",))]
    found = bench.in_turn("test", tools)
    assert {name: len(runs) for name, runs in found.runs.items()} == {"slow": 1, "fast": 2}
    runs = Runs({"fast": (Run(1, 1, 1), Run(9, 1, 1)), "slow": (Run(2, 1, 1),)}, {})
    assert runs.ratio("fast", "slow") == 0.5


def test_what_is_set_aside_is_out_of_the_way_and_whole(bench: Bench) -> None:
    """Time and again; what is not there is left alone."""
    cache = bench.out / "cache"
    for content in ("one", "two"):
        cache.mkdir()
        (cache / "file").write_text(content)
        bench.set_aside(cache)
        assert not cache.exists()
        bench.set_aside(cache)

    kept = sorted(path.read_text() for path in (bench.out / "aside").rglob("file"))
    assert kept == ["one", "two"]


def test_what_takes_too_long_is_ended(bench: Bench) -> None:
    """A command and what it started are gone after its time."""
    with pytest.raises(BenchError, match="ran for more than"):
        bench.measure(pipeline("sleep 600 | sleep 600"), timeout=0.5)


def test_what_is_missing_is_told(bench: Bench) -> None:
    """A program that is not there is a failure of that command, not of the benchmark."""
    with pytest.raises(BenchError, match="no-such-program"):
        bench.measure(("no-such-program",))


def test_a_program_that_is_no_python_is_refused(bench: Bench) -> None:
    """Before an environment is made of it."""
    with pytest.raises(BenchError, match=r"/bin/true is not a Python of 3\.11"):
        environment(bench, "/bin/true")
    assert not (bench.work / "pythons").exists()


def test_everything_runs_in_the_work_directory(bench: Bench) -> None:
    """Home, caches and temporaries are redirected, and the caller's are not handed on."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "TMPDIR"):
        assert bench.env[name].startswith(str(bench.work))
    assert "SOURCE_DATE_EPOCH" not in bench.env
