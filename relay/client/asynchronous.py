"""The client for programs with an event loop."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any

import aiohttp

from relay.client import messages
from relay.client.messages import Added, ApiError, Event, Refused, Request, StreamReader, Unreachable, Watch
from relay.reaching import DEFAULT_URL, UNIX, checked_token, checked_url


class AsyncClient:
    """Does what `Client` does, under asyncio; to be used as `async with AsyncClient() as relay`."""

    def __init__(self, url: str | None = None, token: str | None = None, *, patience_s: float = 30.0) -> None:
        self.url = checked_url(url or os.environ.get("RELAY_URL") or DEFAULT_URL)
        given = (token or os.environ.get("RELAY_TOKEN") or "").strip()
        self._token = checked_token(given) if given else None
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "AsyncClient":
        """Open connections as they are needed."""
        local = self.url.startswith(UNIX)
        # Each wait and each stream holds a connection for long, and would keep the others waiting for one.
        connector = (
            aiohttp.UnixConnector(self.url.removeprefix(UNIX), limit=0) if local else aiohttp.TCPConnector(limit=0)
        )
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    async def add(
        self,
        provider: str,
        job_id: str,
        *,
        params: Mapping[str, str] | None = None,
        callback_url: str | None = None,
        destinations: Iterable[str] = (),
        deadline: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Watch:
        """Hand over a job; the same one again is the same watch.  Raises ApiError and Unreachable."""
        wanted = messages.adding(provider, job_id, params, callback_url, destinations, deadline, metadata)
        return messages.watch_of(await self._ask(Request("POST", "/v1/watches", wanted)))

    async def add_many(self, jobs: Iterable[Mapping[str, Any]]) -> list[Added | Refused]:
        """Hand over many jobs, each a mapping with the arguments of `add`; tell what became of each, in their order."""
        return [result for batch in messages.batches(jobs) for result in messages.results_of(await self._ask(batch))]

    async def get(self, reference: str) -> Watch:
        """Return a watch, by its id or as provider:job_id."""
        return messages.watch_of(await self._ask(messages.reading(reference)))

    async def wait(self, reference: str, timeout_s: float | None = None) -> Watch:
        """Return a watch once it has ended; raises TimeoutError where that takes longer than `timeout_s`."""
        until = None if timeout_s is None else _now() + timeout_s
        while True:
            left = messages.LONG_POLL_S if until is None else min(until - _now(), messages.LONG_POLL_S)
            watch = await self._look(reference, max(left, 0.0), until)
            if watch.ended:
                return watch
            if until is not None and _now() >= until:
                raise TimeoutError(f"{reference} has not ended after {timeout_s:g} s")

    async def _look(self, reference: str, hold_s: float, until: float | None) -> Watch:
        """Return a watch once it has ended, or after `hold_s`; after a pause where relay does not hold the request."""
        held = messages.reading(reference, hold_s)
        try:
            return messages.watch_of(await self._ask(held, until))
        except ApiError as error:
            if not messages.is_crowded(error, held):
                raise
        await _sleep(min(messages.LONGEST_PAUSE_S, hold_s))
        return messages.watch_of(await self._ask(messages.reading(reference), until))

    async def explain(self, reference: str) -> list[str]:
        """Return in sentences why a watch stands where it stands."""
        path = messages.reading(reference).path
        return list((await self._ask(Request("GET", f"{path}/explanation")))["sentences"])

    async def events(
        self,
        *,
        types: Iterable[str] = (),
        provider: str | None = None,
        watch: str | None = None,
        since: str | None = None,
    ) -> AsyncIterator[Event]:
        """Yield events as they come, for ever: from now on, or from behind the place `since`.

        To go on after your own restart, keep the `place` of the last event that
        you are done with, and give it as `since`.
        """
        path = messages.stream_path(types, provider, watch, since)
        reader, failures = StreamReader(since), 0
        while True:
            try:
                async for event in self._stream(path, reader):
                    failures = 0
                    yield event
            except (aiohttp.ClientError, TimeoutError, OSError, Unreachable):
                failures += 1
            except ApiError as error:
                if not error.passing:
                    raise
                failures += 1
            reader = StreamReader(reader.place)
            await _sleep(messages.pause_s(max(failures, 1)))

    async def _stream(self, path: str, reader: StreamReader) -> AsyncIterator[Event]:
        headers = {"Accept": "text/event-stream"}
        if reader.place is not None:
            headers["Last-Event-ID"] = reader.place
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=messages.ANSWER_S, sock_read=messages.SILENCE_S)
        async with self._http.get(
            self._address(path), headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                messages.value_of(answer.status, await answer.read(), self.url)
                raise Unreachable(f"what answers at {self.url} is not relay")
            pending = b""
            async for chunk in answer.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = reader.line(line)
                    if event is not None:
                        yield event

    async def _ask(self, request: Request, until: float | None = None) -> Any:
        """Return what relay answers, asking again while it cannot be reached."""
        give_up = _now() + self._patience_s if until is None else min(until, _now() + self._patience_s)
        failures = 0
        while True:
            try:
                return await self._ask_once(request)
            except (Unreachable, ApiError) as error:
                failures += 1
                pause_s = messages.pause_s(failures)
                if not messages.may_pass(error, request) or _now() + pause_s > give_up:
                    raise
                await _sleep(pause_s)

    async def _ask_once(self, request: Request) -> Any:
        timeout = aiohttp.ClientTimeout(total=request.hold_s + messages.ANSWER_S)
        try:
            async with self._http.request(
                request.method,
                self._address(request.path),
                json=request.body,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"no relay answers at {self.url} ({error})") from error
        return messages.value_of(status, text, self.url)

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client as `async with AsyncClient() as relay`")
        return self._session

    def _address(self, path: str) -> str:
        return ("http://localhost" if self.url.startswith(UNIX) else self.url) + path


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - the application waits, on its own clock
