"""The dispatcher's rounds, on a real store and a scripted receiver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from support.doubles import EvenEntropy, ManualClock, PlainDestination, Reply, ScriptedTransport

from relay.core import ids
from relay.core.delivery import DeliveryState, Trigger, VerdictKind
from relay.core.event import outcome_event
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.observation import Job, Observation, Status
from relay.core.ports import DeliveryFilter, DeliveryView, Ending, Store
from relay.core.retry import RetryPolicy
from relay.core.watch import NewWatch, Target
from relay.destinations import SlackDestination, slack_template
from relay.dispatcher import Dispatcher
from relay.metrics import Metrics
from relay.occupancy import LANE_CONCURRENCY
from relay.outlet import Outlet
from relay.store import open_sqlite

HOOK = Target("url:1", "hook.example:443", url="https://hook.example/a")
OPS = Target("ops", "ops", name="ops")
POLICY = RetryPolicy(first_s=5.0, max_gap_s=6 * 3600.0, give_up_after_s=72 * 3600.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_sqlite(tmp_path / "relay.db") as opened:
        yield opened


class Bench:
    """A dispatcher with everything around it in hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        self.replies: list[Reply] = [Response(200)]
        self.transport = ScriptedTransport(self._answer)
        self.known = {"url:1", "ops"}
        self.dispatcher = self.new_dispatcher()

    def new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            store=self.store,
            resolve=self._resolve,
            clock=self.clock,
            entropy=EvenEntropy(),
            metrics=Metrics(),
        )

    def _resolve(self, target: Target) -> Outlet | None:
        if target.key not in self.known:
            return None
        return Outlet(PlainDestination(f"https://{target.lane}/", POLICY), self.transport)

    def _answer(self, request: Request) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def outcome(self, number: int = 1, *targets: Target) -> None:
        now = self.clock.now()
        new = NewWatch(f"wat_{number:03}", "plain", Job(f"j{number}"), now + 60, now, targets or (HOOK,))
        (added,) = await self.store.add_watches([new], now)
        event = outcome_event(added.watch, Observation(Status.COMPLETED, "done"), now)
        await self.store.finalize_watch(Ending(added.watch.id, Status.COMPLETED, "done", None, event), now)

    async def step(self, seconds: float = 0.0) -> int:
        self.clock.advance(seconds)
        return await self.dispatcher.run_once()

    async def delivery(self, watch_id: str = "wat_001") -> DeliveryView:
        (view,) = await self.store.deliveries(DeliveryFilter(watch_id=watch_id), before=None, limit=9)
        return await self.store.delivery(view.delivery.id)


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


async def test_a_delivery_is_sent_once_under_its_id_and_recorded(bench: Bench) -> None:
    await bench.outcome()

    assert [await bench.step(), await bench.step(9999)] == [1, 0]

    (sent,) = bench.transport.sent
    view = await bench.delivery()
    event = ids.event_id("wat_001", "job.completed")
    assert sent.headers["webhook-id"] == view.delivery.id == ids.delivery_id(event, "url:1")
    assert view.delivery.state is DeliveryState.DELIVERED
    assert [(a.number, a.verdict, a.status, a.trigger) for a in view.attempts] == [
        (1, VerdictKind.DELIVERED, 200, Trigger.SCHEDULED)
    ]


async def test_failures_are_retried_on_the_schedule_with_the_same_bytes(bench: Bench) -> None:
    bench.replies = [Response(503), TransportError(Fault.TIMEOUT, "no complete answer within 20 s"), Response(200)]
    await bench.outcome()

    assert await bench.step() == 1
    assert [await bench.step(4.9), await bench.step(0.2)] == [0, 1]
    assert [await bench.step(29.8), await bench.step(0.3)] == [0, 1]

    view = await bench.delivery()
    assert view.delivery.state is DeliveryState.DELIVERED
    assert [a.reason for a in view.attempts] == ["HTTP 503", "timeout: no complete answer within 20 s", None]
    assert len({(request.headers["webhook-id"], request.body) for request in bench.transport.sent}) == 1


async def test_a_delivery_survives_a_restart_of_the_daemon(bench: Bench) -> None:
    bench.replies = [Response(503), Response(200)]
    await bench.outcome()
    await bench.step()

    bench.dispatcher = bench.new_dispatcher()

    assert await bench.step(5.1) == 1
    assert (await bench.delivery()).delivery.state is DeliveryState.DELIVERED


