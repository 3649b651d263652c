"""Many jobs that share one budget: the production terms and policy, beside a loop that takes all in turn.

Jobs are added at random, more than the budget can follow at the wanted lag.
Polls go out evenly, one at a time, to the job that is overdue most by its own
measure, as the store claims them.  What jobs take was learned before.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from bench.inspection.replay import PROVIDER, TYPICAL_S, answered, continued, watch_job
from bench.inspection.shapes import Drawn, Shape
from relay.core.observation import Job, Status
from relay.core.outlook import Demand, Lifetime, outlook
from relay.core.schedule import Bounds, contention, demand, next_poll
from relay.core.watch import Continue, Following, Watch, decide
from relay.experience import Experience

JOBS_PER_S = 2.0
POLLS_PER_S = 5.0
LASTS_S = 1500.0
_SETTLED_S = 500.0
"""Ends before this do not count: the crowd has to gather first."""
_LEARNED_FROM = 200
_TERMS_EVERY_S = 5.0
_LEAST_S = 0.1
_FOLLOWING = Following(TYPICAL_S, Bounds(detection_lag_s=2.0, min_interval_s=1.0, max_interval_s=60.0), 0.0)


@dataclass(frozen=True)
class Crowd:
    """How late ends were seen on average, and how late 19 of 20 were at most, in seconds."""

    name: str
    title: str
    turns_s: float
    turns_p95_s: float
    need_s: float
    need_p95_s: float


def gather(shape: Shape) -> Crowd:
    """Follow the same jobs both ways."""
    return Crowd(shape.name, shape.title, *_late(_by_turns, shape), *_late(_by_need, shape))


def _late(way: Callable[[list[tuple[float, Drawn]], Shape], Iterator[float]], shape: Shape) -> tuple[float, float]:
    random, now = Random(shape.name), 0.0
    added: list[tuple[float, Drawn]] = []
    while (now := now + random.expovariate(JOBS_PER_S)) < LASTS_S:
        added.append((now, shape.draw(len(added), random)))
    lags = sorted(way(added, shape))
    return statistics.fmean(lags), lags[int(0.95 * len(lags))]


def _moments() -> Iterator[float]:
    return (tick / POLLS_PER_S for tick in range(1, int(LASTS_S * POLLS_PER_S)))


def _by_turns(added: list[tuple[float, Drawn]], shape: Shape) -> Iterator[float]:
    """Yield the lags of a loop that looks at each live job in turn."""
    coming, live = deque(added), deque[tuple[float, Drawn]]()
    for now in _moments():
        while coming and coming[0][0] <= now:
            live.append(coming.popleft())
        if not live:
            continue
        began_at, job = live.popleft()
        lag = now - began_at - job.ends_at_s
        if lag < 0:
            live.append((began_at, job))
        elif now > _SETTLED_S:
            yield lag


def _by_need(added: list[tuple[float, Drawn]], shape: Shape) -> Iterator[float]:
    """Yield the lags of relay's terms and policy."""
    random, experience = Random(shape.name), Experience(PROVIDER, TYPICAL_S)
    for jobs in range(_LEARNED_FROM):
        watch_job(shape.draw(jobs, random), experience, _FOLLOWING, random)
    coming, live, numbers, terms_due = deque(added), dict[str, tuple[Watch, Drawn]](), count(), 0.0
    for now in _moments():
        while coming and coming[0][0] <= now:
            began_at, job = coming.popleft()
            watch = _new(f"wat_{next(numbers)}", began_at, experience, random)
            live[watch.id] = watch, job
        if now >= terms_due:
            terms_due = now + _TERMS_EVERY_S
            asked = _demand([watch for watch, _ in live.values()], experience.contention.floor)
            experience.contention = contention(asked, POLLS_PER_S, _FOLLOWING.bounds.max_interval_s)
        due = [watch for watch, _ in live.values() if watch.next_poll_at <= now]
        if not due:
            continue
        watch, job = live.pop(max(due, key=lambda watch: _overdue(watch, now)).id)
        seen = answered(job, now - watch.created_at)
        transition = decide(watch, seen, _FOLLOWING, experience, now=now, sample=random.random())
        if isinstance(transition, Continue):
            live[watch.id] = replace(continued(watch, transition), last_poll_at=now, demand=transition.demand), job
        elif now > _SETTLED_S:
            yield now - watch.created_at - job.ends_at_s


def _new(watch_id: str, now: float, experience: Experience, random: Random) -> Watch:
    expected, sample = outlook(Lifetime(now), None, experience, now), random.random()
    first = next_poll(
        expected, _FOLLOWING.bounds, experience.contention, now=now, deadline=math.inf, hint_s=None, sample=sample
    )
    watch = Watch(watch_id, PROVIDER, Job("job"), Status.QUEUED, created_at=now, deadline=math.inf, next_poll_at=first)
    return replace(watch, demand=demand(expected, first - now))


def _demand(watches: list[Watch], floor: float) -> Demand:
    asks = [watch.demand for watch in watches]
    patient = [ask for ask in asks if ask < floor]
    return Demand(len(asks), math.fsum(asks), len(patient), math.fsum(patient))


def _overdue(watch: Watch, now: float) -> float:
    asked_at = watch.created_at if watch.last_poll_at is None else watch.last_poll_at
    return (now - asked_at) / max(watch.next_poll_at - asked_at, _LEAST_S)
