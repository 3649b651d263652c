"""Watches and deliveries in a store, and what becomes of them."""

from dataclasses import replace

from relay.core import ids
from relay.core.condition import Finding
from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.etiquette import Sign
from relay.core.event import outcome_event
from relay.core.observation import Job, Observation, Output, Status
from relay.core.ports import Ending, Outgoing, Store
from relay.core.watch import Continue, NewWatch, Target, Watch

NOW = 1_800_000_000.0
OPS = Target("ops", "ops", name="ops")
HOOK = Target("url:1", "hook.example:443", url="https://hook.example/a")


def new(number: int = 1, **changes: object) -> NewWatch:
    made = NewWatch(
        id=ids.watch_id(NOW + number, number.to_bytes(10, "big")),
        provider="getimg",
        job=Job(f"req-{number}", {"tier": "x"}),
        deadline=NOW + 3600,
        next_poll_at=NOW + number,
        targets=(HOOK,),
        metadata={"order": str(number)},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def added(store: Store, *wanted: NewWatch) -> list[Watch]:
    return [item.watch for item in await store.add_watches(wanted, NOW)]


def polled(watch: Watch, *, seen_at: float) -> Continue:
    return Continue(
        watch_id=watch.id,
        status=Status.RUNNING,
        next_poll_at=seen_at + 1,
        demand=0.5,
        provider_status="x",
        model=None,
        progress=None,
        began_at=None,
        seen_at=seen_at,
        running_since=None,
        estimated_end_at=None,
        failed_polls=0,
        missing_polls=0,
        missing_since=None,
        last_error=None,
    )


def ending(watch: Watch, status: Status = Status.COMPLETED, routed: tuple[Target, ...] = ()) -> Ending:
    seen = Observation(status, "done", model="m1", outputs=(Output("https://files.example/a.mp4"),), raw='{"a":1}')
    return Ending(watch.id, status, "done", "m1", outcome_event(watch, seen, NOW + 50), routed)


async def ended(store: Store, number: int = 1, **changes: object) -> Watch:
    (watch,) = await added(store, new(number, **changes))
    assert await store.finalize_watch(ending(watch), NOW + 50)
    return watch


async def claim(store: Store, now: float = NOW + 100, **limits: object) -> list[Outgoing]:
    options = {
        "until": now + 30,
        "limit": 100,
        "per_lane": 100,
        "per_failing_lane": 100,
        "retries": 100,
        "limits": {},
        "busy": {},
    } | limits
    return await store.claim_due_deliveries(now, **options)  # type: ignore[arg-type]


async def let_go(store: Store, now: float) -> int:
    """Return how many held deliveries a claim at `now` lets go of; it leases nothing."""
    held = (await store.counts()).deliveries.get(DeliveryState.HELD, 0)
    await claim(store, now, until=0.0)
    return held - (await store.counts()).deliveries.get(DeliveryState.HELD, 0)


def attempt(delivery_id: str, verdict: VerdictKind = VerdictKind.RETRY, number: int = 1) -> Attempt:
    return Attempt(delivery_id, number, Trigger.SCHEDULED, NOW + 100, 0.25, verdict, 503, "busy", "try later")


def pending(delivery_id: str, at: float = NOW + 105) -> Settlement:
    return Settlement(delivery_id, DeliveryState.PENDING, at, 1, "busy", None)


def final(delivery_id: str, state: DeliveryState) -> Settlement:
    return Settlement(delivery_id, state, NOW + 100, 1, None, NOW + 101)


def failing(sign: Sign = Sign.ABSENT, at: float = NOW + 100, target: Target = HOOK) -> Finding:
    return Finding(
        target, sign, at, sample=0.0, began_at=at, detail="refused", operators={"destination.disabled": (OPS,)}
    )


async def outage(store: Store, at: float = NOW + 100) -> None:
    """Find five times in a minute that nothing answers."""
    for number in range(5):
        await store.settle_attempts([], failing(at=at + number * 15))
