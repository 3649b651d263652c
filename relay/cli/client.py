"""The command line's side of the HTTP API, on the standard library: it starts fast."""

import http.client
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from relay import places
from relay.cli.failures import ApiError as ApiError
from relay.cli.failures import Unreachable as Unreachable
from relay.reaching import DEFAULT_URL, UNIX, connection_to

_SOCKET = "relay.sock"
_TIMEOUT_S = 15.0
_PAGE = 200
_NO_CONTENT, _NOT_READY = 204, 503


class Client:
    """Talks to one daemon; `answered` tells whether it ever did."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.answered = False
        self._token = token

    def get(self, path: str, query: Mapping[str, object] | None = None, *, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return what a GET answers; raises ApiError and Unreachable."""
        return self._call("GET", path, query, None, timeout_s)

    def post(self, path: str, body: object = None, *, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return what a POST answers; raises ApiError and Unreachable."""
        return self._call("POST", path, None, body, timeout_s)

    def delete(self, path: str) -> None:
        """Make a DELETE; raises ApiError and Unreachable."""
        self._call("DELETE", path, None, None, _TIMEOUT_S)

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says, be it good or bad; raises ApiError and Unreachable."""
        try:
            told = self.get("/readyz")
        except ApiError as error:
            if error.status != _NOT_READY or "checks" not in error.problem:
                raise
            told = error.problem
        if "checks" not in told:
            raise self._stranger()
        return dict(told)

    def pages(self, path: str, query: Mapping[str, object], most: int | None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page, at most so many."""
        cursor: str | None = None
        left = most
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = self.get(path, {**query, "limit": size, **({"cursor": cursor} if cursor else {})})
            if "items" not in page:
                raise self._stranger()
            yield from page["items"]
            cursor = page["next_cursor"]
            left = None if left is None else left - len(page["items"])
            if cursor is None:
                return

    def _call(self, method: str, path: str, query: Mapping[str, object] | None, body: object, timeout_s: float) -> Any:
        connection, prefix = connection_to(self.url, timeout_s)
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        target = prefix + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, UnicodeError, http.client.HTTPException) as error:  # a name may be none that DNS has
            absent = isinstance(error, ConnectionRefusedError | FileNotFoundError)
            raise Unreachable(f"no relay answers at {self.url} ({error})", absent=absent) from error
        finally:
            connection.close()
        return self._read(answer.status, text)

    def _read(self, status: int, text: bytes) -> Any:
        try:
            value: Any = json.loads(text) if text else None
        except ValueError as error:
            raise self._stranger() from error
        if 300 <= status < 400 or not (isinstance(value, dict) or status == _NO_CONTENT):
            raise self._stranger()
        self.answered = True
        if status >= 400:
            raise ApiError(status, value)
        return value

    def _stranger(self) -> Unreachable:
        return Unreachable(f"what answers at {self.url} is not relay")


def watch_path(reference: str) -> str:
    """Return the path of a watch, by id or provider:job_id."""
    return f"/v1/watches/{quote(reference, safe=':')}"


def delivery_path(delivery_id: str) -> str:
    """Return the path of a delivery."""
    return f"/v1/deliveries/{quote(delivery_id, safe='')}"


def default_url(env: Mapping[str, str] = os.environ) -> str:
    """Return where the daemon of this machine answers, by $RELAY_URL or the configuration that it would read.

    Its socket comes first, where there is one that may be used.  Raises
    OSError where a configuration is named that is not there.
    """
    if env.get("RELAY_URL"):
        return env["RELAY_URL"]
    named = env.get("RELAY_CONFIG")
    if named:
        _expect(Path(named))
    for place in [Path(named)] if named else [Path("config.toml"), places.CONFIGURATION]:
        if _may_be_there(place):
            server = _server_settings(place, env)
            sockets = (folder / server.get("socket", _SOCKET) for folder in _socket_folders(place))
            usable = (path for path in sockets if os.access(path, os.W_OK) and path.is_socket())
            listening = f"http://{server['listen']}" if "listen" in server else DEFAULT_URL
            return next((f"{UNIX}{path.absolute()}" for path in usable), listening)
    return DEFAULT_URL


def _expect(named: Path) -> None:
    """Raise OSError for a file that is not there; one that cannot be seen may be."""
    with suppress(PermissionError):
        named.stat()


def _may_be_there(place: Path) -> bool:
    """Tell whether a configuration is there, or in a folder that this user may not enter."""
    try:
        return place.is_file()
    except OSError:
        return True


def _socket_folders(config: Path) -> list[Path]:
    return [places.RUNTIME, places.STATE] if places.is_the_services(config) else [config.parent]


def _server_settings(config: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return what a configuration says of where the daemon answers, as far as it can be read."""
    found: dict[str, str] = {}
    for file in (config, *sorted(config.parent.glob("conf.d/[!.]*.toml"))):
        try:
            server = tomllib.loads(file.read_text(encoding="utf-8-sig"))["server"]
            found |= {key: value for key, value in server.items() if isinstance(value, str)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    overridden = {key: env.get(f"RELAY__SERVER__{key.upper()}") for key in ("listen", "socket")}
    return found | {key: _variable(text) for key, text in overridden.items() if text}


def _variable(text: str) -> str:
    """Return what a variable sets, which may be written as a string of TOML."""
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except ValueError:
        return text
    return value if isinstance(value, str) else text
