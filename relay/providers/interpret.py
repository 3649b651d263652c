"""A described provider at work: job to request, responses to meaning.

`interpret` is total: whatever bytes come back, it returns an observation, a
trouble, or the second request that the description asks for.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from relay.core.errors import InvalidValue
from relay.core.http import Request, Response, rate_reset_s, retry_after_s
from relay.core.instant import parse_instant
from relay.core.observation import (
    Answer,
    Job,
    JobError,
    Observation,
    Output,
    Status,
    Trouble,
    TroubleKind,
    check_id,
)
from relay.core.text import one_line
from relay.providers import extract
from relay.providers.auth import auth_headers, auth_query
from relay.providers.paths import Paths, parse_json
from relay.providers.spec import ErrorPaths, HttpRule, Outputs, ProviderSpec, Then, fold, template_names

MAX_RAW = 256 * 1024
_LITERAL_LIMIT = 100
_TROUBLES = frozenset(TroubleKind)
_ERROR_MESSAGE = Paths(("error.message", "message", "error", "detail", "msg", "title"))

_HTTP_TROUBLE = {
    401: TroubleKind.UNAUTHORIZED,
    402: TroubleKind.UNAUTHORIZED,
    403: TroubleKind.UNAUTHORIZED,
    404: TroubleKind.MISSING,
    408: TroubleKind.UNAVAILABLE,
    409: TroubleKind.UNAVAILABLE,
    410: TroubleKind.MISSING,
    425: TroubleKind.UNAVAILABLE,
    429: TroubleKind.RATE_LIMITED,
}
"""What a code means where the description does not say otherwise; other 4xx are refused, 5xx unavailable."""


class DeclaredProvider:
    """Implements `relay.core.ports.Provider` by a provider file."""

    def __init__(self, spec: ProviderSpec, name: str, base_url: str | None = None) -> None:
        base = base_url or spec.base_url
        if base is None:
            raise InvalidValue("base_url", f'is needed: every account of "{name}" has its own host')
        self._spec = spec
        self._name = name
        self._base_url = base.rstrip("/")
        self._literals = spec.status.literals()

    @property
    def name(self) -> str:
        """See Provider."""
        return self._name

    def check(self, job: Job) -> Job:
        """See Provider."""
        if self._spec.id_pattern is None:
            check_id("job_id", job.id)
        elif not re.fullmatch(self._spec.id_pattern, job.id) or ".." in job.id:
            raise InvalidValue("job_id", f"does not look like one of {self._spec.title}: {self._spec.id_pattern}")
        return Job(job.id, self._params(job.params))

    def _params(self, given: Mapping[str, str]) -> dict[str, str]:
        names = {alias: name for name, param in self._spec.params.items() for alias in (name, *param.aliases)}
        params: dict[str, str] = {}
        for key, value in given.items():
            if key not in names:
                known = ", ".join(sorted(self._spec.params)) or "none"
                raise InvalidValue(f"params.{key}", f"is not a parameter of {self._name}; it takes {known}")
            if not re.fullmatch(self._spec.params[names[key]].pattern, value):
                raise InvalidValue(f"params.{key}", "does not have the form that the provider documents")
            params.setdefault(names[key], value)
        for name, param in self._spec.params.items():
            if name not in params and param.default is not None:
                params[name] = param.default
            if name not in params and param.required:
                raise InvalidValue(f"params.{name}", f"is required by {self._name}")
        if self._spec.poll.url_param in params:
            self._check_url(f"params.{self._spec.poll.url_param}", params[str(self._spec.poll.url_param)])
        return params

    def _check_url(self, field: str, url: str) -> None:
        """Refuse a URL from outside that would carry the key anywhere but to the provider."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidValue(field, "is not a URL") from None
        base = urlsplit(self._base_url)
        if (parts.scheme, parts.hostname, port) == (base.scheme, base.hostname, base.port) and "@" not in parts.netloc:
            return
        if parts.scheme != "https" or "@" in parts.netloc or port not in (None, 443):
            raise InvalidValue(field, "must be an https URL on the standard port, without a user")
        if parts.hostname not in self._spec.poll.hosts:
            allowed = ", ".join(sorted({str(base.hostname), *self._spec.poll.hosts}))
            raise InvalidValue(field, f"must name a host of the provider: {allowed}")

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        """See Provider."""
        poll = self._spec.poll
        variables = {"id": job.id, **job.params}
        if poll.url_param is not None:
            url = job.params[poll.url_param]
        else:
            raw = frozenset({"id"}) if self._spec.id_pattern else frozenset[str]()
            url = self._base_url + _fill_path(poll.path or "", variables, raw)
        query = {
            name: template.format_map(variables)
            for name, template in poll.query.items()
            if all(variable in variables for variable in template_names(template))
        }
        headers = {"Accept": "application/json", **poll.headers, **auth_headers(self._spec.auth, secrets, now)}
        body = None
        if poll.body is not None:
            filled = {key: template.format_map(variables) for key, template in poll.body.items()}
            body = json.dumps(filled).encode()
            headers["Content-Type"] = "application/json"
        return Request(poll.method, _with_query(url, query | auth_query(self._spec.auth, secrets)), headers, body)

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        """See Provider."""
        first = answers[0]
        reading = self._read(first, self._spec.http, now)
        if isinstance(reading, Trouble):
            return reading
        body, meaning = reading
        if meaning is None and self._spec.poll.binary and body is None and first.status == 200:
            return self._binary(job, first)
        if body is None and meaning is None:
            return _malformed(first)
        observation = self._observe(job, first, body, meaning, now)
        if isinstance(observation, Trouble) or observation.status is not Status.COMPLETED or self._spec.then is None:
            return observation
        if len(answers) == 1:
            return self._second(self._spec.then, body, secrets, now, first)
        return self._redeem(self._spec.then, observation, answers[1], now)

    def _read(self, response: Response, rules: Sequence[HttpRule], now: float) -> tuple[Any, str | None] | Trouble:
        """Return the JSON body, None where there is none, and what the HTTP code alone means."""
        body = _json(response) if response.complete else None
        rule = _matching(rules, response, body)
        if rule is not None and rule.means != "body":
            if rule.means in _TROUBLES:
                return _trouble(TroubleKind(rule.means), response, body, now)
            return body, rule.means
        if rule is None and not 200 <= response.status < 300:
            if response.status == 304:
                return body, "running"
            return _trouble(_http_trouble(response.status), response, body, now)
        if not response.complete and not self._spec.poll.binary:
            return Trouble(TroubleKind.MALFORMED, f"the answer is larger than {len(response.body)} bytes")
        if response.status in (202, 204) and not isinstance(body, dict | list):
            return body, "running"
        return body, None

    def _observe(
        self, job: Job, response: Response, body: Any, meaning: str | None, now: float
    ) -> Observation | Trouble:
        if meaning is None:
            refused = self._envelope_trouble(response, body, now)
            if isinstance(refused, Trouble):
                return refused
            meaning = refused
        literal = self._literal(body)
        known = True
        if meaning is None:
            meaning = self._by_presence(body)
        if meaning is None:
            if literal is None:
                return _malformed(response, "it holds no status")
            meaning = self._literals.get(fold(literal))
            known = meaning is not None
        if meaning in _TROUBLES:
            return _trouble(TroubleKind(meaning), response, body, now)
        return self._observation(job, response, body, Status(meaning or "running"), literal, known=known, now=now)

    def _envelope_trouble(self, response: Response, body: Any, now: float) -> Trouble | str | None:
        envelope = self._spec.envelope
        if envelope is None:
            return None
        code = envelope.path.find(body)
        if code is None or _same(code, envelope.ok):
            return None
        if _same(code, envelope.failed):
            return "failed"
        for kind in (TroubleKind.MISSING, TroubleKind.UNAUTHORIZED, TroubleKind.RATE_LIMITED):
            if _same(code, getattr(envelope, kind)):
                return _trouble(kind, response, body, now)
        return _trouble(TroubleKind.UNAVAILABLE, response, body, now, code=extract.text(code, 50))

    def _literal(self, body: Any) -> str | None:
        for found in self._spec.status.path.each(body) if self._spec.status.path else ():
            value = found[0] if isinstance(found, list) and len(found) == 1 else found
            if isinstance(value, bool):
                return str(value).lower()
            literal = extract.text(value, _LITERAL_LIMIT)
            if literal is not None:
                return literal
        return None

    def _by_presence(self, body: Any) -> str | None:
        for rule in self._spec.status.rules:
            if rule.present.find(body) not in (None, False, "", [], {}):
                return rule.means
        return None

    def _observation(
        self, job: Job, response: Response, body: Any, status: Status, literal: str | None, *, known: bool, now: float
    ) -> Observation:
        spec = self._spec
        model = extract.text(spec.model.find(body), 200) if spec.model else None
        if model is None and spec.model_param:
            model = job.params.get(spec.model_param)
        seen = Observation(
            status=status,
            provider_status=literal,
            known=known,
            model=model,
            created_at=parse_instant(spec.created_at.find(body)) if spec.created_at else None,
            progress=self._progress(body),
            queue_position=extract.whole(spec.queue_position.find(body)) if spec.queue_position else None,
            eta_s=_hint_s(spec.eta.path.find(body), spec.eta.unit) if spec.eta else None,
            poll_after_s=self._poll_after_s(response, body, now),
        )
        if not status.terminal:
            return seen
        completed_at = parse_instant(spec.completed_at.find(body)) if spec.completed_at else None
        outputs: tuple[Output, ...] = ()
        if status is Status.COMPLETED and spec.outputs is not None and not spec.outputs.text:
            outputs = extract.outputs(spec.outputs, body, self._base_url, completed_at or now)
        return self._concluded(
            Observation(
                status=status,
                provider_status=literal,
                model=model,
                outputs=outputs,
                cost=extract.cost(spec.cost, body) if spec.cost else None,
                created_at=seen.created_at,
                completed_at=completed_at,
                progress=seen.progress,
                raw=_raw(response, body),
            ),
            spec.error,
            body,
            has_output=bool(outputs) or _has_text(spec.outputs, body) or spec.then is not None,
        )

    def _concluded(self, seen: Observation, paths: ErrorPaths, body: Any, *, has_output: bool) -> Observation:
        """Add the error to an end without result; a success that lacks its output is a failure."""
        if seen.status is Status.COMPLETED:
            if has_output or not self._spec.require_output:
                return seen
            told = extract.job_error(paths, body, seen.provider_status)
            message = told.message or "the provider reports success, but no usable output"
            error = JobError("output_missing", message, told.user_message, told.moderated)
            return replace(seen, status=Status.FAILED, outputs=(), error=error)
        error = extract.job_error(paths, body, seen.provider_status)
        told_nothing = error == JobError()
        return replace(seen, error=None if told_nothing and seen.status is not Status.FAILED else error)

    def _progress(self, body: Any) -> float | None:
        if self._spec.progress is None:
            return None
        found = self._spec.progress.path.find(body)
        if isinstance(found, str) and found.strip().endswith("%"):
            value, scale = extract.number(found.strip().rstrip("%")), 100.0
        else:
            value, scale = extract.number(found), self._spec.progress.scale
        return None if value is None else min(max(value / scale, 0.0), 1.0)

    def _poll_after_s(self, response: Response, body: Any, now: float) -> float | None:
        headers = response.headers
        hints = [retry_after_s(headers, now), _header_s(headers, "openai-poll-after-ms", 0.001)]
        hints.append(_header_s(headers, "x-poll-after", 1.0))
        if self._spec.poll_after:
            hints.append(_hint_s(self._spec.poll_after.path.find(body), self._spec.poll_after.unit))
        return max((hint for hint in hints if hint is not None), default=None)

    def _binary(self, job: Job, response: Response) -> Observation:
        url = self._base_url + _fill_path(self._spec.poll.path or "", {"id": job.id, **job.params}, frozenset())
        content_type = response.headers.get("content-type", "").partition(";")[0].strip() or None
        length = extract.whole(response.headers.get("content-length"))
        output = Output(url, content_type=content_type, size_bytes=length)
        return Observation(Status.COMPLETED, str(response.status), outputs=(output,))

    def _second(
        self, then: Then, body: Any, secrets: Mapping[str, str], now: float, first: Response
    ) -> Request | Trouble:
        headers = {"Accept": "application/json", **self._spec.poll.headers}
        headers |= auth_headers(self._spec.auth, secrets, now)
        query = auth_query(self._spec.auth, secrets)
        if then.url is not None:
            found = then.url.find(body)
            url = extract.resolve(found, self._base_url) if isinstance(found, str) else None
            if url is None:
                return _malformed(first, "it names no place to fetch the result from")
            try:
                self._check_url("url", url)
            except InvalidValue as error:
                return Trouble(TroubleKind.MALFORMED, one_line(f"the place of the result {error.message}"))
            return Request("GET", _with_query(url, query), headers)
        variables = {name: extract.text(paths.find(body), 500) for name, paths in then.variables.items()}
        if not all(name in variables and variables[name] for name in template_names(then.path or "")):
            return _malformed(first, "it does not name the result")
        filled = {name: value for name, value in variables.items() if value}
        return Request(
            "GET", self._base_url + _with_query(_fill_path(then.path or "", filled, frozenset()), query), headers
        )

    def _redeem(self, then: Then, seen: Observation, response: Response, now: float) -> Answer:
        reading = self._read(response, then.http, now)
        if isinstance(reading, Trouble):
            return reading
        body, meaning = reading
        if meaning in ("queued", "running"):
            return Observation(Status(meaning), seen.provider_status, model=seen.model)
        if body is None:
            return _malformed(response)
        status = Status(meaning) if meaning else seen.status
        outputs = extract.outputs(then.outputs, body, self._base_url, seen.completed_at or now)
        found = Observation(
            status=status,
            provider_status=seen.provider_status,
            model=seen.model,
            outputs=outputs if status is Status.COMPLETED else (),
            cost=seen.cost,
            created_at=seen.created_at,
            completed_at=seen.completed_at,
            progress=seen.progress,
            raw=_raw(response, body) or seen.raw,
        )
        return self._concluded(found, then.error, body, has_output=bool(outputs))


