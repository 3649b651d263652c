"""Secrets are planted everywhere and looked for in everything that relay ever wrote.

The providers and receivers are rude: they send back whatever they were sent,
keys, tokens and URLs included, as some do in their error messages.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from support.daemon import SECRET, RelayProcess, relay_process, until

from relay.simulator import Fault, Scenario, Simulator
from relay.simulator.serving import served

KEY = "sk_canary_provider_5b1f"
OTHER_KEY = "sk_canary_other_77aa"
TOKEN = "relay_canary_api_9c3e"
SLACK = "canaryslack3d2c"
DISCORD = "canarydiscord81be"
HEADER = "canary_header_e0a4"
PASSWORD = "canary_basic_46fd"
HEARTBEAT = "canaryheartbeat0c55"
OWN_SECRET = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
PREVIOUS = "whsec_cHJldmlvdXMtcHJldmlvdXMtcHJldmlvdXM="
PROXY = "canary_proxy_9e17"
SERVICE = "canaryservice5a60"
INLINE = "sk_canary_inline_2d90"
MALFORMED = "canary_malformed_b7d1"
USERINFO = "canary_userinfo_f318"
QUERY = "canary_query_aa02"
OUTPUT = "ca4f0f5a5f7d2ca9bc9c7b53b2432d7840a971c11c9161d3d2f29e1cb6e77f8f"
"""The signature in the output URLs of the simulated getimg."""

NOWHERE = (
    KEY, OTHER_KEY, TOKEN, SLACK, DISCORD, HEADER, PASSWORD, HEARTBEAT, PROXY, SERVICE, INLINE, MALFORMED,
    base64.b64encode(f"relay:{PASSWORD}".encode()).decode(), base64.b64encode(f"relay:{PROXY}".encode()).decode(),
    SECRET.removeprefix("whsec_"), OWN_SECRET.removeprefix("whsec_"), PREVIOUS.removeprefix("whsec_"),
)  # fmt: skip
"""Neither written, nor shown, nor stored."""
CALLERS = (USERINFO, QUERY, OUTPUT)
"""The caller's own: stored, and shown where the watch, its events and its deliveries are, a password excepted."""
SHOWS_WATCHES = ("/v1/watches", "/v1/events", "/v1/deliveries", "relay show", "relay ls", "relay export", "sent to")


