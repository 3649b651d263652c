"""What signs: the current secret first, those being rotated out after it, an ed25519 key last."""

import errno
import sys

import pytest

from relay.config import ConfigInvalid, SecretUnreadable, read_signers
from relay.core.ed25519 import SigningKey
from relay.core.signing import SigningSecret

SECRETS = [SigningSecret.of(bytes([number]) * 24) for number in range(3)]
KEY = SigningKey.of(bytes(32))
ENV = {f"S{number}": secret.text for number, secret in enumerate(SECRETS)} | {"KEY": KEY.text}
HOOK = '[destinations.hook]\ntype = "callback"\nurl = "https://x.test"\n'
ROUTE = '[[routes]]\nto = ["hook"]\n'


def test_several_secrets_sign_while_one_is_exchanged(load_text):
    config = load_text(
        """
        [callbacks]
        secret = { env = "S0" }
        previous_secrets = [{ env = "S1" }, { env = "S2" }]
        signing_key = { env = "KEY" }
        """,
        ENV,
    )

    assert read_signers(config.callbacks.signing) == (*SECRETS, KEY)
    assert {secret.key for secret in config.secrets} == {
        "callbacks.secret",
        "callbacks.previous_secrets[0]",
        "callbacks.previous_secrets[1]",
        "callbacks.signing_key",
    }


def test_a_destination_signs_as_callbacks_do_unless_it_has_a_secret_of_its_own(load_text):
    """Then the others are its own as well: its receiver knows nothing of the common ones."""
    common = '[callbacks]\nsecret = { env = "S0" }\nprevious_secrets = [{ env = "S1" }]\n'
    shared = load_text(common + HOOK + ROUTE, ENV)
    own = load_text(common + HOOK + 'secret = { env = "S2" }\nsigning_key = { env = "KEY" }\n' + ROUTE, ENV)

    assert read_signers(shared.destinations["hook"].signing) == tuple(SECRETS[:2])
    assert read_signers(own.destinations["hook"].signing) == (SECRETS[2], KEY)


def test_secrets_of_callbacks_stand_beside_the_database(load_text, tmp_path):
    """The one that was exchanged was made there, and is moved aside there."""
    config = load_text('callbacks.previous_secrets = [{ file = "callback-secret.old" }]', {"STATE_DIRECTORY": "/state"})

    assert str(config.callbacks.signing.previous[0].path) == "/state/callback-secret.old"


def test_a_rotation_without_a_secret_of_its_own_is_refused(report):
    """Nobody could tell whose secret was exchanged."""
    text = HOOK + 'previous_secrets = [{ env = "S1" }]\n' + ROUTE

    assert report(text).splitlines()[:3] == [
        'config.toml:4:1: error: "previous_secrets" goes with a "secret" that is this destination\'s own',
        '4 | previous_secrets = [{ env = "S1" }]',
        "  | ^^^^^^^^^^^^^^^^ or belongs under [callbacks], whose secret signs here",
    ]


def test_a_chat_signs_nothing(report):
    text = '[destinations.hook]\ntype = "slack"\nurl = { env = "U" }\nsigning_key = { env = "KEY" }\n' + ROUTE

    assert 'error: "signing_key" is for the type callback only' in report(text)


def test_an_inline_secret_is_refused_and_not_shown(report):
    shown = report('callbacks.previous_secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]')

    assert "a secret does not belong in this file" in shown
    assert "MfKQ9" not in shown


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("previous_secrets", "short", "environment variable S1: a signing secret"),
        ("signing_key", "whsec_AAAA", 'environment variable S1: a key of this kind is "whsk_" followed by'),
    ],
)
def test_what_cannot_sign_is_an_error(load_text, key, value, message):
    """With its place, before anything is signed without it."""
    reference = '{ env = "S1" }' if key == "signing_key" else '[{ env = "S1" }]'
    with pytest.raises(ConfigInvalid) as caught:
        load_text(f'providers.getimg.api_key = {{ env = "S1" }}\ncallbacks.{key} = {reference}\n', {"S1": value})

    assert f"error: callbacks.{key}" in caught.value.report
    assert message in caught.value.report
    assert value not in caught.value.report


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("whsec_short"), "a signing secret"),
        (lambda path: path.write_text("\n"), "is empty"),
        (lambda path: path.mkdir(), "is not a regular file"),
    ],
)
def test_a_file_that_holds_no_signing_secret_is_an_error(report, tmp_path, make, message):
    """The service would end at its start; a default has no line to point at."""
    make(tmp_path / "callback-secret")

    assert f'callbacks.secret: file "callback-secret"{":" if "signing" in message else ""} {message}' in report("")


def test_a_signing_secret_that_is_somebody_elses_to_read_is_doubted(load_text, tmp_path, monkeypatch):
    """The service may see more than who asks."""
    (tmp_path / "callback-secret").write_text(SECRETS[0].text)

    def deny(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("relay.config.secrets.read_file", deny)

    assert 'callbacks.secret: file "callback-secret" cannot be read: Permission denied' in load_text("").warnings[-1]


def test_a_providers_secret_by_the_name_of_a_signing_one_is_its_own(load_text):
    """What a provider calls "secret" signs nothing."""
    text = '[providers.getimg]\napi_key = { env = "K" }\nsecrets.secret = { env = "K" }\n'

    assert not [line for line in load_text(text, {"K": "short"}).warnings if "signing" in line]


def test_a_missing_extra_is_told_by_the_check(load_text, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    config = load_text('callbacks.secret = { env = "S0" }\ncallbacks.signing_key = { env = "KEY" }', ENV)

    assert 'pip install "status-relay[ed25519]"' in "".join(config.warnings)
    with pytest.raises(SecretUnreadable, match=r"^callbacks\.signing_key: environment variable KEY: ed25519 sig"):
        read_signers(config.callbacks.signing)
