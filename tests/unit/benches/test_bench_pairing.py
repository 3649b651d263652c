"""Comparisons in turns, on figures whose ratios are known."""

import pytest

from bench.pairing import Comparison, Round, Spread, Take, rounds


def test_a_comparison_is_told_by_the_ratio_of_each_round_not_by_that_of_the_rates() -> None:
    """A machine three times slower in the second round halves neither side: 50 of 100, 20 of 33.3, 40 of 100."""
    turns = (
        Round(Take(100, 2.0, 1.0), Take(100, 1.0, 0.5)),
        Round(Take(100, 5.0, 1.0), Take(100, 3.0, 0.25)),
        Round(Take(100, 2.5, 1.5), Take(100, 1.0, 0.5)),
    )
    found = Comparison("polls", "bare", turns)
    assert found.ratio == Spread(pytest.approx(0.4), pytest.approx(0.5), pytest.approx(0.6))
    assert found.cpu_ratio == Spread(pytest.approx(2.0), pytest.approx(3.0), pytest.approx(4.0))
    assert found.rate == pytest.approx(40.0)


async def test_both_sides_take_turns_after_a_round_that_does_not_count() -> None:
    seen: list[str] = []

    async def ours() -> Take:
        seen.append("ours")
        return Take(len(seen), 1.0, 1.0)

    async def bare() -> Take:
        seen.append("bare")
        return Take(len(seen), 1.0, 1.0)

    turns = await rounds(2, ours, bare)
    assert seen == ["ours", "bare"] * 3
    assert [(turn.ours.operations, turn.bare.operations) for turn in turns] == [(3, 4), (5, 6)]
