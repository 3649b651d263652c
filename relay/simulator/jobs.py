"""Simulated jobs, and a record of everything that was asked about them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.simulator.scenario import Scenario


@dataclass(slots=True)
class SimulatedJob:
    """One job of one provider; `cancelled_at` is set by a client that cancels it."""

    provider: str
    id: str
    model: str
    prompt: str
    scenario: Scenario
    created_at: float
    cancelled_at: float | None = None

    @property
    def ends_at(self) -> float:
        """When the job ends, unless someone cancels it before."""
        natural = self.created_at + self.scenario.queued_s + self.scenario.running_s
        return natural if self.cancelled_at is None else min(natural, self.cancelled_at)

    def state(self, now: float) -> str:
        """Return queued, running, or the outcome."""
        if self.cancelled_at is not None and now >= self.cancelled_at and self.cancelled_at <= self.ends_at:
            return "cancelled"
        if now >= self.ends_at:
            return self.scenario.outcome
        return "queued" if now < self.created_at + self.scenario.queued_s else "running"


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """One status request as the provider saw it, and the state that it answered, if any."""

    provider: str
    job_id: str
    at: float
    http: int
    state: str | None


@dataclass(slots=True)
class Jobs:
    """All jobs of the simulated providers."""

    now: Callable[[], float]
    default: Scenario = field(default_factory=Scenario)
    requests: list[StatusRequest] = field(default_factory=list)
    _jobs: dict[tuple[str, str], SimulatedJob] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(
        self,
        provider: str,
        job_id: str | None = None,
        scenario: Scenario | None = None,
        *,
        model: str = "sim-1",
        prompt: str = "",
    ) -> SimulatedJob:
        """Submit a job; the prompt may hold a directive.  Raises ValueError for one that cannot be followed."""
        fate = Scenario.told_by(prompt, scenario or self.default)
        name = job_id or f"{'req-' if provider == 'getimg' else 'video_'}{next(self._numbers):08d}"
        job = SimulatedJob(provider, name, model, prompt, fate, self.now())
        self._jobs[provider, name] = job
        return job

    def get(self, provider: str, job_id: str) -> SimulatedJob | None:
        """Return a job, or None where there is none."""
        return self._jobs.get((provider, job_id))

    def all(self) -> list[SimulatedJob]:
        """Return every job, oldest first."""
        return list(self._jobs.values())

    def asked(self, provider: str, job_id: str, http: int, state: str | None) -> None:
        """Record a status request."""
        self.requests.append(StatusRequest(provider, job_id, self.now(), http, state))

    def polls_after_end(self) -> dict[str, int]:
        """Return, by job, how often a client asked again after it had been told the end."""
        told: set[tuple[str, str]] = set()
        again: dict[str, int] = {}
        for request in self.requests:
            key = request.provider, request.job_id
            if key in told:
                again[request.job_id] = again.get(request.job_id, 0) + 1
            if request.state not in (None, "queued", "running"):
                told.add(key)
        return again
