"""Drains the outbox: claim due deliveries, send, settle."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

import structlog

from relay.chats import Chats
from relay.core.condition import DOWN, Answered, Change, Finding
from relay.core.delivery import Attempt, Delivery, DeliveryState, Settlement, Verdict, VerdictKind
from relay.core.digest import MOST_TOLD, settle_together, takes_company
from relay.core.errors import StoreError
from relay.core.etiquette import Sign
from relay.core.event import DESTINATION_NEWS, EXHAUSTED, exhausted_event, tells_of_deliveries
from relay.core.http import Response
from relay.core.instant import iso
from relay.core.ports import Clock, Dispatching, Entropy, News, Outgoing
from relay.core.retry import RetryPolicy
from relay.core.routing import Route, operator_targets
from relay.core.text import clean
from relay.core.watch import Target
from relay.metrics import Metrics
from relay.occupancy import FAILING_LANE_CONCURRENCY, LANE_CONCURRENCY, Occupancy
from relay.outlet import ATTEMPT_TIMEOUT_S, Outlet

log = structlog.get_logger("relay.dispatcher")

KEPT_RESPONSE_CHARACTERS = 2000
_LEASE_S = ATTEMPT_TIMEOUT_S + 15
_LONGEST_WAIT_S = 30.0
_CROWDED_WAIT_S = 0.1
"""How often the loop looks for free places where more is due than there are."""


class Dispatcher:
    """The delivery loop; `wakeup` is raised when a delivery may be due earlier than thought.

    `resolve` finds the outlet of a target, or None where the configuration
    names no such destination any more.  `chats` are the lanes of those who are
    told one message at a time, each with its service.
    """

    def __init__(
        self,
        *,
        store: Dispatching,
        resolve: Callable[[Target], Outlet | None],
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        chats: Mapping[str, str] | None = None,
        routes: Sequence[Route] = (),
    ) -> None:
        self.wakeup = asyncio.Event()
        self.ticked_at = clock.monotonic()
        self._store = store
        self._resolve = resolve
        self._clock = clock
        self._entropy = entropy
        self._metrics = metrics
        self._occupancy = Occupancy()
        self._sending: set[str] = set()
        self._looks_at = math.inf
        self._claimed_at = clock.now(), clock.monotonic()
        """Up to when what is due was looked for last, by both clocks."""
        self._chats = Chats(chats or {})
        self._routes = routes
        self._stopping = False

    @property
    def under_way(self) -> int:
        """How many attempts have not been answered."""
        return self._occupancy.taken

    def adopt(
        self, resolve: Callable[[Target], Outlet | None], chats: Mapping[str, str], routes: Sequence[Route]
    ) -> None:
        """Find outlets and operators by these from now on; attempts under way keep theirs."""
        self._resolve, self._routes = resolve, routes
        self._chats.adopt(chats)
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
        self._looks_at = math.inf
        try:
            for outgoing in await self._claim():
                attempts.create_task(self._deliver(outgoing))
            idle_s = _CROWDED_WAIT_S if self._occupancy.crowded else await self._idle_s()
        except StoreError as error:
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.error("deliveries.claim_failed", error=str(error))
            return 1.0
        self._looks_at = self._clock.monotonic() + idle_s
        return max(min(idle_s, _LONGEST_WAIT_S), 0.001)

    async def _idle_s(self) -> float:
        """Return how long nothing new falls due, and no chat may be told more.

        What came while the claim was under way was not claimed, and counts as new.
        """
        claimed_at, claimed_tick = self._claimed_at
        due, rested = await self._store.next_delivery_due(after=claimed_at), self._chats.next_end(claimed_tick)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return min(
            _LONGEST_WAIT_S if due is None else due - now, _LONGEST_WAIT_S if rested is None else rested - monotonic
        )

    async def _claim(self) -> list[Outgoing]:
        free, busy = self._occupancy.free, self._occupancy.by_lane()
        if free <= 0:
            return []
        now, monotonic = self._claimed_at = self._clock.now(), self._clock.monotonic()
        limits = self._chats.limits(monotonic)
        due = await self._store.claim_due_deliveries(
            now,
            until=now + _LEASE_S,
            limit=free,
            per_lane=LANE_CONCURRENCY,
            per_failing_lane=FAILING_LANE_CONCURRENCY,
            retries=self._occupancy.free_for_retries,
            limits=limits,
            busy=busy,
        )
        claimed = self._taken(due)
        self._occupancy.take(claimed, filled=len(due) == free, busy=busy, limits=limits)
        return claimed

    def _taken(self, claimed: Sequence[Outgoing]) -> list[Outgoing]:
        """Return what is not being sent already: the wall clock may outrun a lease."""
        taken = [outgoing for outgoing in claimed if outgoing.delivery.id not in self._sending]
        self._sending.update(outgoing.delivery.id for outgoing in taken)
        return taken

    async def _deliver(self, outgoing: Outgoing) -> None:
        taken = [outgoing]
        try:
            try:
                # once: a reload meanwhile must not have it composed by one and settled by another
                outlet = self._resolve(outgoing.delivery.target)
                taken = await self._message(outgoing, outlet)
                message = await self._awake(taken, outlet)
                settled, finding = await self._attempt(message, outlet) if message else ([], None)
            finally:  # the commit needs no place: those are for requests
                if self._occupancy.leave(outgoing.delivery):
                    self.wakeup.set()
            if settled:
                news = self._news(message, settled)
                change = await self._store.settle_attempts(settled, finding, news)
                if change is not None:
                    self._report_change(outgoing.delivery.target, change)
                if any(item.targets for item in news):
                    self.wakeup.set()
                if any(not settlement.state.final for _, settlement in settled):
                    self._planned(min(settlement.next_attempt_at for _, settlement in settled))
            for item, (attempt, settlement) in zip(message, settled, strict=True):
                self._report(item.delivery, attempt, settlement.state, told_with=len(message) - 1)
        except StoreError as error:  # its lease runs out, and it is sent again under the same id
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.error("attempt.commit_failed", delivery_id=outgoing.delivery.id, error=str(error))
        except Exception:  # the loop's one boundary: a bug about one delivery must not stop the others
            self._metrics.loop_errors.labels("dispatcher").inc()
            log.exception("attempt.failed", delivery_id=outgoing.delivery.id)
        finally:
            self._sending.difference_update(item.delivery.id for item in taken)

    def _planned(self, next_attempt_at: float) -> None:
        """Have the loop look in time for a retry that was planned while it slept."""
        if next_attempt_at - self._clock.now() < self._looks_at - self._clock.monotonic():
            self.wakeup.set()

    async def _message(self, first: Outgoing, outlet: Outlet | None) -> list[Outgoing]:
        """Return everything that one message tells of."""
        if outlet is None or outlet.digests is None or not takes_company(first.delivery):
            return [first]
        now = self._clock.now()
        company = await self._store.claim_company(first.delivery, now, until=now + _LEASE_S, limit=MOST_TOLD - 1)
        return [first, *self._taken(company)]

    async def _awake(self, message: Sequence[Outgoing], outlet: Outlet | None) -> list[Outgoing]:
        """Return what may go now; what has to wait for the end of quiet hours is put off until then."""
        if outlet is None or outlet.quiet is None:
            return list(message)
        now = self._clock.now()
        waits = {item.delivery.id: until for item in message if (until := outlet.waits_until(item, now)) is not None}
        if waits:
            await self._store.postpone(waits, now)
            for delivery_id, until in waits.items():
                log.info("delivery.postponed", delivery_id=delivery_id, until=iso(until))
            self.wakeup.set()  # where it was to find out whether its destination is back, another has to
        return [item for item in message if item.delivery.id not in waits]

    async def _attempt(
        self, message: Sequence[Outgoing], outlet: Outlet | None
    ) -> tuple[list[tuple[Attempt, Settlement]], Finding | Answered | None]:
        """Send once; return what happened, what it makes of each delivery, and what it tells of the destination."""
        started, started_at = self._clock.monotonic(), self._clock.now()
        target = message[0].delivery.target
        response: Response | None = None
        if outlet is None:
            verdict = Verdict(VerdictKind.RETRY, f'no destination "{target.name}" is configured')
        else:
            request = outlet.request(message, self._clock.now())
            if request.doubt is not None:
                self._doubt(message[0].delivery, request.doubt)
            response, verdict = await outlet.send(request, self._clock)
            if target.lane in self._chats:
                self._leave_alone(message[0].delivery, outlet, verdict)
        deliveries = [item.delivery for item in message]
        settlements = settle_together(
            deliveries,
            verdict,
            outlet.destination.retry if outlet else RetryPolicy(),
            now=self._clock.now(),
            sample=self._entropy.sample(),
        )
        duration_s = self._clock.monotonic() - started
        reason = verdict.reason or (f"told in one message with {len(message) - 1} others" if message[1:] else None)
        attempts = [
            Attempt(
                delivery_id=delivery.id,
                number=delivery.attempts + 1,
                trigger=delivery.trigger,
                started_at=started_at,
                duration_s=duration_s,
                verdict=verdict.kind,
                status=response.status if response else None,
                reason=reason,
                response=_kept(response),
            )
            for delivery in deliveries
        ]
        settled = list(zip(attempts, settlements, strict=True))
        if outlet is None:
            return settled, None
        return settled, self._finding(message[0], outlet, started_at, verdict, settlements[0])

    def _finding(
        self, outgoing: Outgoing, outlet: Outlet, began_at: float, verdict: Verdict, settlement: Settlement
    ) -> Finding | Answered | None:
        """Return what an attempt tells of its destination, if anything."""
        sign = verdict.sign
        if sign is Sign.UNKNOWN:
            return None
        if sign in (Sign.WORKS, Sign.ANSWERS) and outgoing.failures is None:
            return Answered(outgoing.delivery.target.lane)
        return Finding(
            target=outgoing.delivery.target,
            sign=sign,
            began_at=began_at,
            at=self._clock.now(),
            sample=self._entropy.sample(),
            again_at=None if settlement.state.final else settlement.next_attempt_at,
            floor_s=verdict.retry_after_s or 0.0,
            told_together=1 if outlet.digests is None else MOST_TOLD,
            detail=verdict.reason,
            operators={told: self._operators(told, outgoing.delivery.target) for told in DESTINATION_NEWS},
        )

    def _operators(self, event_type: str, about: Target) -> tuple[Target, ...]:
        """Return whom to tell of trouble with a destination: never that destination itself."""
        wanted = operator_targets(event_type, self._routes)
        return tuple(target for target in wanted if target.key != about.key)

    def _news(self, message: Sequence[Outgoing], settled: Sequence[tuple[Attempt, Settlement]]) -> list[News]:
        """Return what operators are told of deliveries that were given up."""
        now = self._clock.now()
        return [
            News(
                exhausted_event(item.delivery.id, _name(item.delivery.target), item.event, settlement.reason, now),
                self._operators(EXHAUSTED, item.delivery.target),
            )
            for item, (_, settlement) in zip(message, settled, strict=True)
            if settlement.state is DeliveryState.EXHAUSTED and not tells_of_deliveries(item.event.type)
        ]

    def _report_change(self, target: Target, change: Change) -> None:
        """Tell of a change of a destination, and let what was let go or held be looked at."""
        if change.health.condition in DOWN:  # from now on its probes keep the pace
            self._chats.narrow(target.lane, self._clock.monotonic())
        if change.tell is not None:
            level = log.info if change.tell == "destination.recovered" else log.warning
            level(
                change.tell,
                destination=target.name or target.lane,
                condition=str(change.health.condition),
                detail=change.health.detail,
            )
        self.wakeup.set()

    def _doubt(self, delivery: Delivery, doubt: str) -> None:
        self._metrics.doubted_messages.labels(delivery.target.name or "callback").inc()
        log.warning("message.doubted", delivery_id=delivery.id, destination=delivery.target.name, doubt=doubt)

    def _leave_alone(self, first: Delivery, outlet: Outlet, verdict: Verdict) -> None:
        """Remember how long a chat is to hear nothing; what a person wants sent again is no storm."""
        lane, now = first.target.lane, self._clock.monotonic()
        if verdict.sign is not Sign.UNKNOWN and outlet.digests is not None and takes_company(first):
            self._chats.told(lane, widest_s=outlet.digests.widest_s, now=now)
        rest_s = max(verdict.rest_s, verdict.retry_after_s or 0.0)
        self._chats.rest(lane, now + rest_s, widely=verdict.rests_service)

    def _report(self, delivery: Delivery, attempt: Attempt, state: DeliveryState, *, told_with: int) -> None:
        self._metrics.attempts.labels(attempt.verdict).inc()
        self._metrics.attempt_seconds.observe(attempt.duration_s)
        if state.final:
            self._metrics.settled.labels(state).inc()
        level = log.info if attempt.verdict is VerdictKind.DELIVERED else log.warning
        level(
            "delivery.settled",
            delivery_id=delivery.id,
            watch_id=delivery.watch_id,
            destination=_name(delivery.target),
            attempt=attempt.number,
            trigger=str(attempt.trigger),
            verdict=str(attempt.verdict),
            http_status=attempt.status,
            state=str(state),
            told_with=told_with,
            duration_s=round(attempt.duration_s, 3),
        )


def _name(target: Target) -> str:
    return target.name or "callback"


def _kept(response: Response | None) -> str | None:
    if response is None:
        return None
    return clean(response.body.decode("utf-8", "replace"), KEPT_RESPONSE_CHARACTERS) or None
