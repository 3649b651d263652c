"""The clients, before what is not relay."""

import asyncio
from collections.abc import Iterator

import pytest
from support.scripted_api import ScriptedApi, scripted_api

from relay.client import AsyncClient, Client, Unreachable


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted_api() as served:
        yield served


@pytest.mark.parametrize("answer", [(200, None), (200, [1]), (308, None), (308, {"hello": 1}), (404, b"<html>")])
async def test_what_is_no_answer_of_relay_is_none(api: ScriptedApi, answer: tuple[int, object]) -> None:
    api.on("GET", "/v1/watches/wat_1", answer)

    with pytest.raises(Unreachable, match="is not relay"):
        await asyncio.to_thread(Client(api.url, patience_s=0.0).get, "wat_1")
    async with AsyncClient(api.url, patience_s=0.0) as client:
        with pytest.raises(Unreachable, match="is not relay"):
            await client.get("wat_1")


async def test_nobody_is_followed_elsewhere(api: ScriptedApi) -> None:
    api.on("GET", "/v1/watches/wat_1", (302, None, {"Location": "/v1/watches/wat_2"}))

    async with AsyncClient(api.url, "rly_token", patience_s=0.0) as client:
        with pytest.raises(Unreachable, match="is not relay"):
            await client.get("wat_1")

    assert [asked.path for asked in api.asked] == ["/v1/watches/wat_1"]
