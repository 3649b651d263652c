"""What goes out: URLs, credentials, and the jobs that are refused before anything does."""

import base64
import hashlib
import hmac
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.core.errors import InvalidValue
from relay.core.http import Request, Response
from relay.core.observation import Job, Trouble, TroubleKind
from relay.providers import DeclaredProvider, load_preset, preset_names
from relay.providers.catalogue import parse

REQUESTS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "requests.toml").read_text())
SEEDED = {"getimg", "lumenfall", "nanogpt", "nanogpt-unified"}
NOW = 1_800_000_000.0
SECRETS = {"api_key": "secret-of-test", "access_key": "AK", "secret_key": "SK"}
HEAD = 'title = "T"\nbase_url = "https://api.example.com/v1"\n'
TAIL = '\n[status]\npath = "status"\ncompleted = ["completed"]\nfailed = ["failed"]\n'


def made(text: str, base_url: str | None = None) -> DeclaredProvider:
    return DeclaredProvider(parse(HEAD + text + TAIL, "t.toml"), "t", base_url)


def asked(provider: DeclaredProvider, job_id: str, params: Mapping[str, str] | None = None) -> Request:
    return provider.request(provider.check(Job(job_id, dict(params or {}))), SECRETS, NOW)


@pytest.mark.parametrize(
    ("preset", "params", "url", "header", "value"),
    [
        (
            "getimg",
            {},
            "https://api.getimg.ai/v2/videos/generations/req-01HXYZVIDEO1234",
            "Authorization",
            "Bearer secret-of-test",
        ),
        (
            "lumenfall",
            {},
            "https://api.lumenfall.ai/openai/v1/videos/req-01HXYZVIDEO1234",
            "Authorization",
            "Bearer secret-of-test",
        ),
        (
            "nanogpt",
            {"modelSlug": "veo2 & co"},
            "https://nano-gpt.com/api/generate-video/status?runId=req-01HXYZVIDEO1234&modelSlug=veo2%20%26%20co",
            "x-api-key",
            "secret-of-test",
        ),
        (
            "nanogpt-unified",
            {},
            "https://nano-gpt.com/api/video/status?requestId=req-01HXYZVIDEO1234",
            "x-api-key",
            "secret-of-test",
        ),
    ],
)
def test_the_seeded_providers_are_asked_as_they_document(
    preset: str, params: dict[str, str], url: str, header: str, value: str
) -> None:
    """The id stands in the path or the query, base paths are joined, and the key is in its header."""
    request = asked(DeclaredProvider(load_preset(preset), preset), "req-01HXYZVIDEO1234", params)

    assert (request.method, request.url, request.body) == ("GET", url, None)
    assert request.headers == {"Accept": "application/json", header: value}


@pytest.mark.parametrize("preset", sorted(set(preset_names()) - SEEDED))
def test_every_other_provider_is_asked_as_it_documents(preset: str) -> None:
    """The place of the id, the header of the key and what stands before it: none is like the next."""
    told = REQUESTS[preset]
    provider = DeclaredProvider(load_preset(preset), preset, told.get("base_url"))
    request = asked(provider, told.get("job", "job-1"), told.get("params"))

    assert (request.method, request.url) == (told.get("method", "GET"), told["url"])
    assert request.headers == {"Accept": "application/json"} | told["headers"]
    assert (json.loads(request.body) if request.body else None) == told.get("body")


@pytest.mark.parametrize(
    ("preset", "needed"),
    [("bfl", "polling_url"), ("kling", "kind"), ("kling-jwt", "kind"), ("vertex", "model")],
)
def test_a_job_that_could_not_be_asked_about_is_refused_at_registration(preset: str, needed: str) -> None:
    """The parameter that the status call needs is missed at once, and not at every poll."""
    with pytest.raises(InvalidValue) as refused:
        DeclaredProvider(load_preset(preset), preset).check(Job(REQUESTS[preset].get("job", "job-1")))

    assert refused.value.field == f"params.{needed}"


def test_a_configured_base_url_is_joined_and_not_replaced() -> None:
    """A gateway under a path of its own keeps that path."""
    provider = DeclaredProvider(load_preset("lumenfall"), "mine", "http://127.0.0.1:9/gate/openai/v1/")

    assert asked(provider, "video_1").url == "http://127.0.0.1:9/gate/openai/v1/videos/video_1"


