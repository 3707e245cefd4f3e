"""Commands of other programs: those that have another name here, and what to do for others."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "cp": ("copy",),
    "list-tags": ("tags",),
    "retag": ("tag",),
    "version": ("--version",),
    "compare": ("diff",),
}
"""Words that do just what others do here."""

_ENGINE: Final = "nothing is run and there is no daemon: an engine does it, as docker or podman"
_NO_STORE: Final = (
    "there is no store of images: an archive, a layout or a reference is seen by: "
    "imgpack inspect IMAGE"
)
_BUILD: Final = "imgpack build SRC"
_INDEX: Final = "images are joined by: imgpack index create REF --add REF --add REF"
_NAME: Final = "a name is given where the image is by: imgpack tag IMAGE NAME"
_SAVE: Final = "an image is written to an archive by: imgpack pull REF -o FILE.tar"
_VERIFY: Final = "an image is checked by: imgpack verify IMAGE"
_FILES: Final = "the files of an image are listed by: imgpack ls IMAGE -R"
_ONTO: Final = "a layer gets on top of an image by: imgpack append IMAGE LAYER -o FILE.tar"
_CONFIG: Final = (
    "what an image is run with is changed by: imgpack config IMAGE -e NAME=VALUE -o FILE.tar"
)
_FILE: Final = "all images of imgpack.toml are built by: imgpack build"
_CLEAN: Final = "the cache gets smaller by: imgpack cache trim --max-size SIZE"

COMMANDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("run", "exec", "ps", "start", "stop", "restart", "kill", "logs", "attach", "pause",
         "unpause", "wait", "top", "stats", "port", "rename", "update", "events", "container",
         "containers", "volume", "network", "context", "plugin", "swarm", "service", "stack",
         "node", "secret", "system", "checkpoint", "compose", "pod", "kube", "machine",
         "healthcheck", "generate", "source", "unshare", "mount", "umount", "unmount",
         "desktop", "model"),
        f"{_ENGINE}; it gets an image by: imgpack build SRC --load",
    ),
    **dict.fromkeys(("images", "image"), _NO_STORE),
    **dict.fromkeys(("builder", "buildx"), "there is no builder: imgpack build SRC"),
    **dict.fromkeys(("imagetools", "manifest-tool"), _INDEX),
    "untag": "a tag in a registry is removed by: imgpack rm REF",
    **dict.fromkeys(("save", "fetch-image", "download"), _SAVE),
    **dict.fromkeys(("ls-files", "list-files", "tree", "find", "files"), _FILES),
    **dict.fromkeys(("analyze", "analyse", "size", "usage"), "imgpack du IMAGE"),
    **dict.fromkeys(("label", "labels"), "imgpack config IMAGE --label KEY=VALUE -o FILE.tar"),
    **dict.fromkeys(("audit", "dockle", "hadolint"), "imgpack lint IMAGE"),
    **dict.fromkeys(("raw unpack", "image unpack"), "imgpack extract IMAGE DIR"),
    "raw": "imgpack extract IMAGE DIR",
    "stat": "imgpack ls IMAGE PATH -l",
    "checksum": "imgpack digest IMAGE",
    "rebuild": "whether it is the same again is told by: imgpack verify IMAGE --rebuild",
    **dict.fromkeys(("validate", "check"), _VERIFY),
    **dict.fromkeys(("add", "add-layer", "insert", "repack"), _ONTO),
    **dict.fromkeys(("mutate", "edit", "set", "commit"), _CONFIG),
    **dict.fromkeys(("prune", "gc", "clean"), _CLEAN),
    **dict.fromkeys(
        ("sign", "trust", "standalone-sign", "standalone-verify", "attest", "attach-sbom"),
        "no signature is made; what to sign is printed by: imgpack digest IMAGE",
    ),
    "buildx build": _BUILD,
    "image build": _BUILD,
    "builder build": _BUILD,
    **dict.fromkeys(("bake", "buildx bake", "compose build", "compose push"), _FILE),
    **dict.fromkeys(("init", "new"), "imgpack.toml is written by hand: imgpack help project-file"),
    **dict.fromkeys(("scan", "scout", "vulnerability"),
        "flaws are not looked up; those who do read an archive or a layout",
    ),
    **dict.fromkeys(("system prune", "builder clear"), _CLEAN),
    "system df": "imgpack cache info",
    "buildx imagetools inspect": "imgpack inspect REF",
    "build-using-dockerfile": "a Dockerfile's steps are not run: imgpack build SRC",
    "buildx dial-stdio": "there is no builder: a build is this process",
    "buildx ls": "there is no builder: a build is this process",
    "buildx create": "there is no builder: a build is this process",
    "buildx use": "there is no builder: a build is this process",
    "buildx du": "imgpack cache info",
    "buildx prune": _CLEAN,
    "builder prune": _CLEAN,
    "buildx inspect": "there is no builder: a build is this process",
    "buildx version": "imgpack --version",
    "buildx imagetools": _INDEX,
    "imagetools inspect": "imgpack inspect REF",
    "imagetools create": _INDEX,
    "image ls": _NO_STORE,
    "image list": _NO_STORE,
    "image inspect": "imgpack inspect IMAGE",
    "image push": "imgpack push ARCHIVE REF",
    "image pull": "imgpack pull REF",
    "image save": _SAVE,
    "image load": "imgpack load ARCHIVE",
    "image rm": "imgpack rm REF",
    "image prune": _CLEAN,
    "image tag": _NAME,
    "image untag": "a tag in a registry is removed by: imgpack rm REF",
    "image history": "imgpack history IMAGE",
    "image import": "a tar of files becomes an image by: imgpack build FILE.tar",
    "image scp": "imgpack copy SRC DST",
    "image sign": "no signature is made; what to sign is printed by: imgpack digest IMAGE",
    "manifest inspect": "imgpack manifest IMAGE",
    "manifest create": _INDEX,
    "manifest add": _INDEX,
    "manifest annotate": "imgpack annotate REF --annotation KEY=VALUE --in-place",
    "image mod": _CONFIG,
    "image convert": "imgpack recompress IMAGE --compression zstd -o FILE.tar",
    "manifest push": "an index is pushed when it is made: imgpack index create REF --add REF",
    "manifest rm": "imgpack rm REF",
    "manifest remove": "an index is made anew of what stays: imgpack index create REF --add REF",
    "manifest exists": "imgpack digest REF",
    "index append": "imgpack index create REF --append --add REF",
    "index add": "imgpack index create REF --append --add REF",
    "index filter": "imgpack index create REF --add REF --platform OS/ARCH",
    "index list": "imgpack inspect REF",
    "index ls": "imgpack inspect REF",
    "index inspect": "imgpack inspect REF",
    "index push": "an index is pushed when it is made: imgpack index create REF --add REF",
    "index rm": "imgpack rm REF",
    "registry login": "imgpack login REGISTRY",
    "registry logout": "imgpack logout REGISTRY",
    "registry ls": "imgpack tags REPO",
    "registry serve": "there is no registry in it; Distribution is one: docker run registry",
    "registry": "the commands stand alone: imgpack login REGISTRY",
    "serve": "there is no registry in it; Distribution is one: docker run registry",
    "auth login": "imgpack login REGISTRY",
    "auth logout": "imgpack logout REGISTRY",
    "auth get": "whom a registry knows is not shown; imgpack help credentials",
    "auth token": "tokens are not shown; imgpack help credentials",
    "auth": "imgpack login REGISTRY",
    "repo ls": "imgpack tags REPO",
    "repo tags": "imgpack tags REPO",
    "repo": "imgpack tags REPO",
    "manifest fetch": "imgpack manifest IMAGE",
    "manifest fetch-config": "imgpack manifest IMAGE --config",
    "manifest delete": "imgpack rm REF",
    "blob fetch": "imgpack blob REF@DIGEST",
    "blob get": "imgpack blob REF@DIGEST",
    "cache clear": "imgpack cache trim --max-size 0",
    "cache clean": "imgpack cache trim --max-size 0",
    "cache rm": "imgpack cache trim --max-size 0",
    "cache gc": _CLEAN,
    "cache ls": "imgpack cache info",
    "cache du": "imgpack cache info",
    "cache show": "imgpack cache info",
    "cache dir": "imgpack cache info",
    "base pull": "imgpack base fetch LOCK",
    "base upgrade": "imgpack base update LOCK",
    "base check": "imgpack base update LOCK --check",
    "base diff": "what has moved is told by: imgpack base update LOCK --check",
    "base show": "a lock is text; its image is seen by: imgpack inspect REF",
    "lock": "imgpack base lock BASE -o base.lock",
    "fetch": "imgpack base fetch LOCK",
    "update": "imgpack base update LOCK",
    "squash": "imgpack flatten IMAGE -o FILE.tar",
    "import": "a tar of files becomes an image by: imgpack build FILE.tar",
    "unpack": "imgpack extract IMAGE DIR",
    "mv": "copy it, then remove the old name: imgpack copy SRC DST",
    "sync": "one image after the other: imgpack copy SRC DST",
    "scp": "imgpack copy SRC DST",
    "mirror": "imgpack copy SRC DST --all-platforms",
    "from": "a base is an option: imgpack build SRC --from BASE",
    "crane ls": "tags are listed by: imgpack tags REPO",
    "list": "tags are listed by: imgpack tags REPO, files by: imgpack ls IMAGE",
    "repos": "repositories are not listed, only tags: imgpack tags REPO",
    "catalog": "repositories are not listed, only tags: imgpack tags REPO",
    "search": "registries are not searched; tags are listed by: imgpack tags REPO",
    "show": "imgpack inspect IMAGE",
    "info": "imgpack inspect IMAGE",
    "layers": "imgpack history IMAGE",
    "dive": "imgpack du IMAGE",
    "manifest-digest": "imgpack digest IMAGE",
    **dict.fromkeys(("convert", "compress", "optimize"),
        "layers are compressed anew by: imgpack recompress IMAGE --compression zstd -o FILE.tar",
    ),
    "layout": "a layout is a path that ends in /: imgpack pull REF -o DIR/",
    "blobs": "imgpack blob REF@DIGEST",
    "layer": "imgpack blob REF@DIGEST",
    "delete": "imgpack rm REF",
    "remove": "imgpack rm REF",
    "rmi": "a name in a registry is removed by: imgpack rm REF",
    "upload": "imgpack push ARCHIVE REF",
    "publish": "imgpack build SRC -t REF --push",
    "apply": "imgpack build SRC -t REF --push",
    "resolve": "imgpack digest REF",
    "create": f"an image is made by: {_BUILD}",
    "pack": _BUILD,
    "make": _BUILD,
    "inspect-image": "imgpack inspect IMAGE",
    "signin": "imgpack login REGISTRY",
    "upgrade": "imgpack is upgraded as it was installed, as by pip",
    "shell": "nothing is run",
    "man": "the manual is shown by: man imgpack",
}  # fmt: skip
"""Words of other programs, one to three of them, and what to do instead."""


PROGRAMS: Final = frozenset({
    "apko", "buildah", "crane", "ctr", "docker", "docker-compose", "executor", "gcrane", "jib",
    "kaniko", "ko", "nerdctl", "oras", "podman", "regctl", "skopeo", "umoci",
})  # fmt: skip
"""What a whole command line of another program begins with."""


def answer(words: Sequence[str], there: Container[str] = ()) -> str:
    """What to say to ``words``, of which the first is no command (or the second none of its).

    ``there`` are the commands that imgpack has; of them are words of another program, too.
    """
    if words[0] in PROGRAMS and not _known(words):
        return _of_program([word for word in words[1:] if not word.startswith("-")], there)
    known = _known(words) or COMMANDS.get(words[0], "")
    return f"write: {known}" if known.startswith("imgpack ") else known


def _known(words: Sequence[str]) -> str:
    """What is said to the first three words together, or two; empty if nothing is."""
    return next((COMMANDS[key] for n in (3, 2) if (key := " ".join(words[:n])) in COMMANDS), "")


def _of_program(words: Sequence[str], there: Container[str]) -> str:
    """The same without the name of the program."""
    if words and not _known(words):
        name = ALIASES.get(words[0], words[:1])[0]
        if name in there or name != words[0]:
            return f"write: imgpack {name}"
    told = answer(words, there) if words else ""
    return told or "what is called otherwise here: imgpack help habits"
