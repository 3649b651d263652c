"""Which event loop the daemon runs on."""

import asyncio
import logging
import socket
import sys
from types import ModuleType

import pytest

from relay.daemon import LoopErrors, fastest_loop


def test_without_the_extra_the_loop_is_the_standard_library_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert fastest_loop() is None


def test_with_the_extra_installed_its_loop_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ModuleType("uvloop")
    extra.new_event_loop = asyncio.new_event_loop  # type: ignore[attr-defined]  # as the real one has
    monkeypatch.setitem(sys.modules, "uvloop", extra)

    assert fastest_loop() is asyncio.new_event_loop


async def test_a_listener_that_is_closed_before_asyncio_tries_it_again_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopErrors())
    listener = socket.socket()
    listener.close()

    with caplog.at_level(logging.ERROR):
        # as asyncio does a second after it had no file left for a connection
        loop.call_soon(loop._start_serving, asyncio.Protocol, listener)  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)
    assert caplog.records == []

    with caplog.at_level(logging.ERROR):
        loop.call_soon(int, "x")
        await asyncio.sleep(0.001)
    assert len(caplog.records) == 1
