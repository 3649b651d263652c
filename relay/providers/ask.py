"""From a job to the requests that ask about it.

What stands in a URL is checked when the job is registered, so that a poll can
neither leave the provider's origin nor its place in the path.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from relay.core.address import lists
from relay.core.errors import InvalidValue
from relay.core.http import Request
from relay.core.observation import Job, check_id
from relay.providers.auth import auth_headers, auth_query
from relay.providers.spec import Param, Poll, ProviderSpec, template_names

_URL = re.compile(r"[!-\[\]-~]{1,2000}")
"""Printable ASCII without a backslash, which clients read in two ways."""
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
"""What is never escaped (RFC 3986, section 2.3), as almost every id."""


def check_job(spec: ProviderSpec, base_url: str, name: str, job: Job) -> Job:
    """Return the job with its parameters in their documented names; raises InvalidValue."""
    if spec.id_pattern is None:
        check_id("job_id", job.id)
    elif not re.fullmatch(spec.id_pattern, job.id) or _leaves_its_place(job.id):
        raise InvalidValue("job_id", f"does not look like one of {spec.title}: {spec.id_pattern}")
    params = _named(spec.params, name, job.params)
    for key, param in spec.params.items():
        if key not in params and param.required and param.default is None:
            raise InvalidValue(f"params.{key}", f"is required by {name}")
    _check_address(spec.poll, base_url, name, params)
    return Job(job.id, params)


def _named(known: Mapping[str, Param], provider: str, given: Mapping[str, str]) -> dict[str, str]:
    names = {alias: name for name, param in known.items() for alias in (name, *param.aliases)}
    params: dict[str, str] = {}
    for key, value in given.items():
        if key not in names:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidValue(f"params.{key}", f"is not a parameter of {provider}; it takes {listed}")
        _check_param(f"params.{key}", known[names[key]], value)
        if params.setdefault(names[key], value) != value:
            raise InvalidValue(f"params.{key}", f"contradicts params.{names[key]}, of which it is another name")
    return params


def _check_param(field: str, param: Param, value: str) -> None:
    unencodable = any(0xD800 <= ord(character) <= 0xDFFF for character in value)
    if unencodable or not re.fullmatch(param.pattern, value):
        raise InvalidValue(field, "does not have the form that the provider documents")
    if _leaves_its_place(value):
        raise InvalidValue(field, 'must not hold "." or ".." as a segment of a path')


def _leaves_its_place(value: str) -> bool:
    """Tell whether a URL library could resolve a part of `value` away (RFC 3986, section 5.2.4)."""
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", value))


def _check_address(poll: Poll, base_url: str, provider: str, params: Mapping[str, str]) -> None:
    """Refuse a job that names no place to ask at, or a place that is not the provider's."""
    if _has_own_url(poll, params):
        check_url(f"params.{poll.url_param}", params[str(poll.url_param)], base_url, poll.hosts)
        return
    if poll.path is None:
        raise InvalidValue(f"params.{poll.url_param}", f"is required by {provider}")
    for name in template_names(poll.path):
        if name != "id" and name not in params:
            raise InvalidValue(f"params.{name}", f"is required by {provider}")


def _has_own_url(poll: Poll, params: Mapping[str, str]) -> bool:
    return poll.url_param is not None and poll.url_param in params


def check_url(field: str, url: str, base_url: str, hosts: tuple[str, ...]) -> None:
    """Refuse, by InvalidValue, a URL from outside that would carry the key anywhere but to the provider."""
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise InvalidValue(field, "is not a URL") from None
    if not _URL.fullmatch(url) or not parts.hostname:
        raise InvalidValue(field, "is not a URL")
    if "@" in parts.netloc:
        raise InvalidValue(field, "must not hold a user")
    if (parts.scheme, parts.hostname, port) == (base.scheme, base.hostname, base.port):
        return
    if parts.scheme != "https" or port not in (None, 443):
        raise InvalidValue(field, "must be an https URL on the standard port")
    allowed = sorted({str(base.hostname), *hosts})
    if not lists(allowed, parts.hostname):
        raise InvalidValue(field, f"must name a host of the provider: {', '.join(allowed)}")


def status_request(spec: ProviderSpec, base_url: str, job: Job, secrets: Mapping[str, str], now: float) -> Request:
    """Return the request that asks about a job that passed `check_job`."""
    poll, variables = spec.poll, variables_of(spec, job)
    query = {
        name: template.format_map(variables)
        for name, template in poll.query.items()
        if not _has_own_url(poll, job.params) and all(variable in variables for variable in template_names(template))
    }
    headers = {"Accept": "application/json", **poll.headers, **auth_headers(spec.auth, secrets, now)}
    body = None
    if poll.body is not None:
        body = json.dumps(_filled(poll.body, variables)).encode()
        headers["Content-Type"] = "application/json"
    address = _address(spec, base_url, job, variables)
    return Request(poll.method, with_query(address, query | auth_query(spec.auth, secrets)), headers, body)


def status_url(spec: ProviderSpec, base_url: str, job: Job) -> str:
    """Return where a job's status stands: its own URL, or the path without the query."""
    return _address(spec, base_url, job, variables_of(spec, job))


def _address(spec: ProviderSpec, base_url: str, job: Job, variables: Mapping[str, str]) -> str:
    if _has_own_url(spec.poll, job.params):
        return job.params[str(spec.poll.url_param)]
    return base_url + fill_path(spec, spec.poll.path or "", variables)


class Variables(dict[str, str]):
    """What templates are filled with; raises InvalidValue for a parameter that the job lacks."""

    def __missing__(self, name: str) -> str:
        raise InvalidValue(f"params.{name}", "is missing: this job was registered under another description")


def variables_of(spec: ProviderSpec, job: Job, **more: str) -> Variables:
    """Return the variables of a job: its id, its parameters, the defaults of those it was not given."""
    defaults = {name: param.default for name, param in spec.params.items() if param.default is not None}
    return Variables(defaults | {"id": job.id, **job.params, **more})


def fill_path(spec: ProviderSpec, template: str, variables: Mapping[str, str]) -> str:
    """Fill a path, escaping each variable as one segment, or segment by segment where it is a resource name."""
    return template.format_map(
        Variables({name: _escaped(spec, name, value) for name, value in variables.items()}),
    )


def _escaped(spec: ProviderSpec, name: str, value: str) -> str:
    if _UNRESERVED.fullmatch(value):
        return value
    by_segment = spec.id_pattern is not None if name == "id" else name in spec.params and spec.params[name].slashes
    return quote(value, safe="/:@!$&'()*+,;=" if by_segment else "")


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return `url` with more parameters, those it has left as they are."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(variables)
    if isinstance(value, Mapping):
        return {key: _filled(item, variables) for key, item in value.items()}
    return [_filled(item, variables) for item in value] if isinstance(value, list) else value
