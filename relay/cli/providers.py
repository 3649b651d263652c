"""relay providers: see the presets, and teach relay another API."""

import asyncio
import json
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli import output
from relay.cli.common import CONFIG_FILE, pairs
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import Group
from relay.core.text import clean, one_line

if TYPE_CHECKING:
    from relay.core.http import Response
    from relay.core.observation import Job
    from relay.providers import ProviderSpec

_SHOWN = 4000
"""How much of an answer's body is shown to a person."""


@click.group(cls=Group)
def providers() -> None:
    """See the providers that come with relay, and teach it another.

    \b
    Examples: from a sample answer to a provider in four commands
      relay providers new --from sample.json --title "Acme" --base-url https://api.acme.example > acme.toml
      relay providers lint acme.toml
      relay providers test acme.toml --body sample.json
      relay providers test acme --id JOB_ID      (one real poll, once it is configured)
    """


@providers.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one preset a line.")
def ls(as_json: bool) -> int:
    """List the presets.

    \b
    Example:
      relay providers ls --json
    """
    from relay.providers import load_preset, preset_names

    specs = {name: load_preset(name) for name in preset_names()}
    if as_json:
        for name, spec in specs.items():
            output.json_line({"name": name, "title": spec.title, "documents": list(spec.documents)})
        return ExitCode.OK
    output.table(
        ("name", "api", "needs", "secrets"),
        (
            (
                name,
                spec.title,
                ", ".join([*(key for key, param in spec.params.items() if param.required), *_host(spec)]),
                ", ".join(spec.auth.secrets),
            )
            for name, spec in specs.items()
        ),
    )
    return ExitCode.OK


def _host(spec: "ProviderSpec") -> list[str]:
    return [] if spec.base_url else ["base_url"]


@providers.command("show")
@click.argument("name")
def show(name: str) -> int:
    """Print the file of a preset: the best beginning for one of your own.

    \b
    Example:
      relay providers show getimg > mine.toml
    """
    from relay.providers import preset_names

    if name not in preset_names():
        raise click.UsageError(f'there is no preset "{name}"; see: relay providers ls')
    click.echo((files("relay.providers") / "presets" / f"{name}.toml").read_text(), nl=False)
    return ExitCode.OK


@providers.command("lint")
@click.argument("file", type=click.Path(path_type=Path))
def lint(file: Path) -> int:
    """Tell everything that is wrong with a provider file, with line and caret.

    \b
    Example:
      relay providers lint mine.toml
    """
    from relay.providers import load_file

    spec = load_file(file)
    for doubt in _doubts(spec):
        output.say(f"{file}: warning: {doubt}")
    click.echo(f"{file}: ok ({len(spec.status.literals())} status literals)")
    return ExitCode.OK


def _doubts(spec: "ProviderSpec") -> list[str]:
    doubts = []
    rules = [rule.means for rule in spec.http] + [rule.means for rule in spec.status.rules]
    failing = spec.status.failed or "failed" in rules
    if not failing:
        doubts.append("nothing ever means failed: a failed job would be polled until its deadline")
    if spec.outputs is None and spec.require_output and not spec.then and not spec.poll.binary:
        doubts.append("no [outputs]: every success would count as failed; write them, or require_output = false")
    if not spec.documents:
        doubts.append("no documents are named: whoever mends this file will look for them")
    return doubts


@providers.command("new")
@click.option("--from", "sample", type=click.File("rb"), required=True, help="A JSON answer of the API; - for stdin.")
@click.option("--title", default="My API", help="What the API is called.")
@click.option("--base-url", default="https://api.example.com", help="Where it is.")
def new(sample: Any, title: str, base_url: str) -> int:
    """Print a provider file that fits a sample answer, for you to finish.

    \b
    Example:
      relay providers new --from sample.json --title Acme --base-url https://api.acme.example > acme.toml
    """
    from relay.providers import sketch

    try:
        click.echo(sketch(json.load(sample), title=title, base_url=base_url), nl=False)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"the sample cannot be used: {error}") from error
    return ExitCode.OK


