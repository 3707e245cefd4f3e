"""A terminal of a size: what a program leaves on its screen."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Mapping
from pathlib import Path

_PART = re.compile(r"\x1b\[(\d*)([A-Za-z])|([^\x1b])")


def size(descriptor: int, columns: int, rows: int) -> None:
    """Give a terminal a size; 0 is one that nobody set."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def lines(written: str, columns: int) -> list[str]:
    """The lines on the screen when ``written`` has been sent to it."""
    screen: list[list[str]] = [[]]
    row = column = 0
    for count, final, character in _PART.findall(written):
        if final == "A":
            row = max(0, row - int(count or 1))
        elif final in ("J", "K"):
            screen[row] = screen[row][:column]
            if final == "J":
                del screen[row + 1 :]
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        elif character:
            if column == columns:
                row, column = row + 1, 0
            while len(screen) <= row:
                screen.append([])
            screen[row] += [" "] * (column + 1 - len(screen[row]))
            screen[row][column] = character
            column += 1
            if unicodedata.east_asian_width(character) in "WF":  # in two cells
                screen[row] += [""] if column == len(screen[row]) else []
                screen[row][column] = ""
                column += 1
        while len(screen) <= row:
            screen.append([])
    return ["".join(line).rstrip() for line in screen]


def shown(
    directory: Path,
    *arguments: str,
    columns: int,
    rows: int = 24,
    code: int = 0,
    env: Mapping[str, str] | None = None,
) -> tuple[str, list[str]]:
    """What ``imgpack`` writes to a terminal of a size, and what is on the screen at its end."""
    master, slave = pty.openpty()
    size(slave, columns, rows)
    command = [sys.executable, "-m", "imgpack", *arguments]
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=directory,
        env={**os.environ, "TERM": "xterm", **(env or {})},
    ) as process:
        os.close(slave)
        written = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux says so when nobody has the other end any more
                break
            if not part:
                break
            written += part
    os.close(master)
    text = written.decode()
    assert process.returncode == code, text
    return text, lines(text, columns or 80)
