"""relay token."""

import json
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from relay.cli import output
from relay.cli.client import Unreachable
from relay.cli.common import CONFIG_OPTION, NothingMatched, client_of
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import Group
from relay.core.ports import Tokens
from relay.core.text import one_line

T = TypeVar("T")
_SCOPES = ("watch", "read", "admin")


@click.group(cls=Group)
def token() -> None:
    """Make tokens for the API, list them, and revoke them.

    \b
    Example:
      relay token create shop --scope watch,read --expires 90d
    """


@token.command("create")
@click.argument("name", required=False)
@click.option("--name", "named", metavar="NAME", help="The same as NAME.")
@click.option("--scope", default="watch,read", show_default=True, help="Of watch, read and admin, by comma.")
@click.option("--expires", metavar="90d", help="For how long, or until which RFC 3339 time; for ever when left out.")
@click.option("--for-config", is_flag=True, help="Keep it nowhere; print the line that goes under [auth] instead.")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def create(
    ctx: click.Context,
    name: str | None,
    named: str | None,
    scope: str,
    expires: str | None,
    for_config: bool,
    config_path: Path | None,
    as_json: bool,
) -> int:
    """Make a token for NAME.  It is shown once; relay keeps only its hash.

    Tokens of one NAME see the same watches.  The first token closes the API to
    those who have none; the socket stays open to whom its file mode admits.
    Where no daemon runs, the token goes into its database.

    \b
    Examples:
      relay token create shop --scope watch,read --expires 90d
      relay token create grafana --scope read --json | jq -r .token
    """
    if name is not None and named is not None:
        raise click.UsageError("choose NAME or --name", ctx)
    name = named if name is None else name
    if name is not None and (not name.isprintable() or not name):
        raise click.UsageError("the name holds characters that cannot be printed, or none")
    scopes = list(dict.fromkeys(part.strip() for part in scope.split(",") if part.strip()))
    if set(scopes) - set(_SCOPES) or not scopes:
        raise click.UsageError("--scope takes watch, read and admin, separated by commas")
    if for_config:
        if name is None or expires is not None:
            raise click.UsageError("--for-config takes a NAME, and no --expires", ctx)
        return _for_config(name, scopes)
    wanted = {"name": name, "scopes": scopes, "expires": expires}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    try:
        made = client_of(ctx, config_path).post("/v1/tokens", wanted)
    except Unreachable:
        if _is_addressed(ctx):
            raise
        made = _offline_create(config_path, name, scopes, expires)
    if as_json:
        output.json_line(made)
        return ExitCode.OK
    click.echo(made["token"])
    until = f"until {made['expires_at']}" if made["expires_at"] else "until revoked"
    told = f"{made['id']} of {made['name']} may {', '.join(made['scopes'])}, {until}; it is not shown again"
    output.say(one_line(told, output.WHOLE))
    return ExitCode.OK


def _for_config(name: str, scopes: list[str]) -> ExitCode:
    from relay.core.access import TOKEN_BYTES, digest_of, token_text

    text = token_text(secrets.token_bytes(TOKEN_BYTES))
    click.echo(text)
    click.echo("Put this line into tokens = [ ... ] under [auth], and reload relay:", err=True)
    quoted = json.dumps(name, ensure_ascii=False)
    click.echo(f'{{ name = {quoted}, hash = "sha256:{digest_of(text)}", scopes = {json.dumps(scopes)} }},', err=True)
    return ExitCode.OK


@token.command("ls")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one token a line.")
@click.pass_context
def ls(ctx: click.Context, config_path: Path | None, as_json: bool) -> int:
    """List the tokens that were created; those of the configuration stand there.

    \b
    Example:
      relay token ls
    """
    try:
        found = client_of(ctx, config_path).get("/v1/tokens")["items"]
    except Unreachable:
        if _is_addressed(ctx):
            raise
        found = _offline_list(config_path)
    return output.listing(
        found, ("id", "name", "scopes", "created", "expires", "state"), _row, as_json=as_json, filtered=False
    )


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        item["id"],
        item["name"],
        ",".join(item["scopes"]),
        output.when(item["created_at"]),
        output.when(item["expires_at"]) if item["expires_at"] else "",
        "revoked" if item["revoked_at"] else "",
    )


@token.command("revoke")
@click.argument("reference", metavar="ID|NAME")
@CONFIG_OPTION
@click.pass_context
def revoke(ctx: click.Context, reference: str, config_path: Path | None) -> int:
    """Let a token be good for nothing from now on: by its id, or by the name that only it has.

    \b
    Example:
      relay token revoke rly_Xk3vTq0a
    """
    client = client_of(ctx, config_path)
    try:
        chosen = _meant(client.get("/v1/tokens")["items"], reference)
        client.delete(f"/v1/tokens/{quote(chosen, safe='')}")
    except Unreachable:
        if _is_addressed(ctx):
            raise
        chosen = _meant(_offline_list(config_path), reference)
        _offline_revoke(config_path, chosen)
    output.say(f"{chosen} is revoked")
    return ExitCode.OK


def _meant(tokens: list[dict[str, Any]], reference: str) -> str:
    from relay.core.access import is_whole_token, token_id

    live = [item for item in tokens if not item["revoked_at"]]
    for item in tokens:
        if item["id"] == reference:
            return reference
    named = [str(item["id"]) for item in live if item["name"] == reference]
    if not named and is_whole_token(reference):
        raise click.UsageError(f"that is a whole token, a secret; name it by its id, {token_id(reference)}")
    if not named:
        raise NothingMatched(f'no token "{reference}"; relay token ls shows them')
    if len(named) > 1:
        raise click.UsageError(f'"{reference}" names several tokens: {", ".join(named)}')
    return named[0]


def _is_addressed(ctx: click.Context) -> bool:
    """Whether the daemon is named by its address: its database may then be anywhere."""
    return bool(ctx.find_root().obj["url"] or os.environ.get("RELAY_URL"))


def _offline_create(config_path: Path | None, name: str | None, scopes: list[str], expires: str | None) -> Any:
    from relay.api.views import token_json
    from relay.clock import SystemClock
    from relay.core.access import TOKEN_BYTES, Scope, expiry, new_token, token_text

    now = SystemClock().now()
    try:
        expires_at = None if expires is None else expiry(expires, now)
    except ValueError as error:
        raise click.UsageError(f"--expires: {error}") from None
    text = token_text(secrets.token_bytes(TOKEN_BYTES))
    made = new_token(text, name, frozenset(map(Scope, scopes)), now=now, expires_at=expires_at)
    _with_store(config_path, lambda store: store.add_token(made))
    return {**token_json(made), "token": text}


def _offline_list(config_path: Path | None) -> list[dict[str, Any]]:
    from relay.api.views import token_json

    return [dict(token_json(item)) for item in _with_store(config_path, lambda store: store.tokens())]


def _offline_revoke(config_path: Path | None, token_id: str) -> None:
    from relay.clock import SystemClock

    _with_store(config_path, lambda store: store.revoke_token(token_id, SystemClock().now()))


def _with_store(config_path: Path | None, act: Callable[[Tokens], Awaitable[T]]) -> T:
    """Do something with the database of a daemon that does not run; raises StoreUnusable where it does."""
    import asyncio

    from relay.settings import store_of
    from relay.store import open_sqlite

    async def run() -> T:
        async with open_sqlite(store_of(config_path)) as store:
            return await act(store)

    return asyncio.run(run())
