"""The command line's side of the HTTP API, on the standard library: it starts fast."""

import http.client
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_URL = "http://127.0.0.1:8377"
_TIMEOUT_S = 15.0


class ApiError(Exception):
    """The daemon answered with a problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.status = status


class Unreachable(Exception):
    """No daemon answers."""


class Client:
    """Talks to one daemon."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self._token = token

    def get(self, path: str, query: Mapping[str, object] | None = None, *, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return what a GET answers; raises ApiError and Unreachable."""
        return self._call("GET", path, query, None, timeout_s)

    def post(self, path: str, body: object = None) -> Any:
        """Return what a POST answers; raises ApiError and Unreachable."""
        return self._call("POST", path, None, body, _TIMEOUT_S)

    def delete(self, path: str) -> None:
        """Make a DELETE; raises ApiError and Unreachable."""
        self._call("DELETE", path, None, None, _TIMEOUT_S)

    def pages(self, path: str, query: Mapping[str, object], most: int | None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page, at most so many."""
        cursor: str | None = None
        left = most
        while left is None or left > 0:
            size = 200 if left is None else min(left, 200)
            page = self.get(path, {**query, "limit": size, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next_cursor"]
            left = None if left is None else left - len(page["items"])
            if cursor is None:
                return

    def _call(self, method: str, path: str, query: Mapping[str, object] | None, body: object, timeout_s: float) -> Any:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        target = parts.path.rstrip("/") + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no relay answers at {self.url} ({error})") from error
        finally:
            connection.close()
        return self._read(answer.status, text)

    def _read(self, status: int, text: bytes) -> Any:
        try:
            value = json.loads(text) if text else None
        except ValueError as error:
            raise Unreachable(f"what answers at {self.url} is not relay") from error
        if status >= 400 and status != 503:
            raise ApiError(status, value if isinstance(value, dict) else {})
        return value


def watch_path(reference: str) -> str:
    """Return the path of a watch, by id or provider:job_id."""
    return f"/v1/watches/{quote(reference, safe=':')}"


def default_url(env: Mapping[str, str] = os.environ) -> str:
    """Return where the daemon of this machine listens, by $RELAY_URL or its configuration."""
    if env.get("RELAY_URL"):
        return env["RELAY_URL"].rstrip("/")
    places = [env["RELAY_CONFIG"]] if env.get("RELAY_CONFIG") else ["config.toml", "/etc/relay/config.toml"]
    for place in places:
        try:
            listen = tomllib.loads(Path(place).read_text())["server"]["listen"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(listen, str):
            return f"http://{listen}"
    return DEFAULT_URL
