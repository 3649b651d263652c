"""The simulated providers, served over HTTP."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

from aiohttp import web

from relay.simulator.faults import Fault, Faults, Limit, perform
from relay.simulator.formats import Format, Getimg, Lumenfall, NanoGpt
from relay.simulator.jobs import Jobs, SimulatedJob
from relay.simulator.scenario import Scenario
from relay.simulator.serving import served

_BASE_PATHS = {"getimg": "", "lumenfall": "/openai/v1", "nanogpt": "/api", "nanogpt-unified": "/api"}
_MOVIE = b"\x00\x00\x00\x18ftypmp42"


class Simulator:
    """getimg, Lumenfall and NanoGPT on one loopback port, for as long as the block runs.

    `now` is the providers' clock.  `keys` are the accepted keys by provider;
    where one is missing any key will do.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, now: Callable[[], float] = time.time) -> None:
        self.jobs = Jobs(now)
        self.faults = Faults(now)
        self.keys: dict[str, str] = {}
        self.url = ""
        self._now = now
        self._bind = host, port
        self._formats: dict[str, Format] = {"getimg": Getimg(), "lumenfall": Lumenfall(), "nanogpt": NanoGpt()}
        self._stack = AsyncExitStack()

    def base_url(self, provider: str) -> str:
        """Return what a client of a provider has to be pointed at."""
        return self.url + _BASE_PATHS[provider]

    def add_job(self, provider: str, job_id: str | None = None, scenario: Scenario | None = None) -> SimulatedJob:
        """Submit a job with a known fate."""
        return self.jobs.add(provider.removesuffix("-unified"), job_id, scenario)

    async def __aenter__(self) -> "Simulator":
        app = web.Application()
        app.add_routes(
            [
                web.post("/v2/videos/generations", self._submit_getimg),
                web.get("/v2/videos/generations/{id}", self._status_getimg),
                web.post("/openai/v1/videos", self._submit_lumenfall),
                web.get("/openai/v1/videos/{id}", self._status_lumenfall),
                web.delete("/openai/v1/videos/{id}", self._cancel_lumenfall),
                web.post("/api/generate-video", self._submit_nanogpt),
                web.get("/api/generate-video/status", self._status_nanogpt),
                web.get("/api/video/status", self._status_unified),
                web.get("/v2/downloads/{id}/{index}", self._download),
                web.post("/_sim/jobs", self._control_job),
                web.post("/_sim/faults", self._control_fault),
                web.get("/_sim/records", self._records),
            ]
        )
        self.url = await self._stack.enter_async_context(served(app, *self._bind))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    # submitting

    async def _submit(self, request: web.Request, provider: str) -> web.Response:
        if not self._authorized(request, provider):
            return self._problem(provider, 401)
        wanted = await _fields(request)
        try:
            job = self.jobs.add(provider, model=str(wanted.get("model", "sim-1")), prompt=str(wanted.get("prompt", "")))
        except ValueError:
            return self._problem(provider, 400)
        return web.json_response(self._formats[provider].submitted(job), status=202)

    async def _submit_getimg(self, request: web.Request) -> web.Response:
        return await self._submit(request, "getimg")

    async def _submit_lumenfall(self, request: web.Request) -> web.Response:
        return await self._submit(request, "lumenfall")

    async def _submit_nanogpt(self, request: web.Request) -> web.Response:
        return await self._submit(request, "nanogpt")

    # asking

    async def _status(
        self, request: web.Request, provider: str, job_id: str | None, form: Format
    ) -> web.StreamResponse:
        fault = self.faults.next(provider)
        if fault is not None:
            self.jobs.asked(provider, job_id or "", fault.code if fault.kind == "status" else 200, None)
            return await perform(fault, request)
        wait_s = limit.admit(self._now()) if (limit := self.faults.limits.get(provider)) else None
        job = self.jobs.get(provider, job_id) if job_id else None
        http = 200
        if wait_s is not None:
            http = 429
        elif not self._authorized(request, provider):
            http = 401
        elif job_id is None:
            http = 400
        elif job is None:
            http = 404
        if job is None or http != 200:
            self.jobs.asked(provider, job_id or "", http, None)
            headers = {"Retry-After": str(max(int(wait_s + 1), 1))} if wait_s is not None else {}
            return self._problem(provider, http, headers)
        self.jobs.asked(provider, job.id, 200, job.state(self._now()))
        return web.json_response(form.status(job, self._now()), headers=self._rate_headers(provider))

    async def _status_getimg(self, request: web.Request) -> web.StreamResponse:
        return await self._status(request, "getimg", request.match_info["id"], self._formats["getimg"])

    async def _status_lumenfall(self, request: web.Request) -> web.StreamResponse:
        return await self._status(request, "lumenfall", request.match_info["id"], self._formats["lumenfall"])

    async def _status_nanogpt(self, request: web.Request) -> web.StreamResponse:
        model = request.query.get("modelSlug") or request.query.get("model")
        job_id = request.query.get("runId") if model else None
        return await self._status(request, "nanogpt", job_id, self._formats["nanogpt"])

    async def _status_unified(self, request: web.Request) -> web.StreamResponse:
        job_id = request.query.get("requestId") or request.query.get("runId")
        return await self._status(request, "nanogpt", job_id, NanoGpt(unified=True))

    async def _cancel_lumenfall(self, request: web.Request) -> web.Response:
        job = self.jobs.get("lumenfall", request.match_info["id"])
        if job is None:
            return self._problem("lumenfall", 404)
        job.cancelled_at = job.cancelled_at or self._now()
        return web.json_response({"id": job.id, "object": "video.deleted", "deleted": True})

    async def _download(self, _request: web.Request) -> web.Response:
        return web.Response(body=_MOVIE, content_type="video/mp4")

    # steering from another process

    async def _control_job(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        provider, job_id = wanted.pop("provider"), wanted.pop("job_id", None)
        try:
            job = self.add_job(provider, job_id, Scenario().changed(wanted))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"id": job.id}, status=201)

    async def _control_fault(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        provider = wanted.pop("provider")
        if "limit" in wanted:
            self.faults.limits[provider] = Limit(int(wanted["limit"]), float(wanted.get("window_s", 60)))
            return web.json_response({}, status=201)
        try:
            self.faults.add(provider, Fault(**wanted))
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({}, status=201)

    async def _records(self, _request: web.Request) -> web.Response:
        jobs = [
            {"provider": job.provider, "id": job.id, "ends_at": job.ends_at, "outcome": job.state(job.ends_at)}
            for job in self.jobs.all()
        ]
        requests = [asdict(request) for request in self.jobs.requests]
        return web.json_response({"jobs": jobs, "requests": requests})

    # what all of them do

    def _authorized(self, request: web.Request, provider: str) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        key = request.headers.get("x-api-key", "") or bearer if provider == "nanogpt" else bearer
        return bool(key) and key == self.keys.get(provider, key)

    def _problem(self, provider: str, http: int, headers: dict[str, str] | None = None) -> web.Response:
        body = self._formats[provider].problem(http)
        return web.json_response(body, status=http, headers={**self._rate_headers(provider), **(headers or {})})

    def _rate_headers(self, provider: str) -> dict[str, str]:
        limit = self.faults.limits.get(provider)
        if provider != "getimg":
            return {}
        most, used = (limit.requests, len(limit.seen)) if limit else (60, 1)
        return {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(max(most - used, 0)),
            "X-RateLimit-Reset": str(int(self._now()) + 60),
        }


async def _fields(request: web.Request) -> dict[str, Any]:
    """Return the fields of a submit request, sent as JSON or as a form."""
    if request.content_type == "application/json":
        body = await request.json()
        return body if isinstance(body, dict) else {}
    return dict(await request.post())
