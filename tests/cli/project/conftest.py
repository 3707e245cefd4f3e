"""What the tests of imgpack.toml begin with."""

from pathlib import Path

import pytest

from tests.cli.project.shop import Shop
from tests.cli_runner import InProcess


@pytest.fixture
def shop(tmp_path: Path, imgpack_here: InProcess) -> Shop:
    """A directory with trees and no file."""
    return Shop(tmp_path, imgpack_here)
