"""The clients, before what is not relay."""

import asyncio
from collections.abc import Iterator

import pytest
from support.scripted_api import Asked, ScriptedApi, scripted_api, watch_document

from relay.client import AsyncClient, Client, Unreachable, messages


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


async def test_who_may_not_be_held_any_more_looks_now_and_then(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a token that holds as many requests as it may."""
    monkeypatch.setattr(messages, "LONGEST_PAUSE_S", 0.01)
    shown = iter([("running", None), ("completed", "2026-11-21T10:05:00.000Z")] * 2)

    def answer(asked: Asked) -> tuple[int, object]:
        if "wait" in asked.query:
            return 429, {"detail": "the token holds 100 event streams and waiting requests already"}
        status, finalized_at = next(shown)
        return 200, watch_document("wat_1", status, finalized_at=finalized_at)

    api.on("GET", "/v1/watches/wat_1", answer)

    plainly = await asyncio.to_thread(Client(api.url, patience_s=0.0).wait, "wat_1")
    async with AsyncClient(api.url, patience_s=0.0) as client:
        ended = await client.wait("wat_1")

    assert (plainly.status, ended.status) == ("completed", "completed")


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_what_can_be_no_token_is_refused_without_being_shown(make: type[Client] | type[AsyncClient]) -> None:
    with pytest.raises(ValueError, match=r"^the token holds characters that no token has$"):
        make("http://127.0.0.1:1", "rly_secret\r\nX-Admin: 1")


async def test_a_token_as_a_file_holds_it_is_sent_without_its_line_break(api: ScriptedApi) -> None:
    api.watch("wat_1", "completed")

    await asyncio.to_thread(Client(api.url, "rly_token\n").get, "wat_1")
    async with AsyncClient(api.url, "rly_token\n") as client:
        await client.get("wat_1")

    assert [asked.authorization for asked in api.asked] == ["Bearer rly_token"] * 2


def test_a_single_name_is_not_taken_for_its_letters() -> None:
    """A stream of the types "j", "o" and "b" has no events, and is silent for ever."""
    assert messages.stream_path("job.completed", None, None, None) == "/v1/events?type=job.completed"
    (batch,) = messages.batches([{"provider": "getimg", "job_id": "req-1", "destinations": "ops"}])
    assert batch.body["watches"][0]["destinations"] == ["ops"]
