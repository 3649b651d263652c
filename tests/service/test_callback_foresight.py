"""A callback URL whose name leads where it must not is refused when the watch is created, and not three days later."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import served
from support.doubles import ManualClock

from relay import assembly, config
from relay.core.address import AddressPolicy
from relay.destinations import callback_names
from relay.transport import Foresight

REFUSAL = (
    "172.18.0.5 is not a public address; callbacks.allow_networks would permit it, or callbacks.allow_hosts its name"
)


class Names:
    """A resolver: `shop` is private, `public.example` public, `gone.example` unknown, `slow.example` held up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()

    def look_up(self, host: str, port: int, *_: object, **__: object) -> list[object]:
        self.asked.append(host)
        if host == "slow.example":
            self.release.wait(20)
        addresses = {"shop": "172.18.0.5", "public.example": "93.184.216.34", "slow.example": "10.0.0.1"}
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def foresight(names: Names, clock: ManualClock) -> AsyncIterator[Foresight]:
    made = Foresight(AddressPolicy(), clock)
    yield made
    names.release.set()
    await made.close()


async def test_a_name_that_leads_to_a_private_address_is_known_to_be_refused(foresight: Foresight) -> None:
    await foresight.look_up(["shop", "public.example", "gone.example"])

    found = {name: foresight.refusal(name) for name in ("shop", "public.example", "gone.example", "never.asked")}
    assert found == {"shop": REFUSAL, "public.example": None, "gone.example": None, "never.asked": None}


async def test_an_allowed_name_is_not(names: Names, clock: ManualClock) -> None:
    foresight = Foresight(AddressPolicy(hosts=("shop",)), clock)

    await foresight.look_up(["shop"])

    assert foresight.refusal("shop") is None
    await foresight.close()


async def test_a_name_is_looked_up_once_in_a_while(foresight: Foresight, names: Names, clock: ManualClock) -> None:
    for _ in range(3):
        await foresight.look_up(["shop", "gone.example"])
    assert sorted(names.asked) == ["gone.example", "shop"]

    clock.advance(31)
    await foresight.look_up(["shop"])

    assert names.asked.count("shop") == 2


async def test_nobody_waits_long_for_a_resolver_that_says_nothing(
    foresight: Foresight, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.transport.foresight._PATIENCE_S", 0.05)
    async with asyncio.timeout(10):
        await foresight.look_up(["slow.example", "shop"])
        await foresight.look_up(["slow.example"])

    assert names.asked.count("slow.example") == 1
    assert (foresight.refusal("slow.example"), foresight.refusal("shop")) == (None, REFUSAL)


async def test_an_old_refusal_does_not_outlive_a_resolver_that_says_nothing(
    foresight: Foresight, names: Names, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name may have been put right since."""
    names.release.set()
    await foresight.look_up(["slow.example"])
    assert foresight.refusal("slow.example") is not None
    names.release.clear()
    clock.advance(31)

    monkeypatch.setattr("relay.transport.foresight._PATIENCE_S", 0.05)
    await foresight.look_up(["slow.example", "shop"])

    assert (foresight.refusal("slow.example"), foresight.refusal("shop")) == (None, REFUSAL)


async def test_the_watch_is_refused_while_there_is_someone_to_tell(
    foresight: Foresight, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text("")
    settings = config.load(tmp_path / "config.toml", presets=(), env={})
    async with served(tmp_path) as api:
        api.context.callback_target = assembly.callback_checker(settings, foresight)
        api.context.look_up = assembly.callback_look_up(foresight)

        status, problem = await api.add(callback_url="https://Shop.:8443/hook")
        assert (status, problem["errors"]) == (422, [{"field": "callback_url", "message": REFUSAL}])
        urls = ["https://shop/a", "https://public.example/b", "https://gone.example/c", None]
        watches = [
            {"provider": "plain", "job_id": f"j{number}", "callback_url": url} for number, url in enumerate(urls)
        ]
        watches.append({"provider": "plain", "job_id": "several", "callback_urls": ["https://other/a", "https://shop"]})
        _, batch = await api.call("POST", "/v1/watches/batch", json={"watches": watches})

    assert [item["status"] for item in batch["items"]] == [422, 201, 201, 201, 422]  # type: ignore[attr-defined]
    assert sorted(names.asked) == ["gone.example", "other", "public.example", "shop"]


def test_the_names_in_urls_are_those_of_their_targets() -> None:
    urls = [
        "https://Hook.Example./a?b=c",
        "http://user:pass@bücher.example:8080/",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https:///nothing",
        "not a url",
        "https://a℀b.example/",
    ]
    assert callback_names(urls) == {"hook.example", "xn--bcher-kva.example"}
