"""Secrets: where they are, and reading them, as often as wanted.

The configuration holds references only.  What a reference leads to is read when
it is needed and again after a provider refused it, so that a key is rotated
without a restart.
"""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.core.errors import RelayError
from relay.core.signing import SigningSecret
from relay.ownership import hand_over

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.@:-]+")
_LIMIT = 64 * 1024
_SIGNING_KEY_BYTES = 24
"""A multiple of three: its base64 needs no padding, over which receivers disagree."""

WAYS_OUT = '{ env = "NAME" }, { file = "PATH" } or { credential = "NAME" }'


class SecretUnreadable(RelayError):
    """A reference leads nowhere; names the key and the reference, never a value."""


class SecretMalformed(SecretUnreadable):
    """What a reference leads to is there, and cannot be what it is for, whoever reads it."""


@dataclass(frozen=True, slots=True)
class FromEnv:
    """An environment variable."""

    name: str

    def __str__(self) -> str:
        return f"environment variable {self.name}"

    def read(self, _folder: Path, env: Mapping[str, str]) -> str:
        if self.name not in env:
            raise LookupError("is not set")
        return env[self.name]


@dataclass(frozen=True, slots=True)
class FromFile:
    """A file; a relative path starts at the folder that the reader gives."""

    path: str

    def __str__(self) -> str:
        return f'file "{self.path}"'

    def read(self, folder: Path, _env: Mapping[str, str]) -> str:
        return read_file(folder / self.path)


@dataclass(frozen=True, slots=True)
class FromCredential:
    """A credential that the service manager hands over (systemd.exec, LoadCredential=)."""

    name: str

    def __str__(self) -> str:
        return f'credential "{self.name}"'

    def read(self, _folder: Path, env: Mapping[str, str]) -> str:
        if not env.get("CREDENTIALS_DIRECTORY"):
            raise LookupError("is only there for a service: $CREDENTIALS_DIRECTORY is not set")
        return read_file(Path(env["CREDENTIALS_DIRECTORY"]) / self.name)


Reference = FromEnv | FromFile | FromCredential


def parse_reference(value: object) -> Reference:
    """Return the reference that `value`, as read from TOML, is.

    Raises ValueError for anything else, without the value in it: it may be the
    secret itself.
    """
    if isinstance(value, str):
        raise ValueError(f"a secret does not belong in this file; refer to it as {WAYS_OUT}")  # noqa: TRY004  pydantic's protocol
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"must be one reference to a secret: {WAYS_OUT}")
    [(kind, name)] = value.items()
    if kind not in ("env", "file", "credential") or not isinstance(name, str) or not name:
        raise ValueError(f"must be one reference to a secret: {WAYS_OUT}")
    if kind == "file":
        return FromFile(name)
    if kind == "env":
        if not _ENV_NAME.fullmatch(name):
            raise ValueError("env takes the name of an environment variable: letters, digits and _")
        return FromEnv(name)
    if not _CREDENTIAL_NAME.fullmatch(name):
        raise ValueError("credential takes a name as in LoadCredential=, not a path")
    return FromCredential(name)


def is_reference(value: object) -> bool:
    """Tell whether `value` is a reference to a secret."""
    try:
        parse_reference(value)
    except ValueError:
        return False
    return True


def resolve(reference: Reference, base_dir: Path, env: Mapping[str, str]) -> str:
    """Return what `reference` leads to, less one trailing newline.

    Raises SecretUnreadable, which names the reference and never the value.
    """
    try:
        value = reference.read(base_dir, env)
    except LookupError as error:
        raise SecretUnreadable(f"{reference} {error.args[0]}") from None
    except ValueError as error:
        raise SecretMalformed(f"{reference} {error.args[0]}") from None
    except OSError as error:
        raise SecretUnreadable(f"{reference} cannot be read: {error.strerror}") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretMalformed(f"{reference} is empty")
    if not value.isprintable():
        raise SecretMalformed(f"{reference} must hold one line of text")
    return value


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by reference; `place` is the path of the setting that refers to it."""

    place: tuple[str | int, ...]
    reference: Reference
    folder: Path
    env: Mapping[str, str] = field(repr=False, compare=False)

    def read(self) -> str:
        """Return the secret as it is now; raises SecretUnreadable, naming the key and the reference."""
        try:
            return resolve(self.reference, self.folder, self.env)
        except SecretUnreadable as error:
            raise type(error)(f"{self.key}: {error}") from None

    @property
    def key(self) -> str:
        """The setting that refers to it, as in `providers.getimg.api_key`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).removeprefix(".")

    @property
    def absent(self) -> bool:
        """Whether it is to come from a file that is not there."""
        try:
            return self.path is not None and not self.path.exists()
        except OSError:
            return False

    @property
    def path(self) -> Path | None:
        """The file that it is read from, where the reference names one."""
        return self.folder / self.reference.path if isinstance(self.reference, FromFile) else None


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that stands in the file itself, where that is allowed; read like a secret."""

    text: str = field(repr=False)

    def read(self) -> str:
        """Return the value."""
        return self.text


def read_signing_secret(secret: Secret) -> SigningSecret:
    """Return the signing secret as it is now; raises SecretUnreadable, and SecretMalformed for one that is none."""
    try:
        return SigningSecret.parse(secret.read())
    except ValueError as error:
        raise SecretMalformed(f"{secret.key}: {secret.reference}: {error}") from None


def ensure_signing_secret(secret: Secret, entropy: Callable[[int], bytes]) -> bool:
    """Create the file of a signing secret with a fresh one, for its owner only, and tell whether that was needed.

    `entropy` returns as many unpredictable bytes as it is asked for.  Other
    references are left alone.  The folder at which its path starts is made as
    well, as the service manager makes it for the service.  Raises SecretUnreadable where the file cannot be
    made.
    """
    if secret.path is None or not secret.absent:
        return False
    try:
        secret.folder.mkdir(parents=True, exist_ok=True)
        return _write_new(secret.path, SigningSecret.of(entropy(_SIGNING_KEY_BYTES)).text)
    except OSError as error:
        raise SecretUnreadable(f"{secret.key}: {secret.reference} cannot be created: {error.strerror}") from None


def _write_new(path: Path, text: str) -> bool:
    """Write a file that appears complete or not at all; False where another process was first."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # created with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            hand_over(handle, path.parent)
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink()
    return True


def read_file(path: Path) -> str:
    """Return the text of a small regular file; raises OSError, and ValueError for what it is instead."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError(f"is larger than {_LIMIT // 1024} KiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
