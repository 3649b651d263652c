"""`relay secret`: made here, shown once, and usable at once."""

from pathlib import Path

import click
from click.testing import CliRunner, Result

from relay.cli import cli
from relay.core.ed25519 import SigningKey
from relay.core.signing import SigningSecret


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["secret", *arguments], standalone_mode=False)


def test_a_signing_secret_is_24_bytes_and_another_each_time() -> None:
    first, second = run("create"), run("create")

    assert len(SigningSecret.parse(first.stdout).key) == 24
    assert first.stdout.endswith("\n")
    assert "=" not in first.stdout
    assert first.stdout != second.stdout
    assert first.stderr == ""


def test_a_signing_key_comes_with_its_public_key_for_the_receivers(tmp_path: Path) -> None:
    made = run("create", "--ed25519")
    (tmp_path / "key").write_text(made.stdout)

    shown = run("public", str(tmp_path / "key"))

    assert shown.stdout.strip() == SigningKey.parse(made.stdout).public.text
    assert made.stderr == f"for the receivers: {shown.stdout}"


def test_what_is_no_signing_key_has_no_public_one(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_" + "A" * 32)

    wrong, absent = run("public", str(tmp_path / "secret")), run("public", str(tmp_path / "absent"))

    assert isinstance(wrong.exception, click.ClickException)
    assert wrong.exception.message == f'{tmp_path}/secret: a key of this kind is "whsk_" followed by standard base64'
    assert isinstance(absent.exception, click.UsageError)
