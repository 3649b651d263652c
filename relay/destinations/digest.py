"""What a person is told of many events at once, before any chat's markup."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.core.event import OVERDUE, Event
from relay.core.instant import iso, parse_instant
from relay.core.observation import OUTCOMES, Status
from relay.core.ports import Outgoing
from relay.destinations.message import Fact, Link, Notice, notice

_WORST_FIRST = (
    Status.FAILED,
    Status.TIMED_OUT,
    Status.NOT_FOUND,
    Status.EXPIRED,
    Status.CANCELLED,
    Status.COMPLETED,
)
_MOST_ITEMS = 10
_MOST_PROVIDERS = 8
_MOST_STATUSES = 3
"""More than these in a command narrow nothing down."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A provider's name that may stand in a command without quotes."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Everything a message about many events says, cleaned and each part on one line.

    `tallies` count per provider, `items` are the most telling events in a line
    each, `links` lead to the first output of each of those, and `rest` says how
    to see the others; None where there are none.
    """

    status: str
    title: str
    tallies: tuple[Fact, ...]
    items: tuple[str, ...]
    links: tuple[Link, ...]
    rest: str | None
    ids: str


def digest(outgoing: Sequence[Outgoing], now: float) -> Digest:
    """Return what to tell of the events of `outgoing`, at least one, at `now`."""
    told = [(item.event, notice(item.delivery, item.event, now)) for item in outgoing]
    ranked = sorted(told, key=lambda pair: _rank(*pair))
    statuses = Counter(seen.status for event, seen in told if _of_job(event))
    shown, omitted = [seen for _, seen in ranked[:_MOST_ITEMS]], ranked[_MOST_ITEMS:]
    first, last = outgoing[0].delivery.id, outgoing[-1].delivery.id
    return Digest(
        status=ranked[0][1].status,
        title=_title(statuses, len(told)),
        tallies=_tallies(told),
        items=tuple(map(_line, shown)),
        links=tuple(_link(seen) for seen in shown if seen.links),
        rest=f"{len(omitted)} more: {_command(omitted)}" if omitted else None,
        ids=f"{len(told)} deliveries, from {first[:12]} to {last[:12]}",
    )


def _of_job(event: Event) -> bool:
    """Tell whether an event is the end of a job."""
    return event.type.startswith("job.") and event.type != OVERDUE


def _rank(event: Event, seen: Notice) -> int:
    """Return the place of an event among the others: what is not about one job first, then the worst."""
    if not _of_job(event):
        return -1
    return _WORST_FIRST.index(Status(seen.status)) if seen.status in _WORST_FIRST else len(_WORST_FIRST)


def _title(statuses: Counter[str], total: int) -> str:
    jobs = statuses.total()
    notices = total - jobs
    parts = [f"{_many(jobs, 'job')} ended: {_counts(statuses)}"] if jobs else []
    return " · ".join([*parts, *([_many(notices, "notice")] if notices else [])])


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counts(statuses: Counter[str]) -> str:
    known = [status for status in _WORST_FIRST if statuses[status]]
    others = statuses.total() - sum(statuses[status] for status in known)
    words = [f"{statuses[status]} {status.replace('_', ' ')}" for status in known]
    return ", ".join([*words, *([f"{others} otherwise"] if others else [])])


def _tallies(told: Sequence[tuple[Event, Notice]]) -> tuple[Fact, ...]:
    """Return the counts of each provider, the busiest first, and of all the others together."""
    by_provider: dict[str, Counter[str]] = {}
    for event, seen in told:
        if _of_job(event):
            by_provider.setdefault(_fact(seen, "Provider") or "unknown", Counter())[seen.status] += 1
    busiest = sorted(by_provider.items(), key=lambda pair: (-pair[1].total(), pair[0]))
    shown = [Fact(name, _counts(counts)) for name, counts in busiest[:_MOST_PROVIDERS]]
    others: Counter[str] = sum((counts for _, counts in busiest[_MOST_PROVIDERS:]), Counter())
    if others:
        shown.append(Fact(f"{len(busiest) - _MOST_PROVIDERS} others", _counts(others)))
    return tuple(shown)


def _line(seen: Notice) -> str:
    return " · ".join(filter(None, (seen.title, _fact(seen, "Job"), seen.error)))


def _link(seen: Notice) -> Link:
    first = seen.links[0]
    return replace(first, label=f"{_fact(seen, 'Job') or seen.title}: {first.label}")


def _fact(seen: Notice, name: str) -> str | None:
    return next((fact.value for fact in seen.facts if fact.name == name), None)


def _command(omitted: Sequence[tuple[Event, Notice]]) -> str:
    """Return the `relay ls` that lists at least the jobs left out, as narrowly as can be said."""
    jobs = [(event, seen) for event, seen in omitted if _of_job(event)]
    statuses = {seen.status for _, seen in jobs}
    providers = {_fact(seen, "Provider") for _, seen in jobs}
    since = [instant for event, _ in jobs if (instant := parse_instant(event.data.get("watched_at"))) is not None]
    words = ["relay ls"]
    if len(statuses) <= _MOST_STATUSES and statuses <= set(OUTCOMES):
        words += [f"--status {status}" for status in _WORST_FIRST if status in statuses]
    if len(providers) == 1 and _PLAIN_NAME.fullmatch(name := providers.pop() or ""):
        words.append(f"--provider {name}")
    if since:
        words.append(f"--since {iso(min(since))}")
    return " ".join([*words, "--all"])
