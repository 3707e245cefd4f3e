"""Errors: how they are named, reworded and advised upon, with every field kept."""

import pickle
import re
from collections.abc import Iterator

import click
import pytest

from imgpack.cli.main import cli
from imgpack.cli.output import advice
from imgpack.errors import (
    Answer,
    NotFoundError,
    RegistryError,
    Remedy,
    about,
    printable,
    quoted,
)

ANSWER = Answer(404, ("MANIFEST_UNKNOWN",), "no such manifest", ("{}",), 2.5)


def test_errors_that_leave_a_block_name_what_it_was_about() -> None:
    """The outermost name comes first; kind, hint and answer are the inner error's."""
    with pytest.raises(NotFoundError) as caught, about("x.y/a"), about("the index"):
        raise NotFoundError("it is not there", Remedy.LIST_DIGESTS(), ANSWER)
    error = caught.value
    assert error.message == "x.y/a: the index: it is not there"
    assert (error.hint, error.answer) == (Remedy.LIST_DIGESTS(), ANSWER)
    assert str(error) == f"{error.message}; the digests there are can be listed"
    first = error.__cause__ and error.__cause__.__cause__
    assert isinstance(first, NotFoundError)
    assert first.message == "it is not there"


def test_other_exceptions_leave_a_block_as_they_are() -> None:
    """Only what imgpack reports is about something."""
    with pytest.raises(KeyError) as caught, about("x.y/a"):
        raise KeyError("k")
    assert caught.value.args == ("k",)


def test_rewording_makes_another_error_and_leaves_the_first() -> None:
    """A hint that is not given is kept, an empty one takes it away."""
    first = RegistryError("one", "do this", ANSWER)
    second, third = first.reworded("two"), first.reworded("three", "")
    assert (first.message, first.hint) == ("one", "do this")
    assert (type(second), second.message, second.hint) == (RegistryError, "two", "do this")
    assert (third.message, third.hint, third.answer) == ("three", "", ANSWER)
    assert (str(third), repr(second)) == ("three", repr(RegistryError("two", "do this", ANSWER)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain ü", "a plain ü"),
        ("one\nline\x1b[31m", r"one\nline\x1b[31m"),
        ("\u202ereversed", r"\u202ereversed"),
        (b"\xc3\xbc is a letter and \xff is none", r"ü is a letter and \udcff is none"),
    ],
)
def test_any_text_or_path_can_be_shown_on_one_line(text: str | bytes, shown: str) -> None:
    """What does not print is escaped as in Python, whether it is text at all or not."""
    assert printable(text) == shown


def test_a_reworded_error_survives_pickling() -> None:
    """With its advice and what the registry answered."""
    error = RegistryError("one", Remedy.LOG_IN("x.y"), ANSWER).reworded("two")
    back = pickle.loads(pickle.dumps(error))
    assert (back.message, back.hint, back.answer) == ("two", Remedy.LOG_IN("x.y"), ANSWER)
    assert str(back) == "two; give credentials for x.y"


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield name
            yield from _options(inner)


@pytest.mark.parametrize("remedy", Remedy, ids=lambda remedy: remedy.name)
def test_every_remedy_has_words_of_the_command_line(remedy: Remedy) -> None:
    """They name options and commands that there are, and hold what the case is about."""
    words = advice.worded(remedy("a value"))
    known = set(_options(cli))
    assert words and "{0}" not in words
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", words)) <= known
    assert set(re.findall(r"imgpack (\w+)", words)) <= known
    assert "--" not in remedy.value


@pytest.mark.parametrize(
    ("remedy", "options"),
    [
        (Remedy.CHOOSE_PLATFORM, ["--platform"]),
        (Remedy.USE_OCI, ["--format oci"]),
        (Remedy.USE_OCI_OR_GZIP, ["--format oci", "--compression gzip"]),
        (Remedy.OTHER_CACHE, ["--cache-dir", "--no-cache"]),
        (Remedy.EMPTY_CACHE, ["name an empty or new directory with --cache-dir"]),
        (Remedy.CLEAR_CACHE, ["--cache-dir"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_command_lines_words_name_the_options_that_help(
    remedy: Remedy, options: list[str]
) -> None:
    """Both where either would do."""
    line = advice.line("it failed", remedy())
    assert line.startswith("it failed; ")
    assert all(option in line for option in options)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a b", "'a b'"), ("it's", '"it\'s"'), ("\x1b[1m", r"'\x1b[1m'"), (b"\xff", r"'\udcff'")],
)
def test_what_is_quoted_is_escaped_once(text: str | bytes, shown: str) -> None:
    """As what is shown without marks."""
    assert quoted(text) == shown
