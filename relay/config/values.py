"""The configuration as the rest of relay sees it: plain values, seconds, resolved paths.

`None` in a provider means that its preset or spec decides.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from relay.config.secrets import Plain, Secret
from relay.config.signing import Signing
from relay.config.templates import TemplateSource
from relay.core.access import Token
from relay.core.address import IPNetwork
from relay.core.budget import Rate
from relay.core.observation import Status
from relay.core.quiet import QuietHours
from relay.core.retry import RetryPolicy


def is_loopback(host: str) -> bool:
    """Tell whether `host`, an address or a name, can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the API answers; `host` is without brackets, and port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Server:
    """`socket` is for this machine, None where there shall be none.

    `grace_s` is how long a stopping daemon waits for what is under way, `rate`
    what a token may ask.
    """

    listen: Listen
    socket: Path | None
    grace_s: float
    rate: Rate


@dataclass(frozen=True, slots=True)
class Log:
    """`level` is debug, info, warning or error; `format` is auto, json or console."""

    level: str
    format: str


@dataclass(frozen=True, slots=True)
class Store:
    """The database: its URL as it was written, and the absolute path that this means."""

    url: str
    path: Path


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may use the API; without tokens, everyone on this host."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What holds for the callback URLs that watches bring along.

    `signing.secret` signs them: see `relay.config.ensure_signing_secret` for how
    it comes to be.
    """

    signing: Signing
    allow_http: bool
    allow_networks: tuple[IPNetwork, ...]
    allow_hosts: tuple[str, ...]
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class Egress:
    """The way out: `proxy` is the URL of a proxy, `direct` the hosts that are reached without it."""

    proxy: Secret | Plain | None
    direct: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """An enabled provider: either `preset` or `spec` is set, the other is None.

    `secrets` are named as the provider file names them, `api_key` among them.
    """

    name: str
    preset: str | None
    spec: Path | None
    secrets: Mapping[str, Secret]
    base_url: str | None
    min_interval_s: float | None
    max_interval_s: float | None
    rate: Rate | None
    concurrency: int | None
    detection_lag_s: float | None
    typical_duration_s: float | None
    deadline_s: float | None
    not_found_grace_s: float | None


class DestinationType(StrEnum):
    """What kind of place events go to."""

    CALLBACK = "callback"
    SLACK = "slack"
    DISCORD = "discord"
    APPRISE = "apprise"


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Who relay is to a receiver that asks for a user and a password."""

    user: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Destination:
    """A named place that routes and watches send events to.

    `signing` to `basic_auth` are a callback's only: what signs it, whether it
    carries ids and status alone, whether also the provider's last body, and what
    else goes into its headers.  `quiet` is when it is told nothing that can wait.
    `thread` to `digest_s` are a chat's: the last is the widest window between two
    messages of a storm, 0 where each message goes by itself.
    """

    name: str
    type: DestinationType
    url: Secret | Plain
    signing: Signing | None
    thin: bool
    raw: bool
    headers: Mapping[str, Secret | Plain]
    basic_auth: BasicAuth | None
    quiet: QuietHours | None
    thread: str | None
    template: TemplateSource | None
    digest_s: float
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class Route:
    """Sends events to the destinations named in `to`; an empty condition matches all (see `relay.core.routing`)."""

    to: tuple[str, ...]
    statuses: frozenset[Status]
    providers: frozenset[str]
    events: tuple[str, ...]
    models: tuple[str, ...]
    metadata: Mapping[str, str]
    longer_than_s: float | None
    shorter_than_s: float | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """The mean lag wanted between a job's end and our seeing it, where no provider says otherwise."""

    detection_lag_s: float


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended watches are kept."""

    watches_s: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Where a sign of life goes, and how often; without `url`, nowhere."""

    url: Secret | Plain | None
    every_s: float


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration.

    `warnings` are rendered with their place in the file: legal, but hardly meant.
    """

    path: Path
    server: Server
    log: Log
    store: Store
    auth: Auth
    callbacks: Callbacks
    egress: Egress
    providers: Mapping[str, Provider]
    destinations: Mapping[str, Destination]
    routes: tuple[Route, ...]
    schedule: Schedule
    retention: Retention
    heartbeat: Heartbeat
    warnings: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that is referred to, each once."""
        found = list(self.callbacks.signing.secrets)
        found += [self.egress.proxy] if isinstance(self.egress.proxy, Secret) else []
        found += [self.heartbeat.url] if isinstance(self.heartbeat.url, Secret) else []
        for provider in self.providers.values():
            found += provider.secrets.values()
        for destination in self.destinations.values():
            found += [destination.url] if isinstance(destination.url, Secret) else []
            found += destination.signing.secrets if destination.signing else ()
            found += [value for value in destination.headers.values() if isinstance(value, Secret)]
            found += [destination.basic_auth.password] if destination.basic_auth else []
        return tuple({secret.key: secret for secret in found}.values())
