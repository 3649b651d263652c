"""The daemon on virtual time, ended where a seed says, and the same with relay broken on purpose.

`make simulate` plays many more seeds; with SIMULATE=--mutants it tries each mistake against many.
"""

from pathlib import Path

import pytest

from bench.simulation.lives import play
from bench.simulation.mutants import caught, mutants

_SEEDS = range(6)
_ENOUGH = 24
"""Seeds within which each mutant has to be caught."""
_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", _SEEDS)
def test_nothing_is_lost_doubled_or_told_wrongly_wherever_the_plug_is_pulled(seed: int) -> None:
    history = play(seed)

    assert history.violations == ()
    assert history.deliveries > 0
    assert history.messages > 0


def test_a_seed_repeats_itself_to_the_last_point() -> None:
    assert play(3) == play(3)
    assert play(3).pulled != ()


@pytest.mark.parametrize("mistake", mutants())
def test_a_mistake_made_on_purpose_is_caught(mistake: str) -> None:
    assert caught(mistake, _ENOUGH) is not None
