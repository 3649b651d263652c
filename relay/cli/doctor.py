"""relay doctor: everything that can be looked at from here, each with what mends it."""

import os
import re
import shlex
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay import __version__
from relay.cli import output
from relay.cli.client import ApiError, Client, Unreachable
from relay.cli.common import CONFIG_OPTION, client_of
from relay.cli.exit_codes import ExitCode, of_problem
from relay.core.duration import format_duration
from relay.core.text import one_line

if TYPE_CHECKING:
    from relay.config import Config, Secret

_COUNT = re.compile(r"\d+ errors?")
_LEAST_FREE = 100 * 1024 * 1024
_LITTLE_FREE = 1024 * 1024 * 1024
_OVERDUE_S = 600.0
_SKEW_S = 60.0
_NETWORK_DISKS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"})
_LOOK_BACK = "journalctl -u relay --since -10min"
_UNIT_PLACES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


class Level(StrEnum):
    """How bad a finding is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing; `mend` is the command that helps, or None where nothing is to be done."""

    level: Level
    subject: str
    detail: str
    mend: str | None = None


@click.command()
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one finding a line.")
@click.pass_context
def doctor(ctx: click.Context, config_path: Path | None, as_json: bool) -> int:
    """Look at everything relay needs, and tell what is wrong with the command that mends it.

    Exits with 1 where something fails; warnings alone are 0.

    \b
    Examples:
      relay doctor
      sudo relay doctor --config /etc/relay/config.toml
      relay doctor --json | jq -r 'select(.level != "OK") | .mend'
    """
    worst = ExitCode.OK
    for finding in _examination(_client(ctx, config_path), config_path):
        if finding.level is Level.FAIL:
            worst = ExitCode.ERROR
        if as_json:
            output.json_line(asdict(finding))
        else:
            _tell(finding)
    return worst


def _client(ctx: click.Context, config_path: Path | None) -> Client | None:
    """Return the client of the daemon, or None where the configuration is not there that would name it."""
    from relay.config import ConfigInvalid

    try:
        return client_of(ctx, config_path)
    except ConfigInvalid:
        return None


def _tell(finding: Finding) -> None:
    colour = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}[finding.level]
    mend = f"  ->  {finding.mend}" if finding.mend else ""
    click.echo(
        f"{click.style(f'{finding.level:<5}', fg=colour)} {finding.subject}: {one_line(finding.detail, 1000)}{mend}"
    )


def _examination(client: Client | None, config_path: Path | None) -> Iterator[Finding]:
    yield from _program()
    settings, findings = _configuration(config_path)
    yield from findings
    if settings is not None:
        for secret in settings.secrets:
            yield _secret(secret, made=secret is settings.callbacks.signing.secret)
        yield from _database(settings.store.path)
        yield from _orphans(settings)
    yield from _unit()
    if client is not None:
        yield from _daemon(client)


def _program() -> Iterator[Finding]:
    import sqlite3

    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Level.OK, "program", f"relay {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}")
    built = Path(__file__).stat().st_mtime
    if _now() < built - _SKEW_S:
        yield Finding(Level.FAIL, "clock", "is behind the installation of relay itself", "timedatectl set-ntp true")
    else:
        yield Finding(Level.OK, "clock", f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(_now()))}")


def _configuration(config_path: Path | None) -> "tuple[Config | None, list[Finding]]":
    from relay.config import ConfigInvalid
    from relay.settings import load_settings

    mend = f"relay config check --config {_word(config_path)}" if config_path else "relay config check"
    try:
        settings = load_settings(config_path)
    except ConfigInvalid as error:
        lines = error.report.splitlines()
        first, last = lines[0], lines[-1]
        told = f"{last}, {first}" if _COUNT.fullmatch(last) else first
        return None, [Finding(Level.FAIL, "configuration", told, mend)]
    doubts = [Finding(Level.WARN, "configuration", doubt.splitlines()[0], mend) for doubt in settings.warnings]
    return settings, doubts or [Finding(Level.OK, "configuration", str(settings.path))]


def _secret(secret: "Secret", *, made: bool) -> Finding:
    from relay.config import SecretUnreadable

    if made and secret.absent:
        return Finding(Level.OK, secret.key, "is made at the first start")
    try:
        secret.read()
    except SecretUnreadable as error:
        return Finding(Level.FAIL, secret.key, str(error).partition(": ")[2], _mend_secret(secret))
    mode = stat.S_IMODE(secret.path.stat().st_mode) if secret.path else 0o600
    if mode & 0o077:
        detail = f"others may read {secret.path} (mode {mode:o})"
        return Finding(Level.WARN, secret.key, detail, f"chmod 600 {_word(secret.path)}")
    return Finding(Level.OK, secret.key, f"{secret.reference} is readable")


