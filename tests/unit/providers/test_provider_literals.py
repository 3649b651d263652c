"""Every status literal of every preset, however it is spelled, and every result code inside an answer."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.core.http import Request, Response
from relay.core.observation import Answer, Job, Observation
from relay.providers import DeclaredProvider, load_preset, preset_names
from relay.providers.spec import fold

LITERALS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "literals.toml").read_text())
CODES: dict[str, Any] = tomllib.loads((Path(__file__).parent / "codes.toml").read_text())
SECRETS = {"api_key": "k", "access_key": "a", "secret_key": "s"}


def body_with(where: str, literal: object) -> bytes:
    body: Any = literal
    for key in reversed(where.split(".")):
        body = {key: body}
    return json.dumps(body | {"file_id": "f", "response_url": "/r"}).encode()


def reached(meaning: Answer | Request) -> str:
    """A success without output, or whose output takes a second request, is what was asked about: a success."""
    if isinstance(meaning, Request):
        return "completed"
    if isinstance(meaning, Observation):
        missing = meaning.error is not None and meaning.error.code == "output_missing"
        assert meaning.known
        return "completed" if missing else meaning.status
    return meaning.kind


@pytest.mark.parametrize(
    ("name", "literal", "means"),
    [(name, literal, means) for name, told in LITERALS.items() for literal, means in told["means"].items()],
)
@pytest.mark.parametrize("respell", [str, str.upper, str.lower, lambda word: f" {word.title()}\n"])
def test_a_literal_means_the_same_in_any_spelling(name: str, literal: str, means: str, respell: Any) -> None:
    """Documents and servers disagree about case; spaces, dashes and underscores are one."""
    spec = load_preset(name)
    provider = DeclaredProvider(spec, name, spec.base_url or "https://own.example")
    body = body_with(LITERALS[name]["where"], respell(literal))

    assert reached(provider.interpret(Job("job-1"), [Response(200, {}, body)], SECRETS, 1_800_000_000.0)) == means


@pytest.mark.parametrize(("literal", "means"), [(False, "running"), (True, "completed")])
@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_a_boolean_is_a_status(name: str, literal: bool, means: str) -> None:
    """Google's operations say done, or do not."""
    provider = DeclaredProvider(load_preset(name), name)
    body = body_with("done", literal)

    assert reached(provider.interpret(Job("job-1"), [Response(200, {}, body)], SECRETS, 1_800_000_000.0)) == means


@pytest.mark.parametrize("name", preset_names())
def test_no_literal_of_a_preset_goes_untold(name: str) -> None:
    """The list beside this test and the preset name the same literals."""
    assert {fold(literal) for literal in LITERALS[name]["means"]} == set(load_preset(name).status.literals())


@pytest.mark.parametrize(
    ("name", "code", "means"),
    [(name, code, means) for name, told in CODES.items() for code, means in told["means"].items()],
)
@pytest.mark.parametrize("write", [str, lambda code: int(code) if code.isdigit() else code])
def test_a_result_code_inside_a_200_stands_for_what_it_says(name: str, code: str, means: str, write: Any) -> None:
    """A 200 is no success: a key that is refused must not end a job, nor a refused job be asked about for ever."""
    provider = DeclaredProvider(load_preset(name), name)
    body = body_with(CODES[name]["where"], write(code))

    assert reached(provider.interpret(Job("job-1"), [Response(200, {}, body)], SECRETS, 1_800_000_000.0)) == means


@pytest.mark.parametrize("name", preset_names())
def test_no_result_code_of_a_preset_goes_untold(name: str) -> None:
    """The list beside this test and the preset name the same codes."""
    envelope = load_preset(name).envelope
    kinds = ("missing", "unauthorized", "rate_limited", "failed")
    known = {str(code): kind for kind in kinds for code in getattr(envelope, kind, ())}
    told = CODES.get(name, {"means": {}})["means"]

    assert {code: means for code, means in told.items() if means != "unavailable"} == known


def test_a_job_error_that_quotes_the_key_is_told_without_it() -> None:
    spec = load_preset("getimg")
    body = json.dumps({"id": "a", "status": "failed", "error": {"message": "bad key sk-0123456789", "code": "auth"}})

    seen = DeclaredProvider(spec, "getimg").interpret(
        Job("a"), [Response(200, {}, body.encode())], {"api_key": "sk-0123456789"}, 1_800_000_000.0
    )

    assert isinstance(seen, Observation)
    assert seen.error is not None
    assert (seen.error.message, seen.error.code) == ("bad key ***", "auth")
