"""Crowds at the API's door while the daemon works."""

import asyncio
import resource
import socket

from acceptance_world import World
from support.daemon import RelayProcess

from relay.client import AsyncClient
from relay.simulator import Scenario

CROWD = 10_000
_KEPT_FILES = 1000


async def test_ten_thousand_idle_and_a_hundred_dripping_connections_keep_nobody_out(
    world: World, relay: RelayProcess
) -> None:
    """As many of them as this machine lets one process open: jobs end, callbacks go out, and the API answers."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    crowd: list[socket.socket] = []
    loop, address = asyncio.get_running_loop(), ("127.0.0.1", relay.port)

    async def connect(sent: bytes) -> None:
        one = socket.socket()
        one.settimeout(0)
        crowd.append(one)
        await loop.sock_connect(one, address)
        if sent:
            await loop.sock_sendall(one, sent)

    try:
        async with AsyncClient(relay.url) as client:
            for number in range(5):
                world.simulator.add_job("getimg", f"req-{number}", Scenario(queued_s=0.2, running_s=2.0))
                await client.add("getimg", f"req-{number}", callback_url=world.receiver.callback_url())
            for _ in range(min(CROWD, max(files - _KEPT_FILES, 0)) // 100):
                await asyncio.gather(*(connect(b"") for _ in range(100)))
            await asyncio.gather(*(connect(b"POST /v1/watches HTTP/1.1\r\nX-Drip: ") for _ in range(100)))

            ended = await asyncio.gather(*(client.wait(f"getimg:req-{number}", 30) for number in range(5)))

            assert [watch.status for watch in ended] == ["completed"] * 5
            assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 5, 20)
    finally:
        for one in crowd:
            one.close()
    assert not [line for line in relay.events() if line.get("level") in ("error", "critical")]
