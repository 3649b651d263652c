"""What all destinations share of HTTP: how they post, and what an answer says in one line."""

import json
import re
from collections.abc import Mapping

from relay.core.delivery import Verdict, VerdictKind
from relay.core.etiquette import Sign, sign_of
from relay.core.http import Request, Response, retry_after_s
from relay.core.text import one_line

JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}

_SAID_LIMIT = 160
_LOCATION_LIMIT = 100
_READ_BYTES = 4096
_USERINFO = re.compile(r"(?<=//)[^/]*@")


def post_json(url: str, payload: Mapping[str, object]) -> Request:
    """Return the request that posts `payload`."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Request("POST", url, JSON_HEADERS, body.encode())


def said(response: Response) -> str:
    """Return the start of the answer's body, cleaned, on one line."""
    return one_line(response.body[:_READ_BYTES].decode("utf-8", "replace"), _SAID_LIMIT)


def summary(response: Response) -> str:
    """Return the answer in one line of at most 200 characters: its status, and what it says."""
    if 300 <= response.status < 400:
        return _redirect(response)
    words = said(response)
    return f"HTTP {response.status}: {words}" if words else f"HTTP {response.status}"


def again(response: Response, now: float) -> Verdict:
    """Return the verdict on an answer that is no success and not final: try again, as late as it asks."""
    wait_s = retry_after_s(response.headers, now)
    sign = sign_of(response.status, asks_to_wait=wait_s is not None)
    return Verdict(VerdictKind.RETRY, summary(response), wait_s, Sign.ANSWERS if sign is Sign.WORKS else sign)


def json_object(response: Response) -> Mapping[str, object]:
    """Return the JSON object that the body is; an empty one where it is none."""
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _redirect(response: Response) -> str:
    """Return where the answer points to, without query and userinfo, which may be secrets."""
    refusal = f"HTTP {response.status}: redirects are not followed"
    location = _USERINFO.sub("", re.split(r"[?#]", response.headers.get("location", ""), maxsplit=1)[0])
    place = one_line(location, _LOCATION_LIMIT)
    return f"{refusal}; the new location is {place}" if place else refusal
