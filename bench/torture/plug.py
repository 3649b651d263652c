"""The daemon as a process that is killed, and the fuse that kills it at a chosen moment."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from bench.torture.records import Aim, Kill

_START_S = 60.0
_LAST_WORDS = 2000


class Daemon:
    """`relay serve` on one configuration; `kills` records when it was killed."""

    def __init__(self, config: Path, port: int, kills: list[Kill]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.kills = kills
        self.log = config.with_name("daemon.log")
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    @property
    def running(self) -> bool:
        """Whether there is a process that was neither killed nor ended by itself."""
        return self._process is not None and self._process.returncode is None and not self._killed

    async def launch(self) -> None:
        """Start the process, and return before it is ready."""
        with self.log.open("ab") as log:
            self._killed = False
            self._process = await relay("serve", "--config", str(self._config), output=log.fileno())

    async def ready(self) -> bool:
        """Wait until it answers; return False where it ended instead."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(_START_S):
            while self.running:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return True
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.01)
        return False

    def last_words(self) -> str:
        """Return the end of its log, which tells why it ended."""
        return self.log.read_text()[-_LAST_WORDS:]

    def kill(self, aim: Aim) -> None:
        """Pull the plug, at once."""
        if self._process is not None and self.running:
            os.kill(self._process.pid, signal.SIGKILL)
            self._killed = True
            self.kills.append(Kill(time.time(), aim))

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    def reload(self) -> None:
        """Have it read its configuration again."""
        if self.running:
            os.kill(self.pid, signal.SIGHUP)

    async def ended(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self._process is not None
        if self.running:
            self._process.terminate()
        async with asyncio.timeout(_START_S):
            return await self._process.wait()


class Fuse:
    """Pulls the plug some time after the world came to the moment that is aimed at."""

    def __init__(self, kill: Callable[[Aim], None]) -> None:
        self.blown = asyncio.Event()
        self._kill = kill
        self._aim: Aim | None = None
        self._delay_s = 0.0

    def arm(self, aim: Aim, delay_s: float) -> None:
        """Wait for the next moment of this kind."""
        self.blown.clear()
        self._aim, self._delay_s = aim, delay_s

    def disarm(self) -> None:
        """Wait for nothing."""
        self._aim = None

    def met(self, moment: Aim) -> None:
        """Say that a moment has come."""
        if moment is not self._aim:
            return
        self._aim = None
        if self._delay_s > 0:
            asyncio.get_running_loop().call_later(self._delay_s, self._blow, moment)
        else:
            self._blow(moment)

    def _blow(self, aim: Aim) -> None:
        self._kill(aim)
        self.blown.set()


async def relay(*arguments: str, output: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
    """Start a `relay` of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.torture.hurried", *arguments, stdout=output, stderr=output
    )
