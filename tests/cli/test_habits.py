"""What people type who know docker, podman, skopeo or crane: each gets an answer that works."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from imgpack.cli.habits import building, commands, images
from imgpack.cli.habits.outputs import VALUES
from imgpack.cli.main import COMMANDS, cli
from imgpack.cli.output.usage import worded
from tests.cli_runner import InProcess

_LINE = re.compile(r"(?<![/\w-])(?<!man )imgpack (?!is )[^;,?|()>]*")
_WORD = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_OTHERS = re.compile(r"\b(docker|podman|diff|grep|man|jq|head|tar|pip) [^;,?]*")


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All of them with their words, those in groups and the first one as well."""
    yield (), cli
    for name in COMMANDS:
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        yield (name,), found
        if isinstance(found, click.Group):
            yield from (((name, child), one) for child, one in found.commands.items())


EVERY = dict(every_command())


def options(command: click.Command) -> set[str]:
    """How its options are spelled."""
    with click.Context(command) as ctx:
        every = (one for one in command.get_params(ctx) if isinstance(one, click.Option))
        return {name for one in every for name in (*one.opts, *one.secondary_opts)}


def parses(line: str) -> None:
    """Let the real commands read a command line; nothing is run, and values are not looked at."""
    words = shlex.split(line)[1:]
    context = click.Context(cli, info_name="imgpack", resilient_parsing=False)
    if words[:1] in (["--version"], ["--help"]):
        return
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, line
        command, words = found, words[1:]
    if "--help" not in words:
        command.make_context("x", words, parent=context)


def answers() -> Iterator[tuple[str, str, set[str]]]:
    """Whatever is answered: to what, the answer, and the options that may stand in it."""
    for name, answer in building.OPTIONS.items():
        yield f"build {name}", answer, options(EVERY["build",])
    for command, habits in images.OPTIONS.items():
        for name, answer in habits.items():
            yield f"{command} {name}", answer, options(called(command))
    for option, habits in images.SHARED:
        own = [options(one) for one in EVERY.values() if option in options(one)]
        for name, answer in habits.items():
            yield f"{option} {name}", answer, set.intersection(*own)
    for option, values in VALUES.items():
        having = [one for one in EVERY.values() if option in {p.name for p in one.params}]
        for value, answer in values.items():
            yield f"{option} {value}", answer, set.union(*map(options, having))
    for command, answer in images.EXTRA.items():
        yield command, answer, options(called(command))
    for words, answer in commands.COMMANDS.items():
        yield words, answer, options(EVERY["build",])


def called(name: str) -> click.Command:
    """The command that click calls so."""
    return cli if name == "imgpack" else next(one for one in EVERY.values() if one.name == name)


CRANE = (
    "annotate append auth blob catalog completion config copy cp delete digest export flatten "
    "index layout ls list manifest mutate pull push rebase registry repos serve squash tag "
    "validate version help edit"
)
BUILDX = (
    "--add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from "
    "--cache-to --call --cgroup-parent --check -D --debug -f --file --iidfile --label --load "
    "--metadata-file --network --no-cache --no-cache-filter -o --output --platform --policy "
    "--progress --provenance --pull --push -q --quiet --sbom --secret --shm-size --ssh -t --tag "
    "--target --ulimit"
)
IMAGETOOLS = "--annotation --append --dry-run -f --file --metadata-file --progress -t --tag"
OF_CRANE = {
    "pull": "--annotate-ref -c --cache_path --format --platform --insecure -v",
    "push": "--image-refs --index --insecure --allow-nondistributable-artifacts",
    "copy": "-a --all-tags -j --jobs -n --no-clobber --platform --insecure",
    "digest": "--full-ref --tarball --platform --insecure",
    "flatten": "-t --tag",
    "rebase": "--new_base --old_base -t --tag",
    "tags": "-O --omit-digest-tags --full-ref",
    "append": "-b --base -f --new_layer -o --output -t --new_tag --set-base-image-annotations",
    "config": "--annotation --append --cmd --entrypoint -e --env --exposed-ports -l --label -o "
    "--output --repo --set-platform -t --tag -u --user -w --workdir",
    "manifest": "--platform --insecure",
    "rm": "--insecure",
}


def told(command: tuple[str, ...], option: str) -> str:
    """What is said to who gives ``option`` to ``command``; empty if it is there."""
    if option in options(EVERY[command]):
        return ""
    root = click.Context(EVERY[()], None, "imgpack")
    context = click.Context(EVERY[command], root, command[-1])
    return worded(click.NoSuchOption(option, ctx=context)).partition("; ")[2]


def test_crane_and_buildx_are_known() -> None:
    """Their commands, and the options of those that are here as well; from their manuals."""
    for word in CRANE.split():
        assert word in COMMANDS or word in commands.ALIASES or commands.answer([word]), word
    for option in BUILDX.split():
        assert not told(("build",), option).startswith("see "), option
    for option in IMAGETOOLS.split():
        assert not told(("index", "create"), option).startswith("see "), option
    for command, every in OF_CRANE.items():
        for option in every.split():
            assert not told((command,), option).startswith("see "), (command, option)


