"""The daemon under a service manager, played by a socket."""

import socket
from pathlib import Path

from acceptance_world import World
from support.daemon import relay_process, until


async def test_the_manager_hears_of_readiness_life_and_stop(world: World, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))
        heard: list[str] = []

        def listen() -> list[str]:
            try:
                while True:
                    heard.append(manager.recv(4096).decode())
            except BlockingIOError:
                return heard

        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        async with relay_process(tmp_path, world.configuration(), env) as relay:
            await relay.start()
            await until(lambda: listen().count("WATCHDOG=1") >= 3, 10)
            assert heard[0] == "READY=1"
            assert "STATUS=watching 0 jobs, 0 deliveries not delivered" in heard
            assert await relay.stop() == 0
        assert listen()[-1] == "STOPPING=1"
