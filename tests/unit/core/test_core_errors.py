"""Errors, and the check of job ids that raises one."""

import pytest

from relay.core.errors import InvalidValue, RelayError, StoreError, StoreUnusable
from relay.core.http import Fault, TransportError
from relay.core.observation import JOB_ID_LIMIT, OUTCOMES, Status, check_id


def test_an_invalid_value_names_its_field() -> None:
    error = InvalidValue("params.model", "is required")

    assert (error.field, error.message, str(error)) == ("params.model", "is required", "params.model: is required")


def test_a_transport_error_names_its_fault() -> None:
    error = TransportError(Fault.DNS, "the host name does not resolve")

    assert str(error) == "dns: the host name does not resolve"
    assert (error.fault, error.detail) == (Fault.DNS, "the host name does not resolve")


def test_all_foreseen_errors_are_relay_errors() -> None:
    assert issubclass(StoreUnusable, StoreError)
    assert all(issubclass(error, RelayError) for error in (StoreError, InvalidValue, TransportError))


def test_all_statuses_but_queued_and_running_are_outcomes() -> None:
    assert {str(status) for status in OUTCOMES} == {
        "completed", "failed", "cancelled", "expired", "not_found", "timed_out",
    }  # fmt: skip
    assert not Status.QUEUED.terminal
    assert not Status.RUNNING.terminal


@pytest.mark.parametrize("job_id", ["a", "req-01H.x_y:z~=@+,", "x" * JOB_ID_LIMIT, "a.b"])
def test_a_job_id_of_url_safe_characters_passes_unchanged(job_id: str) -> None:
    assert check_id("job_id", job_id) == job_id


@pytest.mark.parametrize(
    ("job_id", "complaint"),
    [
        ("", "must not be empty"),
        ("x" * (JOB_ID_LIMIT + 1), "is longer than 512 characters"),
        ("a/b", "must not contain '/'"),
        ("a b", "must not contain ' '"),
        ("a?b", r"must not contain '\?'"),
        ("a%2e", "must not contain '%'"),
        ("a\n", "must not contain"),
        ("é", "must not contain 'é'"),
        ("..", "must not contain"),
        ("a..b", "must not contain"),
        (".", "must not contain"),
    ],
)
def test_a_job_id_that_could_leave_its_place_in_a_url_is_refused(job_id: str, complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint) as refused:
        check_id("job_id", job_id)

    assert refused.value.field == "job_id"
