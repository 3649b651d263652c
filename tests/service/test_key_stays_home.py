"""A provider's key reaches its provider and nobody else: shown by servers that record what they get."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from relay.clock import SystemClock
from relay.core.address import AddressPolicy
from relay.core.errors import InvalidValue
from relay.core.http import Request
from relay.core.observation import Job, Status, Trouble, TroubleKind
from relay.providers import DeclaredProvider
from relay.providers.catalogue import parse
from relay.transport import open_transport

KEY = "sk_home_0123456789"
FILE = """
title = "Queue"
base_url = "{home}"
[params.status_url]
required = true
[poll]
url_param = "status_url"
hosts = ["queue.example"]
[status]
path = "status"
completed = ["done"]
[then]
url = "response_url"
outputs = {{ items = "url" }}
"""


class Recorder:
    """A server that keeps the headers of every request."""

    def __init__(self) -> None:
        self.url = ""
        self.authorizations: list[str | None] = []
        self.redirect: str | None = None
        self.body: dict[str, str] = {"status": "done"}

    async def __call__(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect})
        return web.json_response(self.body)


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    recorder = Recorder()

    async def handle(request: web.Request) -> web.Response:
        return await recorder(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield recorder
    await runner.cleanup()


@pytest.fixture
async def home() -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        yield recorder


@pytest.fixture
async def stranger() -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        yield recorder


def provider(home: Recorder) -> DeclaredProvider:
    return DeclaredProvider(parse(FILE.format(home=home.url), "queue.toml"), "queue")


async def poll(made: DeclaredProvider, job: Job) -> object:
    """Ask as the poller does, following the description to its second request."""
    clock, secrets = SystemClock(), {"api_key": KEY}
    async with open_transport(AddressPolicy(operator=True), clock, connections=2) as transport:
        answers = [await transport.send(made.request(job, secrets, 0.0), timeout_s=5, max_body=9999)]
        meaning = made.interpret(job, answers, secrets, 0.0)
        if isinstance(meaning, Request):
            answers.append(await transport.send(meaning, timeout_s=5, max_body=9999))
            meaning = made.interpret(job, answers, secrets, 0.0)
    return meaning


@pytest.mark.parametrize(
    "url",
    [
        "{stranger}/status",
        "http://169.254.169.254/latest/meta-data",
        "http://queue.example/status",
        "https://user@queue.example/status",
        "https://queue.example.evil.example/status",
        "https://queue.example:8443/status",
        "{home_with_user}/status",
        "//queue.example/status",
        "file:///etc/passwd",
    ],
)
async def test_a_status_url_that_leads_elsewhere_is_refused_when_it_is_given(
    home: Recorder, stranger: Recorder, url: str
) -> None:
    given = url.format(stranger=stranger.url, home_with_user=home.url.replace("//", "//me@"))

    with pytest.raises(InvalidValue, match=r"params\.status_url"):
        provider(home).check(Job("job-1", {"status_url": given}))


async def test_a_redirect_takes_the_key_nowhere(home: Recorder, stranger: Recorder) -> None:
    home.redirect = f"{stranger.url}/status"

    meaning = await poll(provider(home), Job("job-1", {"status_url": f"{home.url}/status"}))

    assert isinstance(meaning, Trouble)
    assert meaning.kind is TroubleKind.UNAVAILABLE
    assert home.authorizations == [f"Bearer {KEY}"]
    assert stranger.authorizations == []


async def test_a_result_url_that_leads_elsewhere_is_not_fetched(home: Recorder, stranger: Recorder) -> None:
    home.body = {"status": "done", "response_url": f"{stranger.url}/result"}

    meaning = await poll(provider(home), Job("job-1", {"status_url": f"{home.url}/status"}))

    assert isinstance(meaning, Trouble)
    assert stranger.authorizations == []


async def test_at_home_the_key_is_sent_with_both_requests(home: Recorder) -> None:
    home.body = {"status": "done", "response_url": f"{home.url}/result", "url": "https://files.example/a.mp4"}

    meaning = await poll(provider(home), Job("job-1", {"status_url": f"{home.url}/status"}))

    assert getattr(meaning, "status", None) is Status.COMPLETED
    assert home.authorizations == [f"Bearer {KEY}"] * 2
