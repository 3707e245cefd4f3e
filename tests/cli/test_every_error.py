"""Every error that the command line can give: what docs/exit-codes.md promises of each.

One line, the code of its cause whichever command met it, the path, name or option it is
about, and what to do.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from imgpack import errors
from imgpack.api import Named, parse_name
from tests.cli_runner import InProcess
from tests.registry.faults import answer
from tests.registry.hostile import HostileRegistry
from tests.store.samples import (
    Memory,
    make_artifact,
    make_image,
    make_multi,
    make_tar,
    write_all,
    write_image,
)

DIGEST = f"sha256:{'a' * 64}"
NOWHERE = "localhost:1/x:1"
_ANY = "GET|HEAD|POST|PUT|PATCH|DELETE"

# What is wrong: the commands that meet it, the code, and what the line must name.
CAUSES: dict[str, tuple[int, str, list[str]]] = {
    "an argument is missing": (2, "Missing argument", [
        "push", "pull", "copy", "copy a.tar", "inspect", "manifest", "blob", "tags", "rm",
        "flatten -o x.tar", "rebase --onto b -o x.tar", "ls", "cat", "cat a.tar", "history", "du",
    ]),
    "nothing is joined": (2, "Missing option '--add'", [
        "index create", "index create localhost:1/x",
    ]),
    "nothing is to be built": (2, "nothing goes into the image", ["build"]),
    "an option is unknown": (2, "has no option", [
        "--nonsense", "build t -Z", "push a.tar --nonsense", "cache info --nonsense",
        "index create x --nonsense", "logout --nonsense",
    ]),
    "a command is unknown": (2, "frobnicate", ["frobnicate", "cache frobnicate",
                                               "index frobnicate"]),
    "an option's value is impossible": (2, "--", [
        "build t -j 0", "build t --format tar", "push a.tar --timeout soon", "pull x --retries -1",
        "cache prune --keep much", "build t --cache-limit much", "inspect a.tar --tls-verify=",
        "cache trim", "cache trim --used-since when", "cache trim --max-size much",
        "build t --cache-dir=",
    ]),
    "options contradict each other": (2, "--", [
        "manifest a.tar --config --schema1", "manifest a.tar --unsigned",
        "push a.tar localhost:1/x --schema1-tag y", "copy a.tar localhost:1/x --src-creds a:b",
        "copy a.tar ./b.tar --platform linux/amd64 --all-platforms",
        "push a.tar localhost:1/x --mount-from b --no-mount", "login localhost:1 -u a --creds b",
        "build t --metadata-file -", "pull localhost:1/x --password-stdin",
        f"inspect {NOWHERE} --image y", f"manifest {NOWHERE} --schema1 --name y",
    ]),
    "there is no terminal to ask at": (2, "terminal", [
        "login localhost:1", "login localhost:1 -u me", f"pull {NOWHERE} --creds me",
    ]),
    "the order is wrong": (2, "ARCHIVE comes first", [f"push {NOWHERE} a.tar"]),
    "a blob is not named": (2, "which blob", ["blob a.tar", "blob @x"]),
    "a source is missing": (3, "missing", [
        "build missing", "build t missing", "push missing.tar", "push missing localhost:1/x",
        "inspect missing.tar", "inspect ./missing", "manifest missing.tar", "copy missing.tar ./x/",
        f"blob missing.tar@{DIGEST}", "inspect missing/", "ls missing.tar", "du missing/",
        "cat missing.tar x", "history missing.tar", "flatten missing.tar -o x.tar",
        "rebase a.tar --onto missing.tar --from a.tar -o x.tar",
    ]),
    "a source is no file": (3, "null", ["build /dev/null", "build t /dev/null"]),
    "a tree cannot be a layer": (5, "t", ["build t t", "build t:/../x", "build whiteout"]),
    "a name is not valid": (6, "A", [
        "build t -t A:b", "pull localhost:1/A", "push a.tar localhost:1/A", "tags localhost:1/A",
        "copy a.tar A", "rm localhost:1/A:1", "index create localhost:1/A --add localhost:1/a",
        "manifest a.tar --schema1 --name A",
    ]),
    "no registry is named": (6, "names no registry", [
        "push plain.tar", "push a.tar team/app", "copy a.tar newdir", "copy a.tar x.oci",
        "rm team/app:1", "index create app:1 --add localhost:1/a",
    ]),
    "no repository is named": (6, "localhost:1", [
        "tags localhost:1", "push a.tar localhost:1", "pull localhost:1", "rm localhost:1",
    ]),
    "a registry is not valid": (6, "host/team", ["login host/team", "logout host/team"]),
    "it is no repository alone": (6, NOWHERE, [f"tags {NOWHERE}"]),
    "it is neither a tag nor a digest": (6, "localhost:1/x", ["rm localhost:1/x"]),
    "a digest is not valid": (6, "digest", [
        "blob a.tar@sha256:xy", "blob a.tar@1a2b3c", "pull localhost:1/x@sha256:1a",
        "rm localhost:1/x@sha256:1a",
    ]),
    "an image has no name": (6, "nameless.tar", ["push nameless.tar"]),
    "an index is called as a file is": (2, "x.tar", ["index create x.tar --add a.tar"]),
    "the configuration has an impossible value": (7, "--", [
        "build t -e X", "build t -l X", "build t --user a:b:c", "build t --expose http",
        "build t --workdir here", "build t --volume here", "build t --stop-signal SIGX",
        "build t --entrypoint [", "build t --healthcheck-interval 5s", "build t --shell '",
        "build t --onbuild FROM", "build t --created soon", "build t --mtime soon",
        "build t --owner me",
    ]),
    "a platform is not valid": (7, "platform 'x'", [
        "build t --platform x", "inspect a.tar --platform x", f"pull {NOWHERE} --platform x",
    ]),
    "a compression is not known": (7, "lz4", ["build t --compression lz4"]),
    "there are too many ports": (8, "--expose", ["build t --expose 1-65535 --expose 1-65535/udp"]),
    "the format has no such layers": (9, "zstd", ["build t --compression zstd"]),
    "it is an artifact": (9, "artifact of type application/", [
        "manifest chart.tar --config", "manifest chart.tar --schema1 --name x",
        "push chart.tar localhost:1/x --schema1",
    ]),
    "a document is malformed": (10, "broken.tar", [
        "inspect broken.tar", "push broken.tar localhost:1/x", "copy broken.tar ./x/",
    ]),
    "it is no image": (11, "t", [
        "inspect text", "push text localhost:1/x", "copy text ./x/", "manifest text",
        f"blob text@{DIGEST}", "inspect t", "push t localhost:1/x", "inspect empty.tar",
    ]),
    "it is damaged": (12, "damaged.tar", [
        "inspect --verify damaged.tar", "copy damaged.tar ./x.tar", "copy damaged.tar x/",
        "flatten damaged.tar -o x.tar",
    ]),
    "a key cannot be read": (13, "missing.pem", [
        "push a.tar localhost:1/x --schema1 --signing-key missing.pem",
        "manifest a.tar --schema1 --signing-key missing.pem",
    ]),
    "an output cannot be written": (14, "missing", [
        "build t -o missing/x.tar", "copy a.tar ./missing/x.tar",
        "build t --metadata-file missing/x", "blob a.tar@$CONFIG -o missing/x",
    ]),
    "an output lies in the source": (14, "t", [
        "build t -o t/x.tar", "build t --metadata-file t/m",
    ]),
    "the cache cannot be used": (15, "t", [
        "build t --cache-dir text", "build t --cache-dir t/cache", "cache info --cache-dir text",
    ]),
    "nobody answers": (16, "localhost:1", [
        f"pull {NOWHERE}", f"push a.tar {NOWHERE}", f"inspect {NOWHERE}", "tags localhost:1/x",
        f"manifest {NOWHERE}", f"copy a.tar {NOWHERE}", f"blob localhost:1/x@{DIGEST}",
        f"rm {NOWHERE}", f"index create {NOWHERE} --add localhost:1/y", f"copy {NOWHERE} ./x.tar",
    ]),
    "certificates are missing": (17, "missing", [
        "pull localhost:1/x --ca-file missing", "tags localhost:1/x --cert-dir missing",
    ]),
    "credentials are refused": (18, "/closed", [
        "pull $HOST/closed", "tags $HOST/closed", "push a.tar $HOST/closed",
        "inspect $HOST/closed", "copy $HOST/closed ./x.tar", "rm $HOST/closed:1",
    ]),
    "it is not there": (20, "nothing", [
        "flatten $HOST/nothing -o x.tar", "rebase a.tar --onto $HOST/nothing --from a.tar -o x.tar",
        "pull $HOST/nothing", "inspect $HOST/nothing", "manifest $HOST/nothing",
        "copy $HOST/nothing ./x.tar", f"blob $HOST/nothing@{DIGEST}",
        "inspect a.tar --image nothing", "push a.tar localhost:1/x --image nothing",
        "index create $HOST/y:1 --add $HOST/nothing", "rm $HOST/nothing:1",
    ]),
    "the platform is not there": (20, "linux/s390x", [
        "inspect a.tar --platform linux/s390x", "copy multi.tar ./x/ --platform linux/s390x",
    ]),
    "the image has no such file": (28, "/none is not in the image", [
        "ls a.tar none", "ls -lR a.tar /none", "cat a.tar none", "cat a.tar etc/one /none",
    ]),
    "the blob is not there": (20, DIGEST, [f"blob a.tar@{DIGEST}"]),
    "the registry refuses": (21, "/odd", ["pull $HOST/odd", "tags $HOST/odd"]),
    "one has to be chosen": (25, ".tar", [
        "push two.tar localhost:1/x", "manifest two.tar", "copy two.tar localhost:1/x",
        "manifest multi.tar --config", "manifest multi.tar --schema1 --name x",
    ]),
    "the engine is not there": (27, "kind", [
        "load a.tar --engine kind", "build t --load --engine kind",
    ]),
}  # fmt: skip

# Those that need more than a command: a file that changes, a server, a lack of memory.
ELSEWHERE = {
    errors.SourceChangedError,
    errors.CredentialError,
    errors.UnsafeError,
    errors.RateLimitError,
    errors.ResourceError,
    errors.MovedError,
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[HostileRegistry]:
    """A registry with a repository for each refusal, and files for each mistake."""
    source = Memory()
    image = make_image(source)
    write_image(tmp_path / "a.tar", image, (parse_name("localhost:1/a:1"),))
    write_image(tmp_path / "plain.tar", image, (parse_name("plain"),))
    write_image(tmp_path / "nameless.tar", image, ())
    write_image(tmp_path / "chart.tar", make_artifact(source))
    write_image(tmp_path / "multi.tar", make_multi(source, "linux/amd64", "linux/arm64"))
    other = make_multi(source, "linux/arm64")
    names = [(parse_name(f"localhost:1/{letter}"),) for letter in "xy"]
    write_all(tmp_path / "two.tar", Named(image, names[0]), Named(other, names[1]))
    (tmp_path / "t").mkdir()
    (tmp_path / "whiteout").mkdir()
    (tmp_path / "whiteout" / ".wh.t").touch()
    (tmp_path / "text").write_text("no archive\n" * 100)
    make_tar(tmp_path / "empty.tar", {"x": b""})
    items = json.dumps([{"Config": "c", "RepoTags": None, "Layers": []}]).encode()
    make_tar(tmp_path / "broken.tar", {"manifest.json": items, "c": b"[]"})
    raw = (tmp_path / "a.tar").read_bytes()
    layer = source.blobs[image.manifest.layers[0].digest]
    (tmp_path / "damaged.tar").write_bytes(raw.replace(layer, layer[:-1] + b"\1"))
    with HostileRegistry() as registry:
        registry.misbehave(_ANY, "/closed/", answer(401, "UNAUTHORIZED"), times=None)
        registry.misbehave(_ANY, "/odd/", answer(418), times=None)
        yield registry


def _words(command: str, values: Mapping[str, str]) -> list[str]:
    for name, value in values.items():
        command = command.replace(name, value)
    return command.split(" ")


@pytest.mark.parametrize("cause", CAUSES)
def test_one_cause_has_one_code_a_name_and_a_remedy(
    imgpack_here: InProcess, registry: HostileRegistry, cause: str
) -> None:
    """Whichever command meets it."""
    code, named, commands = CAUSES[cause]
    inspected = json.loads(imgpack_here("inspect", "--json", "a.tar").ok())
    values = {"$HOST": registry.host, "$CONFIG": inspected["images"][0]["config"]["digest"]}
    wrong = []
    for command in commands:
        done = imgpack_here(*_words(command, values))
        lines = [line for line in done.err.splitlines() if line.startswith("imgpack: error: ")]
        message, semicolon, remedy = lines[0].partition("; ") if lines else ("", "", "")
        good = done.code == code and len(lines) == 1 and semicolon and len(remedy) > 8
        if not good or named not in message or "Traceback" in done.err:
            wrong.append(f"{command}: {done.code} {done.err}")
    assert wrong == []


def test_every_code_is_met_or_known_to_be_met_elsewhere() -> None:
    """A new kind of error needs its line in the table."""
    met = {code for code, _, _ in CAUSES.values()}
    kinds = set(errors.ImgpackError.__subclasses__()) - ELSEWHERE
    assert {kind.__name__ for kind in kinds if kind.exit_code not in met} == set()


def test_every_kind_of_error_says_what_to_do() -> None:
    """In words for any caller, each its own."""
    kinds = [errors.ImgpackError, *errors.ImgpackError.__subclasses__()]
    assert len({kind.advice for kind in kinds}) == len(kinds)
    assert all(kind.advice and "--" not in kind.advice for kind in kinds)


# What people know from elsewhere


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("build t -f Dockerfile", "there is no Dockerfile"),
        ("build t --file Dockerfile", "there is no Dockerfile"),
        ("push a.tar --all-tags", "; all names that ARCHIVE holds are pushed"),
        ("build t --base x", "; --from BASE is the image to build on"),
        ("build t --tga x", "; did you mean --tag?"),
        ("build t --platfrom x", "; did you mean --platform?"),
        ("build t --quux x", "imgpack build has no option --quux; see imgpack build --help"),
        ("build t -Z", "imgpack build has no option -Z; see imgpack build --help"),
        ("pull x --insecure", "; say --plain-http for HTTP"),
        ("buld", "there is no command 'buld'; did you mean build?"),
        ("bulid", "there is no command 'bulid'; did you mean build?"),
        ("hlep", "there is no command 'hlep'; did you mean help?"),
        ("vesion", "there is no command 'vesion'; did you mean version?"),
        ("images", "is seen by: imgpack inspect IMAGE"),
    ],
)
def test_an_option_of_another_program_is_answered(
    imgpack_here: InProcess, command: str, words: str
) -> None:
    """With what does the same here; only slips of the fingers get a suggestion."""
    assert words in imgpack_here(*command.split()).failed(2)
