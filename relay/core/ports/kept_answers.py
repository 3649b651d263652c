"""Answers to requests that may come again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request that may come again, without a status while it is being made.

    `request` tells requests apart.
    """

    request: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class KeptAnswers(Protocol):
    """The part of `Store` that has a request answered once, however often it comes."""

    async def claim_answer(
        self, caller: str, key: str, request: str, now: float, *, asked_before: float
    ) -> KeptAnswer | None:
        """Return what is kept under a caller's key, or None where the key was free and is the request's from now on.

        What was asked before `asked_before` is forgotten.
        """
        ...

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer to the request that claimed a key."""
        ...

    async def give_up_answer(self, caller: str, key: str) -> None:
        """Free a key whose request got no answer worth keeping."""
        ...
