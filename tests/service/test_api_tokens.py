"""Tokens that are made, used and revoked while the API runs, and the socket that needs none."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from support.api import ROOT, SHOP, TOKENS, Api, bearer, served
from support.daemon import until

from relay.api import Listener, build_app
from relay.api.server import open_local
from relay.clock import SystemEntropy
from relay.core.access import Scope, Token, new_token
from relay.core.errors import StoreError
from relay.core.observation import Observation, Status
from relay.core.ports import DeliveryFilter


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path) as api:
        api.context.entropy = SystemEntropy()
        yield api


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path, TOKENS) as api:
        api.context.entropy = SystemEntropy()
        yield api


async def made(api: Api, *scopes: str, **more: object) -> dict[str, str]:
    status, token = await api.call("POST", "/v1/tokens", json={"name": "shop", "scopes": list(scopes)} | more)
    assert status == 201
    return token  # type: ignore[return-value]


async def test_a_token_is_told_once_and_its_text_is_nowhere_else(guarded: Api, tmp_path: Path) -> None:
    guarded.headers = bearer(ROOT)
    token = await made(guarded, "watch", "read")
    _, page = await guarded.call("GET", "/v1/tokens")

    assert token["token"].startswith(token["id"])
    assert len(token["token"]) == 47
    (first,) = page["items"]  # type: ignore[misc]
    assert first == {key: value for key, value in token.items() if key != "token"}
    stored = b"".join((tmp_path / name).read_bytes() for name in ("relay.db", "relay.db-wal"))
    assert token["id"].encode() in stored
    assert token["token"].encode() not in stored


@pytest.mark.parametrize("over", [False, True])
async def test_a_job_of_another_token_is_refused_and_nothing_of_it_is_told_to_who_asked(
    guarded: Api, over: bool
) -> None:
    mine, theirs = "https://hook.example/mine", "https://hook.example/theirs"
    guarded.headers = bearer(SHOP)
    _, watch = await guarded.add(callback_url=mine)
    guarded.headers = bearer(ROOT)
    other = await made(guarded, "watch", "read", name="other")
    if over:
        await guarded.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))

    guarded.headers = bearer(other["token"])
    item = {"provider": "plain", "job_id": "j1", "callback_url": theirs}
    status, _ = await guarded.add(callback_url=theirs)
    _, batch = await guarded.call("POST", "/v1/watches/batch", json={"watches": [item]})

    assert (status, batch["items"][0]["status"]) == (409, 409)  # type: ignore[index]
    assert [target.url for target in (await guarded.store.watch(str(watch["id"]))).targets] == [mine]
    owed = await guarded.store.deliveries(DeliveryFilter(), before=None, limit=9)
    assert [view.delivery.target.url for view in owed] == ([mine] if over else [])


async def test_anyone_on_this_machine_cannot_lock_the_others_out_by_making_the_first_token(api: Api) -> None:
    status, _ = await api.call("POST", "/v1/tokens", json={"scopes": ["read"]})

    assert status == 403
    assert (await api.call("GET", "/v1/watches"))[0] == 200


async def test_the_first_token_closes_the_api_to_those_without(api: Api) -> None:
    assert (await api.call("GET", "/v1/watches"))[0] == 200

    await api.context.created.add(new_token("rly_first-token", "shop", frozenset({Scope.READ}), now=api.clock.now()))

    assert (await api.call("GET", "/v1/watches"))[0] == 401
    assert (await api.call("GET", "/v1/watches", headers=bearer("rly_first-token")))[0] == 200


class SlowStore:
    """Keeps each token waiting until the test settles it."""

    def __init__(self) -> None:
        self.settled: list[asyncio.Future[None]] = []

    async def add_token(self, _: Token) -> None:
        self.settled.append(asyncio.get_running_loop().create_future())
        await self.settled[-1]


async def test_a_token_that_cannot_be_stored_locks_nobody_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being stored, and while another is, the API is closed already."""
    slow, token = SlowStore(), new_token("rly_first-token", "shop", frozenset({Scope.READ}), now=api.clock.now())
    monkeypatch.setattr(api.store, "add_token", slow.add_token)
    adding = [asyncio.ensure_future(api.context.created.add(token)) for _ in range(2)]

    seen = [(await api.call("GET", "/v1/watches"))[0]]
    for future, added in zip(slow.settled, adding, strict=True):
        future.set_exception(StoreError("the database failed: database or disk is full"))
        with pytest.raises(StoreError):
            await added
        seen.append((await api.call("GET", "/v1/watches"))[0])

    assert seen == [401, 401, 200]