@pytest.mark.parametrize(
    "job_id", ["", "a/b", "a?b", "a#b", "..", ".", "a..b", "%2e%2e", "a\nb", "a b", "ü", "x" * 513]
)
def test_an_id_that_could_leave_its_place_is_refused(job_id: str) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidValue) as refused:
        DeclaredProvider(load_preset("getimg"), "getimg").check(Job(job_id))

    assert refused.value.field == "job_id"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "params.modelSlug"),
        ({"modelSlug": ""}, "params.modelSlug"),
        ({"modelSlug": "veo\n2"}, "params.modelSlug"),
        ({"modelSlug": "\ud800"}, "params.modelSlug"),
        ({"modelSlug": "veo", "colour": "red"}, "params.colour"),
        ({"modelSlug": "veo", "model": "sora"}, "params.model"),
    ],
)
def test_a_wrong_parameter_is_refused_at_registration(params: dict[str, str], field: str) -> None:
    """A missing modelSlug would otherwise fail at every poll."""
    with pytest.raises(InvalidValue) as refused:
        DeclaredProvider(load_preset("nanogpt"), "nanogpt").check(Job("vid_1", params))

    assert refused.value.field == field


def test_the_later_name_of_a_parameter_is_accepted() -> None:
    """NanoGPT renamed modelSlug to model; the job is stored under the name that the preset asks with."""
    job = DeclaredProvider(load_preset("nanogpt"), "nanogpt").check(Job("vid_1", {"model": "veo2-video"}))

    assert job == Job("vid_1", {"modelSlug": "veo2-video"})


KIND = '[params.kind]\nrequired = true\n[poll]\npath = "/{kind}/{id}"\n'


def test_a_parameter_in_the_path_is_one_segment() -> None:
    """Whatever it holds is escaped."""
    assert asked(made(KIND), "j", {"kind": "a/b?c#d é"}).url == "https://api.example.com/v1/a%2Fb%3Fc%23d%20%C3%A9/j"


@pytest.mark.parametrize("kind", [".", "..", "../x", "a/../b", "a\\..\\b"])
def test_a_parameter_cannot_climb_out_of_the_path(kind: str) -> None:
    """Dots that a URL library would resolve are refused, since escaping them does not help."""
    with pytest.raises(InvalidValue, match=r"params\.kind"):
        made(KIND).check(Job("j", {"kind": kind}))


@pytest.mark.parametrize("app", ["flux", "fal-ai/flux/dev", "../flux", "fal-ai/", "fal-ai/fl?x"])
def test_the_app_of_fal_is_owner_and_name_alone(app: str) -> None:
    """fal answers for the app, not for the endpoint below it that the job was submitted to."""
    with pytest.raises(InvalidValue, match=r"params\.app"):
        DeclaredProvider(load_preset("fal"), "fal").check(Job("j", {"app": app}))


def test_a_resource_name_keeps_its_slashes() -> None:
    """An id_pattern makes the id a name such as Google's, and still bounds it."""
    provider = made('id_pattern = "models/[a-z0-9./-]+"\n[poll]\npath = "/{id}"\n')

    assert asked(provider, "models/veo-3.0/operations/x1").url == (
        "https://api.example.com/v1/models/veo-3.0/operations/x1"
    )
    for refused in ("operations/x", "models/../secrets", "models/x?y"):
        with pytest.raises(InvalidValue, match="job_id"):
            provider.check(Job(refused))


STATUS_URL = """
[params.status_url]
required = true
[poll]
url_param = "status_url"
hosts = ["queue.example.com", "*.region.example.com"]
"""


@pytest.mark.parametrize(
    "url",
    [
        "https://queue.example.com/a/b?c=d%2F",
        "https://queue.example.com:443/a",
        "https://eu.region.example.com/a",
        "https://api.example.com/anything",
    ],
)
def test_a_status_url_at_a_listed_host_is_polled_as_it_is(url: str) -> None:
    """Some APIs ask never to build it."""
    assert asked(made(STATUS_URL), "j", {"status_url": url}).url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://evil.example/a",
        "https://queue.example.com.evil.example/a",
        "https://region.example.com.evil.example/",
        "https://evilregion.example.com/",
        "http://queue.example.com/a",
        "http://api.example.com/a",
        "https://queue.example.com:8443/a",
        "https://user:pw@queue.example.com/a",
        "https://queue.example.com@evil.example/a",
        "https://evil.example\\@queue.example.com/a",
        "https://evil.example\\.queue.example.com/a",
        "//queue.example.com/a",
        "/a",
        "file:///etc/passwd",
        "https://queue.example.com:99999/a",
        "https://[::1/a",
        " https://queue.example.com/a",
        "https://queue.example.com/\u00e9",
    ],
)
def test_a_status_url_elsewhere_is_refused_so_the_key_is_never_sent(url: str) -> None:
    """Another host, scheme or port, a user, and whatever two libraries may read in two ways."""
    with pytest.raises(InvalidValue, match=r"params\.status_url"):
        made(STATUS_URL).check(Job("j", {"status_url": url}))


