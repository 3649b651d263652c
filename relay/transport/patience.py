"""An end to answers that never come to the point."""

from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader

_MOST_HINTS = 20
"""Interim responses before the answer (RFC 9110, section 15.2); one or two are what servers send."""
MOST_HEAD = 65536
"""Bytes before the body of an answer; the chunk in which they are exceeded is still read."""


class ImpatientConnector(aiohttp.TCPConnector):
    """A TCPConnector whose connections end after too many interim responses, or too long a head.

    aiohttp reads past any number of interim responses, as fast as they come:
    some connections that send nothing else keep a whole process busy.  It
    bounds each header and their number, but not all of them together.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # handed through as they came
        # There is no public way to choose the protocol of a connection.
        self._factory = partial(_Impatient, loop=self._loop)  # type: ignore[assignment]  # a subclass serves


class _Impatient(ResponseHandler):
    _hints = 0
    _head: int | None = None
    """Bytes of the head that is being read; None while none is."""

    def set_response_params(self, **options: object) -> None:
        self._head = 0
        super().set_response_params(**options)  # type: ignore[arg-type]  # handed through as they came

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_HEAD:
                self._give_up("too long a head")

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if data[0].code >= 200:
            self._hints, self._head = 0, None
        else:
            self._hints += 1
        if self._hints <= _MOST_HINTS:
            super().feed_data(data, size)
        else:
            self._give_up("too many interim responses")

    def _give_up(self, why: str) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.set_exception(HttpProcessingError(message=why))