def _mend_secret(secret: "Secret") -> str:
    from relay.config.secrets import FromCredential, FromEnv

    match secret.reference:
        case FromEnv(name):
            return f"export {name}=...   # or Environment= in the unit"
        case FromCredential(name):
            return f"systemctl edit relay   # LoadCredential={name}:/etc/relay/credentials/{name}"
        case _ if secret.path and not secret.absent and not os.access(secret.path, os.R_OK):
            return f"sudo relay doctor   # and for relay itself: {_chown(secret.path)}"
        case _:
            return f"install -m 600 /dev/stdin {_word(secret.path)}"


def _database(path: Path) -> Iterator[Finding]:
    from relay.core.errors import StoreForbidden
    from relay.store import upkeep

    try:
        if _is_absent(path):
            yield Finding(Level.OK, "database", f"{path} is made at the first start")
        else:
            yield from _database_file(path, upkeep.problems(path))
    except StoreForbidden as error:
        yield Finding(Level.FAIL, "database", str(error), _mend_access(path))
        return
    folder = next((parent for parent in path.parents if parent.is_dir()), Path("/"))
    if not os.access(folder, os.W_OK):
        yield Finding(Level.FAIL, "disk", f"{folder} cannot be written", f"chown -R relay {_word(folder)}")
    free = shutil.disk_usage(folder).free
    level = Level.FAIL if free < _LEAST_FREE else Level.WARN if free < _LITTLE_FREE else Level.OK
    yield Finding(
        level, "disk", f"{output.size(free)} free for {path}", "relay db stats" if level is not Level.OK else None
    )
    kind = _disk_kind(folder)
    if kind in _NETWORK_DISKS:
        yield Finding(
            Level.FAIL,
            "disk",
            f"SQLite needs a local disk, not {kind}",
            'write [store] url = "sqlite:////LOCAL/relay.db"',
        )


def _is_absent(path: Path) -> bool:
    """Tell whether nothing is there; where this user may not look, something may be."""
    try:
        return not path.exists()
    except OSError:
        return False


def _mend_access(path: Path) -> str:
    """Return what lets this user read a database; one that may enter its folder is taken for relay's own."""
    if os.geteuid() != 0 and not os.access(path.parent, os.W_OK | os.X_OK):
        return "sudo relay doctor"
    return f"{_chown(path)} && chmod 600 {_word(path)}"


def _chown(path: Path) -> str:
    return f"chown --reference={_word(path.parent)} {_word(path)}"


def _word(path: Path | None) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))


def _database_file(path: Path, problems: list[str]) -> Iterator[Finding]:
    for problem in problems[:5]:
        yield Finding(
            Level.FAIL, "database", problem, "relay db restore PATH   # of the last backup, with relay stopped"
        )
    if not problems:
        yield Finding(Level.OK, "database", f"{path} is sound")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding(Level.WARN, "database", f"others may read it (mode {mode:o})", f"chmod 600 {_word(path)}")
    if path.stat().st_mtime > _now() + _SKEW_S:
        yield Finding(Level.WARN, "clock", "is behind the last write of the database", "timedatectl set-ntp true")


def _orphans(settings: "Config") -> Iterator[Finding]:
    """Yield what the database holds for providers and destinations that the configuration does not name."""
    from relay.core.errors import StoreUnusable
    from relay.store import upkeep

    try:
        held = upkeep.stats(settings.store.path)
    except StoreUnusable:  # told already
        return
    for name in sorted(held.providers.keys() - settings.providers.keys()):
        detail = f"{held.providers[name]} live watches are polled by nobody: there is no [providers.{name}]"
        yield Finding(
            Level.WARN, f"provider {name}", detail, f"relay ls --provider {name}   # then relay rm, or add it"
        )
    for name in sorted(held.destinations.keys() - settings.destinations.keys()):
        detail = f"{held.destinations[name]} deliveries wait in vain: there is no [destinations.{name}]"
        yield Finding(Level.WARN, f"destination {name}", detail, f"relay reload   # after adding [destinations.{name}]")


