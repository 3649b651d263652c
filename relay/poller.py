"""Follows the jobs of one credential: claim due watches, ask, interpret, decide, commit."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from relay.core.errors import StoreError
from relay.core.event import outcome_event, overdue_event
from relay.core.lessons import Lessons, added, detection_lag_s, lessons
from relay.core.observation import Answer, Observation, Trouble
from relay.core.outlook import Contention
from relay.core.ports import Clock, Ending, Entropy, Polling, Transport
from relay.core.routing import Route, overdue_targets, routed_targets
from relay.core.schedule import contention
from relay.core.watch import Continue, End, Watch, decide
from relay.credential import Credential
from relay.experience import Experience
from relay.inquiry import POLL_TIMEOUT_S, Account, Inquiry
from relay.metrics import Metrics
from relay.slow import SlowPolls

log = structlog.get_logger("relay.poller")

_LEASE_S = 3 * POLL_TIMEOUT_S + 10
"""A claimed watch may wait for a free slot, be asked about, and need a second request."""
_LONGEST_WAIT_S = 30.0
"""The loop looks at least this often, so that a jump of the wall clock is noticed."""
_SHORTEST_WAIT_S = 0.05
"""What falls due within this is claimed together: little beside the lag that is wanted, it spares most transactions."""
_CONTENTION_EVERY_S = 5.0
"""How old the known demand on a shared budget may be."""
_CONTENTION_SHARE = 0.02
"""How much of the time may go into asking for it, however many watches there are."""
_RAMP_S = 3.0
"""Over this time after the start the credential's concurrency is opened."""
_SLOW_PER_SLOT = 3
"""How many polls that are slow are waited for without a slot, for each that there is: hanging ones stop no others."""
_WARNED_LIMIT = 1000


