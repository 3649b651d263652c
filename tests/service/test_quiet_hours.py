"""Quiet hours in the outbox: what can wait is told in the morning, and nothing is used up by waiting."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.doubles import EvenEntropy, ManualClock, PlainDestination, Reply, ScriptedTransport

from relay.core.condition import Finding
from relay.core.delivery import DeliveryState
from relay.core.etiquette import Sign
from relay.core.event import outcome_event
from relay.core.http import Response
from relay.core.observation import Job, Observation, Status
from relay.core.ports import DeliveryFilter, DeliveryView, Ending, Store
from relay.core.quiet import QuietHours
from relay.core.retry import RetryPolicy
from relay.core.watch import NewWatch, Target
from relay.destinations import SlackDestination
from relay.dispatcher import Dispatcher
from relay.metrics import Metrics
from relay.outlet import Digests, Outlet
from relay.store import open_sqlite

OPS, OTHER = (Target(name, name, name=name) for name in ("ops", "other"))
NIGHT = QuietHours(time(22), time(7), ZoneInfo("Europe/Berlin"), ("job.failed",))
EVENING = datetime(2026, 11, 20, 22, 30, tzinfo=UTC).timestamp()  # 23:30 in Berlin
MORNING = datetime(2026, 11, 21, 6, 0, tzinfo=UTC).timestamp()
POLICY = RetryPolicy(first_s=5.0, max_gap_s=60.0, give_up_after_s=3600.0)


class Night:
    """A dispatcher whose destination `ops` sleeps from 22:00 to 07:00."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock(EVENING)
        self.reply: Reply = Response(200, body=b"ok")
        self.transport = ScriptedTransport(lambda _: self.reply)
        self.chat = False
        self.dispatcher = Dispatcher(
            store=store, resolve=self.resolve, clock=self.clock, entropy=EvenEntropy(), metrics=Metrics()
        )

    def resolve(self, target: Target) -> Outlet:
        quiet = NIGHT if target == OPS else None
        if self.chat:
            slack = SlackDestination("https://hooks.slack.com/x", POLICY)
            return Outlet(slack, self.transport, Digests(slack.digest, 60.0), quiet)
        return Outlet(PlainDestination(f"https://{target.lane}/", POLICY), self.transport, quiet=quiet)

    async def ends(self, number: int, status: Status, *targets: Target) -> None:
        now = self.clock.now()
        new = NewWatch(f"wat_{number:03}", "plain", Job(f"j{number}"), now + 60, now, targets or (OPS,))
        (added,) = await self.store.add_watches([new], now)
        event = outcome_event(added.watch, Observation(status, "x"), now)
        await self.store.finalize_watch(Ending(added.watch.id, status, "x", None, event), now)

    async def delivery(self, number: int) -> DeliveryView:
        (view,) = await self.store.deliveries(DeliveryFilter(watch_id=f"wat_{number:03}"), before=None, limit=9)
        return await self.store.delivery(view.delivery.id)

    async def until(self, instant: float) -> None:
        self.clock.advance(instant - self.clock.now())
        while await self.dispatcher.run_once():
            pass


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Night]:
    async with open_sqlite(tmp_path / "relay.db") as store:
        yield Night(store)


async def test_what_can_wait_is_told_in_the_morning(night: Night) -> None:
    await night.ends(1, Status.COMPLETED)

    await night.until(EVENING)
    await night.until(MORNING - 1)
    assert night.transport.sent == []
    waiting = await night.delivery(1)
    assert (waiting.delivery.state, waiting.delivery.next_attempt_at) == (DeliveryState.PENDING, MORNING)
    assert waiting.delivery.reason == "quiet hours"

    await night.until(MORNING)
    told = await night.delivery(1)
    assert len(night.transport.sent) == 1
    assert (told.delivery.state, told.delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert told.delivery.reason is None


async def test_failures_and_other_destinations_do_not_wait(night: Night) -> None:
    await night.ends(1, Status.FAILED)
    await night.ends(2, Status.COMPLETED, OTHER)

    await night.until(EVENING)

    assert [request.url for request in night.transport.sent] == ["https://ops/", "https://other/"]


async def test_what_a_person_sends_again_does_not_wait(night: Night) -> None:
    await night.ends(1, Status.COMPLETED)
    await night.until(EVENING)

    await night.store.resend((await night.delivery(1)).delivery.id, night.clock.now())
    await night.until(EVENING + 1)

    assert len(night.transport.sent) == 1


async def test_a_night_uses_up_neither_tries_nor_the_time_budget(night: Night) -> None:
    """An hour is all that this destination is insisted on, and the night is longer."""
    await night.ends(1, Status.COMPLETED)
    await night.until(EVENING)
    night.reply = Response(503)

    await night.until(MORNING)
    first = await night.delivery(1)
    assert (first.delivery.state, first.delivery.tries) == (DeliveryState.PENDING, 1)
    night.reply = Response(200)
    await night.until(MORNING + 3599)

    assert (await night.delivery(1)).delivery.state is DeliveryState.DELIVERED


async def test_what_can_wait_does_not_go_along_with_what_cannot(night: Night) -> None:
    """A chat's message tells of everything that is due, but for what sleeps."""
    night.chat = True
    night.dispatcher.adopt(night.resolve, {OPS.lane: "slack"}, [])
    await night.ends(1, Status.COMPLETED)
    await night.ends(2, Status.FAILED)
    await night.ends(3, Status.COMPLETED)

    await night.until(EVENING)

    assert len(night.transport.sent) == 1
    assert b"plain job failed" in (night.transport.sent[0].body or b"")
    assert [(await night.delivery(number)).delivery.state for number in (1, 2, 3)] == [
        DeliveryState.PENDING,
        DeliveryState.DELIVERED,
        DeliveryState.PENDING,
    ]

    await night.until(MORNING)
    assert len(night.transport.sent) == 2
    assert b"2 jobs ended" in (night.transport.sent[1].body or b"")


async def test_what_cannot_wait_is_told_as_soon_as_a_chat_is_back_however_much_that_can_is_held_before_it(
    night: Night,
) -> None:
    await night.until(EVENING)
    for number in range(5):
        absent = Finding(OPS, Sign.ABSENT, at := EVENING + 15 * number, sample=0.0, began_at=at)
        await night.store.settle_attempts([], absent)
    for number in range(1, 6):
        await night.ends(number, Status.COMPLETED)
    await night.ends(6, Status.FAILED)
    assert (await night.store.counts()).deliveries == {DeliveryState.HELD: 6}

    await night.until(EVENING + 60 + 30)  # when the first probe goes

    assert (await night.delivery(6)).delivery.state is DeliveryState.DELIVERED
    assert len(night.transport.sent) == 1
