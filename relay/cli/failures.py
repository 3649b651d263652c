"""What can keep a command from its answer; apart, so that a command which needs no daemon loads no HTTP."""

from collections.abc import Mapping
from typing import Any


class NothingMatched(Exception):
    """There is nothing to act on."""


class Unreachable(Exception):
    """No daemon answers; `absent` where nothing is there at all, as before it was started."""

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class ApiError(Exception):
    """The daemon answered with a problem: `status` is its HTTP status, `problem` the document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.status = status
        self.problem = problem
