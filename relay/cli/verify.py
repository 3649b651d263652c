"""relay verify."""

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from relay.cli import output
from relay.cli.common import CONFIG_FILE, seconds
from relay.cli.exit_codes import ExitCode
from relay.core.duration import format_duration
from relay.core.instant import parse_instant
from relay.core.text import one_line
from relay.core.verification import Candidate, Diagnosis, diagnose

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where secrets are to be taken from."""

    files: tuple[Path, ...]
    variables: tuple[str, ...]
    texts: tuple[str, ...]
    config: Path | None
    destination: str | None

    def candidates(self) -> list[Candidate]:
        """Return the secrets, each with where it is from; asks a person for one where there is no source."""
        found = [Candidate(str(path), read_text(path)) for path in self.files]
        for name in self.variables:
            if name not in os.environ:
                raise click.UsageError(f"the environment variable {name} is not set")
            found.append(Candidate(f"${name}", os.environ[name]))
        found += [Candidate(f"--secret {number}", text) for number, text in enumerate(self.texts, 1)]
        if self.config is not None or self.destination is not None:
            found += _configured(self.config, self.destination)
        if found:
            return found
        if not sys.stdin.isatty():
            raise click.UsageError("no secret: give --secret-file, --secret-env, or --config")
        return [Candidate("the secret", click.prompt("Signing secret", hide_input=True, err=True))]


def _instant(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    instant = parse_instant(text)
    if text is not None and instant is None:
        raise click.BadParameter(f'"{text}" is no time; write 2026-11-21T10:00:00Z, or Unix seconds', ctx, param)
    return instant


@click.command()
@click.argument("request_file", metavar="[REQUEST]", type=click.File("rb"), required=False)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the message.")
@click.option("--headers", "header_file", type=click.File("rb"), help="A file with the headers, one a line.")
@click.option("--body", type=click.File("rb"), help="A file with the body, byte for byte; - for stdin.")
@click.option("--secret-file", "files", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
              help="A file with the secret; the current one first, then those being exchanged.")  # fmt: skip
@click.option("--secret-env", "variables", multiple=True, metavar="NAME", help="A variable with the secret.")
@click.option("--secret", "texts", multiple=True, help="The secret itself; others on this machine may see it.")
@click.option("--config", type=CONFIG_FILE, help="Take the secrets that this configuration signs with.")
@click.option("--destination", metavar="NAME", help="Those of a destination of the configuration.")
@click.option("--at", callback=_instant, metavar="TIME", help="When the message arrived; else now.")
@click.option("--tolerance", callback=seconds, default="5m", show_default=True, help="How old it may be, or ahead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    request_file: BinaryIO | None,
    headers: tuple[str, ...],
    header_file: BinaryIO | None,
    body: BinaryIO | None,
    files: tuple[Path, ...],
    variables: tuple[str, ...],
    texts: tuple[str, ...],
    config: Path | None,
    destination: str | None,
    at: float | None,
    tolerance: float,
    as_json: bool,
) -> int:
    """Tell whether a signed message is valid, and why not; needs no daemon.

    REQUEST is the message as it came, in one file or from stdin (-): the headers,
    an empty line, the body.  Or give headers and body by themselves.  A public
    key (whpk_...) verifies v1a.

    \b
    Examples:
      relay verify request.http --secret-file callback-secret
      relay verify --headers headers.txt --body body.json --secret-file callback-secret
      relay verify -H 'webhook-id: dlv_1' -H 'webhook-timestamp: 1795255200' \\
        -H 'webhook-signature: v1,...' --body body.json --secret-env WEBHOOK_SECRET
      relay verify request.http --config /etc/relay/config.toml --at 2026-11-21T10:00:00Z

    \b
    To learn what your own code does wrong, give the signature that it computed as webhook-signature.
    Without a secret, a person is asked for it.
    Exit codes: 0 valid, 1 not valid, 2 usage, 78 wrong configuration.
    """
    lines, content = _message(request_file, headers, header_file, body)
    sources = _Sources(files, variables, texts, config, destination)
    now = time.time() if at is None else at  # noqa: TID251 - the clock of the person who asks
    seen = diagnose(_parsed(lines), content, sources.candidates(), now, tolerance)
    _tell(seen, as_json=as_json)
    return ExitCode.OK if seen.valid else ExitCode.ERROR


def _message(
    request: BinaryIO | None, headers: tuple[str, ...], header_file: BinaryIO | None, body: BinaryIO | None
) -> tuple[list[str], bytes]:
    """Return the lines of the headers, and the body."""
    if request is None and body is None:
        raise click.UsageError("no message: name a file with the request, or give --body and its headers")
    if request is not None and body is not None:
        raise click.UsageError("choose REQUEST or --body")
    lines = list(headers) + (_text(header_file.read()).splitlines() if header_file else [])
    if body is not None:
        return lines, body.read()
    whole = request.read() if request else b""
    end = _BLANK_LINE.search(whole)
    if end is None:
        raise click.UsageError("the request has no empty line, behind which its body would begin")
    return [*_text(whole[: end.start()]).splitlines(), *lines], whole[end.end() :]


def _parsed(lines: list[str]) -> dict[str, str]:
    """Return the headers; a request line, and what else is none, is passed over."""
    found = filter(None, map(_HEADER.fullmatch, lines))
    return {header[1].lower(): header[2] for header in found}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def read_text(path: Path) -> str:
    """Return what a file holds; raises UsageError where that is no text, or cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} holds no text") from None


def _configured(path: Path | None, destination: str | None) -> list[Candidate]:
    from relay.settings import load_settings

    settings = load_settings(path)
    signing = settings.callbacks.signing
    if destination is not None:
        chosen = settings.destinations.get(destination)
        if chosen is None or chosen.signing is None:
            signs = ", ".join(sorted(name for name, place in settings.destinations.items() if place.signing))
            raise click.UsageError(f'no destination "{destination}" signs; those that do: {signs or "none"}')
        signing = chosen.signing
    return [Candidate(secret.key, secret.read()) for secret in signing.secrets]


def _tell(seen: Diagnosis, *, as_json: bool) -> None:
    if as_json:
        output.json_line(
            {
                "valid": seen.valid,
                "webhook_id": seen.message_id,
                "signed_by": seen.signed_by,
                "age_s": seen.age_s,
                "findings": [
                    {"code": finding.slip, "message": finding.message, "hint": finding.hint}
                    for finding in seen.findings
                ],
            }
        )
        return
    click.echo(_verdict(seen))
    for finding in seen.findings:
        click.echo(f"- {one_line(finding.message)}")
        if finding.hint:
            click.echo(f"  {one_line(finding.hint)}")


def _verdict(seen: Diagnosis) -> str:
    if not seen.valid:
        return "not valid"
    age_s = seen.age_s or 0.0
    distance = f"{format_duration(age_s)} ago" if age_s >= 0 else f"{format_duration(-age_s)} ahead of this clock"
    return f"valid: {one_line(seen.message_id or '')}, signed by {seen.signed_by} {distance}"
