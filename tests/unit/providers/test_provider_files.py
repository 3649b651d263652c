"""Files that describe a provider: what they may leave out, and how their mistakes are told."""

from pathlib import Path

import pytest

from relay.core.http import Response
from relay.core.observation import Job, Observation, Status
from relay.providers import (
    DeclaredProvider,
    SpecInvalid,
    blueprint,
    explain,
    load_file,
    load_preset,
    preset_names,
    sketch,
)
from relay.providers.catalogue import parse

SMALL = """
title = "Small"
base_url = "https://api.example.com"
[poll]
path = "/jobs/{id}"
[status]
path = "state"
completed = ["done"]
failed = ["broken"]
[outputs]
items = "files"
"""


def test_ten_lines_describe_a_provider(tmp_path: Path) -> None:
    """All the rest has a sensible value."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    spec = load_file(path)

    body = b'{"state": "done", "files": ["/a.mp4"]}'
    seen = DeclaredProvider(spec, "small").interpret(Job("j"), [Response(200, {}, body)], {"api_key": "k"}, 0.0)

    assert isinstance(seen, Observation)
    assert (seen.status, seen.outputs[0].url) == (Status.COMPLETED, "https://api.example.com/a.mp4")
    assert spec.auth.secrets == ("api_key",)
    assert spec.defaults.deadline == "6h"


def test_all_mistakes_of_a_file_are_told_at_once_with_line_and_caret() -> None:
    """Each names its key, and what was probably meant."""
    with pytest.raises(SpecInvalid) as refused:
        parse(
            SMALL.replace("[poll]", "[pol]").replace("failed", "faild").replace('"state"', '"a.from_jsn(b)"'), "x.toml"
        )

    report = str(refused.value)
    assert 'error: the key "poll" is missing' in report
    assert 'x.toml:4:2: error: unknown key "pol"\n4 | [pol]\n  |  ^^^ did you mean "poll"?' in report
    assert 'calls "from_jsn", which is no function; did you mean "from_json"?' in report
    assert 'x.toml:9:1: error: unknown key "faild"' in report
    assert 'did you mean "failed"?' in report


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('path = "state"', 'path = "state ||"', "is not a JMESPath"),
        ('path = "state"', "path = []", "must be a JMESPath, or a list of them"),
        ("{id}", "{job}", '{job} is neither "id" nor one of params'),
        ("{id}", "{id", "is not a template"),
        ("{id}", "{id!r}", "is not a template"),
        ("https://api", "ftp://api", "is not a base URL"),
        ("https://api", "https://user@api", "is not a base URL"),
        ('path = "/jobs/{id}"', 'method = "PUT"\npath = "/jobs/{id}"', "must be one of GET, POST"),
        ('path = "/jobs/{id}"', "query = {}", "needs a path or a url_param"),
        ('path = "/jobs/{id}"', 'url_param = "where"', '"where" is not one of params'),
        ('path = "/jobs/{id}"', 'path = "/{id}"\nhosts = ["https://x.y"]', "is not a host"),
        ('completed = ["done"]', "completed = []", "nothing in this file ever means completed"),
        ("[poll]", 'auth = { type = "header" }\n[poll]', 'auth of type "header" needs a name'),
        ("[poll]", 'auth = { type = "jwt_hs256" }\n[poll]', 'auth of type "jwt_hs256" needs an issuer'),
        ("[poll]", 'id_pattern = "["\n[poll]', "is not a regular expression"),
        ("[poll]", 'defaults = { deadline = "soon" }\n[poll]', "is not a duration"),
        ("[poll]", 'max_body = "much"\n[poll]', "is not a size"),
        ("[poll]", 'max_body = "65MiB"\n[poll]', "more than the 64 MiB"),
        ("[poll]", 'defaults = { rate = "60" }\n[poll]', "is not a rate"),
        ("[poll]", f'defaults = {{ rate = "{"9" * 400}/m" }}\n[poll]', "is not a rate"),
        ("[poll]", 'defaults = { typical_duration = "0s" }\n[poll]', '"typical_duration": must be longer than 0s'),
        ("[poll]", 'defaults = { min_interval = "0ms" }\n[poll]', '"min_interval": must be longer than 0s'),
        ("[poll]", 'defaults = { max_interval = "0s" }\n[poll]', '"max_interval": must be longer than 0s'),
        ("[poll]", 'defaults = { deadline = "0h" }\n[poll]', '"deadline": must be longer than 0s'),
        ("[poll]", f'defaults = {{ deadline = "{"9" * 400}s" }}\n[poll]', "is longer than a hundred years"),
        ('items = "files"', 'items = "files"\nlifetime = "99999w"', "is longer than a hundred years"),
        ('path = "state"', f'path = "{"(" * 1000}state{")" * 1000}"', "is nested too deeply"),
        ("[poll]", f'id_pattern = "{"(" * 1000}x{")" * 1000}"\n[poll]', "is nested too deeply"),
        ("[poll]", f'id_pattern = "x{{{"9" * 20}}}"\n[poll]', "is not a regular expression"),
        ("[poll]", '[[http]]\ncode = [409]\nmeans = "gone"\n[poll]', '"means" must be one of queued, running'),
        ("[poll]", '[[http]]\ncode = 409\nmeans = "failed"\n[poll]', '"code" should be a list'),
        ("[poll]", 'envelope = "x"\n[poll]', '"envelope" should be a table'),
        ("[poll]", '[[http]]\ncode = ["6xx"]\nmeans = "failed"\n[poll]', "neither an HTTP code nor a class"),
        ('failed = ["broken"]', 'failed = ["broken", "Done"]', '"done" stands under completed and under failed'),
        ("title", "title =", "x.toml:2:9"),
    ],
)
def test_a_mistake_in_a_file_is_said_in_plain_words(old: str, new: str, said: str) -> None:
    """No jargon of the validating library."""
    with pytest.raises(SpecInvalid) as refused:
        parse(SMALL.replace(old, new, 1), "x.toml")

    assert said in str(refused.value)


def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    """Absent, no UTF-8, or far too large."""
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    (tmp_path / "large.toml").write_bytes(b"#" * 300_000)
    for name, said in (("absent", "No such file"), ("latin", "is not UTF-8"), ("large", "is larger than 256 KiB")):
        with pytest.raises(SpecInvalid, match=rf"{name}\.toml: {said}"):
            load_file(tmp_path / f"{name}.toml")


@pytest.mark.parametrize(("preset", "size"), [("getimg", 2**20), ("assemblyai", 2**24), ("vertex", 2**24)])
def test_more_is_read_of_answers_that_hold_the_result_themselves(preset: str, size: int) -> None:
    assert blueprint(preset, None).max_body == size


@pytest.mark.parametrize(
    ("preset", "rate"),
    [("nanogpt", "25/s"), ("nanogpt-unified", "25/s"), ("replicate", "3000/m"), ("assemblyai", "4000/m")],
)
def test_a_documented_limit_of_a_key_is_kept_from_the_start(preset: str, rate: str) -> None:
    assert load_preset(preset).defaults.rate == rate


def test_a_batch_is_watched_for_longer_than_its_window_of_a_day() -> None:
    """It may take all of its 24 hours, and the deadline of other jobs is six."""
    assert load_preset("openai-batches").defaults.deadline == "26h"


@pytest.mark.parametrize(
    ("preset", "least"),
    [
        ("assemblyai", "3s"),
        ("gemini", "5s"),
        ("openrouter", "5s"),
        ("runway", "5s"),
        ("stability", "5s"),
        ("vertex", "5s"),
    ],
)
def test_a_provider_that_asks_for_patience_is_given_it(preset: str, least: str) -> None:
    """Their documents and SDKs name these pauses, or longer ones."""
    assert load_preset(preset).defaults.min_interval == least


def test_the_presets_of_the_first_providers_are_there() -> None:
    """They are known by the names that a configuration enables."""
    assert {"getimg", "lumenfall", "nanogpt", "nanogpt-unified"} <= set(preset_names())
    with pytest.raises(KeyError):
        load_preset("../spec")


@pytest.mark.parametrize(
    "body",
    [b'{"status": ["completed"]}', b'{"data": {"status": {}}, "status": "completed"}'],
    ids=["alone_in_a_list", "by_the_second_path"],
)
def test_an_explanation_finds_the_status_where_the_poll_found_it(body: bytes) -> None:
    sentences = list(explain(load_preset("nanogpt-unified"), Response(200, {}, body)))

    assert any(sentence.endswith('found "completed", listed under completed') for sentence in sentences)


def test_a_sketch_of_an_api_with_symbols_in_its_name_and_keys_can_be_read() -> None:
    text = sketch({"\U0001f3ac": {"status": "done"}}, title="Films \U0001f3ac", base_url="https://a.example")

    spec = parse(text, "films.toml")

    assert spec.title == "Films \U0001f3ac"
    assert spec.status.path is not None
    assert spec.status.path.find({"\U0001f3ac": {"status": "done"}}) == "done"


def test_a_file_is_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors on Windows put one, and the configuration may have one too."""
    path = tmp_path / "small.toml"
    text = SMALL.replace("Small", "Gr\u00f6\u00dfe")

    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        path.write_bytes(data)
        assert load_file(path).title == "Gr\u00f6\u00dfe"
