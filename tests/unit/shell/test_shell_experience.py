"""What the jobs of one provider have taught so far."""

import pytest

from relay.core.hazard import prior
from relay.core.learning import Evidence, Kind, Phase, Trace, believed, ended, survived
from relay.experience import MODELS, Experience

WHOLE, SEED = Kind("plain", Phase.JOB), Kind("plain", Phase.JOB, "seed-1")
PRIOR = prior(60.0)


def lasted(seconds: float) -> Trace:
    return ended(0.0, 0.0, seconds, PRIOR, exact=True)


def test_before_any_job_what_the_description_says_is_believed_of_all() -> None:
    experience = Experience("plain", 60.0)

    assert experience.hazard(Phase.JOB, None) == experience.hazard(Phase.RUN, "seed-1") == PRIOR
    assert experience.jobs(Phase.JOB, None) == 0


def test_a_model_leans_on_the_provider_and_the_provider_on_its_description() -> None:
    experience = Experience("plain", 60.0)
    experience.learn({WHOLE: lasted(50.0), SEED: lasted(50.0)})

    whole = believed(Evidence().plus([lasted(50.0)]), PRIOR)
    assert experience.hazard(Phase.JOB, None) == whole
    assert experience.hazard(Phase.JOB, "seed-2") == whole
    assert experience.hazard(Phase.JOB, "seed-1") == believed(Evidence().plus([lasted(50.0)]), whole)


def test_with_few_jobs_each_changes_the_belief_and_with_many_only_every_fiftieth_part() -> None:
    experience = Experience("plain", 60.0)
    experience.learn({WHOLE: lasted(50.0)})
    first = experience.hazard(Phase.JOB, None)
    experience.learn({WHOLE: lasted(50.0)})
    assert experience.hazard(Phase.JOB, None) != first

    for _ in range(200):
        experience.learn({WHOLE: lasted(50.0)})
    settled = experience.hazard(Phase.JOB, None)
    experience.learn({WHOLE: lasted(50.0)})

    assert experience.hazard(Phase.JOB, None) is settled


def test_jobs_that_run_on_change_the_belief_too() -> None:
    experience = Experience("plain", 60.0)
    for start in range(0, 300, 10):
        experience.learn({WHOLE: survived(start, start + 10.0)})

    assert experience.hazard(Phase.JOB, None).quantile(0.5) > 1.2 * PRIOR.quantile(0.5)


def test_what_is_taken_is_everything_since_the_last_time() -> None:
    experience = Experience("plain", 60.0)
    experience.learn({WHOLE: survived(0.0, 5.0)})
    experience.learn({WHOLE: survived(5.0, 9.0)})
    experience.learn({WHOLE: lasted(9.5)}, saved=True)

    taken = experience.take()

    assert [sum(trace.exposure) for trace in taken[WHOLE]] == pytest.approx([9.0])
    assert experience.take() == {}
    experience.give_back(taken)
    assert experience.take() == taken


def test_what_was_learned_before_a_restart_is_remembered() -> None:
    known = Evidence().plus([lasted(seconds) for seconds in (40.0, 50.0, 60.0)])
    experience = Experience("plain", 60.0)

    experience.remember({WHOLE: known, SEED: known})

    assert experience.hazard(Phase.JOB, None) == believed(known, PRIOR)
    assert experience.jobs(Phase.JOB, "seed-1") == pytest.approx(known.jobs)
    assert experience.jobs(Phase.JOB, "seed-9") == 0
    assert experience.take() == {}


def test_another_word_on_the_typical_duration_is_heard() -> None:
    experience = Experience("plain", 60.0)
    experience.learn({WHOLE: lasted(50.0)})
    experience.hazard(Phase.JOB, None)

    experience.expect(600.0)

    assert experience.hazard(Phase.JOB, None) == believed(Evidence().plus([lasted(50.0)]), prior(600.0))


def test_a_new_model_for_every_job_takes_a_bounded_place_and_spares_those_in_use() -> None:
    experience = Experience("plain", 60.0)
    for number in range(5 * MODELS):
        experience.learn({WHOLE: lasted(50.0), Kind("plain", Phase.JOB, f"m{number}"): lasted(50.0)})
        experience.learn({SEED: lasted(50.0)})
        experience.hazard(Phase.JOB, "seed-1")

    taken = experience.take()

    assert len(taken) == MODELS + 1
    assert {WHOLE, SEED} < taken.keys()
