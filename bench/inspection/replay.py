"""The production model and policy at work on simulated jobs, one after the other."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from bench.inspection.exact import Outcome, Policy
from bench.inspection.shapes import Drawn, Shape
from relay.core.lessons import lessons
from relay.core.observation import Job, Observation, Status
from relay.core.outlook import Contention, Lifetime, outlook
from relay.core.schedule import Bounds, next_poll
from relay.core.watch import Continue, End, Following, Watch, decide
from relay.experience import Experience

TYPICAL_S = 60.0
"""What is said of the duration of every shape's jobs before any was seen, right or wrong."""

PROVIDER = "bench"
_MEAN_SPREAD = 0.5


@dataclass(frozen=True)
class Terms:
    """What is asked of the schedule: a price of a poll, or a mean lag; either way without other bounds."""

    price: float = 0.0
    lag_s: float = 0.0

    @property
    def contention(self) -> Contention:
        return Contention(price=self.price)

    @property
    def following(self) -> Following:
        return Following(TYPICAL_S, Bounds(self.lag_s, 0.0, math.inf), not_found_grace_s=0.0)


def history(shape: Shape, seed: int, terms: Terms) -> Iterator[Experience]:
    """Yield what was learned after 0, 1, 2 ... jobs; one object, which goes on learning."""
    random = Random(f"{shape.name}/{seed}")
    experience = Experience(PROVIDER, TYPICAL_S)
    experience.contention = terms.contention
    jobs = 0
    while True:
        yield experience
        watch_job(shape.draw(jobs, random), experience, terms.following, random)
        jobs += 1


def watch_job(job: Drawn, experience: Experience, following: Following, random: Random) -> Outcome:
    """Poll a job until it has ended, learning as the poller does; return what that took.

    The provider tells no times.
    """
    first = next_poll(
        outlook(Lifetime(0.0), None, experience, 0.0),
        following.bounds,
        experience.contention,
        now=0.0,
        deadline=math.inf,
        hint_s=None,
        sample=random.random(),
    )
    watch = Watch("wat", PROVIDER, Job("job"), Status.QUEUED, created_at=0.0, deadline=math.inf, next_poll_at=first)
    polls = 0
    while True:
        now, polls = watch.next_poll_at, polls + 1
        seen = answered(job, now)
        taught = lessons(watch, seen, experience, now)
        transition = decide(watch, seen, following, experience, now=now, sample=random.random())
        experience.learn(taught, saved=True)
        if isinstance(transition, End):
            break
        watch = continued(watch, transition)
    return Outcome(now - job.ends_at_s, polls)


def answered(job: Drawn, now: float) -> Observation:
    """Return what a provider says of a job at an age of `now` seconds."""
    if now >= job.ends_at_s:
        return Observation(Status.COMPLETED, model=job.model)
    return Observation(Status.RUNNING if now >= job.runs_at_s else Status.QUEUED, model=job.model)


def continued(watch: Watch, transition: Continue) -> Watch:
    """Return a watch after a poll that did not end it."""
    return replace(
        watch,
        status=transition.status,
        next_poll_at=transition.next_poll_at,
        model=transition.model,
        began_at=transition.began_at,
        seen_at=transition.seen_at,
        running_since=transition.running_since,
        estimated_end_at=transition.estimated_end_at,
    )


def learned(experience: Experience, terms: Terms) -> Policy:
    """Return the policy that follows from what was learned so far, each interval in the middle of its spread."""
    bounds, contention = terms.following.bounds, terms.contention

    def look(life: Lifetime, model: str | None, now: float) -> float:
        return next_poll(
            outlook(life, model, experience, now),
            bounds,
            contention,
            now=now,
            deadline=math.inf,
            hint_s=None,
            sample=_MEAN_SPREAD,
        )

    return look
