"""Who is told of an event."""

from dataclasses import replace
from typing import Any

import pytest

from relay.core.observation import Job, Observation, Status
from relay.core.routing import Route, operator_targets, overdue_targets, routed_targets, took_s
from relay.core.watch import Target, Watch

OPS, SHOP, PAGER = (Target(name, name, name=name) for name in ("ops", "shop", "pager"))
NOW = 1600.0
WATCH = Watch(
    "wat_1",
    "getimg",
    Job("a"),
    Status.RUNNING,
    created_at=1000.0,
    deadline=9000.0,
    next_poll_at=0.0,
    metadata={"team": "video", "order": "42"},
    model="veo-3",
)
FAILED = Observation(Status.FAILED)


@pytest.mark.parametrize(
    ("statuses", "providers", "told"),
    [
        (set(), set(), True),
        ({Status.FAILED}, set(), True),
        ({Status.FAILED, Status.TIMED_OUT}, {"getimg", "mine"}, True),
        ({Status.COMPLETED}, set(), False),
        (set(), {"mine"}, False),
        ({Status.FAILED}, {"mine"}, False),
        ({Status.COMPLETED}, {"getimg"}, False),
    ],
)
def test_a_route_tells_where_both_its_conditions_hold(statuses: set[Status], providers: set[str], told: bool) -> None:
    route = Route((OPS,), frozenset(statuses), frozenset(providers))

    assert routed_targets(WATCH, FAILED, [route], NOW) == ((OPS,) if told else ())


def test_everyone_is_told_once_in_the_order_of_the_routes() -> None:
    routes = [Route((SHOP, OPS)), Route((PAGER,), frozenset({Status.COMPLETED})), Route((OPS, PAGER))]

    assert routed_targets(WATCH, FAILED, routes, NOW) == (SHOP, OPS, PAGER)
    assert routed_targets(WATCH, FAILED, [], NOW) == ()


def test_operators_are_told_of_their_providers_trouble_whatever_the_statuses() -> None:
    routes = [
        Route((SHOP, OPS), frozenset({Status.FAILED}), frozenset({"getimg"}), operators=(OPS,)),
        Route((PAGER,), operators=(PAGER, OPS)),
        Route((SHOP,), providers=frozenset({"mine"}), operators=(SHOP,)),
    ]

    assert operator_targets("provider.unreachable", routes, "getimg") == (OPS, PAGER)
    assert operator_targets("provider.unreachable", routes, "mine") == (PAGER, OPS, SHOP)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"events": ("job.failed",)}, True),
        ({"events": ("provider.*", "job.*")}, True),
        ({"events": ("job.completed", "provider.*")}, False),
        ({"models": ("veo-*",)}, True),
        ({"models": ("seedance", "veo-?")}, True),
        ({"models": ("veo",)}, False),
        ({"models": ("VEO-*",)}, False),
        ({"metadata": {"team": "video"}}, True),
        ({"metadata": {"team": "video", "order": "42"}}, True),
        ({"metadata": {"team": "video", "order": "4*"}}, False),
        ({"metadata": {"absent": ""}}, False),
        ({"longer_than_s": 599.0}, True),
        ({"longer_than_s": 600.0}, False),
        ({"shorter_than_s": 601.0}, True),
        ({"shorter_than_s": 600.0}, False),
        ({"longer_than_s": 60.0, "shorter_than_s": 3600.0, "models": ("*",), "statuses": {Status.FAILED}}, True),
        ({"longer_than_s": 60.0, "shorter_than_s": 3600.0, "models": ("x",), "statuses": {Status.FAILED}}, False),
    ],
)
def test_every_condition_that_is_given_must_hold(condition: dict[str, Any], told: bool) -> None:
    """The job was watched for 600 s."""
    assert Route((OPS,), **condition).matches(WATCH, FAILED, NOW) is told


def test_the_model_that_the_provider_names_outweighs_the_one_that_was_asked_for() -> None:
    seen = Observation(Status.COMPLETED, model="veo-3-fast")

    assert Route((OPS,), models=("veo-3-fast",)).matches(WATCH, seen, NOW)
    assert not Route((OPS,), models=("veo-3",)).matches(WATCH, seen, NOW)


def test_a_job_whose_model_nobody_knows_matches_no_pattern() -> None:
    assert not Route((OPS,), models=("*",)).matches(replace(WATCH, model=None), FAILED, NOW)


def test_a_job_took_as_long_as_the_provider_says() -> None:
    """It was queued long before it was watched; times that contradict each other tell nothing."""
    assert took_s(WATCH, Observation(Status.COMPLETED, created_at=400.0, completed_at=1500.0), NOW) == 1100.0
    assert took_s(WATCH, Observation(Status.COMPLETED, created_at=1500.0, completed_at=400.0), NOW) == 600.0
    assert took_s(WATCH, Observation(Status.COMPLETED, completed_at=1500.0), NOW) == 600.0


def test_a_route_that_names_its_events_sends_those_and_to_everyone() -> None:
    """A callback hears of trouble only where it asks for it."""
    routes = [
        Route((SHOP,), events=("provider.*",), operators=()),
        Route((OPS, PAGER), events=("job.failed", "provider.unauthorized"), operators=(OPS, PAGER)),
    ]

    assert operator_targets("provider.unauthorized", routes, "getimg") == (SHOP, OPS, PAGER)
    assert operator_targets("provider.recovered", routes, "getimg") == (SHOP,)
    assert routed_targets(WATCH, FAILED, routes, NOW) == (OPS, PAGER)


def test_trouble_of_relays_own_is_no_providers() -> None:
    routes = [Route((SHOP, OPS), operators=(OPS,)), Route((PAGER,), providers=frozenset({"mine"}), operators=(PAGER,))]

    assert operator_targets("delivery.exhausted", routes) == (OPS,)


@pytest.mark.parametrize(
    ("route", "told"),
    [
        (Route((OPS,)), False),
        (Route((OPS,), events=("job.failed",)), False),
        (Route((OPS,), events=("job.overdue",)), True),
        (Route((OPS,), events=("job.*",)), True),
        (Route((OPS,), events=("job.overdue",), providers=frozenset({"elsewhere"})), False),
        (Route((OPS,), events=("job.overdue",), statuses=frozenset({Status.FAILED})), False),
        (Route((OPS,), events=("job.overdue",), metadata={"team": "nobody"}), False),
    ],
)
def test_a_job_that_runs_unusually_long_is_told_to_routes_that_name_it(route: Route, told: bool) -> None:
    assert overdue_targets(WATCH, [route, route], NOW) == ((OPS,) if told else ())


def test_the_end_of_a_job_is_not_told_to_a_route_for_overdue_ones() -> None:
    assert routed_targets(WATCH, FAILED, [Route((OPS,), events=("job.overdue",))], NOW) == ()
