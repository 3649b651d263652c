"""The client for programs without an event loop, on the standard library."""

import http.client
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from relay.client import messages
from relay.client.messages import Added, ApiError, Event, Refused, Request, StreamReader, Unreachable, Watch
from relay.reaching import DEFAULT_URL, checked_token, checked_url, connection_to


class Client:
    """Talks to one relay: `url` is its address, or `unix:/PATH` for its socket; ValueError for what is neither,
    and for a `token` that can be none.

    What is left out comes from $RELAY_URL and $RELAY_TOKEN.  While relay cannot
    be reached, requests that do no harm twice are made again for `patience_s`:
    a restart is not noticed.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, patience_s: float = 30.0) -> None:
        self.url = checked_url(url or os.environ.get("RELAY_URL") or DEFAULT_URL)
        given = (token or os.environ.get("RELAY_TOKEN") or "").strip()
        self._token = checked_token(given) if given else None
        self._patience_s = patience_s

    def add(
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
        return messages.watch_of(self._ask(Request("POST", "/v1/watches", wanted)))

    def add_many(self, jobs: Iterable[Mapping[str, Any]]) -> list[Added | Refused]:
        """Hand over many jobs, each a mapping with the arguments of `add`; tell what became of each, in their order."""
        return [result for batch in messages.batches(jobs) for result in messages.results_of(self._ask(batch))]

    def get(self, reference: str) -> Watch:
        """Return a watch, by its id or as provider:job_id."""
        return messages.watch_of(self._ask(messages.reading(reference)))

    def wait(self, reference: str, timeout_s: float | None = None) -> Watch:
        """Return a watch once it has ended; raises TimeoutError where that takes longer than `timeout_s`."""
        until = None if timeout_s is None else _now() + timeout_s
        while True:
            left = messages.LONG_POLL_S if until is None else min(until - _now(), messages.LONG_POLL_S)
            watch = self._look(reference, max(left, 0.0), until)
            if watch.ended:
                return watch
            if until is not None and _now() >= until:
                raise TimeoutError(f"{reference} has not ended after {timeout_s:g} s")

    def _look(self, reference: str, hold_s: float, until: float | None) -> Watch:
        """Return a watch once it has ended, or after `hold_s`; after a pause where relay does not hold the request."""
        held = messages.reading(reference, hold_s)
        try:
            return messages.watch_of(self._ask(held, until))
        except ApiError as error:
            if not messages.is_crowded(error, held):
                raise
        _sleep(min(messages.LONGEST_PAUSE_S, hold_s))
        return messages.watch_of(self._ask(messages.reading(reference), until))

    def explain(self, reference: str) -> list[str]:
        """Return in sentences why a watch stands where it stands."""
        path = messages.reading(reference).path
        return list(self._ask(Request("GET", f"{path}/explanation"))["sentences"])

    def events(
        self,
        *,
        types: Iterable[str] = (),
        provider: str | None = None,
        watch: str | None = None,
        since: str | None = None,
    ) -> Iterator[Event]:
        """Yield events as they come, for ever: from now on, or from behind the place `since`.

        To go on after your own restart, keep the `place` of the last event that
        you are done with, and give it as `since`.
        """
        path = messages.stream_path(types, provider, watch, since)
        reader, failures = StreamReader(since), 0
        while True:
            try:
                for event in self._stream(path, reader):
                    failures = 0
                    yield event
            except (OSError, http.client.HTTPException, Unreachable):
                failures += 1
            except ApiError as error:
                if not error.passing:
                    raise
                failures += 1
            reader = StreamReader(reader.place)
            _sleep(messages.pause_s(max(failures, 1)))

    def _stream(self, path: str, reader: StreamReader) -> Iterator[Event]:
        connection, prefix = connection_to(self.url, messages.SILENCE_S)
        headers = self._headers() | {"Accept": "text/event-stream"}
        if reader.place is not None:
            headers["Last-Event-ID"] = reader.place
        try:
            connection.request("GET", prefix + path, headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                messages.value_of(answer.status, answer.read(), self.url)
                raise Unreachable(f"what answers at {self.url} is not relay")
            while line := answer.readline():
                event = reader.line(line)
                if event is not None:
                    yield event
        finally:
            connection.close()

    def _ask(self, request: Request, until: float | None = None) -> Any:
        """Return what relay answers, asking again while it cannot be reached."""
        give_up = _now() + self._patience_s if until is None else min(until, _now() + self._patience_s)
        failures = 0
        while True:
            try:
                return self._ask_once(request)
            except (Unreachable, ApiError) as error:
                failures += 1
                pause_s = messages.pause_s(failures)
                if not messages.may_pass(error, request) or _now() + pause_s > give_up:
                    raise
                _sleep(pause_s)

    def _ask_once(self, request: Request) -> Any:
        connection, prefix = connection_to(self.url, request.hold_s + messages.ANSWER_S)
        headers, body = self._headers(), None
        if request.body is not None:
            headers["Content-Type"], body = "application/json", json.dumps(request.body).encode()
        try:
            connection.request(request.method, prefix + request.path, body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no relay answers at {self.url} ({error})") from error
        finally:
            connection.close()
        return messages.value_of(answer.status, text, self.url)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        return headers | {"Authorization": f"Bearer {self._token}"} if self._token else headers


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the application waits, on its own clock


def _sleep(seconds: float) -> None:
    time.sleep(seconds)
