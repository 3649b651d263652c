"""The command line: thin clients of the API, and a few tools that need no daemon.

Commands are imported when they are asked for, so that `relay` starts fast.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from relay import __version__
from relay.cli import streams
from relay.cli.exit_codes import ExitCode, of_problem
from relay.cli.failures import ApiError, NothingMatched, Unreachable
from relay.cli.groups import Group
from relay.core.errors import RelayError

_COMMANDS = {
    "add": "relay.cli.watches:add",
    "completion": "relay.cli.completion:completion",
    "config": "relay.cli.offline:config",
    "db": "relay.cli.db:db",
    "deliveries": "relay.cli.deliveries:deliveries",
    "demo": "relay.cli.demo:demo",
    "destinations": "relay.cli.destinations:destinations",
    "doctor": "relay.cli.doctor:doctor",
    "explain": "relay.cli.watches:explain",
    "export": "relay.cli.transfer:export",
    "import": "relay.cli.transfer:import_",
    "ls": "relay.cli.watches:ls",
    "poll": "relay.cli.watches:poll",
    "providers": "relay.cli.providers:providers",
    "reload": "relay.cli.reload:reload",
    "rm": "relay.cli.watches:rm",
    "secret": "relay.cli.secret:secret",
    "serve": "relay.cli.offline:serve",
    "show": "relay.cli.watches:show",
    "status": "relay.cli.status:status",
    "token": "relay.cli.tokens:token",
    "verify": "relay.cli.verify:verify",
    "wait": "relay.cli.wait:wait",
}
_SUMMARIES = {
    "add": "Watch jobs.",
    "completion": "Complete words in your shell.",
    "config": "Check and show the configuration.",
    "db": "Copy, check and measure the database.",
    "deliveries": "See what was delivered, and send it again.",
    "demo": "See the whole path on this machine, without keys.",
    "destinations": "See the destinations, and try one.",
    "doctor": "Tell what is wrong here, and what mends it.",
    "explain": "Say why a watch stands where it stands.",
    "export": "Print the live watches, for import.",
    "import": "Watch what was exported.",
    "ls": "List watches.",
    "poll": "Look at a job now.",
    "providers": "See the providers, and teach relay another.",
    "reload": "Let the daemon take over its configuration.",
    "rm": "Stop watching.",
    "secret": "Make what signs callbacks.",
    "serve": "Run the daemon.",
    "show": "Show everything about a watch.",
    "status": "Tell whether the daemon is well.",
    "token": "Make, list and revoke tokens of the API.",
    "verify": "Tell whether a signed message is valid, and why not.",
    "wait": "Wait until jobs have ended.",
}


class _LazyGroup(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands without importing them all."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=_SUMMARIES[name]) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relay")
@click.option("--url", metavar="URL", help="The daemon's address; else $RELAY_URL, its configuration, or loopback.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="A file with the token; else $RELAY_TOKEN.")
@click.option("--token", help="The token itself; others on this machine may see it, so prefer $RELAY_TOKEN.")
@click.pass_context
def cli(ctx: click.Context, url: str | None, token_file: str | None, token: str | None) -> None:
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
      69 no daemon   78 wrong configuration   124 the wait timed out   130 interrupted
    """
    if token and token_file:
        raise click.UsageError("choose --token or --token-file", ctx)
    ctx.obj = {"url": url, "token_file": token_file, "token": token}
    ctx.color = False if os.environ.get("NO_COLOR") else None


def main() -> None:
    """Run the command line; turn what went wrong into a sentence and an exit code."""
    streams.prepare()
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        code = ExitCode.ERROR
        streams.let_go()
    except OSError as error:
        code = ExitCode.ERROR
        _tell(f"{error.filename or 'input or output failed'}: {error.strerror or error}")
        streams.let_go()
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else ExitCode.OK
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.UsageError as error:
        _tell(error.format_message(), f"{error.ctx.command_path} --help tells more" if error.ctx else None)
        return ExitCode.USAGE
    except click.ClickException as error:
        _tell(error.format_message())
        return ExitCode.ERROR
    except (UnicodeEncodeError, UnicodeDecodeError):
        _tell("an argument, or what was read, is no text in UTF-8")
        return ExitCode.USAGE
    except NothingMatched as error:
        _tell(str(error))
        return ExitCode.NOT_FOUND
    except Unreachable as error:
        _tell(str(error), "start it with: relay serve --config FILE" if error.absent else None)
        return ExitCode.UNREACHABLE
    except ApiError as error:
        _tell(str(error), "give a token: RELAY_TOKEN=rly_..., or --token-file FILE" if error.status == 401 else None)
        return of_problem(error.status)
    except RelayError as error:
        return _foreseen(error)


def _tell(sentence: str, hint: str | None = None) -> None:
    from relay.cli.output import error

    with suppress(OSError):  # then the exit code has to do
        error(sentence, hint)


def _foreseen(error: Exception) -> ExitCode:
    """Tell what an offline tool foresaw."""
    from relay.config import ConfigInvalid
    from relay.providers import SpecInvalid

    if isinstance(error, ConfigInvalid | SpecInvalid):
        click.echo(str(error), err=True)
        return ExitCode.CONFIG
    _tell(str(error))
    return ExitCode.ERROR
