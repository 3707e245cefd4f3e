"""What is wrong with a command line, and what was probably meant.

Invariant: what people know from other builders is answered by name; a similar word is
only suggested if it is a slip of the fingers away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import click

_NO_DOCKERFILE: Final = "there is no Dockerfile: each SRC is a directory that becomes a layer"
_NO_STEPS: Final = "nothing is run in a build"
_PLATFORM: Final = "say --platform OS/ARCH"
_TLS: Final = "say --plain-http for HTTP, or --tls-verify false for any certificate"
_PASSWORD: Final = "say --creds USER, with --password-stdin for the password"

OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "build": {
        "-f": _NO_DOCKERFILE,
        "--file": _NO_DOCKERFILE,
        "--dockerfile": _NO_DOCKERFILE,
        "--base": "--from BASE is the image to build on",
        "--form": "did you mean --from?",
        "--lock": "--from LOCK builds on what is locked; imgpack base lock makes a lock",
        "--env-file": "-e NAME=VALUE sets a variable, and there is no file of them",
        "--delete": "--whiteout PATH deletes a path of the base",
        "--remove": "--whiteout PATH deletes a path of the base",
        "--rm": "--whiteout PATH deletes a path of the base",
        "--ignore": "--ignore-file FILE says what is left out, and --exclude PATTERN what else",
        "--build-arg": _NO_STEPS,
        "--secret": _NO_STEPS,
        "--network": _NO_STEPS,
        "--target": _NO_STEPS,
        "--name": "-t NAME:TAG names the image",
        "-n": "-t NAME:TAG names the image",
        "-p": "--expose PORT documents a port",
        "--port": "--expose PORT documents a port",
        "--arch": _PLATFORM,
        "--os": _PLATFORM,
        "--type": "--format chooses docker or oci",
        "-c": "--cmd says what is run",
        "--timestamp": "--mtime and --created set times, and SOURCE_DATE_EPOCH bounds them",
    },
    "": {
        "--insecure": _TLS,
        "--insecure-registry": _TLS,
        "-k": _TLS,
        "--http": _TLS,
        "--src-tls-verify": _TLS,
        "--dest-tls-verify": _TLS,
        "--authfile": "the variable REGISTRY_AUTH_FILE names a file of credentials",
        "--username": _PASSWORD,
        "-u": _PASSWORD,
        "--password": _PASSWORD,
        "-p": _PASSWORD,
        "--src-creds": _PASSWORD,
        "--dest-creds": _PASSWORD,
        "--arch": _PLATFORM,
        "--os": _PLATFORM,
        "--override-arch": _PLATFORM,
        "--override-os": _PLATFORM,
    },
    "inspect": {
        "--raw": "the bytes are printed by: imgpack manifest",
        "--config": "the configuration is printed by: imgpack manifest --config",
        "--format": "say --json, and choose from that",
    },
    "manifest": {"--raw": "they are the bytes as they are already"},
    "push": {
        "-t": "a name to push to follows ARCHIVE: imgpack push ARCHIVE REF",
        "--tag": "a name to push to follows ARCHIVE: imgpack push ARCHIVE REF",
        "--all-tags": "say --all, or no REF: all names that ARCHIVE holds are pushed",
        "-a": "say --all, or no REF: all names that ARCHIVE holds are pushed",
    },
    "copy": {"--all": "say --all-platforms", "-a": "say --all-platforms"},
    "pull": {"--all-platforms": "all are pulled, unless there is --platform"},
}
"""What a command has not, and what to do instead; "" is for all that talk to registries."""

COMMANDS: Final[Mapping[str, str]] = {
    "lock": "did you mean imgpack base lock?",
    "fetch": "did you mean imgpack base fetch?",
    "update": "did you mean imgpack base update?",
    "squash": "did you mean imgpack flatten?",
    "help": "see imgpack --help",
    "version": "see imgpack --version",
    "run": "an engine runs it: imgpack build SRC --load, then docker run NAME",
    "save": "an image is written to an archive by: imgpack pull",
    "export": "an image is written to an archive by: imgpack pull",
    "cp": "did you mean imgpack copy?",
    "mv": "did you mean imgpack copy?",
    "tag": "an image gets a name by imgpack build -t or imgpack push ARCHIVE REF",
    "ls": "did you mean imgpack tags?",
    "list": "did you mean imgpack tags?",
    "list-tags": "did you mean imgpack tags?",
    "images": "did you mean imgpack inspect?",
    "show": "did you mean imgpack inspect?",
    "verify": "imgpack inspect --verify checks every layer",
    "validate": "imgpack inspect --verify checks every layer",
    "digest": "imgpack inspect shows every digest",
    "config": "the configuration is printed by: imgpack manifest --config",
    "delete": "did you mean imgpack rm?",
    "rmi": "did you mean imgpack rm?",
    "prune": "did you mean imgpack cache trim?",
}
"""Commands of other programs."""


def worded(problem: click.ClickException) -> str:
    """What is wrong, and what to do about it."""
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    path = context.command_path if context is not None else "imgpack"
    help_page = f"see {path} --help"
    if isinstance(problem, click.NoSuchOption) and context is not None:
        name, there = problem.option_name, _options(context)
        known = _habit(context.command.name or "", name, there)
        return f"{path} has no option {name}; {known or _close(name, there) or help_page}"
    message = problem.format_message().rstrip(".")
    return message if "; " in message else f"{message}; {help_page}"


def no_command(name: str, there: Iterable[str]) -> str:
    """There is no command ``name``, and what else to say."""
    advice = COMMANDS.get(name) or _close(name, there) or "see imgpack --help"
    return f"there is no command {name!r}; {advice}"


def _options(context: click.Context) -> set[str]:
    parameters = context.command.get_params(context)
    names = {name for one in parameters for name in (*one.opts, *one.secondary_opts)}
    return {name for name in names if name.startswith("-")}


def _habit(command: str, name: str, there: set[str]) -> str:
    found = OPTIONS.get(command, {}).get(name, "")
    return found or (OPTIONS[""].get(name, "") if "--tls-verify" in there else "")


def _close(word: str, there: Iterable[str]) -> str:
    import difflib

    # Of a short word two letters are another word.
    cutoff = 0.75 if len(word.strip("-")) > 3 else 0.6
    found = difflib.get_close_matches(word.strip("-"), [one.strip("-") for one in there], 1, cutoff)
    spelled = [one for one in there if found and one.strip("-") == found[0]]
    return f"did you mean {spelled[0]}?" if spelled and len(word.strip("-")) > 1 else ""
