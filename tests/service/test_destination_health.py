"""Outages of destinations in virtual time: held, probed, drained, switched off, told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.daemon import until
from support.doubles import EvenEntropy, ManualClock, Reply, ScriptedTransport

from relay.core.condition import Condition
from relay.core.delivery import DeliveryState
from relay.core.event import outcome_event
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.observation import Job, Observation, Status
from relay.core.ports import DeliveryFilter, DeliveryView, Ending, EventFilter, Outgoing, Store, Wakeup
from relay.core.retry import RetryPolicy
from relay.core.routing import Route
from relay.core.signing import SigningSecret
from relay.core.watch import NewWatch, Target
from relay.destinations import CallbackDestination
from relay.dispatcher import Dispatcher
from relay.metrics import Metrics
from relay.occupancy import FAILING_LANE_CONCURRENCY
from relay.outlet import Outlet
from relay.store import open_sqlite

A = Target("url:a", "hook.example:443", url="https://hook.example/a")
B = Target("url:b", "hook.example:443", url="https://hook.example/b")
SHOP = Target("shop", "shop", name="shop")
OPS = Target("ops", "ops", name="ops")
DOWN = TransportError(Fault.CONNECT, "refused")
HOUR = 3600.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_sqlite(tmp_path / "relay.db") as opened:
        yield opened


class Bench:
    """A dispatcher whose receivers answer by a function of the URL and the time since the start."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        self.started = self.clock.now()
        self.answer: Callable[[str, float], Reply] = lambda url, elapsed: Response(200)
        self.transport = ScriptedTransport(lambda request: self.answer(request.url, self.elapsed))
        self.sent_at: list[float] = []
        self.routes = [Route(to=(OPS, SHOP), operators=(OPS, SHOP))]
        self.policy = RetryPolicy()
        self._watches = 0
        self.restart()

    @property
    def elapsed(self) -> float:
        return self.clock.now() - self.started

    def restart(self) -> None:
        self.dispatcher = Dispatcher(
            store=self.store,
            resolve=self._resolve,
            clock=self.clock,
            entropy=EvenEntropy(),
            metrics=Metrics(),
            routes=self.routes,
        )

    def _resolve(self, target: Target) -> Outlet:
        url = target.url or f"https://{target.name}.example/"
        signer = SigningSecret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        return Outlet(CallbackDestination(url, [signer], self.policy), self.transport)

    async def outcome(self, *targets: Target) -> str:
        self._watches += 1
        now = self.clock.now()
        new = NewWatch(f"wat_{self._watches:05}", "plain", Job(f"j{self._watches}"), now + 60, now, targets)
        (added,) = await self.store.add_watches([new], now)
        event = outcome_event(added.watch, Observation(Status.COMPLETED, "done"), now)
        await self.store.finalize_watch(Ending(added.watch.id, Status.COMPLETED, "done", None, event), now)
        return added.watch.id

    async def pass_time(self, seconds: float) -> None:
        """Let time pass from one thing that is due to the next, as the loop does."""
        end = self.clock.now() + seconds
        while True:
            while await self.dispatcher.run_once():
                pass
            due = await self.store.next_delivery_due(after=self.clock.now())
            if due is None or due > end:
                break
            self.clock.advance(due - self.clock.now())
        self.clock.advance(max(end - self.clock.now(), 0.0))

    async def deliveries(self, *states: DeliveryState) -> list[DeliveryView]:
        """Return the deliveries of jobs."""
        return [view for view in await self._all(*states) if view.delivery.watch_id is not None]

    async def news(self) -> list[DeliveryView]:
        """Return the deliveries of events that are no job's."""
        return [view for view in await self._all() if view.delivery.watch_id is None]

    async def _all(self, *states: DeliveryState) -> list[DeliveryView]:
        return await self.store.deliveries(DeliveryFilter(states=frozenset(states)), before=None, limit=5000)

    async def condition(self, lane: str) -> Condition:
        lanes = await self.store.lanes()
        return lanes[lane].health.condition if lane in lanes else Condition.WORKING

    async def told(self) -> list[str]:
        """Return the types of the events that are no job's."""
        events = await self.store.events(EventFilter(), after=0, limit=1000)
        return [event.type for _, event in events if event.watch_id is None]


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def down_until(end_s: float) -> Callable[[str, float], Reply]:
    return lambda url, elapsed: DOWN if elapsed < end_s else Response(200)


