"""The wire formats of the simulated providers, each after its own documents."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from relay.simulator.jobs import SimulatedJob

_DAY_S = 86400
_SIGNATURE = "ca4f0f5a5f7d2ca9bc9c7b53b2432d7840a971c11c9161d3d2f29e1cb6e77f8f"
_MODERATION = "Content flagged as inappropriate. Please modify your prompt and try again."


class Format(Protocol):
    """How a provider says things."""

    def submitted(self, job: SimulatedJob) -> dict[str, Any]: ...
    def status(self, job: SimulatedJob, now: float) -> dict[str, Any]: ...
    def problem(self, http: int) -> dict[str, Any]: ...


class Getimg:
    """getimg.ai v2 videos: docs.getimg.ai, "Retrieve video generation status"."""

    def submitted(self, job: SimulatedJob) -> dict[str, Any]:
        return {"id": job.id, "status": "pending"}

    def status(self, job: SimulatedJob, now: float) -> dict[str, Any]:
        """See Format."""
        state = job.state(now)
        if state in ("queued", "running"):
            return {"id": job.id, "status": job.scenario.literal or "pending"}
        if state == "cancelled":
            return {"id": job.id, "status": "cancelled"}
        if state == "failed":
            code = "content_policy_violation" if job.scenario.moderated else job.scenario.error_code
            message = _MODERATION if job.scenario.moderated else job.scenario.error_message
            return {"id": job.id, "status": "failed", "error": {"message": message, "code": code}}
        return {
            "id": job.id,
            "status": "completed",
            "model": job.model,
            "data": [self._item(job, index) for index in range(job.scenario.outputs)],
            "usage": {"total_cost": 0.25, "billable_unit": "video_second", "unit_price": 0.05, "quantity": 5},
        }

    def _item(self, job: SimulatedJob, index: int) -> dict[str, Any]:
        deletes_at = datetime.fromtimestamp(job.ends_at + _DAY_S, UTC).isoformat(timespec="milliseconds")
        return {
            "url": f"/v2/downloads/{job.id}/{index}?exp=1760000000&sig={_SIGNATURE}",
            "width": 1920,
            "height": 1080,
            "duration": 5,
            "fps": 24,
            "has_sound": True,
            "mime_type": "video/mp4",
            "deletes_at": deletes_at.replace("+00:00", "Z"),
        }

    def problem(self, http: int) -> dict[str, Any]:
        code, message = {
            400: ("invalid_parameter", "The request is not valid."),
            401: ("invalid_api_key", "Incorrect API key provided."),
            404: ("not_found", "The resource doesn't exist."),
            429: ("rate_limit", "Too many requests hit the API too quickly."),
        }.get(http, ("server_error", "Something went wrong on our end."))
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


class Lumenfall:
    """Lumenfall's OpenAI-compatible videos: docs.lumenfall.ai, "Get video"."""

    def submitted(self, job: SimulatedJob) -> dict[str, Any]:
        return self._video(job, "queued")

    def status(self, job: SimulatedJob, now: float) -> dict[str, Any]:
        """See Format."""
        state = job.state(now)
        words = {"queued": "queued", "running": job.scenario.literal or "in_progress"}
        shown = self._video(job, words.get(state, state))
        if state == "completed":
            shown["completed_at"] = int(job.ends_at)
            shown["expires_at"] = int(job.ends_at) + _DAY_S
            shown["output"] = {
                "url": f"https://media.lumenfall.ai/{job.id}.mp4",
                "content_type": "video/mp4",
                "size_bytes": 15728640,
            }
            shown["metadata"] |= {"cost": 0.21}
        elif state == "failed":
            code = "CONTENT_POLICY_VIOLATION" if job.scenario.moderated else job.scenario.error_code
            message = _MODERATION if job.scenario.moderated else job.scenario.error_message
            shown["error"] = {"code": code, "message": message}
        else:
            shown["metadata"] |= {"cost_estimate": 0.21}
        return shown

    def _video(self, job: SimulatedJob, status: str) -> dict[str, Any]:
        return {
            "id": job.id,
            "object": "video",
            "created_at": int(job.created_at),
            "completed_at": None,
            "expires_at": None,
            "status": status,
            "model": job.model,
            "prompt": job.prompt,
            "seconds": "10",
            "size": "1920x1080",
            "output": None,
            "error": None,
            "metadata": {
                "model": job.model,
                "executed_model": f"openai/{job.model}",
                "provider": "openai",
                "provider_name": "OpenAI",
                "cost_currency": "USD",
            },
        }

    def problem(self, http: int) -> dict[str, Any]:
        code = {401: "AUTHENTICATION_FAILED", 404: "NOT_FOUND", 429: "RATE_LIMITED"}.get(http, "UPSTREAM_ERROR")
        return {"error": {"message": code.replace("_", " ").capitalize() + ".", "type": "error", "code": code}}


@dataclass(frozen=True, slots=True)
class NanoGpt:
    """NanoGPT's video status: nested and upper case; the unified endpoint spells CANCELED with one L."""

    unified: bool = False

    def submitted(self, job: SimulatedJob) -> dict[str, Any]:
        return {"runId": job.id, "id": job.id, "status": "pending", "model": job.model, "cost": 0.3}

    def status(self, job: SimulatedJob, now: float) -> dict[str, Any]:
        """See Format."""
        state = job.state(now)
        words = {
            "queued": "IN_QUEUE",
            "running": job.scenario.literal or "IN_PROGRESS",
            "completed": "COMPLETED",
            "failed": "FAILED",
            "cancelled": "CANCELED" if self.unified else "CANCELLED",
        }
        data: dict[str, Any] = {"status": words[state]}
        data["requestId" if self.unified else "request_id"] = f"fal-request-{job.id}"
        if state == "completed":
            data["output"] = {"video": {"url": f"https://storage.example.com/{job.id}.mp4"}}
            data["cost"] = 0.3
        if state == "failed":
            moderated = job.scenario.moderated
            data["error"] = "Content policy violation" if moderated else job.scenario.error_message
            data["isNSFWError"] = moderated
            data["userFriendlyError"] = _MODERATION if moderated else None
        return {"requestId": job.id, "model": job.model, "data": data} if self.unified else {"data": data}

    def problem(self, http: int) -> dict[str, Any]:
        return {"error": http, "message": {404: "Request not found"}.get(http, "Request failed")}
