"""Text: what others wrote, cleaned before it reaches a store, a log, a terminal or a chat; and how relay counts."""

import re

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Control characters but tab and newline, bidirectional overrides, lone surrogates."""

MESSAGE_LIMIT = 2000


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return `text` without control characters, cut to `limit` characters.

    Lone surrogates, which no UTF-8 can carry, go as well.
    """
    cleaned = _UNPRINTABLE.sub("", text[: 4 * limit]).strip()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def one_line(text: str, limit: int = 300) -> str:
    """Return `text` cleaned, on one line, cut to `limit` characters."""
    return clean(" ".join(clean(text, 4 * limit).split()), limit)


def counted(number: int, name: str) -> str:
    """Return a number of things with their name, as in "1 poll" and "2 polls"."""
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
