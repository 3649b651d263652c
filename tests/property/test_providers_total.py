"""Whatever a provider answers, the interpreter answers in turn, and never raises."""

import contextlib
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.errors import InvalidValue
from relay.core.event import outcome_event
from relay.core.http import Request, Response
from relay.core.observation import Job, Observation, Status, Trouble
from relay.core.text import one_line
from relay.core.watch import Watch
from relay.providers import DeclaredProvider, load_preset, preset_names
from relay.providers.paths import parse_json
from relay.providers.veil import without_secrets

CASES = Path(__file__).parents[1] / "unit" / "providers" / "cases"
NOW = 1_800_000_000.0
SECRETS = {"api_key": "secret-of-test", "access_key": "access-of-test", "secret_key": "signing-of-test"}

WORDS = st.sampled_from(["id", "status", "data", "output", "error", "message", "code", "url", "COMPLETED", "failed"])
NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.sampled_from([10**400, -(10**4000), 1.7e308, 0.1, 200, 0, 1e11, 1e13])
)
TEXTS = st.one_of(
    WORDS, st.text(st.characters()), st.sampled_from(["\ud800", "/x", "https://a.example/x?y", "{", "[1]"])
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, st.text()), inner, max_size=5)
    ),
    max_leaves=25,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "openai-poll-after-ms", "content-type"]),
    st.one_of(
        st.text(st.characters()),
        st.sampled_from(["1e400", "nan", "-5", "video/mp4", "é\udce9", "Wed, 99 Xxx 2015", "99999999999999"]),
    ),
)
CODES = st.one_of(
    st.sampled_from([200, 200, 200, 202, 204, 304, 400, 403, 404, 410, 422, 429, 500, 524]), st.integers(100, 599)
)


def provider_of(name: str) -> tuple[DeclaredProvider, Job]:
    spec = load_preset(name)
    provider = DeclaredProvider(spec, name, spec.base_url or "https://own.example/base")
    job = next(Job(told.get("job", "job-1"), told.get("params", {})) for told in asked(name))
    return provider, provider.check(job)


@cache
def asked(name: str) -> list[dict[str, Any]]:
    return [tomllib.loads(path.read_text()) for path in sorted((CASES / name).glob("*/case.toml"))]


def check_meaning(name: str, answers: list[Response]) -> None:
    provider, job = provider_of(name)
    meaning = provider.interpret(job, answers, SECRETS, NOW)
    assert isinstance(meaning, Observation | Trouble | Request)
    if isinstance(meaning, Request):
        assert meaning.url.startswith("https://")
        meaning = provider.interpret(job, answers * 2, SECRETS, NOW)
    if isinstance(meaning, Trouble):
        assert meaning.detail == meaning.detail.strip() != ""
        assert meaning.detail == one_line(meaning.detail, 400)
        assert len(meaning.detail) <= 310
    elif isinstance(meaning, Observation) and meaning.status.terminal:
        watch = Watch("wat_1", name, job, Status.RUNNING, created_at=NOW, deadline=NOW + 1, next_poll_at=NOW)
        json.loads(outcome_event(watch, meaning, NOW).payload(with_raw=True))


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=40)
@given(value=VALUES, status=CODES, headers=HEADERS)
def test_any_json_value_is_an_observation_or_trouble(
    name: str, value: Any, status: int, headers: dict[str, str]
) -> None:
    """Every type, nesting, huge number and lone surrogate; what ends a job can be told in an event."""
    check_meaning(name, [Response(status, headers, json.dumps(value).encode())])


@cache
def recorded(name: str) -> list[Any]:
    bodies = []
    for path in sorted((CASES / name).glob("*/*.json")):
        with contextlib.suppress(ValueError):
            bodies.append(json.loads(path.read_text()))
    return bodies


