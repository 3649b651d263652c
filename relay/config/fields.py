"""The values that the configuration may hold: how each is written, checked by itself, and parsed."""

import re
from dataclasses import dataclass
from datetime import time
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from relay.config.secrets import WAYS_OUT, Reference, parse_reference
from relay.config.values import Listen
from relay.core.address import IPNetwork, parse_hosts, parse_networks
from relay.core.budget import Rate
from relay.core.duration import LONGEST_S, parse_duration
from relay.core.headers import checked_name, checked_value

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_HASH = re.compile(r"sha256:([0-9A-Fa-f]{64})")


def _text(value: object, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f'must be text, as in "{example}"')  # noqa: TRY004  pydantic's protocol
    return value


def _duration(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        shown = f"{value}s" if 0 <= value < LONGEST_S else "30s"
        raise ValueError(f'a duration needs a unit; write "{shown}"')  # noqa: TRY004  pydantic's protocol
    seconds = parse_duration(_text(value, "30s"))
    if seconds > LONGEST_S:
        raise ValueError("is longer than a hundred years")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _rate(value: object) -> Rate:
    return Rate.parse(_text(value, "60/m"))


def _network(value: object) -> IPNetwork:
    return parse_networks([_text(value, "127.0.0.0/8")])[0]


def _host(value: object) -> str:
    return parse_hosts([_text(value, "hooks.internal")])[0]


def _listen(value: object) -> Listen:
    host, colon, port = _text(value, "127.0.0.1:8377").rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError('must be host:port, as in "127.0.0.1:8377"')
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed != (":" in host):
        raise ValueError('an IPv6 address stands in brackets, as in "[::1]:8377"')
    if not host:
        raise ValueError('names no host; write "127.0.0.1:PORT", or "0.0.0.0:PORT" for every interface')
    return Listen(host.strip("[]"), int(port))


def _socket_path(value: object) -> str:
    path = _text(value, "relay.sock")
    if not path or not path.isprintable() or path.endswith("/"):
        raise ValueError('must name a file, as in "relay.sock", or be "off"')
    return path


def _store_url(value: object) -> str:
    url = _text(value, "sqlite:///relay.db")
    path = url.removeprefix("sqlite:///")
    if path == url:
        raise ValueError(
            'must begin with "sqlite:///", as in "sqlite:///relay.db" or "sqlite:////var/lib/relay/relay.db"'
        )
    if path in ("", ":memory:") or path.endswith("/"):
        raise ValueError('must name a file, as in "sqlite:///relay.db"')
    if not path.isprintable() or "?" in path or "#" in path:
        raise ValueError("takes no parameters and no control characters")
    return url


def web_url(value: str) -> str:
    """Return `value`, an http or https URL with a host and without a user; raises ValueError, not showing it."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isprintable() or " " in value:
        raise ValueError('must be a URL, as in "https://api.example.com"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or a password")
    return value


def _base_url(value: str) -> str:
    url = web_url(value)
    if "?" in url or "#" in url:
        raise ValueError("must end with its path: no query and no fragment")
    return url


def _token_hash(value: object) -> str:
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be "sha256:" and the 64 hexadecimal digits of the token\'s SHA-256')
    return found[1].lower()


def filled(names: list[str]) -> list[str]:
    """Return `names`; raises ValueError where there are none."""
    if not names:
        raise ValueError("must not be empty")
    return names


def _destination_url(value: object) -> Reference | str:
    return value if isinstance(value, str) else parse_reference(value)


def _proxy(value: object) -> Reference | str:
    if not isinstance(value, str):
        return parse_reference(value)
    try:
        return web_url(value)
    except ValueError:
        raise ValueError(
            'must be a URL, as in "http://proxy.internal:3128"; '
            f"one with a password is a secret; refer to it as {WAYS_OUT}"
        ) from None


def _header_value(value: object) -> Reference | str:
    return checked_value(value) if isinstance(value, str) else parse_reference(value)


def distinct_headers(headers: dict[str, Reference | str]) -> dict[str, Reference | str]:
    """Return `headers`; raises ValueError where two of them are the same."""
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("names a header twice; case makes no difference")
    return headers


def _clock_time(value: object) -> time:
    found = _CLOCK.fullmatch(_text(value, "22:00"))
    if found is None:
        raise ValueError('must be hours and minutes, as in "22:00"')
    return time(int(found[1]), int(found[2]))


def _time_zone(value: object) -> ZoneInfo:
    name = _text(value, "Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    known = available_timezones()
    if not known:
        raise ValueError("names no time zone, as this system knows none; install its tzdata, or the one of Python")
    close = get_close_matches(name, known, n=1)
    meant = f'did you mean "{close[0]}"?' if close else 'write one as in "Europe/Berlin"'
    raise ValueError(f'"{name}" is no time zone; {meant}')


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """A template that stands in a file of its own."""

    path: str


def _template(value: object) -> TemplateFile | str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.keys() == {"file"} and isinstance(value["file"], str) and value["file"]:
        return TemplateFile(value["file"])
    raise ValueError('must be the text of the template, or { file = "PATH" }')


def _user_name(value: str) -> str:
    if not value or ":" in value or not value.isprintable():
        raise ValueError("must be printable, and without a colon")
    return value


_SECRET_SCHEMA: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "properties": {kind: {"type": "string", "minLength": 1}},
            "required": [kind],
            "additionalProperties": False,
        }
        for kind in ("env", "file", "credential")
    ]
}

Duration = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["30s", "1h30m"]})
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
RateText = Annotated[Rate, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ["60/m"]})]
Network = Annotated[
    IPNetwork, BeforeValidator(_network), WithJsonSchema({"type": "string", "examples": ["127.0.0.0/8"]})
]
HostName = Annotated[
    str, BeforeValidator(_host), WithJsonSchema({"type": "string", "examples": ["hooks.internal", "*.corp.example"]})
]
ListenText = Annotated[
    Listen, BeforeValidator(_listen), WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8377", "[::1]:8377"]})
]
SocketPath = Annotated[
    str, BeforeValidator(_socket_path), WithJsonSchema({"type": "string", "examples": ["relay.sock", "off"]})
]
StoreUrl = Annotated[str, BeforeValidator(_store_url), WithJsonSchema({"type": "string", "pattern": "^sqlite:///."})]
BaseUrl = Annotated[str, AfterValidator(_base_url), WithJsonSchema({"type": "string", "format": "uri"})]
TokenHash = Annotated[
    str, BeforeValidator(_token_hash), WithJsonSchema({"type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$"})
]
SecretReference = Annotated[Reference, BeforeValidator(parse_reference), WithJsonSchema(_SECRET_SCHEMA)]
DestinationUrl = Annotated[
    Reference | str,
    BeforeValidator(_destination_url),
    WithJsonSchema({"oneOf": [{"type": "string", "format": "uri"}, *_SECRET_SCHEMA["oneOf"]]}),
]
HeaderName = Annotated[str, AfterValidator(checked_name)]
HeaderValue = Annotated[
    Reference | str,
    BeforeValidator(_header_value),
    WithJsonSchema({"oneOf": [{"type": "string"}, *_SECRET_SCHEMA["oneOf"]]}),
]
ClockTime = Annotated[
    time, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"})
]
TimeZone = Annotated[
    ZoneInfo, BeforeValidator(_time_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})
]
TemplateText = Annotated[
    TemplateFile | str,
    BeforeValidator(_template),
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "minLength": 1}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
UserName = Annotated[str, AfterValidator(_user_name), WithJsonSchema({"type": "string", "pattern": "^[^:]+$"})]
ProxyUrl = Annotated[
    Reference | str,
    BeforeValidator(_proxy),
    WithJsonSchema({"oneOf": [{"type": "string", "format": "uri"}, *_SECRET_SCHEMA["oneOf"]]}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Outcome = Literal["completed", "failed", "cancelled", "expired", "not_found", "timed_out"]
