"""Secrets are read where they are, each time anew, and told apart by their key."""

import os
import stat
from pathlib import Path

import pytest

from relay.config import Secret, SecretUnreadable, ensure_signing_secret, read_signing_secret, resolve
from relay.config.secrets import FromCredential, FromEnv, FromFile
from relay.core.signing import SigningSecret


def secret(reference, folder: Path = Path("/nowhere"), env=None) -> Secret:
    return Secret(("callbacks", "secret"), reference, folder, env or {})


@pytest.mark.parametrize(
    ("content", "value"),
    [("key", "key"), ("key\n", "key"), ("key\r\n", "key"), (" key ", " key "), ("schlüssel", "schlüssel")],
)
def test_one_trailing_newline_of_a_file_does_not_count(tmp_path, content, value):
    """Editors add it; everything else is part of the secret."""
    (tmp_path / "key").write_bytes(content.encode())

    assert resolve(FromFile("key"), tmp_path, {}) == value
    assert resolve(FromCredential("key"), Path("/nowhere"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == value


def test_a_variable_is_read_from_the_environment():
    """An environment variable holds the secret itself."""
    assert resolve(FromEnv("KEY"), Path("/nowhere"), {"KEY": "s3cret"}) == "s3cret"


def test_a_rotated_secret_is_seen_by_the_next_reading(tmp_path):
    """After a provider refused a key, reading again finds the new one."""
    (tmp_path / "key").write_text("old")
    key = secret(FromFile("key"), tmp_path)
    assert key.read() == "old"

    (tmp_path / "key").write_text("new")

    assert key.read() == "new"


@pytest.mark.parametrize(
    ("reference", "env", "message"),
    [
        (FromEnv("KEY"), {}, "environment variable KEY is not set"),
        (FromEnv("KEY"), {"KEY": ""}, "environment variable KEY is empty"),
        (FromEnv("KEY"), {"KEY": "one\ntwo"}, "environment variable KEY must hold one line of text"),
        (FromFile("absent"), {}, 'file "absent" cannot be read: No such file or directory'),
        (FromFile("."), {}, 'file "." is not a regular file'),
        (FromFile("/dev/zero"), {}, 'file "/dev/zero" is not a regular file'),
        (FromFile("binary"), {}, 'file "binary" is not UTF-8 text'),
        (FromFile("huge"), {}, 'file "huge" is larger than 64 KiB'),
        (FromFile("blank"), {}, 'file "blank" is empty'),
        (FromFile("x" * 5000), {}, "cannot be read: File name too long"),
        (FromFile("nul\0"), {}, "null"),
        (FromCredential("c"), {}, 'credential "c" is only there for a service: $CREDENTIALS_DIRECTORY is not set'),
        (FromCredential("c"), {"CREDENTIALS_DIRECTORY": "/nowhere"}, 'credential "c" cannot be read: No such file'),
    ],
)
def test_a_secret_that_cannot_be_had_is_named_by_key_and_reference(tmp_path, reference, env, message):
    """The message never holds the value, but tells where to look."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    (tmp_path / "blank").write_text("\n")

    with pytest.raises(SecretUnreadable) as caught:
        secret(reference, tmp_path, env).read()

    assert str(caught.value).startswith("callbacks.secret: ")
    assert message in str(caught.value)
    assert "one\ntwo" not in str(caught.value)


def test_the_first_start_makes_a_signing_secret_for_its_owner_only(tmp_path):
    """24 bytes of entropy as `whsec_` text, mode 0600, and no trace of the making."""
    signing = secret(FromFile("callback-secret"), tmp_path)

    assert signing.absent
    assert ensure_signing_secret(signing, lambda count: bytes(range(count)))

    path = tmp_path / "callback-secret"
    assert path.read_text() == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert read_signing_secret(signing) == SigningSecret(bytes(range(24)))


def test_the_folder_of_what_relay_writes_is_made_with_the_first_secret(tmp_path):
    """The state of the service may be asked for before its first start."""
    assert ensure_signing_secret(secret(FromFile("callback-secret"), tmp_path / "var/relay"), bytes)
    assert (tmp_path / "var/relay/callback-secret").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_secret_that_root_makes_belongs_to_whom_the_folder_belongs(tmp_path):
    """The service runs as somebody else."""
    os.chown(tmp_path, 4711, 4712)

    assert ensure_signing_secret(secret(FromFile("callback-secret"), tmp_path), bytes)

    made = (tmp_path / "callback-secret").stat()
    assert (made.st_uid, made.st_gid) == (4711, 4712)


def test_a_signing_secret_that_is_there_is_kept(tmp_path):
    """Receivers know it; a new one would break them."""
    (tmp_path / "callback-secret").write_text("whsec_old")

    assert not ensure_signing_secret(secret(FromFile("callback-secret"), tmp_path), bytes)
    assert (tmp_path / "callback-secret").read_text() == "whsec_old"


def test_only_a_file_is_made(tmp_path):
    """A variable or a credential is somebody else's to provide."""
    assert not ensure_signing_secret(secret(FromEnv("KEY"), tmp_path), bytes)
    assert not ensure_signing_secret(secret(FromCredential("c"), tmp_path), bytes)


def test_a_signing_secret_that_cannot_be_made_is_told(tmp_path):
    """The key, the reference and the system's reason."""
    with pytest.raises(SecretUnreadable, match=r'callbacks\.secret: file "gone/s" cannot be created: No such file'):
        ensure_signing_secret(secret(FromFile("gone/s"), tmp_path), bytes)


def test_a_text_that_is_no_signing_secret_is_told_without_it(tmp_path):
    """Too short a key is refused by the specification's rule."""
    (tmp_path / "s").write_text("whsec_c2hvcnQ=")

    with pytest.raises(SecretUnreadable, match="holds 24 to 64 bytes, this one 5") as caught:
        read_signing_secret(secret(FromFile("s"), tmp_path))

    assert "c2hvcnQ" not in str(caught.value)
