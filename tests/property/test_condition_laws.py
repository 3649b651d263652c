"""Laws of how destinations are, for every history of attempts."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.condition import (
    FAILURES_BEFORE_HOLD,
    OUTAGE_S,
    Condition,
    Finding,
    Health,
    after_attempt,
    let_go,
)
from relay.core.etiquette import Sign
from relay.core.watch import Target

NOW = 1_800_000_000.0
TARGETS = (Target("ops", "ops", name="ops"), Target("url:1", "hook.example:443", url="https://hook.example/a"))

signs = st.sampled_from([*Sign, *[Sign.ABSENT] * 2 * len(Sign)])
"""Mostly absence, so that outages are common."""

steps = st.lists(st.tuples(signs, st.floats(0, 40), st.floats(0, 5000), st.floats(0, 1, exclude_max=True)), max_size=60)


@given(history=steps, target=st.sampled_from(TARGETS))
def test_a_lane_is_held_only_after_a_lasting_outage_and_tried_again_when_it_may_be(
    history: list[tuple[Sign, float, float, float]], target: Target
) -> None:
    health, now, nothing_since, in_a_row = Health(), NOW, NOW, 0
    for sign, passed_s, floor_s, sample in history:
        now += passed_s
        before = health
        change = after_attempt(before, Finding(target, sign, now, sample, now, again_at=now + floor_s, floor_s=floor_s))
        health = change.health
        absent = sign in (Sign.ABSENT, Sign.OVERLOADED)
        if absent:
            nothing_since = nothing_since if in_a_row else now
            in_a_row += 1
        elif sign is not Sign.UNKNOWN:
            in_a_row = 0

        assert (change.tell is None) or health.condition is not before.condition
        if before.condition is Condition.DISABLED:
            assert health == before
        elif health.condition is Condition.DISABLED:
            assert (sign, target.name) == (Sign.GONE, "ops")
        elif health.condition is Condition.UNREACHABLE:
            assert absent or sign is Sign.UNKNOWN
            if absent:
                assert now + floor_s <= health.release_at <= now + max(floor_s, 900 * 1.2)
            if before.condition is not Condition.UNREACHABLE:
                assert in_a_row >= FAILURES_BEFORE_HOLD
                assert before.condition is Condition.DRAINING or now - nothing_since >= OUTAGE_S


@given(batch=st.integers(1, 2000), now=st.floats(0, 4e9))
def test_letting_go_always_takes_time(batch: int, now: float) -> None:
    for condition in (Condition.UNREACHABLE, Condition.DRAINING):
        gone = let_go(Health(condition, batch=batch), now)

        assert gone.release_at > now
        assert gone.condition is condition
