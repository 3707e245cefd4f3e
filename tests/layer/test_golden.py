"""The golden vectors of the layer format, which ``scripts/golden`` wrote."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import imgpack
from imgpack.compression import zstd_frame
from imgpack.compression.codec import Codec
from imgpack.compression.gzip import GZIP_HEADER
from imgpack.tar import header

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests/data/layer-golden.json"


def checked(script: Path) -> "subprocess.CompletedProcess[str]":
    """``scripts/golden --check``."""
    return subprocess.run(
        [sys.executable, str(script), "--check"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_layer_format_has_not_changed() -> None:
    """Regenerate with ``scripts/golden`` only together with a new version of the format."""
    done = checked(ROOT / "scripts/golden")

    assert done.returncode == 0, done.stderr


def test_a_change_of_the_format_would_be_told(tmp_path: Path) -> None:
    """With what differs and the command that records it."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/golden", tmp_path / "scripts/golden")
    (tmp_path / "imgpack").symlink_to(ROOT / "imgpack")
    recorded = json.loads(VECTORS.read_text())
    recorded["layer"]["diff_id"] = "sha256:" + "0" * 64
    recorded["headers"]["file"][0] = "0000 00"
    (tmp_path / "tests/data/layer-golden.json").write_text(json.dumps(recorded))

    done = checked(tmp_path / "scripts/golden")

    assert done.returncode == 1
    assert "differs: header 'file', layer." in done.stderr
    assert "run scripts/golden" in done.stderr


def test_the_specifications_example_is_what_is_written(tmp_path: Path) -> None:
    """Its rows, its cut and its ``diff_id``."""
    page = (ROOT / "docs/layer-format.md").read_text()
    expected = bytearray(0xC00)
    for at, row in re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ){16})", page, re.MULTILINE):
        expected[int(at, 16) : int(at, 16) + 16] = bytes.fromhex(row)
    head = header.encode(b"hello", size=3, mtime=1_600_000_000, xattrs={b"user.k": b"v"})

    assert bytes(expected) == head + b"hi\n" + header.padding(3) + header.END
    assert f"`sha256:{hashlib.sha256(expected).hexdigest()}`" in page
    assert f"{zlib.crc32(b'hello'):#x}" in page


def test_the_specification_names_the_constants() -> None:
    """The numbers that decide digests."""
    page = (ROOT / "docs/layer-format.md").read_text()

    assert f"layer format, version {imgpack.LAYER_FORMAT_VERSION}\n" in page
    for names, codec in (("gzip, none", "gzip"), ("zstd", "zstd")):
        cutting = Codec.parse(codec).cutting
        sizes = (cutting.mean, cutting.largest, cutting.last_piece)
        row = " | ".join(f"{size / (1 << 20):g}" for size in sizes)
        assert f"| {names} | {row} |" in page
    assert f"`REACH` =\n{Codec.parse('zstd').reach:,}" in page
    assert f"`WINDOW` = {1 << zstd_frame.WINDOW_LOG:,}" in page
    assert zstd_frame.HEADER.hex(" ") in page
    assert zstd_frame.END.hex(" ") in page
    blocks = [zstd_frame.RESET[at : at + 10].hex(" ") for at in (0, 10, 20)]
    assert all(block in page for block in blocks)
    assert GZIP_HEADER.hex(" ") in page
    assert header.PAX_NAME.decode() in page
    assert f"{header.MAX_ID:,}" in page
    assert f"{header.MAX_SIZE:,}" in page
