"""How a credential stands with its provider, and what a change of that is worth telling.

Trouble belongs to its owner: a refused key or an outage concerns every watch of
the credential, so it is told once, and the watches wait.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from relay.core.observation import Answer, Trouble, TroubleKind

REFUSALS_BEFORE_PAUSE = 3
REFUSED_FOR_S = 30.0
"""Polls in a row that must answer 403, and how long nothing else must have worked, before it is the key."""
FAILURES_BEFORE_OPEN = 5
"""Polls in a row that must fail before the provider counts as unreachable."""
OUTAGE_S = 10.0
"""How long they must have failed, so that a hiccup of many polls at once is none."""
REFUSING_S = 60.0
"""The same where the last of them was refused by another 4xx, which may as well be about one job."""
QUOTA_S = 300.0
"""A rate limit that asks for more patience than this, or lasts longer, is a spent quota, worth telling."""
QUOTA_RESTS = 3
"""How often the credential must have rested for a limit that lasts."""

_PROBE_FIRST_S = 5.0
_PROBE_LIMIT_S = 60.0


class Footing(StrEnum):
    """What polls of a credential come to."""

    WORKING = "working"
    UNAUTHORIZED = "unauthorized"
    QUOTA_EXHAUSTED = "quota_exhausted"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential's state.

    Until `rest_until` nobody polls; after it, while the footing is bad or a
    limit lasts, one poll at a time probes.  `failures` and `refusals` count answers in a row,
    `failing_since` is the first of the failures and rate limits, `rests` the
    rests of this trouble; `worked_at` is when the last question was asked to
    which the credential worked.
    """

    footing: Footing = Footing.WORKING
    since: float = 0.0
    rest_until: float = 0.0
    failures: int = 0
    refusals: int = 0
    failing_since: float = 0.0
    rests: int = 0
    worked_at: float = 0.0
    detail: str | None = None

    @property
    def probing(self) -> bool:
        """Whether only one poll at a time may find out if the trouble is over."""
        return self.footing is not Footing.WORKING or self.rests > 1 or self.doubted

    @property
    def doubted(self) -> bool:
        """Whether the credential rests because it was refused once, which the next poll confirms or not."""
        return self.footing is Footing.WORKING and self.rests > 0 and self.refusals > 0


