"""Wake-ups within the process: hints that save waiting, never the only way to learn a thing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class EndSignals:
    """Tells whoever waits for a watch that it has ended, or that there is no more time to wait for that."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    @contextmanager
    def waiting(self, watch_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the watch ends, or the waiting, while the block runs."""
        event = asyncio.Event()
        self._waiting.setdefault(watch_id, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[watch_id]
            others.discard(event)
            if not others:
                del self._waiting[watch_id]

    def ended(self, watch_id: str) -> None:
        """Wake everyone who waits for this watch."""
        for event in self._waiting.get(watch_id, ()):
            event.set()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self.closed = True
        for watch_id in self._waiting:
            self.ended(watch_id)


class News:
    """Tells whoever follows the events that there is a new one, or that there will be none any more."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self.closed = False

    @contextmanager
    def waiting(self) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever there is something to look for while the block runs."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    def told(self) -> None:
        """Wake everyone."""
        for event in self._waiting:
            event.set()

    def close(self) -> None:
        """Send everyone away."""
        self.closed = True
        self.told()
