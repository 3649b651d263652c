"""Ways to break relay that lose, double or falsify a delivery: the simulation has to catch each of them.

A mutant is a context in which one thing is wrong.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from bench.simulation.lives import play
from relay.core import ids, watch
from relay.core.budget import Budget
from relay.core.delivery import Attempt, Delivery, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.event import Event
from relay.core.observation import Observation, Status, Trouble
from relay.core.ports import Ending
from relay.core.standing import Standing, after_answer
from relay.core.watch import Continue, End
from relay.destinations import CallbackDestination
from relay.destinations.digest import digest
from relay.dispatcher import Dispatcher
from relay.outlet import Outlet
from relay.poller import Poller
from relay.store import SqliteStore, rows
from relay.store.outbox import insert_deliveries, insert_event
from relay.store.sql import queries
from relay.store.writer import Transaction, Writer, run

_MUTANTS: dict[str, Callable[[], AbstractContextManager[object]]] = {}
_KNOWN = {
    "a write that failed is reported as done": 3,
    "a destination that is switched off is told of what is new": 4,
    "what finds out whether a destination is back stays where it was when the clock is set back": 23,
    "work goes by leases alone, which end early when the clock is set forward": 6,
    "leases stay where they were when the clock is set back": 2,
    "retention deletes what is held": 1,
    "a slow answer proves that the key works when it arrives": 61,
}
"""Seeds that catch what few do; where they do no more, others are tried."""


def mutants() -> Mapping[str, Callable[[], AbstractContextManager[object]]]:
    """Return every mutant by what is wrong in it."""
    return _MUTANTS


def caught(name: str, seeds: int) -> int | None:
    """Return the first seed that catches a mutant, of so many and the one that is known to, or None."""
    with _MUTANTS[name]():
        return next((seed for seed in (_KNOWN.get(name, 0), *range(seeds)) if play(seed).violations), None)


def _mutant(name: str) -> Callable[[Callable[[], Iterator[None]]], None]:
    def register(mutate: Callable[[], Iterator[None]]) -> None:
        _MUTANTS[name] = contextmanager(mutate)

    return register


def _query(name: str, old: str, new: str) -> AbstractContextManager[object]:
    assert old in queries()[name]
    return patch.dict(queries(), {name: queries()[name].replace(old, new)})


@contextmanager
def _forgetful() -> Iterator[None]:
    """Let the loops not remember what they have under way, as if another process had claimed it."""
    with (
        patch.object(Poller, "_taken", lambda _, claimed: list(claimed)),
        patch.object(Dispatcher, "_taken", lambda _, claimed: list(claimed)),
    ):
        yield


@_mutant("an answer is given before the commit")
def _early_answer() -> Iterator[None]:
    batches = itertools.count(1)

    def in_transaction(self: Writer, writes: list[Any], database: sqlite3.Connection) -> list[Any]:
        transaction = Transaction(database)
        if not database.in_transaction:
            database.execute("BEGIN IMMEDIATE")
        results = run(writes, transaction)
        self._finish(transaction)
        if next(batches) % 5 == 0:
            database.execute("COMMIT")
        return results

    with patch.object(Writer, "_in_transaction", in_transaction):
        yield


@_mutant("a delivery is settled before its answer")
def _early_settlement() -> Iterator[None]:
    attempt = Dispatcher._attempt

    async def settle_first(self: Dispatcher, message: Any, outlet: Any) -> Any:
        now = self._clock.now()
        for item in message:
            made = Attempt(item.delivery.id, 1, item.delivery.trigger, now, 0.0, VerdictKind.DELIVERED)
            settled = Settlement(item.delivery.id, DeliveryState.DELIVERED, now, 1, None, now)
            await self._store.settle_attempts([(made, settled)])
        await attempt(self, message, outlet)
        return [], None

    with patch.object(Dispatcher, "_attempt", settle_first):
        yield


@_mutant("a claimed watch is not leased")
def _no_watch_lease() -> Iterator[None]:
    with _forgetful(), _query("claim_due_watches", "SET leased_until = :until", "SET leased_until = min(0, :until)"):
        yield


@_mutant("a claim of deliveries ignores leases")
def _ignored_leases() -> Iterator[None]:
    with _query("claim_due_deliveries", "AND head.leased_until <= :now", ""), _forgetful():
        yield


@_mutant("a lease is shorter than an attempt")
def _short_lease() -> Iterator[None]:
    with patch("relay.dispatcher._LEASE_S", 5.0), _forgetful():
        yield


@_mutant("a watch ends in one transaction and its event is written in the next")
def _torn_ending() -> Iterator[None]:
    async def torn(self: SqliteStore, ending: Ending, now: float) -> bool:
        event = ending.event

        def end(transaction: Transaction) -> list[Any]:
            return transaction.fetch(
                "end_watch", id=ending.watch_id, status=ending.status, provider_status=None, model=None, now=now
            )

        def tell(transaction: Transaction) -> None:
            insert_event(transaction, event)
            own = transaction.fetch("targets_of_watches", ids=rows.text([ending.watch_id]))
            insert_deliveries(transaction, ending.watch_id, event.id, map(rows.target, own), now)

        ended = await self._writer.commit(end)
        if ended:
            await self._writer.commit(tell)
        return bool(ended)

    with patch.object(SqliteStore, "finalize_watch", torn):
        yield


@_mutant("events are named at random")
def _random_event() -> Iterator[None]:
    numbers = itertools.count()
    with patch.object(ids, "event_id", lambda subject, kind: f"evt_{next(numbers)}"):
        yield


@_mutant("deliveries are named at random")
def _random_delivery() -> Iterator[None]:
    numbers = itertools.count()
    with patch.object(ids, "delivery_id", lambda event, target: f"dlv_{next(numbers)}"):
        yield


@_mutant("every attempt has a body of its own")
def _new_bodies() -> Iterator[None]:
    request = CallbackDestination.request

    def stamped(self: CallbackDestination, delivery: Any, event: Event, now: float) -> Any:
        body = event.body.replace('{"', f'{{"sent_at":{now},"', 1)
        return request(self, delivery, replace(event, body=body), now)

    with patch.object(CallbackDestination, "request", stamped):
        yield


@_mutant("retention deletes what is owed")
def _greedy_retention() -> Iterator[None]:
    with _query("prune", "state IN ('pending', 'held')", "state = 'exhausted'"):
        yield


@_mutant("trouble of the provider's ends a watch")
def _trouble_ends() -> Iterator[None]:
    decide = watch.decide

    def rash(about: Any, answer: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(answer, Trouble):
            return End(about.id, Observation(Status.FAILED, None))
        return decide(about, answer, *rest, **more)

    with patch("relay.poller.decide", rash):
        yield


@_mutant("a poll that failed is never made again")
def _forgotten_watch() -> Iterator[None]:
    with patch("relay.core.watch.retry_failed_poll", lambda **_: 1e12):
        yield


@_mutant("every answer of a receiver counts as delivered")
def _deaf_dispatcher() -> Iterator[None]:
    verdict = CallbackDestination.verdict

    def deaf(self: CallbackDestination, response: Any, now: float) -> Any:
        return verdict(self, replace(response, status=200), now)

    with patch.object(CallbackDestination, "verdict", deaf):
        yield


@_mutant("who asks after the end is not told")
def _late_unheard() -> Iterator[None]:
    def tell_nobody(*_: object) -> None:
        return

    with patch.object(SqliteStore, "_tell_late", tell_nobody):
        yield


@_mutant("a second URL for one job is dropped")
def _second_url() -> Iterator[None]:
    with _query(
        "insert_target",
        "VALUES (:watch_id, :key, :lane, :name, :url)",
        "SELECT * FROM (VALUES (:watch_id, :key, :lane, :name, :url)) AS wanted"
        " WHERE NOT EXISTS (SELECT 1 FROM watch_targets AS other WHERE other.watch_id = wanted.column1)"
        " AND EXISTS (SELECT 1 FROM watches WHERE id = wanted.column1 AND finalized_at IS NULL)",
    ):
        yield


@_mutant("a write that failed is reported as done")
def _swallowed_errors() -> Iterator[None]:
    add = SqliteStore.add_watches

    async def accept(self: SqliteStore, new: Sequence[Any], now: float) -> Any:
        try:
            return await add(self, new, now)
        except Exception:  # noqa: BLE001 - the mistake itself
            return []

    with patch.object(SqliteStore, "add_watches", accept):
        yield


@_mutant("the budget is not spent")
def _free_polls() -> Iterator[None]:
    with (
        patch.object(Budget, "spend", lambda self, polls, now: self),
        patch.object(Budget, "available", lambda self, now: 50),
        patch("relay.core.watch.next_poll", lambda *_, now, **__: now + 0.5),
    ):
        yield


@_mutant("a delivery that failed is never tried again")
def _forgotten_delivery() -> Iterator[None]:
    with patch("relay.core.delivery.next_attempt", lambda *_, **__: 1e12):
        yield


@_mutant("a delivery is given up at the first failure")
def _no_patience() -> Iterator[None]:
    with patch("relay.core.delivery.next_attempt", lambda *_, **__: None):
        yield


@_mutant("settlements are never written")
def _unsettled() -> Iterator[None]:
    with _query("settle_delivery", "WHERE deliveries.id", "WHERE false AND deliveries.id"):
        yield


@_mutant("a poll that is written late wakes up a watch that has ended")
def _resurrected() -> Iterator[None]:
    finalize = SqliteStore.finalize_watch

    async def revived(self: SqliteStore, ending: Ending, now: float) -> bool:
        ended = await finalize(self, ending, now)
        await self._writer.commit(lambda transaction: transaction.fetch("record_poll", **vars_of(ending, now)))
        return ended

    def vars_of(ending: Ending, now: float) -> dict[str, Any]:
        late = Continue(
            ending.watch_id, Status.RUNNING, now + 5, 0.0, None, None, None, now, now, now, None, 0, 0, None, None
        )  # fmt: skip
        return dict(rows.poll_columns(late, now))

    mutated = queries()["record_poll"].replace(" AND finalized_at IS NULL", "")
    mutated = mutated.replace("leased_until = 0", "leased_until = 0, finalized_at = NULL")
    with patch.dict(queries(), {"record_poll": mutated}), patch.object(SqliteStore, "finalize_watch", revived):
        yield


@_mutant("a digest forgets one of its events")
def _forgetful_digest() -> Iterator[None]:
    with (
        patch("relay.destinations.slack.digest", lambda outgoing, now: digest(outgoing[:-1], now)),
        patch("relay.destinations.discord.digest", lambda outgoing, now: digest(outgoing[:-1], now)),
    ):
        yield


@_mutant("what is sent again has a new id")
def _renamed_resend() -> Iterator[None]:
    request = CallbackDestination.request

    def renamed(self: CallbackDestination, delivery: Delivery, event: Event, now: float) -> Any:
        manual = delivery.trigger is Trigger.MANUAL
        return request(self, replace(delivery, id=f"{delivery.id}2") if manual else delivery, event, now)

    with patch.object(CallbackDestination, "request", renamed):
        yield


@_mutant("retention deletes what is held")
def _impatient_retention() -> Iterator[None]:
    with _query("prune", "state IN ('pending', 'held')", "state = 'pending'"):
        yield


@_mutant("a destination that is switched off is told of what is new")
def _deaf_to_gone() -> Iterator[None]:
    with _query("insert_delivery", "'draining', 'disabled'", "'draining'"):
        yield


@_mutant("leases stay where they were when the clock is set back")
def _stale_leases() -> Iterator[None]:
    with (
        _query("set_back_deliveries", "max(leased_until - :seconds, 0)", "leased_until"),
        _query("set_back_watches", "max(leased_until - :seconds, 0)", "leased_until"),
    ):
        yield


@_mutant("what finds out whether a destination is back stays where it was when the clock is set back")
def _stale_probes() -> Iterator[None]:
    with _query("set_back_conditions", "max(release_at - :seconds, 0)", "release_at"):
        yield


@_mutant("work goes by leases alone, which end early when the clock is set forward")
def _trusted_leases() -> Iterator[None]:
    with _forgetful():
        yield


@_mutant("what is given up is not counted")
def _uncounted() -> Iterator[None]:
    report = Dispatcher._report

    def quiet(self: Dispatcher, delivery: Delivery, attempt: Attempt, state: DeliveryState, **more: Any) -> None:
        if state is not DeliveryState.EXHAUSTED:
            report(self, delivery, attempt, state, **more)

    with patch.object(Dispatcher, "_report", quiet):
        yield


@_mutant("nobody is told of what is given up")
def _untold() -> Iterator[None]:
    with patch.object(Dispatcher, "_news", lambda *_: []):
        yield


@_mutant("quiet hours are not kept")
def _loud_nights() -> Iterator[None]:
    with patch.object(Outlet, "waits_until", lambda *_: None):
        yield


@_mutant("every attempt is signed as of the first")
def _old_stamp() -> Iterator[None]:
    request = CallbackDestination.request

    def stamped(self: CallbackDestination, delivery: Delivery, event: Event, now: float) -> Any:
        return request(self, delivery, event, delivery.created_at)

    with patch.object(CallbackDestination, "request", stamped):
        yield


@_mutant("a slow answer proves that the key works when it arrives")
def _late_proof() -> Iterator[None]:
    def believe(standing: Standing, answer: Any, *, asked_at: float, now: float, sample: float) -> Any:
        return after_answer(standing, answer, asked_at=now, now=now, sample=sample)

    with patch("relay.credential.after_answer", believe):
        yield
