"""Drains the outbox: claim due deliveries, send, settle."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from relay.core.delivery import Attempt, Delivery, Settlement, Verdict, VerdictKind, settle
from relay.core.errors import StoreError
from relay.core.http import Fault, Response, TransportError
from relay.core.ports import Clock, Destination, Entropy, Outgoing, Store, Transport
from relay.core.retry import RetryPolicy
from relay.core.text import clean
from relay.core.watch import Target
from relay.metrics import Metrics

log = structlog.get_logger("relay.dispatcher")

ATTEMPT_TIMEOUT_S = 20.0
MAX_RESPONSE_BYTES = 16 * 1024
KEPT_RESPONSE_CHARACTERS = 2000
CONCURRENCY = 128
LANE_CONCURRENCY = 16
"""Attempts under way to one host: a hung one holds these, and no more."""
_LEASE_S = ATTEMPT_TIMEOUT_S + 15
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Outlet:
    """A destination, and the client that may reach it."""

    destination: Destination
    transport: Transport


class Dispatcher:
    """The delivery loop; `wakeup` is raised when a delivery may be due earlier than thought.

    `resolve` finds the outlet of a target, or None where the configuration
    names no such destination any more.
    """

    def __init__(
        self,
        *,
        store: Store,
        resolve: Callable[[Target], Outlet | None],
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
    ) -> None:
        self.wakeup = asyncio.Event()
        self.ticked_at = clock.monotonic()
        self._store = store
        self._resolve = resolve
        self._clock = clock
        self._entropy = entropy
        self._metrics = metrics
        self._busy: Counter[str] = Counter()
        self._stopping = False

    @property
    def under_way(self) -> int:
        """How many attempts have not been answered."""
        return self._busy.total()

    def adopt(self, resolve: Callable[[Target], Outlet | None]) -> None:
        """Find outlets by another function from now on; attempts under way keep theirs."""
        self._resolve = resolve
        self.wakeup.set()

    def stop(self) -> None:
        """Claim no more; `run` returns when what is under way is done."""
        self._stopping = True
        self.wakeup.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        async with asyncio.TaskGroup() as attempts:
            while not self._stopping:
                await self._clock.wait(self.wakeup, await self._round(attempts))

    async def run_once(self) -> int:
        """Make one attempt for everything that is due now; return how many that were."""
        async with asyncio.TaskGroup() as attempts:
            claimed = await self._claim()
            for outgoing in claimed:
                attempts.create_task(self._deliver(outgoing))
        return len(claimed)

    async def _round(self, attempts: asyncio.TaskGroup) -> float:
        """Start what is due, and return how long nothing else can be."""
        self.ticked_at = self._clock.monotonic()
        try:
            for outgoing in await self._claim():
                attempts.create_task(self._deliver(outgoing))
            now = self._clock.now()
            due = await self._store.next_delivery_due(after=now)
            return _LONGEST_WAIT_S if due is None else max(min(due - now, _LONGEST_WAIT_S), 0.001)
        except StoreError as error:
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.error("deliveries.claim_failed", error=str(error))
            return 1.0

    async def _claim(self) -> list[Outgoing]:
        room = CONCURRENCY - self._busy.total()
        if room <= 0:
            return []
        now = self._clock.now()
        claimed = await self._store.claim_due_deliveries(
            now, until=now + _LEASE_S, limit=room, per_lane=LANE_CONCURRENCY, busy=self._busy
        )
        self._busy.update(outgoing.delivery.target.lane for outgoing in claimed)
        return claimed

    async def _deliver(self, outgoing: Outgoing) -> None:
        try:
            try:
                attempt, settlement = await self._attempt(outgoing)
            finally:  # the commit needs no place: those are for requests
                self._leave(outgoing.delivery.target.lane)
            await self._store.settle_attempt(attempt, settlement)
            self._metrics.attempts.labels(attempt.verdict).inc()
            self._metrics.attempt_seconds.observe(attempt.duration_s)
            if settlement.state.final:
                self._metrics.settled.labels(settlement.state).inc()
            self._report(outgoing.delivery, attempt, str(settlement.state))
        except StoreError as error:  # its lease runs out, and it is sent again under the same id
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.error("attempt.commit_failed", delivery_id=outgoing.delivery.id, error=str(error))
        except Exception:  # the loop's one boundary: a bug about one delivery must not stop the others
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.exception("attempt.failed", delivery_id=outgoing.delivery.id)

    def _leave(self, lane: str) -> None:
        """Give up a place in a lane."""
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
        self.wakeup.set()

    async def _attempt(self, outgoing: Outgoing) -> tuple[Attempt, Settlement]:
        """Send once; return what happened, and what it makes of the delivery."""
        delivery = outgoing.delivery
        started, started_at = self._clock.monotonic(), self._clock.now()
        outlet = self._resolve(delivery.target)
        response: Response | None = None
        if outlet is None:
            verdict = Verdict(VerdictKind.RETRY, f'no destination "{delivery.target.name}" is configured')
        else:
            response, verdict = await send(outlet, outgoing, self._clock)
        now = self._clock.now()
        policy = outlet.destination.retry if outlet else RetryPolicy()
        settlement = settle(delivery, verdict, policy, now=now, sample=self._entropy.sample())
        attempt = Attempt(
            delivery_id=delivery.id,
            number=delivery.attempts + 1,
            trigger=delivery.trigger,
            started_at=started_at,
            duration_s=self._clock.monotonic() - started,
            verdict=verdict.kind,
            status=response.status if response else None,
            reason=verdict.reason,
            response=_kept(response),
        )
        return attempt, settlement

    def _report(self, delivery: Delivery, attempt: Attempt, state: str) -> None:
        level = log.info if attempt.verdict is VerdictKind.DELIVERED else log.warning
        level(
            "delivery.settled",
            delivery_id=delivery.id,
            watch_id=delivery.watch_id,
            destination=delivery.target.name or "callback",
            attempt=attempt.number,
            trigger=str(attempt.trigger),
            verdict=str(attempt.verdict),
            http_status=attempt.status,
            state=state,
            duration_s=round(attempt.duration_s, 3),
        )


async def send(outlet: Outlet, outgoing: Outgoing, clock: Clock) -> tuple[Response | None, Verdict]:
    """Make one attempt; return the answer, None where there is none, and what it means."""
    request = outlet.destination.request(outgoing.delivery, outgoing.event, clock.now())
    try:
        response = await outlet.transport.send(request, timeout_s=ATTEMPT_TIMEOUT_S, max_body=MAX_RESPONSE_BYTES)
    except TransportError as error:
        return None, Verdict(VerdictKind.RETRY, str(error), costs_try=error.fault is not Fault.LOCAL)
    return response, outlet.destination.verdict(response, clock.now())


def _kept(response: Response | None) -> str | None:
    if response is None:
        return None
    return clean(response.body.decode("utf-8", "replace"), KEPT_RESPONSE_CHARACTERS) or None
