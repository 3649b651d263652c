"""relay serve and config."""

import json
from pathlib import Path

import click

from relay.cli import output
from relay.cli.common import CONFIG_OPTION
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import Group


@click.command()
@CONFIG_OPTION
def serve(config_path: Path | None) -> int:
    """Run the daemon until it is told to stop.

    \b
    Example:
      relay serve --config config.toml

    \b
    SIGTERM stops it in order, SIGHUP is `relay reload`.
    Exit codes: 0 stopped, 1 failed, 78 wrong configuration.
    """
    from relay.daemon import serve as run

    return run(config_path)


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration.

    \b
    Example:
      relay config check --config config.toml
    """


@config.command("check")
@CONFIG_OPTION
def check(config_path: Path | None) -> int:
    """Tell everything that is wrong with the configuration, with line and caret; needs no daemon.

    \b
    Example:
      relay config check --config config.toml && relay reload
    """
    from relay.core.text import counted
    from relay.settings import load_settings

    settings = load_settings(config_path)
    for warning in settings.warnings:
        click.echo(warning, err=True)
    found = {"provider": settings.providers, "destination": settings.destinations, "warning": settings.warnings}
    click.echo(f"{settings.path}: ok ({', '.join(counted(len(items), name) for name, items in found.items())})")
    return ExitCode.OK


@config.command("show")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one setting a line.")
def show(config_path: Path | None, as_json: bool) -> int:
    """Show every setting in force and where it comes from; secrets stay hidden.

    The origin is FILE:LINE, $VARIABLE, a preset or provider file, or the default.

    \b
    Examples:
      relay config show | grep detection_lag
      relay config show --json | jq -r 'select(.origin != "default") | .key'
    """
    from relay.config import settings_in_force
    from relay.settings import inherited, load_settings

    settings = settings_in_force(load_settings(config_path), inherited=inherited)
    if as_json:
        for item in settings:
            output.json_line({"key": item.key, "value": item.value, "origin": item.origin})
    else:
        output.table(("setting", "value", "origin"), ((item.key, item.value, item.origin) for item in settings))
    return ExitCode.OK


@config.command("schema")
@click.argument("kind", type=click.Choice(["config", "provider"]), default="config")
def schema(kind: str) -> int:
    """Print the JSON Schema of the configuration, or of provider files, for editors.

    \b
    Example:
      relay config schema provider > provider.schema.json
    """
    from relay.config import config_schema
    from relay.providers import ProviderSpec

    shown = config_schema() if kind == "config" else ProviderSpec.model_json_schema()
    click.echo(json.dumps(shown, indent=2))
    return ExitCode.OK
