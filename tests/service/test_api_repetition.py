"""Requests that come again, too often, or too slowly."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.api import ROOT, SHOP, TOKENS, Api, bearer, served

from relay.api import repetition, requests
from relay.api.operations import OPERATIONS
from relay.core.budget import Rate
from relay.core.delivery import DeliveryState
from relay.core.observation import Observation, Status
from relay.core.ports import DeliveryFilter, WatchFilter

WANTED = {"provider": "plain", "job_id": "j1"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path) as api:
        yield api


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path, TOKENS) as api:
        yield api


async def ask(
    api: Api, key: str, wanted: object = WANTED, path: str = "/v1/watches", **headers: str
) -> tuple[int, Any]:
    """Return the status of a POST with a key, and its body with the headers that matter."""
    async with api.session.post(api.url + path, json=wanted, headers={"Idempotency-Key": key, **headers}) as answer:
        told = {name: answer.headers.get(name) for name in ("Location", "Idempotency-Replayed", "Content-Type")}
        return answer.status, (await answer.json(content_type=None), told)


class TestKeys:
    async def test_the_same_request_with_the_same_key_gets_the_same_answer(self, api: Api) -> None:
        """Even where the world has moved on: without a key the second answer would be 200, and then 404."""
        status, (watch, told) = await ask(api, "k-1")
        again, (copy, told_again) = await ask(api, '"k-1"')
        await api.call("DELETE", f"/v1/watches/{watch['id']}")
        last, _ = await ask(api, "k-1")

        assert (status, again, last) == (201, 201, 201)
        assert copy == watch
        assert (told["Idempotency-Replayed"], told_again["Idempotency-Replayed"]) == (None, "true")
        assert told_again["Location"] == told["Location"]
        assert await api.stored() == 0

    async def test_it_does_so_after_a_restart(self, tmp_path: Path) -> None:
        async with served(tmp_path) as api:
            first = await ask(api, "k")
        async with served(tmp_path) as api:
            second = await ask(api, "k")

        assert second[1][0] == first[1][0]

    async def test_a_refusal_is_an_answer_too(self, api: Api) -> None:
        first = await ask(api, "k", {"provider": "nothing", "job_id": "j"})
        second = await ask(api, "k", {"provider": "nothing", "job_id": "j"})

        assert first[0] == second[0] == 422
        assert second[1][1]["Content-Type"] == "application/problem+json; charset=utf-8"
        assert first[1][0] == second[1][0]

    async def test_another_request_with_the_key_is_refused(self, api: Api) -> None:
        await ask(api, "k")

        status, (problem, _) = await ask(api, "k", WANTED | {"job_id": "j2"})
        elsewhere, _ = await ask(api, "k", {"watches": [WANTED]}, path="/v1/watches/batch")

        assert (status, problem["type"]) == (422, "urn:relay:problem:idempotency-key-reused")
        assert elsewhere == 422
        assert await api.stored() == 1

    async def test_every_post_but_that_for_a_token_takes_a_key(self) -> None:
        """What is sent again without one, such as all that failed since yesterday, is sent twice."""
        refusing = {op.path for op in OPERATIONS if op.method == "POST" and repetition.KEY not in op.takes}

        assert refusing == {"/v1/tokens"}

    async def test_all_that_matches_is_sent_again_once_for_one_key(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.COMPLETED))
        (delivery,) = await api.store.deliveries(DeliveryFilter(), before=None, limit=9)
        wanted = {"state": ["dropped"]}
        await api.store.drop(delivery.delivery.id, api.clock.now())
        first = await ask(api, "k", wanted, path="/v1/deliveries/resend")
        await api.store.drop(delivery.delivery.id, api.clock.now())
        second = await ask(api, "k", wanted, path="/v1/deliveries/resend")

        assert (first[0], first[1][0]["deliveries"]) == (202, 1)
        assert second[1][0] == first[1][0]
        assert (await api.store.delivery(delivery.delivery.id)).delivery.state is DeliveryState.DROPPED

    async def test_while_the_answer_is_made_the_same_request_is_told_to_come_back(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        under_way, go_on, add = asyncio.Event(), asyncio.Event(), api.store.add_watches

        async def slowly(*arguments: Any) -> Any:
            under_way.set()
            await go_on.wait()
            return await add(*arguments)

        monkeypatch.setattr(api.store, "add_watches", slowly)
        first = asyncio.ensure_future(ask(api, "k"))
        await asyncio.wait_for(under_way.wait(), 10)
        status, (problem, _) = await ask(api, "k")
        go_on.set()

        assert (status, problem["type"]) == (409, "urn:relay:problem:idempotency-key-under-way")
        assert (await first)[0] == 201
        assert (await ask(api, "k"))[0] == 201

    async def test_after_a_failure_of_ours_the_request_is_done_anew(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(api.store, "add_watches", None)
            assert (await ask(api, "k"))[0] == 500

        assert (await ask(api, "k"))[0] == 201

    async def test_a_key_belongs_to_its_token(self, guarded: Api) -> None:
        shop, root = await ask(guarded, "k", **bearer(SHOP)), await ask(guarded, "k", **bearer(ROOT))

        assert (shop[0], root[0]) == (201, 200)

    @pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 256])
    async def test_what_is_no_key_is_refused(self, api: Api, key: str) -> None:
        status, (problem, _) = await ask(api, key)

        assert (status, problem["errors"][0]["field"]) == (422, "Idempotency-Key")

    async def test_a_key_on_a_path_that_leads_nowhere_does_not_hide_that(self, api: Api) -> None:
        assert (await ask(api, "k", path="/v1/watches/00/poll"))[0] == 404

    async def test_the_text_of_a_token_is_not_kept_for_a_second_answer(self, api: Api) -> None:
        status, _ = await ask(api, "k", {"scopes": ["read"]}, path="/v1/tokens")

        assert status == 422
        assert await api.store.tokens() == []


class TestTags:
    async def test_a_watch_that_has_not_changed_is_304(self, api: Api) -> None:
        await api.add()
        async with api.session.get(f"{api.url}/v1/watches/plain:j1") as answer:
            tag = answer.headers["ETag"]
        for known, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200), ("garbage", 200)):
            headers = {"If-None-Match": known}
            async with api.session.get(f"{api.url}/v1/watches/plain:j1", headers=headers) as answer:
                assert (answer.status, answer.headers["ETag"]) == (status, tag)
                assert bool(await answer.read()) == (status == 200)

    async def test_one_that_has_changed_is_told_with_a_new_tag(self, api: Api) -> None:
        await api.add()
        async with api.session.get(f"{api.url}/v1/watches/plain:j1") as answer:
            tag = answer.headers["ETag"]
        await api.call("POST", "/v1/watches/plain:j1/poll")
        async with api.session.get(f"{api.url}/v1/watches/plain:j1", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 200
            assert answer.headers["ETag"] != tag


class TestPace:
    async def test_a_token_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up(
        self, guarded: Api
    ) -> None:
        """Ten a minute, of which one at a time: the next after 60 / 9 s, by the rate's own rule."""
        guarded.context.rate = Rate(10, 60.0)

        assert (await guarded.call("GET", "/v1/watches", headers=bearer(SHOP)))[0] == 200
        async with guarded.session.get(guarded.url + "/v1/watches", headers=bearer(SHOP)) as answer:
            problem = await answer.json()

        assert (answer.status, problem["type"]) == (429, "urn:relay:problem:rate-limited")
        assert answer.headers["Retry-After"] == "7"
        assert (await guarded.call("GET", "/v1/watches", headers=bearer(ROOT)))[0] == 200
        assert (await guarded.call("GET", "/healthz"))[0] == 200

    async def test_without_tokens_nobody_is_held_up(self, api: Api) -> None:
        api.context.rate = Rate(1, 60.0)

        assert {(await api.call("GET", "/v1/watches"))[0] for _ in range(5)} == {200}


class TestSlowBodies:
    async def test_a_body_that_does_not_come_is_given_up_and_nothing_stored(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "BODY_S", 0.1)
        host, _, port = api.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/watches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 500\r\n\r\n{"provider": '
        )

        answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"urn:relay:problem:too-slow" in answer
        assert await api.store.watches(WatchFilter(), before=None, limit=1) == []
