"""What becomes of a watch when a poll comes back."""

import math
from dataclasses import replace

import pytest
from support.expecting import Fixed, constant

from relay.core.hazard import BINS, EDGES, Hazard
from relay.core.observation import Cost, Job, JobError, Observation, Output, Status, Trouble, TroubleKind
from relay.core.schedule import Bounds
from relay.core.watch import Continue, End, Following, Watch, decide

BORN = 1_000_000.0
WATCH = Watch(
    id="wat_1",
    provider="plain",
    job=Job("a"),
    status=Status.QUEUED,
    created_at=BORN,
    deadline=BORN + 3600,
    next_poll_at=BORN,
    model="seed-1",
    provider_status="IN_QUEUE",
    progress=0.1,
)
FOLLOWING = Following(60.0, Bounds(2.0, 1.0, 30.0), not_found_grace_s=120.0)
EXPECTED = Fixed(constant(60.0))
EVERY_S = 0.975 * 60 * math.log(1 + math.sqrt(16) / 60 + 2 / 3 * 8 / 3600)
"""Exponential jobs of a minute and a lag of 2 s, so a price c = 8/60: the law's interval with its second term.

The samples below are 0: the early end of the spread, a fortieth sooner.
"""

BLIND = (
    TroubleKind.RATE_LIMITED,
    TroubleKind.REFUSED,
    TroubleKind.UNAVAILABLE,
    TroubleKind.OVERSIZED,
    TroubleKind.MALFORMED,
)
KEYLESS = (TroubleKind.UNAUTHORIZED, TroubleKind.FORBIDDEN)


def go_on(watch: Watch, answer: Observation | Trouble, *, now: float, following: Following = FOLLOWING) -> Continue:
    transition = decide(watch, answer, following, EXPECTED, now=now, sample=0.0)
    assert isinstance(transition, Continue)
    return transition


def end(watch: Watch, answer: Observation | Trouble, *, now: float, following: Following = FOLLOWING) -> Observation:
    transition = decide(watch, answer, following, EXPECTED, now=now, sample=0.0)
    assert isinstance(transition, End)
    assert transition.watch_id == watch.id
    return transition.observation


def after(watch: Watch, step: Continue) -> Watch:
    """The watch as the store would hold it after `step`."""
    return replace(
        watch,
        status=step.status,
        next_poll_at=step.next_poll_at,
        provider_status=step.provider_status,
        model=step.model,
        progress=step.progress,
        demand=step.demand,
        began_at=step.began_at,
        seen_at=step.seen_at,
        running_since=step.running_since,
        estimated_end_at=step.estimated_end_at,
        failed_polls=step.failed_polls,
        missing_polls=step.missing_polls,
        missing_since=step.missing_since,
        last_error=step.last_error,
    )


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
@pytest.mark.parametrize("now", [BORN + 5, BORN + 1e6])
def test_an_outcome_ends_the_watch_as_observed_even_after_the_deadline(status: Status, now: float) -> None:
    seen = Observation(status, "DONE", outputs=(Output("https://x.example/1"),), raw="{}")

    assert end(WATCH, seen, now=now) is seen


def test_a_poll_that_worked_updates_the_watch_and_clears_every_trouble() -> None:
    """A rate of one a minute asks for sqrt(1/120) of the budget."""
    troubled = replace(WATCH, failed_polls=4, missing_polls=2, missing_since=BORN, last_error="unavailable: HTTP 502")
    seen = Observation(Status.RUNNING, "IN_PROGRESS", model="seed-2", progress=0.04)

    assert go_on(troubled, seen, now=BORN + 30) == Continue(
        watch_id="wat_1",
        status=Status.RUNNING,
        next_poll_at=pytest.approx(BORN + 30 + EVERY_S, abs=1e-6),
        demand=pytest.approx(math.sqrt(1 / 120)),
        provider_status="IN_PROGRESS",
        model="seed-2",
        progress=0.04,
        began_at=BORN,
        seen_at=BORN + 30,
        running_since=None,
        estimated_end_at=None,
        failed_polls=0,
        missing_polls=0,
        missing_since=None,
        last_error=None,
    )


