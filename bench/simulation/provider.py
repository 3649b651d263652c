"""The provider: jobs in getimg's wire format, and every way in which it fails to tell of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.simulation.time import NEVER
from relay.core.http import Request, Response

if TYPE_CHECKING:
    from bench.simulation.world import World

LIMIT, WINDOW_S = 40, 60.0
_MOST_PER_JOB = 40
"""Polls of one job within a minute: one in two seconds, and some for jumps, people and second chances."""
_GARBAGE = (b"<html>502</html>", b'{"status": "comp', b"", b"[]", b'{"status": "warming_up"}', b"\xff\xfe")


@dataclass(slots=True)
class Job:
    """A job; one that vanishes is denied from then on."""

    known_at_s: float
    ends_at_s: float
    outcome: str
    vanishes_at_s: float | None
    told: set[str] = field(default_factory=set)
    """The outcomes that were told."""
    denials: int = 0
    most_denials: int = 0
    """In a row."""
    refused: bool = False
    polled_at: list[float] = field(default_factory=list)

    def deny(self) -> None:
        """Count an answer that says that there is no such job."""
        self.denials += 1
        self.most_denials = max(self.most_denials, self.denials)


class Provider:
    """A provider with one credential and a limit."""

    def __init__(self, world: "World") -> None:
        self.jobs: dict[str, Job] = {}
        self.refuses = NEVER
        self.refusal = 401
        self.polled_at: list[float] = []
        self._world = world

    def note(self, request: Request) -> None:
        """Note that a poll begins, and hold it against the promises."""
        world, job_id = self._world, request.url.rpartition("/")[2]
        self.polled_at.append(world.now_s)
        self.jobs[job_id].polled_at.append(world.now_s)
        if world.committed("SELECT 1 FROM watches WHERE job_id = ? AND finalized_at IS NOT NULL", job_id):
            world.accuse(f"{job_id} is polled after its end was committed")

    def answer(self, request: Request) -> Response:
        """Answer a poll, or fail to."""
        now_s, chance = self._world.now_s, self._world.chance
        job = self.jobs[request.url.rpartition("/")[2]]
        if now_s in self.refuses:
            if self.refusal == 403 and not job.refused:  # the first may be about the job, for all anybody knows
                job.refused = True
                job.deny()
            return Response(self.refusal, body=b'{"error": {"message": "invalid key"}}')
        mood = chance.random()
        if mood < 0.05:
            return Response(503)
        if mood < 0.07:
            return Response(429, {"retry-after": "20"})
        if mood < 0.09:
            return Response(200, body=chance.choice(_GARBAGE))
        gone = now_s < job.known_at_s or (job.vanishes_at_s is not None and now_s >= job.vanishes_at_s)
        if gone or mood < 0.1:
            job.deny()
            return Response(404, body=b'{"error": {"message": "not found"}}')
        if now_s < job.ends_at_s:
            return _PENDING
        job.told.add(job.outcome)
        return _status(job.outcome)

    def arrived(self, request: Request, answer: Response) -> None:
        """Note that an answer got through: one that knows of the job ends a row of denials."""
        if answer == _PENDING:
            job = self.jobs[request.url.rpartition("/")[2]]
            job.denials, job.refused = 0, False

    def judge(self) -> None:
        """Hold against the promises how often it was asked."""
        _judge_rate(self._world, self.polled_at, LIMIT, WINDOW_S, "the credential")
        for job_id, job in self.jobs.items():
            _judge_rate(self._world, job.polled_at, _MOST_PER_JOB, 60.0, job_id)


_PENDING = Response(200, {"content-type": "application/json"}, b'{"status": "pending"}')


def _status(literal: str) -> Response:
    content: dict[str, object] = {"status": literal}
    if literal == "completed":
        content["data"] = [{"url": "https://cdn.getimg.ai/v.mp4", "mime_type": "video/mp4"}]
    if literal == "failed":
        content["error"] = {"code": "internal", "message": "it did not work out"}
    return Response(200, {"content-type": "application/json"}, json.dumps(content).encode())


def _judge_rate(world: "World", at: Sequence[float], limit: int, window_s: float, whom: str) -> None:
    for first, last in zip(at, at[limit:], strict=False):
        if last - first < window_s - 1e-6:
            world.accuse(f"more than {limit} polls of {whom} in the {window_s:.0f} s from {first:.3f} s")
            return
