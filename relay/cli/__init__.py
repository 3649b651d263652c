"""The command line: thin clients of the API, and a few tools that need no daemon.

Commands are imported when they are asked for, so that `relay` starts fast.
"""

import difflib
import sys
from importlib import import_module

import click

from relay import __version__
from relay.cli.exit_codes import ExitCode

_COMMANDS = {
    "add": "relay.cli.watches:add",
    "config": "relay.cli.offline:config",
    "deliveries": "relay.cli.deliveries:deliveries",
    "demo": "relay.cli.demo:demo",
    "ls": "relay.cli.watches:ls",
    "poll": "relay.cli.watches:poll",
    "providers": "relay.cli.providers:providers",
    "rm": "relay.cli.watches:rm",
    "serve": "relay.cli.offline:serve",
    "show": "relay.cli.watches:show",
    "status": "relay.cli.offline:status",
    "token": "relay.cli.offline:token",
    "wait": "relay.cli.wait:wait",
}
_SUMMARIES = {
    "add": "Watch jobs.",
    "config": "Check and show the configuration.",
    "deliveries": "See what was delivered, and send it again.",
    "demo": "See the whole path on this machine, without keys.",
    "ls": "List watches.",
    "poll": "Look at a job now.",
    "providers": "See the providers, and teach relay another.",
    "rm": "Stop watching.",
    "serve": "Run the daemon.",
    "show": "Show everything about a watch.",
    "status": "Tell whether the daemon is well.",
    "token": "Make tokens for the API.",
    "wait": "Wait until jobs have ended.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARIES[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not close:
                raise
            raise click.UsageError(f'{error.format_message()} Did you mean "{close[0]}"?', ctx) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relay")
@click.option("--url", metavar="URL", help="The daemon's address; else $RELAY_URL, its configuration, or loopback.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="A file with the token; else $RELAY_TOKEN.")
@click.pass_context
def cli(ctx: click.Context, url: str | None, token_file: str | None) -> None:
    """Follows slow generation jobs and delivers their outcome.

    \b
    Examples:
      relay serve --config config.toml
      relay add getimg req-01HXYZVIDEO1234 --callback-url https://shop.example/hooks
      relay wait getimg:req-01HXYZVIDEO1234 --timeout 30m
      relay ls --status failed --since 1d

    \b
    Exit codes:
      0 all completed   1 error   2 usage   3 nothing matched   4 not allowed
      8 still pending   10 a job failed   11 cancelled   12 expired, not found or timed out
      69 no daemon   78 wrong configuration   124 the wait timed out
    """
    ctx.obj = {"url": url, "token_file": token_file}


def main() -> None:
    """Run the command line; turn what went wrong into a sentence and an exit code."""
    from relay.cli.client import ApiError, Unreachable

    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else ExitCode.OK)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.ERROR)
    except Unreachable as error:
        _fail(str(error), "start it with: relay serve --config FILE", ExitCode.UNREACHABLE)
    except ApiError as error:
        _fail(str(error), None, _api_code(error.status))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.ERROR)


def _api_code(status: int) -> ExitCode:
    if status in (401, 403):
        return ExitCode.AUTH
    return ExitCode.NOT_FOUND if status == 404 else ExitCode.ERROR


def _fail(message: str, hint: str | None, code: ExitCode) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(code)
