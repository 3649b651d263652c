"""One operation of the API."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from relay.api.problems import Problem
from relay.api.requests import NoQuery, Query
from relay.core.access import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One method of one path.

    `answers` gives the shape of each success, None where it has no body, or its
    media type where that is not JSON; `problems` are those beside the ones that
    any request may meet, `headers` those of the answers.  No `scope` means that
    no token is needed.  `takes` are headers of the request that mean something,
    `streams` is the media type that a success has as well, on request.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope | None
    answers: Mapping[int, type | str | None]
    query: type[Query] = NoQuery
    body: type[BaseModel] | None = None
    problems: tuple[Problem, ...] = ()
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    streams: str | None = None
