"""The design as a test: which module may import what, and how large things may grow.

Read with the standard library's ``ast``, so that nothing has to run for it.
"""

import ast
import importlib.util
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import imgpack
from imgpack import api

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "imgpack"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A module may import from its own room and from rooms of a lower rank.
RANKS = {
    "errors": 0,
    "names": 0,
    "events": 1,
    "spec": 1,
    "files": 2,
    "compression": 2,
    "credentials": 3,
    "project": 3,
    "tar": 3,
    "tree": 4,
    "layer": 5,
    "image": 6,
    "store": 7,
    "registry": 7,
    "engine": 7,
    "api": 8,
    "cli": 9,
}

# Within a room, the same for its own rooms ("": its modules).
INNER_RANKS = {
    "registry": {"http": 0, "auth": 1, "": 2, "push": 3, "pull": 3},
    "tree": {
        "": 0,
        "rules": 1,
        "secrets": 1,
        "disk": 2,
        "inputs": 3,
        "merge": 3,
        "tables": 4,
        "unpack": 5,
    },
    "image": {
        "": 0,
        "base": 1,
        "files": 2,
        "edit": 2,
        "check": 3,
        "compare": 3,
        "lint": 3,
        "report": 4,
    },
    "cli": {
        "habits": 0,
        "output": 1,
        "topics": 2,
        "options": 3,
        "project": 4,
        "completion": 5,
        "commands": 6,
        "": 7,
    },
}

# What the command line imports; everything else it has from the API.
VERSIONS = {"LAYER_FORMAT_VERSION", "__version__"}
BESIDE_THE_API = {"api", "cli", "credentials", "errors", "events", "files", "spec", *VERSIONS}

# A third party's name: the only modules (or rooms, ending in "/") that may import it.
ROOMS = {
    "urllib3": (
        "registry/http/transport.py",
        "registry/http/connection.py",
        "registry/http/message.py",
    ),
    "click": ("cli/",),
    "tqdm": ("cli/",),
    "cryptography": ("spec/schema1/signature.py",),
    "deflate": (
        "compression/gzip.py",
        "compression/inflate.py",
        "compression/adaptive.py",
        "compression/checksum.py",
    ),
    "zstandard": ("compression/zstd.py",),
}

LONGEST_FILE = 400
LONGEST_FUNCTION = 50
LARGEST_PROTOCOL = 3
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc"}
AMBIENT = {
    "os.environ",
    "os.environb",
    "os.getenv",
    "os.getcwd",
    "os.getuid",
    "os.geteuid",
    "os.getgid",
    "os.getegid",
    "os.cpu_count",
    "os.process_cpu_count",
    "os.sched_getaffinity",
    "Path.home",
    "Path.cwd",
    "os.path.expanduser",
    "sys.argv",
    "sys.stdout",
    "sys.stderr",
    "sys.stdin",
    "locale.setlocale",
}
# A clock may be handed on (as a parameter's default), but is not read.
CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.localtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
}


def name_of(path: Path) -> str:
    """A module's path below the package, with slashes."""
    return path.relative_to(PACKAGE).as_posix()