def test_a_watch_asks_of_its_budget_what_it_wants_on_average_until_its_next_poll() -> None:
    """Half of the 30 s at one end in 50 s, sqrt(1/100), and half at one in 5000 s, sqrt(1/10000)."""
    change = EDGES[BINS // 2]
    hazard = Hazard.of([1 / 50] * (BINS // 2) + [1 / 5000] * (BINS - BINS // 2))
    following = Following(60.0, Bounds(2.0, 30.0, 30.0), not_found_grace_s=120.0)
    watch, now = replace(WATCH, deadline=BORN + 2 * change + 3600), BORN + change - 15

    step = decide(watch, Observation(Status.RUNNING), following, Fixed(hazard), now=now, sample=0.0)

    assert isinstance(step, Continue)
    assert step.next_poll_at == now + 30
    assert step.demand == pytest.approx((0.1 + 0.01) / 2)


def test_what_a_poll_does_not_tell_stays_known_but_the_literal_is_always_the_last() -> None:
    step = go_on(WATCH, Observation(Status.QUEUED), now=BORN + 30)

    assert (step.model, step.progress, step.provider_status, step.running_since) == ("seed-1", 0.1, None, None)
    assert go_on(WATCH, Observation(Status.QUEUED, progress=0.0), now=BORN + 30).progress == 0.0


def test_a_job_seen_to_wait_left_the_queue_halfway_to_the_look_that_found_it_running() -> None:
    running, queued = Observation(Status.RUNNING), Observation(Status.QUEUED)

    waiting = after(WATCH, go_on(WATCH, queued, now=BORN + 10))
    assert waiting.running_since is None
    started = after(waiting, go_on(waiting, running, now=BORN + 14))
    assert started.running_since == BORN + 12
    assert go_on(started, running, now=BORN + 20).running_since == BORN + 12
    assert go_on(started, queued, now=BORN + 20).running_since == BORN + 12
    assert go_on(started, Trouble(TroubleKind.MISSING, "404"), now=BORN + 20).running_since == BORN + 12


def test_a_job_in_the_queue_is_looked_for_no_sooner_than_it_could_have_run_and_one_that_runs_is() -> None:
    """Of jobs that run 400 s on average, one in twenty has ended after 400 * -ln 0.95 = 20.5 s."""
    known = Fixed(constant(60.0), constant(400.0), seen=5)

    def next_look(status: Status) -> float:
        step = decide(WATCH, Observation(status), FOLLOWING, known, now=BORN + 30, sample=0.0)
        assert isinstance(step, Continue)
        return step.next_poll_at - (BORN + 30)

    assert next_look(Status.QUEUED) == pytest.approx(-400 * math.log(0.95))
    assert next_look(Status.RUNNING) == pytest.approx(EVERY_S)


def test_a_watch_whose_job_was_not_seen_yet_is_not_known_to_wait() -> None:
    """It begins as queued, for want of a better word."""
    assert not WATCH.life.waiting
    assert replace(WATCH, seen_at=BORN + 5).life.waiting
    assert not replace(WATCH, seen_at=BORN + 5, status=Status.RUNNING).life.waiting


def test_a_job_never_seen_to_wait_has_no_time_of_leaving_the_queue() -> None:
    first = go_on(WATCH, Observation(Status.RUNNING), now=BORN + 10)

    assert first.running_since is None
    assert go_on(after(WATCH, first), Observation(Status.RUNNING), now=BORN + 20).running_since is None


def test_the_first_look_tells_when_the_job_was_made_and_later_ones_do_not_change_it() -> None:
    first = go_on(WATCH, Observation(Status.RUNNING, created_at=BORN - 40), now=BORN + 10)

    assert first.began_at == BORN - 40
    later = go_on(after(WATCH, first), Observation(Status.RUNNING, created_at=BORN - 900), now=BORN + 20)
    assert later.began_at == BORN - 40


def test_the_progress_of_a_running_job_is_an_estimate_of_its_end() -> None:
    """Two fifths done in 30 s leave 45; in the queue, progress tells nothing."""
    seen = Observation(Status.RUNNING, progress=0.4)

    assert go_on(WATCH, seen, now=BORN + 30).estimated_end_at == pytest.approx(BORN + 75, abs=1e-6)
    assert go_on(WATCH, replace(seen, status=Status.QUEUED), now=BORN + 30).estimated_end_at is None


def test_progress_counts_from_when_the_job_left_the_queue_where_that_was_seen() -> None:
    """A quarter done in the 30 s since it left leaves 90 s, though it was made 50 s ago."""
    left = replace(WATCH, status=Status.RUNNING, seen_at=BORN + 40, running_since=BORN + 20)

    assert go_on(left, Observation(Status.RUNNING, progress=0.25), now=BORN + 50).estimated_end_at == BORN + 140


def test_a_clock_that_went_back_makes_no_estimate_of_the_past() -> None:
    assert go_on(WATCH, Observation(Status.RUNNING, progress=0.5), now=BORN - 60).estimated_end_at == BORN - 60


def test_trouble_leaves_the_time_of_the_last_sight_alone() -> None:
    seen = after(WATCH, go_on(WATCH, Observation(Status.RUNNING), now=BORN + 10))

    assert go_on(seen, Trouble(TroubleKind.UNAVAILABLE, "HTTP 502"), now=BORN + 20).seen_at == BORN + 10


def test_the_providers_wish_for_the_next_poll_is_heard() -> None:
    assert go_on(WATCH, Observation(Status.QUEUED, poll_after_s=9.0), now=BORN).next_poll_at == BORN + 9


def test_a_true_reading_at_the_deadline_times_the_watch_out_with_what_was_read() -> None:
    seen = Observation(
        Status.RUNNING,
        "IN_PROGRESS",
        model="seed-2",
        cost=Cost(amount=1.0),
        created_at=BORN - 5,
        progress=0.9,
        raw='{"s":1}',
    )

    assert isinstance(decide(WATCH, seen, FOLLOWING, EXPECTED, now=WATCH.deadline - 0.001, sample=0.0), Continue)
    assert end(WATCH, seen, now=WATCH.deadline) == Observation(
        Status.TIMED_OUT,
        "IN_PROGRESS",
        model="seed-2",
        error=JobError("deadline_passed", 'the deadline passed while the job was "IN_PROGRESS"'),
        cost=Cost(amount=1.0),
        created_at=BORN - 5,
        progress=0.9,
        raw='{"s":1}',
    )


def test_a_reading_without_a_literal_is_told_in_our_own_word() -> None:
    told = end(WATCH, Observation(Status.RUNNING), now=WATCH.deadline)

    assert told.error == JobError("deadline_passed", 'the deadline passed while the job was "running"')
    assert told.model == "seed-1"


@pytest.mark.parametrize("kind", [*BLIND, *KEYLESS])
def test_trouble_is_counted_noted_and_changes_nothing_that_is_known(kind: TroubleKind) -> None:
    watch = replace(
        WATCH,
        failed_polls=2,
        missing_polls=1,
        missing_since=BORN + 9,
        demand=0.25,
        began_at=BORN - 3,
        seen_at=BORN + 2,
        running_since=BORN + 1,
        estimated_end_at=BORN + 99,
    )

    assert go_on(watch, Trouble(kind, "HTTP 5xx"), now=BORN + 30) == Continue(
        watch_id="wat_1",
        status=Status.QUEUED,
        next_poll_at=BORN + 34,
        demand=0.25,
        provider_status="IN_QUEUE",
        model="seed-1",
        progress=0.1,
        began_at=BORN - 3,
        seen_at=BORN + 2,
        running_since=BORN + 1,
        estimated_end_at=BORN + 99,
        failed_polls=3,
        missing_polls=1,
        missing_since=BORN + 9,
        last_error=f"{kind}: HTTP 5xx",
    )


def test_trouble_that_names_a_wait_is_given_it() -> None:
    assert go_on(WATCH, Trouble(TroubleKind.RATE_LIMITED, "429", 40.0), now=BORN).next_poll_at == BORN + 40


@pytest.mark.parametrize(
    ("given_s", "patience_s"), [(1.0, 60.0), (60.0, 60.0), (3600.0, 3600.0), (86400.0, 86400.0), (7e5, 86400.0)]
)
@pytest.mark.parametrize("kind", BLIND)
def test_a_blind_watch_waits_as_long_again_as_it_was_given_between_a_minute_and_a_day(
    kind: TroubleKind, given_s: float, patience_s: float
) -> None:
    watch = replace(WATCH, deadline=BORN + given_s, failed_polls=6)
    trouble = Trouble(kind, "HTTP 502")

    go_on(watch, trouble, now=watch.deadline)
    go_on(watch, trouble, now=watch.deadline + patience_s - 0.01)
    assert end(watch, trouble, now=watch.deadline + patience_s) == Observation(
        Status.TIMED_OUT,
        "IN_QUEUE",
        model="seed-1",
        error=JobError("deadline_passed", "the deadline passed, and the last poll failed: HTTP 502"),
    )


@pytest.mark.parametrize("kind", KEYLESS)
def test_a_refused_credential_has_a_week_to_be_replaced(kind: TroubleKind) -> None:
    week, watch = 7 * 86400.0, replace(WATCH, failed_polls=6)

    go_on(watch, Trouble(kind, "HTTP 401"), now=watch.deadline + week - 0.01)
    assert end(watch, Trouble(kind, "HTTP 401"), now=watch.deadline + week).status is Status.TIMED_OUT


@pytest.mark.parametrize("kind", [*BLIND, *KEYLESS])
def test_who_slept_past_all_patience_asks_in_vain_for_a_minute_before_giving_up(kind: TroubleKind) -> None:
    woken = WATCH.deadline + 30 * 86400.0
    watch, now = WATCH, woken
    for _ in range(6):
        step = go_on(watch, Trouble(kind, "the host name does not resolve"), now=now)
        watch, now = after(watch, step), step.next_poll_at

    assert now >= woken + 60
    assert end(watch, Trouble(kind, "the host name does not resolve"), now=now).status is Status.TIMED_OUT
    assert end(watch, Observation(Status.COMPLETED), now=now).status is Status.COMPLETED


GONE = Trouble(TroubleKind.MISSING, "HTTP 404: no such job")


def test_a_missing_job_is_believed_once_it_was_denied_three_times_and_for_the_grace() -> None:
    watch = WATCH
    for missing, now in ((1, BORN + 500), (2, BORN + 600)):
        step = go_on(watch, GONE, now=now)
        assert (step.missing_polls, step.missing_since) == (missing, BORN + 500)
        assert step.last_error == "missing: HTTP 404: no such job"
        watch = after(watch, step)

    assert end(watch, GONE, now=BORN + 620) == Observation(
        Status.NOT_FOUND, "IN_QUEUE", model="seed-1", error=JobError("not_found", "HTTP 404: no such job")
    )


def test_two_denials_however_far_apart_are_not_believed() -> None:
    assert go_on(replace(WATCH, missing_polls=1, missing_since=BORN), GONE, now=BORN + 3000).missing_polls == 2


def test_no_number_of_denials_within_the_grace_ends_a_watch_however_old_it_is() -> None:
    watch = replace(WATCH, missing_polls=50, missing_since=BORN + 1000)

    assert go_on(watch, GONE, now=BORN + 1119.9).missing_polls == 51
    assert end(watch, GONE, now=BORN + 1120).status is Status.NOT_FOUND


def test_denials_whose_beginning_is_not_known_or_lies_ahead_begin_now() -> None:
    """An earlier relay did not note it, and the wall clock may be set back while a poll is under way."""
    for since in (None, BORN + 9000):
        watch = replace(WATCH, missing_polls=50, missing_since=since)
        assert go_on(watch, GONE, now=BORN + 500).missing_since == BORN + 500


def test_a_job_that_shows_up_again_starts_the_count_anew() -> None:
    watch = replace(WATCH, missing_polls=2, missing_since=BORN)

    seen = after(watch, go_on(watch, Observation(Status.QUEUED), now=BORN + 500))
    step = go_on(seen, GONE, now=BORN + 504)
    assert (step.missing_polls, step.missing_since) == (1, BORN + 504)


def test_trouble_between_denials_neither_adds_to_the_count_nor_resets_it() -> None:
    watch = replace(WATCH, missing_polls=2, missing_since=BORN + 380)

    troubled = after(watch, go_on(watch, Trouble(TroubleKind.UNAVAILABLE, "HTTP 502"), now=BORN + 500))
    assert end(troubled, GONE, now=BORN + 501).status is Status.NOT_FOUND


def test_a_denial_is_an_answer_so_it_ends_a_row_of_failures() -> None:
    assert go_on(replace(WATCH, failed_polls=7), GONE, now=BORN).failed_polls == 0


@pytest.mark.parametrize(("missing", "pause_s"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (40, 10)])
def test_a_denied_job_is_asked_for_again_within_ten_seconds(missing: int, pause_s: float) -> None:
    watch = replace(WATCH, missing_polls=missing)

    assert go_on(watch, GONE, now=BORN).next_poll_at == BORN + pause_s


def test_a_denied_job_is_asked_for_no_sooner_than_the_provider_allows() -> None:
    slow = replace(FOLLOWING, bounds=Bounds(2.0, 25.0, 60.0))
    watch = replace(WATCH, missing_polls=9)

    assert go_on(watch, GONE, now=BORN, following=slow).next_poll_at == BORN + 25
    assert go_on(watch, replace(GONE, retry_after_s=45.0), now=BORN).next_poll_at == BORN + 45


def test_a_denied_job_whose_deadline_has_passed_still_gets_its_confirmations() -> None:
    step = go_on(WATCH, GONE, now=WATCH.deadline + 5)

    assert step.missing_polls == 1
    assert step.next_poll_at == WATCH.deadline + 6


@pytest.mark.parametrize(
    ("age_s", "jobs", "told"),
    [(280.0, 30.0, True), (276.0, 30.0, False), (280.0, 29.0, False), (3000.0, 1000.0, True)],
)
def test_a_job_is_overdue_once_99_in_100_would_have_ended_and_enough_have(
    age_s: float, jobs: float, told: bool
) -> None:
    """Of exponential jobs of a minute, 99 in 100 have ended by 60 ln 100 = 276.3 s."""
    known = Fixed(constant(60.0), seen=jobs)

    step = decide(WATCH, Observation(Status.RUNNING), FOLLOWING, known, now=BORN + age_s, sample=0.0)

    assert isinstance(step, Continue)
    assert step.overdue_after_s == (pytest.approx(60 * math.log(100)) if told else None)


def test_a_job_is_told_overdue_once_and_only_from_a_true_reading() -> None:
    known, late = Fixed(constant(60.0), seen=99.0), BORN + 900
    before = replace(WATCH, overdue_at=BORN + 300)
    trouble = Trouble(TroubleKind.UNAVAILABLE, "HTTP 502")

    for watch, answer in ((before, Observation(Status.RUNNING)), (WATCH, trouble)):
        step = decide(watch, answer, FOLLOWING, known, now=late, sample=0.0)
        assert isinstance(step, Continue)
        assert step.overdue_after_s is None
