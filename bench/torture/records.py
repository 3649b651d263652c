"""What was seen from outside, each by the party that saw it; instants are Unix seconds of one clock."""

from dataclasses import dataclass, field
from enum import StrEnum


class Aim(StrEnum):
    """When the plug is pulled."""

    ANY = "at any moment"
    START = "during a start"
    MIGRATION = "during a migration"
    ACCEPT = "while jobs are added"
    POLL = "after a poll, before its commit"
    END = "after an end was told, before it is sent"
    SEND = "after a callback was sent, before it is answered"
    SETTLE = "after a callback was answered, before that is noted"
    TELL = "after a chat was told, before that is noted"
    BACKUP = "during a backup"
    RETENTION = "during retention"


class Place(StrEnum):
    """Where relay tells of a job."""

    CALLBACK = "its callback URL"
    NAMED = "a callback destination"
    SLACK = "slack"
    DISCORD = "discord"


class Reply(StrEnum):
    """What a receiver answered."""

    TAKEN = "204"
    HALF = "half an answer"
    """A success whose body broke off: the receiver has it, relay may doubt that."""
    FAILED = "500"
    BUSY = "503"
    LIMITED = "429"
    RESET = "a reset"
    SILENCE = "nothing"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its provider knows it; `outcome` is how it ends, `chat` where people are to be told, if anywhere."""

    account: str
    id: str
    outcome: str
    chat: Place | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """A status request as the provider saw it; `ended` where the answer told the job's end."""

    job_id: str
    at: float
    ended: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A callback or a message as the receiver got it, its names of headers in lower case, and what was answered."""

    at: float
    headers: dict[str, str]
    body: bytes
    reply: Reply
    place: Place = Place.CALLBACK


@dataclass(frozen=True, slots=True)
class Kill:
    """The plug was pulled."""

    at: float
    aim: Aim


@dataclass(frozen=True, slots=True)
class Limit:
    """What a provider allows an account: so many requests in any window."""

    requests: int
    window_s: float


@dataclass(slots=True)
class Records:
    """Everything that the auditor is given."""

    jobs: dict[str, Job] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """The id of the watch, by job, as the API answered it."""
    polls: list[Poll] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    callbacks: tuple[Place, ...] = (Place.CALLBACK,)
    """Where every job is told of by a callback."""
    limits: dict[str, Limit] = field(default_factory=dict)
    """By account."""
    broken: list[str] = field(default_factory=list)
    """What was wrong at once: a database that did not open, a backup that is damaged."""