@asynccontextmanager
async def rude_receiver(got: dict[str, str]) -> AsyncIterator[str]:
    """Give the URL of a receiver that answers with what it was sent, and the status that the path names.

    It takes requests for others as well, as a proxy does, reads passwords, and puts what it got into `got`.
    """

    async def answer(request: web.Request) -> web.Response:
        text = await request.text()
        got[f"sent to {request.match_info['rest']} {len(got)}"] = text
        logins = [value.split(" ")[1] for value in request.headers.values() if value.startswith("Basic ")]
        passwords = [base64.b64decode(login).decode() for login in logins]
        echo = f"{request.method} {request.url} {dict(request.headers)} {text} {passwords}"
        status = int(request.match_info["status"])
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        headers = {"Location": str(request.url), "X-Echo": str(request.url)} if status == 302 else {}
        return web.Response(status=status or 500, text=echo, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{status:\\d+}/{rest:.*}", answer)
    async with served(app, "127.0.0.1", 0) as url:
        yield url


def at_home(url: str) -> str:
    """Return a URL of this machine by the name that no proxy is asked for."""
    return url.replace("127.0.0.1", "localhost")


def configuration(simulator: Simulator, proxy: str, folder: Path) -> str:
    receiver = at_home(proxy)
    secrets = {
        "key": KEY, "other-key": OTHER_KEY, "own-secret": OWN_SECRET, "previous": PREVIOUS, "password": PASSWORD,
        "slack": f"{receiver}/400/services/T0/B0/{SLACK}", "discord": f"{receiver}/500/api/webhooks/1/{DISCORD}",
        "heartbeat": f"{receiver}/404/{HEARTBEAT}", "proxy": proxy.replace("http://", f"http://relay:{PROXY}@"),
        "service": receiver.replace("http://", f"json://relay:{SERVICE}@") + f"/500/{SERVICE}/",
    }  # fmt: skip
    for name, text in secrets.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return f"""
[log]
level = "debug"
[auth]
tokens = [{{ name = "shop", hash = "sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}", scopes = ["admin"] }}]
[callbacks]
secret = {{ file = "callback-secret" }}
previous_secrets = [{{ file = "previous" }}]
allow_http = true
allow_networks = ["127.0.0.0/8", "::1/128"]
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "1s" }}
[schedule]
detection_lag = "150ms"
[heartbeat]
url = {{ file = "heartbeat" }}
every = "1s"
[egress]
proxy = {{ file = "proxy" }}
direct = ["localhost"]
[providers.getimg]
api_key = {{ file = "key" }}
base_url = "{at_home(simulator.base_url("getimg"))}"
min_interval = "100ms"
not_found_grace = "500ms"
[providers.nanogpt]
api_key = {{ file = "other-key" }}
base_url = "{at_home(simulator.base_url("nanogpt"))}"
min_interval = "100ms"
[destinations.chat]
type = "slack"
url = {{ file = "slack" }}
[destinations.room]
type = "discord"
url = {{ file = "discord" }}
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "1s" }}
[destinations.shop]
type = "callback"
url = "{receiver}/401/shop"
secret = {{ file = "own-secret" }}
headers = {{ X-Api-Key = {{ env = "SHOP_KEY" }} }}
basic_auth = {{ user = "relay", password = {{ file = "password" }} }}
raw = true
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "1s" }}
[destinations.page]
type = "apprise"
url = {{ file = "service" }}
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "1s" }}
[[routes]]
match = {{ event = ["*"] }}
to = ["chat", "room", "shop", "page"]
"""


class Witness:
    """Keeps everything that relay wrote, by where it wrote it."""

    def __init__(self, relay: RelayProcess, env: Mapping[str, str]) -> None:
        self.written: dict[str, str] = {}
        self._relay = relay
        self._env = {**os.environ, **env, "RELAY_TOKEN": TOKEN, "RELAY_URL": relay.url}

    async def command(self, *arguments: str) -> None:
        """Run a command, and keep what it says."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relay", *arguments, env=self._env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        self.written[f"relay {' '.join(arguments)}"] = (out + err).decode()

    async def ask(self, session: aiohttp.ClientSession, method: str, path: str, **options: object) -> int:
        """Ask the API, and keep its answer."""
        url = self._relay.url + path
        async with session.request(method, url, allow_redirects=False, **options) as answer:  # type: ignore[arg-type]
            text = f"{dict(answer.headers)}\n{await answer.text()}"
            self.written[f"{method} {path} {len(self.written)}"] = text
            return answer.status

    def leaks(self, *nowhere: str) -> set[tuple[str, str]]:
        """Return what was found where it must not be."""
        found = {(place, secret) for place, text in self.written.items() for secret in nowhere if secret in text}
        for place, text in self.written.items():
            if place.endswith((".db", "-wal")):
                continue
            shown = CALLERS[:1] if any(word in place for word in SHOWS_WATCHES) else CALLERS
            found |= {(place, secret) for secret in shown if secret in text}
        return found


async def test_no_secret_is_in_anything_that_relay_wrote(tmp_path: Path) -> None:
    env = {"SHOP_KEY": HEADER}
    sent: dict[str, str] = {}
    async with Simulator() as simulator, rude_receiver(sent) as receiver:
        config = configuration(simulator, receiver, tmp_path)
        async with relay_process(tmp_path, config, env) as relay:
            await relay.start()
            witness = Witness(relay, env)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
                await follow_jobs(witness, session, simulator, receiver, relay)
                await be_refused(witness, session, receiver)
                await ask_everything(witness, session)
                made = await make_token(witness)
            await configure_wrongly(witness, relay, tmp_path)
            await witness.command(
                "db", "backup", str(tmp_path / "relay.db-saved.db"), "--config", str(tmp_path / "config.toml")
            )
            for file in tmp_path.glob("relay.db*"):  # noqa: ASYNC240 - the relay that could be kept waiting is another process
                witness.written[file.name] = file.read_bytes().decode("latin-1")
            await relay.stop()
            witness.written["the log"] = relay.log()

    assert "delivery.settled" in witness.written["the log"]
    assert any(
        name.startswith("sent to shop") and "Incorrect API key provided: ***" in text for name, text in sent.items()
    )
    assert any(name == "relay.db-saved.db" for name in witness.written)
    assert any(CALLERS[1] in text for text in witness.written.values())
    witness.written |= sent
    assert witness.leaks(*NOWHERE, made) == set()


async def follow_jobs(
    witness: Witness, session: aiohttp.ClientSession, simulator: Simulator, receiver: str, relay: RelayProcess
) -> None:
    """Let jobs end in every way, and callbacks fail in every way, with providers that repeat the key they were sent."""
    echo = '{"error": {"message": "Incorrect API key provided: %s", "code": "%s"}}'
    port = receiver.rsplit(":", 1)[1]
    hosts = [
        f"http://shop:{USERINFO}@localhost:{port}/204/hook", f"http://localhost:{port}/401/hook",
        f"http://shop:{USERINFO}@localhost:{port}/500/hook", f"http://shop:{USERINFO}@127.0.0.1:{port}/204/hook", f"http://shop:{USERINFO}@127.0.0.1:{port}/500/hook",
        f"http://127.0.0.1:{port}/302/hook", f"http://127.0.0.1:{port}/401/hook", f"http://127.0.0.1:{port}/0/hook",
        f"https://127.0.0.1:{port}/204/tls", f"http://shop:{USERINFO}@127.0.0.1:9/refused",
        f"https://shop:{USERINFO}@nobody.invalid/dns", f"http://127.0.0.1:{port}/410/gone",
    ]  # fmt: skip
    outcomes = ("completed", "failed", "cancelled")
    for number, host in enumerate(hosts):
        quoted = f"Incorrect API key provided: {KEY}"
        fate = Scenario(outcomes[number % 3], queued_s=0.1, running_s=0.3, error_message=quoted)
        simulator.add_job("getimg", f"req-{number}", fate)
        body = {"provider": "getimg", "job_id": f"req-{number}", "callback_url": f"{host}?token={QUERY}"}
        assert await witness.ask(session, "POST", "/v1/watches", json=body) == 201
    simulator.add_job("nanogpt", "run-1", Scenario(queued_s=0.1, running_s=0.3))
    body = {"provider": "nanogpt", "job_id": "run-1", "params": {"modelSlug": "veo2-video"}}
    assert await witness.ask(session, "POST", "/v1/watches", json=body) == 201
    assert await witness.ask(session, "POST", "/v1/watches", json={"provider": "getimg", "job_id": "req-none"}) == 201
    for code in (500, 429, 403, 400, 404):
        simulator.faults.add(
            "getimg", Fault("status", 1, code, {"X-Echo": KEY, "Retry-After": "0"}, echo.replace("%s", KEY))
        )
    simulator.faults.add("nanogpt", Fault("status", 1, 500, {}, echo.replace("%s", OTHER_KEY)))
    simulator.faults.add("nanogpt", Fault("garbage"))
    await until(lambda: relay.log().count('"watch.ended"') >= len(hosts), 30)
    await until(lambda: relay.log().count('"delivery.settled"') >= 3 * len(hosts), 30)

    simulator.faults.add("nanogpt", Fault("status", 3, 401, {}, echo.replace("%s", OTHER_KEY)))
    simulator.add_job("nanogpt", "run-2", Scenario(queued_s=0.1, running_s=300))
    body = {"provider": "nanogpt", "job_id": "run-2", "params": {"modelSlug": "veo2-video"}}
    assert await witness.ask(session, "POST", "/v1/watches", json=body) == 201
    await until(lambda: "credential.re" in relay.log() or "provider." in relay.log(), 30)


async def be_refused(witness: Witness, session: aiohttp.ClientSession, receiver: str) -> None:
    """Ask wrongly, with secrets in every place of a request."""
    for url in (f"ftp://a:{USERINFO}@h/?t={QUERY}", f"http://a:{USERINFO}@10.0.0.1/{QUERY}", f"http:// {QUERY}", QUERY):
        body = {"provider": "getimg", "job_id": "req-bad", "callback_url": url}
        assert await witness.ask(session, "POST", "/v1/watches", json=body) == 422
    await witness.ask(session, "POST", "/v1/watches", json={"provider": TOKEN, "job_id": 7})
    await witness.ask(session, "POST", "/v1/watches", data=f'{{"callback_url": "{QUERY}')
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}x"}) as stranger:
        assert await witness.ask(stranger, "GET", "/v1/watches") == 401


async def make_token(witness: Witness) -> str:
    """Make a token, use it, and return what of it must be found nowhere else."""
    await witness.command("token", "create", "shop-2", "--json")
    made = json.loads(witness.written.popitem()[1])["token"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {made}"}) as session:
        assert await witness.ask(session, "GET", "/v1/watches") == 200
    await witness.command("token", "ls")
    return str(made)


async def ask_everything(witness: Witness, session: aiohttp.ClientSession) -> None:
    """See everything that the API and the command line show."""
    async with session.get(f"{witness._relay.url}/v1/deliveries?limit=100") as answer:
        deliveries = (await answer.json())["items"]
    for path in (
        "/v1/watches", "/v1/watches/getimg:req-1", "/v1/watches/getimg:req-1/explanation",
        "/v1/watches/nanogpt:run-2/explanation", "/v1/watches/getimg:req-none/explanation", "/v1/events",
        "/v1/deliveries", *(f"/v1/deliveries/{delivery['id']}" for delivery in deliveries),
        "/v1/providers", "/v1/destinations", "/healthz", "/readyz", "/metrics", "/openapi.json",
    ):  # fmt: skip
        assert await witness.ask(session, "GET", path) in (200, 503), path
    for name in ("chat", "room", "shop"):
        await witness.ask(session, "POST", f"/v1/destinations/{name}/test")
    config = str(witness._relay.folder / "config.toml")
    for command in (
        ("status",), ("doctor", "--config", config), ("config", "show", "--config", config), ("providers",),
        ("config", "check", "--config", config), ("explain", "getimg:req-1"), ("explain", "nanogpt:run-2"),
        ("show", "getimg:req-1"), ("ls",), ("ls", "--json"), ("export",), ("deliveries",), ("deliveries", "--json"),
        ("deliveries", "show", deliveries[0]["id"]), ("destinations",), ("destinations", "test", "room"),
        ("token", "ls"), ("db", "stats", "--config", config), ("db", "check", "--config", config), ("reload",),
    ):  # fmt: skip
        await witness.command(*command)


async def configure_wrongly(witness: Witness, relay: RelayProcess, folder: Path) -> None:
    """Give the running daemon, and one that starts, configurations with secrets where they must not be."""
    path = folder / "config.toml"
    sound = path.read_text()
    key, url = 'api_key = { file = "key" }', 'url = { file = "slack" }'
    inline = sound.replace(key, f'api_key = "{INLINE}"').replace("[log]", f'[log]\npassword = "{INLINE}"')
    inline = inline.replace(url, f'url = "https://hooks.slack.com/services/{INLINE}"')
    for text in (inline, sound.replace(key, f'api_key = "{INLINE}')):
        path.write_text(text)
        await refuse(witness, relay, path)
    path.write_text(sound)
    kept = {name: (folder / name).read_text() for name in ("own-secret", "slack", "heartbeat", "key", "proxy")}
    for name in kept:
        (folder / name).write_text(f"ht!p:/{MALFORMED}\x01\n{MALFORMED}")
    await refuse(witness, relay, path)
    for name, text in kept.items():
        (folder / name).write_text(text)
    await witness.command("reload")


async def refuse(witness: Witness, relay: RelayProcess, path: Path) -> None:
    """Have a wrong configuration refused by everyone that reads it."""
    number = str(len(witness.written))
    relay.send_signal(signal.SIGHUP)
    for command in (("config", "check"), ("config", "show"), ("doctor",), ("reload",)):
        await witness.command(*command, *(() if command == ("reload",) else ("--config", str(path))))
        name = next(reversed(witness.written))
        witness.written[f"{name} {number}"] = witness.written.pop(name)


async def test_a_crash_tells_where_it_was_and_nothing_that_was_in_memory(tmp_path: Path) -> None:
    """Memory must hold secrets: there is no core dump, and the last words hold no values."""
    dumping = ("sh", "-c", 'cd "$0" && ulimit -c unlimited; exec "$@"', str(tmp_path))
    async with Simulator() as simulator, rude_receiver({}) as receiver:
        config = configuration(simulator, receiver, tmp_path)
        async with relay_process(tmp_path, config, {"SHOP_KEY": HEADER}, dumping) as relay:
            await relay.start()
            limits = relay.seen_by_kernel("limits")
            await until(lambda: "heartbeat" in relay.log(), 20)
            relay.send_signal(signal.SIGABRT)
            # Python reads the frames of threads that go on meanwhile: now and then its last words end in a fault.
            assert await relay.stop() in (-signal.SIGABRT, -signal.SIGSEGV)
            log = relay.log()

    assert "Max core file size        0                    0" in limits
    assert not list(tmp_path.glob("core*"))  # noqa: ASYNC240 - nobody waits
    assert "Fatal Python error: Aborted" in log
    assert not [secret for secret in NOWHERE if secret in log]