def set_back(standing: Standing, seconds: float) -> Standing:
    """Return a standing by a wall clock that was set back by so many seconds."""
    return replace(
        standing,
        since=max(standing.since - seconds, 0.0),
        rest_until=max(standing.rest_until - seconds, 0.0),
        failing_since=max(standing.failing_since - seconds, 0.0),
        worked_at=max(standing.worked_at - seconds, 0.0),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """The standing after an answer; `tell` is the type of the event that it is worth, if any."""

    standing: Standing
    tell: str | None = None


def attributed(standing: Standing, answer: Answer, *, asked_before: float) -> Answer:
    """Return an answer as it concerns its watch.

    A 403 says that the job is not ours where the credential has worked since
    the last question about that job, `asked_before`: to us there is no such
    job.  Any other 403 may be the credential's, and ends nothing.
    """
    if not isinstance(answer, Trouble) or answer.kind is not TroubleKind.FORBIDDEN:
        return answer
    works = standing.worked_at > asked_before
    return replace(answer, kind=TroubleKind.MISSING if works else TroubleKind.UNAUTHORIZED)


def of_one_watch(standing: Standing, answer: Answer, *, asked_before: float, failed_before: bool) -> Answer:
    """Return an answer as it concerns the credential.

    A 401 or 402 to a question that had `failed_before` too, at `asked_before`,
    is about that job alone where the credential has worked since.
    """
    if not isinstance(answer, Trouble) or answer.kind is not TroubleKind.UNAUTHORIZED:
        return answer
    alone = failed_before and standing.worked_at > asked_before
    return replace(answer, kind=TroubleKind.REFUSED) if alone else answer


def after_answer(standing: Standing, answer: Answer, *, asked_at: float, now: float, sample: float) -> Change:
    """Return how a credential stands after one more answer, which arrived at `now`.

    It shows no more than that the credential worked at `asked_at`: a slow one may
    have been given before others were refused, and is no recovery from that.
    """
    if not isinstance(answer, Trouble) or answer.kind in (TroubleKind.MISSING, TroubleKind.OVERSIZED):
        return _working(standing, asked_at, now)
    match answer.kind:
        case TroubleKind.UNAUTHORIZED:
            return _unauthorized(standing, answer, asked_at, now, sample)
        case TroubleKind.FORBIDDEN:
            return _forbidden(standing, answer, now, sample)
        case TroubleKind.RATE_LIMITED:
            return _rate_limited(standing, answer, asked_at, now, sample)
        case TroubleKind.REFUSED:
            return _failed(standing, answer, now, sample, lasting_s=REFUSING_S)
        case _:
            return _failed(standing, answer, now, sample, lasting_s=OUTAGE_S)


def _working(standing: Standing, asked_at: float, now: float) -> Change:
    worked_at = max(standing.worked_at, asked_at)
    if standing.footing is Footing.WORKING and standing.rests and asked_at < standing.rest_until:
        return Change(replace(standing, failures=0, worked_at=worked_at))
    if standing.footing is Footing.WORKING:
        return Change(Standing(since=standing.since, rest_until=standing.rest_until, worked_at=worked_at))
    if standing.footing is not Footing.UNREACHABLE and asked_at < standing.since:
        return Change(replace(standing, worked_at=worked_at))
    return Change(Standing(since=now, worked_at=worked_at), tell="provider.recovered")


def _unauthorized(standing: Standing, trouble: Trouble, asked_at: float, now: float, sample: float) -> Change:
    """Let the credential rest at once, and call it refused when the poll after that is refused too."""
    if standing.footing is not Footing.WORKING or (standing.doubted and asked_at >= standing.rest_until):
        return _rest(standing, Footing.UNAUTHORIZED, trouble, now, sample)
    if standing.doubted:
        return Change(standing)
    wait = max(_pause_s(1) * (1 + 0.1 * sample), trouble.retry_after_s or 0.0)
    return Change(
        replace(
            standing,
            rest_until=max(standing.rest_until, now + wait),
            refusals=standing.refusals + 1,
            rests=max(standing.rests, 1),
        )
    )


def _forbidden(standing: Standing, trouble: Trouble, now: float, sample: float) -> Change:
    counted = replace(standing, refusals=standing.refusals + 1)
    lasting = counted.refusals >= REFUSALS_BEFORE_PAUSE and now - standing.worked_at >= REFUSED_FOR_S
    if not lasting and standing.footing is Footing.WORKING:
        return Change(counted)
    return _rest(counted, Footing.UNAUTHORIZED, trouble, now, sample)


def _rate_limited(standing: Standing, trouble: Trouble, asked_at: float, now: float, sample: float) -> Change:
    """Let the credential rest as the provider says, but longer each time that this does not help."""
    wait = trouble.retry_after_s or 0.0
    if wait > QUOTA_S:
        return _rest(standing, Footing.QUOTA_EXHAUSTED, trouble, now, sample)
    again = not standing.rests or asked_at >= standing.rest_until
    rests = standing.rests + again
    if again and (rests > 1 or trouble.retry_after_s is None):
        wait = max(wait, _pause_s(rests))
    failing_since = standing.failing_since if standing.failures or standing.rests else now
    limited = replace(
        standing,
        rest_until=max(standing.rest_until, now + wait * (1 + 0.05 * sample)),
        failing_since=failing_since,
        rests=rests,
    )
    lasting = rests >= QUOTA_RESTS and now - failing_since >= QUOTA_S
    if not lasting or standing.footing is not Footing.WORKING:
        return Change(limited)
    spent = replace(limited, footing=Footing.QUOTA_EXHAUSTED, since=now, detail=trouble.detail)
    return Change(spent, tell="provider.quota_exhausted")


def _failed(standing: Standing, trouble: Trouble, now: float, sample: float, *, lasting_s: float) -> Change:
    failures = standing.failures + 1
    failing_since = standing.failing_since if standing.failures else now
    counted = replace(standing, failures=failures, failing_since=failing_since)
    lasting = failures >= FAILURES_BEFORE_OPEN and now - failing_since >= lasting_s
    if not lasting and standing.footing is Footing.WORKING:
        return Change(counted)
    footing = Footing.UNREACHABLE if standing.footing is Footing.WORKING else standing.footing
    return _rest(counted, footing, trouble, now, sample)


def _rest(standing: Standing, footing: Footing, trouble: Trouble, now: float, sample: float) -> Change:
    """Let the credential rest, longer each time, and tell of a trouble that is new."""
    new = standing.footing is not footing
    rests = 1 if new else standing.rests + (now >= standing.rest_until)
    wait = max(_pause_s(rests) * (1 + 0.1 * sample), trouble.retry_after_s or 0.0)
    rested = replace(
        standing,
        footing=footing,
        since=now if new else standing.since,
        rest_until=max(standing.rest_until, now + wait) if new or now >= standing.rest_until else standing.rest_until,
        rests=rests,
        detail=trouble.detail,
    )
    return Change(rested, tell=f"provider.{footing}" if new else None)


def _pause_s(rests: int) -> float:
    """Return how long the `rests`-th rest of one trouble is."""
    return min(_PROBE_FIRST_S * 2.0 ** min(rests - 1, 10), _PROBE_LIMIT_S)
