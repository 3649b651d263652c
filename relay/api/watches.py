"""/v1/watches."""

import math
from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import web
from pydantic import ValidationError

from relay.api.admission import Admission
from relay.api.answers import BatchAccepted, BatchRefused, BatchShown, WatchPage, WatchShown
from relay.api.auth import Caller, caller_of
from relay.api.context import CONTEXT, Context, identify
from relay.api.pace import PACE
from relay.api.pages import read_page
from relay.api.problems import ApiProblem, Problem
from relay.api.repetition import unless_known
from relay.api.requests import (
    MAX_BATCH_BODY,
    MAX_BODY,
    BatchRequest,
    WatchesQuery,
    WatchQuery,
    WatchRequest,
    invalid,
    past_moment,
    read_json,
    read_query,
)
from relay.api.views import explanation_json, watch_json
from relay.core.errors import NotFound
from relay.core.explanation import Surroundings, eta, explain, explain_orphan
from relay.core.ports import Added, DeliveryFilter, WatchFilter, WatchView
from relay.core.standing import Standing
from relay.core.watch import NewWatch, open_to

MAX_WAIT_S = 60.0
_RECHECK_S = 5.0
"""A waiting request re-reads the store this often: another process may have ended the watch."""
_DELIVERIES_EXPLAINED = 20


async def add(request: web.Request) -> web.Response:
    """POST /v1/watches."""
    context, caller = request.app[CONTEXT], caller_of(request)
    wanted = await read_json(request, WatchRequest, MAX_BODY)
    await _look_up(context, [wanted])
    new = Admission(context, caller, 1).watch(wanted)
    while True:
        (added,) = await _store(context, [new])
        _check_owner(added, new)
        try:
            view = WatchView(added.watch, new.targets) if added.created else await context.store.watch(added.watch.id)
        except NotFound:
            continue  # somebody removed the earlier one meanwhile: this one is to be watched all the same
        break
    return web.json_response(
        shown(context, caller, view),
        status=201 if added.created else 200,
        headers={"Location": f"/v1/watches/{added.watch.id}"},
    )


async def add_batch(request: web.Request) -> web.Response:
    """POST /v1/watches/batch: each item is accepted or refused on its own."""
    context, caller = request.app[CONTEXT], caller_of(request)
    batch = await read_json(request, BatchRequest, MAX_BATCH_BODY)
    read = [_read(item) for item in batch.watches]
    await _look_up(context, [wanted for wanted in read if isinstance(wanted, WatchRequest)])
    admission = Admission(context, caller, len(read))
    admitted = [_admitted(admission, wanted) if isinstance(wanted, WatchRequest) else wanted for wanted in read]
    accepted = [new for new in admitted if isinstance(new, NewWatch)]
    added = iter(await _store(context, accepted) if accepted else ())
    answer: BatchShown = {
        "items": [_batch_item(next(added), new) if isinstance(new, NewWatch) else new for new in admitted]
    }
    return web.json_response(answer)


async def _look_up(context: Context, requests: Iterable[WatchRequest]) -> None:
    await context.look_up({url for wanted in requests for _, url in wanted.callbacks()})


def _read(item: dict[str, object]) -> WatchRequest | BatchRefused:
    try:
        return WatchRequest.model_validate(item)
    except ValidationError as error:
        return _refused(invalid(error))


def _admitted(admission: Admission, wanted: WatchRequest) -> NewWatch | BatchRefused:
    try:
        return admission.watch(wanted)
    except ApiProblem as problem:
        return _refused(problem)


def _refused(problem: ApiProblem) -> BatchRefused:
    return {"status": problem.problem.status, "problem": problem.document()}


def _batch_item(added: Added, new: NewWatch) -> BatchAccepted | BatchRefused:
    try:
        _check_owner(added, new)
    except ApiProblem as problem:
        return _refused(problem)
    return {"status": 201 if added.created else 200, "id": added.watch.id}


async def _store(context: Context, new: Sequence[NewWatch]) -> list[Added]:
    added = await context.store.add_watches(new, context.clock.now())
    due: dict[str, float] = {}
    for watch in new:
        due[watch.provider] = min(watch.next_poll_at, due.get(watch.provider, math.inf))
    for provider, next_poll_at in due.items():
        if provider in context.providers:
            context.providers[provider].planned(next_poll_at)
    if any(item.watch.status.terminal for item in added):
        context.wake_dispatcher()
    context.metrics.watches_added.inc(sum(item.created for item in added))
    return added