def test_every_command_line_in_an_answer_works() -> None:
    """Its command exists, takes these options, and lacks no argument."""
    lines = {line.strip() for _, answer, _ in answers() for line in _LINE.findall(answer)}
    assert len(lines) > 40
    wrong = {}
    for line in lines:
        try:
            parses(line)
        except click.ClickException as problem:
            wrong[line] = problem.format_message()
    assert wrong == {}


def test_every_option_in_an_answer_is_one() -> None:
    """Of the command that is answered for."""
    for habit, answer, there in answers():
        rest = _OTHERS.sub("", _LINE.sub("", answer))
        assert set(_WORD.findall(rest)) <= there, (habit, answer)


def test_what_is_there_is_not_answered() -> None:
    """Neither commands nor options; a table that nobody reaches is wrong."""
    words = {" ".join(words) for words in EVERY}
    assert not words & set(commands.COMMANDS)
    assert not words & (set(commands.ALIASES) | commands.PROGRAMS)
    assert not options(EVERY["build",]) & set(building.OPTIONS)
    for command, habits in images.OPTIONS.items():
        assert not options(called(command)) & set(habits), command
    for option, habits in images.SHARED:
        having = [options(one) for one in EVERY.values() if option in options(one)]
        assert not set.intersection(*having) & set(habits), option


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("build . --build-arg A=B", "nothing is run in a build"),
        ("build . --local", "say --load"),
        ("build . --cache-from x", "--cache-dir DIR"),
        ("build . -t", "Option '-t' requires an argument; write -t NAME[:TAG]"),
        ("build . --pull", "looked up at each build"),
        ("base lock x -o", "write -o FILE"),
        ("buildx build .", "there is no command 'buildx'; write: imgpack build SRC"),
        ("buildx imagetools create", "imgpack index create REF --add REF"),
        ("image ls", "there is no store of images"),
        ("buildx imagetools inspect a:1", "write: imgpack inspect REF"),
        ("compose up", "nothing is run"),
        ("build . --push=true", "Option '--push' does not take a value; write --push"),
        ("build . --cache=true", "--cache-dir DIR"),
        ("build . --base-image debian", "--from BASE is the image to build on"),
        ("manifest inspect a:1", "imgpack manifest has no 'inspect'; write: imgpack manifest"),
        ("manifest create a:1 b:1", "imgpack index create REF"),
        ("index append a:1", "write: imgpack index create REF --append --add REF"),
        ("cache clear", "write: imgpack cache trim --max-size 0"),
        ("cache inof", "imgpack cache has no 'inof'; did you mean info?"),
        ("registry login x", "write: imgpack login REGISTRY"),
        ("-D build .", "imgpack has no option -D; say --debug"),
        ("--insecure pull x", "options follow the command"),
        ("tags x --arch arm64", "imgpack tags has no option --arch; see"),
        ("inspect x --format {{.Id}}", "imgpack inspect IMAGE --json | jq FILTER"),
        ("copy a b --dest-creds x", "say --creds USER"),
        ("build . -o type=docker,dest=y.tar", "; write -o y.tar"),
        ("build . --output=type=oci,dest=y.tar", "; write -o y.tar --format oci"),
        ("build . -o type=oci,dest=y,tar=false", "; write -o y/"),
        ("build . -o type=docker", "; write --load of a build, or imgpack load IMAGE"),
        ("build . -o type=docker,dest=-", "; write -o - | docker load"),
        ("build . --progress tty", "say --progress auto"),
        ("--progress=rawjson build .", "say --progress json"),
        ("build . --format v2s2", "say --format docker"),
        ("load x.tar --engine nerdctl", "say --engine containerd"),
        ("bake", "all images of imgpack.toml are built by: imgpack build"),
        ("init", "imgpack.toml is written by hand: imgpack help project-file"),
        ("buildx imagetools inspect x", "write: imgpack inspect REF"),
        ("pull a b.tar", "the file is an option: imgpack pull REF -o FILE.tar"),
        ("index create a b -t x", "Missing option '--add'; write --add ARCHIVE|DIR|REF"),
        ("index create a b --add x", "each is named: imgpack index create"),
        ("manifest x --format {{.}}", "which jq reads"),
        ("docker build -t x .", "there is no command 'docker'; write: imgpack build"),
        ("docker images", "there is no store of images"),
        ("docker --context x image ls", "what is called otherwise here"),
        ("docker manifest create a b", "imgpack index create REF"),
        ("docker buildx imagetools inspect x", "write: imgpack inspect REF"),
        ("crane digest x", "there is no command 'crane'; write: imgpack digest"),
        ("crane ls x", "tags are listed by: imgpack tags REPO"),
        ("skopeo copy a b", "write: imgpack copy"),
        ("skopeo list-tags x", "write: imgpack tags"),
        ("podman save x", "imgpack pull REF -o FILE.tar"),
        ("podman version", "write: imgpack --version"),
        ("buildah", "what is called otherwise here: imgpack help habits"),
        ("build . -o type=oci,dest=-", "; write -o - --format oci | docker load"),
        ("build . -o type=registry", "; write --push"),
        ("build . -o type=image,push=true", "; write --push"),
        ("build . -o type=image", "there is no store of images"),
        ("build . -o dest=x,type=local", "no files are put out"),
        ("pull x -o type=docker,dest=x.tar", "; write -o x.tar"),
        ("flatten x -o type=what", "a file of this name is ./type=what"),
    ],
)  # fmt: skip
def test_a_habit_is_answered_in_one_line(imgpack_here: InProcess, line: str, told: str) -> None:
    """By the command it was typed to."""
    assert told in imgpack_here(*line.split()).failed(2)


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("push t.tar docker://localhost:1/x:2", 6, "leave out the scheme: localhost:1/x:2"),
        ("push localhost:1/app:1", 3, "is pushed: imgpack push ARCHIVE REF"),
        ("copy t.tar oci:y:tag", 6, "write y/"),
        ("copy t.tar docker-archive:y.tar:tag", 6, "write y.tar"),
    ],
)
def test_a_value_as_others_write_it_is_answered(
    imgpack_here: InProcess, line: str, code: int, told: str
) -> None:
    """With what it is here."""
    (imgpack_here.directory / "t").mkdir()
    imgpack_here("build", "t", "-o", "t.tar").ok()
    assert told in imgpack_here(*line.split()).failed(code)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("extract t.tar", "'DIR'; write imgpack extract ARCHIVE|REF DIR [PATH]..."),
        ("cat t.tar", "write imgpack cat ARCHIVE|REF|LOCK PATH..."),
        ("ls t.tar --layer x", "Invalid value for '--layer': 'x' is no whole number"),
        ("ls t.tar --timeout x", "Invalid value for '--timeout': 'x' is no number"),
        ("ls t.tar a b", "Got unexpected extra argument (b); one PATH is listed at a time"),
        ("annotate t.tar a=b", "imgpack annotate IMAGE --annotation KEY=VALUE"),
        ("extract t.tar -o x", "imgpack extract IMAGE DIR"),
        ("cat t.tar --layer 1 x", "imgpack ls IMAGE --layer 2"),
        ("lint t.tar --severity high", "say --fail-on LEVEL"),
        ("find t.tar", "imgpack ls IMAGE -R"),
    ],
)  # fmt: skip
def test_a_slip_of_who_looks_is_answered(imgpack_here: InProcess, line: str, told: str) -> None:
    """With how the command is written."""
    assert told in imgpack_here(*line.split()).failed(2)


