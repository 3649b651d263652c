"""What relay doctor finds, and the command that it names for it."""

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.scripted_api import DROPPED, ScriptedApi, problem, scripted_api

from relay import __version__
from relay.cli import cli
from relay.core.event import outcome_event
from relay.core.observation import Job, Observation, Status
from relay.core.ports import Ending
from relay.core.watch import NewWatch, Target
from relay.store import open_sqlite

READY = {
    "status": "ready",
    "checks": {"store": {"ok": True, "detail": None}, "dispatcher": {"ok": True, "detail": None}},
}
STATUS = READY | {
    "version": __version__,
    "started_at": "2026-11-21T10:00:00.000Z",
    "config": {"loaded_at": "2026-11-21T10:00:00.000Z", "refused": False},
    "watches": {"queued": 2},
    "deliveries": {},
    "oldest_pending_s": None,
    "database_bytes": 4096,
    "providers": [],
}
Examine = Callable[..., tuple[int, dict[str, list[tuple[str, str, str | None]]]]]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted_api() as served:
        served.on("GET", "/readyz", (200, READY))
        served.on("GET", "/v1/status", (200, STATUS))
        served.on("GET", "/v1/providers", (200, {"items": []}))
        served.on("GET", "/v1/destinations", (200, {"items": [], "callback_hosts": []}))
        yield served


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("sk_123456")
    (tmp_path / "key").chmod(0o600)
    path = tmp_path / "config.toml"
    path.write_text('[providers.getimg]\napi_key = { file = "key" }\n')
    return path


@pytest.fixture
def examine(api: ScriptedApi, config: Path) -> Examine:
    """Run the doctor; return its exit code, and by subject what it found: level, detail and mend."""

    def run(url: str | None = None) -> tuple[int, dict[str, list[tuple[str, str, str | None]]]]:
        arguments = ["--url", url or api.url, "doctor", "--config", str(config), "--json"]
        done = CliRunner().invoke(cli, arguments, standalone_mode=False, env={"KEY": None})
        assert done.exception is None, done.exception
        found: dict[str, list[tuple[str, str, str | None]]] = {}
        for line in done.stdout.splitlines():
            item = json.loads(line)
            found.setdefault(item["subject"], []).append((item["level"], item["detail"], item["mend"]))
        return done.return_value, found

    return run


def test_where_all_is_well_every_line_says_ok(examine: Examine) -> None:
    code, found = examine()

    assert code == 0
    levels = {subject: {level for level, *_ in lines} for subject, lines in found.items()}
    assert {subject for subject, level in levels.items() if level != {"OK"}} <= {"disk"}
    assert {"program", "clock", "configuration", "providers.getimg.api_key", "callbacks.secret", "database"} <= set(
        found
    )
    assert {"disk", "service", "daemon, store", "daemon, dispatcher", "deliveries"} <= set(found)


def test_a_wrong_configuration_fails_and_names_the_check(examine: Examine, config: Path) -> None:
    config.write_text("[providers.getimg]\n[nonsense]\n")

    code, found = examine()

    assert code == 1
    [(level, detail, mend)] = found["configuration"]
    assert level == "FAIL"
    assert detail.startswith("2 errors, ")
    assert mend == f"relay config check --config {config}"
    assert "daemon, store" in found  # what can be looked at all the same is


def test_of_a_configuration_that_is_no_toml_no_caret_is_told(examine: Examine, config: Path) -> None:
    config.write_text("[server]\n[providers.getimg\n")

    code, found = examine()

    assert code == 1
    assert found["configuration"] == [
        (
            "FAIL",
            f"{config}:2:18: error: Expected ']' at the end of a table declaration",
            f"relay config check --config {config}",
        )
    ]


def test_a_secret_that_is_missing_or_open_to_others_is_told(examine: Examine, config: Path) -> None:
    key = config.parent / "key"
    key.chmod(0o644)
    code, found = examine()
    assert code == 0
    assert found["providers.getimg.api_key"] == [
        ("WARN", f"others may read {key} (mode 644)", f"chmod 600 {key}"),
    ]

    key.unlink()
    code, found = examine()
    assert code == 1
    [(level, detail, mend)] = found["providers.getimg.api_key"]
    assert (level, mend) == ("FAIL", f"install -m 600 /dev/stdin {key}")
    assert detail == 'file "key" cannot be read: No such file or directory'


