"""relay secret."""

import secrets
from pathlib import Path

import click

from relay.cli import output
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import Group
from relay.cli.verify import read_text

_SECRET_BYTES = 24
"""A multiple of three: its base64 needs no padding, over which receivers disagree."""

_SEED_BYTES = 32


@click.group(cls=Group)
def secret() -> None:
    """Make what signs callbacks.

    \b
    Example:
      relay secret create | install -m 600 /dev/stdin callback-secret.new
    """


@secret.command("create")
@click.option("--ed25519", is_flag=True, help="Make a signing key for v1a; its public key goes to stderr.")
def create(*, ed25519: bool) -> int:
    """Print a new signing secret, or signing key; nothing of it is kept.

    \b
    Examples:
      relay secret create | install -m 600 /dev/stdin callback-secret.new
      relay secret create --ed25519 | install -m 600 /dev/stdin signing-key
    """
    if not ed25519:
        from relay.core.signing import SigningSecret

        click.echo(SigningSecret.of(secrets.token_bytes(_SECRET_BYTES)).text)
        return ExitCode.OK
    from relay.core.ed25519 import SigningKey

    key = SigningKey.of(secrets.token_bytes(_SEED_BYTES))
    click.echo(key.text)
    output.say(f"for the receivers: {key.public.text}")
    return ExitCode.OK


@secret.command("public")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def public(file: Path) -> int:
    """Print the public key of the signing key in FILE, for the receivers.

    \b
    Example:
      relay secret public signing-key
    """
    from relay.core.ed25519 import SigningKey

    try:
        click.echo(SigningKey.parse(read_text(file)).public.text)
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    return ExitCode.OK
