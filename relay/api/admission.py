"""From a request to a watch: what is checked before it is stored."""

import difflib
from collections.abc import Collection, Sequence

from relay.api.auth import Caller
from relay.api.context import Context, Followed
from relay.api.problems import ApiProblem
from relay.api.requests import WatchRequest, deadline_of
from relay.core import ids
from relay.core.access import Scope
from relay.core.errors import InvalidValue
from relay.core.observation import Job
from relay.core.outlook import Lifetime, Outlook, outlook
from relay.core.schedule import best_interval_s, demand, within_bounds
from relay.core.watch import NewWatch, Target

_HINTS = 50
"""How many names that are not configured are compared with those that are: a batch may hold twenty thousand."""


class Admission:
    """Makes watches of requests that come together: what holds for one holds for all, and is worked out once."""

    def __init__(self, context: Context, caller: Caller, number: int) -> None:
        """Be ready for `number` requests of a caller."""
        self._context = context
        self._caller = caller
        self._now = context.clock.now()
        self._entropy = context.entropy.bytes(number * ids.ENTROPY_BYTES)
        self._admitted = 0
        self._expected: dict[str, tuple[Outlook, float]] = {}
        self._hints: dict[tuple[str, str], str] = {}

    def watch(self, wanted: WatchRequest) -> NewWatch:
        """Return the watch that a request asks for.

        Raises ApiProblem with every field that is not valid.
        """
        errors: list[InvalidValue] = []
        context, now = self._context, self._now
        followed = context.providers.get(wanted.provider)
        job, deadline = Job(wanted.job_id, dict(wanted.params)), now
        if followed is None:
            errors.append(
                InvalidValue("provider", self._not_configured("provider", wanted.provider, context.providers))
            )
        else:
            try:
                job = followed.provider.check(job)
            except InvalidValue as error:
                errors.append(error)
            try:
                deadline = deadline_of(wanted.deadline, followed.deadline_s, now)
            except InvalidValue as error:
                errors.append(error)
        if wanted.owner is not None and Scope.ADMIN not in self._caller.scopes:
            errors.append(InvalidValue("owner", "is for an admin to say; the watch belongs to the token that adds it"))
        targets = self._targets(wanted, errors)
        if errors or followed is None:
            raise ApiProblem.of_fields(errors)
        next_poll_at, asked = self._first_poll(wanted.provider, followed, deadline)
        return NewWatch(
            id=ids.watch_id(now, self._draw()),
            provider=wanted.provider,
            job=job,
            deadline=deadline,
            next_poll_at=next_poll_at,
            demand=asked,
            targets=targets,
            metadata=wanted.metadata,
            owner=self._caller.owner if wanted.owner is None else wanted.owner,
        )

    def _draw(self) -> bytes:
        start = self._admitted * ids.ENTROPY_BYTES
        self._admitted += 1
        return self._entropy[start : start + ids.ENTROPY_BYTES]

    def _targets(self, wanted: WatchRequest, errors: list[InvalidValue]) -> tuple[Target, ...]:
        context = self._context
        targets: dict[str, Target] = {}
        for index, name in enumerate(wanted.destinations):
            if name in context.destinations:
                targets[name] = context.destinations[name].target
            else:
                missing = self._not_configured("destination", name, context.destinations)
                errors.append(InvalidValue(f"destinations.{index}", missing))
        for field, url in wanted.callbacks():
            try:
                target = context.callback_target(url)
            except InvalidValue as error:
                errors.append(InvalidValue(field, error.message))
            else:
                targets[target.key] = target
        return tuple(sorted(targets.values(), key=lambda target: (target.name is not None, target.key)))

    def _first_poll(self, name: str, followed: Followed, deadline: float) -> tuple[float, float]:
        """Return when a new watch is polled first, and what it asks of its budget until then."""
        bounds, terms, now = followed.following.bounds, followed.expectations.contention, self._now
        if name not in self._expected:
            expected = outlook(Lifetime(began_at=now), None, followed.expectations, now)
            self._expected[name] = expected, best_interval_s(expected, bounds, terms)
        expected, best_s = self._expected[name]
        sample = self._context.entropy.sample()
        moment = within_bounds(best_s, bounds, terms, now=now, deadline=deadline, sample=sample)
        return moment, demand(expected, moment - now)

    def _not_configured(self, kind: str, name: str, known: Collection[str]) -> str:
        if (kind, name) not in self._hints and len(self._hints) < _HINTS:
            self._hints[kind, name] = _hint(name, sorted(known))
        return f'"{name}" is not configured{self._hints.get((kind, name), "")}'


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; configured: {', '.join(known) or 'none'}"
