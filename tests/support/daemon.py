"""The real daemon as a subprocess."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.ports import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_RELAY = ("-m", "relay")


class RelayProcess:
    """`relay serve` on one configuration, to be started, killed and started again.

    `launcher` is what becomes it, `program` what Python runs in the place of `relay`.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        env: Mapping[str, str],
        launcher: Sequence[str] = (),
        program: Sequence[str] = _RELAY,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._config = folder / "config.toml"
        (folder / "callback-secret").write_text(SECRET + "\n")
        (folder / "callback-secret").chmod(0o600)
        self._config.write_text(f'[server]\nlisten = "127.0.0.1:{self.port}"\n{config}')
        self._env = {**os.environ, **env}
        self._program = program
        self._launcher = launcher
        self._log = (folder / "daemon.log").open("ab")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return once it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *self._launcher, sys.executable, *self._program, "serve", "--config", str(self._config), env=self._env,
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        async with aiohttp.ClientSession() as session:
            await until(lambda: self._ready(session), 20)

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise AssertionError(f"the daemon ended early:\n{self.log()}")
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def seen_by_kernel(self, name: str) -> str:
        """Return a file of /proc about it, such as ``limits``."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    async def kill(self) -> None:
        """Pull the plug."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def log(self) -> str:
        """Return everything it wrote to standard error."""
        return (self.folder / "daemon.log").read_text()

    def events(self) -> list[dict[str, object]]:
        """Return its log, line by line."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def close(self) -> None:
        self._log.close()


@asynccontextmanager
async def relay_process(
    folder: Path,
    config: str,
    env: Mapping[str, str] | None = None,
    launcher: Sequence[str] = (),
    program: Sequence[str] = _RELAY,
) -> AsyncIterator[RelayProcess]:
    """Give a daemon that is stopped when the block ends, whatever happened in it."""
    process = RelayProcess(folder, config, env or {}, launcher, program)
    try:
        yield process
    finally:
        if process._process is not None and process._process.returncode is None:
            await process.kill()
        process.close()


async def until(condition: Callable[[], object], limit_s: float) -> None:
    """Wait until `condition`, plain or async, holds; fail after `limit_s`."""
    async with asyncio.timeout(limit_s):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.02)
