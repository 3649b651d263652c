"""How messages are signed, and the reading of secrets."""

import base64

import pytest

from relay.core.signing import SigningSecret, signed_headers

NOW = 1_795_255_200.75
BODY = b'{"type":"job.completed"}'
OLD, NEW = SigningSecret.of(b"o" * 24), SigningSecret.of(b"n" * 24)


def test_the_timestamp_is_the_whole_second_of_the_attempt() -> None:
    assert signed_headers([NEW], "dlv_1", NOW, BODY) == {
        "webhook-id": "dlv_1",
        "webhook-timestamp": "1795255200",
        "webhook-signature": NEW.sign("dlv_1", 1_795_255_200, BODY),
    }


def test_during_a_rotation_the_current_secret_signs_first() -> None:
    """Single spaces between, and none at the ends: some receivers split on nothing else."""
    both = signed_headers([NEW, OLD], "dlv_1", NOW, BODY)["webhook-signature"]

    assert both == f"{NEW.sign('dlv_1', 1_795_255_200, BODY)} {OLD.sign('dlv_1', 1_795_255_200, BODY)}"


@pytest.mark.parametrize("length", [24, 25, 32, 64])
def test_a_secret_is_read_with_its_prefix_or_without_padded_or_not(length: int) -> None:
    key = bytes(range(length))
    text = base64.b64encode(key).decode()

    for spelling in (text, text.rstrip("="), f"whsec_{text}", f" whsec_{text}\n"):
        assert SigningSecret.parse(spelling).key == key
    assert SigningSecret.of(key).text == f"whsec_{text}"


@pytest.mark.parametrize("length", [0, 1, 23, 65])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"holds 24 to 64 bytes, this one {length}"):
        SigningSecret.parse("whsec_" + base64.b64encode(bytes(length)).decode())


@pytest.mark.parametrize(
    "text", ["whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", "whsec_hunter2 hunter2 hunter2 hunter2", "whsec_ééé", "A" * 33]
)
def test_a_secret_that_is_not_base64_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match='"whsec_" followed by standard base64') as refused:
        SigningSecret.parse(text)

    assert text.removeprefix("whsec_") not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_bare_key_may_be_of_any_length_but_none() -> None:
    assert SigningSecret.of(b"k").key == b"k"
    with pytest.raises(ValueError, match="must not be empty"):
        SigningSecret.of(b"")


def test_a_secret_does_not_show_its_key() -> None:
    assert repr(NEW) == "SigningSecret()"