def test_a_pattern_that_the_shell_expanded_is_one_short_line(imgpack_here: InProcess) -> None:
    """However many files there are here."""
    line = imgpack_here("ls", "t.tar", *(f"/etc/{number:04}" for number in range(500))).failed(2)
    assert line.count("/etc/") < 12
    assert line.endswith(" …); one PATH is listed at a time")


def test_a_path_behind_the_image_is_an_argument_of_its_own(imgpack_here: InProcess) -> None:
    """As docker cp has it, it is answered."""
    (imgpack_here.directory / "t").mkdir()
    imgpack_here("build", "t", "-o", "t.tar").ok()
    line = imgpack_here("ls", "t.tar:/etc").failed(20)
    assert line.endswith("; a path in an image is written apart: t.tar /etc")


def test_words_that_mean_the_same_do_the_same(imgpack_here: InProcess) -> None:
    """Where they do all that their name says."""
    (imgpack_here.directory / "t").mkdir()
    name = imgpack_here("build", "t", "-o", "t.tar").ok().decode()
    assert imgpack_here("version").ok() == imgpack_here("--version").ok()
    imgpack_here("-q", "cp", "t.tar", "./copy/").ok()
    assert imgpack_here("digest", "copy/").ok().decode() in name.partition("@")[2] + "\n"
    assert "docker://" in imgpack_here("list-tags", "docker://localhost:1/x").failed(6)


def test_the_steps_of_a_dockerfile_are_not_run(imgpack_here: InProcess) -> None:
    """Whoever builds a context is told; one that is left out, or lies elsewhere, is none."""
    (imgpack_here.directory / "t").mkdir()
    (imgpack_here.directory / "t" / "Dockerfile").write_text("FROM scratch\n")
    told = "t has a Dockerfile, which is packed as a file; its steps are not run"
    assert told in imgpack_here("build", "t", "-o", "t.tar").err
    for arguments in ("t:/app",), ("t", "--exclude", "Dockerfile"):
        assert told not in imgpack_here("build", *arguments, "-o", "t.tar").err
