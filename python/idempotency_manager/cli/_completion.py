"""The command that prints a shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._exit import CommandError, Exit
from ._options import session, speech
from ._output import json_line


@click.command(
    epilog="\b\nExamples:\n"
    '  eval "$(idempotency completion bash)"    # in ~/.bashrc\n'
    '  eval "$(idempotency completion zsh)"     # in ~/.zshrc\n'
    "  idempotency completion fish > ~/.config/fish/completions/idempotency.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@speech
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete this command."""
    kind = get_completion_class(shell)
    if kind is None:
        raise CommandError(f"there is no completion for {shell}", Exit.USAGE)
    root = context.find_root()
    script = kind(root.command, {}, "idempotency", "_IDEMPOTENCY_COMPLETE").source()
    if session(context).json:
        json_line({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)