def test_a_remedy_is_for_the_shell_whatever_a_path_holds(examine: Examine, config: Path) -> None:
    config.write_text('[providers.getimg]\napi_key = { file = "my key" }\n')

    mend = examine()[1]["providers.getimg.api_key"][0][2]

    assert shlex.split(str(mend)) == ["install", "-m", "600", "/dev/stdin", str(config.parent / "my key")]


@pytest.mark.parametrize(
    ("reference", "mend"),
    [
        ('{ env = "NO_SUCH" }', "export NO_SUCH=...   # or Environment= in the unit"),
        ('{ credential = "g" }', "systemctl edit relay   # LoadCredential=g:/etc/relay/credentials/g"),
    ],
)
def test_each_way_to_keep_a_secret_has_its_own_remedy(
    examine: Examine, config: Path, reference: str, mend: str
) -> None:
    config.write_text(f"[providers.getimg]\napi_key = {reference}\n")

    assert examine()[1]["providers.getimg.api_key"][0][2] == mend


async def test_the_database_is_read_and_its_mode_looked_at(examine: Examine, config: Path) -> None:
    database = config.parent / "relay.db"
    async with open_sqlite(database):
        pass
    assert examine()[1]["database"][0][0] == "OK"

    database.chmod(0o644)
    assert ("WARN", "others may read it (mode 644)", f"chmod 600 {database}") in examine()[1]["database"]

    database.write_text("no database at all")
    code, found = examine()
    assert code == 1
    assert found["database"][0][0] == "FAIL"
    assert str(found["database"][0][2]).startswith("relay db restore")


async def test_what_waits_for_a_table_that_is_gone_is_told(examine: Examine, config: Path) -> None:
    ops = Target("ops", "ops", name="ops")
    async with open_sqlite(config.parent / "relay.db") as store:
        jobs = [("gone", "j1"), ("gone", "j2"), ("getimg", "j3")]
        new = [NewWatch(f"wat_{job}", name, Job(job), 9e9, 1.0, (ops,)) for name, job in jobs]
        *_, ended = await store.add_watches(new, 1.0)
        event = outcome_event(ended.watch, Observation(Status.COMPLETED), 1.0)
        await store.finalize_watch(Ending(ended.watch.id, Status.COMPLETED, None, None, event), 1.0)

    code, found = examine()

    assert code == 0
    assert found["provider gone"][0][:2] == (
        "WARN",
        "2 live watches are polled by nobody: there is no [providers.gone]",
    )
    assert found["destination ops"][0][:2] == (
        "WARN",
        "1 deliveries wait in vain: there is no [destinations.ops]",
    )


def test_a_database_from_the_future_means_a_clock_that_is_behind(examine: Examine, config: Path) -> None:
    (config.parent / "relay.db").touch()
    os.utime(config.parent / "relay.db", (4e9, 4e9))

    assert ("WARN", "is behind the last write of the database", "timedatectl set-ntp true") in examine()[1]["clock"]


def test_no_daemon_is_a_failure_with_the_way_to_start_one(examine: Examine) -> None:
    code, found = examine(url="http://127.0.0.1:9")

    assert code == 1
    assert found["daemon"][0][2] == "systemctl start relay   # or relay serve --config FILE"


def test_a_loop_that_stands_still_is_a_failure(examine: Examine, api: ScriptedApi) -> None:
    checks = {"store": {"ok": True, "detail": None}, "dispatcher": {"ok": False, "detail": "has not looked for 99 s"}}
    api.on("GET", "/readyz", (503, {"status": "failing", "checks": checks}))

    code, found = examine()

    assert code == 1
    assert found["daemon, dispatcher"] == [("FAIL", "has not looked for 99 s", "journalctl -u relay --since -10min")]


def test_what_the_daemon_tells_of_itself_is_judged(examine: Examine, api: ScriptedApi) -> None:
    trouble: dict[str, Any] = STATUS | {
        "version": "0.0.1",
        "config": {"loaded_at": "2026-11-21T10:00:00.000Z", "refused": True},
        "deliveries": {"pending": 3, "exhausted": 2},
        "oldest_pending_s": 7200.0,
    }
    api.on("GET", "/v1/status", (200, trouble))
    standing = {"name": "getimg", "standing": "unauthorized", "since": "2026-11-21T10:00:00.000Z", "detail": "HTTP 401"}
    api.on("GET", "/v1/providers", (200, {"items": [standing]}))

    code, found = examine()

    assert code == 1
    assert [mend for _, _, mend in found["daemon"]] == ["systemctl restart relay", "relay config check && relay reload"]
    assert found["deliveries"] == [
        ("WARN", "one has been owed for 2h00m", "relay deliveries --state pending"),
        ("WARN", "2 were given up", "relay deliveries --state exhausted"),
    ]
    [(level, detail, mend)] = found["provider getimg"]
    assert (level, mend) == ("FAIL", "relay reload   # after its key was replaced")
    assert detail.endswith(": HTTP 401")


