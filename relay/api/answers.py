"""What the API answers with: the shapes that the handlers fill in and `/openapi.json` describes.

Typed dictionaries: mypy holds the handlers to them, pydantic derives their JSON
Schema, and nothing is converted when a request is answered.  They come as the
resources do: watches, deliveries, events, providers and destinations, tokens,
the daemon itself.
"""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # typing's own is not enough for pydantic before Python 3.12

from relay.core.access import Scope
from relay.core.condition import Condition
from relay.core.delivery import DeliveryState, Trigger, VerdictKind
from relay.core.observation import Status
from relay.core.standing import Footing

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""
Text = dict[str, str]


class OutputShown(TypedDict):
    """One file or value that the job made; what the provider did not say is null."""

    url: str
    content_type: str | None
    width: int | None
    height: int | None
    duration_s: float | None
    fps: float | None
    has_audio: bool | None
    size_bytes: int | None
    expires_at: Instant | None


class ErrorShown(TypedDict):
    """Why a job has no result, in the provider's words."""

    code: str | None
    message: str | None
    user_message: str | None
    moderated: bool | None


class CostShown(TypedDict):
    """What the job cost, as far as the provider tells."""

    amount: float | None
    currency: str | None
    unit: str | None
    unit_price: float | None
    quantity: float | None


class OutcomeShown(TypedDict, total=False):
    """What is known once a watch has ended, and absent before."""

    outputs: list[OutputShown]
    error: ErrorShown | None
    cost: CostShown | None
    created_at: Instant | None
    completed_at: Annotated[Instant | None, Field(description="The provider's word.")]
    observed_at: Annotated[Instant, Field(description="When relay saw the end.")]
    event_id: str


class OwnedShown(TypedDict, total=False):
    """What only those are told who see the watches of all."""

    owner: Annotated[
        str | None, Field(description="The name of the tokens that see it; told to those only who see all.")
    ]


class EtaShown(TypedDict):
    """When a job is likely to end: one in ten before `earliest`, half before `likely`, nine in ten before `latest`.

    `jobs` is how many ended ones that is known from.
    """

    likely: Instant
    earliest: Instant
    latest: Instant
    jobs: int


class WatchShown(OutcomeShown, OwnedShown):
    """A watch."""

    id: str
    provider: str
    job_id: str
    params: Text
    status: Status
    provider_status: Annotated[str | None, Field(description="The provider's literal.")]
    model: str | None
    progress: float | None
    metadata: Text
    callback_url: Annotated[str | None, Field(description="The first of `callback_urls`.")]
    callback_urls: list[str]
    destinations: list[str]
    watched_at: Instant
    deadline: Instant
    eta: Annotated[EtaShown | None, Field(description="Null once the watch has ended.")]
    next_poll_at: Annotated[Instant | None, Field(description="Null once the watch has ended.")]
    last_poll_at: Instant | None
    polls: int
    last_error: Annotated[str | None, Field(description="Why the last poll told nothing, in one line.")]
    finalized_at: Instant | None


class WatchPage(TypedDict):
    """Watches, newest first."""

    items: list[WatchShown]
    next_cursor: str | None


class HistoryShown(TypedDict):
    """How long such jobs took; `model` is null where jobs of every model count."""

    jobs: int
    model: str | None
    half_done_s: float
    nine_in_ten_s: float


class ToldShown(TypedDict):
    """Which outcomes a destination is told."""

    destination: str
    outcomes: list[Status]


class ExplanationShown(TypedDict):
    """Why a watch stands where it stands: in sentences, and the figures behind them."""

    id: str
    status: Status
    sentences: list[str]
    history: HistoryShown | None
    eta: EtaShown | None
    next_poll_at: Instant | None
    next_poll_reason: str | None
    deadline: Instant
    told: list[ToldShown]
    last_error: str | None


class FieldErrorShown(TypedDict):
    """What is wrong with one field; `field` is its dotted path."""

    field: str
    message: str


class _ProblemStart(TypedDict):
    type: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    title: str
    status: int
    detail: str


class ProblemShown(_ProblemStart, total=False):
    """An error (RFC 9457)."""

    errors: list[FieldErrorShown]


class BatchAccepted(TypedDict):
    """An item that is watched: 201 where it is new, 200 where it was before."""

    status: Literal[200, 201]
    id: str


class BatchRefused(TypedDict):
    """An item that is not watched."""

    status: int
    problem: ProblemShown


class BatchShown(TypedDict):
    """What became of each item of a batch, in its order."""

    items: list[BatchAccepted | BatchRefused]


class AttemptShown(TypedDict):
    """One HTTP try of a delivery; `status` is the answer's, null where there was none."""

    number: int
    trigger: Trigger
    started_at: Instant
    duration_s: float
    status: int | None
    verdict: VerdictKind
    reason: str | None
    response: Annotated[str | None, Field(description="The beginning of the answer.")]


