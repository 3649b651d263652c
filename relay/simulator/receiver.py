"""A receiver that records what arrives and checks it: callbacks, Slack, Discord.

Signatures are checked by a few lines of its own, so that what it says of
relay's does not rest on relay's code.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from relay.simulator.serving import served

_TOLERANCE_S = 300
_SLACK_BLOCKS = 50
_DISCORD_EMBEDS = 10


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived; `verified` is None for chats, which sign nothing."""

    kind: str
    name: str
    at: float
    webhook_id: str | None
    verified: bool | None
    status: int
    body: dict[str, Any]


@dataclass(slots=True)
class Behaviour:
    """How a path answers: these statuses first, then success, each after a delay."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Receiver:
    """Listens on a loopback port for as long as the block runs."""

    def __init__(self, secret: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.received: list[Received] = []
        self.url = ""
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._bind = host, port
        self._behaviours: dict[str, Behaviour] = {}
        self._arrived = asyncio.Event()
        self._stack = AsyncExitStack()

    def callback_url(self, name: str = "app") -> str:
        """Return the URL of a callback receiver of this name."""
        return f"{self.url}/callback/{name}"

    @property
    def slack_url(self) -> str:
        """The URL of an incoming webhook in Slack's form."""
        return f"{self.url}/services/T0/B0/simulated"

    @property
    def discord_url(self) -> str:
        """The URL of a webhook in Discord's form."""
        return f"{self.url}/api/webhooks/1/simulated"

    def behave(self, name: str, behaviour: Behaviour) -> None:
        """Let a callback receiver, ``slack`` or ``discord`` answer otherwise than at once with success."""
        self._behaviours[name] = behaviour

    def of(self, kind: str) -> list[Received]:
        """Return what arrived and was answered with success: callback, slack or discord."""
        return [item for item in self.received if item.kind == kind and item.status < 300]

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition holds, looking whenever something arrives; return whether it does."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return condition()
        return True

    async def __aenter__(self) -> "Receiver":
        app = web.Application()
        app.add_routes(
            [
                web.post("/callback/{name}", self._callback),
                web.post("/services/{team}/{hook}/{token}", self._slack),
                web.post("/api/webhooks/{id}/{token}", self._discord),
                web.get("/_receiver/records", self._records),
            ]
        )
        self.url = await self._stack.enter_async_context(served(app, *self._bind))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def verifies(self, headers: dict[str, str], body: bytes) -> bool:
        """Check a signature by Standard Webhooks 1.0.0."""
        stamp = headers.get("webhook-timestamp", "")
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > _TOLERANCE_S:
            return False
        signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        tokens = headers.get("webhook-signature", "").split(" ")
        return any(hmac.compare_digest(expected.encode(), token.encode()) for token in tokens)

    async def _callback(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        verified = self.verifies(headers, body)
        name = request.match_info["name"]
        status = await self._answer(name, 204 if verified else 401)
        self._record("callback", name, json.loads(body), status, headers.get("webhook-id"), verified)
        return web.Response(status=status, headers=self._headers(name, status))

    async def _slack(self, request: web.Request) -> web.Response:
        message = await request.json()
        sound = bool(message.get("text")) and len(message.get("blocks", [])) <= _SLACK_BLOCKS
        status = await self._answer("slack", 200 if sound else 400)
        self._record("slack", "slack", message, status)
        words = {200: "ok", 429: "rate_limited"}
        return web.Response(
            status=status, text=words.get(status, "rollup_error" if status >= 500 else "invalid_payload")
        )

    async def _discord(self, request: web.Request) -> web.Response:
        message = await request.json()
        embeds = message.get("embeds", [])
        sound = (bool(embeds) or bool(message.get("content"))) and len(embeds) <= _DISCORD_EMBEDS
        status = await self._answer("discord", 200 if sound else 400)
        self._record("discord", "discord", message, status)
        if status != 200:
            return web.json_response({"message": "Invalid Form Body", "code": 50035}, status=status)
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        return web.json_response({"id": str(len(self.received)), **message})

    async def _records(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(item) for item in self.received])

    async def _answer(self, name: str, success: int) -> int:
        behaviour = self._behaviours.get(name)
        if behaviour is None:
            return success
        await asyncio.sleep(behaviour.delay_s)
        return behaviour.statuses.pop(0) if behaviour.statuses else success

    def _headers(self, name: str, status: int) -> dict[str, str]:
        behaviour = self._behaviours.get(name)
        return behaviour.headers if behaviour is not None and status >= 300 else {}

    def _record(
        self,
        kind: str,
        name: str,
        body: dict[str, Any],
        status: int,
        webhook_id: str | None = None,
        verified: bool | None = None,
    ) -> None:
        self.received.append(Received(kind, name, time.time(), webhook_id, verified, status, body))
        self._arrived.set()
