"""When to look again.

The law is optimal inspection (Barlow, Hunter & Proschan 1963; Keller 1974): for
a job of age t with hazard h(t), polls are best spent with density
``n(t) = sqrt(h(t) / 2c)``, c being the price of a poll in seconds of lag.  The
mean lag that results is about ``sqrt(c/2) * E[1/sqrt(h(T))]``, so a wanted lag
names its price in closed form.

The retry of a poll that failed is another matter, `retry_failed_poll`: failures
say nothing about the job.
"""

from dataclasses import dataclass

from relay.core.hazard import Hazard

_SPREAD = 0.05
"""Polls are moved by up to this share of their interval, so that watches added together part."""

_RETRY_FIRST_S = 1.0
_RETRY_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What surrounds the law: the wanted mean lag and the interval's limits, in seconds."""

    detection_lag_s: float
    min_interval_s: float
    max_interval_s: float


def next_poll(
    hazard: Hazard, bounds: Bounds, *, age_s: float, now: float, deadline: float, hint_s: float | None, sample: float
) -> float:
    """Return the instant of the next poll of a job that has run `age_s`.

    `hint_s` is the provider's wish: a floor, but no way past the upper bound.
    The deadline, while ahead, is never overslept.  `sample` is uniform in
    [0, 1).
    """
    age = max(age_s, 0.0)
    step = 2 * bounds.detection_lag_s / hazard.mean_inverse_root
    interval = hazard.age_at(hazard.root_integral(age) + step) - age
    interval = max(interval * (1 - _SPREAD * sample), hint_s or 0.0, bounds.min_interval_s)
    return _before_deadline(now + min(interval, bounds.max_interval_s), now, deadline)


def retry_failed_poll(
    *, failures: int, now: float, deadline: float, floor_s: float | None, min_interval_s: float, sample: float
) -> float:
    """Return when to repeat a poll that failed for the `failures`-th time in a row.

    Doubles from a second to a minute with up to a quarter of jitter on top;
    `floor_s`, the provider's own wish, is undercut by the deadline alone.
    """
    gap = max(min(_RETRY_FIRST_S * 2.0 ** min(failures - 1, 10), _RETRY_LIMIT_S), min_interval_s)
    return _before_deadline(now + max(gap * (1 + 0.25 * sample), floor_s or 0.0), now, deadline)


def _before_deadline(moment: float, now: float, deadline: float) -> float:
    return min(moment, deadline) if now < deadline else moment
