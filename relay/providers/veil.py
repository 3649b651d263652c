"""What an answer quotes of the credential that it was asked with.

Some providers repeat the key in their errors.  Bodies are kept, shown and sent
on, so it is taken out of them before anything is read from them.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from relay.core.http import Request, Response
from relay.core.observation import Answer
from relay.providers.paths import parse_json

_VEIL = "***"
_SHORTEST_SECRET = 4
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
"""A JSON string (RFC 8259, section 7), escapes and all."""
_ESCAPED_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)+"')
"""One with an escape in it: nothing else in JSON has a backslash, so that no other quotation mark begins one."""


def discreetly(
    meaning: Callable[[Sequence[Response]], Answer | Request], answers: Sequence[Response], secrets: frozenset[str]
) -> Answer | Request:
    """Return what `meaning` makes of `answers` without the secrets that they quote.

    A request is made of them as they are: it goes back to the provider, whose
    words may need what they quote.
    """
    veiled = [without_secrets(answer, secrets) for answer in answers]
    made = meaning(veiled)
    if isinstance(made, Request) and veiled != list(answers):
        whole = meaning(answers)
        return whole if isinstance(whole, Request) else made
    return made


def without_secrets(response: Response, secrets: frozenset[str]) -> Response:
    """Return an answer whose JSON body quotes none of `secrets`; one that quotes none is returned as it is.

    Only strings that do are written anew.  What is no JSON stays: nothing is read from it.
    """
    spellings, encoded = _spellings(secrets)
    quoted = any(spelling in response.body for spelling in encoded)
    if not quoted and b"\\" not in response.body:
        return response
    text = response.text
    if parse_json(text) is None:
        return response
    suspects = _STRING if quoted else _ESCAPED_STRING
    veiled = suspects.sub(lambda found: _veiled(found[0], spellings), text)
    return response if veiled == text else replace(response, body=veiled.encode())


def _veiled(literal: str, spellings: Sequence[str]) -> str:
    """Return a JSON string without what must not be in its value, however that is escaped."""
    value: str = json.loads(literal)
    veiled = value
    for spelling in spellings:
        veiled = veiled.replace(spelling, _VEIL)
    return literal if veiled == value else json.dumps(veiled)


@lru_cache(maxsize=64)
def _spellings(secrets: frozenset[str]) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Return how secrets are written, those that hold others first, and the same as bytes."""
    spellings = tuple(sorted({text for secret in secrets for text in _spelled(secret)}, key=len, reverse=True))
    return spellings, tuple(spelling.encode() for spelling in spellings)


def _spelled(secret: str) -> Iterator[str]:
    """Yield how a secret is written in text, in a URL, and in JSON within a string."""
    if len(secret) >= _SHORTEST_SECRET:
        escaped = json.dumps(secret)[1:-1]
        yield from (secret, quote(secret, safe=""), escaped, escaped.replace("/", "\\/"))
