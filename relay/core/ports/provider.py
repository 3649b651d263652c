"""Where jobs run."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relay.core.http import Request, Response
from relay.core.observation import Answer, Job


class Provider(Protocol):
    """A remote API, described purely: values in, values out."""

    @property
    def name(self) -> str:
        """The name under which the configuration enables it."""
        ...

    def check(self, job: Job) -> Job:
        """Return the job with its parameters in their documented names.

        Raises InvalidValue, naming `job_id` or `params.NAME`, for one that could not be polled.
        """
        ...

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        """Return the request that asks about `job`."""
        ...

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        """Return what the answers so far mean, or one more request that is needed to tell.

        Never raises, whatever the answers hold.
        """
        ...
