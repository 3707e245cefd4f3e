"""The cache and what gzip stores as it is, whatever shape a build has."""

import os
import time
from pathlib import Path

from tests.cli.test_cache import info
from tests.cli_runner import InProcess

SHAPES = {
    "plain": ["rootfs"],
    "elsewhere": ["rootfs:/opt/app"],
    "split": ["rootfs", "--split", "large=d/large"],
    "over a base": ["rootfs:/opt", "--from", "base.tar"],
    "squashed": ["rootfs", "rootfs:/x", "--squash"],
}


def test_what_does_not_compress_is_copied_in_any_shape_of_a_build(
    imgpack_here: InProcess, tmp_path: Path
) -> None:
    """Out of its files, unless a layer is read each time; the bytes are those without a cache."""
    (tmp_path / "rootfs/d").mkdir(parents=True)
    (tmp_path / "rootfs/d/large").write_bytes(os.urandom(3 << 20))
    (tmp_path / "rootfs/small").write_text("text")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("text")
    imgpack_here("build", "other", "-t", "x", "-o", "base.tar", "--no-cache").ok()
    time.sleep(2.2)  # until nothing is racy any more

    for shape, arguments in SHAPES.items():
        ways = (["--no-cache"], ["--explain"], ["--explain"])
        done = [imgpack_here("build", *arguments, "-o", "out.tar", *way) for way in ways]
        data = [one.ok() for one in done]
        assert data[0] == data[1] == data[2]  # the digests
        assert " copied as they are" in done[1].err
        if shape == "squashed":
            assert " copied as they are" in done[2].err
        else:
            assert done[2].err.count("reused: nothing changed") == 1 + (shape == "split")
    assert info(imgpack_here)["size"] < 1 << 20
