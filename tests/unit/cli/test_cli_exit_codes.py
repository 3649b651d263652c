"""What the shell is told: DESIGN's exit codes, and which of several wins."""

import itertools

import pytest

from relay.cli.exit_codes import ExitCode, of_problem, of_status, worst
from relay.core.observation import Status

WORST_FIRST = [10, 12, 11, 124, 8, 0]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("queued", 8),
        ("running", 8),
        ("completed", 0),
        ("failed", 10),
        ("cancelled", 11),
        ("expired", 12),
        ("not_found", 12),
        ("timed_out", 12),
    ],
)
def test_each_status_has_its_code(status: str, code: int) -> None:
    assert of_status(status) == code


def test_every_status_that_the_core_knows_is_pending_exactly_until_it_is_terminal() -> None:
    assert {status for status in Status if of_status(status) is not ExitCode.PENDING} == {
        status for status in Status if status.terminal
    }


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations(WORST_FIRST, 2)))
def test_of_two_jobs_the_worse_one_decides_in_either_order(worse: int, better: int) -> None:
    assert worst([ExitCode(worse), ExitCode(better)]) == worst([ExitCode(better), ExitCode(worse)]) == worse


def test_jobs_that_all_completed_are_0() -> None:
    assert worst([ExitCode.OK, ExitCode.OK]) == 0


@pytest.mark.parametrize(("http", "code"), [(401, 4), (403, 4), (404, 3), (409, 1), (422, 1), (500, 1), (503, 1)])
def test_each_refusal_has_its_code(http: int, code: int) -> None:
    assert of_problem(http) == code
