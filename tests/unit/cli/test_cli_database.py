"""relay db and config, as a person without a daemon uses them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.modes import UNPRIVILEGED, heeds_modes

from relay import places
from relay.cli import cli
from relay.core.signing import SigningSecret
from relay.store import open_sqlite


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    """A configuration with a database that no daemon holds."""
    path = tmp_path / "config.toml"
    path.write_text('[providers.getimg]\napi_key = { env = "KEY" }\n')
    async with open_sqlite(tmp_path / "relay.db"):
        pass
    return path


def relay(*arguments: str, config: Path, launcher: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "relay", *arguments, "--config", str(config)],
        env={**os.environ, "KEY": "k"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_a_backup_without_a_name_has_the_time_in_it(config: Path) -> None:
    done = relay("db", "backup", config=config)

    assert done.returncode == 0
    assert re.fullmatch(rf"{config.parent}/relay\.db\.\d{{8}}T\d{{6}}Z\.bak\n", done.stdout)
    assert Path(done.stdout.strip()).is_file()


def test_what_replaces_a_database_says_where_the_old_one_is(config: Path) -> None:
    copy = relay("db", "backup", config=config).stdout.strip()

    done = relay("db", "restore", copy, config=config)

    assert done.returncode == 0
    (aside,) = re.findall(r"the old one is (\S+)", done.stderr)
    assert Path(aside).is_file()


def test_a_backup_that_replaces_nothing_says_that_its_database_is_new(config: Path) -> None:
    copy = relay("db", "backup", config=config).stdout.strip()
    (config.parent / "relay.db").unlink()

    done = relay("db", "restore", copy, config=config)

    assert done.returncode == 0
    assert f"there was no database to replace: {config.parent}/relay.db is new, from {copy}\n" in done.stderr
    assert relay("db", "check", config=config).returncode == 0


def test_the_database_of_the_service_is_worked_on_from_a_shell(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "relay.db").rename(tmp_path / "state/relay.db")
    monkeypatch.setattr(places, "CONFIGURATION", config)
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    arguments = ["db", "restore", str(tmp_path / "copy.db"), "--config", str(config)]

    backup = CliRunner().invoke(cli, ["db", "backup", str(tmp_path / "copy.db"), "--config", str(config)])
    restored = CliRunner().invoke(cli, arguments)

    assert f"{tmp_path}/state/relay.db is copied" in backup.stderr
    assert f"{tmp_path}/state/relay.db is restored from {tmp_path}/copy.db; the old one is" in restored.stderr
    assert not (tmp_path / "relay.db").exists()


def test_a_damaged_database_is_told_with_the_way_out(config: Path) -> None:
    (config.parent / "relay.db").write_text("nonsense" * 1000)

    done = relay("db", "check", config=config)

    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "relay db restore PATH" in done.stderr


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder with a database that only root may enter."""
    folder = tmp_path / "state"
    folder.mkdir()
    (tmp_path / "relay.db").rename(folder / "relay.db")
    folder.chmod(0o000)
    yield folder
    folder.chmod(0o700)


@heeds_modes
@pytest.mark.parametrize("arguments", [("check",), ("backup",), ("stats",), ("restore", "copy.db")])
def test_a_database_in_a_folder_that_is_closed_is_told_in_a_sentence(
    config: Path, closed: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (config.parent / "copy.db").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(closed))

    done = relay("db", *arguments, config=config, launcher=UNPRIVILEGED)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")


@heeds_modes
def test_the_doctor_goes_on_where_it_may_not_look_at_the_database(
    config: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(closed))

    done = relay("doctor", "--json", config=config, launcher=UNPRIVILEGED)

    found = {item["subject"]: item for item in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, found["database"]["level"]) == (1, "FAIL")
    assert found["database"]["detail"].startswith(f"{closed}/relay.db cannot be read by this user: Permission denied;")
    assert {"service", "daemon"} <= found.keys()


