"""`relay verify`: what a person has in hand, in; a verdict and its reasons, out."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from relay.cli import cli
from relay.core.ed25519 import SigningKey
from relay.core.signing import SigningSecret, signed_headers

NOW = 1_795_255_200
BODY = b'{"type":"job.completed","data":{}}'
SECRET, OLD = SigningSecret.of(b"s" * 24), SigningSecret.of(b"o" * 24)


def request_file(folder: Path, body: bytes = BODY, *, newline: str = "\r\n", **changed: str) -> str:
    headers = {**signed_headers([SECRET], "dlv_1", NOW, BODY), **changed}
    lines = ["POST /hooks HTTP/1.1", "Host: shop.example", *(f"{name}: {value}" for name, value in headers.items())]
    path = folder / "request.http"
    path.write_bytes((newline.join(lines) + 2 * newline).encode() + body)
    return str(path)


def secret_file(folder: Path, secret: SigningSecret = SECRET, name: str = "secret") -> str:
    (folder / name).write_text(secret.text + "\n")
    return str(folder / name)


def run(*arguments: str, at: int = NOW + 3, **options: str) -> Result:
    return CliRunner().invoke(cli, ["verify", *arguments, "--at", str(at)], standalone_mode=False, **options)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_a_request_as_it_came_is_valid(tmp_path: Path, newline: str) -> None:
    path = secret_file(tmp_path)
    done = run(request_file(tmp_path, newline=newline), "--secret-file", path)

    assert (done.return_value, done.output) == (0, f"valid: dlv_1, signed by {path} 3s ago\n")


def test_headers_and_body_may_come_apart(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(BODY)
    headers = [f"{name}: {value}" for name, value in signed_headers([SECRET], "dlv_1", NOW, BODY).items()]
    (tmp_path / "headers").write_text("\n".join(headers[1:]) + "\n")

    arguments = ["-H", headers[0], "--headers", str(tmp_path / "headers"), "--body", str(tmp_path / "body")]

    assert run(*arguments, "--secret-file", secret_file(tmp_path)).return_value == 0


def test_a_request_may_come_by_standard_input_and_the_secret_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", SECRET.text)

    done = run("-", "--secret-env", "HOOK", input=Path(request_file(tmp_path)).read_bytes())

    assert (done.return_value, done.output) == (0, "valid: dlv_1, signed by $HOOK 3s ago\n")


def test_what_is_wrong_is_told_with_the_way_out(tmp_path: Path) -> None:
    done = run(request_file(tmp_path, BODY + b"\n"), "--secret-file", secret_file(tmp_path), at=NOW - 412)

    assert done.return_value == 1
    assert done.output == (
        "not valid\n"
        "- it was signed 412 s after this clock (receivers allow 300 s): this clock is slow, or the sender's is fast\n"
        "  compare both clocks with a time server\n"
        "- the body is not what was signed: a line break was added to its end\n"
        "  verify the bytes as they came, before anything parses them\n"
    )


def test_the_guide_shows_what_is_printed(tmp_path: Path) -> None:
    """docs/receivers.md, of a body that was parsed and written again."""
    guide = (Path(__file__).parents[3] / "docs" / "receivers.md").read_text()
    shown = guide.partition("--secret-file callback-secret\n")[2].partition("```")[0]

    done = run(request_file(tmp_path, json.dumps(json.loads(BODY)).encode()), "--secret-file", secret_file(tmp_path))

    assert done.output == shown


def test_several_secrets_are_tried_in_their_order(tmp_path: Path) -> None:
    new, old = secret_file(tmp_path, OLD, "new"), secret_file(tmp_path, SECRET, "old")

    done = run(request_file(tmp_path), "--secret-file", new, "--secret-file", old)

    assert done.return_value == 0
    assert done.output.splitlines()[1] == f"- it is signed by {old}, and not by {new}"


def test_programs_get_json(tmp_path: Path) -> None:
    done = run(request_file(tmp_path), "--secret", OLD.text, "--json")

    assert json.loads(done.output) == {
        "valid": False,
        "webhook_id": "dlv_1",
        "signed_by": None,
        "age_s": 3,
        "findings": [
            {
                "code": "wrong_secret",
                "message": "no secret given made this signature, and the body looks untouched: "
                "the secret is another one",
                "hint": "compare it with the one that the sender signs with",
            }
        ],
    }


def test_the_configured_secrets_are_taken_on_request(tmp_path: Path) -> None:
    """Those of callbacks, with the previous ones and the key; or those of a destination."""
    key = SigningKey.of(bytes(32))
    secret_file(tmp_path, OLD, "current")
    secret_file(tmp_path, SECRET, "previous")
    (tmp_path / "key").write_text(key.text)
    config = tmp_path / "config.toml"
    config.write_text(
        """
        [callbacks]
        secret = { file = "current" }
        previous_secrets = [{ file = "previous" }]
        signing_key = { file = "key" }
        [destinations.hook]
        type = "callback"
        url = "https://x.test"
        secret = { file = "previous" }
        """
    )
    request = request_file(tmp_path)

    common = run(request, "--config", str(config))
    own = run(request, "--config", str(config), "--destination", "hook")
    token = key.sign("dlv_1", NOW, BODY)
    asymmetric = run(request_file(tmp_path, **{"webhook-signature": token}), "--config", str(config))

    assert common.output.startswith("valid: dlv_1, signed by callbacks.previous_secrets[0] ")
    assert own.output.startswith("valid: dlv_1, signed by destinations.hook.secret ")
    assert asymmetric.output.startswith("valid: dlv_1, signed by callbacks.signing_key ")
    refused = run(request, "--config", str(config), "--destination", "hok")
    assert str(refused.exception) == 'no destination "hok" signs; those that do: hook'


def test_a_person_is_asked_for_the_secret_and_does_not_see_it(tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    command = [sys.executable, "-m", "relay", "verify", request_file(tmp_path), "--at", str(NOW)]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        shown = b""
        assert process.stderr is not None
        while not shown.endswith(b"secret: "):
            shown += process.stderr.read(1)
        os.write(keyboard, SECRET.text.encode() + b"\n")
        out, _ = process.communicate(timeout=30)
    os.close(terminal)
    os.set_blocking(keyboard, False)

    assert (process.returncode, out) == (0, b"valid: dlv_1, signed by the secret 0s ago\n")
    with suppress(OSError):  # nothing was written back, or what was has no secret in it
        assert SECRET.text.encode() not in os.read(keyboard, 4096)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no message: name a file with the request, or give --body and its headers"),
        (["{request}"], "no secret: give --secret-file, --secret-env, or --config"),
        (["{request}", "--body", "{request}"], "choose REQUEST or --body"),
        (["{secret}", "--secret-file", "{secret}"], "the request has no empty line, behind which its body would begin"),
        (["{request}", "--secret-env", "NOT_THERE"], "the environment variable NOT_THERE is not set"),
        (
            ["{request}", "--secret-file", "{folder}/absent"],
            "{folder}/absent cannot be read: No such file or directory",
        ),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, arguments: list[str], message: str) -> None:
    names = {"request": request_file(tmp_path), "secret": secret_file(tmp_path), "folder": str(tmp_path)}

    done = run(*(argument.format(**names) for argument in arguments))

    assert isinstance(done.exception, click.UsageError)
    assert done.exception.format_message() == message.format(**names)


def test_a_time_that_is_none_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["verify", request_file(tmp_path), "--at", "noon"], standalone_mode=False)

    assert '"noon" is no time; write 2026-11-21T10:00:00Z, or Unix seconds' in str(done.exception)
