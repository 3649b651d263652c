"""Receivers that repeat in an answer what they were sent, secrets included.

Answers are kept, shown and logged, so what only the sender and the receiver
know is taken out of them first.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote, unquote_plus

from relay.core.http import Request, Response

_VEIL = b"***"
_SHORTEST_SECRET = 6
_SHORTEST_SEGMENT = 12
"""Tokens in paths are longer; shorter segments are words, which help to understand an answer."""
_PUBLIC_HEADERS = ("content-type", "user-agent", "webhook-")
_USERINFO = re.compile(r"(?<=//)([^/?#]*)@")


def without_echo(response: Response, request: Request) -> Response:
    """Return the answer without the tokens in the URL that was asked, and without the credentials in its headers."""
    body, headers = response.body, dict(response.headers)
    forms = {form for secret in _secrets(request) for form in (secret, unquote(secret), unquote_plus(secret))}
    for secret in sorted(forms, key=len, reverse=True):
        body = body.replace(secret.encode(), _VEIL)
        headers = {name: value.replace(secret, _VEIL.decode()) for name, value in headers.items()}
    return replace(response, body=body, headers=headers)


def _secrets(request: Request) -> Iterator[str]:
    address, _, query = request.url.partition("#")[0].partition("?")
    if found := _USERINFO.search(address):
        _, _, password = found[1].partition(":")
        yield from (part for part in (found[1], password) if len(part) >= _SHORTEST_SECRET)
    segments = _USERINFO.sub("", address).split("/")[3:]
    yield from (segment for segment in segments if len(segment) >= _SHORTEST_SEGMENT)
    values = [pair.partition("=")[2] for pair in query.split("&")]
    yield from (part for part in (query, *values) if len(part) >= _SHORTEST_SECRET)
    for name, value in request.headers.items():
        if not name.lower().startswith(_PUBLIC_HEADERS):
            scheme, _, credential = value.rpartition(" ")
            login = _login(credential) if scheme.lower() == "basic" else ""
            parts = (value, credential, login, login.partition(":")[2])
            yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)


def _login(credential: str) -> str:
    """Return user and password as a receiver reads them (RFC 7617), or nothing where it could not."""
    try:
        return b64decode(credential, validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        return ""
