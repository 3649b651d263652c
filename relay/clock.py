"""Time and randomness from the system: the one place that reads either."""

import asyncio
import random
import secrets
import time

from relay.core.ports import Wakeup


class SystemClock:
    """Implements `relay.core.ports.Clock`."""

    def now(self) -> float:
        """See Clock."""
        return time.time()

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """See Clock."""
        try:
            async with asyncio.timeout(seconds):
                await wakeup.wait()
        except TimeoutError:
            return
        finally:
            wakeup.clear()


class SystemEntropy:
    """Implements `relay.core.ports.Entropy`."""

    def sample(self) -> float:
        """See Entropy."""
        return random.random()  # noqa: S311 - spreads polls, guards nothing

    def bytes(self, count: int) -> bytes:
        """See Entropy."""
        return secrets.token_bytes(count)
