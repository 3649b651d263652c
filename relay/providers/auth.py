"""How a credential gets onto a request."""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from functools import lru_cache

from relay.providers.spec import Auth

_JWT_WINDOW_S = 1500
"""A token serves for 25 minutes, and is good for 30, the longest that Kling accepts."""
_JWT_LIFE_S = 1800
_JWT_BACKDATED_S = 5


def auth_headers(auth: Auth, secrets: Mapping[str, str], now: float) -> dict[str, str]:
    """Return the headers that carry the credential."""
    match auth.type:
        case "bearer":
            return {"Authorization": f"Bearer {secrets[auth.secret]}"}
        case "header":
            return {str(auth.name): auth.prefix + secrets[auth.secret]}
        case "jwt_hs256":
            window = math.floor(now / _JWT_WINDOW_S) * _JWT_WINDOW_S
            return {"Authorization": f"Bearer {_jwt(secrets[str(auth.issuer)], secrets[auth.secret], window)}"}
        case _:
            return {}


def auth_query(auth: Auth, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the query parameters that carry the credential."""
    return {str(auth.name): secrets[auth.secret]} if auth.type == "query" else {}


def credentials(auth: Auth, secrets: Mapping[str, str], now: float) -> frozenset[str]:
    """Return what a request answered at `now` may have carried that nobody but the provider may see."""
    if auth.type != "jwt_hs256" or not secrets.keys() >= set(auth.secrets):
        return frozenset(secrets.values())
    sent_at = (now, now - _JWT_WINDOW_S)
    headers = (value for instant in sent_at for value in auth_headers(auth, secrets, instant).values())
    return frozenset((*secrets.values(), *(value.rpartition(" ")[2] for value in headers)))


@lru_cache(maxsize=64)
def _jwt(issuer: str, secret: str, issued_at: int) -> str:
    """Return a JWT signed by HS256 (RFC 7519, RFC 7515)."""
    claims = {"iss": issuer, "exp": issued_at + _JWT_LIFE_S, "nbf": issued_at - _JWT_BACKDATED_S}
    signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
    mac = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_unpadded(mac)}"


def _segment(value: Mapping[str, object]) -> str:
    return _unpadded(json.dumps(value, separators=(",", ":")).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
