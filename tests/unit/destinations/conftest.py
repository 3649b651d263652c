"""Events as they happen, and deliveries of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from relay.core.delivery import Delivery, DeliveryState
from relay.core.event import Event, outcome_event
from relay.core.observation import Cost, Job, JobError, Observation, Output, Status
from relay.core.watch import Target, Watch

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
WATCH_ID = "wat_01kb0000000000000000000000"


def _watch(provider: str, job_id: str, watched_at: float) -> Watch:
    return Watch(
        id=WATCH_ID,
        provider=provider,
        job=Job(job_id),
        status=Status.RUNNING,
        created_at=watched_at,
        deadline=watched_at + 3600,
        next_poll_at=watched_at,
    )


@pytest.fixture
def noon() -> float:
    """2026-11-21 12:00 UTC: when the events below were observed."""
    return NOON


@pytest.fixture
def delivery() -> Delivery:
    """A first attempt."""
    return Delivery(
        id="dlv_0123456789abcdefghjkmnpqrs",
        event_id="evt_0123456789abcdefghjkmnpqrs",
        watch_id=WATCH_ID,
        target=Target("ops", "ops", name="ops"),
        state=DeliveryState.PENDING,
        created_at=NOON,
        next_attempt_at=NOON,
        retry_from=NOON,
    )


@pytest.fixture
def completed() -> Event:
    """A job that took 107 s by the provider's word, with one output that expires at 12:50."""
    seen = Observation(
        Status.COMPLETED,
        "completed",
        model="seedance-v1-pro",
        outputs=(
            Output(
                "https://cdn.example/a.mp4?sig=x&exp=1",
                content_type="video/mp4",
                width=1920,
                height=1080,
                duration_s=10,
                expires_at=NOON + 3000,
            ),
        ),
        cost=Cost(amount=5, unit="video_second", unit_price=0.5, quantity=10),
        created_at=NOON - 110,
        completed_at=NOON - 3,
        raw='{"status":"completed"}',
    )
    return outcome_event(_watch("getimg", "req-01H", NOON - 100), seen, NOON)


@pytest.fixture
def moderated() -> Event:
    """A job that a content filter stopped, 41 s after it was first watched."""
    error = JobError("nsfw", "NSFW content detected", "Please change your prompt.", moderated=True)
    seen = Observation(Status.FAILED, "FAILED", model="veo-3", error=error)
    return outcome_event(_watch("nanogpt", "run_7", NOON - 41), seen, NOON)


@pytest.fixture
def cancelled() -> Event:
    """A cancelled job of which nothing else is known."""
    return outcome_event(_watch("lumenfall", "video_9", NOON - 5), Observation(Status.CANCELLED, "CANCELED"), NOON)


@pytest.fixture
def timed_out() -> Event:
    """A job still running at its deadline, an hour after it was first watched."""
    error = JobError(code="deadline_passed", message='the deadline passed while the job was "in_progress"')
    seen = Observation(Status.TIMED_OUT, "in_progress", error=error)
    return outcome_event(_watch("lumenfall", "video_9", NOON - 3600), seen, NOON)


@pytest.fixture
def failing() -> Callable[[str], Event]:
    """Makes the event of a failed job whose provider said this."""

    def make(message: str) -> Event:
        seen = Observation(Status.FAILED, "failed", error=JobError(message=message))
        return outcome_event(_watch("getimg", "req-01H", NOON - 41), seen, NOON)

    return make


@pytest.fixture
def producing() -> Callable[..., Event]:
    """Makes the event of a completed job with these outputs."""

    def make(*outputs: Output) -> Event:
        seen = Observation(Status.COMPLETED, "completed", outputs=outputs)
        return outcome_event(_watch("getimg", "req-01H", NOON - 41), seen, NOON)

    return make


@pytest.fixture
def after(delivery: Delivery) -> Callable[[str | None], Delivery]:
    """Returns the delivery as it stands after an attempt with this reason."""
    return lambda reason: replace(delivery, reason=reason, attempts=1, tries=1)
