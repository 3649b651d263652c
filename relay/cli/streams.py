"""The standard streams, whatever state a shell hands them over in."""

import io
import os
import sys
from contextlib import suppress

_WHERE_CLOSED = {"stdin": ("r", os.O_WRONLY), "stdout": ("w", os.O_RDONLY), "stderr": ("w", os.O_WRONLY)}
"""How each is opened that was closed: so that its use is an OSError, and what is only said goes nowhere."""


def prepare() -> None:
    """Let every stream be there, and take every text; no other file gets the number of one that was closed."""
    for name, (mode, flags) in _WHERE_CLOSED.items():
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def let_go() -> None:
    """Let what could not be written not be tried again when the process ends."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
