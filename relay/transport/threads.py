"""Threads for calls that block and cannot be ended, such as looking up a name whose servers never answer."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """Runs blocking calls, at most `limit` at once.

    One that hangs keeps its place until it returns, whether anyone waits for it
    still or not; the end of the process waits for none, as the threads of an
    executor would have it do.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._places = asyncio.Semaphore(limit)
        self._name = name

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; OSError where no thread can be started."""
        await self._places.acquire()
        return await asyncio.shield(self._started(work))

    def _started(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def finish(settle: Callable[[], None]) -> None:
            self._places.release()
            settle()

        def call() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - belongs to whoever waits for it
                settle = _raising(done, error)
            else:
                settle = _returning(done, result)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish, settle)

        try:
            threading.Thread(target=call, name=self._name, daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        return done


def _returning(done: "asyncio.Future[T]", result: T) -> Callable[[], None]:
    return lambda: done.set_result(result)


def _raising(done: "asyncio.Future[T]", error: Exception) -> Callable[[], None]:
    return lambda: done.set_exception(error)
