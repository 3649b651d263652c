"""Asks one account of a provider about jobs, within its budget."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.core.budget import Budget, Rate
from relay.core.errors import InvalidValue, RelayError
from relay.core.http import MAX_BODY, Request, Response, TransportError
from relay.core.observation import Answer, Job, Trouble, TroubleKind
from relay.core.ports import Clock, Provider, Transport
from relay.core.watch import Following
from relay.credential import Credential

POLL_TIMEOUT_S = 30.0
_MAX_STEPS = 2


@dataclass(frozen=True, slots=True)
class Account:
    """A provider reached with one credential.

    `read_secrets` reads the credential anew at each call and raises RelayError
    where it cannot.  `deadline_s` is how long a watch lasts where it does not say
    itself.  Of an answer no more than `max_body` bytes are read.
    """

    provider: Provider
    following: Following
    read_secrets: Callable[[], Mapping[str, str]]
    concurrency: int
    deadline_s: float
    rate: Rate | None = None
    max_body: int = MAX_BODY

    @property
    def name(self) -> str:
        return self.provider.name


class Inquiry:
    """The way to one account: how it is asked, and what is left of its budget."""

    def __init__(self, account: Account, credential: Credential, transport: Transport, clock: Clock) -> None:
        self.account = account
        self._credential = credential
        self._transport = transport
        self._clock = clock
        self._budget = self._fresh_budget()

    def adopt(self, account: Account) -> None:
        """Go on with another description of the same account; what is being asked ends by the one it began with."""
        rate, self.account = self.account.rate, account
        if account.rate != rate:
            self._budget = self._fresh_budget()

    def _fresh_budget(self) -> Budget | None:
        rate = self.account.rate
        return None if rate is None else Budget.fresh(rate, self._clock.monotonic())

    @property
    def affordable(self) -> float:
        """How many questions the budget allows at this moment."""
        return math.inf if self._budget is None else self._budget.available(self._clock.monotonic())

    @property
    def affordable_in_s(self) -> float:
        """How long until the budget allows one more, at least what it takes to earn it."""
        if self._budget is None:
            return 0.0
        now = self._clock.monotonic()
        return max(self._budget.next_at(now) - now, self._budget.rate.interval_s)

    async def ask(self, job: Job) -> Answer:
        """Return what the provider says, with as many requests as its description needs; raises nothing."""
        provider, answers = self.account.provider, list[Response]()
        try:
            secrets = self._credential.secrets()
            request = provider.request(job, secrets, self._clock.now())
            for _ in range(_MAX_STEPS):
                answers.append(await self._send(request))
                meaning = provider.interpret(job, answers, secrets, self._clock.now())
                if not isinstance(meaning, Request):
                    return meaning
                request = meaning
        except TransportError as error:
            return Trouble(TroubleKind.UNAVAILABLE, str(error))
        except InvalidValue as error:  # the provider file asks for more than the job was added with
            return Trouble(TroubleKind.REFUSED, str(error))
        except RelayError as error:
            return Trouble(TroubleKind.UNAUTHORIZED, f"the credential cannot be read: {error}")
        return Trouble(TroubleKind.MALFORMED, "the provider's description asks for too many requests")

    async def _send(self, request: Request) -> Response:
        """Send one request as soon as the budget allows."""
        while self._budget is not None:
            now = self._clock.monotonic()
            if self._budget.available(now) > 0:
                self._budget = self._budget.spend(1, now)
                break
            await self._clock.sleep(self._budget.next_at(now) - now)
        return await self._transport.send(request, timeout_s=POLL_TIMEOUT_S, max_body=self.account.max_body)