def _fill_path(template: str, variables: Mapping[str, str], raw: frozenset[str]) -> str:
    escaped = {name: value if name in raw else quote(value, safe="") for name, value in variables.items()}
    return template.format_map(escaped)


def _with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"


def _json(response: Response) -> Any:
    try:
        return parse_json(response.body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def _raw(response: Response, body: Any) -> str | None:
    if body is None or len(response.body) > MAX_RAW:
        return None
    return response.body.decode("utf-8-sig")


def _matching(rules: Sequence[HttpRule], response: Response, body: Any) -> HttpRule | None:
    return next((rule for rule in rules if _matches(rule, response, body)), None)


def _matches(rule: HttpRule, response: Response, body: Any) -> bool:
    if response.status not in rule.code and f"{response.status // 100}xx" not in rule.code:
        return False
    when = rule.when
    if when is None:
        return True
    if when.path is not None and not _same(when.path.find(body), when.equals):
        return False
    return when.contains is None or when.contains.encode() in response.body


def _same(value: Any, wanted: Sequence[object]) -> bool:
    """Compare as people write it in a file: 200 and "200" are one, a boolean is no number."""
    if value is None or isinstance(value, dict | list):
        return False
    return any(fold(value) == fold(item) for item in wanted)


def _http_trouble(status: int) -> TroubleKind:
    if status >= 500:
        return TroubleKind.UNAVAILABLE
    return _HTTP_TROUBLE.get(status, TroubleKind.REFUSED)


def _trouble(kind: TroubleKind, response: Response, body: Any, now: float, *, code: str | None = None) -> Trouble:
    """Return trouble in one line: the HTTP code and what the provider says itself."""
    wait = retry_after_s(response.headers, now)
    if wait is None and kind is TroubleKind.RATE_LIMITED:
        wait = rate_reset_s(response.headers.get("x-ratelimit-reset"), now)
    said = next((shown for found in _ERROR_MESSAGE.each(body) if (shown := extract.text(found, 300))), None)
    parts = [f"HTTP {response.status}", f"code {code}" if code else None]
    if 300 <= response.status < 400:
        said = "a redirect, which is not followed"
    return Trouble(kind, one_line(": ".join([", ".join(filter(None, parts)), *([said] if said else [])])), wait)


def _malformed(response: Response, why: str | None = None) -> Trouble:
    if why is None:
        start = response.body[:200].lstrip().lower()
        why = "it is empty" if not start else "it is a web page" if start.startswith(b"<") else "it is not JSON"
    return Trouble(TroubleKind.MALFORMED, f"HTTP {response.status}: the answer cannot be used: {why}")


def _header_s(headers: Mapping[str, str], name: str, unit_s: float) -> float | None:
    value = extract.number(headers.get(name))
    return None if value is None or value < 0 else value * unit_s


def _hint_s(value: Any, unit: str) -> float | None:
    found = extract.number(value)
    return None if found is None or found < 0 else found * (0.001 if unit == "ms" else 1.0)


def _has_text(spec: Outputs | None, body: Any) -> bool:
    return spec is not None and spec.text and spec.items.find(body) not in (None, "", [], {})
