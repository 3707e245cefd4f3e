"""What a project file and an image of one may be called."""

from __future__ import annotations

from typing import Final

FILES: Final = ("imgpack.toml", "pyproject.toml")
"""Where images are looked for, in this order; in the second below ``tool.imgpack``."""


def could_be_image(word: str) -> bool:
    """Whether an image of a file may be called so; ``./word`` is always a path."""
    return word[:1].isalnum() and not {"/", ":"} & set(word)
