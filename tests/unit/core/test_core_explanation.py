"""Why a watch stands where it stands."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from support.expecting import Fixed, constant

from relay.core.budget import Rate
from relay.core.delivery import Delivery, DeliveryState
from relay.core.event import outcome_event
from relay.core.explanation import Eta, Explanation, History, Surroundings, eta, explain, explain_orphan
from relay.core.observation import OUTCOMES, Job, JobError, Observation, Status
from relay.core.outlook import Contention, outlook
from relay.core.routing import Route
from relay.core.schedule import Bounds, next_poll
from relay.core.standing import Footing, Standing
from relay.core.watch import Target, Watch

BORN = 1_000_000.0
NOW = BORN + 41
OPS = Target("ops", "ops", name="ops")
HOOK = Target("url:1", "shop.example:443", url="https://shop.example/hooks?token=t0ps3cret")
WATCH = Watch(
    id="wat_1",
    provider="getimg",
    job=Job("a"),
    status=Status.RUNNING,
    created_at=BORN,
    deadline=BORN + 3600,
    next_poll_at=BORN + 44,
    model="seedance-v1-pro",
    last_poll_at=BORN + 40,
    seen_at=BORN + 40,
    polls=3,
)
AROUND = Surroundings(
    bounds=Bounds(2.0, 1.0, 30.0),
    expectations=Fixed(constant(60.0), seen=214.0),
    standing=Standing(),
    routes=(),
    targets=(HOOK,),
    deliveries=(),
    rate=Rate(60, 60.0),
)


def told(watch: Watch = WATCH, around: Surroundings = AROUND, now: float = NOW) -> Explanation:
    return explain(watch, around, None, now)


def reason(watch: Watch = WATCH, around: Surroundings = AROUND, now: float = NOW) -> str | None:
    return told(watch, around, now).next_poll_reason


def test_a_running_watch_is_explained_from_what_is_known_to_what_failed() -> None:
    """Exponential jobs of a minute: half by 60 ln 2 = 42 s, nine in ten by 60 ln 10 = 2 m 18 s, at any age."""
    assert told().sentences == (
        "214 earlier jobs of seedance-v1-pro: half done by 42s, nine in ten by 2m18s.",
        "This one has run 41s; it is likely done in 5.3s to 2m17s.",
        "The next look is in 3s because that finds its end about 2s late on average with the fewest polls.",
        "It ends when the provider tells its outcome, and at the latest as timed_out in 59m19s, at its deadline.",
        "To be told: callback to shop.example:443.",
        "No poll has failed since the last good one.",
    )


def test_the_documentation_shows_what_is_said() -> None:
    page = (Path(__file__).parents[3] / "docs" / "schedule.md").read_text()

    assert "\n".join(("$ relay explain getimg:req-01HXYZVIDEO1234", *told().sentences, "```")) in page


def test_the_figures_behind_the_sentences() -> None:
    """What is expected counts from the last look, at 40 s."""
    explanation, seen_at = told(), BORN + 40

    assert explanation.history == History(
        214, "seedance-v1-pro", pytest.approx(60 * math.log(2)), pytest.approx(60 * math.log(10))
    )
    assert explanation.eta == Eta(
        pytest.approx(seen_at - 60 * math.log(0.9), abs=1e-6),
        pytest.approx(seen_at + 60 * math.log(2), abs=1e-6),
        pytest.approx(seen_at + 60 * math.log(10), abs=1e-6),
        214,
    )
    assert explanation.told == {"callback to shop.example:443": OUTCOMES}


def test_what_is_expected_is_what_the_last_look_left_open() -> None:
    """Last seen at 40 s, one in ten would end within 6.3 s of that, nine in ten within 2 m 18 s."""
    assert told(now=BORN + 50).sentences[1] == "This one has run 50s; it is likely done within 2m08s."
    assert told(now=BORN + 180).sentences[1] == "This one has run 3m00s; nine in ten would have ended by now."


def test_without_a_job_that_ended_the_description_is_what_is_known() -> None:
    around = replace(AROUND, expectations=Fixed(constant(60.0)))

    assert told(around=around).sentences[0] == (
        "No job of getimg has ended yet; by its description half are done by 42s."
    )


def test_a_job_that_waited_is_told_by_both_clocks() -> None:
    waiting = replace(WATCH, status=Status.QUEUED)
    ran = replace(WATCH, running_since=BORN + 30)

    assert told(waiting).sentences[1].startswith("This one waits, for 41s so far; ")
    assert told(ran).sentences[1].startswith("This one has run 11s, 41s with its wait; ")
    assert told(replace(WATCH, seen_at=None)).sentences[1].startswith("This one is 41s old; ")


def test_a_watch_whose_look_is_due_says_so() -> None:
    assert told(replace(WATCH, next_poll_at=BORN + 40)).sentences[2].startswith("The next look is due now because ")


def test_a_look_that_falls_into_a_rest_of_the_credential_is_due_when_that_ends() -> None:
    around = replace(AROUND, standing=Standing(Footing.UNREACHABLE, rest_until=NOW + 171))

    for next_poll_at in (BORN + 40, BORN + 44):
        assert told(replace(WATCH, next_poll_at=next_poll_at), around).sentences[2] == (
            "The next look is in 2m51s because the credential, which is unreachable, rests for another 2m51s."
        )


@pytest.mark.parametrize(
    ("watch", "around", "because"),
    [
        (
            replace(WATCH, next_poll_at=BORN + 41),
            replace(AROUND, bounds=Bounds(0.1, 1.0, 30.0)),
            "polls of this provider are at least 1s apart",
        ),
        (
            replace(WATCH, next_poll_at=BORN + 70),
            replace(AROUND, bounds=Bounds(30.0, 1.0, 30.0)),
            "no job is left alone for longer than 30s",
        ),
        (replace(WATCH, next_poll_at=BORN + 60), AROUND, "the provider asked for that pause"),
        (replace(WATCH, deadline=BORN + 44), AROUND, "that is its deadline"),
        (
            replace(WATCH, failed_polls=3),
            AROUND,
            "the last poll failed, and is repeated after ever longer pauses up to a minute",
        ),
        (
            replace(WATCH, failed_polls=2, next_poll_at=BORN + 42.5),
            AROUND,
            "the last poll failed, and is repeated after ever longer pauses up to a minute",
        ),
        (
            replace(WATCH, failed_polls=2, next_poll_at=BORN + 43),
            AROUND,
            "the last poll failed, and the provider asked for that pause",
        ),
        (
            replace(WATCH, missing_polls=2),
            AROUND,
            "the provider does not know the job, and has to deny it 3 times, for a while, to be believed (2 so far)",
        ),
        (
            WATCH,
            replace(AROUND, expectations=Fixed(constant(60.0), contention=Contention(price=32 / 60))),
            "many watches share 60 polls per 1m00s, and those about to end come first",
        ),
        (
            replace(WATCH, next_poll_at=BORN + 1040),
            replace(AROUND, expectations=Fixed(constant(60.0), contention=Contention(1e9, 1000.0))),
            "many watches share 60 polls per 1m00s, and each gets its turn within 16m40s",
        ),
        (
            WATCH,
            replace(AROUND, standing=Standing(Footing.UNAUTHORIZED, rest_until=NOW + 60)),
            "the credential, which is unauthorized, rests for another 1m00s",
        ),
        (
            WATCH,
            replace(AROUND, standing=Standing(rest_until=NOW + 60, rests=1)),
            "the credential, whose polls the provider limits, rests for another 1m00s",
        ),
        (
            WATCH,
            replace(AROUND, standing=Standing(rest_until=NOW + 60, rests=1, refusals=1)),
            "the credential, which was refused, rests for another 1m00s",
        ),
        (
            replace(WATCH, status=Status.QUEUED, next_poll_at=BORN + 40 - 100 * math.log(0.95)),
            replace(AROUND, expectations=Fixed(constant(60.0), constant(100.0), seen=9.0)),
            "it waits in the queue, and cannot end before it has run a while",
        ),
    ],
)
def test_the_reason_for_the_next_look_is_the_rule_that_set_it(watch: Watch, around: Surroundings, because: str) -> None:
    assert reason(watch, around) == because


@pytest.mark.parametrize("sample", [0.0, 0.5, 0.9, 0.999])
def test_the_spread_of_the_polls_is_no_wish_of_the_provider(sample: float) -> None:
    expectations = AROUND.expectations
    expected = outlook(WATCH.life, WATCH.model, expectations, BORN + 40)
    planned = next_poll(
        expected,
        AROUND.bounds,
        expectations.contention,
        now=BORN + 40,
        deadline=WATCH.deadline,
        hint_s=None,
        sample=sample,
    )

    assert reason(replace(WATCH, next_poll_at=planned)) == (
        "that finds its end about 2s late on average with the fewest polls"
    )


def test_whoever_hears_only_of_some_outcomes_is_told_with_them() -> None:
    routes = (Route((OPS,), statuses=frozenset({Status.FAILED, Status.TIMED_OUT})), Route((HOOK,)))

    assert told(around=replace(AROUND, targets=(), routes=routes)).sentences[4] == (
        "To be told: callback to shop.example:443; ops (if failed, timed_out)."
    )
    assert told(around=replace(AROUND, targets=())).sentences[4] == (
        "Nobody will be told: no destination was named, and no route matches."
    )


def test_what_failed_last_is_told_with_how_often() -> None:
    once = replace(WATCH, failed_polls=1, last_error="unavailable: HTTP 502")

    assert told(once).sentences[5] == "The last poll failed: unavailable: HTTP 502."
    assert told(replace(once, failed_polls=7)).sentences[5] == "The last 7 polls failed: unavailable: HTTP 502."
    assert told(replace(WATCH, polls=0)).sentences[5] == "It was not polled yet."


def delivery(state: DeliveryState, attempts: int, reason: str | None = None) -> Delivery:
    return Delivery("dlv_1", "evt_1", "wat_1", HOOK, state, NOW, NOW + 90, NOW, attempts=attempts, reason=reason)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (delivery(DeliveryState.DELIVERED, 2), "Callback to shop.example:443 was told, with 2 attempts."),
        (
            delivery(DeliveryState.PENDING, 1, "HTTP 503"),
            "Callback to shop.example:443 is yet to be told (pending, 1 attempt), next in 1m30s: HTTP 503.",
        ),
        (
            delivery(DeliveryState.EXHAUSTED, 9, "HTTP 500"),
            "Callback to shop.example:443 was not told (exhausted after 9 attempts): HTTP 500.",
        ),
    ],
)
def test_an_ended_watch_is_explained_by_its_outcome_and_what_became_of_telling_it(
    sent: Delivery, sentence: str
) -> None:
    ended = replace(WATCH, status=Status.FAILED, finalized_at=NOW - 10, polls=7)
    event = outcome_event(ended, Observation(Status.FAILED, error=JobError("nsfw", "not allowed.")), NOW)

    explanation = explain(ended, replace(AROUND, deliveries=(sent,)), event, NOW)

    assert explanation.sentences == (
        "It has ended as failed 10s ago, after 7 polls.",
        "The reason given: not allowed.",
        sentence,
    )
    assert (explanation.eta, explanation.history, explanation.next_poll_reason) == (None, None, None)
    assert eta(ended, AROUND.expectations) is None


def test_an_outcome_that_nobody_wanted_says_so() -> None:
    ended = replace(WATCH, status=Status.COMPLETED, finalized_at=NOW)

    assert explain(ended, AROUND, None, NOW).sentences[-1] == "Nobody was to be told."


def test_no_sentence_holds_more_of_a_callback_url_than_its_host() -> None:
    waiting = delivery(DeliveryState.PENDING, 1)
    ended = explain(replace(WATCH, status=Status.FAILED), replace(AROUND, deliveries=(waiting,)), None, NOW)

    assert "t0ps3cret" not in " ".join((*told().sentences, *ended.sentences, *told().told))


def test_a_watch_whose_provider_is_gone_from_the_configuration_names_the_ways_out() -> None:
    assert explain_orphan(WATCH).sentences == (
        "Getimg is not configured: nobody asks about its jobs.",
        "Put [providers.getimg] back, and it goes on; or forget the watch with relay rm wat_1.",
    )
