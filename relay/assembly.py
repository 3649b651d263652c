"""From the configuration to the parts that run: providers, destinations, routes."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from relay import config
from relay.api import Followed, NamedDestination
from relay.config import Config, DestinationType
from relay.core.address import AddressPolicy
from relay.core.budget import Rate
from relay.core.delivery import Verdict, VerdictKind, first_delivery
from relay.core.duration import parse_duration
from relay.core.errors import InvalidValue, RelayError
from relay.core.event import greeting_event
from relay.core.headers import basic_authorization, checked_value
from relay.core.ports import Clock, Destination, Outgoing, Transport
from relay.core.routing import Route
from relay.core.watch import Target
from relay.destinations import (
    AppriseDestination,
    CallbackDestination,
    DiscordDestination,
    SlackDestination,
    apprise_template,
    callback_names,
    callback_target,
    discord_template,
    named_target,
    slack_template,
)
from relay.inquiry import Account
from relay.log import SecretMask
from relay.outlet import Digests, Outlet
from relay.poller import Poller
from relay.providers import blueprint
from relay.settings import following
from relay.transport import Egress, Foresight, ServiceTransport, check_service


def learn_secrets(settings: Config, mask: SecretMask) -> None:
    """Tell the log's mask every secret that can be read now."""
    for secret in settings.secrets:
        try:
            mask.add(secret.read())
        except RelayError:  # whoever needs it says so when it is needed
            continue


def accounts(settings: Config, mask: SecretMask) -> dict[str, Account]:
    """Return what to poll with, by provider; raises RelayError for a provider file that cannot be used."""
    return {name: _account(settings, provider, mask) for name, provider in settings.providers.items()}


def _account(settings: Config, provider: config.Provider, mask: SecretMask) -> Account:
    made = blueprint(provider.preset, provider.spec)
    defaults = made.defaults
    return Account(
        provider=made.build(provider.name, provider.base_url),
        following=following(provider, defaults, settings.schedule.detection_lag_s),
        read_secrets=_secret_reader(provider.secrets, mask),
        concurrency=provider.concurrency or defaults.concurrency,
        deadline_s=provider.deadline_s or parse_duration(defaults.deadline),
        rate=provider.rate or (Rate.parse(defaults.rate) if defaults.rate else None),
        max_body=made.max_body,
    )


def _secret_reader(secrets: Mapping[str, config.Secret], mask: SecretMask) -> Callable[[], Mapping[str, str]]:
    def read() -> Mapping[str, str]:
        values = {name: secret.read() for name, secret in secrets.items()}
        for value in values.values():
            mask.add(value)
        return values

    return read


def followed(pollers: Mapping[str, Poller]) -> dict[str, Followed]:
    """Return the providers as the API needs them."""
    return {
        name: Followed(
            provider=poller.account.provider,
            following=poller.account.following,
            expectations=poller.experience,
            rate=poller.account.rate,
            deadline_s=poller.account.deadline_s,
            wake=poller.wakeup.set,
            planned=poller.planned,
        )
        for name, poller in pollers.items()
    }


def routes(settings: Config) -> list[Route]:
    """Return the routes with their targets."""
    return [
        Route(
            to=tuple(map(named_target, route.to)),
            statuses=route.statuses,
            providers=route.providers,
            operators=tuple(named_target(name) for name in route.to if _is_read_by_people(settings, name)),
            events=route.events,
            models=route.models,
            metadata=route.metadata,
            longer_than_s=route.longer_than_s,
            shorter_than_s=route.shorter_than_s,
        )
        for route in settings.routes
    ]


def _is_read_by_people(settings: Config, name: str) -> bool:
    return settings.destinations[name].type is not DestinationType.CALLBACK


def named_destinations(
    settings: Config, resolve: Callable[[Target], Outlet | None], clock: Clock
) -> dict[str, NamedDestination]:
    """Return the named destinations as the API needs them."""
    return {
        name: NamedDestination(
            named_target(name), str(chosen.type), partial(_greet, named_target(name), resolve, clock)
        )
        for name, chosen in settings.destinations.items()
    }


async def _greet(target: Target, resolve: Callable[[Target], Outlet | None], clock: Clock, now: float) -> Verdict:
    outlet = resolve(target)
    if outlet is None:
        return Verdict(VerdictKind.REFUSED, "the destination is not configured")
    event = greeting_event(target.key, now)
    delivery = first_delivery(event, target, now)
    _, verdict = await outlet.send(outlet.request([Outgoing(delivery, event)], now), clock)
    return verdict


def addresses(settings: Config) -> dict[str, tuple[DestinationType, str]]:
    """Return what each named destination is and where, secret URLs read; raises RelayError."""
    return {name: (chosen.type, chosen.url.read()) for name, chosen in settings.destinations.items()}


