"""Values as buildx and podman have them: ``-o type=docker,dest=FILE``, and words of options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "progress": {
        "tty": "say --progress auto",
        "rawjson": "say --progress json",
        "quiet": "say --progress none",
    },
    "image_format": {
        "v2s2": "say --format docker",
        "v2s1": "a registry that needs schema1 gets it by --schema1 of a push",
        "docker-archive": "say --format docker; -o FILE.tar is an archive of either",
        "oci-archive": "say --format oci; -o FILE.tar is an archive of either",
    },
    "engine": {
        "nerdctl": "say --engine containerd",
        "ctr": "say --engine containerd",
        "k3s": "say --engine containerd; the variable CONTAINERD_ADDRESS names its socket",
        "minikube": "an archive is loaded by minikube itself: minikube image load FILE.tar",
    },
}
"""Of an option, by its parameter's name: what to say to a value that it does not take."""

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
    if kind == "docker" and not dest:
        return "write --load of a build, or imgpack load IMAGE"
    if dest in ("", "-"):
        return f"write -o - {_media_types(kind)}| docker load"
    if fields.get("tar") == "false":
        return f"write -o {dest.rstrip('/')}/"
    return f"write -o {dest} {_media_types(kind)}".rstrip()


def _media_types(kind: str) -> str:
    return "--format oci " if kind == "oci" else ""
