"""The manual pages: current, well-formed, and complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_habits import EVERY, options

_ROOT = Path(__file__).parent.parent.parent
_PAGES = sorted((_ROOT / "docs" / "man").glob("*.1"))


def test_the_pages_are_current() -> None:
    """They are what scripts/man-pages would write now."""
    command = [sys.executable, str(_ROOT / "scripts" / "man-pages"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_a_page_is_well_formed(page: Path) -> None:
    """As man itself says; and every line of it fits a terminal."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("there is no man")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    told = [line for line in done.stderr.splitlines() if "macro file 'man.local'" not in line]
    assert told == []
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_pages_list_every_option() -> None:
    """Of every command that is not hidden, each with its own page."""
    shown = {words: one for words, one in EVERY.items() if not one.hidden}
    assert {"-".join(("imgpack", *words)) for words in shown} == {page.stem for page in _PAGES}
    for words, command in shown.items():
        text = (_ROOT / "docs" / "man" / f"{'-'.join(('imgpack', *words))}.1").read_text("utf-8")
        terms = set(re.findall(r"(?<!\S)--?[\w-]+", text.replace("\\-", "-").replace(",", " ")))
        secret = [one.opts for one in command.params if getattr(one, "hidden", False)]
        assert options(command) - set().union(*secret) - {"--help", "-h"} <= terms, words
