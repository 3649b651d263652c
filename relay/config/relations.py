"""What the values of a configuration mean for one another.

Errors are looked for in whatever is sound by itself, so that they are told
together with the mistakes elsewhere; warnings only in a file without errors.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from relay.config.fields import web_url
from relay.config.schema import (
    AuthTable,
    ConfigTable,
    DestinationTable,
    HeartbeatTable,
    MatchTable,
    ProviderTable,
    QuietTable,
    RetryTable,
    RouteTable,
    ScheduleTable,
    ServerTable,
    StoreTable,
    Table,
)
from relay.config.secrets import WAYS_OUT
from relay.config.settings import build_provider, store_path, template_source
from relay.config.templates import template_errors
from relay.config.values import Provider, is_loopback
from relay.core.event import EVENT_TYPES
from relay.core.headers import is_secretive
from relay.core.observation import OUTCOMES
from relay.diagnostics import Level, Problem, did_you_mean
from relay.diagnostics import Path as KeyPath

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TYPES_OF = {
    **dict.fromkeys(
        ("secret", "previous_secrets", "signing_key", "payload", "raw", "headers", "basic_auth"), ("callback",)
    ),
    "thread": ("slack", "discord"),
    **dict.fromkeys(("template", "digest"), ("slack", "discord", "apprise")),
}
"""Settings that not every type of destination has."""
_THREADS = {
    "slack": (re.compile(r"[0-9]{10}\.[0-9]{6}"), "1503435956.000247"),
    "discord": (re.compile(r"[0-9]{15,21}"), "1048576123456789012"),
}
"""How each chat writes what a thread is called: the time of its first message, and a number."""
TableT = TypeVar("TableT", bound=Table)


Examine = Callable[[Provider, float], Iterable[Problem]]
"""Tells what the description of a provider has to say about its settings and the lag, in seconds, that is wanted."""


def unexamined(_provider: Provider, _detection_lag_s: float) -> Iterable[Problem]:
    """Know nothing of any provider."""
    return ()


def holds_none(_database: Path) -> bool:
    """Know nothing of any database."""
    return False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the file at `path` refers to besides: presets, its folder, the environment, tokens in the database."""

    presets: Collection[str]
    path: Path
    env: Mapping[str, str]
    examine: Examine = unexamined
    holds_tokens: Callable[[Path], bool] = holds_none

    @property
    def folder(self) -> Path:
        """Where the paths begin that the file names."""
        return self.path.parent


def errors_in(data: Mapping[str, Any], around: Surroundings) -> Iterator[Problem]:
    """Yield every contradiction in a file as it was read, sound in all parts or not."""
    yield from _server_errors(data, around)
    schedule = _salvaged(ScheduleTable, data.get("schedule", {})) or ScheduleTable()
    for name, provider, given in _salvaged_tables(ProviderTable, data.get("providers")):
        yield from _name_errors(("providers", name), name)
        unsourced = list(_source_errors(name, provider, given, around))
        yield from unsourced
        yield from _provider_errors(name, provider)
        if not unsourced and given & {"preset", "spec"} <= provider.model_fields_set:
            built = build_provider(name, provider, around.folder, around.env)
            for problem in around.examine(built, schedule.detection_lag):
                told = problem.path[-1] in given - provider.model_fields_set  # it is there, but wrong by itself
                if problem.level is Level.ERROR and not told:
                    yield problem
    for name, destination, _ in _salvaged_tables(DestinationTable, data.get("destinations")):
        yield from _name_errors(("destinations", name), name)
        yield from _destination_errors(name, destination)
        if destination.quiet_hours is not None:
            yield from _quiet_errors(("destinations", name, "quiet_hours"), destination.quiet_hours)
        if (source := template_source(destination, around.folder)) is not None:
            yield from template_errors(("destinations", name, "template"), source)
    for path, retry in _retries(data):
        yield from _order_errors(path, ("first", retry.first), ("max_gap", retry.max_gap))
    yield from _route_errors(data)
    heartbeat = _sound(HeartbeatTable, data.get("heartbeat", {}))
    if heartbeat and isinstance(heartbeat.url, str):
        yield from _url_errors(("heartbeat", "url"), heartbeat.url)