async def test_a_receiver_down_for_days_ends_as_exhausted_and_can_be_resent(bench: Bench) -> None:
    bench.replies = [Response(500)]
    await bench.outcome()
    for _ in range(73):
        await bench.step(3600)
    exhausted = await bench.delivery()
    assert exhausted.delivery.state is DeliveryState.EXHAUSTED
    bench.replies = [Response(200)]

    await bench.store.resend(exhausted.delivery.id, bench.clock.now())
    assert await bench.step() == 1

    again = await bench.delivery()
    assert again.delivery.state is DeliveryState.DELIVERED
    assert again.delivery.id == exhausted.delivery.id
    assert again.attempts[-1].trigger is Trigger.MANUAL


async def test_a_refusal_ends_the_tries_at_once(bench: Bench) -> None:
    bench.replies = [Response(410)]
    await bench.outcome()

    await bench.step()

    view = await bench.delivery()
    assert (view.delivery.state, view.delivery.reason) == (DeliveryState.EXHAUSTED, "gone")


async def test_a_fault_of_our_own_costs_the_receiver_no_try(bench: Bench) -> None:
    bench.replies = [TransportError(Fault.LOCAL, "Too many open files"), Response(200)]
    await bench.outcome()

    await bench.step()

    assert (await bench.delivery()).delivery.tries == 0


async def test_a_destination_that_left_the_configuration_is_waited_for(bench: Bench) -> None:
    bench.known = {"url:1"}
    await bench.outcome(1, OPS)

    await bench.step()
    view = await bench.delivery()
    assert (view.delivery.state, view.delivery.reason) == (
        DeliveryState.PENDING,
        'no destination "ops" is configured',
    )
    bench.known.add("ops")
    await bench.step(5.1)

    assert (await bench.delivery()).delivery.state is DeliveryState.DELIVERED


async def test_one_host_takes_no_more_than_its_share_of_a_round(bench: Bench) -> None:
    for number in range(1, LANE_CONCURRENCY + 6):
        await bench.outcome(number)
    await bench.outcome(900, OPS)

    assert await bench.step() == LANE_CONCURRENCY + 1
    assert await bench.step() == 5


async def test_a_receiver_has_20_s_and_is_heard_for_16_kib(bench: Bench) -> None:
    await bench.outcome()

    await bench.step()

    assert (bench.transport.timeouts, bench.transport.limits) == ([20.0], [16_384])


async def test_the_start_of_the_answer_is_kept_clean(bench: Bench) -> None:
    bench.replies = [Response(500, body=b"\x1b[31mno\x00 way\x1b[0m" + b"x" * 5000)]
    await bench.outcome()

    await bench.step()

    (attempt,) = (await bench.delivery()).attempts
    assert attempt.response is not None
    assert attempt.response.startswith("[31mno way[0mxxx")
    assert len(attempt.response) == 2000


async def test_a_template_that_fails_costs_nobody_the_message_and_is_told(bench: Bench) -> None:
    metrics = bench.dispatcher._metrics
    slack = SlackDestination("https://hooks.slack.com/x", POLICY, template=slack_template("{{ error.message }}"))
    bench.dispatcher.adopt(lambda _: Outlet(slack, bench.transport), {}, [])
    bench.replies = [Response(200, body=b"ok")]
    await bench.outcome(1, OPS)

    with structlog.testing.capture_logs() as lines:
        assert await bench.step() == 1

    doubt = "the template failed, and the message was relay's own: line 1: 'None' has no attribute 'message'"
    view = await bench.delivery()
    assert view.delivery.state is DeliveryState.DELIVERED
    assert [attempt.reason for attempt in view.attempts] == [doubt]
    assert b"plain job completed" in (bench.transport.sent[0].body or b"")
    assert [line["doubt"] for line in lines if line["event"] == "message.doubted"] == [doubt]
    assert metrics.doubted_messages.labels("ops")._value.get() == 1


async def test_a_delivery_that_falls_due_while_others_are_claimed_is_claimed_next_and_not_slept_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim takes time on a busy machine: what comes due meanwhile is neither claimed nor in the future."""
    await bench.outcome(1)
    bench.clock.advance(0.5)
    await bench.outcome(2)
    bench.clock.advance(-0.5)
    claim = bench.store.claim_due_deliveries

    async def slowly(*arguments: object, **options: object) -> object:
        claimed = await claim(*arguments, **options)  # type: ignore[arg-type]
        bench.clock.advance(1.0)
        return claimed

    monkeypatch.setattr(bench.store, "claim_due_deliveries", slowly)
    async with asyncio.TaskGroup() as attempts:
        idle_s = await bench.dispatcher._round(attempts)

    assert len(bench.transport.sent) == 1
    assert idle_s < 0.01