async def test_while_a_receiver_is_down_its_deliveries_are_held_and_one_at_a_time_probes(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: DOWN if "hook" in url else Response(200)
    for _ in range(40):
        await bench.outcome(A)
    await bench.pass_time(10 * 60)
    assert await bench.condition(A.lane) is Condition.UNREACHABLE
    before = len(bench.transport.sent)
    await bench.outcome(A)

    await bench.pass_time(HOUR)

    assert len(await bench.deliveries(DeliveryState.HELD)) == 41
    assert 4 <= len(bench.transport.sent) - before <= 6  # one per quarter of an hour


async def test_recovery_drains_in_a_ramp_and_loses_nothing(bench: Bench) -> None:
    bench.answer = down_until(2 * HOUR)
    for _ in range(40):
        await bench.outcome(A)
    await bench.pass_time(2 * HOUR)
    arrivals: list[float] = []

    def arrive(url: str, elapsed: float) -> Reply:
        arrivals.append(elapsed)
        return Response(200)

    bench.answer = arrive
    await bench.pass_time(HOUR)

    assert len(await bench.deliveries(DeliveryState.DELIVERED)) == 40
    first = arrivals[0]
    assert first <= 2 * HOUR + 15 * 60
    by_second = [sum(1 for at in arrivals if round(at - first) == second) for second in range(6)]
    assert by_second == [2, 2, 4, 8, 16, 8]  # the probe and the first batch; then each twice the one before
    assert await bench.condition(A.lane) is Condition.WORKING
    assert max(view.delivery.tries for view in await bench.deliveries()) <= 5


async def test_an_outage_survives_a_restart_of_the_daemon(bench: Bench) -> None:
    bench.answer = down_until(2 * HOUR)
    for _ in range(10):
        await bench.outcome(A)
    await bench.pass_time(HOUR)

    bench.restart()

    assert await bench.condition(A.lane) is Condition.UNREACHABLE
    await bench.pass_time(2 * HOUR)
    assert len(await bench.deliveries(DeliveryState.DELIVERED)) == 10


async def test_another_outage_while_draining_holds_the_rest_again(bench: Bench) -> None:
    budget = [True] * 5
    bench.answer = lambda url, elapsed: Response(200) if elapsed > HOUR and budget and budget.pop() else DOWN
    for _ in range(40):
        await bench.outcome(A)

    await bench.pass_time(2 * HOUR)

    assert len(await bench.deliveries(DeliveryState.DELIVERED)) == 5
    assert len(await bench.deliveries(DeliveryState.HELD)) == 35
    assert await bench.condition(A.lane) is Condition.UNREACHABLE


async def test_operators_are_told_of_an_outage_and_its_end_elsewhere_only(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: DOWN if "shop" in url and elapsed < HOUR else Response(200)
    for _ in range(5):
        await bench.outcome(SHOP)

    await bench.pass_time(2 * HOUR)

    assert await bench.told() == ["destination.unreachable", "destination.recovered"]
    news = await bench.news()
    assert {view.delivery.target.name for view in news} == {"ops"}
    assert {view.delivery.state for view in news} == {DeliveryState.DELIVERED}


async def test_a_named_destination_that_is_gone_is_switched_off_and_keeps_what_it_owes(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: Response(410) if "shop" in url else Response(200)
    await bench.outcome(SHOP)
    await bench.pass_time(1)
    await bench.outcome(SHOP)

    await bench.pass_time(100 * HOUR)

    assert await bench.condition("shop") is Condition.DISABLED
    owed = [view for view in await bench.deliveries() if view.delivery.target == SHOP]
    assert [view.delivery.state for view in owed] == [DeliveryState.HELD] * 2
    assert [sent.url for sent in bench.transport.sent if "shop" in sent.url] == ["https://shop.example/"]
    assert await bench.told() == ["destination.disabled"]

    bench.answer = lambda url, elapsed: Response(200)
    assert await bench.store.enable("shop", bench.clock.now())
    await bench.pass_time(10)

    assert await bench.told() == ["destination.disabled", "destination.recovered"]
    assert await bench.deliveries(DeliveryState.HELD) == []


async def test_enabling_one_that_is_still_gone_costs_one_request(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: Response(410)
    for _ in range(9):
        await bench.outcome(SHOP)
    await bench.pass_time(1)
    sent = len(bench.transport.sent)

    await bench.store.enable("shop", bench.clock.now())
    await bench.pass_time(HOUR)

    assert len([each for each in bench.transport.sent[sent:] if "shop" in each.url]) == 1
    assert await bench.condition("shop") is Condition.DISABLED


async def test_a_callback_url_that_is_gone_drops_what_goes_to_it_and_to_no_other(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: Response(500)
    for target in (A, A, B):
        await bench.outcome(target)
    await bench.pass_time(1)

    bench.clock.advance(5)
    bench.answer = lambda url, elapsed: Response(410) if url.endswith("/a") else Response(200)
    await bench.pass_time(10)

    states = {(view.delivery.target.key, view.delivery.state) for view in await bench.deliveries()}
    assert states == {("url:a", DeliveryState.DROPPED), ("url:b", DeliveryState.DELIVERED)}
    assert await bench.condition(A.lane) is Condition.WORKING


async def test_a_refusal_that_will_stay_is_told_early_and_once(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: Response(401) if "shop" in url else Response(200)
    for _ in range(3):
        await bench.outcome(SHOP)
    await bench.pass_time(60)

    assert await bench.told() == ["destination.refusing"]
    assert len([sent for sent in bench.transport.sent if "shop" in sent.url]) == 3  # the slow lane: 10 m


async def test_what_was_given_up_is_told_and_news_of_that_begets_no_more(bench: Bench) -> None:
    bench.routes[:] = [Route(to=(OPS,), operators=(OPS,))]
    bench.answer = lambda url, elapsed: Response(500)
    watch = await bench.outcome(SHOP)

    await bench.pass_time(200 * HOUR)

    assert await bench.told() == ["delivery.exhausted"]
    events = await bench.store.events(EventFilter(), after=0, limit=9)
    (news,) = [event for _, event in events if event.watch_id is None]
    assert (news.data["destination"], news.data["watch_id"], news.data["error"]) == (
        "shop",
        watch,
        {"code": "exhausted", "message": "HTTP 500"},
    )


async def test_a_lane_that_fails_has_few_places_and_one_that_is_healthy_comes_first(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: DOWN if "hook" in url else Response(200)
    for _ in range(30):
        await bench.outcome(A)
    await bench.dispatcher.run_once()
    await bench.outcome(SHOP)

    assert await bench.dispatcher.run_once() == FAILING_LANE_CONCURRENCY + 1


async def test_a_receiver_that_fails_now_and_then_keeps_its_places_while_some_attempts_hang(bench: Bench) -> None:
    """Two of twelve hang, one fails: what is left is not made to wait for the two, twenty seconds at a time."""
    gate, sent = asyncio.Event(), bench.transport.send
    turns = itertools.count()

    async def sometimes(request: Request, *, timeout_s: float, max_body: int) -> Response:
        turn = next(turns)
        if turn in (0, 1):
            await gate.wait()
        return Response(503) if turn == 2 else await sent(request, timeout_s=timeout_s, max_body=max_body)

    bench.transport.send = sometimes  # type: ignore[method-assign]
    for _ in range(12):
        await bench.outcome(A)
    first = asyncio.create_task(bench.dispatcher.run_once())
    await until(lambda: bench.dispatcher.under_way == 2, 5)
    for _ in range(12):
        await bench.outcome(A)

    assert await bench.dispatcher.run_once() == 12
    gate.set()
    assert await first == 12
    assert await bench.condition(A.lane) is Condition.WORKING
    assert len(await bench.deliveries(DeliveryState.DELIVERED)) == 23


class Alarm(ManualClock):
    """A clock on which no time passes: a loop that waits goes on only when it is woken."""

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:  # type: ignore[override] # as the Protocol has it
        await wakeup.wait()
        wakeup.clear()


async def sent(bench: Bench, number: int) -> None:
    """Run the loop until so many requests were sent; nobody but the loop itself wakes it."""
    running = asyncio.create_task(bench.dispatcher.run())
    await until(lambda: len(bench.transport.sent) == number, 20)
    bench.dispatcher.stop()
    await running


async def test_a_lane_that_failed_for_a_moment_is_looked_at_again_as_attempts_there_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five of the first sixteen are turned away for an hour, while the others are under way: few places, then many."""
    bench.clock = Alarm()
    bench.restart()
    no_place, send, claim, turns = (
        asyncio.Event(),
        bench.transport.send,
        bench.store.claim_due_deliveries,
        itertools.count(),
    )

    async def turn_away(request: Request, *, timeout_s: float, max_body: int) -> Response:
        if next(turns) < 5:
            return Response(503, headers={"retry-after": "3600"})
        await no_place.wait()
        return await send(request, timeout_s=timeout_s, max_body=max_body)

    async def look(*arguments: Any, **options: Any) -> list[Outgoing]:
        claimed = await claim(*arguments, **options)
        if not claimed:
            no_place.set()
        return claimed

    monkeypatch.setattr(bench.transport, "send", turn_away)
    monkeypatch.setattr(bench.store, "claim_due_deliveries", look)
    for _ in range(64):
        await bench.outcome(A)

    await sent(bench, 59)

    assert len(await bench.deliveries(DeliveryState.DELIVERED)) == 59


async def test_operators_are_told_at_once_of_a_delivery_that_was_given_up_though_its_receiver_answers(
    bench: Bench,
) -> None:
    bench.clock = Alarm()
    bench.policy = RetryPolicy(give_up_after_s=0.0)
    bench.routes[:] = [Route(to=(OPS,), operators=(OPS,))]
    bench.restart()
    bench.answer = lambda url, elapsed: Response(200 if "ops" in url else 500)
    await bench.outcome(A)

    await sent(bench, 2)

    assert [request.url for request in bench.transport.sent] == [A.url, "https://ops.example/"]


OUTAGES = {"2 min": 120.0, "10 min": 600.0, "1 h": HOUR, "6 h": 6 * HOUR, "24 h": 24 * HOUR, "71 h": 71 * HOUR}


async def test_timelines_over_72_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One delivery and a hundred, against outages of minutes, hours and days: none is lost or late by over 15 m."""
    lines = [f"{'outage':>8} {'deliveries':>10} {'attempts':>9} {'first after':>12} {'last after':>11}"]
    for name, outage_s in OUTAGES.items():
        for number in (1, 100):
            async with open_sqlite(tmp_path / f"{name}-{number}.db") as store:
                bench = Bench(store)
                bench.answer = down_until(outage_s)
                for _ in range(number):
                    await bench.outcome(A)
                await bench.pass_time(72 * HOUR)
                views = await bench.deliveries()
                delivered = sorted(view.delivery.finalized_at or 0.0 for view in views)
                late = [at - bench.started - outage_s for at in delivered]
                attempts = sum("hook" in sent.url for sent in bench.transport.sent)
                lines.append(f"{name:>8} {number:>10} {attempts:>9} {late[0]:>10.0f} s {late[-1]:>9.0f} s")

                assert {view.delivery.state for view in views} == {DeliveryState.DELIVERED}
                assert all(before <= after for before, after in pairwise(delivered))
                assert late[-1] <= 15 * 60 + 20
                assert attempts <= 320 + 4 * number
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201 - the figures are what this is for


async def test_a_receiver_down_for_longer_than_its_budget_exhausts_what_was_tried(bench: Bench) -> None:
    bench.answer = lambda url, elapsed: DOWN
    await bench.outcome(A)

    await bench.pass_time(73 * HOUR)

    (view,) = await bench.deliveries()
    assert view.delivery.state is DeliveryState.EXHAUSTED
    assert 72 * HOUR <= (view.delivery.finalized_at or 0.0) - bench.started <= 72 * HOUR + 15 * 60
