"""Logs: events named `noun.past_participle` with ids; JSON for machines, aligned for a terminal."""

import json
import logging
import os
import sys
from contextlib import suppress
from typing import TextIO

import structlog

_MASK = "***"
_SHORTEST_SECRET = 6
"""Shorter values would mask ordinary words."""
_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}


class SecretMask:
    """Replaces every secret it was told of, in whatever is about to be written.

    The second wall: events do not carry secrets in the first place, but the
    message of an exception from below might.
    """

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, secret: str) -> None:
        """Never let this value out again."""
        if len(secret) >= _SHORTEST_SECRET and secret not in self._secrets:
            as_written = {secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
            # one may begin with another: the longest first
            self._secrets = sorted({*self._secrets, *as_written}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text


_as_json = structlog.processors.JSONRenderer(ensure_ascii=False)


def _json_line(logger: object, method: str, event: structlog.typing.EventDict) -> str | bytes:
    return _as_json(logger, method, structlog.processors.format_exc_info(logger, method, event))


def _person_line(out: TextIO) -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty() and "NO_COLOR" not in os.environ,
        # others show the variables of each frame, cut, so that the mask does not know a secret again
        exception_formatter=structlog.dev.plain_traceback,
    )


class _Sink:
    """Where lines go, which and how written; a reload changes that under loggers that are in use.

    Our own lines go around the standard library's logging, which takes longer
    to write one than relay to decide and sign what it tells of.
    """

    def __init__(self) -> None:
        self._level = logging.INFO
        self._render: structlog.typing.Processor = _json_line
        self._mask = SecretMask()
        self._out: TextIO = sys.stderr

    def change(self, *, level: int, render: structlog.typing.Processor, mask: SecretMask, out: TextIO) -> None:
        """Write by these from now on."""
        self._level, self._render, self._mask, self._out = level, render, mask, out

    def wanted(self, _logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Drop an event below the level: a processor of structlog."""
        if _LEVELS[method] < self._level:
            raise structlog.DropEvent
        return event

    def line(self, logger: object, method: str, event: structlog.typing.EventDict) -> str:
        """Return an event as a line without secrets: a processor of structlog."""
        return self._mask(str(self._render(logger, method, event)))

    def write(self, line: str) -> None:
        """Write a line; one that cannot be written, to a disk that is full or a pipe nobody reads, is lost."""
        with suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()


_sink = _Sink()


class _Lines:
    """What structlog's loggers write to, under a name."""

    def __init__(self, name: str = "relay") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        _sink.write(line)

    debug = info = warning = error = critical = msg


def configure(*, style: str, level: str, mask: SecretMask, stream: TextIO | None = None) -> None:
    """Send relay's logs and those of its libraries to `stream`, standard error unless given.

    `style` is ``json``, ``console``, or ``auto``: JSON unless a terminal reads.
    """
    out = stream or sys.stderr
    as_json = style == "json" or (style == "auto" and ("JOURNAL_STREAM" in os.environ or not out.isatty()))
    _sink.change(level=_LEVELS[level], render=_json_line if as_json else _person_line(out), mask=mask, out=out)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[_sink.wanted, *shared, _sink.line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _sink.line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
