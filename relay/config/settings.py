"""From the tables of a valid file to the values that relay works with."""

from collections.abc import Mapping
from pathlib import Path

from relay import places
from relay.config.fields import TemplateFile
from relay.config.schema import (
    BasicAuthTable,
    CallbacksTable,
    ConfigTable,
    DestinationTable,
    EgressTable,
    HeartbeatTable,
    ProviderTable,
    QuietTable,
    RetryTable,
    RouteTable,
)
from relay.config.secrets import Plain, Reference, Secret
from relay.config.signing import Signing
from relay.config.templates import TemplateSource
from relay.config.values import (
    Auth,
    BasicAuth,
    Callbacks,
    Config,
    Destination,
    DestinationType,
    Egress,
    Heartbeat,
    Log,
    Provider,
    Retention,
    Route,
    Schedule,
    Server,
    Store,
)
from relay.core.access import Scope, Token
from relay.core.observation import OUTCOMES, Status
from relay.core.quiet import QuietHours
from relay.core.retry import RetryPolicy

_PROXY = ("egress", "proxy")


def build(table: ConfigTable, path: Path, env: Mapping[str, str]) -> Config:
    """Return the values of a file at `path`, which has no errors.

    What relay itself writes, the database and the signing secret, is relative
    to $STATE_DIRECTORY where a service manager sets it, and so are the secrets
    that the signing one replaced; everything else to the file's own folder.
    Without $STATE_DIRECTORY it is that of the shipped unit for its
    configuration, and the file's own folder for any other.
    """
    state = _state_folder(path, env)
    signing = _signing(("callbacks",), table.callbacks, table.callbacks.secret, state, env)
    return Config(
        path=path,
        server=Server(
            table.server.listen, _socket(table.server.socket, state, env), table.server.grace, table.server.rate
        ),
        log=Log(table.log.level, table.log.format),
        store=Store(table.store.url, store_path(table.store.url, path, env)),
        auth=Auth(
            tuple(Token(token.name, token.hash, frozenset(map(Scope, token.scopes))) for token in table.auth.tokens)
        ),
        callbacks=Callbacks(
            signing=signing,
            allow_http=table.callbacks.allow_http,
            allow_networks=tuple(table.callbacks.allow_networks),
            allow_hosts=tuple(table.callbacks.allow_hosts),
            retry=_retry(table.callbacks.retry),
        ),
        egress=_egress(table.egress, path.parent, env),
        providers={
            name: build_provider(name, provider, path.parent, env) for name, provider in table.providers.items()
        },
        destinations={
            name: _destination(name, destination, signing, path.parent, env)
            for name, destination in table.destinations.items()
        },
        routes=tuple(map(_route, table.routes)),
        schedule=Schedule(table.schedule.detection_lag),
        retention=Retention(table.retention.watches),
        heartbeat=_heartbeat(table.heartbeat, path.parent, env),
    )


def store_path(url: str, path: Path, env: Mapping[str, str]) -> Path:
    """Return where the database of the configuration at `path` is."""
    return _state_folder(path, env) / url.removeprefix("sqlite:///")


def _state_folder(path: Path, env: Mapping[str, str]) -> Path:
    if env.get("STATE_DIRECTORY"):
        return Path(env["STATE_DIRECTORY"].split(":")[0])
    return places.STATE if places.is_the_services(path) else path.parent


def _socket(path: str, state: Path, env: Mapping[str, str]) -> Path | None:
    runtime = Path(env["RUNTIME_DIRECTORY"].split(":")[0]) if env.get("RUNTIME_DIRECTORY") else state
    return None if path == "off" else runtime / path


def _heartbeat(table: HeartbeatTable, folder: Path, env: Mapping[str, str]) -> Heartbeat:
    if table.url is None or isinstance(table.url, str):
        return Heartbeat(Plain(table.url) if table.url else None, table.every)
    return Heartbeat(Secret(("heartbeat", "url"), table.url, folder, env), table.every)


def _egress(table: EgressTable, folder: Path, env: Mapping[str, str]) -> Egress:
    proxy: Secret | Plain | None = None
    if table.proxy is not None:
        proxy = Plain(table.proxy) if isinstance(table.proxy, str) else Secret(_PROXY, table.proxy, folder, env)
    return Egress(proxy, tuple(table.direct))


