"""The auditor: looks at what is committed, now and then, and holds it against what everybody saw."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

if TYPE_CHECKING:
    from bench.simulation.world import World

_WATCH_WAITS_S = 700.0
_DELIVERY_WAITS_S = 4000.0
_PROBE_WAITS_S = 1300.0
_NOTICED_S = 10.0
"""Within so many seconds the daemon has to know that the wall clock was set."""
_LEAST_TRIES = 4
"""Fewer do not fill an hour: the gaps are 5 s, 30 s, 2 min, 10 min, 30 min at most, a fifth longer by chance."""
_ROUTED: Mapping[str, frozenset[str]] = {
    "completed": frozenset({"night", "shop"}),
    "expired": frozenset({"night", "shop"}),
    **dict.fromkeys(("failed", "cancelled", "not_found", "timed_out"), frozenset({"night", "shop", "ops"})),
}


class Auditor:
    """Reads on from where it stopped, so that nothing is deleted unread."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._event = 0
        self._attempts: set[tuple[str, float]] = set()
        self._ended: dict[str, str] = {}
        self.given_up: dict[str, tuple[str | None, str]] = {}
        """Deliveries that were seen exhausted or dropped: of which watch, to whom."""
        self._early: dict[str, int] = {}
        self._exhausted_before = 0

    def begin(self) -> None:
        """Note that a life begins."""
        self._exhausted_before = self._exhausted() if self._world.born() else 0

    def look(self) -> bool:
        """Look for what was forgotten or is wrong; return whether nothing is left to do."""
        world = self._world
        self.read_on()
        (live,) = world.committed(
            "SELECT count(*), max(max(next_poll_at, leased_until)) FROM watches WHERE finalized_at IS NULL"
        )
        (owed,) = world.committed(
            "SELECT count(*), max(max(next_attempt_at, leased_until)) FROM deliveries WHERE state = 'pending'"
        )
        (probes,) = world.committed(
            "SELECT count(*), max(release_at) FROM conditions WHERE condition IN ('unreachable', 'draining')"
            " AND lane IN (SELECT lane FROM deliveries WHERE state = 'held')"
        )
        if not world.clock.jumped_back(since_s=world.now_s - self._noticed_s()):
            for what, row, furthest_s in (
                ("watch", live, _WATCH_WAITS_S),
                ("delivery", owed, _DELIVERY_WAITS_S),
                ("destination that is down", probes, _PROBE_WAITS_S),
            ):
                if row[0] and float(str(row[1])) > world.clock.now() + furthest_s + self.unnoticed_s():
                    world.accuse(f"a {what} waits for longer than {furthest_s:.0f} s")
        for (job_id,) in world.committed(
            "SELECT job_id FROM watches JOIN events ON watch_id = watches.id WHERE finalized_at IS NULL LIMIT 1"
        ):
            world.accuse(f"{job_id} has ended, and is followed again")
        held = world.committed(
            "SELECT id, (SELECT condition FROM conditions WHERE conditions.lane = deliveries.lane) FROM deliveries"
            " WHERE state = 'held'"
        )
        for delivery_id, condition in held:
            if condition not in ("unreachable", "draining", "disabled"):
                world.accuse(f"{delivery_id} is held for ever, as its destination is {condition}")
        exhausted = world.committed("SELECT 1 FROM deliveries WHERE state = 'exhausted' LIMIT 1")
        waits = live[0] or owed[0] or held or exhausted
        return not waits and world.granted.keys() >= set(world.wishes) and world.asked >= set(world.whims)

    def count(self, registry: CollectorRegistry) -> None:
        """Hold what relay counts of itself against what it did in this life."""
        counted = registry.get_sample_value("relay_deliveries_settled_total", {"state": "exhausted"}) or 0
        happened = self._exhausted() - self._exhausted_before
        if counted < happened:
            self._world.accuse(f"{happened} deliveries were given up, and {counted:.0f} are counted")

    def read_on(self) -> None:
        """Look at everything that is new, before it may be deleted."""
        self._read_events()
        self._read_attempts()
        self._read_given_up()

    def judge(self) -> None:
        """Compare what ended, what was asked for, and what everybody was told."""
        self._world.provider.judge()
        self._world.receivers.judge(self.given_up.values())
        for name in ("ops", "night"):
            told = self._world.chats.told(name)
            excused = {watch for watch, whom in self.given_up.values() if whom == name}
            for status in _ROUTED:
                ended = [watch for watch, outcome in self._ended.items() if outcome == status and watch not in excused]
                if name in _ROUTED[status] and told[status] < len(set(ended) - self._world.forgotten):
                    self._world.accuse(f"{len(ended)} jobs ended as {status}, and {name} was told of {told[status]}")

    def _exhausted(self) -> int:
        (row,) = self._world.committed("SELECT seq FROM sqlite_sequence WHERE name = 'events'") or [(0,)]
        return len(self._world.committed("SELECT 1 FROM events WHERE type = 'delivery.exhausted'")) if row[0] else 0

    def unnoticed_s(self) -> float:
        """Return how far the wall clock was set back while nobody was there to notice."""
        world, soon_s = self._world, self._noticed_s()
        return sum(
            -jump.by_s
            for jump in world.clock.jumps
            if jump.by_s < 0 and any(down.start_s - soon_s <= jump.at_s <= down.end_s for down in world.down)
        )

    def _noticed_s(self) -> float:
        full = self._world.disk_full
        return _NOTICED_S + full.end_s - full.start_s

    def _read_events(self) -> None:
        world = self._world
        new = world.committed(
            "SELECT seq, events.id, watches.id, watches.job_id, substr(type, 5), watches.deadline, events.created_at"
            " FROM events JOIN watches ON watches.id = watch_id WHERE seq > ? AND type LIKE 'job.%' ORDER BY seq",
            self._event,
        )
        for seq, event_id, watch_id, job_id, status, deadline, at in new:
            self._event = int(str(seq))
            self._ended[str(watch_id)] = str(status)
            self._judge_outcome(str(job_id), str(status), late=float(str(at)) >= float(str(deadline)))
            rows = world.committed("SELECT coalesce(name, url) FROM deliveries WHERE event_id = ?", event_id)
            own = world.committed("SELECT coalesce(name, url) FROM watch_targets WHERE watch_id = ?", watch_id)
            unheard = (_ROUTED[str(status)] | {row[0] for row in own}) - {row[0] for row in rows}
            if unheard:
                world.accuse(f"{job_id} ended, and {unheard} will not hear of it")

    def _judge_outcome(self, job_id: str, status: str, *, late: bool) -> None:
        job = self._world.provider.jobs[job_id]
        right = {"timed_out": late, "not_found": job.most_denials >= 3}.get(status, status in job.told)
        if not right:
            self._world.accuse(f"{job_id} ended as {status}, which the provider never said")

    def _read_attempts(self) -> None:
        found = self._world.committed(
            "SELECT deliveries.name, started_at, deliveries.id, events.type, events.body ->> '$.data.job_id'"
            " FROM attempts JOIN deliveries ON deliveries.id = delivery_id JOIN events ON events.id = event_id"
            " WHERE verdict = 'delivered' AND name IN ('ops', 'night') ORDER BY attempts.seq"
        )
        messages: dict[tuple[str, float], list[tuple[str, str, str | None]]] = {}
        for name, at, delivery_id, kind, job_id in found:
            told = (str(delivery_id), str(kind), None if job_id is None else str(job_id))
            messages.setdefault((str(name), float(str(at))), []).append(told)
        for message in messages.keys() - self._attempts:
            self._world.chats.check(*message, messages[message])
        self._attempts.update(messages)

    def _read_given_up(self) -> None:
        world = self._world
        found = world.committed(
            "SELECT deliveries.id, deliveries.watch_id, coalesce(name, url), lane, state, attempts, events.type,"
            " (SELECT status FROM attempts WHERE delivery_id = deliveries.id ORDER BY seq DESC LIMIT 1)"
            " FROM deliveries JOIN events ON events.id = event_id WHERE state IN ('exhausted', 'dropped')"
        )
        for delivery_id, watch_id, whom, lane, state, attempts, kind, answer in found:
            if str(delivery_id) in self.given_up:
                continue
            self.given_up[str(delivery_id)] = (None if watch_id is None else str(watch_id)), str(whom)
            if state == "exhausted" and not str(kind).startswith(("delivery.", "destination.")):
                self._judge_exhausted(str(delivery_id))
            if answer == 500 and int(str(attempts)) < _LEAST_TRIES and not world.clock.jumps:
                self._judge_early(str(delivery_id), str(lane))

    def _judge_exhausted(self, delivery_id: str) -> None:
        if not self._world.committed(
            "SELECT 1 FROM events WHERE type = 'delivery.exhausted' AND body ->> '$.data.delivery_id' = ?", delivery_id
        ):
            self._world.accuse(f"{delivery_id} is exhausted, and nobody is told")

    def _judge_early(self, delivery_id: str, lane: str) -> None:
        """What finds out whether a destination is back has no budget of its own; what is let go after it has one."""
        self._early[lane] = self._early.get(lane, 0) + 1
        back = "SELECT 1 FROM events WHERE type = 'destination.recovered' AND body ->> '$.data.destination' = ?"
        down = "SELECT 1 FROM conditions WHERE lane = ? AND condition = 'unreachable'"
        if self._early[lane] > len(self._world.committed(back, lane)) and not self._world.committed(down, lane):
            self._world.accuse(f"{delivery_id} was given up after {_LEAST_TRIES - 1} tries at most")
