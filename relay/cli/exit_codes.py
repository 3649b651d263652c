"""What `relay` answers to the shell."""

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; those of the jobs themselves begin at 8."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    PENDING = 8
    JOB_FAILED = 10
    JOB_CANCELLED = 11
    JOB_LOST = 12
    UNREACHABLE = 69
    CONFIG = 78
    TIMED_OUT = 124
    INTERRUPTED = 130


_BY_STATUS = {
    "completed": ExitCode.OK,
    "failed": ExitCode.JOB_FAILED,
    "cancelled": ExitCode.JOB_CANCELLED,
    "expired": ExitCode.JOB_LOST,
    "not_found": ExitCode.JOB_LOST,
    "timed_out": ExitCode.JOB_LOST,
}
_WORST_FIRST = (
    ExitCode.JOB_FAILED,
    ExitCode.JOB_LOST,
    ExitCode.JOB_CANCELLED,
    ExitCode.TIMED_OUT,
    ExitCode.PENDING,
)


def of_status(status: str) -> ExitCode:
    """Return the code of one watch."""
    return _BY_STATUS.get(status, ExitCode.PENDING)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code of several watches together."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.OK)


def of_problem(http_status: int) -> ExitCode:
    """Return the code of a request that the daemon refused with this HTTP status."""
    if http_status in (401, 403):
        return ExitCode.AUTH
    return ExitCode.NOT_FOUND if http_status == 404 else ExitCode.ERROR