@heeds_modes
def test_a_secret_that_may_not_be_read_is_not_to_be_written_anew(config: Path) -> None:
    secret = config.parent / "callback-secret"
    secret.write_text(SigningSecret.of(bytes(24)).text)
    secret.chmod(0o000)

    done = relay("doctor", "--json", config=config, launcher=UNPRIVILEGED)

    (found,) = (item for item in map(json.loads, done.stdout.splitlines()) if item["subject"] == "callbacks.secret")
    assert (found["level"], found["detail"]) == ("FAIL", 'file "callback-secret" cannot be read: Permission denied')
    assert found["mend"].startswith("sudo relay doctor ")


@heeds_modes
@pytest.mark.parametrize("mode", [0o000, 0o200])
def test_a_database_that_may_not_be_read_is_not_to_be_replaced_by_a_backup(config: Path, mode: int) -> None:
    database = config.parent / "relay.db"
    database.chmod(mode)

    checked = relay("db", "check", config=config, launcher=UNPRIVILEGED)
    doctored = relay("doctor", "--json", config=config, launcher=UNPRIVILEGED)

    assert checked.returncode == 1
    assert f"error: {database} cannot be read by this user" in checked.stderr
    assert "the user that relay runs as has to own it; anyone else asks by sudo" in checked.stderr
    assert "restore" not in checked.stderr + doctored.stdout
    (found,) = (item for item in map(json.loads, doctored.stdout.splitlines()) if item["subject"] == "database")
    assert (found["level"], found["mend"]) == (
        "FAIL",
        f"chown --reference={config.parent} {database} && chmod 600 {database}",
    )


def test_numbers_are_for_people_and_programs(config: Path) -> None:
    shown = relay("db", "stats", config=config)
    assert (shown.returncode, "rows of watches\t0\n" in shown.stdout) == (0, True)

    found = json.loads(relay("db", "stats", "--json", config=config).stdout)
    assert (found["path"], found["rows"]["watches"]) == (str(config.parent / "relay.db"), 0)


@pytest.mark.parametrize("arguments", [("db", "check"), ("db", "stats"), ("config", "check"), ("config", "show")])
def test_a_wrong_configuration_is_78_whatever_was_asked(config: Path, arguments: tuple[str, ...]) -> None:
    config.write_text("[nonsense]\n")

    done = relay(*arguments, config=config)

    assert done.returncode == 78
    assert 'config.toml:1:2: error: unknown key "nonsense"' in done.stderr


@heeds_modes
@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("config", "check"),
        ("db", "check"),
        ("token", "ls"),
        ("providers", "test", "getimg", "--id", "req-1"),
        ("verify", "-H", "webhook-id: dlv_1", "--body", os.devnull),
    ],
)
def test_a_configuration_that_may_not_be_read_is_78_too(config: Path, arguments: tuple[str, ...]) -> None:
    config.chmod(0o000)

    done = relay(*arguments, config=config, launcher=UNPRIVILEGED)

    assert done.returncode == 78
    assert done.stderr.endswith(f"{config}: error: cannot be read: Permission denied\n")


def test_what_the_check_takes_is_shown_and_what_it_refuses_is_refused_alike(config: Path) -> None:
    """Tokens in the database let the API listen everywhere; a provider file may be wrong."""
    good = config.read_text()
    config.write_text(good + '[server]\nlisten = "0.0.0.0:0"\n')
    relay("token", "create", "shop", config=config)
    shown = relay("config", "show", config=config)
    assert (shown.returncode, 'server.listen\t"0.0.0.0:0"' in shown.stdout) == (0, True)

    (config.parent / "mine.toml").write_text("title = 3\n")
    config.write_text(good + '[providers.mine]\nspec = "mine.toml"\n')
    refused = [relay("config", command, config=config) for command in ("check", "show")]
    assert [done.returncode for done in refused] == [78, 78]
    assert refused[0].stderr == refused[1].stderr


def test_settings_are_a_json_object_a_line(config: Path) -> None:
    lines = relay("config", "show", "--json", config=config).stdout.splitlines()

    shown = {item["key"]: item for item in map(json.loads, lines)}
    assert shown["providers.getimg.api_key"]["origin"] == f"{config}:2"
    assert shown["providers.getimg.deadline"]["origin"] == "preset getimg"
    assert shown["server.grace"] == {"key": "server.grace", "value": '"30s"', "origin": "default"}
