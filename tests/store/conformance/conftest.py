"""Every store that relay has, behind one fixture: the conformance suite runs on each."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from relay.core.ports import Store
from relay.store import open_sqlite


def _sqlite(folder: Path) -> AbstractAsyncContextManager[Store]:
    return open_sqlite(folder / "relay.db")


@pytest.fixture(params=[_sqlite], ids=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with request.param(tmp_path) as opened:
        yield opened
