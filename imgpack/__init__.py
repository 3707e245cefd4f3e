"""imgpack: directory trees into container images, and images into registries.

The names below are the public API (``imgpack.api`` says what each does, and has the
rest). They are resolved when they are first used: ``import imgpack`` loads nothing else.
"""

TYPE_CHECKING = False  # that of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from imgpack.api import (
        Format,
        Named,
        Platform,
        PushOptions,
        Registries,
        Runtime,
        SegmentCache,
        build,
        copy,
        create,
        directory,
        entries,
        file,
        folder,
        hard_link,
        join,
        open,
        push,
        symlink,
    )

__all__ = [
    "Format",
    "Named",
    "Platform",
    "PushOptions",
    "Registries",
    "Runtime",
    "SegmentCache",
    "__version__",
    "build",
    "copy",
    "create",
    "directory",
    "entries",
    "file",
    "folder",
    "hard_link",
    "join",
    "open",
    "push",
    "symlink",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import imgpack.api

    return getattr(imgpack.api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
