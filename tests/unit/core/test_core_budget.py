"""How many polls a credential may spend."""

import pytest

from relay.core.budget import Budget, Rate

NOW = 1_795_255_200.25
"""A wall clock's instant, where a float resolves no less than a quarter of a microsecond."""


@pytest.mark.parametrize(
    ("text", "limit", "window_s"),
    [("60/m", 60, 60.0), ("5/s", 5, 1.0), ("1000/h", 1000, 3600.0), ("1/d", 1, 86400.0), (" 60 / m ", 60, 60.0)],
)
def test_a_rate_is_a_number_per_unit(text: str, limit: int, window_s: float) -> None:
    assert Rate.parse(text) == Rate(limit, window_s)


@pytest.mark.parametrize(
    "text", ["", "60", "60/", "/m", "0/m", "-1/m", "1.5/s", "60/min", "60/M", "60/m/m", "٦/m", "9" * 400 + "/m"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='write a number per s, m, h or d, as in "60/m"'):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("limit", "burst", "interval_s"),
    [(60, 6, 60 / 54), (100, 10, 60 / 90), (10, 1, 60 / 9), (9, 1, 60 / 8.1), (2, 1, 60 / 1.8), (1, 1, 60 / 0.9)],
)
def test_a_tenth_of_the_limit_may_go_at_once_and_the_rest_is_spread(limit: int, burst: int, interval_s: float) -> None:
    rate = Rate(limit, 60.0)

    assert rate.burst == burst
    assert rate.interval_s == pytest.approx(interval_s)


@pytest.mark.parametrize("limit", [1, 7, 10, 11, 60, 90, 600, 1000])
def test_a_fresh_budget_has_to_earn_its_first_poll(limit: int) -> None:
    """What went before it may have spent everything a moment ago, so that restarts would add a poll each."""
    rate = Rate(limit, 60.0)
    budget = Budget.fresh(rate, NOW)

    assert budget.available(NOW + 0.99 * rate.interval_s) == 0
    assert budget.available(NOW + rate.interval_s) == 1
    assert budget.next_at(NOW) == pytest.approx(NOW + rate.interval_s, abs=1e-6)


def test_an_idle_budget_fills_up_to_the_burst_and_no_further() -> None:
    rate = Rate(60, 60.0)
    budget = Budget.fresh(rate, NOW)

    filled = [budget.available(NOW + steps * rate.interval_s + 0.01) for steps in range(8)]
    assert filled == [0, 1, 2, 3, 4, 5, 6, 6]


def test_spending_costs_an_interval_a_poll() -> None:
    rate = Rate(60, 60.0)
    full = Budget(rate, due_at=0.0)

    spent = full.spend(6, NOW)
    assert spent.available(NOW) == 0
    assert spent.next_at(NOW) == pytest.approx(NOW + 60 / 54, abs=1e-6)
    assert full.spend(4, NOW).available(NOW) == 2
    assert full.next_at(NOW) == NOW
