"""The value of ``-o`` as buildx and podman have it: ``type=docker,dest=FILE`` and its like."""

from __future__ import annotations

from typing import Final

_TYPES: Final = ("docker", "oci", "registry", "image", "local", "tar", "cacheonly")


def answer(text: str) -> str:
    """What to write instead of ``text``; empty if it is a path or a name."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind, dest = fields.get("type"), fields.get("dest", "")
    if kind is None or not text.startswith(("type=", "dest=")):
        return ""
    if kind not in _TYPES:
        return f"write the path alone; a file of this name is ./{text}"
    if kind in ("local", "tar"):
        return "an image is made, and no files are put out: they are those of each SRC"
    if kind == "registry" or (kind == "image" and fields.get("push") == "true"):
        return "write --push: the names of -t are pushed to"
    if kind in ("image", "cacheonly"):
        return "there is no store of images: write -o FILE.tar, or --push"
    if dest in ("", "-"):
        return f"write -o - {_media_types(kind)}| docker load"
    if fields.get("tar") == "false":
        return f"write -o {dest.rstrip('/')}/"
    return f"write -o {dest} {_media_types(kind)}".rstrip()


def _media_types(kind: str) -> str:
    return "--format oci " if kind == "oci" else ""