@pytest.mark.parametrize(
    ("auth", "headers", "query"),
    [
        ('{ type = "bearer" }', {"Authorization": "Bearer secret-of-test"}, ""),
        ('{ type = "header", name = "X-Key" }', {"X-Key": "secret-of-test"}, ""),
        ('{ type = "header", name = "Authorization", prefix = "Key " }', {"Authorization": "Key secret-of-test"}, ""),
        ('{ type = "query", name = "key" }', {}, "?key=secret-of-test"),
        ('{ type = "none" }', {}, ""),
    ],
)
def test_the_credential_travels_as_the_file_says(auth: str, headers: dict[str, str], query: str) -> None:
    """One table of the file tells which way."""
    request = asked(made(f'auth = {auth}\n[poll]\npath = "/{{id}}"\nheaders = {{ X-Version = "2" }}\n'), "j")

    assert request.headers == {"Accept": "application/json", "X-Version": "2"} | headers
    assert request.url == f"https://api.example.com/v1/j{query}"


def test_a_jwt_is_signed_by_hs256_and_kept_while_it_serves() -> None:
    """RFC 7515: the signature covers both segments; expiry lies at most half an hour ahead of use."""
    provider = made(
        'auth = { type = "jwt_hs256", issuer = "access_key", secret = "secret_key" }\n[poll]\npath = "/{id}"\n'
    )
    tokens = [
        provider.request(Job("j"), SECRETS, now).headers["Authorization"].removeprefix("Bearer ")
        for now in (NOW, NOW + 1499, NOW + 1500)
    ]

    head, claims, signature = tokens[0].split(".")
    assert json.loads(_decoded(head)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(_decoded(claims)) == {"iss": "AK", "exp": 1_800_001_800, "nbf": 1_799_999_995}
    assert _decoded(signature) == hmac.digest(b"SK", f"{head}.{claims}".encode(), hashlib.sha256)
    assert tokens[0] == tokens[1] != tokens[2]


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def test_a_post_carries_a_json_body_filled_at_any_depth() -> None:
    """Only text is a template; escaping is JSON's, and the query may be absent with its parameter."""
    provider = made(
        "[params.kind]\n"
        '[poll]\nmethod = "POST"\npath = "/fetch"\nquery = { kind = "{kind}" }\n'
        'body = { task = { ids = ["{id}", "x-{kind}"], deep = true }, count = 1 }\n'
    )
    request = asked(provider, "j", {"kind": 'a"b'})

    assert (request.method, request.url) == ("POST", "https://api.example.com/v1/fetch?kind=a%22b")
    assert json.loads(request.body or b"") == {"task": {"ids": ["j", 'x-a"b'], "deep": True}, "count": 1}
    assert request.headers["Content-Type"] == "application/json"


THEN = '[poll]\npath = "/{id}"\nhosts = ["cdn.example.com"]\n[then]\nurl = "result"\noutputs = { items = "video" }\n'


@pytest.mark.parametrize("url", ["/v1/x?y=%2F", "https://cdn.example.com/x", "https://api.example.com/x"])
def test_the_second_request_goes_to_the_provider(url: str) -> None:
    """The place of the result comes from the first answer."""
    body = json.dumps({"status": "completed", "result": url}).encode()
    meaning = made(THEN).interpret(Job("j"), [Response(200, {}, body)], SECRETS, NOW)

    assert isinstance(meaning, Request)
    assert meaning.url == (f"https://api.example.com{url}" if url.startswith("/") else url)
    assert meaning.headers["Authorization"] == "Bearer secret-of-test"


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/x", "http://cdn.example.com/x", "https://u@cdn.example.com/", "//evil.example/", 7, None],
)
def test_the_second_request_never_goes_elsewhere(url: object) -> None:
    """A body cannot send the key to another host."""
    body = json.dumps({"status": "completed", "result": url}).encode()
    meaning = made(THEN).interpret(Job("j"), [Response(200, {}, body)], SECRETS, NOW)

    assert isinstance(meaning, Trouble)
    assert meaning.kind is TroubleKind.MALFORMED


@pytest.mark.parametrize(("status", "kind"), [(418, TroubleKind.MISSING), (404, TroubleKind.MISSING), (503, None)])
def test_a_rule_may_be_about_a_class_of_codes(status: int, kind: TroubleKind | None) -> None:
    """A file may say "4xx", which is none of the other classes."""
    provider = made('[poll]\npath = "/{id}"\n[[http]]\ncode = ["4xx"]\nmeans = "missing"\n')
    meaning = provider.interpret(Job("j"), [Response(status, {}, b"{}")], SECRETS, NOW)

    assert isinstance(meaning, Trouble)
    assert meaning.kind is (kind or TroubleKind.UNAVAILABLE)
