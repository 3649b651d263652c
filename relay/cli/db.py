"""relay db: the database, with or without a daemon."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli import output
from relay.cli.common import CONFIG_OPTION
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import Group

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.group(cls=Group)
def db() -> None:
    """Copy, check and measure the database; works on the file, while the daemon runs or not.

    \b
    Examples:
      relay db backup /var/backups/relay.db
      relay db check
    """


@db.command("backup")
@click.argument("target", metavar="[PATH]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@CONFIG_OPTION
def backup(target: Path | None, config_path: Path | None) -> int:
    """Copy the database to PATH, a new file; without it, to one beside the database with the time in its name.

    The copy holds everything that was committed when it began, is checked, and
    can be put back by `relay db restore`.

    \b
    Examples:
      relay db backup
      relay db backup /var/backups/relay-$(date +%F).db
    """
    from relay.store import upkeep

    database = _database(config_path)
    chosen = target or database.with_name(f"{database.name}.{_stamp()}.bak")
    size = upkeep.backup(database, chosen)
    click.echo(str(chosen))
    output.say(f"{database} is copied, {output.size(size)}")
    return ExitCode.OK


@db.command("restore")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path, dir_okay=False))
@CONFIG_OPTION
def restore(source: Path, config_path: Path | None) -> int:
    """Put a backup in the place of the database, while no daemon runs; the old one is kept beside it.

    What happened since the backup is forgotten: jobs that ended since are told
    again, under the same ids, and jobs added since are not watched.  Where there
    is no database, as on a new machine, one is made.

    \b
    Examples:
      systemctl stop relay && relay db restore /var/backups/relay.db && systemctl start relay
      relay db restore relay.db.20261121T100000Z.bak
    """
    from relay.store import upkeep

    database = _database(config_path)
    aside = database.with_name(f"{database.name}.{_stamp()}.replaced")
    upkeep.restore(database, source, aside)
    if aside.exists():
        output.say(f"{database} is restored from {source}; the old one is {aside}")
    else:
        output.say(f"there was no database to replace: {database} is new, from {source}")
        output.say("hint: if relay's own is elsewhere, name its configuration by --config, and its $STATE_DIRECTORY")
    return ExitCode.OK


@db.command("check")
@CONFIG_OPTION
def check(config_path: Path | None) -> int:
    """Read the whole database and tell what is wrong with it; exits with 1 where something is.

    A database that this user may not read is not looked at, and says nothing of
    its health: that is 1 as well.

    \b
    Examples:
      sudo relay db check
      relay db check --config /srv/relay/config.toml
    """
    from relay.store import upkeep

    database = _database(config_path)
    found = upkeep.problems(database)
    for problem in found:
        output.error(problem)
    if found:
        output.say("hint: stop relay, and put a backup back with: relay db restore PATH")
        return ExitCode.ERROR
    click.echo(f"{database}: ok")
    return ExitCode.OK


@db.command("stats")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(config_path: Path | None, as_json: bool) -> int:
    """Tell what the database holds, and how large it is.

    \b
    Example:
      relay db stats --json | jq .rows
    """
    from relay.store import upkeep

    found = upkeep.stats(_database(config_path))
    if as_json:
        output.json_line(asdict(found))
        return ExitCode.OK

    def lines() -> "Iterator[tuple[str, str]]":
        yield "path", found.path
        yield "schema", str(found.schema)
        yield "file", output.size(found.file_bytes)
        yield "write-ahead log", output.size(found.wal_bytes)
        yield "unused in the file", output.size(found.free_bytes)
        for name, number in found.rows.items():
            yield f"rows of {name}", str(number)
        for kind, numbers in (("watches", found.watches), ("deliveries", found.deliveries)):
            for state, number in numbers.items():
                yield f"{kind} {state}", str(number)
        for name, number in found.providers.items():
            yield f"live watches of {name}", str(number)
        for name, number in found.destinations.items():
            yield f"owed to {name}", str(number)

    output.table(("what", "how much"), lines())
    return ExitCode.OK


def _database(config_path: Path | None) -> Path:
    from relay.settings import load_settings

    return load_settings(config_path).store.path


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"  # noqa: TID251 - a person's clock, on their own terminal
