"""``docs/registry.md`` names tests; they must exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    """A renamed or deleted test must not leave a promise behind."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/registry.md").read_text("utf-8")))
    existing = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 50
    assert named - existing == set()
