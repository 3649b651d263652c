"""Processes that are measured from outside."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_START_S = 60.0
_STOP_S = 30.0
_CPU_OF_PROCESS = 2
"""With a process id, a clock of Linux: clock_getcpuclockid(3), which Python does not have."""


class Child:
    """A process, and the port that it answers on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def listening(self) -> None:
        """Wait until it has told its port."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_START_S):
            self.port = int(await self.process.stdout.readline())

    def cpu_s(self) -> float:
        """Return the CPU that it has used, all its threads together."""
        return time.clock_gettime((~self.process.pid << 3) | _CPU_OF_PROCESS)

    def memory(self) -> int:
        """Return the bytes that it has in memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def kill(self) -> None:
        """Pull the plug."""
        self.process.kill()

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def child(*command: str, env: Mapping[str, str] | None = None, errors: int | None = None) -> AsyncIterator[Child]:
    """Run a command while the block runs; `errors` is where its standard error goes."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdout=asyncio.subprocess.PIPE, stderr=errors
    )
    running = Child(process)
    try:
        yield running
    finally:
        await running.stop()
