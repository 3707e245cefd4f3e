"""Options of other programs that look into images, compare and check them: dive, diffoci, umoci."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FILES_ALONE: Final = "say --ignore times,history,layers, and files and configuration count alone"
_JSON: Final = "there is no template: imgpack inspect IMAGE --json | jq FILTER"
_ONE_LAYER: Final = (
    "a layer's files are listed by imgpack ls IMAGE --layer 2, and its tar is printed by "
    "imgpack blob IMAGE@DIGEST"
)
_TAGS: Final = "the tags of a repository are listed by: imgpack tags REPO"

LOOKING: Final[Mapping[str, Mapping[str, str]]] = {
    "inspect": {
        "--format": _JSON,
        "--raw": "the bytes are printed by: imgpack manifest IMAGE",
        "--config": "the configuration is printed by: imgpack manifest IMAGE --config",
        "-f": _JSON,
        "--pretty": "it is so without options; --json is for programs",
        "--size": "sizes are shown without it",
        "-s": "sizes are shown without it",
        "--type": "images are the only kind of thing",
        "-t": "images are the only kind of thing",
        "--no-tags": f"tags are not shown; {_TAGS}",
        "-n": f"tags are not shown; {_TAGS}",
        "--tarball": "the archive is the argument: imgpack inspect ARCHIVE",
        "--remote": "the reference is the argument: imgpack inspect REF",
        "--fast": "without --verify no layer is read",
        "--bom": "the SBOM of an image is not shown",
    },
    "diff": {
        **dict.fromkeys(("--ignore-timestamps", "--ignore-times"), "say --ignore times"),
        "--ignore-history": "say --ignore history",
        **dict.fromkeys(("--ignore-file-order", "--ignore-tar-format"), _FILES_ALONE),
        **dict.fromkeys(("--semantic", "--ignore-file-meta-format"), _FILES_ALONE),
        "--ignore-image-name": "names are not compared",
        "--ignore-file-mode-redundant-bits": "bits that say the type are not compared",
        "--type": "say --only files|config|history|layers|manifest",
        "--types": "say --only files|config|history|layers|manifest",
        "--filename": "say --path PATH --text",
        "--extra-allowed": "say --exclude PATTERN",
        "--verbose-diff": "say --text",
        "-u": "say --text",
        "--unified": "say --text",
        "--brief": "the exit code says it: 0, or 1 if they differ",
        "--name-only": "say --only files",
        "-r": "all that is in both is compared",
        "--recursive": "all that is in both is compared",
    },
    "history": {
        "--format": "there is no template: imgpack history IMAGE --json | jq FILTER",
        "--human": "it is so already; --json has bytes and times in full",
        "-H": "it is so already; --json has bytes and times in full",
    },
    "ls": {
        "-a": "all names are shown", "-A": "all names are shown", "--all": "all names are shown",
        "-d": "a directory itself is in what is above it: imgpack ls IMAGE PATH -l",
        "-1": "it is so already",
        "-F": "types are shown with -l", "-i": "there are no inodes; -l has the number of links",
        "--full-ref": "tags are listed by: imgpack tags REPO",
        "-t": "names are in the order of their bytes",
        "-S": "the largest are shown by: imgpack du IMAGE",
        "-r": "say -R",
    },
    "cat": {
        "--layer": _ONE_LAYER,
        "-o": "say > FILE",
        "--output": "say > FILE",
    },
    "extract": {
        "--layer": _ONE_LAYER,
        **dict.fromkeys(("-o", "--output", "-C", "-d", "--dir", "--directory", "--dest"),
                        "the directory is an argument: imgpack extract IMAGE DIR"),
        **dict.fromkeys(("--path", "-p"), "paths follow DIR: imgpack extract IMAGE DIR PATH"),
        **dict.fromkeys(("-f", "--force"), "DIR is new, or empty"),
        **dict.fromkeys(("--uid-map", "--gid-map"),
                        "owners are those of the image; --rootless records them"),
        "--keep-dirlinks": "a link in DIR is never followed",
    },
    "export": {
        "--layer": _ONE_LAYER,
        **dict.fromkeys(
            ("-p", "--path"), "paths are arguments: imgpack export IMAGE PATH -o FILE.tar"
        ),
    },
    "lint": {
        **dict.fromkeys(
            ("--severity", "--level", "--exit-level", "--failure-threshold", "-t"),
            "say --fail-on LEVEL",
        ),
        "--exit-code": "--fail-on LEVEL says when it is 30, and never when it is 0",
        "--no-fail": "say --fail-on never",
        "--exit-zero": "say --fail-on never",
        "--input": "the archive is the argument: imgpack lint ARCHIVE",
        "-o": "say > FILE",
        "--output": "say > FILE",
        **dict.fromkeys(("--list", "--list-rules", "--rules"), "the rules are in docs/lint.md"),
        **dict.fromkeys(
            ("-i", "--skip", "--disable", "--exclude", "--accept-key"),
            "say --ignore RULE, or --ignore RULE:PATTERN",
        ),
        "--only": "say --ignore RULE, several with commas",
        **dict.fromkeys(("-f", "--format"), "say --json or --sarif"),
    },
    "du": {
        "--max-depth": "it is called -d",
        "-s": "it is called -d 0",
        "-a": "the largest files are shown; --top says how many",
        "--all": "the largest files are shown; --top says how many",
        "-n": "say --top N",
        "-b": "--json has bytes",
        "--bytes": "--json has bytes",
        "--layer": "each layer is in the first table",
    },
    "verify": {
        "--fast": "every layer is read; none is read by: imgpack inspect IMAGE",
        "--remote": "the reference is the argument: imgpack verify REF",
        "--tarball": "the archive is the argument: imgpack verify ARCHIVE",
        **dict.fromkeys(("--dir", "--directory"), "say --against DIR"),
        "--root": "say --against DIR",
        "--rootfs": "say --against DIR",
    },
}  # fmt: skip
"""What a command that looks has not, and what to do instead."""
