"""Keys of files like imgpack.toml: of bake, compose, apko and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LAYERS: Final = 'write layers = ["SRC:/DEST"]'
_BASE: Final = 'write from = "BASE"'
_NAME: Final = 'write name = "REGISTRY/REPOSITORY"'
_NO_DOCKERFILE: Final = f"there is no Dockerfile: {_LAYERS}"
_NOTHING_RUNS: Final = "nothing is run in a build: run the steps before"
_NO_RECORDS: Final = "neither SBOM nor provenance is made"

KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("base", "base-image", "base_image", "inherits"), _BASE),
    **dict.fromkeys(("ports", "port", "exposed-ports"), "write expose = [8080]"),
    **dict.fromkeys(("environment", "environ", "envs"), "write env = { NAME = 1 }"),
    **dict.fromkeys(("command", "arguments"), 'write cmd = ["WORD"]'),
    **dict.fromkeys(("context", "contexts", "dockerfile", "dockerfile-inline", "build"),
                    _NO_DOCKERFILE),
    **dict.fromkeys(("args", "build-args", "target", "secret", "secrets", "ssh", "network",
                     "shm-size", "ulimits", "entitlements", "run", "steps"), _NOTHING_RUNS),
    **dict.fromkeys(("attest", "provenance", "sbom"), _NO_RECORDS),
    **dict.fromkeys(("cache", "cache-from", "cache-to"),
                    "the cache is a directory of the machine: --cache-dir DIR"),
    **dict.fromkeys(("sources", "source", "src", "srcs", "copy", "add", "files", "paths",
                     "contents", "root", "rootfs", "directories"), _LAYERS),
    **dict.fromkeys(("depends_on", "depends-on", "extends"), 'write from-image = "IMAGE"'),
    **dict.fromkeys(("working_dir", "working-dir", "work-dir", "cwd"), 'write workdir = "/DIR"'),
    **dict.fromkeys(("arch", "archs", "os", "architecture", "architectures"),
                    'write platforms = ["linux/arm64"]'),
    **dict.fromkeys(("image", "repository", "repo", "registry", "repositories"), _NAME),
    **dict.fromkeys(("env-file", "env_file"), "there is no file of them: write env = { NAME = 1 }"),
    "matrix": 'each image is a table [image.NAME]; from-image = "IMAGE" shares what is in one',
    "remove": 'write whiteouts = ["PATH"]',
    "dest": 'it is of a layer: layers = [{ source = "SRC", dest = "/DEST" }]',
    "description": 'write annotations = { "org.opencontainers.image.description" = "TEXT" }',
}  # fmt: skip
"""Of an image: what to write instead."""

LAYER_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("from", "path", "directory", "dir", "file"), 'write source = "SRC"'),
    **dict.fromkeys(("to", "target", "into", "prefix"), 'write dest = "/DEST"'),
    **dict.fromkeys(("chown", "chmod", "owner", "mtime"),
                    "it is of the image: its patterns are for paths in it"),
    "include": 'write exclude = ["*", "!PATTERN"]',
}  # fmt: skip
"""Of a table in ``layers``."""
