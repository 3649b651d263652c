"""What the command line teaches, and what it loads to do so."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from relay.cli import cli

HEAVY = ("aiohttp", "aiosqlite", "apscheduler", "pydantic", "rich", "structlog", "asyncio")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [(), *commands(cli)], ids=" ".join)
def test_the_help_of_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"])

    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"  relay {' '.join(path)}".rstrip() in shown.output.partition("Example")[2]


def test_the_overview_tells_every_exit_code() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output.partition("Exit codes:")[2]

    assert {"0", "1", "2", "3", "4", "8", "10", "11", "12", "69", "78", "124", "130"} <= set(shown.split())


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["lss"], "ls"),
        (["delivery"], "deliveries"),
        (["deliveries", "resnd"], "resend"),
        (["config", "chek"], "check"),
        (["token", "crate"], "create"),
        (["providers", "lnt"], "lint"),
        (["wait", "x", "--fail-fats"], "--fail-fast"),
    ],
)
def test_a_slip_is_answered_by_what_was_probably_meant(arguments: list[str], meant: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        cli.main(arguments, standalone_mode=False)

    assert "Did you mean" in refused.value.format_message()
    assert meant in refused.value.format_message()


def test_what_resembles_no_command_gets_no_suggestion() -> None:
    with pytest.raises(click.UsageError, match=r'^there is no command "zzz"\.$'):
        cli.main(["zzz"], standalone_mode=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["add", "--help"],
        ["wait", "--help"],
        ["deliveries", "ls", "--help"],
        ["verify", "--help"],
        ["token", "create", "x", "--for-config"],
    ],
    ids=" ".join,
)
def test_what_needs_no_daemon_code_loads_none(arguments: list[str]) -> None:
    code = f"sys.argv = ['relay', *{arguments!r}]; runpy.run_module('relay', run_name='__main__')"
    script = (
        "import runpy, sys\n"
        f"try:\n    exec({code!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr if done.returncode else "") == (0, "")
