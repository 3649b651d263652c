"""What the soak calls growth, on figures whose slope is known."""

import pytest

from bench.soak.samples import Sample, courses
from bench.trend import Trend


def test_a_trend_is_the_least_squares_line() -> None:
    """For (0, 1), (1, 3), (2, 2): slope 1/2, and R² = (covariance 1)² / (variances 2 * 2) = 1/4."""
    found = Trend.of([(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)])
    assert found.per_s == pytest.approx(0.5)
    assert found.straightness == pytest.approx(0.25)


def test_what_grows_after_the_warm_up_is_called_growth_and_what_grew_before_is_not() -> None:
    """Memory doubles in the first third only; the database gains 10 at each of the 19 steps that are judged."""
    samples = [
        Sample(
            float(at),
            memory=min(100 + 10 * at, 200),
            files=7,
            threads=2,
            tasks=5,
            database_in_use=1000 + 10 * at,
            database_file=1000 + 10 * at,
            write_ahead_log=0,
        )
        for at in range(30)
    ]
    found = {course.name: course for course in courses(samples)}
    assert found["memory"].flat
    assert found["memory"].growth == pytest.approx(0.0, abs=1e-9)
    database = found["database_in_use"]
    assert database.per_hour == pytest.approx(36_000.0)
    assert database.growth == pytest.approx(190 / 1195)
    assert not database.flat
    assert (database.first, database.last) == pytest.approx((1105.0, 1285.0))
    assert all(found[name].flat for name in ("database_file", "files", "threads", "tasks", "write_ahead_log"))
