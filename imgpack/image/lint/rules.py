"""The rules: what each is called, how bad it is, why, and how to mend what it finds.

``docs/lint.md`` is written from this table. An id is for good: people ignore rules by it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class LintLevel(Enum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def reaches(self, least: "LintLevel") -> bool:
        """Whether it is as bad as ``least``, or worse."""
        order = list(LintLevel)
        return order.index(self) <= order.index(least)


@dataclass(frozen=True, slots=True)
class LintRule:
    """A rule: ``title`` says what is found, ``why`` and ``mend`` are sentences for people."""

    id: str
    level: LintLevel
    title: str
    why: str
    mend: str


_ERROR, _WARNING, _INFO = LintLevel

_PROGRAM: Final = (
    LintRule(
        "command-missing", _WARNING, "nothing says what to run",
        "There is no entrypoint and no command: engines start it with one of the user's alone.",
        "Set an entrypoint or a command; an image of data alone needs none.",
    ),
    LintRule(
        "entrypoint-missing", _ERROR, "the program that is started is not in the image",
        "The first word of the entrypoint, or else of the command, is looked for as an engine "
        "does: from the working directory, or in the directories of PATH. A container ends with "
        "`no such file or directory` before anything runs.",
        "Correct the path, or put the program into the image.",
    ),
    LintRule(
        "entrypoint-not-executable", _ERROR, "the program that is started cannot be executed",
        "It is no regular file, or nobody may execute it: a container ends with `permission "
        "denied`.",
        "Give it the mode 0755.",
    ),
    LintRule(
        "entrypoint-format", _ERROR, "the program that is started is neither ELF nor a script",
        "The kernel runs ELF files and scripts that begin with `#!`; all else ends with `exec "
        "format error`.",
        "Begin a script with `#!/bin/sh`, without a byte-order mark or an empty line before it.",
    ),
    LintRule(
        "entrypoint-architecture", _ERROR, "the program is for another architecture",
        "What the image says it is for and what its program was built for differ: it starts only "
        "where an emulator is installed.",
        "Build the program for the image's platform, or correct the platform.",
    ),
    LintRule(
        "interpreter-missing", _ERROR, "what runs the program is not in the image",
        "A script names its interpreter behind `#!`, a dynamic program its loader. Without it a "
        "container ends with `no such file or directory`, though the program is there. A script "
        "with Windows line ends names one that ends in `\\r`.",
        "Add the interpreter; link the program statically; or save the script with Unix line ends.",
    ),
    LintRule(
        "library-missing", _ERROR, "a shared library of the program is not in the image",
        "What the program and its libraries need is looked for as the loaders of glibc and musl "
        "do: RPATH, RUNPATH, LD_LIBRARY_PATH, ld.so.conf and its cache, the usual directories. "
        "Without it the program ends at once. What is opened later (dlopen) is not known.",
        "Add the package that has the library.",
    ),
)  # fmt: skip
_CONFIGURATION: Final = (
    LintRule(
        "user-unknown", _ERROR, "the user or group is not in the image",
        "A user or a group that is a name is looked up in /etc/passwd and /etc/group of the "
        "image. If it is not there, no engine starts a container.",
        "Add the user there, or write the number.",
    ),
    LintRule(
        "user-root", _INFO, "it runs as root",
        "The image has no user, or root. Whoever breaks out of the program has more to begin "
        "with, and clusters often refuse it.",
        "Set a user, best a number above 0.",
    ),
    LintRule(
        "environment-malformed", _WARNING, "a variable has no name or no value",
        "Engines take an entry of the environment without `=` in different ways, and umoci fails.",
        "Write NAME=VALUE.",
    ),
    LintRule(
        "secret-in-environment", _ERROR, "a variable of the environment has a secret",
        "Whoever can pull the image can read its configuration. Found are tokens by their form, "
        "passwords in URLs, and values of variables whose names end in words such as PASSWORD, "
        "SECRET, TOKEN, API_KEY.",
        "Give it when the container is started, and make the secret invalid: it is known.",
    ),
    LintRule(
        "secret-in-history", _ERROR, "the history has a secret",
        "The history keeps commands and build arguments word by word. Found are tokens by their "
        "form and passwords in URLs.",
        "Build with a mounted secret, and make this one invalid.",
    ),
    LintRule(
        "secret-in-label", _ERROR, "a label or the command has a secret",
        "Labels, annotations and commands are shown to everybody. Found are tokens by their form "
        "and passwords in URLs, as that of a repository.",
        "Remove it, and make the secret invalid.",
    ),
    LintRule(
        "too-many-layers", _ERROR, "it has more layers than engines take",
        "Docker takes 125 layers, containerd 127.",
        "Flatten the image.",
    ),
    LintRule(
        "base-latest", _INFO, "the base is called latest",
        "The annotation org.opencontainers.image.base.name has the tag latest, or none: built "
        "again, the image is on another base without a word. What the image is called itself is "
        "not part of it, and not looked at.",
        "Name a version, or lock the base.",
    ),
)  # fmt: skip
_SECRETS: Final = (
    LintRule(
        "secret-file", _WARNING, "a file that is secret by its name",
        "Such as .git, .env, .netrc, .npmrc, id_rsa, .docker/config.json, .aws/credentials. It "
        "is found also where a higher layer deletes it, for the lower one still has it. Not "
        "looked at is what packages install: /usr/lib, /usr/share, node_modules, tests, examples.",
        "Name it in .dockerignore, and make what it holds invalid.",
    ),
    LintRule(
        "secret-content", _ERROR, "a file has a private key or a token",
        "Told by forms that nothing else has, in the first 64 KiB of each text of up to 1 MiB, "
        "of all layers, also in files that a higher layer deletes. Not looked at is what "
        "packages install, as by secret-file.",
        "Take it out of the build, and make the secret invalid.",
    ),
    LintRule(
        "empty-password", _ERROR, "an account has an empty password",
        "A line of /etc/shadow or /etc/passwd without a password lets anybody become that user, "
        "where a program in the container asks for one.",
        "Write `*` or `!` as the password; in /etc/passwd `x`, if it is in /etc/shadow.",
    ),
)  # fmt: skip
_MODES: Final = (
    LintRule(
        "world-writable-directory", _WARNING, "everybody may write into a directory",
        "Any user of the container can replace what is in it. Directories with the sticky bit, "
        "as /tmp, are fine.",
        "Take the permission away (mode 0755), or set the sticky bit (1777).",
    ),
    LintRule(
        "world-writable-file", _WARNING, "everybody may write a file",
        "Any user of the container can change it.",
        "Take the permission away, as with the mode 0644.",
    ),
    LintRule(
        "set-id-program", _INFO, "a program runs as its owner or group",
        "The set-user-ID and set-group-ID bits are a way to become root. A base has some, as su "
        "and mount; few containers need them.",
        "Take the bits away, or run containers with no-new-privileges.",
    ),
)  # fmt: skip
_LOADERS: Final = (
    LintRule(
        "uid-too-large", _WARNING, "an owner or group above 65535",
        "Rootless engines map 65536 ids: unpacking ends with `potentially insufficient UIDs or "
        "GIDs`.",
        "Set an owner up to 65535.",
    ),
    LintRule(
        "hard-link-to-lower-layer", _ERROR, "a hard link leads into a lower layer",
        "docker, containerd and podman unpack a layer by itself: the link fails with `no such "
        "file or directory`.",
        "Put both names into one layer, or copy the file.",
    ),
    LintRule(
        "hard-link-count", _WARNING, "a file has very many names",
        "ext4 takes 65000 hard links of a file, and other file systems fewer.",
        "Copy the file, or use symbolic links.",
    ),
    LintRule(
        "path-too-long", _ERROR, "a path is too long",
        "Linux takes paths of 4095 bytes: what is behind them cannot be named, and few engines "
        "unpack it.",
        "Choose a shorter one.",
    ),
    LintRule(
        "duplicate-path", _ERROR, "a layer has a path twice",
        "docker and podman refuse it (`duplicates of file paths not supported`), and the "
        "specification forbids it.",
        "Make the layer again.",
    ),
    LintRule(
        "device-file", _INFO, "a device is in a layer",
        "Rootless engines drop it without a word, and every engine makes its own /dev.",
        "Remove it.",
    ),
    LintRule(
        "package-cache", _INFO, "a package manager's cache is in the image",
        "It is of no use in a container and makes every pull larger.",
        "Delete it in the step that installs, or leave it out.",
    ),
)  # fmt: skip
RULES: Final = {
    rule.id: rule
    for rule in (*_PROGRAM, *_CONFIGURATION, *_SECRETS, *_MODES, *_LOADERS)
}  # fmt: skip
"""All rules by their ids, in the order in which findings are told."""
