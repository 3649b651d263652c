"""Which event loop the daemon runs on."""

import asyncio
import sys
from types import ModuleType

import pytest

from relay.daemon import fastest_loop


def test_without_the_extra_the_loop_is_the_standard_library_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert fastest_loop() is None


def test_with_the_extra_installed_its_loop_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ModuleType("uvloop")
    extra.new_event_loop = asyncio.new_event_loop  # type: ignore[attr-defined]  # as the real one has
    monkeypatch.setitem(sys.modules, "uvloop", extra)

    assert fastest_loop() is asyncio.new_event_loop