def parsed(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, with the line."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            if module == "imgpack":
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"
            else:
                yield node.lineno, module


def room(module: str) -> str | None:
    """The room of a dotted name of the package: its second part."""
    parts = module.split(".")
    return parts[1] if parts[0] == "imgpack" and len(parts) > 1 else None


def own_room(path: Path) -> str:
    """The room that a file lies in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_lies_in_a_room_of_the_diagram() -> None:
    """A new room needs a rank, and with it a decision."""
    rooms = {own_room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= RANKS.keys()


def test_imports_point_one_way() -> None:
    """No module imports from its own rank's other rooms or from a higher rank."""
    wrong = []
    for path in MODULES:
        own = own_room(path)
        if own in ("__init__", "__main__"):
            continue
        for line, module in imports(path):
            other = room(module)
            if other is None or other == own or other in VERSIONS:
                continue
            if RANKS[other] >= RANKS[own]:
                wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert wrong == []


def inner_room(path: str) -> str:
    """The room within a room that a module lies in; empty if it lies in none."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def test_imports_within_a_room_point_one_way() -> None:
    """A room's own rooms have ranks, too."""
    wrong = []
    for path in MODULES:
        ranks = INNER_RANKS.get(own_room(path), {})
        own = inner_room(name_of(path))
        for line, module in imports(path) if ranks else ():
            other = inner_room("/".join(module.split(".")[1:]))
            if room(module) == own_room(path) and other != own and ranks[other] >= ranks[own]:
                wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert wrong == []


def needed(path: Path) -> Iterator[str]:
    """The modules whose code a file needs when it runs, whenever it loads them."""
    tree = parsed(path)
    types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in types and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_needs_itself() -> None:
    """By whatever way, and whether it is loaded at once or when it is needed."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    graph = {name: {*needed(path)} & {*names} for name, path in names.items()}
    assert sum(map(len, graph.values())) > len(names)
    TopologicalSorter(graph).prepare()  # it names the circle


def test_the_command_line_is_written_on_the_api() -> None:
    """What it cannot have from there, no other program could either."""
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in MODULES
        if own_room(path) == "cli"
        for line, module in imports(path)
        if room(module) not in {None, *BESIDE_THE_API}
    ]
    assert wrong == []


def test_commands_do_not_import_each_other() -> None:
    """What two of them need is an option's, or the library's."""
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in MODULES
        if name_of(path).startswith("cli/commands/")
        for line, module in imports(path)
        if module.startswith("imgpack.cli.commands")
    ]
    assert wrong == []


def test_third_parties_stay_in_their_rooms() -> None:
    """Each dependency is imported by the module that is its room, and no other is imported."""
    wrong = []
    for path in MODULES:
        for line, module in imports(path):
            top = module.split(".")[0]
            if top == "imgpack" or top in sys.stdlib_module_names:
                continue
            allowed = ROOMS.get(top, ())
            if not any(name_of(path).startswith(place) for place in allowed):
                wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert wrong == []


def test_every_dependency_has_a_room() -> None:
    """The list of dependencies and the list of rooms are the same."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {line.split(">")[0].strip() for line in project["dependencies"]}
    assert names == ROOMS.keys()


def test_files_and_functions_stay_small() -> None:
    """A file or function that outgrows its idea is split by idea."""
    wrong = []
    for path in MODULES:
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST_FILE:
            wrong.append(f"{name_of(path)}: {lines} lines")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.name}: {length} lines")
    assert wrong == []


def test_modules_are_named_for_what_they_are_and_say_it() -> None:
    """Every module has a docstring, and none is a drawer for odds and ends."""
    assert [name_of(path) for path in MODULES if not ast.get_docstring(parsed(path))] == []
    assert [name_of(path) for path in MODULES if path.stem in BANNED_NAMES] == []


def test_every_program_in_python_is_looked_at() -> None:
    """Those of ``scripts/`` without an ending, which the linter takes only by name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    programs = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and not path.suffix and "python" in path.read_text("utf-8").split("\n")[0]
    }
    assert programs == set(settings["tool"]["ruff"]["extend-include"])


def test_packages_are_packages() -> None:
    """Every directory with modules has an ``__init__.py``, so that it is installed."""
    assert {path.parent for path in MODULES if not (path.parent / "__init__.py").is_file()} == set()


def test_no_room_holds_more_than_a_dozen_modules() -> None:
    """A room that outgrows that holds two ideas."""
    rooms = {path.parent for path in MODULES}
    modules = {room: [p for p in room.glob("*.py") if p.stem != "__init__"] for room in rooms}
    assert {name_of(room): len(found) for room, found in modules.items() if len(found) > 12} == {}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_boolean(node: ast.expr | None) -> bool:
    """Whether a default is True or False, or an annotation says bool."""
    return (isinstance(node, ast.Constant) and isinstance(node.value, bool)) or (
        isinstance(node, ast.Name) and node.id == "bool"
    )


def test_booleans_are_keyword_only() -> None:
    """No positional parameter is a boolean, by its default or its annotation."""
    wrong = []
    for path in MODULES:
        for function in functions(path):
            positional = [*function.args.posonlyargs, *function.args.args]
            if any(is_boolean(argument.annotation) for argument in positional) or any(
                is_boolean(default) for default in function.args.defaults
            ):
                wrong.append(f"{name_of(path)}:{function.lineno} {function.name}")
    assert wrong == []


def test_every_function_is_annotated() -> None:
    """Parameters and results have types."""
    wrong = []
    for path in MODULES:
        for function in functions(path):
            arguments = [
                *function.args.posonlyargs,
                *function.args.args,
                *function.args.kwonlyargs,
            ]
            bare = [
                argument.arg
                for argument in arguments
                if argument.annotation is None and argument.arg not in ("self", "cls")
            ]
            if bare or function.returns is None:
                wrong.append(f"{name_of(path)}:{function.lineno} {function.name} {bare}")
    assert wrong == []


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """Every class of a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef):
            yield node