def egress(settings: Config) -> Egress | None:
    """Return the way out through a proxy, where there is one; raises RelayError for a proxy that is none."""
    if settings.egress.proxy is None:
        return None
    way = Egress(settings.egress.proxy.read(), settings.egress.direct)
    try:
        _ = way.location
    except ValueError as error:
        raise RelayError(f"egress.proxy: {error}") from None
    return way


def heartbeat_url(settings: Config) -> str | None:
    """Return where signs of life go, if anywhere; raises RelayError for an address that is none."""
    if settings.heartbeat.url is None:
        return None
    try:
        return config.web_url(settings.heartbeat.url.read())
    except ValueError as error:
        raise RelayError(f"heartbeat.url {error}") from None


def callback_policy(settings: Config) -> AddressPolicy:
    """Return which addresses callback URLs may lead to."""
    return AddressPolicy(settings.callbacks.allow_networks, settings.callbacks.allow_hosts)


def callback_checker(settings: Config, foresight: Foresight) -> Callable[[str], Target]:
    """Return the function that accepts or refuses a callback URL, going by what `foresight` knows of its name."""
    policy = callback_policy(settings)

    def check(url: str) -> Target:
        target = callback_target(url, allow_http=settings.callbacks.allow_http, policy=policy)
        refusal = foresight.refusal(target.lane.rpartition(":")[0])
        if refusal is not None:
            raise InvalidValue("callback_url", refusal)
        return target

    return check


def callback_look_up(foresight: Foresight) -> Callable[[Collection[str]], Awaitable[None]]:
    """Return the function that lets `foresight` know of the names in callback URLs."""

    async def look_up(written: Collection[str]) -> None:
        await foresight.look_up(callback_names(written))

    return look_up


def outlets(settings: Config, *, trusted: Transport, guarded: Transport) -> Callable[[Target], Outlet | None]:
    """Return what finds the outlet of a target: named ones may reach any host, callback URLs public ones."""
    signers = config.read_signers(settings.callbacks.signing)
    named = {name: _named_outlet(settings, name, trusted) for name in settings.destinations}

    def resolve(target: Target) -> Outlet | None:
        if target.url is None:
            return named.get(str(target.name))
        return Outlet(CallbackDestination(target.url, signers, settings.callbacks.retry), guarded)

    return resolve


def chats(settings: Config) -> dict[str, str]:
    """Return the lanes of destinations that people read, each with its service."""
    return {
        named_target(name).lane: str(chosen.type)
        for name, chosen in settings.destinations.items()
        if _is_read_by_people(settings, name)
    }


def _named_outlet(settings: Config, name: str, transport: Transport) -> Outlet:
    made, chosen = destination(settings, name), settings.destinations[name]
    digests = None
    if isinstance(made, SlackDestination | DiscordDestination | AppriseDestination) and chosen.digest_s:
        digests = Digests(made.digest, chosen.digest_s)
    if isinstance(made, AppriseDestination):
        transport = ServiceTransport()
    return Outlet(made, transport, digests, chosen.quiet)


def destination(settings: Config, name: str) -> Destination:
    """Return a destination of the configuration with its secrets read; raises RelayError."""
    chosen = settings.destinations[name]
    url = chosen.url.read()
    match chosen.type:
        case DestinationType.SLACK:
            template = slack_template(chosen.template.read()) if chosen.template else None
            return SlackDestination(url, chosen.retry, thread=chosen.thread, template=template)
        case DestinationType.DISCORD:
            template = discord_template(chosen.template.read()) if chosen.template else None
            return DiscordDestination(url, chosen.retry, thread=chosen.thread, template=template)
        case DestinationType.APPRISE:
            try:
                check_service(url)
            except RelayError as error:
                raise RelayError(f"destinations.{name}.url: {error}") from None
            template = apprise_template(chosen.template.read()) if chosen.template else None
            return AppriseDestination(url, chosen.retry, template=template)
        case DestinationType.CALLBACK:
            signers = config.read_signers(chosen.signing or settings.callbacks.signing)
            return CallbackDestination(
                url, signers, chosen.retry, with_raw=chosen.raw, thin=chosen.thin, headers=_headers(chosen)
            )


def _headers(chosen: config.Destination) -> dict[str, str]:
    """Return what a callback's requests carry besides; raises RelayError for a value that no header can hold."""
    headers = {}
    for name, value in chosen.headers.items():
        try:
            headers[name] = checked_value(value.read())
        except ValueError as error:
            raise RelayError(f"destinations.{chosen.name}.headers.{name}: {error}") from None
    if chosen.basic_auth is not None:
        user, password = chosen.basic_auth.user, chosen.basic_auth.password.read()
        headers["Authorization"] = basic_authorization(user.encode(), password.encode())
    return headers
