"""Asymmetric signatures: made with a key that stays here, verified with one that may be anyone's."""

import base64
import sys

import pytest

from relay.core.ed25519 import PublicKey, SigningKey
from relay.core.errors import ExtraMissing
from relay.core.signing import SigningSecret, signed_content, signed_headers

PAIR = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
SEED = base64.b64encode(base64.b64decode(PAIR)[:32]).decode()
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
"""The vector of the tests of Svix's server (worker.rs), which are public."""


@pytest.mark.parametrize("text", [f"whsk_{PAIR}", f"whsk_{SEED}", f"  whsk_{PAIR}\n", f"whsk_{SEED.rstrip('=')}"])
def test_the_signature_is_the_published_one(text: str) -> None:
    """With the key as a pair, as a seed, with white space around it, and without padding."""
    key = SigningKey.parse(text)

    assert key.sign(*MESSAGE) == SIGNATURE
    assert key.public.text == PUBLIC
    assert key.text == f"whsk_{PAIR}"


def test_the_public_key_accepts_its_own_signatures_only() -> None:
    key, signature = PublicKey.parse(PUBLIC), base64.b64decode(SIGNATURE.removeprefix("v1a,"))

    assert key.signed(signed_content(*MESSAGE), signature)
    assert not key.signed(signed_content(*MESSAGE) + b" ", signature)
    assert not key.signed(signed_content(*MESSAGE), signature[:-1])
    assert not PublicKey.parse("whpk_" + "A" * 43).signed(signed_content(*MESSAGE), signature)


def test_the_asymmetric_signature_comes_last() -> None:
    """Receivers that read only the first token find the symmetric one, as ever."""
    secret = SigningSecret.of(bytes(range(24)))

    tokens = signed_headers([secret, SigningKey.parse(f"whsk_{SEED}")], *MESSAGE)["webhook-signature"].split(" ")

    assert tokens == [secret.sign(*MESSAGE), SIGNATURE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAIR, 'a key of this kind is "whsk_" followed by standard base64'),
        (PUBLIC, 'a key of this kind is "whsk_" followed by standard base64'),
        ("whsk_?", 'a key of this kind is "whsk_" followed by standard base64'),
        ("whsk_é", 'a key of this kind is "whsk_" followed by standard base64'),
        ("whsk_QUJD", "a signing key holds 32 or 64 bytes, this one 3"),
        (f"whsk_{'A' * 86}==", "the two halves of this signing key do not belong together"),
    ],
)
def test_what_is_no_signing_key_is_refused_without_being_shown(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        SigningKey.parse(text)

    assert str(caught.value) == message


def test_what_is_no_public_key_is_refused() -> None:
    with pytest.raises(ValueError, match="a public key holds 32 bytes, this one 3"):
        PublicKey.parse("whpk_QUJD")


def test_a_key_is_never_shown() -> None:
    assert repr(SigningKey.parse(f"whsk_{SEED}")) == "SigningKey()"


@pytest.mark.parametrize("read", [lambda: SigningKey.parse(f"whsk_{SEED}"), lambda: PublicKey.parse(PUBLIC)])
def test_without_the_extra_the_error_says_what_to_install(read, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)

    with pytest.raises(ExtraMissing, match=r'pip install "status-relay\[ed25519\]"'):
        read()