def _disk_kind(folder: Path) -> str:
    """Return the kind of file system that `folder` is on, as far as the system tells."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    place = folder.resolve()
    above = [(len(mount[1]), mount[2]) for mount in mounts if place.is_relative_to(mount[1].replace("\\040", " "))]
    return max(above, default=(0, ""))[1]


def _unit() -> Iterator[Finding]:
    if not Path("/run/systemd/system").is_dir():
        yield Finding(Level.OK, "service", "systemd does not run here")
        return
    found = [place for place in _UNIT_PLACES if Path(place, "relay.service").exists()]
    if found:
        yield Finding(Level.OK, "service", f"{found[0]}/relay.service")
    else:
        yield Finding(
            Level.WARN,
            "service",
            "is not installed",
            "cp systemd/relay.service /etc/systemd/system/ && systemctl enable --now relay",
        )


def _daemon(client: Client) -> Iterator[Finding]:
    try:
        ready = client.readiness()
    except (ApiError, Unreachable) as error:
        yield Finding(Level.FAIL, "daemon", str(error), "systemctl start relay   # or relay serve --config FILE")
        return
    for name, check in ready["checks"].items():
        level = Level.OK if check["ok"] else Level.FAIL
        mend = None if check["ok"] else _LOOK_BACK
        yield Finding(level, f"daemon, {name}", "is well" if check["ok"] else str(check["detail"]), mend)
    try:
        yield from _running(client.get("/v1/status"))
        yield from _providers(client.get("/v1/providers")["items"])
        yield from _destinations(client.get("/v1/destinations"))
    except (ApiError, Unreachable) as error:
        told = f"tells no more: {error}"
        if isinstance(error, ApiError) and of_problem(error.status) is ExitCode.AUTH:
            yield Finding(Level.WARN, "daemon", told, "RELAY_TOKEN=rly_... relay doctor")
        else:
            yield Finding(Level.FAIL, "daemon", told, _LOOK_BACK)


def _running(status: dict[str, Any]) -> Iterator[Finding]:
    version = status["version"]
    if version != __version__:
        yield Finding(Level.WARN, "daemon", f"is relay {version}, this is {__version__}", "systemctl restart relay")
    if status["config"]["refused"]:
        yield Finding(
            Level.WARN,
            "daemon",
            "refused the configuration on disk, and runs on an older one",
            "relay config check && relay reload",
        )
    oldest_s = status["oldest_pending_s"]
    if oldest_s is not None and oldest_s >= _OVERDUE_S:
        yield Finding(
            Level.WARN,
            "deliveries",
            f"one has been owed for {format_duration(oldest_s)}",
            "relay deliveries --state pending",
        )
    exhausted = status["deliveries"].get("exhausted", 0)
    if exhausted:
        yield Finding(Level.WARN, "deliveries", f"{exhausted} were given up", "relay deliveries --state exhausted")
    if not exhausted and (oldest_s or 0.0) < _OVERDUE_S:
        yield Finding(Level.OK, "deliveries", "none is late")


def _providers(items: list[dict[str, Any]]) -> Iterator[Finding]:
    for item in items:
        name, standing = item["name"], item["standing"]
        if standing == "working":
            yield Finding(Level.OK, f"provider {name}", "works")
            continue
        mend = {
            "unauthorized": "relay reload   # after its key was replaced",
            "unreachable": f"relay providers test {name} --id JOB_ID",
        }.get(standing, "relay status   # its polls go on by themselves")
        detail = f"{standing} since {output.ago(item['since'])}: {item['detail'] or 'no more is known'}"
        yield Finding(Level.FAIL, f"provider {name}", detail, mend)


def _destinations(found: dict[str, Any]) -> Iterator[Finding]:
    for item in [*found["items"], *found["callback_hosts"]]:
        named = "name" in item
        subject = f"destination {item['name']}" if named else f"callbacks to {item['host']}"
        condition = item["condition"]
        if condition == "working":
            yield Finding(Level.OK, subject, "works")
            continue
        why = item["detail"] or "no more is known"
        detail = f"{condition} since {output.ago(item['since'])}, {item['held']} held: {why}"
        if not named:
            state = "pending" if condition == "refusing" else "held"
            mend = f"relay deliveries --state {state}   # they go out once it is back"
            yield Finding(Level.WARN, subject, detail, mend)
        elif condition == "draining":
            yield Finding(Level.OK, subject, detail)
        elif condition == "disabled":
            yield Finding(Level.FAIL, subject, detail, f"relay destinations enable {item['name']}")
        else:
            yield Finding(Level.FAIL, subject, detail, f"relay destinations test {item['name']}")


def _now() -> float:
    return time.time()  # noqa: TID251 - the clock of this machine is what is examined
