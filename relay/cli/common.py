"""What several commands share: the client, ids, key=value options."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from relay.cli.client import ApiError, Client, default_url, watch_path

_MOST_MATCHES = 2


def client_of(ctx: click.Context) -> Client:
    """Return the client of the daemon that the options and the environment name."""
    options = ctx.find_root().obj
    token = os.environ.get("RELAY_TOKEN")
    if options["token_file"]:
        try:
            token = Path(options["token_file"]).read_text().strip()
        except OSError as error:
            raise click.UsageError(f"the token file cannot be read: {error.strerror}") from error
    return Client((options["url"] or default_url()).rstrip("/"), token)


def references(ids: Iterable[str]) -> list[str]:
    """Return ids with ``-`` replaced by the words of standard input."""
    found: list[str] = []
    for reference in ids:
        found += sys.stdin.read().split() if reference == "-" else [reference]
    return found


def resolve(client: Client, reference: str) -> str:
    """Return the whole id that an id, a prefix of one, or provider:job_id means.

    Raises ApiError where it means none, and a usage error where it means several.
    """
    if ":" in reference or not reference.startswith("wat_"):
        return str(client.get(watch_path(reference))["id"])
    found = list(client.pages("/v1/watches", {"id_prefix": reference}, _MOST_MATCHES))
    if not found:
        raise ApiError(404, {"detail": f'no watch "{reference}"'})
    if len(found) > 1 and found[0]["id"] != reference:
        raise click.UsageError(f'"{reference}" is the beginning of several ids; write more of it')
    return str(found[0]["id"])


def pairs(values: Iterable[str], option: str) -> dict[str, str]:
    """Return what key=value options say."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(f'{option} takes KEY=VALUE, not "{value}"')
        found[key] = text
    return found
