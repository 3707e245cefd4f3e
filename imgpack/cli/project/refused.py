"""Whether a word is an image of a project file: asked by commands that are not about one.

Most have no file beside them, and then nothing more is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from imgpack.cli.project.file.names import FILES, could_be_image


def refuse_image(command: str, words: Sequence[str]) -> None:
    """Refuse an image of the file here as the first of ``words``, where a reference is meant.

    For it would be asked of Docker Hub, where it is somebody else's. Raises ``click.UsageError``.
    """
    word = words[0] if words else ""
    if not could_be_image(word) or os.path.lexists(word) or not any(map(os.path.lexists, FILES)):
        return
    from imgpack.cli.project.chosen import written_to

    if path := written_to(word):
        raise click.UsageError(
            f"{word} is an image of {FILES[0]}, which build writes to {path}; write "
            f"imgpack {command} {path}, or docker.io/library/{word} for Docker Hub's"
        )
