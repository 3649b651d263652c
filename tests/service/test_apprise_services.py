"""Apprise's services behind the outbox, on real sockets."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.doubles import ManualClock

from relay.config import load
from relay.core.delivery import VerdictKind, first_delivery
from relay.core.errors import ExtraMissing, RelayError
from relay.core.event import outcome_event
from relay.core.http import Fault, Request, TransportError
from relay.core.observation import Job, JobError, Observation, Status
from relay.core.ports import Outgoing
from relay.core.retry import RetryPolicy
from relay.core.sample import sample_outcome
from relay.core.watch import Target, Watch
from relay.destinations import AppriseDestination, apprise_template
from relay.outlet import Outlet
from relay.transport import ServiceTransport, check_service

NOW = 1_795_255_200.0
MAIL = Target("mail", "mail", name="mail")


class Service:
    """A receiver of Apprise's `json://` messages."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.received: list[dict[str, str]] = []
        self.hanging = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        if self.status == 0:
            await self.hanging.wait()
        self.received.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.add_routes([web.post("/{tail:.*}", service.take)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"json://127.0.0.1:{runner.addresses[0][1]}/s3cr3t-t0ken?rto=60"
    yield service
    service.hanging.set()
    await runner.cleanup()


def request(url: str, template: str | None = None, status: Status = Status.COMPLETED) -> Request:
    event = sample_outcome(status, NOW)
    own = apprise_template(template) if template else None
    return AppriseDestination(url, RetryPolicy(), own).request(first_delivery(event, MAIL, NOW), event, NOW)


async def test_a_message_arrives_with_its_title_and_kind(service: Service) -> None:
    event = sample_outcome(Status.COMPLETED, NOW)
    outlet = Outlet(AppriseDestination(service.url, RetryPolicy()), ServiceTransport())
    outgoing = Outgoing(first_delivery(event, MAIL, NOW), event)

    _, verdict = await outlet.send(outlet.request([outgoing], NOW), ManualClock(NOW))

    [told] = service.received
    assert verdict.kind is VerdictKind.DELIVERED
    assert (told["title"], told["type"]) == ("getimg job completed", "success")
    assert "Model: seedance-v1-pro" in told["message"]
    assert "Output 1, video/mp4, 1920x1080, 10s: https://cdn.example/a.mp4?sig=x&exp=1" in told["message"]
    assert told["message"].endswith(f"Watch {event.watch_id} · Delivery {outgoing.delivery.id[:12]}")


async def test_a_service_that_refuses_is_tried_again_and_no_secret_is_told(service: Service) -> None:
    service.status = 403

    with pytest.raises(TransportError) as failed:
        await ServiceTransport().send(request(service.url), timeout_s=10, max_body=1)

    assert failed.value.fault is Fault.REFUSED
    assert "error=403" in str(failed.value)
    assert "s3cr3t" not in str(failed.value)


async def test_no_secret_is_told_as_apprise_decoded_it(service: Service) -> None:
    service.status = 403
    url = service.url.replace("json://", "ntfy://").replace("s3cr3t-t0ken", "s3cr3t%2Dtop%69c")

    with pytest.raises(TransportError) as refused:
        await ServiceTransport().send(request(url), timeout_s=20, max_body=1024)

    assert "403" in refused.value.detail
    assert "s3cr3t" not in refused.value.detail


async def test_a_service_that_nobody_answers_for_is_no_success() -> None:
    with pytest.raises(TransportError, match="refused: "):
        await ServiceTransport().send(request("json://127.0.0.1:9/?cto=1"), timeout_s=10, max_body=1)


async def test_a_service_that_hangs_ends_in_time_and_keeps_nobody_else_waiting(service: Service) -> None:
    transport = ServiceTransport()
    service.status = 0

    with pytest.raises(TransportError, match=r"timeout: no answer within 0\.2 s"):
        await transport.send(request(service.url), timeout_s=0.2, max_body=1)

    service.status = 200
    assert (await transport.send(request(service.url), timeout_s=10, max_body=1)).status == 200


def test_what_a_provider_says_mentions_nobody() -> None:
    watch = Watch("wat_1", "getimg", Job("a"), Status.RUNNING, created_at=0.0, deadline=1.0, next_poll_at=0.0)
    seen = Observation(Status.FAILED, error=JobError(message="@everyone <!here> <b> [x](https://evil)"))
    event = outcome_event(watch, seen, NOW)
    made = AppriseDestination("json://x", RetryPolicy()).request(first_delivery(event, MAIL, NOW), event, NOW)

    told = json.loads(made.body or b"")
    assert told["type"] == "failure"
    for trick in ("@everyone", "<!here>", "<b>", "]("):
        assert trick not in told["body"]


def test_a_template_writes_plain_text() -> None:
    told = json.loads(request("json://x", "{{ title }}: {{ outputs[0].url|link('see') }}").body or b"")

    assert told["body"].startswith("getimg job completed: see: https://cdn.example/a.mp4?sig=x&exp=1\nWatch ")


def test_a_url_of_no_service_is_refused_and_not_shown() -> None:
    check_service("mailto://user:secret@example.com")
    with pytest.raises(RelayError, match="knows no service") as refused:
        check_service("nonsense-s3cret")
    assert "s3cret" not in str(refused.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(ExtraMissing, match=r'pip install "status-relay\[apprise\]"'):
        check_service("json://x")


def test_the_configuration_takes_it_as_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[destinations.mail]\ntype = "apprise"\nurl = { env = "MAIL" }\ntemplate = "{{ title }}"\n')

    config = load(path, presets=(), env={"MAIL": "json://x"})

    assert config.destinations["mail"].url.read() == "json://x"