def test_dataclasses_are_slotted() -> None:
    """A dataclass has slots; what is a value is frozen, too."""
    wrong = []
    for path in MODULES:
        for value in classes(path):
            for decorator in value.decorator_list:
                text = ast.unparse(decorator)
                if text.startswith("dataclass") and "slots=True" not in text:
                    wrong.append(f"{name_of(path)}:{value.lineno} {value.name}")
    assert wrong == []


def test_a_type_s_name_is_used_once() -> None:
    """Private names too: whoever reads one need not ask which of two it is."""
    found: dict[str, list[str]] = {}
    for path in MODULES:
        for one in classes(path):
            found.setdefault(one.name.lstrip("_"), []).append(f"{name_of(path)}: {one.name}")
    assert [places for places in found.values() if len(places) > 1] == []


def test_protocols_are_small() -> None:
    """At most three methods."""
    wrong = []
    for path in MODULES:
        for protocol in classes(path):
            if any(ast.unparse(base).startswith("Protocol") for base in protocol.bases):
                methods = [node for node in protocol.body if isinstance(node, ast.FunctionDef)]
                if len(methods) > LARGEST_PROTOCOL:
                    wrong.append(f"{name_of(path)}:{protocol.lineno} {protocol.name}")
    assert wrong == []


def test_only_the_command_line_looks_around() -> None:
    """Environment, clock, terminal, ids, directory and processors are read in ``cli`` only."""
    wrong = []
    for path in MODULES:
        if own_room(path) in ("cli", "__main__"):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in AMBIENT:
                wrong.append(f"{name_of(path)}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in CLOCKS or called in ("print", "input"):
                    wrong.append(f"{name_of(path)}:{node.lineno} {called}()")
    assert wrong == []


def texts_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text of a module that is no docstring, with its line."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        own = isinstance(node, ast.Constant) and id(node) not in docstrings
        if own and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_message_of_the_library_names_an_option() -> None:
    """The command line words what to do with its own options; others have none."""
    wrong = []
    for path in MODULES:
        # Docker's history spells a health check with the options of a Dockerfile.
        # The programs of engines have options of their own.
        elsewhere = own_room(path) in ("cli", "__main__", "engine")
        if elsewhere or name_of(path) == "image/documents.py":
            continue
        for line, text in texts_of(parsed(path)):
            if re.search(r"(?<![\w-])--[a-z]", text) or "imgpack login" in text:
                wrong.append(f"{name_of(path)}:{line} {text}")
    assert wrong == []


def test_no_module_catches_everything_in_silence() -> None:
    """``except:`` and ``except BaseException`` clean up and raise again, or hand the error on."""
    wrong = []
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "" if node.type is None else ast.unparse(node.type)
            kept = any(
                isinstance(inner, ast.Raise)
                or (isinstance(inner, ast.Name) and node.name is not None and inner.id == node.name)
                for inner in ast.walk(node)
            )
            if caught in ("", "BaseException") and not kept:
                wrong.append(f"{name_of(path)}:{node.lineno}")
    assert wrong == []


HEAVY = {"urllib3", "zstandard", "deflate", "cryptography", "tqdm", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (("--version",), HEAVY),
        (("--help",), HEAVY),
        (("build", "--help"), {"urllib3", "cryptography", "ssl"}),
    ],
    ids=["version", "help", "build-help"],
)
def test_starting_up_loads_only_what_is_needed(
    arguments: tuple[str, ...], unwanted: set[str]
) -> None:
    """Neither codecs nor network are imported before they are used."""
    command = [sys.executable, "-X", "importtime", "-m", "imgpack", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = {
        line.rpartition("|")[2].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "imgpack" in loaded
    assert loaded & unwanted == set()


@pytest.mark.parametrize("module", ["imgpack", "imgpack.api"])
def test_importing_the_package_loads_nothing_heavy(module: str) -> None:
    """``import imgpack`` is free, and no codec and no network comes with its names."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert {name.split(".")[0] for name in loaded} & (HEAVY | {"click"}) == set()
    assert ("imgpack.api" in loaded) == (module == "imgpack.api")


def test_every_name_of_the_api_can_be_had() -> None:
    """Those that talk to registries, too, which are imported when they are asked for."""
    assert [name for name in api.__all__ if getattr(api, name, None) is None] == []
    assert [name for name in imgpack.__all__ if getattr(imgpack, name, None) is None] == []
    assert set(imgpack.__all__) - set(api.__all__) == VERSIONS


# Without those that look for the machine's other programs while they load: it takes seconds.
TESTS = sorted(p for p in (ROOT / "tests").rglob("test_*.py") if p.parent.name != "interop")


@pytest.mark.parametrize("command", ["inspect", "ls", "digest", "verify", "load", "copy"])
def test_a_command_that_builds_nothing_loads_no_option_of_build(command: str) -> None:
    """Whether its word is an image of imgpack.toml is asked without them: they take 50 ms."""
    code = (
        "import sys\nfrom imgpack.cli.main import cli\n"
        "try: cli.main([sys.argv[1], '/nowhere.tar'], standalone_mode=False)\n"
        "except Exception: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "imgpack.cli.project.refused" in loaded
    assert not loaded & {"imgpack.cli.options.build.headings", "imgpack.cli.project.command"}


def loaded_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType | None:
    """A second copy of a module of tests; ``None`` if it skips itself."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    spec = importlib.util.spec_from_file_location(f"{package}.{path.stem}_again", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    try:
        spec.loader.exec_module(module)
    except pytest.skip.Exception:
        return None
    return module


def parameter_names(module: ModuleType) -> dict[str, list[str]]:
    """What pytest makes the names of each parametrised test of: its ids, else its plain values."""
    plain = (str, bytes, int, float, complex, type(None))
    found: dict[str, list[str]] = {}
    for name, test in vars(module).items():
        for mark in getattr(test, "pytestmark", ()):
            if not name.startswith("test_") or mark.name != "parametrize":
                continue
            ids = mark.kwargs.get("ids")
            for values in ids if isinstance(ids, list | tuple) else mark.args[1]:
                row = getattr(values, "values", values)
                cells = row if isinstance(row, list | tuple) else (row,)
                kept = (repr(cell) if isinstance(cell, plain) else "" for cell in cells)
                found.setdefault(name, []).append(" ".join(kept))
    return found


def test_every_test_has_the_same_name_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that collect different names stop: no time and no random key is in one."""
    later = time.time() + 1000
    unsteady = []
    for path in TESTS:
        package = ".".join(path.relative_to(ROOT).parent.parts)
        first = sys.modules.get(f"{package}.{path.stem}") or loaded_again(path, monkeypatch)
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: later)
            second = loaded_again(path, monkeypatch)
        if first is None or second is None:
            continue
        names, again = parameter_names(first), parameter_names(second)
        unsteady += [f"{path.name}: {name}" for name in names if names[name] != again.get(name)]

    assert unsteady == []
