"""The credential of one account: its secrets as they were read last, and how it stands with its provider."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from relay.core.errors import StoreError
from relay.core.event import provider_event
from relay.core.observation import Answer
from relay.core.ports import Entropy, Polling
from relay.core.routing import Route, operator_targets
from relay.core.standing import Change, Footing, Standing, after_answer, attributed, of_one_watch, set_back
from relay.core.watch import Watch


class Credential:
    """Goes by what answers show of it: is read again when it is refused, and its trouble stored and told once.

    `read_secrets` is as in `relay.inquiry.Account`; `standing` is how it stands now.
    """

    def __init__(
        self,
        provider: str,
        read_secrets: Callable[[], Mapping[str, str]],
        *,
        store: Polling,
        entropy: Entropy,
        routes: Sequence[Route],
        log: FilteringBoundLogger,
        on_event: Callable[[], None],
    ) -> None:
        self.standing = Standing()
        self._provider = provider
        self._read_secrets = read_secrets
        self._secrets: Mapping[str, str] | None = None
        self._store = store
        self._entropy = entropy
        self._routes = routes
        self._log = log
        self._on_event = on_event
        self._weighing = asyncio.Lock()
        """Held while what an answer means for the credential is drawn and stored: the next one goes by it."""

    async def remember(self) -> None:
        """Stand as when last recorded."""
        self.standing = (await self._store.standings()).get(self._provider, Standing())

    def secrets(self) -> Mapping[str, str]:
        """Return the secrets, read again where they were refused since; raises RelayError where they cannot be read."""
        if self._secrets is None:
            self._secrets = self._read_secrets()
        return self._secrets

    def adopt(self, read_secrets: Callable[[], Mapping[str, str]], routes: Sequence[Route]) -> None:
        """Read the secrets in this way, and again; a rest for want of ones that work ends."""
        self._read_secrets, self._secrets, self._routes = read_secrets, None, routes
        if self.standing.footing is not Footing.WORKING or self.standing.doubted:
            self.standing = replace(self.standing, rest_until=0.0)

    def set_back(self, seconds: float) -> None:
        """Go by a wall clock that was set back."""
        self.standing = set_back(self.standing, seconds)

    async def weigh(self, watch: Watch, answer: Answer, now: float, *, asked_at: float) -> Answer:
        """Draw the consequences that go beyond the one watch; return the answer as it concerns that.

        Raises StoreError where they cannot be stored: the next answer has them again.
        """
        asked_before = watch.last_poll_at or watch.created_at
        async with self._weighing:
            before = self.standing
            answer = of_one_watch(before, answer, asked_before=asked_before, failed_before=watch.failed_polls > 0)
            change = after_answer(before, answer, asked_at=asked_at, now=now, sample=self._entropy.sample())
            self.standing = standing = change.standing
            if standing.footing is Footing.UNAUTHORIZED or standing.doubted:
                self._secrets = None
            if change.tell or (standing.rest_until, standing.rests) != (before.rest_until, before.rests):
                try:
                    await self._tell(change, now)
                except StoreError:
                    if self.standing is standing:
                        self.standing = before
                    raise
        return attributed(standing, answer, asked_before=asked_before)

    async def _tell(self, change: Change, now: float) -> None:
        """Store how the credential stands from now on, with the news of it where it is some."""
        standing = change.standing
        event = provider_event(self._provider, change.tell, standing, now) if change.tell else None
        targets = operator_targets(change.tell, self._routes, self._provider) if change.tell else ()
        await self._store.record_standing(self._provider, standing, event, targets, now)
        self._log.warning(
            change.tell or ("credential.rested" if standing.rests else "credential.works"),
            footing=str(standing.footing),
            rest_s=round(max(standing.rest_until - now, 0.0), 1),
            detail=standing.detail,
        )
        if event is not None:
            self._on_event()
