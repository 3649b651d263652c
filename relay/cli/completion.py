"""relay completion."""

import click
from click.shell_completion import get_completion_class

from relay.cli.exit_codes import ExitCode


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print what lets SHELL complete commands and options.

    \b
    Examples:
      relay completion bash > /etc/bash_completion.d/relay
      relay completion zsh > "${fpath[1]}/_relay"
      relay completion fish > ~/.config/fish/completions/relay.fish
    """
    chosen = get_completion_class(shell)
    assert chosen is not None  # click has one for each of the choices
    click.echo(chosen(ctx.find_root().command, {}, "relay", "_RELAY_COMPLETE").source())
    return ExitCode.OK
