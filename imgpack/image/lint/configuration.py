"""What is wrong with an image's configuration: the user, the environment, secrets in texts.

The configuration is decoded JSON of anybody's: of what has another type, nothing is said.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from imgpack.errors import (
    ConfigError,
    InvalidReferenceError,
    LimitError,
    NotFoundError,
    SourceError,
    printable,
    quoted,
)
from imgpack.image.image import Image
from imgpack.image.lint.findings import LintFindings
from imgpack.image.lint.program import words
from imgpack.spec.manifest import BASE_NAME
from imgpack.spec.reference import Reference
from imgpack.tree.below import Below
from imgpack.tree.rules.accounts import resolve_user
from imgpack.tree.secrets.texts import redacted, secrets_in

_MAX_LAYERS: Final = 125
_SECRET_NAME: Final = re.compile(
    r"(?:.*_)?(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_KEY|SECRET_KEY|ACCESS_KEY"
    r"|CREDENTIALS)",
    re.IGNORECASE,
)
_NO_SECRET: Final = re.compile(
    # Nothing, a switch, a number, a path, a reference to another variable, a URL.
    r"|true|false|yes|no|on|off|none|null|\d{1,3}|\.{0,2}/.*|.*\$.*|\w+://[^@]*|\*+|x+",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST: Final = 1 << 20
"""Characters of a text that are looked at."""


def check_configuration(image: Image, files: Below, findings: LintFindings) -> None:
    """Add what is wrong with the configuration of ``image``, whose tree is ``files``."""
    config = image.config.config
    if len(image.layers) > _MAX_LAYERS:
        findings.add("too-many-layers", f"it has {len(image.layers)} layers", place="rootfs")
    if image.config.platform.os == "linux":
        _check_user(config.get("User"), files, findings)
        check_passwords(files, findings)
    _check_environment(config, findings)
    _check_base(image, findings)
    for place, text in _labels(image):
        _check_text("secret-in-label", place, text, findings)
    for number, step in enumerate(image.config.history):
        for text in (step.created_by, step.comment):
            _check_text("secret-in-history", f"history[{number}]", text, findings)


def _check_user(user: object, files: Below, findings: LintFindings) -> None:
    text = user if isinstance(user, str) else ""
    try:
        if text.partition(":")[0] in ("", "root", "0"):
            message = f"it is {quoted(text)}" if text else "there is none"
            findings.add("user-root", message, place="config.User")
        if text:
            passwd = files.read_file("/etc/passwd")
            group = files.read_file("/etc/group") if ":" in text else None
            resolve_user(text, passwd, group)
    except ConfigError as error:
        findings.add("user-unknown", error.message, place="config.User")
    except (NotFoundError, LimitError):
        findings.unchecked("the user: the accounts are not at hand")


def check_passwords(files: Below, findings: LintFindings) -> None:
    """Add the accounts of a tree that have an empty password: in ``shadow(5)``, ``passwd(5)``."""
    if findings.ignores("empty-password"):
        return
    for path in ("/etc/passwd", "/etc/shadow"):
        try:
            accounts = files.read_file(path) or b""
        except (NotFoundError, LimitError, SourceError, OSError):
            findings.unchecked("passwords: the accounts are not at hand")
            return
        for number, line in enumerate(accounts.split(b"\n")):
            name, colon, rest = line.partition(b":")
            if name and colon and rest.startswith(b":"):
                findings.add(
                    "empty-password", f"{printable(name[:100])} has an empty password",
                    path.encode().lstrip(b"/"), line=number + 1,
                )  # fmt: skip


def _check_environment(config: Mapping[str, Any], findings: LintFindings) -> None:
    for number, text in enumerate(words(config, "Env")):
        place = f"config.Env[{number}]"
        name, equals, value = text[:_LONGEST].partition("=")
        shown = _key(name)
        if not name or not equals:
            kept = redacted(text) if not equals else "it"
            findings.add("environment-malformed", f"{kept} has no name and value", place=place)
        elif _SECRET_NAME.fullmatch(name) and not _NO_SECRET.fullmatch(value):
            message = f"{shown} has the value {redacted(value)}"
            findings.add("secret-in-environment", message, place=place)
        else:
            _check_text("secret-in-environment", place, value, findings, f"{shown} has ")


def _check_base(image: Image, findings: LintFindings) -> None:
    name = dict(image.manifest.annotations).get(BASE_NAME, "")[:_LONGEST]
    with suppress(InvalidReferenceError):
        base = Reference.parse(name)
        if base.digest is None and base.tagged().tag == "latest":
            place = f"annotations[{BASE_NAME}]"
            findings.add("base-latest", f"it is {quoted(name)}", place=place)


def _labels(image: Image) -> Iterator[tuple[str, str]]:
    """Texts that everybody is shown, and where they are."""
    config = image.config.config
    labels = config.get("Labels")
    for name, value in labels.items() if isinstance(labels, dict) else ():
        yield f"config.Labels[{_key(str(name))}]", f"{name}={value}"
    for name, value in image.manifest.annotations:
        yield f"annotations[{_key(name)}]", f"{name}={value}"
    for key in ("Entrypoint", "Cmd"):
        for number, word in enumerate(words(config, key)):
            yield f"config.{key}[{number}]", word


def _key(name: str) -> str:
    """A name as it can be shown, which may be a secret itself."""
    raw = name[:_LONGEST].encode("utf-8", "surrogatepass")
    return printable(redacted(name) if any(secrets_in(raw, urls=True)) else name[:100])


def _check_text(
    rule: str, place: str, text: str, findings: LintFindings, subject: str = ""
) -> None:
    raw = text[:_LONGEST].encode("utf-8", "surrogatepass")
    for secret in secrets_in(raw, urls=True):
        message = subject + secret.kind + (f": {secret.shown}" if secret.shown else "")
        findings.add(rule, message, place=place)
