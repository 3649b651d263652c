"""Who is told of an event."""

import pytest

from relay.core.observation import Job, Status
from relay.core.routing import Route, operator_targets, routed_targets
from relay.core.watch import Target, Watch

OPS, SHOP, PAGER = (Target(name, name, name=name) for name in ("ops", "shop", "pager"))
WATCH = Watch("wat_1", "getimg", Job("a"), Status.RUNNING, created_at=0.0, deadline=1.0, next_poll_at=0.0)


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

    assert routed_targets(WATCH, Status.FAILED, [route]) == ((OPS,) if told else ())


def test_everyone_is_told_once_in_the_order_of_the_routes() -> None:
    routes = [Route((SHOP, OPS)), Route((PAGER,), frozenset({Status.COMPLETED})), Route((OPS, PAGER))]

    assert routed_targets(WATCH, Status.FAILED, routes) == (SHOP, OPS, PAGER)
    assert routed_targets(WATCH, Status.FAILED, []) == ()


def test_operators_are_told_of_their_providers_trouble_whatever_the_statuses() -> None:
    routes = [
        Route((SHOP, OPS), frozenset({Status.FAILED}), frozenset({"getimg"}), operators=(OPS,)),
        Route((PAGER,), operators=(PAGER, OPS)),
        Route((SHOP,), providers=frozenset({"mine"}), operators=(SHOP,)),
    ]

    assert operator_targets("getimg", routes) == (OPS, PAGER)
    assert operator_targets("mine", routes) == (PAGER, OPS, SHOP)