@providers.command("test")
@click.argument("provider", metavar="NAME|FILE")
@click.option("--id", "job_id", default=None, help="The job to ask about; makes one real poll unless --body is given.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter of the job.")
@click.option("--body", type=click.File("rb"), help="Interpret this body instead of asking; - for stdin.")
@click.option("--http", "code", type=int, default=200, show_default=True, help="The HTTP code that came with it.")
@click.option("--header", "headers", multiple=True, metavar="K=V", help="A header that came with it.")
@click.option("--config", "config_path", type=CONFIG_FILE, help="The configuration, for a real poll.")
def test(
    provider: str,
    job_id: str | None,
    params: tuple[str, ...],
    body: Any,
    code: int,
    headers: tuple[str, ...],
    config_path: Path | None,
) -> int:
    """Show what an answer means and why: from a file, or by one real poll.

    \b
    Examples:
      relay providers test acme.toml --body sample.json --http 200
      relay providers test getimg --id req-01HXYZVIDEO1234

    \b
    Exit codes: 0 shown, 1 no answer, 2 usage, 78 wrong provider file or configuration.
    """
    from relay.core.http import Response
    from relay.core.observation import Job

    job = Job(job_id or "example-id", pairs(params, "--param"))
    if body is not None:
        kept = {name.lower(): value for name, value in pairs(headers, "--header").items()}
        return _interpret_sample(provider, job, Response(code, kept, body.read()))
    if job_id is None:
        raise click.UsageError("give --id for a real poll, or --body for a sample")
    return asyncio.run(_poll_once(provider, job, config_path))


def _spec_of(provider: str) -> "ProviderSpec":
    from relay.providers import load_file, load_preset, preset_names

    if provider in preset_names():
        return load_preset(provider)
    if not Path(provider).exists():
        raise click.UsageError(f'"{provider}" is neither a preset nor a file')
    return load_file(Path(provider))


def _interpret_sample(provider: str, job: "Job", response: "Response") -> int:
    from relay.providers import DeclaredProvider

    spec = _spec_of(provider)
    declared = DeclaredProvider(spec, spec.title, None if spec.base_url else "https://api.example.com")
    return _tell(declared.interpret(job, [response], _stand_ins(spec), time.time()), spec, response)  # noqa: TID251


def _stand_ins(spec: "ProviderSpec") -> dict[str, str]:
    return dict.fromkeys(spec.auth.secrets, "***")


async def _poll_once(provider: str, job: "Job", config_path: Path | None) -> int:
    """Poll a configured provider once; show what was sent, with the secrets hidden."""
    from relay.assembly import accounts, egress
    from relay.clock import SystemClock
    from relay.core.address import AddressPolicy
    from relay.core.http import Request
    from relay.inquiry import POLL_TIMEOUT_S
    from relay.log import SecretMask
    from relay.settings import load_settings
    from relay.transport import open_transport

    settings, mask, clock = load_settings(config_path), SecretMask(), SystemClock()
    found = accounts(settings, mask)
    if provider not in found:
        raise click.UsageError(f'no provider "{provider}" is configured; there is: {", ".join(sorted(found))}')
    account, chosen = found[provider], settings.providers[provider]
    job = account.provider.check(job)
    secrets = account.read_secrets()
    answers: list[Response] = []
    request = account.provider.request(job, secrets, clock.now())
    way_out = egress(settings)
    async with open_transport(AddressPolicy(operator=True), clock, connections=1, egress=way_out) as transport:
        while True:
            mask.add(request.headers.get("Authorization", "").rpartition(" ")[2])  # it may be made of a secret
            _tell_request(request, mask)
            answers.append(await transport.send(request, timeout_s=POLL_TIMEOUT_S, max_body=account.max_body))
            output.say(mask(f"< HTTP {answers[-1].status} in {answers[-1].elapsed_s:.2f} s"))
            output.say(clean(mask(answers[-1].body.decode("utf-8", "replace")), _SHOWN))
            meaning = account.provider.interpret(job, answers, secrets, clock.now())
            if not isinstance(meaning, Request) or len(answers) > 1:
                break
            request = meaning
    described = chosen.spec or str(chosen.preset)
    return _tell(meaning, _spec_or_none(described), answers[0])


def _tell_request(request: Any, mask: Any) -> None:
    output.say(one_line(mask(f"> {request.method} {request.url}"), output.WHOLE))
    for name, value in request.headers.items():
        output.say(one_line(mask(f"> {name}: {value}"), output.WHOLE))


def _spec_or_none(described: "Path | str") -> "ProviderSpec | None":
    """Return what a file or a preset says; a provider in Python has no rules to tell."""
    from relay.providers import load_file, load_preset, preset_names

    if isinstance(described, Path):
        return load_file(described)
    return load_preset(described) if described in preset_names() else None


def _tell(meaning: Any, spec: "ProviderSpec | None", response: "Response") -> int:
    from dataclasses import asdict

    from relay.core.http import Request
    from relay.providers import explain

    for sentence in explain(spec, response) if spec else ():
        output.say(one_line(sentence, output.WHOLE))
    if isinstance(meaning, Request):
        output.say("a second request would fetch the result:")
        click.echo(one_line(f"{meaning.method} {meaning.url}", output.WHOLE))
        return ExitCode.OK
    shown = {key: value for key, value in asdict(meaning).items() if key != "raw"}
    click.echo(json.dumps(shown, indent=2))
    sys.stdout.flush()
    return ExitCode.OK
