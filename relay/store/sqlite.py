"""The store on SQLite.

WAL with `synchronous=FULL`; one connection writes, `BEGIN IMMEDIATE`, another
reads what relay itself asks, and a third what people list, which may take long.
One process at a time holds the file.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from relay.core.access import Token
from relay.core.condition import FAILURES_BEFORE_HOLD, Answered, Change, Finding
from relay.core.delivery import Attempt, Delivery, DeliveryState, Settlement
from relay.core.errors import Conflict, NotFound, StoreError
from relay.core.event import Event
from relay.core.learning import Evidence, Kind
from relay.core.observation import Status
from relay.core.ports import (
    Added,
    Counts,
    DeliveryFilter,
    DeliveryView,
    Demand,
    Ending,
    EventFilter,
    KeptAnswer,
    LaneView,
    News,
    Outgoing,
    WatchFilter,
    WatchView,
)
from relay.core.standing import Standing
from relay.core.watch import Continue, NewWatch, Target, Watch, begun, open_to
from relay.store import rows
from relay.store.conditions import apply_finding, enable_lane, release_due
from relay.store.connection import Connection, within
from relay.store.durations import write_lessons
from relay.store.opening import FileLock, connect, open_writer
from relay.store.outbox import claim_deliveries, insert_deliveries, insert_event
from relay.store.sql import queries
from relay.store.writer import Row, Rows, Timed, Transaction, Writer

_RESENT_AT_ONCE = 2000
"""Deliveries in a transaction, so that everyone else's is not kept waiting."""
_FORGOTTEN_AT_ONCE = 100
"""More than come in: each request that is kept forgets some that are old."""
_LIST_S = 5.0
"""How long a list may take, its turn included."""


@asynccontextmanager
async def open_sqlite(path: Path, *, timed: Timed = nullcontext) -> AsyncIterator["SqliteStore"]:
    """Open the database at `path`, made or migrated as needed, for as long as the block runs.

    `timed` gives a context around each commit, for measuring it.  Raises StoreUnusable where that cannot be done.
    """
    lock = FileLock(path)
    try:
        writing = await open_writer(path)
        try:
            async with AsyncExitStack() as readers:
                reading = await connect(path, read_only=True)
                readers.push_async_callback(reading.close)
                browsing = await connect(path, read_only=True)
                readers.push_async_callback(browsing.close)
                writer = Writer(writing, write_lessons, timed)
                # Not a TaskGroup: errors of the block have to leave it as they are.
                commits = asyncio.get_running_loop().create_task(writer.run(), name="store-writer")
                try:
                    yield SqliteStore(writer, reading, browsing)
                finally:
                    writer.stop()
                    await commits
        finally:
            await writing.close()
    finally:
        lock.release()