async def test_a_token_whose_storing_nobody_waits_for_any_more_closes_the_api(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written all the same."""
    slow, token = SlowStore(), new_token("rly_first-token", "shop", frozenset({Scope.READ}), now=api.clock.now())
    monkeypatch.setattr(api.store, "add_token", slow.add_token)
    adding = asyncio.ensure_future(api.context.created.add(token))
    await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding

    assert (await api.call("GET", "/v1/watches"))[0] == 401


async def test_a_wrong_token_is_refused_even_where_none_is_needed(api: Api) -> None:
    status, problem = await api.call("GET", "/v1/watches", headers=bearer("rly_wrong"))

    assert (status, problem["detail"]) == (401, "the token is not known here")


async def test_tokens_of_one_name_see_the_same_watches_and_others_do_not(guarded: Api) -> None:
    guarded.headers = bearer(ROOT)
    second, other = await made(guarded, "read"), await made(guarded, "read", name="other")
    _, watch = await guarded.call(
        "POST", "/v1/watches", json={"provider": "plain", "job_id": "j1"}, headers=bearer(SHOP)
    )

    seen = [
        (await guarded.call("GET", f"/v1/watches/{watch['id']}", headers=bearer(token["token"])))[0]
        for token in (second, other)
    ]

    assert seen == [200, 404]


async def test_an_admin_adds_a_watch_for_the_tokens_of_a_name_and_they_may_add_it_again(guarded: Api) -> None:
    wanted = {"provider": "plain", "job_id": "j1"}
    moved = await guarded.call("POST", "/v1/watches", json=wanted | {"owner": "shop"}, headers=bearer(ROOT))
    again = await guarded.call("POST", "/v1/watches", json=wanted, headers=bearer(SHOP))
    batch = {"watches": [wanted | {"owner": "shop"}, {**wanted, "job_id": "j2", "owner": "shop"}]}
    _, results = await guarded.call("POST", "/v1/watches/batch", json=batch, headers=bearer(ROOT))
    _, seen = await guarded.call("GET", "/v1/watches", headers=bearer(SHOP))

    assert (moved[0], moved[1]["owner"]) == (201, "shop")
    assert (again[0], again[1]["id"]) == (200, moved[1]["id"])
    assert [item["status"] for item in results["items"]] == [200, 201]  # type: ignore[attr-defined]
    assert {item["job_id"] for item in seen["items"]} == {"j1", "j2"}  # type: ignore[attr-defined]


async def test_whose_a_watch_is_may_only_an_admin_say_and_see(guarded: Api) -> None:
    wanted = {"provider": "plain", "job_id": "j1"}
    refused, problem = await guarded.call("POST", "/v1/watches", json=wanted | {"owner": "shop"}, headers=bearer(SHOP))
    _, watch = await guarded.call("POST", "/v1/watches", json=wanted, headers=bearer(SHOP))
    _, page = await guarded.call("GET", "/v1/watches", headers=bearer(ROOT))

    assert (refused, problem["errors"][0]["field"]) == (422, "owner")  # type: ignore[index]
    assert "owner" not in watch
    assert [item["owner"] for item in page["items"]] == ["shop"]  # type: ignore[attr-defined]


async def test_a_watch_of_another_is_not_taken_from_them_by_naming_an_owner(guarded: Api) -> None:
    wanted = {"provider": "plain", "job_id": "j1"}
    await guarded.call("POST", "/v1/watches", json=wanted, headers=bearer(SHOP))

    mine = {**wanted, "owner": "eyes", "callback_url": "https://hook.example/a"}
    status, _ = await guarded.call("POST", "/v1/watches", json=mine, headers=bearer(ROOT))
    _, watch = await guarded.call("GET", "/v1/watches/plain:j1", headers=bearer(ROOT))

    assert status == 409
    assert (watch["owner"], watch["callback_urls"]) == ("shop", [])


async def test_a_revoked_token_is_refused_at_once_and_told_so(guarded: Api) -> None:
    guarded.headers = bearer(ROOT)
    token = await made(guarded, "read")

    status, shown = await guarded.call("DELETE", f"/v1/tokens/{token['id']}")
    _, again = await guarded.call("DELETE", f"/v1/tokens/{token['id']}")
    refused, problem = await guarded.call("GET", "/v1/watches", headers=bearer(token["token"]))

    assert (status, refused) == (200, 401)
    assert problem["detail"] == f"the token was revoked at {shown['revoked_at']}"
    assert again == shown
    assert (await guarded.call("DELETE", "/v1/tokens/rly_nothing0"))[0] == 404


async def test_a_token_that_is_revoked_while_it_waits_is_told_nothing_more(guarded: Api) -> None:
    guarded.headers = bearer(ROOT)
    _, watch = await guarded.add()
    token = await made(guarded, "admin")
    waiting = asyncio.ensure_future(
        guarded.call("GET", f"/v1/watches/{watch['id']}?wait=30", headers=bearer(token["token"]))
    )
    await until(lambda: guarded.ends._waiting, 10)

    await guarded.call("DELETE", f"/v1/tokens/{token['id']}")
    await guarded.end(str(watch["id"]), Observation(Status.COMPLETED, "done"))
    status, problem = await asyncio.wait_for(waiting, 10)

    assert (status, problem["type"]) == (401, "urn:relay:problem:unauthenticated")


async def test_an_expired_token_is_refused_and_told_so(guarded: Api) -> None:
    guarded.headers = bearer(ROOT)
    token = await made(guarded, "read", expires="1h")
    late = guarded.clock.now() + 3601
    guarded.clock.now = lambda: late  # type: ignore[method-assign]

    status, problem = await guarded.call("GET", "/v1/watches", headers=bearer(token["token"]))

    assert (status, problem["detail"]) == (401, f"the token expired at {token['expires_at']}")


@pytest.mark.parametrize("wanted", [{"scopes": []}, {"scopes": ["root"]}, {"scopes": ["read"], "expires": "soon"}, {}])
async def test_a_token_that_cannot_be_is_refused(guarded: Api, wanted: dict[str, object]) -> None:
    status, _ = await guarded.call("POST", "/v1/tokens", json=wanted, headers=bearer(ROOT))

    assert status == 422
    assert await guarded.store.tokens() == []


async def test_only_an_administrator_makes_tokens(guarded: Api) -> None:
    for method, path in (("POST", "/v1/tokens"), ("GET", "/v1/tokens"), ("DELETE", "/v1/tokens/rly_x")):
        assert (await guarded.call(method, path, headers=bearer(SHOP)))[0] == 403


class TestTheSocket:
    @pytest.fixture
    async def path(self, guarded: Api, tmp_path: Path) -> AsyncIterator[Path]:
        listener = Listener(build_app(guarded.context), grace_s=0.1)
        await listener.start()
        await listener.listen_locally(tmp_path / "relay.sock")
        yield tmp_path / "relay.sock"
        await listener.stop()
        assert not (tmp_path / "relay.sock").exists()

    async def ask(self, path: Path, way: str, **options: object) -> int:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.get(f"http://localhost{way}", **options) as answer,  # type: ignore[arg-type]
        ):
            return answer.status

    async def test_whoever_may_write_to_it_may_do_everything_without_a_token(self, path: Path) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660  # noqa: PTH116 - one call, of a file in memory
        assert await self.ask(path, "/v1/tokens") == 200

    async def test_a_token_that_is_presented_there_counts(self, path: Path) -> None:
        assert await self.ask(path, "/v1/tokens", headers=bearer(SHOP)) == 403
        assert await self.ask(path, "/v1/tokens", headers=bearer("rly_wrong")) == 401


def test_a_socket_that_a_dead_process_left_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "relay.sock"
    open_local(path).close()  # nobody listens any more, and the file stays

    with open_local(path) as living:
        living.listen()
        with pytest.raises(OSError, match="in use"):
            open_local(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