async def list_watches(request: web.Request) -> web.Response:
    """GET /v1/watches, newest first."""
    context, caller = request.app[CONTEXT], caller_of(request)
    query = read_query(request, WatchesQuery)
    wanted = WatchFilter(
        statuses=frozenset(query.status),
        provider=query.provider,
        since=past_moment("since", query.since, context.clock.now()),
        metadata=query.metadata,
        owner=caller.owner,
        id_prefix=query.id_prefix,
    )

    async def read(last: WatchView | None, number: int) -> list[WatchView]:
        return await context.store.watches(wanted, before=last.watch.id if last else query.cursor, limit=number)

    page = await read_page(query.limit, read, partial(shown, context, caller))
    answer: WatchPage = {"items": page.items, "next_cursor": page.last.watch.id if page.last and page.more else None}
    return web.json_response(answer)


async def show(request: web.Request) -> web.Response:
    """GET /v1/watches/{id}, with ?wait= held until the watch has ended."""
    context, caller = request.app[CONTEXT], caller_of(request)
    wait_s = min(read_query(request, WatchQuery).wait, MAX_WAIT_S)
    view = await visible(context, caller, request.match_info["id"])
    if wait_s > 0 and not view.watch.status.terminal:
        with request.app[PACE].holding(caller.name):
            view = await _wait(request, view.watch.id, wait_s)
        await identify(request)  # the token may have been revoked meanwhile
    return unless_known(request, shown(context, caller, view))


async def _wait(request: web.Request, watch_id: str, wait_s: float) -> WatchView:
    """Return a watch when it has ended, the time is over, the daemon stops, or nobody is there to hear of it."""
    context = request.app[CONTEXT]
    until = context.clock.monotonic() + wait_s
    with context.ends.waiting(watch_id) as ended:
        while True:
            view = await context.store.watch(watch_id)
            left = until - context.clock.monotonic()
            if view.watch.status.terminal or left <= 0 or context.ends.closed or request.transport is None:
                return view
            await context.clock.wait(ended, min(left, _RECHECK_S))


async def remove(request: web.Request) -> web.Response:
    """DELETE /v1/watches/{id}: stop watching, and forget."""
    context, caller = request.app[CONTEXT], caller_of(request)
    view = await visible(context, caller, request.match_info["id"])
    await context.store.remove_watch(view.watch.id)
    return web.Response(status=204)


async def poll(request: web.Request) -> web.Response:
    """POST /v1/watches/{id}/poll: look now rather than later."""
    context, caller = request.app[CONTEXT], caller_of(request)
    view = await visible(context, caller, request.match_info["id"])
    followed = context.providers.get(view.watch.provider)
    min_interval_s = 0.0 if followed is None else followed.following.bounds.min_interval_s
    await context.store.poll_now(view.watch.id, context.clock.now(), min_interval_s=min_interval_s)
    if followed is not None:
        followed.wake()
    return web.json_response(shown(context, caller, await context.store.watch(view.watch.id)), status=202)


async def explanation(request: web.Request) -> web.Response:
    """GET /v1/watches/{id}/explanation: why it stands where it stands."""
    context, caller = request.app[CONTEXT], caller_of(request)
    view = await visible(context, caller, request.match_info["id"])
    watch, followed, now = view.watch, context.providers.get(view.watch.provider), context.clock.now()
    if followed is None:
        return web.json_response(explanation_json(view, explain_orphan(watch)))
    found = await context.store.deliveries(DeliveryFilter(watch_id=watch.id), before=None, limit=_DELIVERIES_EXPLAINED)
    around = Surroundings(
        bounds=followed.following.bounds,
        expectations=followed.expectations,
        standing=(await context.store.standings()).get(watch.provider, Standing()),
        routes=context.routes,
        targets=view.targets,
        deliveries=[item.delivery for item in found],
        rate=followed.rate,
    )
    return web.json_response(explanation_json(view, explain(watch, around, view.event, now)))


def shown(context: Context, caller: Caller, view: WatchView) -> WatchShown:
    """Return a watch as the API shows it to a caller now."""
    followed = context.providers.get(view.watch.provider)
    expected = None if followed is None else eta(view.watch, followed.expectations)
    told = watch_json(view, expected)
    return {**told, "owner": view.watch.owner} if caller.owner is None else told


async def visible(context: Context, caller: Caller, reference: str) -> WatchView:
    """Return a watch that the caller may see; raises NotFound for any other."""
    view = await context.store.watch(reference)
    if not open_to(caller.owner, view.watch.owner):
        raise NotFound(f'no watch "{reference}"')
    return view


def _check_owner(added: Added, new: NewWatch) -> None:
    if not open_to(new.owner, added.watch.owner):
        raise ApiProblem(Problem.CONFLICT, "the job is watched under another token already")
