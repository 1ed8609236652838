"""``core completion``: prints a script with which a shell completes commands, options and names of workers."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "core"
VARIABLE = "_CORE_COMPLETE"  # click reads this variable when a shell asks for completions


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, to be loaded when that shell starts.

    \b
    source <(core completion bash)                  in ~/.bashrc
    source <(core completion zsh)                   in ~/.zshrc, behind compinit
    core completion fish | source                   in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows these three
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, VARIABLE).source())
