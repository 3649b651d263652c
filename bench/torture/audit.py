"""The auditor: compares three records, and shares no code with relay.

It has nothing but the standard library and the records, looks into no database,
and checks signatures after Standard Webhooks 1.0.0 by itself.
"""

import base64
import hashlib
import hmac
import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.torture.records import Aim, Arrival, Limit, Place, Records, Reply

_COMMIT_S = 5.0
"""An end that was told must be committed by then, even on a machine that is busy with other things."""
_IN_FLIGHT_S = 0.5
"""How long after a kill something that was sent before it may arrive; less than a start takes."""
_JITTER_S = 0.1
"""How much closer together two polls may arrive than they were sent."""
_TOLERANCE_S = 60
"""How far the time in a signature may be from the receiver's."""
_HAS_IT = (Reply.TAKEN, Reply.HALF)
_CHATS = (Place.SLACK, Place.DISCORD)
_WORD = re.compile(r"[\w-]+")
_COUNTED = re.compile(r"(\d+) jobs? ended")
"""How a message tells of how many jobs it is about, where it is about more than one."""


@dataclass(slots=True)
class Report:
    """What the auditor found; `faults` is empty where every promise was kept."""

    accepted: int
    arrivals: int
    messages: int
    polls: int
    kills: Counter[Aim]
    duplicates: Counter[Aim] = field(default_factory=Counter)
    """Callbacks that came again after they had been taken, by the kill in between."""
    retold: Counter[Aim] = field(default_factory=Counter)
    """Jobs that a chat was told of again after it had been told, likewise."""
    repeated_ends: Counter[Aim] = field(default_factory=Counter)
    """Ends that a provider had to tell again, likewise."""
    busiest: dict[str, int] = field(default_factory=dict)
    """The most polls in one window of the limit, by account."""
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def audit(records: Records, secret: str) -> Report:
    """Compare the records; `secret` is the receivers' "whsec_..."."""
    messages = sum(arrival.place in _CHATS for arrival in records.arrivals)
    report = Report(
        accepted=len(records.accepted),
        arrivals=len(records.arrivals) - messages,
        messages=messages,
        polls=len(records.polls),
        kills=Counter(kill.aim for kill in records.kills),
    )
    for broken in records.broken:
        report.faults["broken"].append(broken)
    first_arrival: dict[str, float] = {}
    for place in records.callbacks:
        arrivals = _by_job(place, records, secret, report)
        for job_id in records.accepted:
            _audit_deliveries(job_id, arrivals.get(job_id, []), records, report)
        for job_id, came in arrivals.items():
            first_arrival[job_id] = min(came[0].at, first_arrival.get(job_id, came[0].at))
    for chat in _CHATS:
        _audit_chat(chat, records, report)
    _audit_polls(records, first_arrival, report)
    for account, limit in records.limits.items():
        _audit_rate(account, limit, records, report)
    return report


def untold(records: Records) -> int:
    """Return how often somebody is still to be told of a job."""
    told: defaultdict[Place, set[str]] = defaultdict(set)
    for place in records.callbacks:
        taken = (arrival.body for arrival in _at(place, records) if arrival.reply in _HAS_IT)
        told[place] = {json.loads(body)["data"]["job_id"] for body in taken}
    missing = sum(len(records.accepted.keys() - told[place]) for place in records.callbacks)
    for chat in _CHATS:
        named, unnamed = _told(chat, records)
        missing += max(len(_wanted(chat, records) - named) - unnamed, 0)
    return missing


def _at(place: Place, records: Records) -> list[Arrival]:
    return sorted((arrival for arrival in records.arrivals if arrival.place is place), key=lambda arrival: arrival.at)


def _by_job(place: Place, records: Records, secret: str, report: Report) -> dict[str, list[Arrival]]:
    found: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in _at(place, records):
        job_id = json.loads(arrival.body)["data"]["job_id"]
        if job_id not in records.accepted:
            report.faults["told of a job that was never accepted"].append(job_id)
        if not _signed(arrival, secret):
            report.faults["not signed as it should be"].append(job_id)
        found[job_id].append(arrival)
    return found


def _signed(arrival: Arrival, secret: str) -> bool:
    name, stamp = arrival.headers.get("webhook-id", ""), arrival.headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(int(stamp) - arrival.at) > _TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{name}.{stamp}.".encode() + arrival.body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode() in arrival.headers.get("webhook-signature", "").split(" ")


def _audit_deliveries(job_id: str, came: list[Arrival], records: Records, report: Report) -> None:
    """Lost, wrong, or told as two things; and which kill made a duplicate."""
    taken = [arrival for arrival in came if arrival.reply in _HAS_IT]
    if not taken:
        report.faults["lost"].append(job_id)
    if len({(arrival.headers.get("webhook-id"), arrival.body) for arrival in came}) > 1:
        report.faults["told as different things"].append(job_id)
    job = records.jobs[job_id]
    for arrival in came[:1]:
        event = json.loads(arrival.body)
        told = event["type"], event["data"]["status"], event["data"]["provider"], event["data"]["watch_id"]
        if told != (f"job.{job.outcome}", job.outcome, job.account, records.accepted[job_id]):
            report.faults["told the wrong outcome"].append(f"{job_id}: {told}")
    _audit_repeats(job_id, came, records, report, report.duplicates)


