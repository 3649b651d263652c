"""A server that answers as a test tells it to, for the command line's side of the API."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

DROPPED = object()
"""The connection is closed without an answer, as by a daemon that dies."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    authorization: str | None
    body: Any


@dataclass
class ScriptedApi:
    """Answers each request with the next of its answers; the last one stays.

    An answer is a status, a body, JSON unless it is bytes, and perhaps headers; or
    DROPPED, or a function of the request that gives one of these.
    """

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    holding: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    _closing: threading.Event = field(default_factory=threading.Event)
    _scripts: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, method: str, path: str, *answers: Any) -> None:
        """Let requests for a path be answered so."""
        self._scripts[method, path] = list(answers)

    def watch(self, watch_id: str, *statuses: str, **more: Any) -> None:
        """Give a watch; a request that may wait for one which has not ended is held."""
        self.on("GET", f"/v1/watches/{watch_id}", *(self._watch_answer(watch_id, status, more) for status in statuses))

    def _watch_answer(self, watch_id: str, status: str, more: dict[str, Any]) -> Callable[[Asked], Any]:
        def answer(asked: Asked) -> Any:
            if status in ("queued", "running"):
                self._hold(float(asked.query.get("wait", ["0"])[0]))
            return 200, watch_document(watch_id, status, **more)

        return answer

    def _hold(self, wait_s: float) -> None:
        with self._lock:
            self.holding += 1
        self.held.set()
        self._closing.wait(wait_s)
        with self._lock:
            self.holding -= 1

    def answer(self, asked: Asked) -> Any:
        with self._lock:
            self.asked.append(asked)
            answers = self._scripts.get((asked.method, asked.path))
            if answers is None:
                return 404, problem(404, f"nothing at {asked.path}")
            chosen = answers.pop(0) if len(answers) > 1 else answers[0]
        return chosen(asked) if callable(chosen) else chosen

    def close(self) -> None:
        self._closing.set()


def problem(status: int, detail: str) -> dict[str, Any]:
    """Return a problem document."""
    return {"type": "urn:relay:problem:test", "title": "A problem", "status": status, "detail": detail}


def watch_document(watch_id: str, status: str, **more: Any) -> dict[str, Any]:
    """Return a watch as the API shows it."""
    shown: dict[str, Any] = {
        "id": watch_id,
        "provider": "getimg",
        "job_id": "req-1",
        "params": {},
        "status": status,
        "provider_status": None,
        "model": None,
        "progress": None,
        "metadata": {},
        "callback_url": None,
        "callback_urls": [],
        "destinations": [],
        "watched_at": "2026-11-21T10:00:00.000Z",
        "deadline": "2026-11-22T10:00:00.000Z",
        "eta": None,
        "next_poll_at": None,
        "last_poll_at": None,
        "polls": 3,
        "last_error": None,
        "finalized_at": None,
    }
    if status not in ("queued", "running"):
        shown |= {"outputs": [], "error": None, "cost": None, "event_id": "evt_1"}
    return shown | more


class _Handler(BaseHTTPRequestHandler):
    api: ScriptedApi

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(
            self.command,
            unquote(parts.path),
            parse_qs(parts.query),
            self.headers.get("Authorization"),
            json.loads(body) if body else None,
        )
        answer = self.api.answer(asked)
        if answer is DROPPED:
            return
        status, value, *more = answer
        data = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
        try:
            self.send_response(status)
            for name, text in {"Content-Length": str(len(data)), **dict(*more)}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:
            pass  # whoever asked has gone, as an interrupted wait does

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server calls


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def scripted_api() -> Iterator[ScriptedApi]:
    """Serve on a free port of loopback while the block runs."""
    api = ScriptedApi()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.close()
        server.shutdown()
        server.server_close()
        thread.join()
