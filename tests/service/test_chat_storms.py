"""Storms of messages to a chat, on a real store: the first at once, then one a window, nothing lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.doubles import EvenEntropy, ManualClock, Reply, ScriptedTransport
from support.virtual import VirtualClock

from relay.core.delivery import DeliveryState, Trigger, VerdictKind
from relay.core.digest import MOST_TOLD
from relay.core.errors import StoreError
from relay.core.event import outcome_event
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.observation import Job, JobError, Observation, Status
from relay.core.ports import DeliveryFilter, DeliveryView, Ending, Outgoing, Store
from relay.core.retry import RetryPolicy
from relay.core.watch import NewWatch, Target
from relay.destinations import DiscordDestination, SlackDestination
from relay.dispatcher import Dispatcher
from relay.metrics import Metrics
from relay.outlet import Digests, Outlet
from relay.store import open_sqlite

OPS, TEAM, SIDE = [Target(name, name, name=name) for name in ("ops", "team", "side")]
SLACK = SlackDestination("https://hooks.slack.com/services/T0/B0/x", RetryPolicy())
DISCORD = DiscordDestination("https://discord.com/api/webhooks/1/x", RetryPolicy())
OK = Response(200, body=b"ok")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_sqlite(tmp_path / "relay.db") as opened:
        yield opened


class Bench:
    """A dispatcher with chats: `ops` on Slack with digests, `team` and `side` on Discord without."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock: ManualClock | VirtualClock = ManualClock()
        self.replies: list[Reply] = [OK]
        self.transport = ScriptedTransport(self._answer)
        self.outlets = {
            "ops": Outlet(SLACK, self.transport, Digests(SLACK.digest, 60.0)),
            "team": Outlet(DISCORD, self.transport),
            "side": Outlet(DISCORD, self.transport),
        }
        self.sent_at: list[float] = []
        self._count = 0
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart."""
        self.dispatcher = Dispatcher(
            store=self.store,
            resolve=lambda target: self.outlets.get(target.key),
            clock=self.clock,
            entropy=EvenEntropy(),
            metrics=Metrics(),
            chats={"ops": "slack", "team": "discord", "side": "discord"},
        )

    def _answer(self, request: Request) -> Reply:
        self.sent_at.append(self.clock.monotonic())
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def failures(self, count: int, target: Target = OPS) -> list[str]:
        """End so many watches; return their ids."""
        now = self.clock.now()
        made = []
        for _ in range(count):
            self._count += 1
            new = NewWatch(f"wat_{self._count:04}", "getimg", Job(f"j{self._count}"), now + 60, now, (target,))
            (added,) = await self.store.add_watches([new], now)
            seen = Observation(Status.FAILED, "failed", error=JobError(message="no GPU"))
            await self.store.finalize_watch(
                Ending(new.id, Status.FAILED, "failed", None, outcome_event(added.watch, seen, now)), now
            )
            made.append(new.id)
        return made

    async def step(self, seconds: float = 0.0) -> int:
        self.clock.advance(seconds)
        return await self.dispatcher.run_once()

    async def deliveries(self, watch_ids: Sequence[str]) -> list[DeliveryView]:
        views = []
        for watch_id in watch_ids:
            (found,) = await self.store.deliveries(DeliveryFilter(watch_id=watch_id), before=None, limit=2)
            views.append(await self.store.delivery(found.delivery.id))
        return views

    async def states(self, watch_ids: Sequence[str]) -> set[DeliveryState]:
        return {view.delivery.state for view in await self.deliveries(watch_ids)}

    def told(self) -> list[str]:
        """Return the lead of each Slack message, and the title of each Discord message."""
        messages = [json.loads(request.body or b"") for request in self.transport.sent]
        return [message.get("text") or message["embeds"][0]["title"] for message in messages]


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


async def test_the_first_message_goes_at_once_and_the_storm_behind_it_is_one_message_a_window(bench: Bench) -> None:
    watches = await bench.failures(1)
    assert await bench.step() == 1
    for _ in range(4):  # within the first window of five seconds
        watches += await bench.failures(25)
        assert await bench.step(1.2) == 0
    assert await bench.step(0.2) == 1
    watches += await bench.failures(30)
    assert [await bench.step(9.9), await bench.step(0.2)] == [0, 1]  # the second window is of ten

    assert bench.told() == ["getimg job failed: no GPU", "100 jobs ended: 100 failed", "30 jobs ended: 30 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_a_digest_that_is_under_way_when_a_reload_ends_digests_tells_of_everything_it_settles(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = bench.store.claim_company

    async def reload_meanwhile(*arguments: Any, **options: Any) -> list[Outgoing]:
        company = await claim(*arguments, **options)
        bench.outlets["ops"] = Outlet(SLACK, bench.transport)
        return company

    monkeypatch.setattr(bench.store, "claim_company", reload_meanwhile)
    watches = await bench.failures(3)

    await bench.step()

    assert bench.told() == ["3 jobs ended: 3 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_each_delivery_of_a_digest_has_an_attempt_of_its_own_under_its_own_id(bench: Bench) -> None:
    watches = await bench.failures(3)

    await bench.step()

    views = await bench.deliveries(watches)
    assert len(bench.transport.sent) == 1
    assert len({view.delivery.id for view in views}) == 3
    for view in views:
        (attempt,) = view.attempts
        assert (attempt.delivery_id, attempt.number, attempt.status) == (view.delivery.id, 1, 200)
        assert (attempt.verdict, attempt.response) == (VerdictKind.DELIVERED, "ok")
        assert attempt.reason == "told in one message with 2 others"


async def test_a_digest_that_fails_is_tried_again_as_a_whole_with_what_came_since(bench: Bench) -> None:
    bench.replies = [Response(503), OK]
    watches = await bench.failures(4)
    await bench.step()
    assert await bench.states(watches) == {DeliveryState.PENDING}
    watches += await bench.failures(1)

    assert [await bench.step(5.1), await bench.step(60)] == [1, 0]

    assert bench.told() == ["4 jobs ended: 4 failed", "5 jobs ended: 5 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}
    assert [len(view.attempts) for view in await bench.deliveries(watches)] == [2, 2, 2, 2, 1]


async def test_a_crash_between_sending_and_settling_only_repeats_the_digest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    watches = await bench.failures(3)

    async def crash(_settled: object) -> None:
        raise StoreError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "settle_attempts", crash)
        await bench.step()
    bench.start()
    await bench.store.release_leases()
    await bench.step()

    assert bench.told() == ["3 jobs ended: 3 failed"] * 2
    assert await bench.states(watches) == {DeliveryState.DELIVERED}
    assert [len(view.attempts) for view in await bench.deliveries(watches)] == [1, 1, 1]


async def test_without_a_crash_a_lease_that_ran_out_does_the_same(bench: Bench) -> None:
    """A worker that died holds its rows no longer than an attempt can take."""
    await bench.failures(3)
    (head,) = await bench.store.claim_due_deliveries(
        bench.clock.now(),
        until=bench.clock.now() + 35,
        limit=9,
        per_lane=1,
        per_failing_lane=1,
        retries=9,
        limits={},
        busy={},
    )
    await bench.store.claim_company(head.delivery, bench.clock.now(), until=bench.clock.now() + 35, limit=9)

    assert [await bench.step(34), await bench.step(1)] == [0, 1]
    assert bench.told() == ["3 jobs ended: 3 failed"]


async def test_a_refused_layout_is_followed_by_plain_text(bench: Bench) -> None:
    bench.replies = [Response(400, body=b"invalid_blocks"), OK]
    watches = await bench.failures(3)

    assert [await bench.step(), await bench.step(5.1)] == [1, 1]

    rich, plain = [json.loads(request.body or b"") for request in bench.transport.sent]
    assert "blocks" in rich
    assert "blocks" not in plain
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_a_rate_limit_silences_the_whole_chat(bench: Bench) -> None:
    """What comes while Slack wants to hear nothing waits with the rest."""
    bench.replies = [Response(429, {"retry-after": "30"}), OK]
    watches = await bench.failures(1)
    await bench.step()
    watches += await bench.failures(2)

    assert [await bench.step(29.9), await bench.step(0.2)] == [0, 1]
    assert bench.told()[1:] == ["3 jobs ended: 3 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_a_fault_of_our_own_costs_none_of_them_a_try(bench: Bench) -> None:
    bench.replies = [TransportError(Fault.LOCAL, "Too many open files")]
    watches = await bench.failures(2)

    await bench.step()

    assert [view.delivery.tries for view in await bench.deliveries(watches)] == [0, 0]


async def test_what_a_person_wants_sent_again_is_a_message_of_its_own(bench: Bench) -> None:
    (old,) = await bench.failures(1)
    await bench.step()
    (view,) = await bench.deliveries([old])
    bench.clock.advance(100)
    await bench.store.resend(view.delivery.id, bench.clock.now() - 1)
    fresh = await bench.failures(2)

    assert [await bench.step(), await bench.step(5.1)] == [1, 1]

    assert bench.told()[1:] == ["2 jobs ended: 2 failed", "getimg job failed: no GPU"]
    (again,) = await bench.deliveries([old])
    assert [attempt.trigger for attempt in again.attempts] == [Trigger.SCHEDULED, Trigger.MANUAL]
    assert await bench.states(fresh) == {DeliveryState.DELIVERED}


async def test_what_a_person_wants_sent_again_opens_no_window_and_lets_news_go_first(bench: Bench) -> None:
    """More are sent again than a lane has places for, and each takes the second that Slack wants."""
    old = await bench.failures(40)
    await bench.step()
    bench.clock.advance(100)
    for view in await bench.deliveries(old):
        await bench.store.resend(view.delivery.id, bench.clock.now())

    assert [await bench.step(), await bench.step(0.9), await bench.step(0.2), await bench.step(1.1)] == [1, 0, 1, 1]
    fresh = await bench.failures(2)
    assert [await bench.step(1.1), await bench.step(5.1), *[await bench.step(1.1) for _ in range(37)]] == [1] * 38 + [0]

    one = "getimg job failed: no GPU"
    assert bench.told()[1:] == [one, one, one, "2 jobs ended: 2 failed", *[one] * 37]
    assert await bench.states(fresh + old) == {DeliveryState.DELIVERED}


async def test_one_message_tells_of_no_more_than_can_be_read_at_once(bench: Bench) -> None:
    watches = await bench.failures(MOST_TOLD + 7)

    assert [await bench.step(), await bench.step(5.1)] == [1, 1]

    assert bench.told() == [f"{MOST_TOLD} jobs ended: {MOST_TOLD} failed", "7 jobs ended: 7 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_a_chat_without_digests_hears_each_message_at_the_pace_that_it_names(bench: Bench) -> None:
    """Discord takes two more, then none for 1.5 s; relay asks for a quarter of a second more."""
    bench.replies = [
        Response(200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset-after": "1.5"}),
        Response(200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.5"}),
        Response(200),
    ]
    await bench.failures(3, TEAM)

    assert [await bench.step(), await bench.step(), await bench.step(1.7), await bench.step(0.1)] == [1, 1, 0, 1]
    assert bench.told() == ["getimg job failed"] * 3


@pytest.mark.parametrize(
    ("refusal", "others"),
    [
        (Response(429, {"retry-after": "30"}, b"<html>Cloudflare"), 0),
        (Response(429, body=b'{"retry_after": 30.0, "global": true}'), 0),
        (Response(429, body=b'{"retry_after": 30.0, "global": false}'), 1),
    ],
)
async def test_a_limit_on_our_address_silences_all_webhooks_of_the_service(
    bench: Bench, refusal: Response, others: int
) -> None:
    bench.replies = [refusal, OK]
    await bench.failures(1, TEAM)
    await bench.step()
    await bench.failures(1, SIDE)
    await bench.failures(1, OPS)

    assert await bench.step(1) == others + 1
    assert await bench.step(30) == 2 - others


async def test_a_chat_that_fails_is_left_alone_as_well(bench: Bench) -> None:
    bench.replies = [Response(503)]
    for _ in range(20):
        await bench.failures(1)
        await bench.step(1)

    assert len(bench.transport.sent) <= 5


async def test_a_chat_that_was_down_is_told_of_all_that_was_held_in_one_digest(bench: Bench) -> None:
    """From 75 s on it is held; probes go after 30 s and 60 s, whatever the window, and the digest 5 s after that."""
    bench.replies = [Response(503)]
    watches = []
    for _ in range(30):
        watches += await bench.failures(2)
        await bench.step(5)
    bench.replies = [OK]
    for _ in range(5):
        await bench.step(5)

    assert [at - bench.sent_at[0] for at in bench.sent_at] == [0, 5, 15, 35, 75, 105, 165, 170]
    assert bench.told()[-3:] == [*["getimg job failed: no GPU"] * 2, "59 jobs ended: 59 failed"]
    assert await bench.states(watches) == {DeliveryState.DELIVERED}


async def test_a_chat_that_is_down_is_left_alone_for_five_seconds_whoever_wants_it_tried(bench: Bench) -> None:
    bench.replies = [Response(503)]
    for _ in range(16):
        await bench.failures(1)
        await bench.step(5)
    assert bench.sent_at[-1] == bench.clock.monotonic()

    await bench.store.enable("ops", bench.clock.now())

    assert [await bench.step(), await bench.step(4.9), await bench.step(0.2)] == [0, 0, 1]


async def test_the_loop_wakes_when_a_window_ends(bench: Bench) -> None:
    """Nothing else falls due meanwhile."""
    bench.clock = clock = VirtualClock()
    bench.start()
    running = asyncio.get_running_loop().create_task(bench.dispatcher.run())
    await bench.failures(1)
    await clock.drive(lambda: len(bench.sent_at) == 1, limit_s=60)
    await bench.failures(2)
    await clock.drive(lambda: len(bench.sent_at) == 2, limit_s=60)
    bench.dispatcher.stop()
    await running

    first, second = bench.sent_at
    assert 5.0 <= second - first < 5.1
