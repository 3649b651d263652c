"""Tokens."""

import hashlib

import pytest

from relay.core.access import Scope, Token, digest_of, expiry, new_token, token_id, token_text

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
READ = frozenset({Scope.READ})


def test_a_token_is_its_random_bytes_in_base64_behind_a_prefix() -> None:
    assert token_text(bytes(32)) == "rly_" + 43 * "A"
    assert token_text(b"\xff" * 32) == "rly_" + 42 * "_" + "8"
    with pytest.raises(ValueError, match="32 random bytes"):
        token_text(bytes(31))


def test_eight_characters_of_it_may_be_shown_and_its_sha256_is_kept() -> None:
    text = token_text(bytes(range(32)))

    token = new_token(text, "shop", READ, now=NOW)

    assert (token.id, token_id(text)) == ("rly_AAECAwQF", "rly_AAECAwQF")
    assert token.digest == digest_of(text) == hashlib.sha256(text.encode()).hexdigest()
    assert text not in repr(token)
    assert token.digest not in repr(token)


def test_a_token_without_a_name_is_called_by_its_id() -> None:
    assert new_token(token_text(bytes(32)), None, READ, now=NOW).name == "rly_AAAAAAAA"


def test_a_token_is_refused_from_the_instant_of_its_end() -> None:
    token = Token("shop", "", READ, expires_at=NOW)

    assert token.refusal(NOW - 0.001) is None
    assert token.refusal(NOW) == "the token expired at 2027-01-15T08:00:00.000Z"
    assert Token("shop", "", READ).refusal(NOW) is None


def test_a_revoked_token_is_refused_whatever_the_time() -> None:
    token = Token("shop", "", READ, expires_at=NOW + 9, revoked_at=NOW)

    assert token.refusal(0.0) == "the token was revoked at 2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + 90 * 86400),
        ("1h30m", NOW + 5400),
        ("2027-01-15T09:00:00Z", NOW + 3600),
        ("2027-01-16", NOW + 57600),
    ],
)
def test_an_end_is_a_duration_or_a_time(text: str, moment: float) -> None:
    assert expiry(text, NOW) == moment


@pytest.mark.parametrize("text", ["0s", "soon", "", "2001-01-01T00:00:00Z", "-5m", "200000d", "90"])
def test_an_end_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        expiry(text, NOW)
