"""What several commands share: the client, ids, durations, key=value options."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from relay.cli import output
from relay.cli.client import ApiError, Client, default_url, watch_path
from relay.cli.exit_codes import ExitCode, of_problem
from relay.cli.failures import NothingMatched as NothingMatched
from relay.core.duration import parse_duration
from relay.reaching import checked_token, checked_url

_MOST_MATCHES = 2
_NOT_FOUND, _CONFLICT = 404, 409
_WHOLE_ID = re.compile(r"wat_[0-9a-z]{26}")

CONFIG_FILE = click.Path(path_type=Path, readable=False)
"""One that cannot be read is a wrong configuration, 78, and no wrong use."""

CONFIG_OPTION = click.option(
    "--config",
    "config_path",
    type=CONFIG_FILE,
    help="The file; else $RELAY_CONFIG, ./config.toml or /etc/relay/config.toml.",
)


def seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Return the seconds that an option says, as in "30m"; 0 needs no unit."""
    if text is None or text.strip() == "0":
        return None if text is None else 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def client_of(ctx: click.Context, config_path: Path | None = None) -> Client:
    """Return the client of the daemon that the options, the environment and the configuration name.

    Raises ConfigInvalid where that configuration is not there.
    """
    options = ctx.find_root().obj
    env = os.environ if config_path is None else {**os.environ, "RELAY_CONFIG": str(config_path)}
    try:
        url = checked_url(options["url"] or default_url(env))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        from relay.config import ConfigInvalid

        raise ConfigInvalid(f"{error.filename}: error: cannot be read: {error.strerror}") from None
    return Client(url, _token(options["token"], options["token_file"]))


def _token(given: str | None, file: str | None) -> str | None:
    token = given or os.environ.get("RELAY_TOKEN")
    if file:
        try:
            token = Path(file).read_text().strip()
        except OSError as error:
            raise click.UsageError(f"the token file cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise click.UsageError("the token file holds no text") from None
        if not token:
            raise click.UsageError("the token file is empty")
    try:
        return checked_token(token) if token else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def references(ids: Iterable[str]) -> list[str]:
    """Return ids with ``-`` replaced by the words of standard input; raises NothingMatched where that leaves none."""
    found: list[str] = []
    for reference in ids:
        found += sys.stdin.read().split() if reference == "-" else [reference]
    if not found:
        raise NothingMatched("standard input holds no ids")
    return found


def resolve(client: Client, reference: str) -> str:
    """Return the whole id that an id, a prefix of one, or provider:job_id means.

    A whole id is taken at its word.  Raises NothingMatched or ApiError where
    the reference means no watch, and UsageError where it means several.
    """
    if _WHOLE_ID.fullmatch(reference):
        return reference
    if ":" in reference:
        return str(client.get(watch_path(reference))["id"])
    if not reference.startswith("wat_"):
        raise NothingMatched(f'no watch "{reference}": name it by its id, wat_..., or as provider:job_id')
    found = list(client.pages("/v1/watches", {"id_prefix": reference}, _MOST_MATCHES))
    if not found:
        raise NothingMatched(f'no watch "{reference}"')
    if len(found) > 1:
        raise click.UsageError(f'"{reference}" is the beginning of several ids; write more of it')
    return str(found[0]["id"])


def for_each(ids: Iterable[str], act: Callable[[str], None]) -> ExitCode:
    """Act on every id; one that means nothing, or whose state forbids it, is told and keeps no other from it."""
    codes = {_act_on(reference, act) for reference in references(ids)}
    return next((code for code in (ExitCode.ERROR, ExitCode.NOT_FOUND) if code in codes), ExitCode.OK)


def _act_on(reference: str, act: Callable[[str], None]) -> ExitCode:
    try:
        act(reference)
    except NothingMatched as error:
        output.error(str(error))
        return ExitCode.NOT_FOUND
    except ApiError as error:
        if error.status not in (_NOT_FOUND, _CONFLICT):
            raise
        output.error(str(error) if error.status == _NOT_FOUND else f"{reference}: {error}")
        return of_problem(error.status)
    return ExitCode.OK


def pairs(values: Iterable[str], option: str) -> dict[str, str]:
    """Return what key=value options say."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(f'{option} takes KEY=VALUE, not "{value}"')
        found[key] = text
    return found