def test_destinations_that_take_nothing_are_told_with_what_brings_them_back(examine: Examine, api: ScriptedApi) -> None:
    def destination(condition: str, held: int = 0, **of: str) -> dict[str, Any]:
        return of | {"condition": condition, "since": "2001-01-01T00:00:00.000Z", "detail": "HTTP 410", "held": held}

    named = [
        destination("working", name="fine"),
        destination("disabled", 7, name="ops"),
        destination("unreachable", 2, name="team"),
        destination("draining", 3, name="back"),
    ]
    hosts = [destination("unreachable", 4, host="shop.example:443")]
    api.on("GET", "/v1/destinations", (200, {"items": named, "callback_hosts": hosts}))

    code, found = examine()

    assert code == 1
    assert found["destination fine"] == [("OK", "works", None)]
    assert found["destination back"][0][0] == "OK"
    [(level, detail, mend)] = found["destination ops"]
    assert (level, mend) == ("FAIL", "relay destinations enable ops")
    assert re.fullmatch(r"disabled since .* ago, 7 held: HTTP 410", detail)
    assert found["destination team"][0][2] == "relay destinations test team"
    assert found["callbacks to shop.example:443"][0][0] == "WARN"


@pytest.mark.parametrize(("condition", "state"), [("refusing", "pending"), ("unreachable", "held")])
def test_what_is_owed_to_a_callback_host_is_looked_for_where_it_waits(
    examine: Examine, api: ScriptedApi, condition: str, state: str
) -> None:
    since = "2001-01-01T00:00:00.000Z"
    host = {"host": "shop.example:443", "condition": condition, "since": since, "detail": "HTTP 401", "held": 0}
    api.on("GET", "/v1/destinations", (200, {"items": [], "callback_hosts": [host]}))

    [(_, _, mend)] = examine()[1]["callbacks to shop.example:443"]

    assert mend is not None
    assert mend.startswith(f"relay deliveries --state {state} ")


def test_without_a_token_the_rest_is_still_examined(examine: Examine, api: ScriptedApi) -> None:
    api.on("GET", "/v1/status", (401, problem(401, "send a token")))

    code, found = examine()

    assert code == 0
    assert found["daemon"] == [("WARN", "tells no more: send a token", "RELAY_TOKEN=rly_... relay doctor")]


@pytest.mark.parametrize("answer", [(404, {"detail": "Not Found"}), (200, {"hello": 1}), (429, problem(429, "later"))])
def test_what_does_not_say_whether_it_is_ready_is_a_failure(
    examine: Examine, api: ScriptedApi, answer: tuple[int, object]
) -> None:
    api.on("GET", "/readyz", answer)

    code, found = examine()

    assert (code, found["daemon"][0][0]) == (1, "FAIL")


@pytest.mark.parametrize("answer", [(500, problem(500, "it broke")), DROPPED])
def test_a_daemon_that_fails_to_tell_of_itself_is_a_failure(examine: Examine, api: ScriptedApi, answer: Any) -> None:
    api.on("GET", "/v1/status", answer)

    code, found = examine()

    assert code == 1
    [(level, detail, mend)] = found["daemon"]
    assert (level, mend) == ("FAIL", "journalctl -u relay --since -10min")
    assert detail.startswith("tells no more: ")


def test_people_read_one_line_a_finding_with_its_remedy(api: ScriptedApi, config: Path) -> None:
    (config.parent / "key").chmod(0o640)

    told = CliRunner().invoke(cli, ["--url", api.url, "doctor", "--config", str(config)], standalone_mode=False).output

    key = config.parent / "key"
    assert f"WARN  providers.getimg.api_key: others may read {key} (mode 640)  ->  chmod 600 {key}\n" in told
    assert "OK    daemon, store: is well\n" in told
    assert {line.split()[0] for line in told.splitlines()} <= {"OK", "WARN", "FAIL"}