class _DeliveryStart(TypedDict):
    id: Annotated[str, Field(description="What the receiver sees as webhook-id.")]
    event_id: str
    event_type: str
    watch_id: str | None
    destination: Annotated[str, Field(description='A destination\'s name, or "callback".')]
    state: DeliveryState
    next_attempt_at: Annotated[Instant | None, Field(description="Null in a final state.")]
    created_at: Instant
    finalized_at: Instant | None
    reason: Annotated[str | None, Field(description="Why the last attempt was not the end of it.")]


class DeliveryShown(_DeliveryStart):
    """A delivery, with the number of its attempts."""

    attempts: int


class DeliveryDetail(_DeliveryStart):
    """A delivery with its attempts, oldest first."""

    attempts: list[AttemptShown]


class DeliveryPage(TypedDict):
    """Deliveries, newest first."""

    items: list[DeliveryShown]
    next_cursor: str | None


class ResentShown(TypedDict):
    """How many deliveries match; unless that was a dry run, they are sent again, the last at `last_at`."""

    deliveries: int
    dry_run: bool
    last_at: Instant | None


class JobData(TypedDict):
    """What an event tells about a watch that has ended."""

    watch_id: str
    provider: str
    job_id: str
    status: Status
    provider_status: str | None
    model: str | None
    outputs: list[OutputShown]
    error: ErrorShown | None
    cost: CostShown | None
    created_at: Instant | None
    watched_at: Instant
    completed_at: Instant | None
    observed_at: Instant
    polls: int
    metadata: Text


class EventShown(TypedDict):
    """An event as destinations are told it, with its id."""

    id: str
    type: str
    timestamp: Instant
    data: Annotated[JobData | dict[str, object], Field(description="Of jobs as described, of others as they are.")]


class EventPage(TypedDict):
    """Events, oldest first; the cursor goes on where the page ended, also where more comes later."""

    items: list[EventShown]
    next_cursor: str


class ProviderShown(TypedDict):
    """A provider of the configuration, and how its credential stands."""

    name: str
    standing: Footing
    since: Instant | None
    rests_until: Annotated[Instant | None, Field(description="Until when nobody polls.")]
    detail: str | None
    detection_lag_s: float
    deadline_s: float


class ProviderList(TypedDict):
    """The providers of the configuration."""

    items: list[ProviderShown]


class DestinationShown(TypedDict):
    """A destination of the configuration, and how it is; its URL is a secret."""

    name: str
    type: str
    condition: Condition
    since: Instant | None
    detail: str | None
    held: Annotated[int, Field(description="Deliveries that wait for it.")]


class CallbackHostShown(TypedDict):
    """A host that callback URLs lead to, and how it is."""

    host: str
    condition: Condition
    since: Instant | None
    detail: str | None
    held: Annotated[int, Field(description="Deliveries that wait for it.")]


class DestinationList(TypedDict):
    """The destinations of the configuration, and those hosts of callback URLs that something is wrong with.

    The hosts are shown to callers who see every watch.
    """

    items: list[DestinationShown]
    callback_hosts: list[CallbackHostShown]


class EnabledShown(TypedDict):
    """Whether a destination had been switched off or held, and is tried again now."""

    enabled: bool


class TrialShown(TypedDict):
    """What became of a test event."""

    delivered: bool
    reason: str | None


class TokenShown(TypedDict):
    """A token, without its secret part."""

    id: Annotated[str, Field(description="The beginning of its text.")]
    name: Annotated[str, Field(description="Tokens of one name see the same watches.")]
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class TokenCreated(TokenShown):
    """A new token; its text is told here and never again."""

    token: str


class TokenList(TypedDict):
    """The tokens that were created, oldest first; those of the configuration are not among them."""

    items: list[TokenShown]


class DifferenceShown(TypedDict):
    """How a table of named things changed, by name."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class ReloadShown(TypedDict):
    """What another configuration changed, and which keys wait for a restart."""

    providers: DifferenceShown
    destinations: DifferenceShown
    sections: list[str]
    needs_restart: list[str]


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class CheckShown(TypedDict):
    """One thing that has to work."""

    ok: bool
    detail: str | None


class Readiness(TypedDict):
    """Whether everything that has to work does; degraded where only a destination is switched off."""

    status: Literal["ready", "degraded", "failing"]
    checks: dict[str, CheckShown]


class ConfigShown(TypedDict):
    """The configuration in force; `refused` where the one on disk could not be used."""

    loaded_at: Instant
    refused: bool


class PollingShown(TypedDict):
    """How the polling of a provider goes."""

    name: str
    standing: Footing
    due_lag_s: float


class StatusShown(Readiness):
    """How the daemon is, at a glance."""

    version: str
    started_at: Instant
    config: ConfigShown
    watches: Annotated[dict[Status, int], Field(description="Live watches by status.")]
    deliveries: Annotated[dict[DeliveryState, int], Field(description="Deliveries that are not delivered, by state.")]
    oldest_pending_s: float | None
    database_bytes: int
    providers: list[PollingShown]
