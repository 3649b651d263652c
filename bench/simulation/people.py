"""Those who use the API: applications that want jobs followed, and a person who looks after the rest."""

import random
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING

from bench.simulation.surroundings import Api

if TYPE_CHECKING:
    from bench.simulation.world import Whim, Wish, World

_AGAIN_S = 5.0
_LOOK_EVERY_S = 120.0


class People:
    """All of them, in one life of the daemon; each begins anew where it got no answer."""

    def __init__(self, world: "World", api: Api, chance: random.Random, before_deletion: Callable[[], None]) -> None:
        self._world = world
        self._before_deletion = before_deletion
        self._api = api
        self._chance = chance

    def chores(self) -> Iterator[Coroutine[object, object, None]]:
        """Yield what each still wants."""
        for wish in self._world.wishes:
            if wish not in self._world.granted:
                yield self._wish(wish)
        for whim in self._world.whims:
            if whim not in self._world.asked:
                yield self._whim(whim)
        yield self._look_after()

    async def _wish(self, wish: "Wish") -> None:
        """Ask until it is granted, as a client does that heard 503 or nothing."""
        world = self._world
        await world.clock.sleep(max(wish.at_s - world.now_s, 0.0))
        content: dict[str, object] = {"provider": "getimg", "job_id": wish.job_id, "deadline": f"{wish.deadline_s}s"}
        content |= {"callback_url": wish.url} if wish.url else {"destinations": [wish.name]}
        while True:
            answer = await self._api.ask("POST", "/v1/watches", content)
            if answer.status in (200, 201):
                world.granted[wish] = answer.content["id"]
                return
            if answer.status != 503:
                world.accuse(f"asking for {wish.job_id} is answered with {answer.status}: {answer.content}")
            await world.clock.sleep(_AGAIN_S)

    async def _whim(self, whim: "Whim") -> None:
        world, path = self._world, f"/v1/watches/getimg:{whim.job_id}"
        await world.clock.sleep(max(whim.at_s - world.now_s, 0.0))
        while True:
            found = await self._api.ask("GET", path)
            watch_id = found.content["id"] if found.status == 200 else ""
            if whim.forget:
                world.forgotten.add(watch_id)
                self._before_deletion()
                answer = await self._api.ask("DELETE", path)
            else:
                answer = await self._api.ask("POST", f"{path}/poll")
            if answer.status == 409:
                world.forgotten.discard(watch_id)
            if answer.status < 500:
                world.asked.add(whim)
                return
            await world.clock.sleep(_AGAIN_S)

    async def _look_after(self) -> None:
        """Switch on again what was switched off, and send again what was given up, mostly once all is well."""
        world = self._world
        over_s = max(window.end_s for window in world.windows())
        while True:
            await world.clock.sleep(_LOOK_EVERY_S)
            if world.now_s > over_s or self._chance.random() < 0.1:
                await self._enable()
                await self._resend()

    async def _enable(self) -> None:
        found = await self._api.ask("GET", "/v1/destinations")
        for item in found.content["items"] if found.status == 200 else ():
            if item["condition"] == "disabled":
                await self._api.ask("POST", f"/v1/destinations/{item['name']}/enable")

    async def _resend(self) -> None:
        found = await self._api.ask("GET", "/v1/deliveries?state=exhausted&limit=500")
        given_up = [item["id"] for item in found.content["items"]] if found.status == 200 else []
        self._world.resent += len(given_up)
        for delivery_id in given_up:
            self._world.receivers.excuse_resend(delivery_id)
        if len(given_up) > 1 and self._chance.random() < 0.5:
            await self._api.ask("POST", "/v1/deliveries/resend", {"state": ["exhausted"], "rate": "10/s"})
            return
        for delivery_id in given_up:
            await self._api.ask("POST", f"/v1/deliveries/{delivery_id}/resend")
