"""relay demo: the whole path on this machine, with simulated providers and receivers."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from relay.cli import output
from relay.cli.client import ApiError, Client, Unreachable, watch_path
from relay.cli.demo_view import Progress, progress_view
from relay.cli.exit_codes import ExitCode
from relay.config.sources import PREFIX
from relay.core.signing import SigningSecret
from relay.simulator import Behaviour, Received, Receiver, Scenario, Simulator

_LIMIT_S = 16.0
"""How long everything may take; what remains of the 20 s is for stopping."""
_STOP_S = 3.0
_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Story:
    """A job of the demo, and what becomes of it."""

    provider: str
    job_id: str
    told_to: str
    expected: str
    scenario: Scenario
    params: tuple[tuple[str, str], ...] = ()


STORIES = (
    Story("getimg", "req-sunset", "app", "completed", Scenario(queued_s=0.5, running_s=2.0)),
    Story("lumenfall", "video_capybara", "slow", "completed", Scenario(queued_s=0.3, running_s=1.0)),
    Story(
        "nanogpt",
        "run-forbidden",
        "app",
        "failed",
        Scenario(outcome="failed", moderated=True, running_s=1.5),
        (("modelSlug", "veo2-video"),),
    ),
    Story("nanogpt-unified", "vid_changed-mind", "app", "cancelled", Scenario(outcome="cancelled", running_s=2.5)),
)

_CONFIG = """\
[server]
listen = "127.0.0.1:0"
[log]
format = "json"
[callbacks]
secret = {{ file = "callback-secret" }}
allow_http = true
allow_networks = ["127.0.0.0/8"]
retry = {{ first = "1s", max_gap = "2s", give_up_after = "1m" }}
[schedule]
detection_lag = "300ms"
{providers}
[destinations.team-slack]
type = "slack"
url = {{ file = "slack-url" }}
digest = "0s"
[destinations.team-discord]
type = "discord"
url = {{ file = "discord-url" }}
digest = "0s"
[[routes]]
match = {{ status = ["failed", "completed"] }}
to = ["team-slack"]
[[routes]]
match = {{ status = ["failed", "cancelled"] }}
to = ["team-discord"]
"""


@click.command()
def demo() -> int:
    """See the whole path on this machine, without keys.

    Starts simulated providers, a receiver and the real daemon on a temporary
    database, watches four jobs, and prints what was delivered.  Exits with 0
    when every message arrived and every signature held, within 20 seconds.

    \b
    Example:
      relay demo
    """
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        try:
            return asyncio.run(_demo(Path(folder)))
        except asyncio.CancelledError:
            return ExitCode.INTERRUPTED
        except (DemoFailed, ApiError, Unreachable) as error:
            output.error(str(error))
            output.say(f"the end of the daemon's log:\n{_log_tail(Path(folder))}")
            return ExitCode.ERROR


class DemoFailed(Exception):
    """The demo did not come to its end; says why."""


async def _demo(folder: Path) -> int:
    started = time.monotonic()  # noqa: TID251 - a person's clock
    _stop_in_order_when_told()
    secret = SigningSecret.of(os.urandom(24)).text
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator())
        receiver = await stack.enter_async_context(Receiver(secret))
        receiver.behave("slow", Behaviour(statuses=[503], delay_s=1.0))
        _write_configuration(folder, simulator, receiver, secret)
        try:
            async with asyncio.timeout(_LIMIT_S):
                await _tell_the_stories(folder, simulator, receiver)
        except TimeoutError:
            raise DemoFailed(f"after {_LIMIT_S:.0f} s there is still missing: {_missing(receiver)}") from None
        _print_received(receiver)
    wrong = _what_is_wrong(receiver)
    for sentence in wrong:
        output.error(sentence)
    if not wrong:
        took = time.monotonic() - started  # noqa: TID251 - likewise
        click.echo(f"\n{len(STORIES)} jobs watched, ended and delivered in {took:.1f} s; every signature held.")
    return ExitCode.ERROR if wrong else ExitCode.OK


def _stop_in_order_when_told() -> None:
    """Let SIGTERM, and a terminal that is closed, do what Ctrl-C does: end the daemon first."""
    task = asyncio.current_task()

    def stop() -> None:
        if task is not None and not task.cancelling():  # the kernel and the shell both tell of a closed terminal
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            asyncio.get_running_loop().add_signal_handler(number, stop)


async def _tell_the_stories(folder: Path, simulator: Simulator, receiver: Receiver) -> None:
    async with _daemon(folder) as url:
        click.echo(f"simulated providers at {simulator.url}, receiver at {receiver.url}, relay at {url}\n")
        client = Client(url, None)
        ids = await asyncio.to_thread(_add, client, simulator, receiver)
        await _show_progress(client, ids, receiver)


def _write_configuration(folder: Path, simulator: Simulator, receiver: Receiver, secret: str) -> None:
    providers = "".join(
        f'[providers.{name}]\napi_key = {{ env = "RELAY_DEMO_KEY" }}\n'
        f'base_url = "{simulator.base_url(name)}"\nmin_interval = "200ms"\n'
        for name in ("getimg", "lumenfall", "nanogpt", "nanogpt-unified")
    )
    (folder / "config.toml").write_text(_CONFIG.format(providers=providers))
    for name, text in (
        ("callback-secret", secret),
        ("slack-url", receiver.slack_url),
        ("discord-url", receiver.discord_url),
    ):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)


@asynccontextmanager
async def _daemon(folder: Path) -> AsyncIterator[str]:
    """Run the real daemon as a process of its own; give its address."""
    log = (folder / "daemon.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # whatever lies in the folder where this was started
        "-m",
        "relay",
        "serve",
        "--config",
        str(folder / "config.toml"),
        env=_environment(folder),
        stdout=log,
        stderr=log,
    )
    try:
        yield await _address(folder, process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        log.close()


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment without the settings in it: they may name the database of a relay that is no demo."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    places = dict.fromkeys(("STATE_DIRECTORY", "RUNTIME_DIRECTORY"), str(folder))
    return {**kept, **places, "RELAY_DEMO_KEY": "demo-key"}


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str:
    """Return where the daemon listens, as soon as its log says so."""
    while process.returncode is None:
        for line in (folder / "daemon.log").read_text().splitlines(keepends=True):
            if '"daemon.started"' in line and line.endswith("\n"):
                return str(json.loads(line)["address"])
        await asyncio.sleep(0.05)  # noqa: TID251 - likewise
    raise DemoFailed(f"the daemon ended with {process.returncode} before it was ready")


def _add(client: Client, simulator: Simulator, receiver: Receiver) -> list[str]:
    ids = []
    for story in STORIES:
        simulator.add_job(story.provider, story.job_id, story.scenario)
        watch = client.post(
            "/v1/watches",
            {
                "provider": story.provider,
                "job_id": story.job_id,
                "params": dict(story.params),
                "callback_url": receiver.callback_url(story.told_to),
                "metadata": {"story": story.job_id},
            },
        )
        click.echo(f"added    {story.provider:<16}{story.job_id:<18}{watch['id']}")
        ids.append(watch["id"])
    click.echo("")
    return ids


async def _show_progress(client: Client, ids: list[str], receiver: Receiver) -> None:
    """Show how every watch stands until everything has arrived."""
    with progress_view() as show:
        while True:
            complete = not _missing(receiver)
            show([await asyncio.to_thread(_progress, client, watch_id, receiver) for watch_id in ids])
            if complete:
                return
            await asyncio.sleep(_TICK_S)  # noqa: TID251 - likewise


def _progress(client: Client, watch_id: str, receiver: Receiver) -> Progress:
    watch = client.get(watch_path(watch_id))
    answers = [
        item.status
        for item in receiver.received
        if item.kind == "callback" and item.body["data"]["watch_id"] == watch_id
    ]
    told = "" if not answers else "delivered" if answers[-1] < 300 else f"refused with {answers[-1]}"
    literal = watch["provider_status"] or ""
    return Progress(watch["provider"], watch["job_id"], watch["status"], literal, watch["polls"], told)


def _missing(receiver: Receiver) -> str:
    """Return what has not arrived, in words; nothing when all has."""
    counted = {kind: (len(receiver.of(kind)), number) for kind, number in _expected_numbers().items()}
    return ", ".join(f"{number - came} of {number} {kind}" for kind, (came, number) in counted.items() if came < number)


def _expected_numbers() -> dict[str, int]:
    outcomes = [story.expected for story in STORIES]
    return {
        "callback": len(STORIES),
        "slack": sum(outcome in ("failed", "completed") for outcome in outcomes),
        "discord": sum(outcome in ("failed", "cancelled") for outcome in outcomes),
    }


def _print_received(receiver: Receiver) -> None:
    click.echo("\ncallbacks, signature checked by the receiver:")
    for item in receiver.of("callback"):
        data = item.body["data"]
        first = (data["outputs"] or [{"url": None}])[0]["url"] or (data["error"] or {}).get("user_message") or ""
        tries = sum(other.webhook_id == item.webhook_id for other in receiver.received)
        verdict = "verified" if item.verified else "NOT VERIFIED"
        click.echo(f"  {verdict}  {item.body['type']:<15}{data['job_id']:<18}attempt {tries}  {first[:70]}")
    click.echo("\nSlack messages:")
    for item in receiver.of("slack"):
        click.echo(f"  {item.body['text']}")
    click.echo("\nDiscord messages:")
    for item in receiver.of("discord"):
        embed = item.body["embeds"][0]
        click.echo(f"  {embed['title']}: {embed.get('description', '')}".rstrip(": "))


def _what_is_wrong(receiver: Receiver) -> list[str]:
    wrong = []
    for story in STORIES:
        arrived = [item for item in receiver.of("callback") if item.body["data"]["job_id"] == story.job_id]
        wrong += _faults_of(story, arrived)
    return wrong


def _faults_of(story: Story, arrived: list[Received]) -> list[str]:
    if not arrived:
        return [f"no callback arrived for {story.job_id}"]
    status = arrived[0].body["data"]["status"]
    faults = [] if status == story.expected else [f"{story.job_id} was told as {status}, not {story.expected}"]
    if not all(item.verified for item in arrived):
        faults.append(f"the signature for {story.job_id} does not hold")
    return faults


def _log_tail(folder: Path) -> str:
    log = folder / "daemon.log"
    return "\n".join(log.read_text().splitlines()[-20:]) if log.exists() else ""
