"""What the command line says to do about an error: in options of the command that failed."""

import re
from collections.abc import Iterator

import click
import pytest

from imgpack.cli.main import COMMANDS, cli
from imgpack.cli.output.advice import WORDS, own_options, worded
from imgpack.errors import Remedy
from tests.cli_runner import InProcess

_NAMED = re.compile(r"imgpack ([a-z]+)((?: [^,;]*)?)")


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands, those of a group one by one."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())


OPTIONS = {
    name: frozenset(option for one in command.params for option in (*one.opts, *one.secondary_opts))
    for name, command in commands()
}


@pytest.mark.parametrize("remedy", Remedy)
def test_a_hint_names_no_option_that_the_command_lacks(remedy: Remedy) -> None:
    """Some command has those that it names; where one lacks them it has other words."""
    assert remedy in WORDS
    named = own_options(WORDS[remedy])
    assert any(named <= options for options in OPTIONS.values())
    for options in OPTIONS.values():
        assert own_options(worded(remedy("X"), options)) <= options
    for command, rest in _NAMED.findall(WORDS[remedy]):
        assert own_options(rest) <= OPTIONS[command]


def test_what_a_layout_keeps_is_told_by_each_command_in_its_words(imgpack_here: InProcess) -> None:
    """``tag`` cannot prune it; ``copy`` can."""
    (imgpack_here.directory / "tree").mkdir()
    for text in "ab":
        (imgpack_here.directory / "tree/file").write_text(text)
        imgpack_here("build", "tree", "-t", "app", "-o", f"{text}.tar").ok()
    imgpack_here("copy", "a.tar", "lay/").ok()
    copied = imgpack_here("copy", "b.tar", "lay/")
    assert "nothing in it names; --prune removes them" in copied.err
    tagged = imgpack_here("tag", "lay", "app:2")
    assert "nothing in it names; they can be removed when it is written to" in tagged.err
    assert "--prune" not in tagged.err
