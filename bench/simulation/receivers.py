"""Those who get callbacks: what each knows of a `webhook-id`, and what may not come to it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Collection, Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.simulation.surroundings import SECRET
from bench.simulation.time import NEVER, Window
from relay.core.http import Request, Response

if TYPE_CHECKING:
    from bench.simulation.world import World

GONE = "https://gone.example/hook"
SHOP = "https://shop.example/hook"
_KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
_UNDER_WAY_S = 60.0
_SWITCHED_OFF = "SELECT 1 FROM conditions WHERE lane = ? AND condition = 'disabled' AND since < ?"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(slots=True)
class Receipt:
    """What a receiver knows of one `webhook-id`: `excused` is how often relay could not know that it had arrived."""

    url: str
    body: bytes
    times: int = 0
    excused: int = 0
    tries: int = 0

    @property
    def event(self) -> tuple[str, dict[str, object]]:
        """The type and the data of the event."""
        content = json.loads(self.body)
        return content["type"], content["data"]


@dataclass(slots=True)
class Receivers:
    """All of them."""

    world: "World"
    receipts: dict[str, Receipt] = field(default_factory=dict)
    gone: Window = NEVER
    """When the shop wants nothing more."""

    def note(self, request: Request) -> None:
        """Note that an attempt begins, and hold it against the promises."""
        world, sent = self.world, request.headers["webhook-id"]
        stamp = request.headers["webhook-timestamp"]
        if stamp != str(int(world.clock.now())):
            world.accuse(f"{sent} is sent as of {stamp}, when the clock says {world.clock.now():.3f}")
        signed = hmac.digest(_KEY, b".".join((sent.encode(), stamp.encode(), request.body or b"")), "sha256")
        if request.headers["webhook-signature"] != f"v1,{base64.b64encode(signed).decode()}":
            world.accuse(f"{sent} is badly signed")
        rows = world.committed("SELECT state, lane FROM deliveries WHERE id = ?", sent)
        if not rows:
            world.accuse(f"{sent} is sent before it was committed")
        elif rows[0][0] not in ("pending", "held"):
            world.accuse(f"{sent} is sent after it was settled")
        elif not world.clock.jumps and world.committed(_SWITCHED_OFF, rows[0][1], world.clock.now() - _UNDER_WAY_S):
            world.accuse(f"{sent} is sent to {rows[0][1]}, which is switched off")

    def receive(self, request: Request, host: str, *, broken: bool) -> Response:
        """Take a message, or not."""
        world, sent = self.world, request.headers["webhook-id"]
        if host == "gone.example" or (host == "shop.example" and world.now_s in self.gone):
            return Response(410)
        mood = world.chance.random()
        if broken:
            return Response(500)
        if mood < 0.1:
            return Response(world.chance.choice((500, 503, 429)), {"retry-after": "7"})
        body = request.body or b""
        receipt = self.receipts.setdefault(sent, Receipt(request.url, body))
        receipt.times += 1
        if receipt.body != body:
            world.accuse(f"{sent} came with other bytes than before")
        if receipt.times > 1 + receipt.excused:
            world.accuse(f"{sent} came again although its answer had arrived")
        if mood > 0.97:  # it took the message, and says that it did not
            receipt.excused += 1
            return Response(500)
        return Response(200)

    def excuse(self, request: Request) -> None:
        """Let a message come once more whose answer did not arrive."""
        self.excuse_resend(request.headers.get("webhook-id", ""))

    def excuse_resend(self, webhook_id: str) -> None:
        """Let a message come once more that somebody wants again."""
        if webhook_id in self.receipts:
            self.receipts[webhook_id].excused += 1

    def excuse_all_but(self, settled: Container[object]) -> None:
        """Let all others come once more."""
        for webhook_id, receipt in self.receipts.items():
            receipt.excused += webhook_id not in settled

    def judge(self, given_up: Collection[tuple[str | None, str]]) -> None:
        """Compare what arrived with what was asked for; who did not hear has to be among what was given up visibly."""
        world, told = self.world, set[tuple[object, str]]()
        for webhook_id, receipt in self.receipts.items():
            kind, data = receipt.event
            watch_id, key = data["watch_id"], _key(receipt.url)
            if webhook_id != "dlv_" + _name("evt_" + _name(str(watch_id), kind), key):
                world.accuse(f"the webhook-id of {data['job_id']} does not follow from what is told to whom")
            if (watch_id, receipt.url) in told:
                world.accuse(f"{watch_id} was told to {receipt.url} as two things")
            told.add((watch_id, receipt.url))
            if kind != f"job.{data['status']}":
                world.accuse(f"{data['job_id']} is told as {kind}, and {data['status']}")
        for wish, watch_id in world.granted.items():
            excused = watch_id in world.forgotten or (watch_id, wish.url) in given_up
            if wish.url is not None and (watch_id, wish.url) not in told and not excused:
                world.accuse(f"{wish.job_id} was accepted, and {wish.url} never heard of its end")


def _key(url: str) -> str:
    return "shop" if url == SHOP else f"url:{hashlib.sha256(url.encode()).hexdigest()[:32]}"


def _name(*parts: str) -> str:
    """Return the name of a fact: the first 128 bits of SHA-256 over its lines, in Crockford's base 32."""
    number = int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:16], "big")
    digits = ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = _ALPHABET[digit] + digits
    return digits
