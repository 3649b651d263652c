"""A reload takes effect while the listener stays where it was: it must not leave that open to everybody."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.clock import SystemClock, SystemEntropy
from relay.config import ConfigInvalid, ensure_signing_secret
from relay.core.access import Scope, new_token
from relay.core.address import AddressPolicy
from relay.engine import Engine, Ground
from relay.log import SecretMask
from relay.metrics import Metrics
from relay.settings import load_settings
from relay.store import open_sqlite
from relay.transport import open_transport

TOKEN = f"""
[[auth.tokens]]
name = "shop"
hash = "sha256:{hashlib.sha256(b"rly_shop").hexdigest()}"
scopes = ["read"]
"""


def write(folder: Path, listen: str, more: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(f'[server]\nlisten = "{listen}"\n{more}')
    return path


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """Yield an engine whose API is said to be open to the network, and is not there at all."""
    clock = SystemClock()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        store = await stack.enter_async_context(open_sqlite(tmp_path / "relay.db"))
        trusted = open_transport(AddressPolicy(operator=True), clock, connections=0, egress=None)
        transport = await stack.enter_async_context(trusted)
        ground = Ground(store, transport, None, clock, SystemEntropy(), SecretMask(), Metrics())
        engine = Engine(ground, stack, tasks)
        settings = load_settings(write(tmp_path, "0.0.0.0:8377", TOKEN))
        ensure_signing_secret(settings.callbacks.signing.secret, SystemEntropy().bytes)
        await engine.start(settings)
        yield engine


async def test_the_last_token_does_not_go_while_the_network_can_connect(engine: Engine, tmp_path: Path) -> None:
    before = engine.context.tokens
    write(tmp_path, "127.0.0.1:8377")

    with pytest.raises(ConfigInvalid, match=r"it listens on 0\.0\.0\.0 until it is started again: keep a token"):
        await engine.reload()

    assert (engine.context.tokens, engine.settings.server.listen.host) == (before, "0.0.0.0")


async def test_nor_does_it_go_in_two_steps(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:8377", TOKEN)
    assert (await engine.reload()).needs_restart == ("server.listen",)
    assert engine.context.listen_host == "0.0.0.0"
    write(tmp_path, "127.0.0.1:8377")

    with pytest.raises(ConfigInvalid, match="keep a token"):
        await engine.reload()

    assert len(engine.context.tokens) == 1


async def test_it_goes_where_tokens_were_created_that_the_api_asks_for_instead(engine: Engine, tmp_path: Path) -> None:
    await engine.context.created.add(new_token("rly_made", "shop", frozenset({Scope.READ}), now=0.0))
    write(tmp_path, "127.0.0.1:8377")

    await engine.reload()

    assert engine.context.tokens == ()
