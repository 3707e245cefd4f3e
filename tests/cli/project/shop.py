"""A directory with things to build, and the file that says so."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.cli_runner import InProcess


class Shop:
    """Three small trees in ``directory``, and imgpack in it."""

    def __init__(self, directory: Path, imgpack: InProcess) -> None:
        self.directory = directory
        self.imgpack = imgpack
        for name, files in {
            "web": ("bin/server", "assets/app.js", "assets/app.map"),
            "api": ("bin/api",),
            "lib": ("lib/shared.so",),
        }.items():
            for file in files:
                path = directory / "trees" / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} {file}\n")

    def write(self, text: str, name: str = "imgpack.toml") -> Path:
        """Write the file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def digest(self, name: str) -> str:
        """What stands for the bytes of a file."""
        return hashlib.sha256((self.directory / name).read_bytes()).hexdigest()

    def error(self, text: str, *arguments: str, code: int = 2) -> str:
        """What a build says of a file with this ``text``, without its beginning."""
        self.write(text)
        line = self.imgpack("build", *arguments).failed(code)
        return line.removeprefix("imgpack: error: ")
