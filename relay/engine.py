"""The parts that run on one configuration, and their exchange for those of another while they run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

import structlog

from relay import assembly, config, log
from relay.api import Context, CreatedTokens, Vitals
from relay.config import Changes, Config, ConfigInvalid, DestinationType, Listen
from relay.core.address import AddressPolicy
from relay.core.condition import Condition
from relay.core.errors import RelayError, StoreError
from relay.core.ports import Clock, Entropy, Store, Transport
from relay.core.routing import Route
from relay.core.standing import Standing
from relay.core.watch import Target
from relay.destinations import named_target
from relay.dispatcher import Dispatcher
from relay.health import Health
from relay.inquiry import Account
from relay.log import SecretMask
from relay.maintenance import beat
from relay.metrics import Metrics
from relay.occupancy import CONCURRENCY
from relay.outlet import Outlet
from relay.poller import Poller
from relay.settings import load_settings
from relay.signals import EndSignals, News
from relay.transport import Egress, Foresight, open_transport

_log = structlog.get_logger("relay.engine")


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parts stand on, whatever the configuration says."""

    store: Store
    trusted: Transport
    egress: Egress | None
    clock: Clock
    entropy: Entropy
    mask: SecretMask
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class _Callbacks:
    """The way to callback URLs under one policy."""

    policy: AddressPolicy
    transport: Transport
    foresight: Foresight


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that a configuration comes to, made before any of it is put to work."""

    settings: Config
    accounts: Mapping[str, Account]
    routes: Sequence[Route]
    resolve: Callable[[Target], Outlet | None]
    foresight: Foresight
    heartbeat_url: str | None
    addresses: Mapping[str, tuple[DestinationType, str]] = field(repr=False)


class Engine:
    """The loops and the API's view of them; `context` stays the same object, its contents are exchanged."""

    settings: Config
    dispatcher: Dispatcher
    context: Context
    _listen: Listen

    def __init__(self, ground: Ground, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> None:
        self.pollers: dict[str, Poller] = {}
        self.health = Health(ground.store, ground.clock, self._ticks)
        self._ground = ground
        self._created = CreatedTokens(ground.store)
        self._stack = stack
        self._tasks = tasks
        self._loops: set[asyncio.Task[None]] = set()
        self._ends = EndSignals()
        self._news = News()
        self._callbacks: _Callbacks | None = None
        self._reloading = asyncio.Lock()
        self._started_at = self._loaded_at = ground.clock.now()
        self._refused = False
        self._heartbeat_url: str | None = None
        self._addresses: Mapping[str, tuple[DestinationType, str]] = {}

    async def start(self, settings: Config) -> None:
        """Put a configuration to work; raises RelayError where that cannot be done."""
        plan = await self._plan(settings)
        await self._created.load()
        ground = self._ground
        self.settings, self._heartbeat_url, self._addresses = settings, plan.heartbeat_url, plan.addresses
        self._listen = settings.server.listen
        self.dispatcher = Dispatcher(
            store=ground.store,
            resolve=plan.resolve,
            chats=assembly.chats(settings),
            routes=plan.routes,
            clock=ground.clock,
            entropy=ground.entropy,
            metrics=ground.metrics,
        )
        self._exchange_pollers(plan)
        self.context = self._context(plan)
        self._note_loaded()

    async def beat(self) -> None:
        """Give a sign of life, where one is wanted and all is well."""
        if self._heartbeat_url is not None:
            await beat(self.health, self._ground.trusted, self._heartbeat_url, self._ground.metrics)

    async def set_back(self, seconds: float) -> None:
        """Go on as planned after the wall clock was set back."""
        await self._ground.store.set_back(seconds)
        for poller in self.pollers.values():
            poller.set_back(seconds)
        self.dispatcher.wakeup.set()

    def run(self) -> None:
        """Start the loops."""
        for part in self._parts():
            self._run(part)

    async def stop(self) -> None:
        """End the loops; what is under way gets the grace period."""
        for part in self._parts():
            part.stop()
        if self._loops:
            _, late = await asyncio.wait(self._loops, timeout=self.settings.server.grace_s)
            for loop in late:
                loop.cancel()

    async def reload(self) -> Changes:
        """Take over the configuration as it is on disk now, all of it or nothing.

        Secrets are read again with it.  Raises RelayError, whose text is the whole
        report, where it cannot be used, and StoreError where the database fails;
        what runs then goes on as it was.
        """
        async with self._reloading:
            try:
                fresh = await asyncio.to_thread(load_settings, self.settings.path)
                self._refuse_exposure(fresh)
                config.ensure_signing_secret(fresh.callbacks.signing.secret, self._ground.entropy.bytes)
                plan = await self._plan(fresh)
                found = config.changes(self.settings, fresh)
                removed = found.providers.removed
                left = {name: (await self._ground.store.demand(name, floor=0.0)).watches for name in removed}
            except RelayError as error:
                self._note_refused(str(error))
                raise
            except Exception as error:  # a bug about what is new must not end what runs
                self._note_refused(repr(error), exc_info=error)
                raise RelayError(f"relay fails to take it over: {error!r}") from error
            moved = [name for name, address in plan.addresses.items() if self._addresses.get(name) != address]
            self._adopt(plan)
            await self._try_anew(moved)
        _log.info("config.reloaded", **asdict(found))
        for warning in fresh.warnings:
            _log.warning("config.doubted", warning=warning)
        for name, number in left.items():
            if number:
                _log.warning("watches.unfollowed", provider=name, number=number, until="it is configured again")
        if found.needs_restart:
            _log.warning("config.deferred", keys=found.needs_restart, until="a restart")
        return found

    def _refuse_exposure(self, fresh: Config) -> None:
        """Raise ConfigInvalid where the last token would go while others than this machine can still connect.

        The file is sound by itself: it holds from the next start on where it
        listens, and whose tokens are in its database.
        """
        if not (fresh.auth.tokens or self._created.any or self._listen.loopback):
            raise ConfigInvalid(
                f"{fresh.path}: error: without tokens relay listens on this machine only, but it listens on "
                f"{self._listen.host} until it is started again: keep a token until then"
            )

    async def measure(self) -> Vitals:
        """Return how everything is now, and bring the gauges up to date with it."""
        ground, now = self._ground, self._ground.clock.now()
        counts, standings = await ground.store.counts(), await ground.store.standings()
        due = {name: await ground.store.next_watch_due(name, after=0.0) for name in self.pollers}
        lags = {name: max(now - at, 0.0) if at is not None else 0.0 for name, at in due.items()}
        polls = {name: poller.under_way for name, poller in self.pollers.items()}
        ground.metrics.observe(counts, now)
        ground.metrics.tasks.set(len(asyncio.all_tasks()))
        lanes = await ground.store.lanes()
        ground.metrics.observe_destinations(
            {
                name: lanes[name].health.condition if name in lanes else Condition.WORKING
                for name in self.settings.destinations
            }
        )
        ground.metrics.observe_loops(polls, self.dispatcher.under_way, lags, standings)
        return Vitals(
            started_at=self._started_at,
            config_loaded_at=self._loaded_at,
            config_refused=self._refused,
            counts=counts,
            due_lags_s=lags,
            standings={name: standings.get(name, Standing()) for name in self.pollers},
        )

    async def _plan(self, settings: Config) -> _Plan:
        """Make everything that may fail."""
        assembly.learn_secrets(settings, self._ground.mask)
        accounts = assembly.accounts(settings, self._ground.mask)
        callbacks = await self._way_to_callbacks(assembly.callback_policy(settings))
        return _Plan(
            settings=settings,
            accounts=accounts,
            routes=assembly.routes(settings),
            resolve=assembly.outlets(settings, trusted=self._ground.trusted, guarded=callbacks.transport),
            foresight=callbacks.foresight,
            heartbeat_url=assembly.heartbeat_url(settings),
            addresses=assembly.addresses(settings),
        )

    async def _way_to_callbacks(self, policy: AddressPolicy) -> _Callbacks:
        """Return the client for callback URLs; connections that an older policy let through are not used again."""
        if self._callbacks is None or self._callbacks.policy != policy:
            ground = self._ground
            opened = open_transport(policy, ground.clock, connections=CONCURRENCY, egress=ground.egress)
            foresight = Foresight(policy, ground.clock)
            self._stack.push_async_callback(foresight.close)
            self._callbacks = _Callbacks(policy, await self._stack.enter_async_context(opened), foresight)
        return self._callbacks

    def _adopt(self, plan: _Plan) -> None:
        """Exchange everything between two turns of the event loop: nothing runs on a mixture."""
        if plan.settings.log != self.settings.log:
            log.configure(style=plan.settings.log.format, level=plan.settings.log.level, mask=self._ground.mask)
        self.settings, self._heartbeat_url, self._addresses = plan.settings, plan.heartbeat_url, plan.addresses
        self.dispatcher.adopt(plan.resolve, assembly.chats(plan.settings), plan.routes)
        for poller in self._exchange_pollers(plan):
            self._run(poller)
        self.context.adopt(self._context(plan))
        self._note_loaded()

    async def _try_anew(self, names: Sequence[str]) -> None:
        """Have destinations tried at once that were down elsewhere; where the database fails they wait their time."""
        try:
            for name in names:
                await self._ground.store.enable(named_target(name).lane, self._ground.clock.now())
        except StoreError as error:
            _log.warning("destinations.not_tried", until="their next probe", error=str(error))
        self.dispatcher.wakeup.set()

    def _note_loaded(self) -> None:
        self._loaded_at, self._refused = self._ground.clock.now(), False
        self._ground.metrics.config_loaded(self._loaded_at)

    def _note_refused(self, report: str, **more: object) -> None:
        self._refused = True
        self._ground.metrics.config_refused()
        _log.error("config.refused", report=report, **more)

    def _exchange_pollers(self, plan: _Plan) -> list[Poller]:
        """Stop the pollers of accounts that are gone, teach those that stay, and return new ones, not yet running.

        The watches of an account that is gone keep their places, and are polled when it comes back.
        """
        for name in self.pollers.keys() - plan.accounts.keys():
            self.pollers.pop(name).stop()
        new = []
        for name, account in plan.accounts.items():
            if name in self.pollers:
                self.pollers[name].adopt(account, plan.routes)
            else:
                self.pollers[name] = self._poller(account, plan.routes)
                new.append(self.pollers[name])
        return new

    def _poller(self, account: Account, routes: Sequence[Route]) -> Poller:
        ground = self._ground
        return Poller(
            account,
            store=ground.store,
            transport=ground.trusted,
            clock=ground.clock,
            entropy=ground.entropy,
            routes=routes,
            metrics=ground.metrics,
            on_end=self._ends.ended,
            on_event=self._tell,
        )

    def _tell(self) -> None:
        """Pass on that an event was stored."""
        self.dispatcher.wakeup.set()
        self._news.told()

    def _parts(self) -> list[Dispatcher | Poller]:
        return [self.dispatcher, *self.pollers.values()]

    def _run(self, part: Dispatcher | Poller) -> None:
        task = self._tasks.create_task(part.run())
        self._loops.add(task)
        task.add_done_callback(self._loops.discard)

    def _ticks(self) -> Mapping[str, float]:
        pollers = {f"poller {name}": poller.ticked_at for name, poller in self.pollers.items()}
        return {"dispatcher": self.dispatcher.ticked_at, **pollers}

    def _context(self, plan: _Plan) -> Context:
        ground, settings = self._ground, plan.settings
        return Context(
            store=ground.store,
            clock=ground.clock,
            entropy=ground.entropy,
            metrics=ground.metrics,
            health=self.health,
            ends=self._ends,
            news=self._news,
            providers=assembly.followed(self.pollers),
            routes=plan.routes,
            destinations=assembly.named_destinations(settings, plan.resolve, ground.clock),
            callback_target=assembly.callback_checker(settings, plan.foresight),
            look_up=assembly.callback_look_up(plan.foresight),
            wake_dispatcher=self.dispatcher.wakeup.set,
            tokens=settings.auth.tokens,
            created=self._created,
            listen_host=self._listen.host,
            rate=settings.server.rate,
            reload=self.reload,
            measure=self.measure,
        )
