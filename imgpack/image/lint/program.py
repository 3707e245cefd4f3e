"""Whether what an image starts can start: the program, what runs it, and its libraries."""

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from imgpack.errors import NotFoundError, brief, printable
from imgpack.image.files.files import ImageFiles
from imgpack.image.lint.dynamic import ElfFile, ReadAt, read_elf
from imgpack.image.lint.findings import LintFindings
from imgpack.image.lint.libraries import LibraryPaths
from imgpack.image.lint.reading import MAX_PROGRAM, read_each
from imgpack.spec.merge.changes import DEFAULT_PATH
from imgpack.tree.below import Below, Laid
from imgpack.tree.entry import Entry

_SCRIPTS: Final = 4
"""Interpreters that are scripts themselves: as many as Linux takes."""
_LINE: Final = 256
"""Bytes of the line of a script that Linux reads (``BINPRM_BUF_SIZE``)."""
_LIBRARIES: Final = 500
_PLACES: Final = 1000
"""Directories of ``PATH``."""
_STEPS: Final = 100_000
"""Names on the ways to them, through links as well: some seconds."""
_ALSO_RUN: Final = {("386", "amd64")}
"""Programs that a machine of another architecture runs by itself."""


class ProgramCheck:
    """The check of the program that a ``files`` of Linux start; ``config`` is decoded JSON.

    ``configured`` are the paths of the files in /etc/ld.so.conf.d. Copies of programs lie in
    ``directory`` while they are looked at.
    """

    def __init__(
        self,
        files: ImageFiles,
        config: Mapping[str, Any],
        findings: LintFindings,
        directory: str,
        configured: Sequence[bytes] = (),
    ) -> None:
        self._files = files
        self._image = Below((Laid(files),))
        self._config = config
        self._findings = findings
        self._directory = directory
        self._configured = configured
        self._variables = dict(one.partition("=")[::2] for one in words(config, "Env"))

    def run(self) -> None:
        """Add what is found. Raises what reading a layer does."""
        command = words(self._config, "Entrypoint") or words(self._config, "Cmd")
        if not command:
            self._add("command-missing", "it has neither an entrypoint nor a command")
            return
        word = _bytes(command[0])
        found = self._program(word)
        if found is None:
            self._add("entrypoint-missing", f"{brief(word)} is not there")
            return
        try:
            self._check(found, word, _SCRIPTS)
        except NotFoundError:
            self._findings.unchecked("what runs the program: its bytes are not at hand")

    def _check(self, entry: Entry, word: bytes, depth: int) -> None:
        if not stat.S_ISREG(entry.mode):
            kind = "a directory" if entry.is_directory else "no regular file"
            self._add("entrypoint-not-executable", f"{brief(word)} is {kind}", entry)
            return
        if not entry.mode & 0o111:
            mode = stat.S_IMODE(entry.mode)
            self._add("entrypoint-not-executable", f"{brief(word)} has the mode {mode:04o}", entry)
        if entry.size > MAX_PROGRAM:
            self._findings.unchecked(f"{brief(word)}: it has {entry.size} bytes")
            return
        script = b""
        for _, read in self._read((entry,)):
            head = read(0, _LINE)
            script = _interpreted(head)
            if script:
                continue
            if (elf := read_elf(read)) is not None:
                self._check_elf(entry, elf)
            elif head[:4] != b"\0asm":
                what = "is empty" if not head else "is neither an ELF file nor a script"
                self._add("entrypoint-format", f"{brief(word)} {what}", entry)
        if script:
            self._check_script(entry, script, depth)

    def _check_script(self, entry: Entry, line: bytes, depth: int) -> None:
        """Look at what runs a script, which ``env`` may look for in ``PATH``."""
        name, _, rest = line.replace(b"\t", b" ").partition(b" ")
        found = self._follow(name)
        if found is None:
            self._no_interpreter(entry, name)
            return
        if depth and stat.S_ISREG(found.mode):
            self._check(found, name, depth - 1)
        if name.rpartition(b"/")[2] == b"env":
            program = next(iter(_of_env(rest)), None)
            if program is not None:
                there = self._program(program)
                if there is None:
                    self._no_interpreter(entry, program)
                elif depth:
                    self._check(there, program, depth - 1)

    def _no_interpreter(self, entry: Entry, name: bytes) -> None:
        self._add(
            "interpreter-missing", f"/{brief(entry.path)} needs {brief(name)}, which is not there",
            entry,
        )  # fmt: skip

    def _check_elf(self, entry: Entry, elf: ElfFile) -> None:
        wanted = self._files.image.config.platform.architecture
        if elf.architecture not in ("", wanted) and (elf.architecture, wanted) not in _ALSO_RUN:
            self._add(
                "entrypoint-architecture",
                f"/{brief(entry.path)} is for {elf.architecture}, the image for "
                f"{printable(wanted)}",
                entry,
            )
        if elf.interpreter is None:
            return
        if self._follow(elf.interpreter) is None:
            self._no_interpreter(entry, elf.interpreter)
        elif not self._findings.ignores("library-missing"):
            self._check_libraries(entry, elf, elf.interpreter)

    def _check_libraries(self, entry: Entry, elf: ElfFile, loader: bytes) -> None:
        """Follow what the program needs, and what that needs, level by level."""
        variable = _bytes(self._variables.get("LD_LIBRARY_PATH", ""))
        paths = LibraryPaths(self._image, loader, elf.architecture, self._configured, variable)
        met: set[bytes] = set()
        level = [(entry, elf)]
        while level:
            found: dict[bytes, Entry] = {}
            for user, asks in level:
                for name in asks.needed:
                    if name in met or paths.is_loader(name):
                        continue
                    met.add(name)
                    library = paths.find(name, _directory_of(user), _own(asks, elf))
                    if paths.is_exhausted or len(met) > _LIBRARIES:
                        self._findings.unchecked(
                            "some libraries: there are too many, or places to look for them"
                        )
                        return
                    if library is None:
                        self._no_library(user, name)
                    elif stat.S_ISREG(library.mode) and library.size <= MAX_PROGRAM:
                        found[library.path] = library
            level = [
                (one, library_elf)
                for one, read in self._read(found.values())
                if (library_elf := read_elf(read)) is not None
            ]

    def _no_library(self, user: Entry, name: bytes) -> None:
        self._add(
            "library-missing", f"/{brief(user.path)} needs {brief(name)}, which is not there", user
        )

    def _program(self, word: bytes) -> Entry | None:
        """What an engine starts, by its path or as ``PATH`` leads to it."""
        if b"/" in word:
            above = b"" if word.startswith(b"/") else _bytes(self._config.get("WorkingDir")) + b"/"
            return self._follow(above + word)
        passed: Entry | None = None
        for place in _bytes(self._variables.get("PATH") or DEFAULT_PATH).split(b":")[:_PLACES]:
            if self._image.steps >= _STEPS:
                break
            found = self._follow(place + b"/" + word)
            if found is not None and stat.S_ISREG(found.mode):
                if found.mode & 0o111:
                    return found
                passed = passed or found
        return passed

    def _follow(self, path: bytes) -> Entry | None:
        return self._image.follow(path) if path and b"\0" not in path else None

    def _read(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, ReadAt]]:
        return read_each(self._files, entries, self._directory)

    def _add(self, rule: str, message: str, entry: Entry | None = None) -> None:
        if entry is None:
            self._findings.add(rule, message, place="config")
        else:
            self._findings.add(rule, message, entry.path)


def words(config: Mapping[str, Any], key: str) -> list[str]:
    """The texts of a list in a configuration, which may be anything else."""
    value = config.get(key)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _bytes(text: object) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""


def _interpreted(head: bytes) -> bytes:
    """What a script says behind ``#!``; empty if it is none."""
    return head[2:].partition(b"\n")[0].strip(b" \t\0") if head[:2] == b"#!" else b""


def _of_env(arguments: bytes) -> Iterator[bytes]:
    """The words behind ``env`` that are neither options nor variables."""
    for word in arguments.split():
        if not word.startswith(b"-") and b"=" not in word:
            yield word


def _directory_of(entry: Entry) -> bytes:
    return b"/" + entry.path.rpartition(b"/")[0]


def _own(asks: ElfFile, program: ElfFile) -> tuple[bytes, ...]:
    """Where to look first: a RUNPATH makes the RPATHs of it and of what loads it void."""
    return (asks.runpath,) if asks.runpath else (asks.rpath, program.rpath)
