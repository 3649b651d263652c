"""The chats: what their messages tell, read as a person would, and held against what counts as delivered."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.simulation.time import NEVER, Window
from relay.core.http import Request, Response

if TYPE_CHECKING:
    from bench.simulation.world import World

HOSTS = {"hooks.slack.com": "ops", "discord.com": "night"}
_LEFT_ALONE_S = 4.9
"""A chat hears nothing for five seconds after a message."""
_NAMED_IN_FULL = 10
"""Of so many events at most, a digest names each."""
_COUNT = re.compile(r"(\d+) deliveries, from (dlv_\w{8}) to (dlv_\w{8})")
_ONE = re.compile(r"Delivery (dlv_\w{8})")
_OUTCOMES = "completed|failed|cancelled|expired|not found|timed out"
_STATUS = re.compile(rf"(\d+) ({_OUTCOMES})")
_ENDED = re.compile(rf"ended: ((?:\d+ (?:{_OUTCOMES})(?:, )?)+)")
_QUIET_S = 8 * 3600 + 600, 8 * 3600 + 2400


@dataclass(slots=True)
class Message:
    """What one message tells: of how many deliveries, of which jobs by name, and how many of each outcome."""

    chat: str
    at: float
    """By the wall clock."""
    count: int
    first: str
    jobs: frozenset[str]
    outcomes: Counter[str]
    accepted: bool = False


@dataclass(slots=True)
class Chats:
    """Both of them: Slack for those on duty, Discord for everything, and not at night."""

    world: "World"
    messages: list[Message] = field(default_factory=list)
    gone: Window = NEVER
    """When Slack's webhook is dead."""
    _last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def note(self, request: Request, host: str) -> None:
        """Note that a message begins to be told, and hold it against the promises."""
        world, name = self.world, HOSTS[host]
        life, at_s = self._last.get(name, (-1, 0.0))
        if life == world.life and world.now_s - at_s < _LEFT_ALONE_S:
            world.accuse(f"{name} is told again after {world.now_s - at_s:.1f} s")
        message = _read(request, name, world.clock.now())
        self._last.pop(name, None)
        if not _sent_again(world, message):  # what a person wants once more opens no window
            self._last[name] = world.life, world.now_s
        self.messages.append(message)
        quiet = _QUIET_S[0] <= message.at % 86400 < _QUIET_S[1]
        if name == "night" and quiet and message.count == 1 and not _may_disturb(world, message):
            world.accuse(f"night is told of {message.first} in its quiet hours")

    def receive(self, request: Request, host: str, *, broken: bool) -> Response:
        """Take a message, or not."""
        world, name, mood = self.world, HOSTS[host], self.world.chance.random()
        if name == "ops" and world.now_s in self.gone:
            return Response(404, body=b"no_service")
        if broken or mood < 0.05:
            return Response(500)
        if mood < 0.1:
            return Response(429, {"retry-after": "11"}, body=b'{"retry_after": 11.0}' if name == "night" else b"")
        if mood < 0.12:
            return Response(400, body=b"invalid_blocks" if name == "ops" else b'{"code": 50035, "errors": {}}')
        message = next(message for message in reversed(self.messages) if message.chat == name)
        message.accepted = True
        return Response(200, body=b"ok" if name == "ops" else b"{}")

    def told(self, name: str) -> Counter[str]:
        """Return how often a chat was told of each outcome."""
        accepted = (message for message in self.messages if message.chat == name and message.accepted)
        return sum((message.outcomes for message in accepted), Counter())

    def check(self, name: str, at: float, deliveries: list[tuple[str, str, str | None]]) -> None:
        """Hold the deliveries that one message settled as delivered against what it told: id, event type and job."""
        world = self.world
        then = [message for message in self.messages if message.accepted and (message.chat, message.at) == (name, at)]
        if not then:
            world.accuse(f"{deliveries[0][0]} counts as delivered, and {name} took no message then")
            return
        message = then[-1]
        if message.count != len(deliveries):
            world.accuse(f"{name} was told of {message.count} events, and {len(deliveries)} count as delivered")
        outcomes = Counter(kind.removeprefix("job.") for _, kind, _ in deliveries if kind.startswith("job."))
        if message.outcomes != outcomes:
            world.accuse(f"{name} was told of {dict(message.outcomes)}, and {dict(outcomes)} count as delivered")
        jobs = frozenset(job for _, _, job in deliveries if job is not None)
        if len(deliveries) <= _NAMED_IN_FULL and message.jobs != jobs:
            world.accuse(f"{name} was told of {sorted(message.jobs)} by name, not of {sorted(jobs)}")
        if not any(delivery.startswith(message.first) for delivery, _, _ in deliveries):
            world.accuse(f"{name} was told of {message.first}, which does not count as delivered")


def _may_disturb(world: "World", message: Message) -> bool:
    """Tell whether a person wanted it sent again, or it is urgent."""
    return any(trigger == "manual" or kind == "job.failed" for trigger, kind in _first(world, message))


def _sent_again(world: "World", message: Message) -> bool:
    return any(trigger == "manual" for trigger, _ in _first(world, message))


def _first(world: "World", message: Message) -> list[tuple[object, ...]]:
    """Return why and of what kind the first delivery of a message is."""
    return world.committed(
        "SELECT trigger, type FROM deliveries JOIN events ON events.id = event_id"
        " WHERE deliveries.id >= ? AND deliveries.id < ?",
        message.first, message.first + "~",
    )  # fmt: skip


def _read(request: Request, chat: str, at: float) -> Message:
    text = " ".join(_strings(json.loads(request.body or b"{}"))).replace("\\", "")
    jobs = frozenset(re.findall(r"job-\d+", text))
    several = _COUNT.search(text)
    if several is None:
        single = _ONE.search(text)
        assert single is not None, text
        title = Counter(dict.fromkeys(_outcome_of(text), 1)) if jobs else Counter[str]()
        return Message(chat, at, 1, single[1], jobs, title)
    ended = _ENDED.search(text)
    counts = _STATUS.findall(ended[1] if ended else "")
    outcomes = Counter({outcome.replace(" ", "_"): int(number) for number, outcome in counts})
    return Message(chat, at, int(several[1]), several[2], jobs, outcomes)


def _outcome_of(text: str) -> Iterator[str]:
    """Yield the outcome that the title of a message about one job tells."""
    found = re.search(r"job (completed|failed|was cancelled|expired|was not found|timed out)", text)
    if found is not None:
        yield found[1].removeprefix("was ").replace(" ", "_")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
