"""From a JSON body to facts: outputs, errors, cost.  Nothing is guessed, nothing raises."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from relay.core.duration import parse_duration
from relay.core.instant import parse_instant
from relay.core.observation import Cost, JobError, Output
from relay.core.text import clean
from relay.providers.paths import Paths
from relay.providers.spec import CostPaths, ErrorPaths, Hint, OutputFields, Outputs, Progress, fold

_MOST_OUTPUTS = 200
_LONGEST_URL = 8192
_SCHEMES = ("http", "https", "gs", "s3")
_SHORT = 200
_LITERAL_LIMIT = 100
_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]+)?\s*")


Serve = Callable[[str], str]
"""Returns where the API itself serves an item."""


def outputs(spec: Outputs, body: Any, base_url: str, ended_at: float, serve: Serve | None = None) -> tuple[Output, ...]:
    """Return the outputs that `spec` finds; relative URLs are resolved against `base_url`.

    Where an output may be plain text, only absolute URLs are taken for one.
    """
    found: list[Output] = []
    base_url = "" if spec.text else base_url
    for item in _items(spec.items.find(body)):
        url = _url_of(spec, item, base_url, serve)
        if url is not None:
            found.append(_output(spec, item, url, body, ended_at))
        if len(found) == _MOST_OUTPUTS:
            break
    return tuple(found)


def _items(found: Any) -> Iterator[Any]:
    if isinstance(found, list):
        for item in found:
            yield from _items(item)
    elif isinstance(found, str | dict):
        yield found


def _url_of(spec: Outputs, item: Any, base_url: str, serve: Serve | None) -> str | None:
    address = item if isinstance(item, str) else spec.url.find(item) if spec.url else None
    if serve is None:
        return resolve(address, base_url) if isinstance(address, str) else None
    name = text(address, _SHORT)
    return None if name in (None, ".", "..") else serve(str(name))


def _output(spec: Outputs, item: Any, url: str, body: Any, ended_at: float) -> Output:
    common = spec.common or OutputFields()

    def fact(name: str) -> Any:
        own, shared = getattr(spec, name), getattr(common, name)
        value = own.find(item) if own and not isinstance(item, str) else None
        return shared.find(body) if value is None and shared else value

    expires_at = parse_instant(fact("expires_at"))
    if expires_at is None and spec.lifetime:
        expires_at = ended_at + parse_duration(spec.lifetime)
    audio = fact("has_audio")
    return Output(
        url=url,
        content_type=text(fact("content_type"), _SHORT),
        width=whole(fact("width")),
        height=whole(fact("height")),
        duration_s=number(fact("duration_s")),
        fps=number(fact("fps")),
        has_audio=audio if isinstance(audio, bool) else None,
        size_bytes=whole(fact("size_bytes")),
        expires_at=expires_at,
    )


def resolve(address: str, base_url: str) -> str | None:
    """Return the absolute form of an output's address, or None for what is no address.

    The query is kept byte for byte: it may be signed.  Only absolute URLs and
    paths from the root are accepted (RFC 3986, section 4.2).  Spaces are
    escaped, as browsers do (WHATWG URL, 4.4), unless there is no `base_url`:
    then it may be text.
    """
    if base_url:
        address = address.strip(" ").replace(" ", "%20")
    if not 0 < len(address) <= _LONGEST_URL or any(ord(c) <= 32 or 127 <= ord(c) < 160 for c in address):
        return None
    if clean(address, _LONGEST_URL) != address or "\\" in address:
        return None
    base = urlsplit(base_url)
    if address.startswith("//"):
        address = f"{base.scheme}:{address}"
    elif address.startswith("/"):
        address = f"{base.scheme}://{base.netloc}{address}"
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES or not parts.netloc or "@" in parts.netloc or "%20" in parts.netloc:
        return None
    return address


def provider_status(paths: Paths | None, body: Any) -> str | None:
    """Return a status as the provider puts it: text, a number or a boolean, which may be alone in a list."""
    for found in paths.each(body) if paths else ():
        value = found[0] if isinstance(found, list) and len(found) == 1 else found
        told = str(value).lower() if isinstance(value, bool) else text(value, _LITERAL_LIMIT)
        if told is not None:
            return told
    return None


def job_error(spec: ErrorPaths, body: Any, literal: str | None) -> JobError:
    """Return why the job failed; the literal itself may tell that it was moderated."""
    code = _first_text(spec.code, body)
    return JobError(
        code=code,
        message=_first_text(spec.message, body),
        user_message=_first_text(spec.user_message, body),
        moderated=_moderated(spec, body, code, literal),
    )


def _moderated(spec: ErrorPaths, body: Any, code: str | None, literal: str | None) -> bool | None:
    known = {fold(value) for value in spec.moderated_codes}
    if (code is not None and fold(code) in known) or (literal is not None and fold(literal) in known):
        return True
    flag = spec.moderated.find(body) if spec.moderated else None
    if isinstance(flag, bool):
        return flag
    if isinstance(flag, int | float):
        return flag > 0
    if isinstance(flag, list):
        return any(flag)
    return None


def _first_text(paths: Paths | None, body: Any) -> str | None:
    """Return the first candidate that is plain text or a number: an object is not a message."""
    for found in paths.each(body) if paths else ():
        shown = text(found)
        if shown:
            return shown
    return None


def cost(spec: CostPaths, body: Any) -> Cost | None:
    """Return what the body says of the cost, or None where it says nothing."""

    def of(paths: Paths | None) -> Any:
        return paths.find(body) if paths else None

    amount, price, quantity = number(of(spec.amount)), number(of(spec.unit_price)), number(of(spec.quantity))
    if amount is None and price is None and quantity is None:
        return None
    return Cost(
        amount=amount,
        currency=text(of(spec.currency), 20) or spec.fixed_currency,
        unit=text(of(spec.unit), 50) or spec.fixed_unit,
        unit_price=price,
        quantity=quantity,
    )


def text(value: Any, limit: int = 2000) -> str | None:
    """Return a scalar as clean text, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return clean(str(value), limit) or None
    except ValueError:  # an integer too long to print
        return None


def number(value: Any) -> float | None:
    """Return a finite number, also one written as text, or None; whole ones stay whole."""
    if isinstance(value, str):
        return number(float(value)) if len(value) <= _SHORT and _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    if not math.isfinite(as_float):
        return None
    return int(as_float) if as_float.is_integer() and abs(as_float) < 2**53 else as_float


def whole(value: Any) -> int | None:
    """Return a whole number that is not negative, or None."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and 0 <= found < 2**53 else None


def progress(spec: Progress, body: Any) -> float | None:
    """Return how much of the job is done, from 0 to 1; text may hold a percentage."""
    found, scale = spec.path.find(body), spec.scale
    if isinstance(found, str) and found.rstrip().endswith("%"):
        found, scale = found.rstrip().removesuffix("%"), 100.0
    value = number(found)
    return None if value is None else min(max(value / scale, 0.0), 1.0)


def hint_s(spec: Hint, body: Any) -> float | None:
    """Return the seconds that the body speaks of, or None."""
    found = number(spec.path.find(body))
    return None if found is None or found < 0 else found * (0.001 if spec.unit == "ms" else 1.0)
