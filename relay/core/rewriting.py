"""What a body may have been before something on its way wrote it anew.

Signatures are of bytes.  Frameworks that parse a body and hand out what they
would write themselves, editors, proxies and logs change them without changing
what they say.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import suppress

_STYLES: tuple[tuple[str, str | int | None, tuple[str, str] | None], ...] = (
    ("compact JSON", None, (",", ":")),
    ("JSON with a space after each comma and colon", None, (", ", ": ")),
    ("JSON indented by 2", 2, None),
    ("JSON indented by 4", 4, None),
    ("JSON indented by a tab", "\t", None),
)


def originals(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what `body` may have been, each with a sentence on what happened to it; never `body` itself."""
    seen = {body}
    for sentence, original in (*_edited(body), *_recoded(body), *_reserialised(body)):
        if original not in seen:
            seen.add(original)
            yield sentence, original


def has_sorted_keys(body: bytes) -> bool:
    """Tell whether `body` is a JSON object of several keys in alphabetical order."""
    value = _parsed(body)
    return isinstance(value, dict) and len(value) > 1 and list(value) == sorted(value)


def is_compact(body: bytes) -> bool:
    """Tell whether `body` is JSON as relay writes it: no white space, and characters as they are."""
    value = _parsed(body)
    return value is not None and _dumped(value, None, (",", ":"), ascii_only=False) == body


def is_json(body: bytes) -> bool:
    """Tell whether `body` is JSON at all."""
    return _parsed(body) is not None


def _edited(body: bytes) -> Iterator[tuple[str, bytes]]:
    ends = body.removesuffix(b"\n").removesuffix(b"\r")
    yield "a line break was added to its end", ends
    yield "white space was added around it", body.strip()
    yield "the line break at its end was removed", body + b"\n"
    yield "the line break at its end was removed", body + b"\r\n"
    yield "its line breaks were changed from LF to CRLF", body.replace(b"\r\n", b"\n")
    yield "its line breaks were changed from CRLF to LF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "a byte order mark was put before it", body.removeprefix(b"\xef\xbb\xbf")


def _recoded(body: bytes) -> Iterator[tuple[str, bytes]]:
    with suppress(binascii.Error, ValueError):
        yield "it was encoded in base64, as gateways to functions do", base64.b64decode(body, validate=True)
    with suppress(UnicodeError):
        yield "it is UTF-8, and was read as Latin-1 and written again", body.decode().encode("latin-1")
    value = _parsed(body)
    if isinstance(value, str):
        yield "it was encoded as JSON a second time, as a text", value.encode(errors="replace")
    yield "nothing of it was read: the signature is of an empty body", b""


def _reserialised(body: bytes) -> Iterator[tuple[str, bytes]]:
    value = _parsed(body)
    if value is None:
        return
    for style, indent, separators in _STYLES:
        for ascii_only in (False, True):
            characters = " with \\u escapes" if ascii_only else ""
            sentence = f"it was parsed and written again; what was signed is {style}{characters}"
            written = _dumped(value, indent, separators, ascii_only=ascii_only)
            yield sentence, written
            yield f"{sentence}, and a line break", written + b"\n"


def _parsed(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def _dumped(value: object, indent: str | int | None, separators: tuple[str, str] | None, *, ascii_only: bool) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
    return text.encode(errors="replace")
