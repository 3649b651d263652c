"""Made-up outcomes, to see what a message about one looks like before there is one."""

from relay.core.event import Event, outcome_event
from relay.core.ids import ENTROPY_BYTES, watch_id
from relay.core.observation import Cost, Job, JobError, Observation, Output, Status
from relay.core.watch import Watch

_TOOK_S = 107.0
_KEPT_S = 86400.0


def sample_outcome(status: Status, now: float, *, provider: str = "getimg") -> Event:
    """Return the event of a job that ended like this at `now`; `status` is an outcome."""
    watch = Watch(
        id=watch_id(now, bytes(ENTROPY_BYTES)),
        provider=provider,
        job=Job("req-01HXYZVIDEO1234"),
        status=Status.RUNNING,
        created_at=now - _TOOK_S,
        deadline=now,
        next_poll_at=now,
        metadata={"order": "42"},
        model="seedance-v1-pro",
        polls=6,
    )
    completed = status is Status.COMPLETED
    seen = Observation(
        status,
        str(status),
        outputs=(_output(now),) if completed else (),
        error=None if completed else _ERRORS.get(status),
        cost=Cost(amount=5, unit="video_second", unit_price=0.5, quantity=10) if completed else None,
        raw=f'{{"id":"{watch.job.id}","status":"{status}"}}',
    )
    return outcome_event(watch, seen, now)


_ERRORS = {
    Status.FAILED: JobError("content_policy", "NSFW content detected", "Please change your prompt.", moderated=True),
    Status.NOT_FOUND: JobError("not_found", "no such job"),
    Status.TIMED_OUT: JobError("deadline_passed", 'the deadline passed while the job was "in_progress"'),
}


def _output(now: float) -> Output:
    return Output(
        "https://cdn.example/a.mp4?sig=x&exp=1",
        content_type="video/mp4",
        width=1920,
        height=1080,
        duration_s=10,
        fps=24,
        has_audio=True,
        expires_at=now + _KEPT_S,
    )
