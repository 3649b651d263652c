"""An end to answers that never come to the point."""

from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader

_MOST_HINTS = 20
"""Interim responses before the answer (RFC 9110, section 15.2); one or two are what servers send."""


class ImpatientConnector(aiohttp.TCPConnector):
    """A TCPConnector whose connections end after too many interim responses.

    aiohttp reads past any number of them, as fast as they come: some
    connections that send nothing else keep a whole process busy.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # handed through as they came
        # There is no public way to choose the protocol of a connection.
        self._factory = partial(_Impatient, loop=self._loop)  # type: ignore[assignment]  # a subclass serves


class _Impatient(ResponseHandler):
    _hints = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        self._hints = self._hints + 1 if data[0].code < 200 else 0
        if self._hints <= _MOST_HINTS:
            super().feed_data(data, size)
        elif self.transport is not None:
            self.transport.abort()
            self.set_exception(HttpProcessingError(message="too many interim responses"))
