"""The daemon's loops on virtual time, cut off where a seed says, and the same with relay broken on purpose."""

import pytest

from bench.simulation.lives import play
from bench.simulation.mutants import mutants

_SEEDS = range(12)
_ENOUGH = 24
"""Seeds within which each mutant has to be caught."""


@pytest.mark.parametrize("seed", _SEEDS)
def test_nothing_is_lost_doubled_or_told_wrongly_wherever_the_plug_is_pulled(seed: int) -> None:
    history = play(seed)

    assert history.violations == ()
    assert history.deliveries > 0


def test_a_seed_repeats_itself_to_the_last_point() -> None:
    assert play(5) == play(5)
    assert play(5).pulled != ()


@pytest.mark.parametrize("mistake", mutants())
def test_a_mistake_made_on_purpose_is_caught(mistake: str) -> None:
    with mutants()[mistake]():
        assert any(play(seed).violations for seed in range(_ENOUGH))