def replace_somewhere(draw: st.DataObject, body: Any) -> Any:
    """Return `body` with one of its parts, at any depth, made into anything."""
    if isinstance(body, dict | list) and body and draw.draw(st.integers(0, 3)):
        copy = dict(body) if isinstance(body, dict) else dict(enumerate(body))
        key = draw.draw(st.sampled_from(list(copy)))
        copy[key] = replace_somewhere(draw, copy[key])
        return copy if isinstance(body, dict) else list(copy.values())
    return draw.draw(VALUES)


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=60)
@given(draw=st.data(), status=st.sampled_from([200, 200, 200, 202, 400]))
def test_a_recorded_body_with_anything_inside_is_an_observation_or_trouble(
    name: str, draw: st.DataObject, status: int
) -> None:
    """The paths of the preset find what they look for, and it is of any type."""
    body = replace_somewhere(draw, draw.draw(st.sampled_from(recorded(name))))
    check_meaning(name, [Response(status, {}, json.dumps(body).encode())])


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=25)
@given(body=st.binary(max_size=300), status=CODES, headers=HEADERS, complete=st.booleans())
def test_any_bytes_are_an_observation_or_trouble(
    name: str, body: bytes, status: int, headers: dict[str, str], complete: bool
) -> None:
    """Also what is no JSON and no UTF-8, and what was cut."""
    check_meaning(name, [Response(status, headers, body, complete=complete)])


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("video/mp4; codecs=avc1", "video/mp4"),
        ("video/mp4\udce9", "video/mp4"),
        ("\udcff", None),
        (f"video/{'x' * 9000}", f"video/{'x' * 193}…"),
    ],
)
def test_a_file_is_told_whatever_its_content_type_is_written_in(declared: str, kept: str | None) -> None:
    """Bytes outside UTF-8 come as surrogates, which no event and no store could hold."""
    provider, job = provider_of("stability")

    seen = provider.interpret(job, [Response(200, {"content-type": declared}, b"\0")], SECRETS, NOW)

    assert isinstance(seen, Observation)
    assert (seen.status, seen.outputs[0].content_type) == (Status.COMPLETED, kept)


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"data":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"status": "completed", "data": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"status": ' + b"9" * 100_000 + b"}",
        b'{"status": "completed", "data": [' + b'{"url": "/x"},' * 20_000 + b"{}]}",
    ],
    ids=["deep-arrays", "deep-objects", "deep-outputs", "long-number", "many-outputs"],
)
def test_bodies_made_to_exhaust_are_survived(name: str, body: bytes) -> None:
    """Depth, digits and counts are bounded."""
    check_meaning(name, [Response(200, {}, body)])


@pytest.mark.parametrize("name", preset_names())
@given(identifier=st.text(max_size=60), value=st.text(max_size=60))
def test_no_id_and_no_parameter_leaves_the_origin_or_the_path(name: str, identifier: str, value: str) -> None:
    """An id is refused, or it stays on the provider's host, in as many segments as the file has."""
    spec = load_preset(name)
    base = spec.base_url or "https://own.example/base"
    provider = DeclaredProvider(spec, name, base)
    try:
        job = provider.check(Job(identifier, dict.fromkeys(spec.params, value)))
    except InvalidValue:
        return
    url = provider.request(job, SECRETS, NOW).url
    assert url.startswith(f"{base}/") or spec.poll.url_param
    assert "#" not in url
    assert url.isascii()
    assert url.isprintable()
    assert "/../" not in url.partition("?")[0] + "/"


def planted(value: Any, secret: str) -> Any:
    """Return a value with the secret in each of its texts."""
    if isinstance(value, dict):
        return {f"{key}{secret}": planted(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [planted(item, secret) for item in value]
    return f"{value} {secret}!" if isinstance(value, str) else value


@settings(deadline=None)
@given(VALUES, st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=20), st.booleans())
def test_a_veiled_body_is_the_same_json_without_the_secret(value: Any, secret: str, ascii_only: bool) -> None:
    body = json.dumps(planted(value, secret), ensure_ascii=ascii_only).encode("utf-8", "replace")

    veiled = without_secrets(Response(200, {}, body), frozenset({secret}))

    if "*" not in secret and parse_json(body.decode()) is not None:
        assert shape(json.loads(veiled.body)) == shape(json.loads(body))
        assert secret not in texts(json.loads(veiled.body))


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def texts(value: Any) -> str:
    if isinstance(value, dict):
        return "\0\0".join([*value, *map(texts, value.values())])
    return "\0\0".join(map(texts, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