def build_provider(name: str, table: ProviderTable, folder: Path, env: Mapping[str, str]) -> Provider:
    """Return the values of one provider's table; relative paths start at `folder`."""
    place = ("providers", name)
    secrets = {
        key: Secret((*place, "secrets", key), reference, folder, env) for key, reference in table.secrets.items()
    }
    if table.api_key is not None:
        secrets["api_key"] = Secret((*place, "api_key"), table.api_key, folder, env)
    return Provider(
        name=name,
        preset=None if table.spec else table.preset or name,
        spec=folder / table.spec if table.spec else None,
        secrets=secrets,
        base_url=table.base_url,
        min_interval_s=table.min_interval,
        max_interval_s=table.max_interval,
        rate=table.rate,
        concurrency=table.concurrency,
        detection_lag_s=table.detection_lag,
        typical_duration_s=table.typical_duration,
        deadline_s=table.deadline,
        not_found_grace_s=table.not_found_grace,
    )


def _destination(
    name: str, table: DestinationTable, signing: Signing, folder: Path, env: Mapping[str, str]
) -> Destination:
    place, kind = ("destinations", name), DestinationType(table.type)
    if table.secret is not None:
        signing = _signing(place, table, table.secret, folder, env)
    return Destination(
        name=name,
        type=kind,
        url=Plain(table.url) if isinstance(table.url, str) else Secret((*place, "url"), table.url, folder, env),
        signing=signing if kind is DestinationType.CALLBACK else None,
        thin=table.payload == "thin",
        raw=table.raw,
        headers={
            key: Plain(value) if isinstance(value, str) else Secret((*place, "headers", key), value, folder, env)
            for key, value in table.headers.items()
        },
        basic_auth=_basic_auth((*place, "basic_auth"), table.basic_auth, folder, env),
        quiet=_quiet_hours(table.quiet_hours),
        thread=table.thread,
        template=template_source(table, folder),
        digest_s=table.digest,
        retry=_retry(table.retry),
    )


def template_source(table: DestinationTable, folder: Path) -> TemplateSource | None:
    """Return where the template of a destination is, if it has one; relative paths start at `folder`."""
    if isinstance(table.template, TemplateFile):
        return TemplateSource(path=folder / table.template.path)
    return None if table.template is None else TemplateSource(table.template)


def _quiet_hours(table: QuietTable | None) -> QuietHours | None:
    """Return the quiet hours; the name of an outcome stands for the event of it."""
    if table is None:
        return None
    urgent = tuple(f"job.{name}" if name in OUTCOMES else name for name in table.urgent)
    return QuietHours(table.begin, table.end, table.timezone, urgent)


def _basic_auth(
    place: tuple[str, ...], table: BasicAuthTable | None, folder: Path, env: Mapping[str, str]
) -> BasicAuth | None:
    if table is None:
        return None
    return BasicAuth(table.user, Secret((*place, "password"), table.password, folder, env))


def _signing(
    place: tuple[str, ...],
    table: CallbacksTable | DestinationTable,
    secret: Reference,
    folder: Path,
    env: Mapping[str, str],
) -> Signing:
    previous = (
        Secret((*place, "previous_secrets", index), reference, folder, env)
        for index, reference in enumerate(table.previous_secrets)
    )
    key = table.signing_key
    return Signing(
        secret=Secret((*place, "secret"), secret, folder, env),
        previous=tuple(previous),
        key=None if key is None else Secret((*place, "signing_key"), key, folder, env),
    )


def _route(table: RouteTable) -> Route:
    wanted = table.match
    return Route(
        to=tuple(table.to),
        statuses=frozenset(map(Status, wanted.status)),
        providers=frozenset(wanted.provider),
        events=tuple(wanted.event),
        models=tuple(wanted.model),
        metadata=wanted.metadata,
        longer_than_s=wanted.longer_than,
        shorter_than_s=wanted.shorter_than,
    )


def _retry(table: RetryTable) -> RetryPolicy:
    return RetryPolicy(table.first, table.max_gap, table.give_up_after)
