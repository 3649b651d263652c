"""A provider that quotes the key it was asked with does not make relay tell it."""

import json
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from relay.core.http import Request, Response
from relay.core.observation import Answer, Job, Observation, Status, Trouble
from relay.providers import DeclaredProvider, load_preset
from relay.providers.blueprints import Blueprint, _loaded
from relay.providers.spec import DefaultValues
from relay.providers.veil import discreetly, without_secrets

KEY = "sk-canary/0123+456"
NOW = 1_800_000_000.0


def answer(body: str | object, status: int = 200) -> Response:
    return Response(status, {}, (body if isinstance(body, str) else json.dumps(body)).encode())


def told(preset: str, body: object, job: Job | None = None, secrets: Mapping[str, str] | None = None) -> Answer:
    provider = DeclaredProvider(load_preset(preset), preset)
    meaning = provider.interpret(job or Job("a"), [answer(body)], secrets or {"api_key": KEY}, NOW)
    assert not isinstance(meaning, Request)
    return meaning


def test_neither_an_end_nor_its_body_quotes_the_key() -> None:
    body = {
        "id": "a",
        "status": "completed",
        "model": f"model of {KEY}",
        "data": [{"url": f"https://cdn.example/a.mp4?key={KEY}"}],
        "request": {"headers": [f"Authorization: Bearer {KEY}"], KEY: 1},
    }

    seen = told("getimg", body)

    assert isinstance(seen, Observation)
    assert seen.status is Status.COMPLETED
    assert seen.model == "model of ***"
    assert seen.raw is not None
    assert json.loads(seen.raw)["request"] == {"headers": ["Authorization: Bearer ***"], "***": 1}
    assert "canary" not in repr(seen) + seen.raw


@pytest.mark.parametrize("length", [1990, 1999, 2005])
def test_a_message_that_is_cut_within_the_key_tells_no_part_of_it(length: int) -> None:
    message = "x" * length + KEY
    failed = told("getimg", {"id": "a", "status": "failed", "error": {"message": message, "code": "e"}})
    refused = DeclaredProvider(load_preset("getimg"), "getimg").interpret(
        Job("a"), [answer({"error": {"message": "x" * 280 + KEY}}, 403)], {"api_key": KEY}, NOW
    )

    assert isinstance(failed, Observation)
    assert isinstance(refused, Trouble)
    assert "sk" not in repr(failed) + str(failed.raw) + refused.detail


@pytest.mark.parametrize(
    "quoted",
    [
        r'"bad sk-canary\/0123+456"',
        r'"bad \u0073k-canary\u002f0123\u002b456"',
        '"bad sk-canary%2F0123%2B456"',
        r'"bad {\"key\": \"sk-canary\\/0123+456\"}"',
        '"é bad sk-canary/0123+456"',
    ],
)
def test_a_key_is_found_however_it_is_written(quoted: str) -> None:
    veiled = without_secrets(answer(f'{{"error": {quoted}, "n": [1.50, 2]}}'), frozenset({KEY}))

    text = veiled.body.decode()
    assert text.endswith(', "n": [1.50, 2]}')
    assert "***" in json.loads(text)["error"]
    assert "0123" not in json.loads(text)["error"]


def test_of_a_long_answer_only_the_strings_with_escapes_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding each word of a transcript that has one line break kept everything else waiting for seconds."""
    decoded: list[str] = []
    monkeypatch.setattr(
        "relay.providers.veil.json.loads", lambda text: decoded.append(text) or json.JSONDecoder().decode(text)
    )
    words = [{"text": f"word-{number}", "\\": '"'} for number in range(3)]

    veiled = without_secrets(answer({"text": "a\nb", "words": words}), frozenset({KEY}))

    assert json.JSONDecoder().decode(veiled.body.decode()) == {"text": "a\nb", "words": words}
    assert decoded == [r'"a\nb"', *[r'"\\"', r'"\""'] * 3]


@pytest.mark.parametrize(
    "body",
    ['{ "a" : "x\\/y \\u00e9", "n": 1.0e2,\r\n "id": 12345678 }', '{"a": "12345678', "<h1>12345678</h1>", '"\\', ""],
)
def test_a_body_that_quotes_no_secret_in_a_string_is_left_as_it_is(body: str) -> None:
    sent = answer(body)

    assert without_secrets(sent, frozenset({"12345678", "abc"})) is sent


def test_a_body_that_is_no_json_is_left_as_it_is() -> None:
    sent = Response(200, {}, b"\xff\xd8\xff\xe0 12345678 \\")

    assert without_secrets(sent, frozenset({"12345678"})) is sent


def test_a_secret_is_taken_out_also_beside_bytes_that_are_no_text() -> None:
    sent = Response(200, {}, b'{"a": "12345678 \xff"}')

    assert without_secrets(sent, frozenset({"12345678"})).body == b'{"a": "*** \\ufffd"}'


def test_a_token_made_of_the_secrets_is_not_told_either() -> None:
    preset, job = load_preset("kling-jwt"), Job("a", {"kind": "text2video"})
    secrets = {"access_key": "access-canary", "secret_key": "signing-canary"}
    sent = DeclaredProvider(preset, "kling").request(job, secrets, NOW - 1499).headers["Authorization"]

    seen = told("kling-jwt", {"code": 1000, "message": f"invalid: {sent}"}, job, secrets)

    assert isinstance(seen, Trouble)
    assert seen.detail == "HTTP 200, code 1000: invalid: Bearer ***"


def test_what_goes_back_to_the_provider_goes_whole() -> None:
    place = f"https://queue.fal.run/a/b/requests/x?token={KEY}"
    answers = [answer({"status": "COMPLETED", "response_url": place})]
    job = Job("x", {"app": "a/b"})

    second = DeclaredProvider(load_preset("fal"), "fal").interpret(job, answers, {"api_key": KEY}, NOW)

    assert isinstance(second, Request)
    assert second.url == place


def test_a_meaning_that_is_a_request_only_of_the_veiled_words_is_not_given_the_whole_ones() -> None:
    def meaning(answers: Any) -> Answer | Request:
        return Request("GET", "/next") if b"***" in answers[0].body else Observation(Status.FAILED, KEY)

    assert discreetly(meaning, [answer({"a": KEY})], frozenset({KEY})) == Request("GET", "/next")


class Rude:
    """A provider of a Python package that tells everything it reads."""

    name = "rude"

    def interpret(self, _job: Job, answers: Any, _secrets: Any, _now: float) -> Answer:
        return Observation(Status.FAILED, json.loads(answers[0].body)["error"])


blueprint = Blueprint("Rude", ("api_key",), DefaultValues(), lambda _name, _url: Rude())  # type: ignore[arg-type, return-value]


def test_a_provider_package_is_not_shown_the_key_that_an_answer_quotes() -> None:
    provider = _loaded(EntryPoint("rude", f"{__name__}:blueprint", "relay.providers")).build("rude", None)

    seen = provider.interpret(Job("a"), [answer({"error": f"bad {KEY}"})], {"api_key": KEY}, NOW)

    assert seen == Observation(Status.FAILED, "bad ***")
