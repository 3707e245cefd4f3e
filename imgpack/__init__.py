"""imgpack: directory trees into container images, and images into registries.

The names below are the public API; ``imgpack.api`` has the rest, ``imgpack.errors`` what is
raised. They are resolved when they are first used: ``import imgpack`` loads nothing else.
"""

import sys

TYPE_CHECKING = False  # that of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from imgpack import errors as errors
    from imgpack.api import (
        Format,
        Image,
        ImgpackError,
        Named,
        Placement,
        Platform,
        PushOptions,
        Reference,
        Registries,
        Runtime,
        SegmentCache,
        Treatment,
        build,
        copy,
        create,
        directory,
        directory_entry,
        entries,
        file,
        find_engine,
        flatten,
        hard_link,
        ignore,
        join,
        load,
        loading,
        mtree,
        open,
        open_base,
        open_blob,
        open_files,
        parse_rule,
        push,
        pushing,
        rebase,
        single_file,
        symlink,
        tags,
        tarball,
        verify_images,
    )

__all__ = [
    "LAYER_FORMAT_VERSION",
    "Format",
    "Image",
    "ImgpackError",
    "Named",
    "Placement",
    "Platform",
    "PushOptions",
    "Reference",
    "Registries",
    "Runtime",
    "SegmentCache",
    "Treatment",
    "__version__",
    "build",
    "copy",
    "create",
    "directory",
    "directory_entry",
    "entries",
    "file",
    "find_engine",
    "flatten",
    "hard_link",
    "ignore",
    "join",
    "load",
    "loading",
    "mtree",
    "open",
    "open_base",
    "open_blob",
    "open_files",
    "parse_rule",
    "push",
    "pushing",
    "rebase",
    "single_file",
    "symlink",
    "tags",
    "tarball",
    "verify_images",
]

__version__ = "0.2.0"

LAYER_FORMAT_VERSION = 4
"""The version of ``docs/layer-format.md``: what was built by another one is not reused."""


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> "Any":
        if name not in __all__ and name not in ("api", "errors"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import imgpack.api

        return getattr(imgpack.api, name) if name in __all__ else sys.modules[f"imgpack.{name}"]


def __dir__() -> list[str]:
    return sorted(__all__)