def warnings_in(table: ConfigTable) -> Iterator[Problem]:
    """Yield what is legal in a file without errors, but hardly meant."""
    if not table.providers:
        yield _warning(("providers",), "no provider is configured, so there is nothing to watch")
    for name, provider in table.providers.items():
        url = urlsplit(provider.base_url or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            message = "the provider's key would cross the network unencrypted; write https"
            yield _warning(("providers", name, "base_url"), message)
    routed = {name for route in table.routes for name in route.to}
    for name in table.destinations.keys() - routed:
        message = f'no route leads to "{name}": it gets only the watches that name it'
        yield _warning(("destinations", name), message)
    for index, route in enumerate(table.routes):
        for place, name in enumerate(route.match.provider):
            if name not in table.providers:
                path: KeyPath = ("routes", index, "match", "provider", place)
                yield _unknown(path, "provider", name, table.providers, level=Level.WARNING)
        wanted = [f"job.{status}" for status in route.match.status]
        events = route.match.event
        if wanted and events and not any(fnmatchcase(one, pattern) for one in wanted for pattern in events):
            message = 'no job has an outcome of "status" and is told of by one of "event"'
            yield _warning(("routes", index, "match", "event"), message)


def may_exist(path: Path) -> bool:
    """Tell whether something is at `path`, or may be: whoever opens it then learns why that fails."""
    try:
        return path.exists()
    except OSError:
        return True


def _sound(model: type[TableT], value: object) -> TableT | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _salvaged(model: type[TableT], value: object) -> TableT | None:
    """Return a table without the keys that are wrong by themselves, or None where it cannot do without."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
        kept = {key: part for key, part in value.items() if key not in wrong} if isinstance(value, dict) else None
        return _sound(model, kept)


def _salvaged_tables(model: type[TableT], tables: object) -> Iterator[tuple[str, TableT, Set[str]]]:
    """Yield what is usable among the tables of a table, each with its name and the keys that it gives."""
    for name, value in tables.items() if isinstance(tables, dict) else ():
        table = _salvaged(model, value)
        if table is not None:
            yield name, table, value.keys()


def _server_errors(data: Mapping[str, Any], around: Surroundings) -> Iterator[Problem]:
    server = _sound(ServerTable, data.get("server", {}))
    auth = _sound(AuthTable, data.get("auth", {}))
    if auth is None:
        return
    if server and not auth.tokens and not is_loopback(server.listen.host):
        store = _salvaged(StoreTable, data.get("store", {})) or StoreTable()
        if not around.holds_tokens(store_path(store.url, around.path, around.env)):
            message = "without tokens relay listens on this machine only"
            yield Problem(
                ("server", "listen"), message, "make one first, by relay token create, or configure [auth] tokens"
            )
    counts = Counter(token.name for token in auth.tokens)
    for index, token in enumerate(auth.tokens):
        if counts[token.name] > 1:
            yield Problem(
                ("auth", "tokens", index, "name"), f'"{token.name}" names two tokens; each sees its own watches'
            )


def _source_errors(name: str, provider: ProviderTable, given: Set[str], around: Surroundings) -> Iterator[Problem]:
    """Yield what is wrong with where a provider's description comes from."""
    path: KeyPath = ("providers", name)
    if "preset" in given and "spec" in given:
        yield Problem((*path, "spec"), "a provider has a preset or a spec, not both")
    elif provider.spec is not None:
        if not may_exist(around.folder / provider.spec):
            yield Problem((*path, "spec"), f'there is no file "{around.folder / provider.spec}"')
    elif provider.preset is not None:
        if provider.preset not in around.presets:
            yield _unknown((*path, "preset"), "preset", provider.preset, around.presets)
    elif not given & {"preset", "spec"} and name not in around.presets:
        message = f'there is no preset "{name}", and neither "preset" nor "spec" says what it is'
        yield Problem(path, message, did_you_mean(name, around.presets))


def _provider_errors(name: str, provider: ProviderTable) -> Iterator[Problem]:
    path: KeyPath = ("providers", name)
    if provider.api_key is not None and "api_key" in provider.secrets:
        yield Problem((*path, "secrets", "api_key"), '"api_key" is given twice')
    yield from _order_errors(path, ("min_interval", provider.min_interval), ("max_interval", provider.max_interval))


def _destination_errors(name: str, destination: DestinationTable) -> Iterator[Problem]:
    path: KeyPath = ("destinations", name)
    for key in sorted(destination.model_fields_set & _TYPES_OF.keys()):
        if destination.type not in _TYPES_OF[key]:
            *others, last = _TYPES_OF[key]
            types = f"types {', '.join(others)} and {last}" if others else f"type {last}"
            yield Problem((*path, key), f'"{key}" is for the {types} only')
    if destination.type == "callback":
        if isinstance(destination.url, str):
            yield from _url_errors((*path, "url"), destination.url)
        yield from _signing_errors(path, destination)
        yield from _payload_errors(path, destination)
        return
    if isinstance(destination.url, str):
        article = "an" if destination.type == "apprise" else "a"
        message = f"whoever knows {article} {destination.type} URL can post with it, so it is a secret"
        yield Problem((*path, "url"), f"{message}; refer to it as {WAYS_OUT}")
    if destination.type in _THREADS and destination.thread is not None:
        pattern, example = _THREADS[destination.type]
        if not pattern.fullmatch(destination.thread):
            yield Problem((*path, "thread"), f'a {destination.type} thread is written as in "{example}"')
    if destination.type == "apprise" and find_spec("apprise") is None:
        yield Problem((*path, "type"), 'the type apprise needs an extra: pip install "status-relay[apprise]"')


def _signing_errors(path: KeyPath, destination: DestinationTable) -> Iterator[Problem]:
    """Yield what signs beside a secret that is not given: whose rotation it were, no one could tell."""
    for key in ("previous_secrets", "signing_key"):
        if key in destination.model_fields_set and "secret" not in destination.model_fields_set:
            message = f'"{key}" goes with a "secret" that is this destination\'s own'
            yield Problem((*path, key), message, "or belongs under [callbacks], whose secret signs here")


def _payload_errors(path: KeyPath, destination: DestinationTable) -> Iterator[Problem]:
    if destination.payload == "thin" and destination.raw:
        yield Problem((*path, "raw"), 'a thin payload is without the body that "raw" asks for')
    for name, value in destination.headers.items():
        if isinstance(value, str) and is_secretive(name):
            message = f'"{name}" looks like a secret, which does not belong in this file'
            yield Problem((*path, "headers", name), message, f"refer to it as {WAYS_OUT}")
        if name.lower() == "authorization" and destination.basic_auth is not None:
            yield Problem((*path, "headers", name), f'"{name}" is what basic_auth sets')


def _quiet_errors(path: KeyPath, quiet: QuietTable) -> Iterator[Problem]:
    if quiet.begin == quiet.end:
        yield Problem((*path, "to"), '"from" and "to" must differ: there would be no quiet time, or no other')
    for place, pattern in enumerate(quiet.urgent):
        known = (*OUTCOMES, *EVENT_TYPES)
        if not any(fnmatchcase(one, pattern) for one in known):
            yield _unknown((*path, "except", place), "outcome or event", pattern, known)


def _retries(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, RetryTable]]:
    callbacks = data.get("callbacks")
    places: list[tuple[KeyPath, object]] = [(("callbacks",), callbacks)]
    destinations = data.get("destinations")
    if isinstance(destinations, dict):
        places += [(("destinations", name), table) for name, table in destinations.items()]
    for path, table in places:
        retry = _sound(RetryTable, table.get("retry", {})) if isinstance(table, dict) else None
        if retry is not None:
            yield (*path, "retry"), retry


