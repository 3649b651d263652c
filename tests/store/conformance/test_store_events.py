"""Events come in the order in which they were written."""

from typing import Any

from support.stored import NOW, ended

from relay.core.event import provider_event
from relay.core.ports import EventFilter, Store, WatchFilter
from relay.core.standing import Footing, Standing


class TestEvents:
    async def test_events_come_oldest_first_from_behind_a_place(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number, owner="shop" if number == 2 else None)

        everything = await store.events(EventFilter(), after=0, limit=9)

        assert [event.data["job_id"] for _, event in everything] == ["req-1", "req-2", "req-3"]
        assert await store.events(EventFilter(), after=everything[0][0], limit=1) == everything[1:2]
        assert await store.events(EventFilter(owner="shop"), after=0, limit=9) == everything[1:2]
        assert await store.last_event() == everything[-1][0]

    async def test_events_are_filtered_by_what_they_are_about(self, store: Store) -> None:
        assert await store.last_event() == 0
        watch = await ended(store, 1)
        standing = Standing(Footing.UNAUTHORIZED, NOW)
        told = provider_event("fal", "provider.unauthorized", standing, NOW)
        await store.record_standing("fal", standing, told, (), NOW)

        async def found(**wanted: Any) -> list[str]:
            return [event.type for _, event in await store.events(EventFilter(**wanted), after=0, limit=9)]

        assert await found() == ["job.completed", "provider.unauthorized"]
        assert await found(types=frozenset({"provider.unauthorized"})) == ["provider.unauthorized"]
        assert await found(provider="fal") == ["provider.unauthorized"]
        assert await found(provider=watch.provider) == ["job.completed"]
        assert await found(watch_id=watch.id) == ["job.completed"]
        assert await found(owner="shop") == []

    async def test_what_is_listed_comes_without_the_bodies_of_the_provider(self, store: Store) -> None:
        """Each may be 256 KiB, a page holds 500, and nobody is shown them."""
        watch = await ended(store, 1)

        (view,) = await store.watches(WatchFilter(), before=None, limit=9)
        ((_, listed),) = await store.events(EventFilter(), after=0, limit=9)

        assert view.event == listed
        assert (listed.watch_id, listed.type, listed.raw) == (watch.id, "job.completed", None)
