"""What signs callbacks: the secret, those being rotated out, and the key of an asymmetric signature."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.config.secrets import Secret, SecretMalformed, SecretUnreadable, read_signing_secret
from relay.core.ed25519 import SigningKey
from relay.core.errors import ExtraMissing
from relay.core.signing import Signer


@dataclass(frozen=True, slots=True)
class Signing:
    """References to all that sign for one destination.

    `secret` is the current one; `previous` sign after it, for receivers that do
    not know it yet; `key` is an ed25519 key, which signs last.
    """

    secret: Secret
    previous: tuple[Secret, ...] = ()
    key: Secret | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every reference."""
        return self.secret, *self.previous, *([self.key] if self.key else [])


def read_signers(signing: Signing) -> tuple[Signer, ...]:
    """Return what signs, in the order of the signatures; raises SecretUnreadable for one that cannot be used."""
    symmetric = map(read_signing_secret, (signing.secret, *signing.previous))
    return *symmetric, *([read_signing_key(signing.key)] if signing.key else [])


def read_signing_key(secret: Secret) -> SigningKey:
    """Return the ed25519 key as it is now.

    Raises SecretUnreadable, also without the extra, and SecretMalformed for one that is none.
    """
    try:
        return SigningKey.parse(secret.read())
    except ValueError as error:
        raise SecretMalformed(f"{secret.key}: {secret.reference}: {error}") from None
    except ExtraMissing as error:
        raise SecretUnreadable(f"{secret.key}: {secret.reference}: {error}") from None


def reader_of(secret: Secret) -> Callable[[Secret], object]:
    """Return what reads a secret as its setting means it."""
    names = [part for part in secret.place if isinstance(part, str)]
    return {
        "secret": read_signing_secret,
        "previous_secrets": read_signing_secret,
        "signing_key": read_signing_key,
    }.get(names[-1], Secret.read)
