"""A described provider at work: job to request, responses to meaning.

`interpret` is total: whatever bytes come back, it returns an observation, a
trouble, or the second request that the description asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from relay.core.errors import InvalidValue
from relay.core.http import RETRY_HEADERS, Request, Response, retry_after_s
from relay.core.instant import parse_instant
from relay.core.observation import Answer, Job, JobError, Observation, Output, Status, Trouble, TroubleKind
from relay.core.text import one_line
from relay.providers import extract, trouble
from relay.providers.ask import check_job, check_url, fill_path, status_request, status_url, variables_of, with_query
from relay.providers.auth import auth_headers, auth_query, credentials
from relay.providers.paths import parse_json
from relay.providers.spec import ErrorPaths, HttpRule, Outputs, ProviderSpec, Then, fold, template_names
from relay.providers.veil import discreetly

MAX_RAW = 256 * 1024
_TROUBLES = frozenset(TroubleKind)
_HINT_UNITS_S = {"openai-poll-after-ms": 0.001, "x-poll-after": 1.0}
_HINTS = frozenset((*RETRY_HEADERS, *_HINT_UNITS_S))
"""Headers by which a provider may say when to ask again."""
_PLAIN_TYPES = ("application/json", "application/problem+json", "text/")


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
        return check_job(self._spec, self._base_url, self._name, job)

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        """See Provider."""
        return status_request(self._spec, self._base_url, job, secrets, now)

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        """See Provider."""
        try:
            meaning = discreetly(
                lambda told: self._meaning(job, told, secrets, now), answers, credentials(self._spec.auth, secrets, now)
            )
        except InvalidValue as error:
            meaning = Trouble(TroubleKind.REFUSED, one_line(str(error)))
        return meaning if isinstance(meaning, Request) else trouble.without_queries(meaning)

    def _meaning(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        first = answers[0]
        reading = self._read(first, self._spec.http, now)
        if isinstance(reading, Trouble):
            return reading
        body, meaning = reading
        if meaning is None and self._spec.poll.binary and _is_file(first, body):
            return self._binary(job, first)
        if body is None and meaning is None:
            return trouble.malformed(first)
        seen = self._observe(job, first, body, meaning, now)
        then = self._spec.then
        if isinstance(seen, Trouble) or seen.status is not Status.COMPLETED or then is None:
            return seen
        if len(answers) == 1:
            return self._second(then, job, first, body, secrets, now)
        return self._redeem(then, job, seen, answers[1], now)

    def _read(self, response: Response, rules: Sequence[HttpRule], now: float) -> tuple[Any, str | None] | Trouble:
        """Return the JSON body, None where there is none, and what the HTTP code alone means."""
        body = json_body(response) if response.complete else None
        rule = next((rule for rule in rules if matches(rule, response, body)), None)
        if rule is not None and rule.means in _TROUBLES:
            return trouble.told(TroubleKind(rule.means), response, body, now)
        if rule is not None and rule.means != "body":
            return body, rule.means
        if rule is None and not 200 <= response.status < 300 and response.status != 304:
            return trouble.told(trouble.kind_of(response.status), response, body, now)
        if response.status in (204, 304):
            return None, "running"
        if not response.complete and not self._spec.poll.binary:
            return trouble.too_large(response)
        if response.status == 202 and self._literal(body) is None and self._by_presence(body) is None:
            return body, "running"
        return body, None

    def _observe(
        self, job: Job, response: Response, body: Any, meaning: str | None, now: float
    ) -> Observation | Trouble:
        if meaning is None:
            refused = self._envelope(response, body, now)
            if isinstance(refused, Trouble):
                return refused
            meaning = refused or self._by_presence(body)
        literal, known = self._literal(body), True
        if meaning is None:
            if literal is None:
                return trouble.malformed(response, "it holds no status")
            meaning = self._literals.get(literal) or self._literals.get(fold(literal))
            known = meaning is not None
        if meaning in _TROUBLES:
            return trouble.told(TroubleKind(meaning), response, body, now)
        status = Status(meaning or "running")
        seen = self._going_on(job, response, body, now, status, literal, known=known)
        return self._ended(job, seen, response, body, now) if status.terminal else seen

    def _envelope(self, response: Response, body: Any, now: float) -> Trouble | str | None:
        """Return what the result code inside the body says, where it is not that all is well."""
        envelope = self._spec.envelope
        code = envelope.path.find(body) if envelope else None
        if envelope is None or code is None or same(code, envelope.ok):
            return None
        if same(code, envelope.failed):
            return "failed"
        kinds = (TroubleKind.MISSING, TroubleKind.UNAUTHORIZED, TroubleKind.RATE_LIMITED)
        kind = next((kind for kind in kinds if same(code, getattr(envelope, kind))), TroubleKind.UNAVAILABLE)
        return trouble.told(kind, response, body, now, code=extract.text(code, 50))

    def _literal(self, body: Any) -> str | None:
        return extract.provider_status(self._spec.status.path, body)

    def _goes_on(self, body: Any) -> bool:
        """Tell whether a body says that the job waits or runs: a result may come later than the word of it."""
        return self._literals.get(fold(self._literal(body) or "")) in ("queued", "running")

    def _by_presence(self, body: Any) -> str | None:
        return next((rule.means for rule in self._spec.status.rules if rule.holds(body)), None)

    def _going_on(
        self, job: Job, response: Response, body: Any, now: float, status: Status, literal: str | None, *, known: bool
    ) -> Observation:
        """Return what is worth knowing of a job at any time."""
        spec = self._spec
        model = extract.text(spec.model.find(body), 200) if spec.model else None
        if model is None and spec.model_param:
            model = job.params.get(spec.model_param)
        return Observation(
            status,
            literal,
            known,
            model=model,
            created_at=parse_instant(spec.created_at.find(body)) if spec.created_at else None,
            progress=extract.progress(spec.progress, body) if spec.progress else None,
            queue_position=extract.whole(spec.queue_position.find(body)) if spec.queue_position else None,
            eta_s=extract.hint_s(spec.eta, body) if spec.eta else None,
            poll_after_s=self._poll_after_s(response, body, now),
        )

    def _poll_after_s(self, response: Response, body: Any, now: float) -> float | None:
        if self._spec.poll_after is None and _HINTS.isdisjoint(response.headers):
            return None
        hints = (
            retry_after_s(response.headers, now),
            *(_header_s(response, name, unit_s) for name, unit_s in _HINT_UNITS_S.items()),
            extract.hint_s(self._spec.poll_after, body) if self._spec.poll_after else None,
        )
        return max((hint for hint in hints if hint is not None), default=None)

    def _ended(self, job: Job, seen: Observation, response: Response, body: Any, now: float) -> Observation:
        """Add what only an end brings: outputs, cost, times, error, and the body itself."""
        spec = self._spec
        outputs: tuple[Output, ...] = ()
        completed_at = parse_instant(spec.completed_at.find(body)) if spec.completed_at else None
        if seen.status is Status.COMPLETED and spec.outputs is not None:
            outputs = self._outputs(spec.outputs, job, body, completed_at or now)
        ended = replace(
            seen,
            outputs=outputs,
            cost=extract.cost(spec.cost, body) if spec.cost else None,
            completed_at=completed_at,
            poll_after_s=None,
            eta_s=None,
            queue_position=None,
            raw=_raw(response, body),
        )
        has_output = bool(outputs) or _has_text(spec.outputs, body) or spec.then is not None
        return self._concluded(ended, spec.error, body, has_output=has_output)

    def _outputs(self, spec: Outputs, job: Job, body: Any, ended_at: float) -> tuple[Output, ...]:
        def serve(item: str) -> str:
            return self._base_url + fill_path(self._spec, spec.address or "", variables_of(self._spec, job, item=item))

        return extract.outputs(spec, body, self._base_url, ended_at, serve if spec.address else None)

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
        return replace(seen, outputs=(), error=None if told_nothing and seen.status is not Status.FAILED else error)

    def _binary(self, job: Job, response: Response) -> Observation:
        content_type = extract.text(response.headers.get("content-type", "").partition(";")[0], 200)
        length = extract.whole(response.headers.get("content-length"))
        output = Output(status_url(self._spec, self._base_url, job), content_type=content_type, size_bytes=length)
        return Observation(Status.COMPLETED, str(response.status), outputs=(output,))

    def _second(
        self, then: Then, job: Job, first: Response, body: Any, secrets: Mapping[str, str], now: float
    ) -> Request | Trouble:
        """Return the request for the result of a job that succeeded."""
        spec = self._spec
        if then.url is not None:
            found = then.url.find(body)
            url = extract.resolve(found, self._base_url) if isinstance(found, str) else None
            if url is None:
                return trouble.malformed(first, "it names no place to fetch the result from")
            try:
                check_url("url", url, self._base_url, spec.poll.hosts)
            except InvalidValue as error:
                return Trouble(TroubleKind.MALFORMED, one_line(f"the place of the result {error.message}"))
        else:
            found = {name: extract.text(paths.find(body), 500) for name, paths in then.variables.items()}
            variables = variables_of(spec, job, **{name: text for name, text in found.items() if text})
            needed = [variables.get(name, "") for name in template_names(then.path or "")]
            if any(value in ("", ".", "..") for value in needed):
                return trouble.malformed(first, "it does not name the result")
            url = self._base_url + fill_path(spec, then.path or "", variables)
        headers = {"Accept": "application/json", **spec.poll.headers, **auth_headers(spec.auth, secrets, now)}
        return Request("GET", with_query(url, auth_query(spec.auth, secrets)), headers)

    def _redeem(self, then: Then, job: Job, seen: Observation, response: Response, now: float) -> Answer:
        """Return what the result of a job that succeeded says."""
        reading = self._read(response, then.http, now)
        if isinstance(reading, Trouble):
            return reading
        body, meaning = reading
        if meaning in ("queued", "running"):
            return Observation(Status(meaning), seen.provider_status, model=seen.model)
        if body is None:
            return trouble.malformed(response)
        refused = None if meaning else self._envelope(response, body, now)
        if isinstance(refused, Trouble):
            return refused
        meaning = meaning or refused
        status = Status(meaning) if meaning else seen.status
        outputs = self._outputs(then.outputs, job, body, seen.completed_at or now)
        has_output = bool(outputs) or _has_text(then.outputs, body)
        if meaning is None and not has_output and self._goes_on(body):
            return Observation(Status.RUNNING, seen.provider_status, model=seen.model)
        found = replace(seen, status=status, outputs=outputs, raw=_raw(response, body) or seen.raw)
        return self._concluded(found, then.error, body, has_output=has_output)


def json_body(response: Response) -> Any:
    """Return the JSON value of a body, or None where it is none."""
    return parse_json(response.text)


def _raw(response: Response, body: Any) -> str | None:
    if body is None or len(response.body) > MAX_RAW:
        return None
    return response.text


def _is_file(response: Response, body: Any) -> bool:
    """Tell whether a 200 is the finished file itself, and not the page of a proxy or half a JSON text."""
    declared = response.headers.get("content-type", "").lower()
    plain = not declared or declared.startswith(_PLAIN_TYPES)
    return response.status == 200 and body is None and bool(response.body) and not plain


def matches(rule: HttpRule, response: Response, body: Any) -> bool:
    """Tell whether a rule is about this answer."""
    if response.status not in rule.code and f"{response.status // 100}xx" not in rule.code:
        return False
    when = rule.when
    if when is None:
        return True
    if when.path is not None and not same(when.path.find(body), when.equals):
        return False
    return when.contains is None or when.contains.encode() in response.body


def same(value: Any, wanted: Sequence[object]) -> bool:
    """Compare as people write it in a file: 200 and "200" are one, a boolean is no number."""
    if value is None or isinstance(value, dict | list):
        return False
    return any(fold(value) == fold(item) for item in wanted)


def _header_s(response: Response, name: str, unit_s: float) -> float | None:
    value = extract.number(response.headers.get(name))
    return None if value is None or value < 0 else value * unit_s


def _has_text(spec: Outputs | None, body: Any) -> bool:
    return spec is not None and spec.text and spec.items.find(body) not in (None, "", [], {})