class Poller:
    """The loop of one account; `wakeup` is raised when a watch may be due earlier than thought."""

    def __init__(
        self,
        account: Account,
        *,
        store: Polling,
        transport: Transport,
        clock: Clock,
        entropy: Entropy,
        routes: Sequence[Route],
        metrics: Metrics,
        on_end: Callable[[str], None],
        on_event: Callable[[], None],
    ) -> None:
        self.experience = Experience(account.name, account.following.typical_s)
        self.wakeup = asyncio.Event()
        self.ticked_at = clock.monotonic()
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._routes = routes
        self._metrics = metrics
        self._poll_seconds = metrics.poll_seconds.labels(account.name)
        self._on_end = on_end
        self._on_event = on_event
        self._log = log.bind(provider=account.name)
        self._credential = Credential(
            account.name,
            account.read_secrets,
            store=store,
            entropy=entropy,
            routes=routes,
            log=self._log,
            on_event=on_event,
        )
        self._inquiry = Inquiry(account, self._credential, transport, clock)
        self._queue: deque[Watch] = deque()
        self._asking = 0
        self._slow = SlowPolls()
        self._following: set[str] = set()
        self._retrying: set[str] = set()
        """Of those, the ones whose last poll failed, and that are not slow."""
        self._more_due = False
        """Whether there may be more to claim as soon as there is room."""
        self._retries_due = False
        """Whether there may be more to claim as soon as a retry is over."""
        self._claimed_at = -math.inf
        """Up to which instant what is due was looked for last."""
        self._looks_at = math.inf
        """When the loop looks again by itself, by the monotonic clock; what falls due before that has to wake it."""
        self._started_at = clock.monotonic()
        self._contention_due = -math.inf
        self._unwritten: list[Continue] = []
        self._writing = False
        self._warned: set[str] = set()
        self._stopping = False

    @property
    def account(self) -> Account:
        """The account as it is described now."""
        return self._inquiry.account

    @property
    def under_way(self) -> int:
        """How many watches are claimed and not settled."""
        return len(self._following)

    def adopt(self, account: Account, routes: Sequence[Route]) -> None:
        """Go on with another description of the same account; polls under way end by the one they began with.

        The credential is read again, and a rest for want of a working one ends.
        """
        self._inquiry.adopt(account)
        self._credential.adopt(account.read_secrets, routes)
        self._routes = routes
        self.experience.expect(account.following.typical_s)
        self._contention_due = -math.inf
        self.wakeup.set()

    def set_back(self, seconds: float) -> None:
        """Go by a wall clock that was set back, and the store with it."""
        self._credential.set_back(seconds)
        self.wakeup.set()

    def planned(self, next_poll_at: float) -> None:
        """Have the loop look in time for a poll that was planned while it slept."""
        if next_poll_at - self._clock.now() < self._looks_at - self._clock.monotonic():
            self.wakeup.set()

    def stop(self) -> None:
        """Claim no more, and give back what is not asked about yet; `run` returns when what is under way is done."""
        self._stopping = True
        self.wakeup.set()

    async def run(self) -> None:
        """Poll until stopped."""
        await self._credential.remember()
        self.experience.remember(await self._store.evidence(self.account.name))
        async with asyncio.TaskGroup() as polls:
            while not self._stopping:
                await self._clock.wait(self.wakeup, await self._round(polls))
            await self._give_back()

    async def run_once(self) -> int:
        """Poll everything that is due and allowed now; return how many polls that were."""
        async with asyncio.TaskGroup() as polls:
            await self._share_budget()
            claimed = await self._claim()
            self._begin(claimed, polls)
        return len(claimed)

    async def _round(self, polls: asyncio.TaskGroup) -> float:
        """Start what is due, and return how long nothing else can be."""
        self.ticked_at = self._clock.monotonic()
        self._looks_at = math.inf
        self._retrying.difference_update(self._slow.look(self.ticked_at, self._most_slow))
        self._begin([], polls)  # what is claimed has the slots of those that are slow
        if self._ahead > self._open_slots():  # enough is claimed; a poll that ends wakes us, or one that is slow
            self._more_due = True
            return self._next_slow_in_s()
        try:
            await self._share_budget()
            self._begin(await self._claim(), polls)
            idle_s = await self._idle_s()
        except StoreError as error:
            self._metrics.loop_errors.labels("poller").inc()
            self._log.error("watches.claim_failed", error=str(error))
            return 1.0
        self._looks_at = self._clock.monotonic() + idle_s
        return idle_s

    async def _share_budget(self) -> None:
        """Learn on what terms the watches share the budget, where there is one."""
        started, rate = self._clock.monotonic(), self.account.rate
        if rate is None:
            self.experience.contention = Contention()
        elif started >= self._contention_due:
            asked = await self._store.demand(self.account.name, self.experience.contention.floor)
            self.experience.contention = contention(
                asked, 1 / rate.interval_s, self.account.following.bounds.max_interval_s
            )
            now = self._clock.monotonic()
            self._contention_due = now + max(_CONTENTION_EVERY_S, (now - started) / _CONTENTION_SHARE)

    async def _claim(self) -> list[Watch]:
        now = self._claimed_at = self._clock.now()
        room = self._room(now)
        if room <= 0:
            self._more_due = True
            return []
        retries = max(max(self._open_slots() // 2, 1) - len(self._retrying), 0)
        turn_s = self.experience.contention.turn_s
        due = await self._store.claim_due_watches(
            self.account.name, now, until=now + _LEASE_S, limit=room, retries=retries, turn_s=turn_s
        )
        self._more_due = len(due) == room
        claimed = self._taken(due)
        self._following.update(watch.id for watch in claimed)
        self._retrying.update(watch.id for watch in claimed if watch.failed_polls)
        self._retries_due = sum(watch.failed_polls > 0 for watch in due) == retries
        return claimed

    def _taken(self, claimed: Sequence[Watch]) -> list[Watch]:
        """Return what is not under way already: the wall clock may outrun a lease."""
        return [watch for watch in claimed if watch.id not in self._following]

    def _room(self, now: float) -> int:
        """Return how many watches to claim.

        Up to two rounds of the open slots, in batches of one round; none while
        the credential rests, and one at a time while it is on probation.
        """
        standing = self._credential.standing
        if now < standing.rest_until:
            return 0
        affordable = self._affordable()
        if standing.probing:
            return 0 if self._following else min(affordable, 1)
        slots = self._open_slots()
        room = 2 * slots - self._ahead
        return min(room, affordable) if room >= slots else 0

    def _open_slots(self) -> int:
        """Return how many polls may be under way: all, but for the first moments after the start."""
        opened = min((self._clock.monotonic() - self._started_at + 0.2) / _RAMP_S, 1.0)
        return math.ceil(self.account.concurrency * opened)

    def _affordable(self) -> int:
        """Return how many polls the budget allows beyond those already claimed, at most two rounds of all slots."""
        return max(int(min(self._inquiry.affordable - len(self._queue), 2 * self.account.concurrency)), 0)

    async def _idle_s(self) -> float:
        now = self._clock.now()
        # not after now: what fell due while the claim was under way is in nobody's hands
        due = await self._store.next_watch_due(self.account.name, after=self._claimed_at)
        waits = [_LONGEST_WAIT_S]
        if due is not None:
            waits.append(due - now)
        rest_s = self._credential.standing.rest_until - now
        if rest_s > 0:
            waits = [min(_LONGEST_WAIT_S, rest_s)]
        elif self._affordable() < 1:
            waits.append(self._inquiry.affordable_in_s)
        if self._clock.monotonic() - self._started_at < _RAMP_S:
            waits.append(_RAMP_S / 10)
        if self._queue or self._retries_due:
            waits.append(self._next_slow_in_s())
        return max(min(waits), _SHORTEST_WAIT_S)

    def _begin(self, claimed: Sequence[Watch], polls: asyncio.TaskGroup) -> None:
        """Put what was claimed in the queue, and have as many at work on it as there are slots."""
        self._queue.extend(claimed)
        for _ in range(min(len(self._queue), self.account.concurrency - self._busy)):
            self._asking += 1
            polls.create_task(self._work(polls))

    async def _work(self, polls: asyncio.TaskGroup) -> None:
        """Follow one watch after the other as long as any is claimed and this slot stands."""
        try:
            while self._queue and not self._stopping and self._busy <= self.account.concurrency:
                watch = self._queue.popleft()
                self._call_for_more()
                await self._follow(watch)
                if self._unwritten and not self._writing:
                    self._writing = True
                    polls.create_task(self._write())  # the commit needs no slot: those are for requests
        finally:
            self._asking -= 1
            self._call_for_more()

    async def _give_back(self) -> None:
        """Release what is claimed and will not be asked about: whoever follows the account next need not wait."""
        left = [watch.id for watch in self._queue]
        self._queue.clear()
        self._following.difference_update(left)
        try:
            if left:
                await self._store.release_watches(left)
        except StoreError as error:
            self._log.warning("leases.kept", until="they run out", error=str(error))

    @property
    def _busy(self) -> int:
        """How many slots are taken: those of slow polls are open again."""
        return self._asking - len(self._slow)

    @property
    def _ahead(self) -> int:
        """How many watches are claimed and not yet answered for, but for the slow."""
        return len(self._queue) + self._busy

    @property
    def _most_slow(self) -> int:
        return _SLOW_PER_SLOT * self.account.concurrency

    def _next_slow_in_s(self) -> float:
        """Return how long no slot can be opened by a poll that becomes slow."""
        return max(self._slow.next_in_s(self._clock.monotonic(), self._most_slow), _SHORTEST_WAIT_S)

    def _call_for_more(self) -> None:
        if self._more_due and self._ahead <= self._open_slots():
            self.wakeup.set()

    async def _follow(self, watch: Watch) -> None:
        settled = True
        try:
            began = self._clock.monotonic()
            self._slow.begin(watch.id, began)
            settled = await self._settle(watch, await self._poll(watch), began)
        except Exception as error:  # noqa: BLE001 - a boundary: a bug about one watch must not stop the others
            self._failed(error, watch.id)
        if self._slow.end(watch.id):
            self.wakeup.set()  # another may be slow in its place
        if settled:
            self._let_go(watch.id)

    def _failed(self, error: Exception, *watch_ids: str) -> None:
        """Tell what went wrong about some watches; their leases run out, and they are polled again."""
        self._metrics.loop_errors.labels("poller").inc()
        for watch_id in watch_ids:
            if isinstance(error, StoreError):
                self._log.error("poll.commit_failed", watch_id=watch_id, error=str(error))
            else:
                self._log.error("poll.failed", watch_id=watch_id, exc_info=error)

    def _let_go(self, watch_id: str) -> None:
        self._following.discard(watch_id)
        if watch_id in self._retrying:
            self._retrying.discard(watch_id)
            if self._retries_due:
                self.wakeup.set()
        if self._more_due and not self._following:  # a probe is alone
            self.wakeup.set()

    async def _poll(self, watch: Watch) -> Answer:
        started = self._clock.monotonic()
        answer = await self._inquiry.ask(watch.job)
        self._poll_seconds.observe(self._clock.monotonic() - started)
        result = answer.kind if isinstance(answer, Trouble) else answer.status
        self._metrics.polls.labels(self.account.name, result).inc()
        return answer

    async def _settle(self, watch: Watch, answer: Answer, began: float) -> bool:
        """Carry out what an answer means; return False where it is still to be written."""
        now = self._clock.now()
        if isinstance(answer, Observation):
            self._warn_unknown(watch, answer)
        answer = await self._credential.weigh(watch, answer, now, asked_at=now - (self._clock.monotonic() - began))
        taught = lessons(watch, answer, self.experience, now) if isinstance(answer, Observation) else {}
        transition = decide(
            watch, answer, self.account.following, self.experience, now=now, sample=self._entropy.sample()
        )
        if isinstance(transition, End):
            await self._end(watch, transition, taught, now)
            return True
        self.experience.learn(taught)
        if isinstance(answer, Observation) and await self._tell_overdue(watch, answer, transition, now):
            return True
        self._unwritten.append(transition)
        self._log.debug(
            "watch.observed",
            watch_id=watch.id,
            status=str(transition.status),
            failed_polls=transition.failed_polls,
            next_poll_s=round(transition.next_poll_at - now, 2),
        )
        return False

    def _warn_unknown(self, watch: Watch, seen: Observation) -> None:
        literal = seen.provider_status or ""
        if seen.known or literal in self._warned or len(self._warned) >= _WARNED_LIMIT:
            return
        self._warned.add(literal)
        self._log.warning("status.unknown", watch_id=watch.id, provider_status=literal)

    async def _tell_overdue(self, watch: Watch, seen: Observation, transition: Continue, now: float) -> bool:
        """Write the poll with the news that a job runs unusually long, where it does and a route wants to hear it."""
        usual_s = transition.overdue_after_s
        targets = () if usual_s is None else overdue_targets(watch, self._routes, now)
        if usual_s is None or not targets:
            return False
        event = overdue_event(watch, seen, usual_s, now)
        if await self._store.record_overdue(transition, event, targets, now):
            self._log.info("overdue.told", watch_id=watch.id, job_id=watch.job.id, usual_s=round(usual_s, 1))
            self._on_event()
        self.planned(transition.next_poll_at)
        return True

    async def _write(self) -> None:
        """Write what polls told, those that come meanwhile together."""
        while self._unwritten:
            batch, self._unwritten = self._unwritten, []
            watch_ids = [transition.watch_id for transition in batch]
            try:
                await self._store.record_polls(batch, self._clock.now())
                self.planned(min(transition.next_poll_at for transition in batch))
            except Exception as error:  # noqa: BLE001 - the other boundary, for what is written together
                self._failed(error, *watch_ids)
            for watch_id in watch_ids:
                self._let_go(watch_id)
        self._writing = False

    async def _end(self, watch: Watch, transition: End, taught: Lessons, now: float) -> None:
        seen, unsaved = transition.observation, self.experience.take()
        ending = Ending(
            watch_id=watch.id,
            status=seen.status,
            provider_status=seen.provider_status,
            model=seen.model,
            event=outcome_event(watch, seen, now),
            routed=routed_targets(watch, seen, self._routes, now),
            lessons=added(unsaved, taught),
        )
        ended = False
        try:
            ended = await self._store.finalize_watch(ending, now)
        finally:
            if not ended:  # it had ended before, or will be polled again: either way it teaches once
                self.experience.give_back(unsaved)
        if not ended:
            return
        self.experience.learn(taught, saved=True)
        self._metrics.outcomes.labels(self.account.name, seen.status).inc()
        lag_s = detection_lag_s(watch, seen, now)
        if lag_s is not None:
            self._metrics.detection_lag_seconds.labels(self.account.name).observe(lag_s)
        self._log.info(
            "watch.ended",
            watch_id=watch.id,
            job_id=watch.job.id,
            outcome=str(seen.status),
            polls=watch.polls + 1,
            watched_s=round(now - watch.created_at, 2),
        )
        self._on_end(watch.id)
        self._on_event()