def _route_errors(data: Mapping[str, Any]) -> Iterator[Problem]:
    routes, destinations = data.get("routes"), data.get("destinations", {})
    if not isinstance(routes, list) or not isinstance(destinations, dict):
        return
    for index, value in enumerate(routes):
        route = _salvaged(RouteTable, value)
        for place, name in enumerate(route.to if route else ()):
            if name not in destinations:
                yield _unknown(("routes", index, "to", place), "destination", name, destinations)
        matching = _salvaged(MatchTable, value.get("match", {})) if isinstance(value, dict) else None
        if matching is not None:
            yield from _match_errors(("routes", index, "match"), matching)


def _match_errors(path: KeyPath, match: MatchTable) -> Iterator[Problem]:
    for place, pattern in enumerate(match.event):
        if not any(fnmatchcase(known, pattern) for known in EVENT_TYPES):
            yield _unknown((*path, "event", place), "event", pattern, EVENT_TYPES)
    longest = match.shorter_than
    if match.longer_than is not None and longest is not None and match.longer_than >= longest:
        yield Problem((*path, "longer_than"), '"longer_than" must be less than "shorter_than"')


def _order_errors(path: KeyPath, low: tuple[str, float | None], high: tuple[str, float | None]) -> Iterator[Problem]:
    if low[1] is not None and high[1] is not None and low[1] > high[1]:
        yield Problem((*path, low[0]), f'"{low[0]}" must not be longer than "{high[0]}"')


def _url_errors(path: KeyPath, url: str) -> Iterator[Problem]:
    try:
        web_url(url)
    except ValueError as error:
        yield Problem(path, f'"url" {error}')


def _name_errors(path: KeyPath, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(path, f'"{name}" is not a name: letters, digits, ".", "_" and "-", at most 64')


def _unknown(path: KeyPath, kind: str, name: str, known: Collection[str], *, level: Level = Level.ERROR) -> Problem:
    return Problem(path, f'there is no {kind} "{name}"', did_you_mean(name, known), level)


def _warning(path: KeyPath, message: str) -> Problem:
    return Problem(path, message, level=Level.WARNING)
