"""One seed's history: lives of the daemon on one database, each ended in order or cut off at a point the seed draws."""

import asyncio
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from bench.simulation.audit import Auditor
from bench.simulation.people import People
from bench.simulation.plug import Connection, Plug
from bench.simulation.surroundings import running
from bench.simulation.time import VirtualLoop, Window
from bench.simulation.world import World
from relay.core.errors import StoreError
from relay.core.ports import Entropy

_MOST_LIVES = 8
_POINTS_PER_LIFE = 1500
_ORDERLY = 0.3
_LONGEST_S = 16 * 3600.0
_LOOK_EVERY_S = 60.0
_BUGS = frozenset({"poll.failed", "attempt.failed", "request.failed", "maintenance.failed"})
"""What is logged where something was raised; what was foreseen of it comes without a traceback."""


@dataclass(frozen=True, slots=True)
class History:
    """What came of a seed: how its lives ended, what it saw, and which promises were broken."""

    seed: int
    pulled: tuple[str, ...]
    stops: int
    jumps: int
    deliveries: int
    duplicates: int
    messages: int
    given_up: int
    resent: int
    lasted_s: float
    violations: tuple[str, ...]


class _SeededEntropy:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def sample(self) -> float:
        return self._chance.random()

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


def play(seed: int) -> History:
    """Live through one seed."""
    with (
        tempfile.TemporaryDirectory(prefix="relay-simulation-") as folder,
        structlog.testing.capture_logs() as lines,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        history = runner.run(_Lives(seed, Path(folder) / "relay.db").run())
    bugs = tuple(f"nobody foresaw this: {line}" for line in lines if line["event"] in _BUGS and line.get("exc_info"))
    return replace(history, violations=history.violations + bugs)


class _Lives:
    def __init__(self, seed: int, path: Path) -> None:
        self.world = World(seed, path)
        self.auditor = Auditor(self.world)
        self.chance = random.Random(f"{seed} lives")
        self.entropy: Entropy = _SeededEntropy(self.chance)
        self.pulled: list[str] = []
        self.stops = 0
        self.set_right_s = 0.0

    async def run(self) -> History:
        """Live, be ended, wait a little and live again, until nothing is left to do."""
        world, lives, done = self.world, self.chance.randrange(_MOST_LIVES), False
        while not done and not world.violations:
            orderly = self.chance.random() < _ORDERLY
            last = len(self.pulled) + self.stops >= lives
            pull_at = None if last or orderly else self.chance.randint(1, _POINTS_PER_LIFE)
            stop_s = self.chance.uniform(1, 900) if orderly and not last else None
            done = await self._live_once(Plug(pull_at), stop_s)
        self.auditor.judge()
        world.close()
        receipts = world.receivers.receipts.values()
        return History(
            seed=world.seed,
            pulled=tuple(self.pulled),
            stops=self.stops,
            jumps=len(world.clock.jumps),
            deliveries=len(receipts),
            duplicates=sum(receipt.times - 1 for receipt in receipts),
            messages=len(world.chats.messages),
            given_up=len(self.auditor.given_up),
            resent=world.resent,
            lasted_s=world.now_s,
            violations=tuple(world.violations),
        )

    async def _live_once(self, plug: Plug, stop_s: float | None) -> bool:
        """Live until all is done, or the life is over; return which."""
        world, loop = self.world, asyncio.get_running_loop()
        world.plug = plug
        world.life += 1
        self._set_right()
        self.auditor.begin()
        life = loop.create_task(self._live(plug, stop_s))
        cut = loop.create_task(plug.pulled.wait())
        await asyncio.wait((life, cut), return_when=asyncio.FIRST_COMPLETED)
        failed = life.done() and isinstance(life.exception(), StoreError)
        done = life.done() and not failed and life.result()
        if not life.done() or failed:
            self.pulled.append(plug.where or "a start or a stop, for want of space")
        elif not done:
            self.stops += 1
        await plug.bury()
        ended_s = world.now_s
        if not done:
            world.cut()
            await world.clock.sleep(self.chance.uniform(1, 60))
        world.down.append(Window(ended_s, world.now_s))
        return done

    def _set_right(self) -> None:
        """Undo a step of the clock that relay was not there to see: its plans would wait until they are due again."""
        unseen_s = self.auditor.unnoticed_s() - self.set_right_s
        if unseen_s > 0:
            self.world.clock.jump(unseen_s)
            self.set_right_s += unseen_s

    async def _live(self, plug: Plug, stop_s: float | None) -> bool:
        """Run the daemon until everything is done, or it is to stop; return which."""
        world = self.world

        def connect(path: Path) -> Connection:
            return plug.connect(path, world.disk)

        async with (
            running(
                world.path,
                clock=world.clock,
                entropy=self.entropy,
                network=world,
                connect=connect,
                before_chores=self.auditor.read_on,
            ) as (alive, api),
            asyncio.TaskGroup() as tasks,
        ):
            people = People(world, api, self.chance, self.auditor.read_on)
            chores = [tasks.create_task(chore) for chore in people.chores()]
            until_s = world.now_s + (stop_s or _LONGEST_S)
            while not (done := self.auditor.look()) and not world.violations and world.now_s < until_s:
                await world.clock.sleep(min(_LOOK_EVERY_S, max(until_s - world.now_s, 0.001)))
                self.auditor.count(alive.metrics.registry)
            if stop_s is None and not done and not world.violations:
                world.accuse("something is never done")
            for chore in chores:
                chore.cancel()
        return done or bool(world.violations)
