"""What the polls of one job teach about all of its kind."""

from dataclasses import replace

import pytest
from support.expecting import Fixed, constant

from relay.core.learning import Kind, Phase, ended, survived
from relay.core.lessons import added, detection_lag_s, lessons
from relay.core.observation import Job, Observation, Status
from relay.core.watch import Watch

BORN = 1_000_000.0
HAZARD = constant(60.0)
KNOWN = Fixed(HAZARD)
WHOLE, MODEL = Kind("plain", Phase.JOB), Kind("plain", Phase.JOB, "seed-1")
WATCH = Watch("wat_1", "plain", Job("a"), Status.RUNNING, BORN, BORN + 3600, BORN, seen_at=BORN + 20, model="seed-1")
RUNNING, DONE = Observation(Status.RUNNING), Observation(Status.COMPLETED)


def test_a_job_that_still_runs_teaches_the_seconds_since_the_last_look() -> None:
    trace = survived(20.0, 30.0)

    assert lessons(WATCH, RUNNING, KNOWN, BORN + 30) == {WHOLE: trace, MODEL: trace}


def test_the_first_look_teaches_the_seconds_since_the_watch_began() -> None:
    assert lessons(replace(WATCH, seen_at=None, model=None), RUNNING, KNOWN, BORN + 6) == {WHOLE: survived(0.0, 6.0)}


def test_an_end_fell_between_the_last_two_looks() -> None:
    trace = ended(0.0, 20.0, 30.0, HAZARD)

    assert lessons(WATCH, DONE, KNOWN, BORN + 30) == {WHOLE: trace, MODEL: trace}


@pytest.mark.parametrize("outcome", [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED])
def test_every_outcome_of_the_provider_is_an_end(outcome: Status) -> None:
    assert sum(lessons(WATCH, Observation(outcome), KNOWN, BORN + 30)[WHOLE].events) == pytest.approx(1.0)


def test_the_providers_word_on_the_end_is_exact_where_it_can_be_true() -> None:
    """Between the last look, at 20 s, and this one, at 30 s; before or after that, the looks say more."""
    for told, trace in (
        (25.0, ended(0.0, 20.0, 25.0, HAZARD, exact=True)),
        (30.0, ended(0.0, 20.0, 30.0, HAZARD, exact=True)),
        (19.0, ended(0.0, 20.0, 30.0, HAZARD)),
        (31.0, ended(0.0, 20.0, 30.0, HAZARD)),
        (1e9, ended(0.0, 20.0, 30.0, HAZARD)),
    ):
        seen = replace(DONE, completed_at=BORN + told)
        assert lessons(WATCH, seen, KNOWN, BORN + 30)[WHOLE] == trace


def test_a_job_that_had_ended_before_it_was_watched_teaches_nothing() -> None:
    assert lessons(replace(WATCH, seen_at=None), replace(DONE, completed_at=BORN), KNOWN, BORN + 6) == {}


def test_a_job_that_was_seen_to_run_teaches_however_far_the_providers_clock_is_behind() -> None:
    behind = replace(DONE, completed_at=BORN - 600)

    assert lessons(WATCH, behind, KNOWN, BORN + 30)[WHOLE] == ended(0.0, 20.0, 30.0, HAZARD)


def test_a_clock_that_is_behind_and_told_when_the_job_was_made_too_teaches_nothing() -> None:
    behind = replace(DONE, completed_at=BORN - 560)

    assert lessons(replace(WATCH, began_at=BORN - 590), behind, KNOWN, BORN + 30) == {}


@pytest.mark.parametrize(
    ("seen_at", "told", "lag_s"),
    [
        (BORN + 20, BORN + 21, 9.0),
        (BORN + 20, BORN + 20, None),
        (BORN + 20, BORN - 600, None),
        (BORN + 20, None, None),
        (BORN + 20, BORN + 31, 0.0),
        (None, BORN + 21, 9.0),
        (None, BORN - 600, 30.0),
    ],
)
def test_the_lag_is_from_the_end_or_from_the_watch_and_unknown_where_the_clocks_disagree(
    seen_at: float | None, told: float | None, lag_s: float | None
) -> None:
    watch = replace(WATCH, seen_at=seen_at)

    assert detection_lag_s(watch, replace(DONE, completed_at=told), BORN + 30) == lag_s


def test_a_job_made_before_it_was_watched_enters_at_the_age_it_had() -> None:
    """Made 100 s earlier by the provider's word, which the first look told."""
    fresh = replace(WATCH, seen_at=None, model=None)
    known = replace(WATCH, began_at=BORN - 100, model=None)

    assert lessons(fresh, replace(RUNNING, created_at=BORN - 100), KNOWN, BORN + 6) == {WHOLE: survived(100.0, 106.0)}
    assert lessons(known, DONE, KNOWN, BORN + 30) == {WHOLE: ended(100.0, 120.0, 130.0, HAZARD)}


@pytest.mark.parametrize("told", [BORN + 7, BORN - 31 * 86400, -1e300, float("inf")])
def test_a_birth_in_the_future_or_too_long_ago_is_not_believed(told: float) -> None:
    fresh = replace(WATCH, seen_at=None, model=None)

    assert lessons(fresh, replace(RUNNING, created_at=told), KNOWN, BORN + 6) == {WHOLE: survived(0.0, 6.0)}


def test_a_job_that_left_the_queue_also_teaches_how_long_jobs_run() -> None:
    """Last seen waiting at 20 s and running at 30 s, it has run since about 25 s."""
    waiting = replace(WATCH, status=Status.QUEUED, model=None)
    run = Kind("plain", Phase.RUN)

    assert lessons(waiting, RUNNING, KNOWN, BORN + 30) == {WHOLE: survived(20.0, 30.0), run: survived(0.0, 5.0)}
    ran = replace(WATCH, model=None, seen_at=BORN + 30, running_since=BORN + 25)
    assert lessons(ran, DONE, KNOWN, BORN + 40)[run] == ended(0.0, 5.0, 15.0, HAZARD)


def test_a_job_never_seen_to_run_teaches_nothing_about_running() -> None:
    """Seen waiting, then done: how much of the time it ran, nobody knows."""
    waiting = replace(WATCH, status=Status.QUEUED, model=None)

    assert set(lessons(waiting, DONE, KNOWN, BORN + 30)) == {WHOLE}


@pytest.mark.parametrize("model", ["", "x" * 101])
def test_a_name_that_is_no_name_is_not_learned_under(model: str) -> None:
    assert set(lessons(replace(WATCH, model=model), RUNNING, KNOWN, BORN + 30)) == {WHOLE}


def test_lessons_are_counted_under_the_model_that_was_known_before() -> None:
    taught = lessons(replace(WATCH, model=None), replace(RUNNING, model="seed-2"), KNOWN, BORN + 30)

    assert set(taught) == {WHOLE}


def test_one_more_poll_is_added_behind_what_is_unsaved() -> None:
    one, two, three = survived(0.0, 1.0), survived(1.0, 2.0), survived(2.0, 3.0)

    assert added({WHOLE: [one, two]}, {WHOLE: three, MODEL: one}) == {WHOLE: (one, two, three), MODEL: (one,)}
