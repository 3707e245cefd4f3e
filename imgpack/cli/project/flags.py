"""What ``--file``, ``--set`` and ``--print`` say, and whether a project file may be meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from imgpack.cli.project.file.names import FILES, could_be_image


@dataclass(frozen=True, slots=True)
class ProjectFlags:
    """Which file, what is set in it, and whether it is only shown."""

    project_file: str | None
    settings: tuple[str, ...]
    print_plan: bool

    @property
    def given(self) -> bool:
        """Whether there must be a file."""
        return self.project_file is not None or bool(self.settings) or self.print_plan

    def perhaps(self, words: Sequence[str]) -> bool:
        """Whether a file may be what says what to do: there is one, and ``words`` are images."""
        if self.given:
            return True
        named = not words or any(could_be_image(word) for word in words)
        return named and any(map(os.path.lexists, FILES))
