"""The pages of ``imgpack help TOPIC``: text for a terminal of any width.

A page is the file ``NAME.txt`` beside this one: a line that says what it is about, then paragraphs,
a line each. What begins with two blanks is shown as it is: a command line begins with ``$``,
and two columns are two blanks apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from imgpack import errors
from imgpack.cli.output.help import Help

TOPICS: Final = (
    "inputs", "output", "bases", "push", "project-file", "credentials", "platforms",
    "cache", "reproducible-builds", "environment", "exit-codes", "habits",
)  # fmt: skip
"""In the order in which somebody needs them."""

OTHER_WORDS: Final = {
    "inputs": "input sources source src layers ignore dockerignore containerignore exclude owners",
    "output": "outputs archive archives layout layouts oci stream formats",
    "bases": "locks locking from",
    "push": "registry registries pulling pushing tls http",
    "project-file": "project projects toml imgpack.toml pyproject.toml pyproject bake"
    " bakefile compose file variables",
    "credentials": "auth authentication passwords tokens logging-in",
    "platforms": "platform multi-arch multiarch multi-platform arm64 architectures indexes"
    " annotation annotations",
    "cache": "caching ci",
    "reproducible-builds": "reproducible reproducibility determinism deterministic"
    " source-date-epoch times",
    "environment": "env environment-variables proxy proxies",
    "exit-codes": "exit-code errors exit codes exit-status",
    "habits": "habit docker dockerfile podman skopeo crane buildx buildah kaniko ko",
}
"""What else each may be looked for as."""


def topic(words: str) -> str | None:
    """The topic that ``words`` mean; ``None`` if they are no word of one."""
    name = re.sub(r"[\s_-]+", "-", words.strip(" .").lower())
    if name in TOPICS:
        return name
    return next((one for one, others in OTHER_WORDS.items() if name in others.split()), None)


def summary(name: str) -> str:
    """What the page of the topic ``name`` is about, in a line."""
    return _text(name).partition("\n")[0]


def page(name: str, width: int | None = None) -> str:
    """The page of the topic ``name``, in lines of up to ``width`` columns (the terminal's)."""
    formatter = Help(width=width)
    table: list[tuple[str, str]] = []
    for line in (*_text(name).splitlines(), ""):
        columns = re.split(r"  +", line.strip(), maxsplit=1)
        if line.startswith("  ") and len(columns) == 2:
            table.append((columns[0], columns[1]))
            continue
        if table:
            formatter.indent()
            formatter.write_dl(table)
            formatter.dedent()
            table = []
        if line.startswith("  "):
            formatter.write("".join(f"{part}\n" for part in _verbatim(line, formatter.width)))
        elif line:
            formatter.write_text(line)
        else:
            formatter.write("\n")
    return formatter.getvalue().rstrip("\n") + "\n"


def _text(name: str) -> str:
    text = files(__package__).joinpath(f"{name}.txt").read_text("utf-8")
    if name != "exit-codes":
        return text
    return text + "".join(f"\n  {code}  {meaning}" for code, meaning in _codes()) + "\n"


def _codes() -> Iterator[tuple[int, str]]:
    kinds = [errors.ImgpackError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    rows = {kind.exit_code: kind.meaning for kind in kinds}
    rows |= {
        0: "everything that was asked for was done",
        errors.DIFFERENT_EXIT_CODE: "what was compared differs (imgpack diff, imgpack verify)",
        errors.USAGE_EXIT_CODE: "the command line is wrong",
        errors.HUNG_UP_EXIT_CODE: "the terminal closed",
        errors.INTERRUPTED_EXIT_CODE: "interrupted (Ctrl-C)",
        errors.CLOSED_PIPE_EXIT_CODE: "whoever read standard output stopped reading",
        errors.TERMINATED_EXIT_CODE: "told to end",
    }
    yield from sorted(rows.items())


def _verbatim(line: str, width: int) -> Iterator[str]:
    """``line``, a command line that is too long continued on further ones."""
    if not line.startswith("  $ ") or len(line) <= width:
        yield line
        return
    first, *words = line.split(" ")[3:]
    written = f"  $ {first}"
    for word in words:
        if len(written) + len(word) + 3 > width and written.strip():
            yield f"{written} \\"
            written = " " * 5
        written += f" {word}"
    yield written
