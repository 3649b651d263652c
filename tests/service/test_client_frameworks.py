"""docs/client.md: each framework's recipe is run as it stands there."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from relay.client import Event, InvalidCallback, verify_callback
from relay.core.signing import SigningSecret, signed_headers

GUIDE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
SECRET, OTHER = SigningSecret.of(b"s" * 24), SigningSecret.of(b"o" * 24)
BODY = json.dumps({"type": "job.completed", "timestamp": "t", "data": {"job_id": "é"}}, ensure_ascii=False).encode()
PATH = "/hooks/relay"


def recipe(name: str, remembered: list[Event]) -> dict[str, Any]:
    """Return what a recipe defines."""
    [code] = re.findall(rf"```python {name}\n(.*?)```", GUIDE, re.DOTALL)
    namespace: dict[str, Any] = {"SECRET": SECRET.text, "remember": remembered.append, "__name__": "recipe"}
    exec(code, namespace)
    return namespace


def headers_of(secret: SigningSecret = SECRET, at: float | None = None, body: bytes = BODY) -> dict[str, str]:
    signed = signed_headers([secret], "dlv_1", time.time() if at is None else at, body)
    return {**signed, "content-type": "application/json"}


def requests() -> list[tuple[dict[str, str], bytes, int]]:
    """Return requests signed now, with what they are to be answered: signatures are good for five minutes."""
    return [(headers_of(), BODY, 204), (headers_of(OTHER), BODY, 401), (headers_of(), BODY + b" ", 401)]


def check(remembered: list[Event]) -> None:
    """Only the first request is to be believed."""
    assert [(event.id, event.type, event.data) for event in remembered] == [("dlv_1", "job.completed", {"job_id": "é"})]


async def test_aiohttp() -> None:
    from aiohttp.test_utils import TestClient, TestServer

    remembered: list[Event] = []
    async with TestClient(TestServer(recipe("aiohttp", remembered)["app"])) as client:
        for headers, body, status in requests():
            assert (await client.post(PATH, headers=headers, data=body)).status == status
    check(remembered)


async def test_a_stranger_who_writes_no_ascii_is_answered_as_any_other() -> None:
    """Bytes, which no client library sends."""
    from aiohttp.test_utils import TestServer

    async with TestServer(recipe("aiohttp", [])["app"]) as receiver:
        for name in headers_of():
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            fields = "".join(f"{key}: {value}\r\n" for key, value in headers_of().items() if key != name)
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n{fields}"
            writer.write(head.encode() + name.encode() + b": v1,\xff\r\n\r\n" + BODY)
            answer = await reader.readline()
            writer.close()
            assert (name, answer.split()[1]) == (name, b"204" if name == "content-type" else b"401")


async def test_fastapi() -> None:
    pytest.importorskip("fastapi")
    import httpx

    remembered: list[Event] = []
    transport = httpx.ASGITransport(recipe("fastapi", remembered)["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
        for headers, body, status in requests():
            assert (await client.post(PATH, headers=headers, content=body)).status_code == status
    check(remembered)


async def test_starlette() -> None:
    """The function of FastAPI's recipe, on its own."""
    pytest.importorskip("starlette")
    pytest.importorskip("fastapi")
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Route

    remembered: list[Event] = []
    route = Route(PATH, recipe("fastapi", remembered)["callback"], methods=["POST"])
    transport = httpx.ASGITransport(Starlette(routes=[route]))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
        for headers, body, status in requests():
            assert (await client.post(PATH, headers=headers, content=body)).status_code == status
    check(remembered)


def test_flask() -> None:
    pytest.importorskip("flask")
    remembered: list[Event] = []
    client = recipe("flask", remembered)["app"].test_client()
    for headers, body, status in requests():
        assert client.post(PATH, headers=headers, data=body).status_code == status
    check(remembered)


def test_django() -> None:
    pytest.importorskip("django")
    from django.conf import settings
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure()
    remembered: list[Event] = []
    view = recipe("django", remembered)["callback"]
    for headers, body, status in requests():
        request = RequestFactory().post(PATH, data=body, content_type="application/json", headers=headers)
        assert view(request).status_code == status
    assert view(RequestFactory().get(PATH)).status_code == 405
    check(remembered)


class TestVerifying:
    def test_while_secrets_are_exchanged_either_will_do(self) -> None:
        assert verify_callback(BODY, headers_of(OTHER), [SECRET.text, OTHER.text]).id == "dlv_1"
        both = signed_headers([OTHER, SECRET], "dlv_1", time.time(), BODY)
        assert verify_callback(BODY, both, SECRET.text).id == "dlv_1"

    @pytest.mark.parametrize(("age_s", "held"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
    def test_five_minutes_either_way_are_the_limit(self, age_s: int, held: bool) -> None:
        now = 1_800_000_000
        headers = headers_of(at=now - age_s)

        if held:
            assert verify_callback(BODY, headers, SECRET.text, now=now).type == "job.completed"
        else:
            with pytest.raises(InvalidCallback, match="ago"):
                verify_callback(BODY, headers, SECRET.text, now=now)

    @pytest.mark.parametrize(
        "changes",
        [
            {"webhook-id": "dlv_2"},
            {"webhook-id": ""},
            {"webhook-id": "é"},
            {"webhook-id": "\udcff"},
            {"webhook-timestamp": "soon"},
            {"webhook-timestamp": "9" * 30},
            {"webhook-timestamp": "-1"},
            {"webhook-timestamp": "\u0661\udcff"},
            {"webhook-signature": ""},
            {"webhook-signature": "v1,"},
            {"webhook-signature": "v1,é"},
            {"webhook-signature": "v1,\udcff"},
            {"webhook-signature": "v1, v1, v2,AAAA"},
        ],
    )
    def test_what_is_missing_or_mangled_is_invalid_and_nothing_worse(self, changes: dict[str, str]) -> None:
        with pytest.raises(InvalidCallback):
            verify_callback(BODY, headers_of() | changes, SECRET.text)

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"type": 1, "data": {}}', b'{"type": "x"}'])
    def test_what_is_signed_but_no_event_is_invalid(self, body: bytes) -> None:
        with pytest.raises(InvalidCallback):
            verify_callback(body, headers_of(body=body), SECRET.text)

    def test_a_secret_that_is_none_is_the_receivers_mistake(self) -> None:
        with pytest.raises(ValueError):
            verify_callback(BODY, headers_of(), "secret")
