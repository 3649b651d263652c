"""What the configuration file may say: one table, one model.

The models check each value by itself and parse it; what one value means for
another is in `relay.config.relations`.  Their JSON Schema describes the file as
it is written, not as it is parsed.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relay.config.fields import (
    BaseUrl,
    ClockTime,
    DestinationUrl,
    Duration,
    HeaderName,
    HeaderValue,
    HostName,
    ListenText,
    Name,
    Network,
    Outcome,
    PositiveDuration,
    ProxyUrl,
    RateText,
    SecretReference,
    SocketPath,
    StoreUrl,
    TemplateText,
    TimeZone,
    TokenHash,
    UserName,
    distinct_headers,
    filled,
)


class Table(BaseModel):
    """A table of the file: no keys but its own.  Defaults are written as in the file."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )


def _default(written: object) -> Any:
    """Return the field of a default as it would stand in the file."""
    return Field(written)


class ServerTable(Table):
    """The HTTP API."""

    listen: ListenText = _default("127.0.0.1:8377")
    socket: SocketPath = _default("relay.sock")
    grace: Duration = _default("30s")
    rate: RateText = _default("60000/m")


class LogTable(Table):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class StoreTable(Table):
    """The database."""

    url: StoreUrl = "sqlite:///relay.db"


class TokenTable(Table):
    """A token of the API."""

    name: Name
    hash: TokenHash
    scopes: Annotated[list[Literal["watch", "read", "admin"]], AfterValidator(filled)]


class AuthTable(Table):
    """Who may use the API."""

    tokens: list[TokenTable] = Field(default_factory=list)


class RetryTable(Table):
    """How long to insist on a delivery."""

    first: PositiveDuration = _default("5s")
    max_gap: PositiveDuration = _default("6h")
    give_up_after: Duration = _default("72h")


class CallbacksTable(Table):
    """Callback URLs that watches bring along."""

    secret: SecretReference = _default({"file": "callback-secret"})
    previous_secrets: list[SecretReference] = Field(default_factory=list)
    signing_key: SecretReference | None = None
    allow_http: bool = False
    allow_networks: list[Network] = Field(default_factory=list)
    allow_hosts: list[HostName] = Field(default_factory=list)
    retry: RetryTable = RetryTable()


class EgressTable(Table):
    """The way out."""

    proxy: ProxyUrl | None = None
    direct: list[HostName] = Field(default_factory=list)


class ProviderTable(Table):
    """A provider to poll; what is left out is the preset's."""

    preset: Name | None = None
    spec: Name | None = None
    api_key: SecretReference | None = None
    secrets: dict[str, SecretReference] = Field(default_factory=dict)
    base_url: BaseUrl | None = None
    min_interval: PositiveDuration | None = None
    max_interval: PositiveDuration | None = None
    rate: RateText | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    detection_lag: PositiveDuration | None = None
    typical_duration: PositiveDuration | None = None
    deadline: PositiveDuration | None = None
    not_found_grace: Duration | None = None


class QuietTable(Table):
    """When a destination is told nothing that can wait."""

    begin: ClockTime = Field(alias="from")
    end: ClockTime = Field(alias="to")
    timezone: TimeZone
    urgent: list[Name] = Field(["failed", "provider.*", "destination.*", "delivery.*"], alias="except")


class BasicAuthTable(Table):
    """Who relay is to a receiver that asks for a user and a password."""

    user: UserName
    password: SecretReference


class DestinationTable(Table):
    """A named place that events go to."""

    type: Literal["callback", "slack", "discord", "apprise"]
    url: DestinationUrl
    secret: SecretReference | None = None
    previous_secrets: list[SecretReference] = Field(default_factory=list)
    signing_key: SecretReference | None = None
    payload: Literal["full", "thin"] = "full"
    raw: bool = False
    headers: Annotated[dict[HeaderName, HeaderValue], AfterValidator(distinct_headers)] = Field(default_factory=dict)
    basic_auth: BasicAuthTable | None = None
    quiet_hours: QuietTable | None = None
    thread: Name | None = None
    template: TemplateText | None = None
    digest: Duration = _default("1m")
    retry: RetryTable = RetryTable()


class MatchTable(Table):
    """Which events a route takes; what is left out matches all."""

    status: list[Outcome] = Field(default_factory=list)
    provider: list[Name] = Field(default_factory=list)
    event: list[Name] = Field(default_factory=list)
    model: list[Name] = Field(default_factory=list)
    metadata: dict[str, str] = Field(default_factory=dict)
    longer_than: PositiveDuration | None = None
    shorter_than: PositiveDuration | None = None


class RouteTable(Table):
    """Which events go to which destinations."""

    match: MatchTable = MatchTable()
    to: Annotated[list[Name], AfterValidator(filled)]


class ScheduleTable(Table):
    """When to poll."""

    detection_lag: PositiveDuration = _default("2s")


class RetentionTable(Table):
    """How long ended watches are kept."""

    watches: PositiveDuration = _default("90d")


class HeartbeatTable(Table):
    """A sign of life for a monitor elsewhere."""

    url: DestinationUrl | None = None
    every: PositiveDuration = _default("1m")


class ConfigTable(Table):
    """The whole file."""

    server: ServerTable = ServerTable()
    log: LogTable = LogTable()
    store: StoreTable = StoreTable()
    auth: AuthTable = AuthTable()
    callbacks: CallbacksTable = CallbacksTable()
    egress: EgressTable = EgressTable()
    providers: dict[str, ProviderTable] = Field(default_factory=dict)
    destinations: dict[str, DestinationTable] = Field(default_factory=dict)
    routes: list[RouteTable] = Field(default_factory=list)
    schedule: ScheduleTable = ScheduleTable()
    retention: RetentionTable = RetentionTable()
    heartbeat: HeartbeatTable = HeartbeatTable()


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the configuration file, as editors use it."""
    schema = ConfigTable.model_json_schema()
    for table in (schema, *schema["$defs"].values()):
        for key in table["properties"].values():
            if "$ref" in key:  # the table's own keys have defaults, as they are written
                key.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "relay configuration"}
