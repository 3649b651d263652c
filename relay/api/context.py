"""What the handlers work with."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from aiohttp import web

from relay.api.auth import Caller, CreatedTokens, authenticate
from relay.config import Changes
from relay.core.access import Token
from relay.core.budget import Rate
from relay.core.delivery import Verdict
from relay.core.outlook import Expectations
from relay.core.ports import Clock, Counts, Entropy, Provider, Store
from relay.core.routing import Route
from relay.core.standing import Standing
from relay.core.watch import Following, Target
from relay.health import Health
from relay.metrics import Metrics
from relay.signals import EndSignals, News


@dataclass(frozen=True, slots=True)
class Followed:
    """A provider as the API needs it: its rules, what is expected of its jobs, and its loop.

    `wake` lets that look at once, `planned` in time for a poll at an instant.
    """

    provider: Provider
    following: Following
    expectations: Expectations
    rate: Rate | None
    deadline_s: float
    wake: Callable[[], None]
    planned: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class NamedDestination:
    """A destination of the configuration; `greet` sends it a test event at once and returns its verdict."""

    target: Target
    kind: str
    greet: Callable[[float], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the daemon is: since when it runs and on which configuration, what waits, and how each provider stands.

    `config_refused` tells that the configuration on disk could not be used;
    `due_lags_s` is how long the watch that is due longest has been waiting.
    """

    started_at: float
    config_loaded_at: float
    config_refused: bool
    counts: Counts
    due_lags_s: Mapping[str, float]
    standings: Mapping[str, Standing]


@dataclass(slots=True)
class Context:
    """The ports and settings of the API.

    `callback_target` checks a callback URL and raises InvalidValue, the better for
    what `look_up` had time to learn of the names in some;
    `destinations` holds the named ones; `measure` tells how the daemon is, and
    brings the gauges of `metrics` up to date; `reload` takes over the configuration
    as it is on disk, and raises RelayError with a report where it is wrong.
    """

    store: Store
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    health: Health
    ends: EndSignals
    news: News
    providers: Mapping[str, Followed]
    destinations: Mapping[str, NamedDestination]
    routes: Sequence[Route]
    callback_target: Callable[[str], Target]
    look_up: Callable[[Collection[str]], Awaitable[None]]
    wake_dispatcher: Callable[[], None]
    tokens: Collection[Token]
    created: CreatedTokens
    listen_host: str
    rate: Rate
    reload: Callable[[], Awaitable[Changes]]
    measure: Callable[[], Awaitable[Vitals]]

    def adopt(self, fresh: "Context") -> None:
        """Be another context from now on, at once."""
        for field in fields(fresh):
            setattr(self, field.name, getattr(fresh, field.name))


async def identify(request: web.Request) -> Caller:
    """Return who makes a request, as it stands now; raises ApiProblem."""
    context = request.app[CONTEXT]
    return await authenticate(request, context.tokens, context.created, context.listen_host, context.clock.now())


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)