class SqliteStore:
    """Implements `relay.core.ports.Store`."""

    def __init__(self, writer: Writer, reader: Connection, browser: Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._browser = browser

    async def _read(self, name: str, /, **params: object) -> list[Row]:
        try:
            return list(await self._reader.execute_fetchall(queries()[name], params))
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}") from error

    async def _browse(self, name: str, /, **params: object) -> list[Row]:
        """Read what somebody lists; nothing that relay itself asks waits behind it."""
        try:
            return await self._browser.run(within(_LIST_S, queries()[name], params))
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}") from error

    # watches

    async def add_watches(self, new: Sequence[NewWatch], now: float) -> list[Added]:
        """See Store."""

        def write(transaction: Transaction) -> list[Added]:
            created = transaction.many("insert_watch", (rows.new_watch(watch, now) for watch in new))
            known: dict[tuple[str, str], Watch] = {}
            if created < len(new):
                jobs = rows.text([[watch.provider, watch.job.id] for watch in new])
                found = map(rows.watch, transaction.fetch("watches_of_jobs", jobs=jobs))
                known = {(watch.provider, watch.job.id): watch for watch in found}
            added = [(request, known.get((request.provider, request.job.id)) or begun(request, now)) for request in new]
            allowed = [(watch, request.targets) for request, watch in added if open_to(request.owner, watch.owner)]
            transaction.many(
                "insert_target",
                ({"watch_id": watch.id, **rows.target_columns(own)} for watch, targets in allowed for own in targets),
            )
            late = [(watch, targets) for watch, targets in allowed if watch.status.terminal and targets]
            if late:
                self._tell_late(transaction, late, now)
            return [Added(watch, created=watch.id == request.id) for request, watch in added]

        return await self._writer.commit(write)

    def _tell_late(self, transaction: Transaction, late: Sequence[tuple[Watch, Sequence[Target]]], now: float) -> None:
        found = transaction.fetch("outcomes_of_watches", ids=rows.text([watch.id for watch, _ in late]))
        events = {row["watch_id"]: row["id"] for row in found}
        for watch, targets in late:
            insert_deliveries(transaction, watch.id, events[watch.id], targets, now)

    async def watch(self, reference: str) -> WatchView:
        """See Store."""
        provider, colon, job_id = reference.partition(":")
        found = (
            await self._read("watch_by_job", provider=provider, job_id=job_id)
            if colon
            else await self._read("watch_by_id", id=reference)
        )
        if not found:
            raise NotFound(f'no watch "{reference}"')
        return (await self._views(found))[0]

    async def watches(self, wanted: WatchFilter, *, before: str | None, limit: int) -> list[WatchView]:
        """See Store."""
        found = await self._browse(
            "list_watches",
            before=before,
            prefix=wanted.id_prefix,
            provider=wanted.provider,
            since=wanted.since,
            owner=wanted.owner,
            statuses=rows.text(sorted(wanted.statuses)) if wanted.statuses else None,
            metadata=rows.text(wanted.metadata),
            limit=limit,
        )
        return await self._views(found)

    async def _views(self, found: Iterable[Row]) -> list[WatchView]:
        watches = [rows.watch(row) for row in found]
        wanted = rows.text([watch.id for watch in watches])
        targets: dict[str, list[Target]] = {watch.id: [] for watch in watches}
        for row in await self._read("targets_of_watches", ids=wanted):
            targets[row["watch_id"]].append(rows.target(row))
        events: dict[str, Event] = {}
        if any(watch.status.terminal for watch in watches):
            events = {row["watch_id"]: rows.event(row) for row in await self._read("outcomes_of_watches", ids=wanted)}
        return [WatchView(watch, tuple(targets[watch.id]), events.get(watch.id)) for watch in watches]

    async def remove_watch(self, watch_id: str) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            if not transaction.fetch("watch_by_id", id=watch_id):
                raise NotFound(f'no watch "{watch_id}"')
            open_deliveries = (transaction.fetch("open_deliveries_of_watch", id=watch_id))[0]["open"]
            if open_deliveries:
                raise Conflict(f"{open_deliveries} of its deliveries are not settled yet")
            transaction.fetch("delete_watch", id=watch_id)

        await self._writer.commit(write)

    async def poll_now(self, watch_id: str, now: float, *, min_interval_s: float) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("poll_now", id=watch_id, now=now, min_interval_s=min_interval_s):
                return
            if not transaction.fetch("watch_by_id", id=watch_id):
                raise NotFound(f'no watch "{watch_id}"')
            raise Conflict("the watch has ended")

        await self._writer.commit(write)

    # polling

    async def claim_due_watches(
        self, provider: str, now: float, *, until: float, limit: int, retries: int, turn_s: float
    ) -> list[Watch]:
        """See Store."""
        options = {"provider": provider, "now": now, "until": until, "limit": limit}

        def write(transaction: Transaction) -> list[Row]:
            return transaction.fetch("claim_due_watches", **options, retries=retries, turn_s=turn_s)

        claimed = [rows.watch(row) for row in await self._writer.commit(write)]
        return sorted(claimed, key=lambda watch: watch.next_poll_at)

    async def release_watches(self, watch_ids: Sequence[str]) -> None:
        """See Store."""
        ids = rows.text(watch_ids)
        await self._writer.commit(lambda transaction: transaction.fetch("release_watches", ids=ids))

    async def record_polls(self, transitions: Sequence[Continue], now: float) -> None:
        """See Store."""
        columns = [rows.poll_columns(transition, now) for transition in transitions]
        await self._writer.commit(Rows({"record_poll": columns}))

    async def record_overdue(self, transition: Continue, event: Event, targets: Sequence[Target], now: float) -> bool:
        """See Store."""

        def write(transaction: Transaction) -> bool:
            transaction.many("record_poll", [rows.poll_columns(transition, now)])
            if not transaction.fetch("mark_overdue", id=transition.watch_id, now=now):
                return False
            insert_event(transaction, event)
            insert_deliveries(transaction, transition.watch_id, event.id, targets, now)
            return True

        return await self._writer.commit(write)

    async def finalize_watch(self, ending: Ending, now: float) -> bool:
        """See Store."""
        event = ending.event

        def write(transaction: Transaction) -> bool:
            ended = transaction.fetch(
                "end_watch",
                id=ending.watch_id,
                status=ending.status,
                provider_status=ending.provider_status,
                model=ending.model,
                now=now,
            )
            if not ended:
                return False
            insert_event(transaction, event)
            own = transaction.fetch("targets_of_watches", ids=rows.text([ending.watch_id]))
            targets = [*map(rows.target, own), *ending.routed]
            insert_deliveries(transaction, ending.watch_id, event.id, targets, now)
            transaction.teach(ending.lessons, now)
            return True

        return await self._writer.commit(write)

    async def next_watch_due(self, provider: str, after: float) -> float | None:
        """See Store."""
        due: float | None = (await self._read("next_watch_due", provider=provider, after=after))[0]["due"]
        return due

    async def demand(self, provider: str) -> Demand:
        """See Store."""
        (row,) = await self._read("demand", provider=provider)
        return Demand(watches=row["watches"], total=row["total"])

    async def evidence(self, provider: str) -> Mapping[Kind, Evidence]:
        """See Store."""
        return dict(map(rows.evidence, await self._read("durations_of_provider", provider=provider)))

    # delivering

    async def claim_due_deliveries(
        self,
        now: float,
        *,
        until: float,
        limit: int,
        per_lane: int,
        per_failing_lane: int,
        retries: int,
        limits: Mapping[str, int],
        busy: Mapping[str, int],
    ) -> list[Outgoing]:
        """See Store."""
        options = {
            "now": now,
            "until": until,
            "limit": limit,
            "per_lane": per_lane,
            "per_failing_lane": per_failing_lane,
            "failing_from": FAILURES_BEFORE_HOLD,
            "retries": retries,
            "limits": rows.text(limits),
            "busy": rows.text(busy),
        }

        def write(transaction: Transaction) -> list[Outgoing]:
            release_due(transaction, now)
            return claim_deliveries(transaction, "claim_due_deliveries", "events_by_id", options)

        return await self._writer.commit(write)

    async def claim_company(self, delivery: Delivery, now: float, *, until: float, limit: int) -> list[Outgoing]:
        """See Store."""
        target = delivery.target
        options = {"lane": target.lane, "key": target.key, "now": now, "until": until, "limit": limit}

        def write(transaction: Transaction) -> list[Outgoing]:
            return claim_deliveries(transaction, "claim_company", "events_without_raw", options)

        return await self._writer.commit(write)

    async def settle_attempt(self, attempt: Attempt, settlement: Settlement) -> None:
        """See Store."""
        await self.settle_attempts([(attempt, settlement)])

    async def settle_attempts(
        self,
        settled: Sequence[tuple[Attempt, Settlement]],
        finding: Finding | Answered | None = None,
        news: Sequence[News] = (),
    ) -> Change | None:
        """See Store."""
        outcome = Rows(
            {
                "insert_attempt": [rows.attempt_columns(attempt) for attempt, _ in settled],
                "settle_delivery": [rows.settlement_columns(settlement) for _, settlement in settled],
                "forget_failures": [{"lane": finding.lane}] if isinstance(finding, Answered) else [],
            }
        )
        if not isinstance(finding, Finding) and not news:
            return await self._writer.commit(outcome)

        def write(transaction: Transaction) -> Change | None:
            change = apply_finding(transaction, finding) if isinstance(finding, Finding) else None
            outcome(transaction)
            for item in news:
                insert_event(transaction, item.event)
                insert_deliveries(transaction, None, item.event.id, item.targets, item.event.created_at)
            return change

        return await self._writer.commit(write)

    async def lanes(self) -> Mapping[str, LaneView]:
        """See Store."""
        found = await self._read("conditions")
        return {row["lane"]: LaneView(row["destination"], rows.health(row), row["held"]) for row in found}

    async def enable(self, lane: str, now: float) -> bool:
        """See Store."""
        return await self._writer.commit(lambda transaction: enable_lane(transaction, lane, now))

    async def postpone(self, until: Mapping[str, float], now: float) -> None:
        """See Store."""
        waits = [{"id": delivery_id, "until": instant, "now": now} for delivery_id, instant in until.items()]
        await self._writer.commit(Rows({"postpone_delivery": waits, "probe_another": waits}))

    async def next_delivery_due(self, after: float) -> float | None:
        """See Store."""
        due: float | None = (await self._read("next_delivery_due", after=after))[0]["due"]
        return due

    async def delivery(self, delivery_id: str) -> DeliveryView:
        """See Store."""
        found = await self._read("delivery_by_id", id=delivery_id)
        if not found:
            raise NotFound(f'no delivery "{delivery_id}"')
        attempts = await self._read("attempts_of_delivery", id=delivery_id)
        return _delivery_view(found[0], tuple(map(rows.attempt, attempts)))

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: tuple[float, str] | None, limit: int
    ) -> list[DeliveryView]:
        """See Store."""
        found = await self._browse("list_deliveries", **rows.delivery_filter(wanted, before, limit))
        return [_delivery_view(row) for row in found]

    async def resend_matching(self, wanted: DeliveryFilter, now: float, *, every_s: float, dry_run: bool) -> int:
        """See Store."""

        found = await self._browse("list_deliveries", **rows.delivery_filter(wanted, None, limit=-1))
        oldest_first = [row["id"] for row in reversed(found) if row["leased_until"] <= now]
        if dry_run or not oldest_first:
            return len(oldest_first)

        resent = 0
        for start in range(0, len(oldest_first), _RESENT_AT_ONCE):
            ids = rows.text(oldest_first[start : start + _RESENT_AT_ONCE])
            turns = {"ids": ids, "now": now, "first_at": now + start * every_s, "every_s": every_s}
            resent += len(await self._writer.commit(partial(_resend, turns)))
        return resent

    async def last_event(self) -> int:
        """See Store."""
        return int((await self._read("last_event"))[0]["place"])

    async def events(self, wanted: EventFilter, *, after: int, limit: int) -> list[tuple[int, Event]]:
        """See Store."""
        found = await self._browse(
            "list_events",
            after=after,
            types=rows.text(sorted(wanted.types)) if wanted.types else None,
            provider=wanted.provider,
            watch_id=wanted.watch_id,
            owner=wanted.owner,
            limit=limit,
        )
        return [(row["seq"], rows.event(row)) for row in found]

    async def drop(self, delivery_id: str, now: float) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("drop_delivery", id=delivery_id, now=now):
                return
            found = transaction.fetch("delivery_by_id", id=delivery_id)
            if not found:
                raise NotFound(f'no delivery "{delivery_id}"')
            if not DeliveryState(found[0]["state"]).final:
                raise Conflict("an attempt is under way")

        await self._writer.commit(write)

    async def resend(self, delivery_id: str, now: float) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("resend_delivery", id=delivery_id, now=now):
                return
            if not transaction.fetch("delivery_by_id", id=delivery_id):
                raise NotFound(f'no delivery "{delivery_id}"')
            raise Conflict("an attempt is under way")

        await self._writer.commit(write)

    # keeping house

    async def record_standing(
        self, provider: str, standing: Standing, event: Event | None, targets: Sequence[Target], now: float
    ) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            transaction.fetch("set_standing", provider=provider, **asdict(standing))
            if event is not None:
                insert_event(transaction, event)
                insert_deliveries(transaction, None, event.id, targets, now)

        await self._writer.commit(write)

    async def standings(self) -> Mapping[str, Standing]:
        """See Store."""
        return {row["provider"]: rows.standing(row) for row in await self._read("standings")}

    async def prune(self, *, ended_before: float, limit: int) -> int:
        """See Store."""

        def write(transaction: Transaction) -> int:
            transaction.fetch("prune_conditions", ended_before=ended_before)
            transaction.fetch("prune_provider_events", ended_before=ended_before, limit=limit)
            return len(transaction.fetch("prune", ended_before=ended_before, limit=limit))

        return await self._writer.commit(write)

    async def counts(self) -> Counts:
        """See Store."""
        watches = {Status(row["status"]): row["number"] for row in await self._read("count_live_watches")}
        unsettled = await self._read("count_unsettled_deliveries")
        return Counts(
            watches=watches,
            deliveries={DeliveryState(row["state"]): row["number"] for row in unsettled},
            oldest_pending_at=(await self._read("oldest_pending"))[0]["since"],
            stored_bytes=(await self._read("stored_bytes"))[0]["size"],
            commits_waiting=self._writer.waiting,
        )

    async def probe(self, now: float) -> None:
        """See Store."""
        await self._writer.commit(lambda transaction: transaction.fetch("probe", now=now))

    async def last_beat(self) -> float | None:
        """See Store."""
        return next((row["at"] for row in await self._read("last_beat")), None)

    async def set_back(self, seconds: float) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            for table in ("watches", "deliveries", "standings", "conditions", "heartbeat"):
                transaction.fetch(f"set_back_{table}", seconds=seconds)

        await self._writer.commit(write)

    # tokens

    async def add_token(self, token: Token) -> None:
        """See Store."""
        columns = rows.token_columns(token)
        await self._writer.commit(lambda transaction: transaction.fetch("insert_token", **columns))

    async def token(self, digest: str) -> Token | None:
        """See Store."""
        return next(map(rows.token, await self._read("token_by_digest", digest=digest)), None)

    async def tokens(self) -> list[Token]:
        """See Store."""
        return [rows.token(row) for row in await self._read("list_tokens")]

    async def revoke_token(self, token_id: str, now: float) -> Token:
        """See Store."""

        def write(transaction: Transaction) -> Token:
            for row in transaction.fetch("revoke_token", id=token_id, now=now):
                return rows.token(row)
            raise NotFound(f'no token "{token_id}"')

        return await self._writer.commit(write)

    # requests that may come again

    async def claim_answer(
        self, caller: str, key: str, request: str, now: float, *, asked_before: float
    ) -> KeptAnswer | None:
        """See Store."""

        def write(transaction: Transaction) -> KeptAnswer | None:
            transaction.fetch("forget_old_answers", asked_before=asked_before, limit=_FORGOTTEN_AT_ONCE)
            if transaction.fetch("claim_answer", caller=caller, key=key, request=request, now=now):
                return None
            return rows.kept_answer((transaction.fetch("kept_answer", caller=caller, key=key))[0])

        return await self._writer.commit(write)

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """See Store."""
        columns = {"status": answer.status, "headers": rows.text(answer.headers), "body": answer.body}
        await self._writer.commit(
            lambda transaction: transaction.fetch("keep_answer", caller=caller, key=key, **columns)
        )

    async def give_up_answer(self, caller: str, key: str) -> None:
        """See Store."""
        await self._writer.commit(lambda transaction: transaction.fetch("give_up_answer", caller=caller, key=key))

    async def release_leases(self) -> None:
        """See Store."""

        def write(transaction: Transaction) -> None:
            transaction.fetch("release_watch_leases")
            transaction.fetch("release_delivery_leases")
            transaction.fetch("give_up_answers")

        await self._writer.commit(write)


def _resend(turns: Mapping[str, object], transaction: Transaction) -> list[Row]:
    return transaction.fetch("resend_deliveries", **turns)


def _delivery_view(row: Row, attempts: tuple[Attempt, ...] = ()) -> DeliveryView:
    return DeliveryView(rows.delivery(row), row["event_type"], row["owner"], attempts)
