"""``imgpack completion``: what makes a shell complete imgpack."""

from __future__ import annotations

import click

from imgpack.cli.completion.shells import SHELLS, script


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def completion(*, shell: str) -> None:
    """Print what makes a shell complete imgpack; the shell evaluates it.

    For bash, in ~/.bashrc: eval "$(imgpack completion bash)"

    For zsh, after compinit: eval "$(imgpack completion zsh)"

    For fish, in config.fish: imgpack completion fish | source
    """
    click.echo(script(shell), nl=False)
