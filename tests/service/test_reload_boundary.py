"""A reload takes a configuration over whole or not at all, whatever goes wrong with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay import assembly
from relay.clock import SystemClock, SystemEntropy
from relay.core.errors import RelayError, StoreError
from relay.core.signing import SigningSecret
from relay.daemon import Daemon, running
from relay.log import SecretMask
from relay.settings import load_settings

MINE = """
title = "Mine"
base_url = "http://127.0.0.1:9"
auth = { type = "none" }
[poll]
path = "/{id}"
[status]
path = "state"
completed = ["done"]
[defaults]
deadline = "1h"
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "callback-secret").write_text(SigningSecret.of(bytes(32)).text)
    config = tmp_path / "config.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\nsocket = "off"\n[providers.mine]\nspec = "mine.toml"\n')
    async with running(load_settings(config), SystemClock(), SystemEntropy(), SecretMask()) as daemon:
        yield daemon


async def test_an_error_that_nobody_foresaw_is_a_refusal(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with its reason; what runs goes on, and a later reload succeeds."""
    before = daemon.engine.settings

    def routes(_: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    with monkeypatch.context() as broken, structlog.testing.capture_logs() as told:
        broken.setattr(assembly, "routes", routes)
        with pytest.raises(RelayError, match="nobody thought of this"):
            await daemon.engine.reload()

    assert daemon.engine.settings is before
    assert (await daemon.engine.measure()).config_refused
    (refused,) = [line for line in told if line["event"] == "config.refused"]
    assert refused["report"] == "ZeroDivisionError('nobody thought of this')"
    await daemon.engine.reload()
    assert not (await daemon.engine.measure()).config_refused


async def test_a_database_that_fails_meanwhile_is_a_refusal(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the answer to a signal, so the log tells."""
    path = daemon.engine.settings.path
    path.write_text(path.read_text().replace("[providers.mine]", "[providers.other]"))

    async def demand(_: str, floor: float) -> None:
        raise StoreError("the disk is gone")

    with structlog.testing.capture_logs() as told:
        monkeypatch.setattr(daemon.store, "demand", demand)
        with pytest.raises(StoreError):
            await daemon.engine.reload()

    assert [line["report"] for line in told if line["event"] == "config.refused"] == ["the disk is gone"]
    assert daemon.engine.pollers.keys() == {"mine"}


async def test_a_provider_file_that_changes_during_a_reload_is_not_read_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loops go by and what the API tells of it come from one reading."""
    spec = daemon.engine.settings.path.parent / "mine.toml"
    spec.write_text(MINE.replace("1h", "2h"))
    routes = assembly.routes

    def meanwhile(settings: Any) -> Any:
        spec.write_text("half of a fi")
        return routes(settings)

    monkeypatch.setattr(assembly, "routes", meanwhile)
    await daemon.engine.reload()

    assert daemon.engine.context.providers["mine"].deadline_s == 7200.0


async def test_a_destination_that_has_another_url_now_is_tried_at_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only what the reference leads to has changed; one that is where it was waits for its probe."""
    path, tried = daemon.engine.settings.path, []

    async def enable(lane: str, _now: float) -> bool:
        tried.append((lane, daemon.engine.settings is not before))
        return True

    monkeypatch.setattr(daemon.store, "enable", enable)
    for name in ("a", "b"):
        (path.parent / name).write_text(f"https://hooks.slack.com/services/{name}")
        with path.open("a") as config:
            config.write(f'[destinations.{name}]\ntype = "slack"\nurl = {{ file = "{name}" }}\n')
    before = daemon.engine.settings
    await daemon.engine.reload()
    tried.clear()
    (path.parent / "b").write_text("https://hooks.slack.com/services/right")
    before = daemon.engine.settings

    await daemon.engine.reload()
    assert tried == [("b", True)]
    await daemon.engine.reload()
    assert tried == [("b", True)]


async def test_a_database_that_fails_afterwards_undoes_no_reload(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon.engine.settings.path
    (path.parent / "a").write_text("https://hooks.slack.com/services/a")
    path.write_text(path.read_text() + '[destinations.a]\ntype = "slack"\nurl = { file = "a" }\n')

    async def enable(_lane: str, _now: float) -> bool:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(daemon.store, "enable", enable)
    with structlog.testing.capture_logs() as told:
        assert (await daemon.engine.reload()).destinations.added == ("a",)

    assert [line["error"] for line in told if line["event"] == "destinations.not_tried"] == ["the disk is gone"]
