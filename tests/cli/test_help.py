"""``imgpack help``: pages that fit any terminal, with command lines that work."""

import re
from pathlib import Path

import pytest

import imgpack
from imgpack import errors
from imgpack.cli.main import COMMANDS
from imgpack.cli.topics.pages import OTHER_WORDS, TOPICS, page, summary, topic
from tests.cli.test_habits import parses
from tests.cli_runner import InProcess

_PACKAGE = Path(imgpack.__file__).parent


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize("width", [38, 78])
def test_a_page_fits_the_terminal(name: str, width: int) -> None:
    """Its summary is one line; a long command line is continued as a shell takes it."""
    assert max(map(len, page(name, width).splitlines())) <= width
    assert len(summary(name)) <= 60
    wide, narrow = ("".join(page(name, one).replace(" \\\n", "").split()) for one in (200, width))
    assert narrow == wide


@pytest.mark.parametrize("name", TOPICS)
def test_the_command_lines_of_a_page_work(name: str) -> None:
    """Each is read by the command itself; the files that it names are there or not."""
    for line in re.findall(r"^  \$ (.*)", page(name, 1000), re.MULTILINE):
        command = re.sub(r"\$\(.*?\)", "1", line.split(" | ")[0].split(" < ")[0])
        words = command.split("imgpack ", 1)[1]
        parses(f"imgpack {words}")


def test_the_pages_name_files_that_are_there() -> None:
    """Whoever wants to know all of it is sent to the documentation."""
    for name in TOPICS:
        for path in re.findall(r"docs/[\w.-]+\b", page(name, 200)):
            assert (_PACKAGE.parent / path).is_file(), (name, path)


def test_every_variable_that_is_read_is_on_the_page() -> None:
    """Of those that the command line asks for by name."""
    text = page("environment", 200)
    source = "".join(path.read_text() for path in (_PACKAGE / "cli").rglob("*.py"))
    read = set(re.findall(r'environ(?:ment)?(?:\.get\(|\[)"([A-Z_]+)"', source))
    assert len(read) > 8
    assert {name for name in read if name not in text} == set()


def test_every_exit_code_is_on_the_page() -> None:
    """With what it means."""
    text = " ".join(page("exit-codes", 200).split())
    for kind in errors.ImgpackError.__subclasses__():
        assert f"{kind.exit_code} {kind.meaning}" in text


def test_help_lists_the_topics(imgpack_here: InProcess) -> None:
    """Each with what it is about."""
    text = imgpack_here("help").ok().decode()
    assert [line.split()[0] for line in text.splitlines() if re.match(r"  \w", line)] == [*TOPICS]


@pytest.mark.parametrize("command", ["build", "base lock", "copy"])
def test_help_of_a_command_is_its_help(imgpack_here: InProcess, command: str) -> None:
    """As with ``--help`` behind it."""
    words = command.split()
    assert imgpack_here("help", *words).ok() == imgpack_here(*words, "--help").ok()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("reproducible builds", "reproducible-builds"),
        ("Exit Codes", "exit-codes"),
        ("env", "environment"),
        ("imgpack.toml", "project-file"),
        ("annotations", "platforms"),
        ("dockerfile", "habits"),
        ("exit_codes", "exit-codes"),
    ],
)
def test_a_topic_is_found_by_other_words(imgpack_here: InProcess, words: str, name: str) -> None:
    """With blanks, in capitals, or as others call it."""
    assert imgpack_here("help", *words.split()).ok().decode().startswith(summary(name))


def test_a_topic_with_the_name_of_a_command_says_where_its_options_are(
    imgpack_here: InProcess,
) -> None:
    """The page is shown, and a line behind it."""
    for name in set(TOPICS) & set(COMMANDS):
        last = imgpack_here("help", name).ok().decode().splitlines()[-1]
        assert last == f"Its options: imgpack {name} --help"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("plaforms", "no topic and no command 'plaforms'; did you mean imgpack help platforms?"),
        ("biuld", "did you mean imgpack help build?"),
        ("quux", "see imgpack help"),
        ("base quux", "no topic and no command 'base quux'"),
    ],
)
def test_an_unknown_topic_gets_the_nearest(imgpack_here: InProcess, words: str, told: str) -> None:
    """Or the list of them."""
    assert told in imgpack_here("help", *words.split()).failed(2)


def test_other_words_mean_one_topic_and_no_command() -> None:
    """Each leads where it says, and hides no help of a command."""
    assert set(OTHER_WORDS) <= set(TOPICS)
    words = " ".join(OTHER_WORDS.values()).split()
    assert len(words) == len(set(words))
    assert not set(words) & {*COMMANDS, *TOPICS}
    for name, others in OTHER_WORDS.items():
        assert {topic(word) for word in others.split()} == {name}


def test_pages_are_part_of_the_package() -> None:
    """There is one for each topic, and none that nobody finds."""
    assert {path.stem for path in (_PACKAGE / "cli" / "topics").glob("*.txt")} == set(TOPICS)
