"""The HTTP API over a real socket and a real store."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import structlog
from pydantic import TypeAdapter, ValidationError
from support.api import ROOT, SHOP, TOKENS, Api, bearer, served

from relay import __version__
from relay.api import pages
from relay.api.requests import Key
from relay.config import Changes
from relay.core.condition import Finding
from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.errors import StoreError
from relay.core.etiquette import Sign
from relay.core.instant import iso
from relay.core.observation import OUTCOMES, JobError, Observation, Output, Status
from relay.core.ports import DeliveryFilter, WatchView
from relay.core.standing import Footing, Standing
from relay.core.text import clean
from relay.core.watch import Continue, Target, decide
from relay.health import STALE_AFTER_S
from relay.store import part


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path) as api:
        yield api


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path, TOKENS) as api:
        yield api


class TestAdding:
    async def test_a_new_watch_is_201_and_the_same_again_200(self, api: Api) -> None:
        wanted = {"callback_url": "https://hook.example/a?k=1", "destinations": ["ops"], "metadata": {"order": "42"}}
        status, watch = await api.add(**wanted)

        assert status == 201
        assert watch["status"] == "queued"
        assert watch["destinations"] == ["ops"]
        assert watch["callback_url"] == "https://hook.example/a?k=1"
        assert watch["metadata"] == {"order": "42"}
        assert watch["finalized_at"] is None
        assert api.woken == ["poller"]
        status, again = await api.add(**wanted)
        assert (status, again["id"]) == (200, watch["id"])
        assert await api.stored() == 1

    async def test_the_answer_to_a_new_watch_is_what_is_stored(self, api: Api) -> None:
        _, told = await api.add(destinations=["ops", "ops"], callback_url="https://hook.example/a", metadata={"a": "b"})

        _, stored = await api.call("GET", f"/v1/watches/{told['id']}")

        assert told == stored

    async def test_every_callback_url_of_a_job_that_was_added_twice_is_shown(self, api: Api) -> None:
        _, watch = await api.add(callback_url="https://hook.example/two")
        _, again = await api.add(callback_url="https://me:secret@hook.example/one")
        _, stored = await api.call("GET", f"/v1/watches/{watch['id']}")

        assert watch["callback_urls"] == ["https://hook.example/two"]
        assert again["callback_urls"] == ["https://hook.example/two", "https://hook.example/one"]
        assert again["callback_url"] == again["callback_urls"][0]
        assert stored == again

    @pytest.mark.parametrize(
        "user", ["a]b:secret", "a[:secret", *(f"a{mark}b:secret" for mark in "\uff1a\uff0f\uff03")]
    )
    async def test_whatever_a_user_in_a_callback_url_looks_like_its_watch_is_shown_without_it(
        self, api: Api, user: str
    ) -> None:
        status, watch = await api.add(callback_url=f"https://{user}@hook.example:8443/a@b?c=//d@e")
        _, page = await api.call("GET", "/v1/watches")

        assert (status, watch["callback_url"]) == (201, "https://hook.example:8443/a@b?c=//d@e")
        assert page["items"] == [watch]

    async def test_a_job_is_added_with_several_callback_urls_at_once(self, api: Api) -> None:
        urls = [f"https://hook.example/{name}" for name in ("a", "b", "c")]

        _, watch = await api.add(callback_url=urls[1], callback_urls=urls)
        _, stored = await api.call("GET", f"/v1/watches/{watch['id']}")

        assert watch["callback_urls"] == stored["callback_urls"] == urls

    async def test_what_is_removed_while_it_is_added_again_is_watched_anew(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, first = await api.add()
        look = api.store.watch

        async def removed_just_before(reference: str) -> WatchView:
            monkeypatch.undo()
            await api.store.remove_watch(reference)
            return await look(reference)

        monkeypatch.setattr(api.store, "watch", removed_just_before)
        status, second = await api.add()

        assert status == 201
        assert second["id"] != first["id"]
        assert await api.stored() == 1

    async def test_a_destination_added_after_the_end_is_told_at_once(self, api: Api) -> None:
        _, watch = await api.add()
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))

        status, _ = await api.add(destinations=["ops"])

        assert status == 200
        assert "dispatcher" in api.woken
        assert len(await api.store.deliveries(DeliveryFilter(), before=None, limit=9)) == 1

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"provider": "plian"}, "provider"),
            ({"job_id": "a/b"}, "job_id"),
            ({"job_id": ""}, "job_id"),
            ({"job_id": 7}, "job_id"),
            ({"jobid": "x"}, "jobid"),
            ({"callback_url": "ftp://x"}, "callback_url"),
            ({"callback_urls": ["https://hook.example/a", "ftp://x"]}, "callback_urls.1"),
            ({"callback_urls": ["https://hook.example/a"] * 101}, "callback_urls"),
            ({"destinations": ["opps"]}, "destinations.0"),
            ({"deadline": "soon"}, "deadline"),
            ({"deadline": "-5m"}, "deadline"),
            ({"deadline": "2001-01-01T00:00:00Z"}, "deadline"),
            ({"metadata": {"a": 1}}, "metadata.a"),
            ({"metadata": {"\u009b31mRED\u202e": "x"}}, "metadata.\u009b31mRED\u202e"),
            ({"params": ["x"]}, "params"),
        ],
    )
    async def test_a_wrong_field_is_named_and_nothing_stored(
        self, api: Api, changes: dict[str, object], field: str
    ) -> None:
        status, problem = await api.add(**changes)

        assert status == 422
        assert [error["field"] for error in problem["errors"]] == [field]  # type: ignore[attr-defined, index]
        assert await api.stored() == 0

    async def test_every_wrong_field_is_named_at_once(self, api: Api) -> None:
        _, problem = await api.add(job_id="a/b", destinations=["opps"], callback_url="x", deadline="soon")

        fields = {error["field"] for error in problem["errors"]}  # type: ignore[attr-defined, index]
        assert fields == {"job_id", "destinations.0", "callback_url", "deadline"}

    async def test_an_unknown_provider_comes_with_a_suggestion(self, api: Api) -> None:
        _, problem = await api.add(provider="plian")

        assert 'did you mean "plain"?' in str(problem["detail"])

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
    async def test_what_is_not_json_is_400(self, api: Api, body: bytes) -> None:
        status, _ = await api.call("POST", "/v1/watches", data=body, headers={"Content-Type": "application/json"})

        assert status == 400
        assert await api.stored() == 0

    async def test_two_megabytes_are_413(self, api: Api) -> None:
        body = io.BytesIO(b'{"provider": "plain", "job_id": "' + b"x" * 2_000_000 + b'"}')

        status, _ = await api.call("POST", "/v1/watches", data=body, headers={"Content-Type": "application/json"})

        assert status == 413
        assert await api.stored() == 0

    async def test_a_body_that_is_not_said_to_be_json_is_415(self, api: Api) -> None:
        status, _ = await api.call("POST", "/v1/watches", data=b'{"provider":"plain","job_id":"x"}')

        assert status == 415

    async def test_a_batch_takes_what_is_right_and_names_what_is_not(self, api: Api) -> None:
        items = [{"provider": "plain", "job_id": "a"}, {"provider": "plain"}, {"provider": "plain", "job_id": "a"}]

        status, result = await api.call("POST", "/v1/watches/batch", json={"watches": items})

        assert status == 200
        results = result["items"]
        assert isinstance(results, list)
        assert [item["status"] for item in results] == [201, 422, 200]
        assert results[0]["id"] == results[2]["id"]
        assert await api.stored() == 1

    async def test_what_was_meant_is_looked_for_fifty_times_a_batch(self, api: Api) -> None:
        """Looking is slow: a thousand items with twenty names each would keep everybody else waiting for a second."""
        ops = ["opps"] * 20
        items = [
            {"provider": "plain", "job_id": "a", "destinations": [*ops[:18], "o", f"op{item}"]} for item in range(60)
        ]

        _, result = await api.call("POST", "/v1/watches/batch", json={"watches": items})

        details = [item["problem"]["detail"] for item in result["items"]]  # type: ignore[attr-defined]
        assert all(detail.count('"opps" is not configured; did you mean "ops"?') == 18 for detail in details)
        assert [f'"op{item}" is not configured;' in detail for item, detail in enumerate(details)] == (
            [True] * 48 + [False] * 12
        )
        assert details[59].endswith('destinations.19 "op59" is not configured')


def test_a_key_is_one_line_of_what_may_be_printed() -> None:
    keys = TypeAdapter(Key)
    characters = [chr(number) for number in range(0x10000)]

    refused = {character for character in characters if not _is_key(keys, character)}

    assert refused == {character for character in characters if clean(f"a{character}b") == "ab"} | set("\t\n")


def _is_key(keys: TypeAdapter[str], text: str) -> bool:
    try:
        keys.validate_python(text)
    except ValidationError:
        return False
    return True


class TestReading:
    async def test_an_ended_watch_shows_its_outcome(self, api: Api) -> None:
        _, watch = await api.add()
        error = JobError("content_policy_violation", "no", moderated=True)
        seen = Observation(Status.FAILED, "FAILED", model="m", error=error)
        await api.end(str(watch["id"]), seen)

        status, shown = await api.call("GET", "/v1/watches/plain:j1")

        assert status == 200
        assert (shown["status"], shown["provider_status"], shown["model"]) == ("failed", "FAILED", "m")
        assert shown["error"] == {
            "code": "content_policy_violation",
            "message": "no",
            "user_message": None,
            "moderated": True,
        }
        assert shown["next_poll_at"] is None

    async def test_waiting_ends_with_the_watch(self, api: Api) -> None:
        _, watch = await api.add()
        waiting = asyncio.ensure_future(api.call("GET", f"/v1/watches/{watch['id']}?wait=30"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        output = Output("https://files.example/a.mp4")

        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done", outputs=(output,)))
        async with asyncio.timeout(3):
            status, shown = await waiting

        assert (status, shown["status"]) == (200, "completed")
        assert shown["outputs"][0]["url"] == "https://files.example/a.mp4"  # type: ignore[index]

    async def test_waiting_in_vain_ends_with_the_watch_as_it_is(self, api: Api) -> None:
        _, watch = await api.add()

        status, shown = await api.call("GET", f"/v1/watches/{watch['id']}?wait=0.05")

        assert (status, shown["status"]) == (200, "queued")

    @pytest.mark.parametrize("wait", ["x", "-1", "nan", "inf"])
    async def test_a_wait_that_is_no_time_is_refused(self, api: Api, wait: str) -> None:
        _, watch = await api.add()

        status, _ = await api.call("GET", f"/v1/watches/{watch['id']}?wait={wait}")

        assert status == 422

    async def test_lists_come_in_pages(self, api: Api) -> None:
        for number in range(5):
            await api.add(job_id=f"j{number}")
        seen, cursor = [], ""
        for _ in range(3):
            _, page = await api.call("GET", f"/v1/watches?limit=2{cursor}")
            seen += [item["job_id"] for item in page["items"]]  # type: ignore[attr-defined]
            cursor = f"&cursor={page['next_cursor']}"

        assert sorted(seen) == ["j0", "j1", "j2", "j3", "j4"]
        assert page["next_cursor"] is None

    @pytest.mark.parametrize(("number", "more"), [(4, False), (5, False), (6, True)])
    async def test_a_page_that_is_read_in_several_steps_is_as_long_as_asked_for(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, number: int, more: bool
    ) -> None:
        monkeypatch.setattr(pages, "STEP", 2)
        for index in range(number):
            await api.add(job_id=f"j{index}")

        _, page = await api.call("GET", "/v1/watches?limit=5")

        assert len(page["items"]) == min(number, 5)  # type: ignore[arg-type]
        assert (page["next_cursor"] is not None) == more

    @pytest.mark.parametrize("room", [1, 5000], ids=["less than one", "several"])
    @pytest.mark.parametrize("path", ["/v1/watches", "/v1/events"])
    async def test_a_page_ends_where_its_answer_would_be_too_large_and_the_next_goes_on(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, path: str, room: int
    ) -> None:
        """What clients wrote into 500 watches took a gigabyte to be shown at once."""
        monkeypatch.setattr(pages, "PAGE_BYTES", room)
        for index in range(7):
            _, watch = await api.add(job_id=f"j{index}", metadata={"large": "x" * 1000})
            await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        seen: list[list[dict[str, object]]] = []
        cursor = ""
        while sum(map(len, seen)) < 7:
            _, page = await api.call("GET", f"{path}?limit=500{cursor}")
            seen.append(page["items"])  # type: ignore[arg-type]
            cursor = f"&cursor={page['next_cursor']}"

        assert len({item["id"] for items in seen for item in items}) == 7
        assert all(len(items) == 1 or len(json.dumps(items)) <= room for items in seen)
        assert [len(items) == 1 for items in seen[:-1]] == [room == 1] * (len(seen) - 1)
        assert path == "/v1/events" or page["next_cursor"] is None

    @pytest.mark.parametrize(("path", "watch"), [("/v1/watches", "id"), ("/v1/deliveries", "watch_id")])
    async def test_a_page_follows_one_whose_end_was_deleted_since(self, api: Api, path: str, watch: str) -> None:
        """As retention does."""
        for number in range(4):
            _, added = await api.add(job_id=f"j{number}", destinations=["ops"])
            await api.end(str(added["id"]), Observation(Status.COMPLETED, "done"))
        whole: list[dict[str, str]] = (await api.call("GET", path))[1]["items"]  # type: ignore[assignment]

        _, page = await api.call("GET", f"{path}?limit=2")
        _, owed = await api.call("GET", f"/v1/deliveries?watch={whole[1][watch]}")
        await api.call("POST", f"/v1/deliveries/{owed['items'][0]['id']}/drop")  # type: ignore[index]
        await api.call("DELETE", f"/v1/watches/{whole[1][watch]}")
        status, rest = await api.call("GET", f"{path}?limit=2&cursor={page['next_cursor']}")

        assert (await api.call("GET", f"/v1/watches/{whole[1][watch]}"))[0] == 404
        assert (status, page["items"], rest["items"]) == (200, whole[:2], whole[2:])
        assert rest["next_cursor"] is None

    @pytest.mark.parametrize(
        "cursor", ["x", "dlv_1", "~", "nan~dlv_1", "1.0~dlv_", "1.0~wat_1", "1~dlv_1", "1.0~dlv_1~"]
    )
    async def test_a_cursor_that_no_list_of_deliveries_gave_is_refused(self, api: Api, cursor: str) -> None:
        status, problem = await api.call("GET", f"/v1/deliveries?cursor={cursor}")

        message = "is not one that a list gave"
        assert (status, problem["errors"]) == (422, [{"field": "cursor", "message": message}])

    @pytest.mark.parametrize("cursor", ["x", "1", "wat_", "WAT_" + "0" * 26, "dlv_" + "0" * 26, "wat_" + "0" * 27])
    async def test_a_cursor_that_no_list_of_watches_gave_is_refused(self, api: Api, cursor: str) -> None:
        """It had meant an empty page, which looks like the end, or the first page again."""
        status, problem = await api.call("GET", f"/v1/watches?cursor={cursor}")

        assert (status, problem["errors"][0]["field"]) == (422, "cursor")  # type: ignore[index]

    async def test_lists_are_filtered(self, api: Api) -> None:
        await api.add(job_id="a", metadata={"order": "1"})
        await api.add(job_id="b", metadata={"order": "2"})

        _, page = await api.call("GET", "/v1/watches?metadata.order=2&status=queued,running&provider=plain&since=1h")

        assert [item["job_id"] for item in page["items"]] == ["b"]  # type: ignore[attr-defined]

    async def test_a_list_takes_ten_filters_of_metadata_and_no_more(self, api: Api) -> None:
        wanted = {f"k{number}": "v" for number in range(10)}
        await api.add(metadata=wanted)
        query = "&".join(f"metadata.{key}={value}" for key, value in wanted.items())

        _, page = await api.call("GET", f"/v1/watches?{query}")
        status, problem = await api.call("GET", f"/v1/watches?{query}&metadata.more=v")

        assert len(page["items"]) == 1  # type: ignore[arg-type]
        assert (status, problem["errors"][0]["field"]) == (422, "metadata")  # type: ignore[index]

    async def test_what_takes_too_long_to_list_is_refused_and_nothing_else(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, watch = await api.add()
        monkeypatch.setattr(part, "_LIST_S", 0.0)

        lists = ["/v1/watches", "/v1/deliveries", "/v1/events", f"/v1/watches/{watch['id']}/explanation"]
        refused = [await api.call("GET", path) for path in lists]
        refused.append(await api.call("POST", "/v1/deliveries/resend", json={"dry_run": True}))

        assert {(status, problem["type"]) for status, problem in refused} == {
            (503, "urn:relay:problem:too-much-to-look-through")
        }
        assert (await api.call("GET", f"/v1/watches/{watch['id']}"))[0] == 200
        assert (await api.call("GET", "/readyz"))[0] == 200

    @pytest.mark.parametrize("query", ["status=done", "limit=0", "limit=9999", "since=x", "colour=red"])
    async def test_a_wrong_parameter_is_named(self, api: Api, query: str) -> None:
        status, problem = await api.call("GET", f"/v1/watches?{query}")

        assert status == 422
        assert problem["errors"][0]["field"] == query.partition("=")[0]  # type: ignore[index]

    async def test_unknown_things_are_404(self, api: Api) -> None:
        for path in ("/v1/watches/wat_x", "/v1/deliveries/dlv_x", "/nothing"):
            assert (await api.call("GET", path))[0] == 404

    async def test_a_wrong_method_is_405(self, api: Api) -> None:
        assert (await api.call("PUT", "/v1/watches"))[0] == 405

    async def test_a_live_watch_tells_when_it_is_likely_to_end_and_an_ended_one_does_not(self, api: Api) -> None:
        """Of jobs said to take a minute, half have ended after one."""
        _, watch = await api.add()

        eta = watch["eta"]
        assert isinstance(eta, dict)
        assert eta["jobs"] == 0
        assert eta["earliest"] < eta["likely"] < eta["latest"]
        likely = datetime.fromisoformat(eta["likely"]).timestamp()
        assert likely - api.clock.now() == pytest.approx(60, abs=3)
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        _, shown = await api.call("GET", f"/v1/watches/{watch['id']}")
        assert shown["eta"] is None

    async def test_a_watch_is_explained_in_sentences_and_figures(self, api: Api) -> None:
        _, watch = await api.add(callback_url="https://hook.example/a?k=1")

        status, told = await api.call("GET", "/v1/watches/plain:j1/explanation")

        assert status == 200
        assert told["id"] == watch["id"]
        assert told["sentences"][0].startswith("No job of plain has ended yet")  # type: ignore[index]
        assert told["next_poll_at"] == watch["next_poll_at"]
        assert told["next_poll_reason"] in told["sentences"][2]  # type: ignore[index]
        assert told["told"] == [
            {"destination": "callback to hook.example:443", "outcomes": [str(outcome) for outcome in OUTCOMES]},
            {"destination": "ops", "outcomes": ["failed"]},
        ]
        assert told["history"]["jobs"] == 0  # type: ignore[index, call-overload]
        assert told["eta"].keys() == {"likely", "earliest", "latest", "jobs"}  # type: ignore[attr-defined]

    async def test_an_ended_watch_is_explained_by_its_deliveries(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.FAILED, "x", error=JobError(message="no luck")))

        _, told = await api.call("GET", f"/v1/watches/{watch['id']}/explanation")

        assert told["sentences"][1:] == [  # type: ignore[index]
            "The reason given: no luck.",
            "Ops is yet to be told (pending, 0 attempts), next in 0s.",
        ]
        assert (told["eta"], told["history"], told["next_poll_reason"]) == (None, None, None)

    async def test_a_watch_of_a_provider_that_left_the_configuration_says_why_nothing_happens(self, api: Api) -> None:
        _, watch = await api.add()
        api.context.providers = {}

        status, told = await api.call("GET", f"/v1/watches/{watch['id']}/explanation")
        _, shown = await api.call("GET", f"/v1/watches/{watch['id']}")

        assert (status, told["next_poll_reason"]) == (200, "plain is not configured: nobody asks about its jobs")
        assert shown["eta"] is None

    async def test_nobody_is_told_about_a_watch_of_anothers_by_its_explanation(self, guarded: Api) -> None:
        guarded.headers = bearer(ROOT)
        _, watch = await guarded.add()
        guarded.headers = bearer(SHOP)

        assert (await guarded.call("GET", f"/v1/watches/{watch['id']}/explanation"))[0] == 404


class TestChanging:
    async def test_a_removed_watch_is_gone(self, api: Api) -> None:
        _, watch = await api.add()

        assert (await api.call("DELETE", f"/v1/watches/{watch['id']}"))[0] == 204
        assert (await api.call("GET", f"/v1/watches/{watch['id']}"))[0] == 404

    async def test_a_watch_that_still_owes_deliveries_cannot_be_removed(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))

        assert (await api.call("DELETE", f"/v1/watches/{watch['id']}"))[0] == 409

    async def test_poll_now_makes_a_watch_due(self, api: Api) -> None:
        _, watch = await api.add()

        status, polled = await api.call("POST", f"/v1/watches/{watch['id']}/poll")

        assert status == 202
        assert str(polled["next_poll_at"]) < str(watch["next_poll_at"])

    async def test_poll_now_never_has_a_job_polled_more_often_than_its_provider_allows(self, api: Api) -> None:
        """Once a second here; it was polled just now by a clock that is ahead, so that no time passes."""
        _, watch = await api.add()
        live, polled_at = (await api.store.watch(str(watch["id"]))).watch, api.clock.now() + 60
        following = api.context.providers["plain"].following
        seen = Observation(Status.RUNNING, "running")
        told = decide(live, seen, following, api.experience, now=polled_at, sample=0.5)
        assert isinstance(told, Continue)
        assert told.next_poll_at > polled_at + 1
        await api.store.record_polls([told], polled_at)

        _, shown = await api.call("POST", f"/v1/watches/{watch['id']}/poll")

        assert shown["next_poll_at"] == iso(polled_at + 1)

    async def test_a_delivery_given_up_owes_nothing_and_lets_its_watch_be_removed(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        _, page = await api.call("GET", f"/v1/deliveries?watch={watch['id']}")
        (item,) = page["items"]  # type: ignore[misc]

        status, dropped = await api.call("POST", f"/v1/deliveries/{item['id']}/drop")

        assert (status, dropped["state"]) == (200, "dropped")
        assert (await api.call("DELETE", f"/v1/watches/{watch['id']}"))[0] == 204
        assert (await api.call("POST", f"/v1/deliveries/{item['id']}/drop"))[0] == 404

    async def test_a_delivery_is_shown_with_its_attempts_and_resent(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        _, page = await api.call("GET", f"/v1/deliveries?state=pending&watch={watch['id']}")
        (item,) = page["items"]  # type: ignore[misc]
        now = api.clock.now()
        attempt = Attempt(item["id"], 1, Trigger.SCHEDULED, now, 0.5, VerdictKind.REFUSED, 410, "gone")
        await api.store.settle_attempts(
            [(attempt, Settlement(item["id"], DeliveryState.EXHAUSTED, now, 1, "gone", now))]
        )

        _, shown = await api.call("GET", f"/v1/deliveries/{item['id']}")
        status, resent = await api.call("POST", f"/v1/deliveries/{item['id']}/resend")

        assert (shown["state"], shown["event_type"], shown["destination"]) == ("exhausted", "job.completed", "ops")
        assert [a["status"] for a in shown["attempts"]] == [410]  # type: ignore[attr-defined]
        assert (status, resent["state"], resent["id"]) == (202, "pending", item["id"])
        assert api.woken[-1] == "dispatcher"


class TestSurroundings:
    async def test_providers_are_listed_with_how_they_stand(self, api: Api) -> None:
        standing = Standing(Footing.UNREACHABLE, 1_800_000_000.0, 9e9, detail="HTTP 503")
        await api.store.record_standing("plain", standing, None, (), api.clock.now())

        _, page = await api.call("GET", "/v1/providers")

        (item,) = page["items"]  # type: ignore[misc]
        assert (item["name"], item["standing"], item["detail"]) == ("plain", "unreachable", "HTTP 503")
        assert (item["since"], item["detection_lag_s"]) == ("2027-01-15T08:00:00.000Z", 2)

    async def test_destinations_are_listed_without_their_urls(self, api: Api) -> None:
        item = {"name": "ops", "type": "slack", "condition": "working", "since": None, "detail": None, "held": 0}
        assert await api.call("GET", "/v1/destinations") == (200, {"items": [item], "callback_hosts": []})

    async def test_all_deliveries_that_match_are_counted_and_sent_again(self, api: Api) -> None:
        _, watch = await api.add(callback_url="https://hook.example/a")
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        (view,) = await api.store.deliveries(DeliveryFilter(), before=None, limit=9)
        now = api.clock.now()
        attempt = Attempt(view.delivery.id, 1, Trigger.SCHEDULED, now, 0.5, VerdictKind.RETRY, 500, "no")
        await api.store.settle_attempts(
            [(attempt, Settlement(view.delivery.id, DeliveryState.EXHAUSTED, now, 1, "no", now))]
        )
        wanted = {"since": "2h", "destination": "callback", "status": ["completed"], "rate": "5/s"}

        counted = await api.call("POST", "/v1/deliveries/resend", json={**wanted, "dry_run": True})
        assert (counted[0], counted[1]["deliveries"], counted[1]["dry_run"]) == (200, 1, True)
        sent = await api.call("POST", "/v1/deliveries/resend", json=wanted)
        assert (sent[0], sent[1]["deliveries"], sent[1]["dry_run"]) == (202, 1, False)
        assert "dispatcher" in api.woken
        (item,) = (await api.call("GET", "/v1/deliveries?state=pending&destination=callback"))[1]["items"]  # type: ignore[misc]
        assert item["id"] == view.delivery.id
        none = await api.call("POST", "/v1/deliveries/resend", json={})
        assert none == (202, {"deliveries": 0, "dry_run": False, "last_at": None})

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"state": ["pending"]}, "state.0"),
            ({"rate": "fast"}, "rate"),
            ({"since": "yesterday"}, "since"),
            ({"status": ["done"]}, "status"),
            ({"all": True}, "all"),
        ],
    )
    async def test_a_resend_of_many_names_what_it_does_not_understand(
        self, api: Api, body: dict[str, object], field: str
    ) -> None:
        status, problem = await api.call("POST", "/v1/deliveries/resend", json=body)

        assert status in (400, 422)
        assert [each["field"] for each in problem["errors"]] == [field]  # type: ignore[attr-defined]

    async def test_a_destination_that_is_switched_off_degrades_readiness_until_it_is_enabled(self, api: Api) -> None:
        _, watch = await api.add(destinations=["ops"])
        await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
        now = api.clock.now()
        (claimed,) = await api.store.claim_due_deliveries(
            now, until=now + 30, limit=9, per_lane=9, per_failing_lane=9, retries=9, limits={}, busy={}
        )
        target, delivery_id = claimed.delivery.target, claimed.delivery.id
        await api.store.settle_attempts(
            [
                (
                    Attempt(delivery_id, 1, Trigger.SCHEDULED, now, 0.5, VerdictKind.REFUSED, 404, "no_service"),
                    Settlement(delivery_id, DeliveryState.HELD, now, 0, "no_service", None),
                )
            ],
            Finding(target, Sign.GONE, now, sample=0.0, began_at=now, detail="HTTP 404: no_service"),
        )

        status, body = await api.call("GET", "/readyz")
        assert (status, body["status"]) == (200, "degraded")
        check = body["checks"]["destination ops"]  # type: ignore[index]
        assert not check["ok"]
        assert check["detail"].endswith("relay destinations enable ops")
        _, listed = await api.call("GET", "/v1/destinations")
        (item,) = listed["items"]  # type: ignore[misc]
        assert (item["condition"], item["held"], item["detail"]) == ("disabled", 1, "HTTP 404: no_service")

        for expected in (True, True):
            assert await api.call("POST", "/v1/destinations/ops/enable") == (200, {"enabled": expected})
        assert (await api.call("GET", "/readyz"))[1]["status"] == "ready"
        assert (await api.call("POST", "/v1/destinations/opps/enable"))[0] == 404

    async def test_a_host_of_callback_urls_that_is_in_trouble_is_listed(self, api: Api) -> None:
        now = api.clock.now()
        hook = Target("url:1", "hook.example:443", url="https://hook.example/a?key=secret")
        await api.store.settle_attempts(
            [], Finding(hook, Sign.REFUSES, now, sample=0.0, began_at=now, detail="HTTP 401")
        )

        _, listed = await api.call("GET", "/v1/destinations")

        (host,) = listed["callback_hosts"]  # type: ignore[misc]
        assert (host["host"], host["condition"], host["detail"]) == ("hook.example:443", "refusing", "HTTP 401")

    async def test_a_destination_is_tried_and_its_answer_told(self, api: Api) -> None:
        assert await api.call("POST", "/v1/destinations/ops/test") == (
            200,
            {"delivered": False, "reason": "HTTP 500"},
        )
        assert (await api.call("POST", "/v1/destinations/opps/test"))[0] == 404

    async def test_the_status_is_everything_at_a_glance(self, api: Api) -> None:
        await api.add()

        status, shown = await api.call("GET", "/v1/status")

        assert status == 200
        assert isinstance(shown.pop("database_bytes"), int)
        assert shown == {
            "status": "ready",
            "checks": {"store": {"ok": True, "detail": None}, "dispatcher": {"ok": True, "detail": None}},
            "version": __version__,
            "started_at": "2027-01-15T08:00:00.000Z",
            "config": {"loaded_at": "2027-01-15T08:01:00.000Z", "refused": False},
            "watches": {"queued": 1},
            "deliveries": {},
            "oldest_pending_s": None,
            "providers": [{"name": "plain", "standing": "working", "due_lag_s": 1.5}],
        }

    async def test_a_reload_tells_what_changed(self, api: Api) -> None:
        nothing = {"added": [], "removed": [], "changed": []}

        assert await api.call("POST", "/v1/reload") == (
            200,
            {
                "providers": {**nothing, "added": ["fal"]},
                "destinations": nothing,
                "sections": ["routes"],
                "needs_restart": ["server.listen"],
            },
        )

    async def test_a_refused_reload_carries_the_whole_report(self, api: Api) -> None:
        api.refused = "config.toml:1:1: error: no\n1 error"

        status, document = await api.call("POST", "/v1/reload")

        assert (status, document["type"]) == (422, "urn:relay:problem:config-refused")
        assert document["detail"] == api.refused

    async def test_events_are_read_on_from_where_one_was(self, api: Api) -> None:
        for job_id in ("a", "b"):
            _, watch = await api.add(job_id=job_id)
            await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))

        _, first = await api.call("GET", "/v1/events?limit=1")
        _, second = await api.call("GET", f"/v1/events?cursor={first['next_cursor']}")
        _, third = await api.call("GET", f"/v1/events?cursor={second['next_cursor']}")

        told = [*first["items"], *second["items"], *third["items"]]  # type: ignore[misc]
        assert [(event["type"], event["data"]["job_id"]) for event in told] == [
            ("job.completed", "a"),
            ("job.completed", "b"),
        ]
        assert (await api.call("GET", "/v1/events?cursor=x"))[0] == 422

    async def test_a_list_of_events_goes_on_from_now_where_its_cursor_lies_ahead(self, api: Api) -> None:
        """As one does that was given before a backup was restored."""
        for job_id in ("j1", "j2"):
            _, watch = await api.add(job_id=job_id)
            _, ahead = await api.call("GET", "/v1/events?cursor=50")
            await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))

            _, page = await api.call("GET", f"/v1/events?cursor={ahead['next_cursor']}")

            assert ahead["items"] == []
            assert [item["data"]["job_id"] for item in page["items"]] == [job_id]  # type: ignore[attr-defined]


class TestHealth:
    async def test_a_living_daemon_is_ready(self, api: Api) -> None:
        assert await api.call("GET", "/healthz") == (200, {"status": "ok"})
        status, body = await api.call("GET", "/readyz")
        assert (status, body["status"]) == (200, "ready")

    async def test_a_loop_that_stands_still_is_told(self, api: Api) -> None:
        api.tick -= STALE_AFTER_S + 5

        async with api.session.get(api.url + "/readyz") as answer:
            body = await answer.json()

        assert answer.status == 503
        assert body["checks"]["dispatcher"]["ok"] is False
        assert body["checks"]["store"]["ok"] is True

    async def test_metrics_are_in_prometheus_format(self, api: Api) -> None:
        await api.add()

        async with api.session.get(api.url + "/metrics") as answer:
            text = await answer.text()

        assert 'relay_watches{status="queued"} 1.0' in text
        assert "relay_watches_added_total 1.0" in text


class TestWhoMayAsk:
    async def test_without_a_valid_token_nothing_is_told(self, guarded: Api) -> None:
        for headers in ({}, bearer("rly_wrong"), bearer(""), {"Authorization": "Basic eA=="}):
            status, _ = await guarded.call("GET", "/v1/watches", headers=headers)
            assert status == 401

    async def test_health_needs_no_token(self, guarded: Api) -> None:
        assert (await guarded.call("GET", "/healthz"))[0] == 200

    async def test_a_token_does_only_what_its_scopes_say(self, guarded: Api) -> None:
        wanted = {"provider": "plain", "job_id": "j1"}

        status, _ = await guarded.call("POST", "/v1/watches", json=wanted, headers=bearer("rly_eyes"))

        assert status == 403

    async def test_a_database_that_fails_is_no_fault_of_the_configuration(self, api: Api) -> None:
        async def failing() -> Changes:
            raise StoreError("the disk is full")

        api.context.reload = failing

        status, document = await api.call("POST", "/v1/reload")

        assert (status, document["type"]) == (503, "urn:relay:problem:unavailable")

    @pytest.mark.parametrize("error", [StoreError("the disk is full"), KeyError("id")])
    async def test_what_a_terminal_would_obey_does_not_reach_the_log_by_a_path(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        async def failing(_: str) -> WatchView:
            raise error

        monkeypatch.setattr(api.store, "watch", failing)
        with structlog.testing.capture_logs() as logs:
            await api.call("GET", "/v1/watches/wat_%1b%5b2J%c2%9b%e2%80%ae")

        assert [(line["event"], line["path"]) for line in logs] == [("request.failed", "/v1/watches/wat_[2J")]

    async def test_only_an_admin_may_exchange_the_configuration(self, guarded: Api) -> None:
        assert (await guarded.call("POST", "/v1/reload", headers=bearer(SHOP)))[0] == 403
        assert (await guarded.call("POST", "/v1/reload", headers=bearer(ROOT)))[0] == 200

    async def test_a_token_sees_its_own_watches_only_and_admin_all(self, guarded: Api) -> None:
        guarded.headers = bearer(ROOT)
        _, watch = await guarded.add()

        assert (await guarded.call("GET", f"/v1/watches/{watch['id']}", headers=bearer(SHOP)))[0] == 404
        assert (await guarded.call("GET", f"/v1/watches/{watch['id']}", headers=bearer(ROOT)))[0] == 200
        _, page = await guarded.call("GET", "/v1/watches", headers=bearer(SHOP))
        assert page["items"] == []

    async def test_without_tokens_a_web_page_is_kept_out(self, api: Api) -> None:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert (await api.call("GET", "/v1/watches", headers=headers))[0] == 403

    @pytest.mark.parametrize("host", ["127.0.0.1:99999999", "localhost:80/x", "localhost:port"])
    async def test_a_host_that_cannot_be_read_is_kept_out_like_a_strange_one(self, api: Api, host: str) -> None:
        with structlog.testing.capture_logs() as logs:
            status, _ = await api.call("GET", "/v1/watches", headers={"Host": host})

        assert (status, logs) == (403, [])
