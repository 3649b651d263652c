"""Pages of a list: as many items as are asked for, as far as one answer carries them.

An item may hold hundreds of kilobytes of what clients and providers wrote, and
a page 500 items: read and answered as one, they would take a gigabyte.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

PAGE_BYTES = 4 * 1024 * 1024
"""Of JSON; an item that alone is larger is a page of its own."""
STEP = 50
"""How many items are read at once."""

RowT = TypeVar("RowT")
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT, ItemT]):
    """The items of a page, the row that the last of them shows, and whether others follow."""

    items: list[ItemT]
    last: RowT | None
    more: bool


async def read_page(
    limit: int, read: Callable[[RowT | None, int], Awaitable[Sequence[RowT]]], show: Callable[[RowT], ItemT]
) -> Page[RowT, ItemT]:
    """Return the first page of a list, with at most `limit` items.

    `read` returns so many rows behind a given one, or from where the list is to begin.
    """
    items: list[ItemT] = []
    last, size = None, 0
    while True:
        step = min(STEP, limit - len(items))
        found = await read(last, step + 1)
        for row in found[:step]:
            item = show(row)
            size += len(json.dumps(item))
            if items and size > PAGE_BYTES:
                return Page(items, last, more=True)
            items.append(item)
            last = row
        if len(found) <= step or len(items) == limit:
            return Page(items, last, more=len(found) > step)
