"""Logs: events named `noun.past_participle` with ids; JSON for machines, aligned for a terminal."""

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_MASK = "***"
_SHORTEST_SECRET = 6
"""Shorter values would mask ordinary words."""


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


def configure(*, style: str, level: str, mask: SecretMask, stream: TextIO | None = None) -> None:
    """Send relay's logs and those of its libraries to `stream`, standard error unless given.

    `style` is ``json``, ``console``, or ``auto``: JSON unless a terminal reads.
    """
    out = stream or sys.stderr
    as_json = style == "json" or (style == "auto" and ("JOURNAL_STREAM" in os.environ or not out.isatty()))
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty() and "NO_COLOR" not in os.environ,
            # others show the variables of each frame, cut, so that the mask does not know a secret again
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        shared.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _masked(mask)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("relay").setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _masked(mask: SecretMask) -> structlog.typing.Processor:
    def apply(_logger: Any, _method: str, rendered: MutableMapping[str, Any]) -> str:
        return mask(str(rendered))

    return apply