def _audit_repeats(job_id: str, came: list[Arrival], records: Records, report: Report, repeats: Counter[Aim]) -> None:
    for sooner, later in pairwise(came):
        if sooner.reply is not Reply.TAKEN:
            continue
        aim = _kill_between(records, sooner.at, later.at)
        if aim is None:
            report.faults["sent again although it had been taken"].append(f"{job_id} to {later.place}")
        else:
            repeats[aim] += 1


def _audit_chat(chat: Place, records: Records, report: Report) -> None:
    """Each job was told by name, or is one of those that a message counts without naming them."""
    wanted, (named, unnamed) = _wanted(chat, records), _told(chat, records)
    missing = sorted(wanted - named)
    if len(missing) > unnamed:
        report.faults["lost"].append(f"{len(missing) - unnamed} of {len(missing)} to {chat}, as {missing[0]}")
    came: defaultdict[str, list[Arrival]] = defaultdict(list)
    for message in _at(chat, records):
        lines = _lines(message.body)
        for job_id in _named(lines, records):
            came[job_id].append(message)
            if job_id not in wanted:
                report.faults["told a chat of another's job"].append(f"{job_id}: {chat}")
            if not _says(lines, job_id, records.jobs[job_id].outcome):
                report.faults["told the wrong outcome"].append(f"{job_id}: {chat}")
    for job_id, messages in came.items():
        _audit_repeats(job_id, messages, records, report, report.retold)


def _wanted(chat: Place, records: Records) -> set[str]:
    return {job_id for job_id in records.accepted if records.jobs[job_id].chat is chat}


def _told(chat: Place, records: Records) -> tuple[set[str], int]:
    """Return the jobs that a chat was told of by name, and of how many others."""
    named, unnamed = set[str](), 0
    for message in _at(chat, records):
        if message.reply in _HAS_IT:
            lines = _lines(message.body)
            told = _named(lines, records)
            named |= told
            unnamed += max(_counted(lines) - len(told), 0)
    return named, unnamed


def _lines(body: bytes) -> list[str]:
    """Return what a message says, without its layout."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return value.replace("\\", "").splitlines()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [line for item in inner for line in texts(item)]

    return texts(json.loads(body))


def _named(lines: list[str], records: Records) -> set[str]:
    return {word for line in lines for word in _WORD.findall(line) if word in records.jobs}


def _counted(lines: list[str]) -> int:
    return next((int(found[1]) for line in lines if (found := _COUNTED.search(line))), 0)


def _says(lines: list[str], job_id: str, outcome: str) -> bool:
    """Tell whether a message says how a job ended, in the line about it where it is about many."""
    about = [line for line in lines if job_id in line] if _counted(lines) else lines
    return any(re.search(rf"job (was )?{outcome}\b", line) for line in about)


def _audit_polls(records: Records, first_arrival: dict[str, float], report: Report) -> None:
    """No poll after an end, but for one whose answer a kill may have lost; none ever after the news of it."""
    ended: dict[str, float] = {}
    for poll in sorted(records.polls, key=lambda poll: poll.at):
        if poll.at > first_arrival.get(poll.job_id, poll.at):
            report.faults["polled after its outcome was sent"].append(poll.job_id)
        elif poll.job_id in ended:
            told = ended[poll.job_id]
            aim = _kill_between(records, told, min(poll.at, told + _COMMIT_S))
            if aim is None:
                report.faults["polled after its end"].append(poll.job_id)
            else:
                report.repeated_ends[aim] += 1
        if poll.ended:
            ended[poll.job_id] = poll.at


def _audit_rate(account: str, limit: Limit, records: Records, report: Report) -> None:
    times = sorted(poll.at for poll in records.polls if records.jobs[poll.job_id].account == account)
    windows = (bisect_left(times, begin + limit.window_s - _JITTER_S) - number for number, begin in enumerate(times))
    busiest = max(windows, default=0)
    report.busiest[account] = busiest
    if busiest > limit.requests:
        report.faults["polled faster than the limit"].append(
            f"{account}: {busiest} in {limit.window_s:g} s, {limit.requests} are allowed"
        )


def _kill_between(records: Records, begin: float, end: float) -> Aim | None:
    """Return what the first kill aimed at that can have cut off what was seen at `begin`, up to `end`."""
    times = [kill.at for kill in records.kills]
    number = bisect_right(times, begin - _IN_FLIGHT_S)
    return records.kills[number].aim if number < len(times) and times[number] <= end else None
