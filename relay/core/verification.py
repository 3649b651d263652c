"""Why a signature does not hold.

A mismatch by itself tells nothing.  So the known slips of senders, proxies and
receivers are tried, one and two at a time, until one explains the signature
that came: it is then the finding.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import product

from relay.core import ed25519
from relay.core.instant import parse_instant
from relay.core.rewriting import has_sorted_keys, is_compact, is_json, originals
from relay.core.signing import TOLERANCE_S, SigningSecret

_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SECONDS = re.compile(r"0|[1-9][0-9]{0,11}")
_MILLISECONDS = re.compile(r"[1-9][0-9]{12}")
_TOKEN = re.compile(r"(?:(v[0-9]+a?|sha256)([,=:]))?([A-Za-z0-9+/_-]{20,}={0,2})")
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_MOST_SLIPS = 2


class Slip(StrEnum):
    """What can be wrong; the last two are notes, and keep no receiver from accepting the message."""

    HEADER_MISSING = "header_missing"
    HEADER_RENAMED = "header_renamed"
    HEADERS_SWAPPED = "headers_swapped"
    TIMESTAMP_FORM = "timestamp_form"
    CLOCK = "clock"
    SECRET_UNUSABLE = "secret_unusable"  # noqa: S105  the name of a finding
    SECRET_AS_TEXT = "secret_as_text"  # noqa: S105  likewise
    CONTENT = "content"
    BODY_CHANGED = "body_changed"
    BODY_LENGTH = "body_length"
    SIGNATURE_FORM = "signature_form"
    NO_SIGNATURE = "no_signature"
    WRONG_SECRET = "wrong_secret"  # noqa: S105  likewise
    PREVIOUS_SECRET = "previous_secret"  # noqa: S105  likewise
    LATER_SIGNATURE = "later_signature"

    @property
    def note(self) -> bool:
        return self in (Slip.PREVIOUS_SECRET, Slip.LATER_SIGNATURE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in a sentence; `hint` is the way out."""

    slip: Slip
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A secret or a public key, as text, that may have been used; `name` tells where it is from."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to be said of a message.

    `signed_by` names the candidate whose signature it carries, None where none
    explains it.  `age_s` is how long before `now` it was signed.
    """

    message_id: str | None
    signed_by: str | None
    age_s: float | None
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        """Whether a receiver that knows the candidates accepts the message."""
        return self.signed_by is not None and all(finding.slip.note for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Stamps:
    """The three headers, as far as they are there; `seconds` is what the timestamp means."""

    message_id: str | None
    timestamp: str | None
    signature: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Token:
    """Something in the signature header that could be a signature."""

    place: int
    version: str
    value: bytes
    flaws: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    """One way of reading a candidate; `made` tells whether a signature is of a content by this key."""

    candidate: int
    version: str
    made: Callable[[bytes, bytes], bool]
    flaw: Finding | None = None


def diagnose(
    headers: Mapping[str, str],
    body: bytes,
    candidates: Sequence[Candidate],
    now: float,
    tolerance_s: float = TOLERANCE_S,
) -> Diagnosis:
    """Return what is right or wrong with a signed message that is looked at, or arrived, at `now`.

    The first candidate is the current secret.  Raises ExtraMissing for an
    ed25519 key where the library for it is not there.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    stamps, findings = _stamps(named)
    age_s = None if stamps.seconds is None else now - stamps.seconds
    if age_s is not None and abs(age_s) > tolerance_s:
        findings.append(_clock(age_s, tolerance_s))
    keys, unusable = _keys(candidates)
    tokens = _tokens(stamps.signature)
    if stamps.signature and not tokens:
        findings.append(Finding(Slip.NO_SIGNATURE, "webhook-signature holds nothing that could be a signature"))
    explained = _explanation(keys, tokens, stamps, body) if tokens else None
    if explained is None:
        findings += unusable
        if tokens and len(unusable) < len(candidates):
            findings += _unexplained(keys, tokens, named, body)
        return Diagnosis(stamps.message_id, None, age_s, tuple(findings))
    key, token, slips = explained
    findings += slips
    if not slips and key.candidate > 0:
        findings.append(_by_previous(candidates, key.candidate))
    if not slips and token.place > 0 and key.version == "v1":
        findings.append(_later(token.place))
    return Diagnosis(stamps.message_id, candidates[key.candidate].name, age_s, tuple(findings))


def _stamps(named: Mapping[str, str]) -> tuple[_Stamps, list[Finding]]:
    findings = []
    found: dict[str, str | None] = {}
    for name in _NAMES:
        other = name.replace("webhook-", "svix-")
        found[name] = named.get(name) or named.get(other) or None
        if found[name] is None:
            hint = "a proxy or a framework dropped it; its name is matched without regard to case"
            findings.append(Finding(Slip.HEADER_MISSING, f"the header {name} is missing", hint))
        elif not named.get(name):
            message = f"the header is called {other}; receivers of Standard Webhooks read {name}"
            findings.append(Finding(Slip.HEADER_RENAMED, message))
    message_id, timestamp = found["webhook-id"], found["webhook-timestamp"]
    if message_id and timestamp and _SECONDS.fullmatch(message_id) and not re.match("[0-9]", timestamp):
        message_id, timestamp = timestamp, message_id
        findings.append(Finding(Slip.HEADERS_SWAPPED, "webhook-id and webhook-timestamp hold each other's values"))
    seconds, flaw = _seconds(timestamp) if timestamp else (None, None)
    findings += [flaw] if flaw else []
    return _Stamps(message_id, timestamp, found["webhook-signature"] or "", seconds), findings


def _seconds(timestamp: str) -> tuple[float | None, Finding | None]:
    if _SECONDS.fullmatch(timestamp):
        return float(timestamp), None
    meant, instead = parse_instant(timestamp), "is no number of seconds"
    if _MILLISECONDS.fullmatch(timestamp):
        instead = "is in milliseconds"
    elif meant is not None:
        instead = "is a time, but no whole number"
    message = f"webhook-timestamp {instead}; it must be whole seconds since 1970"
    return meant, Finding(Slip.TIMESTAMP_FORM, message)


def _clock(age_s: float, tolerance_s: float) -> Finding:
    off_s, limit = f"{abs(age_s):.0f} s", f"receivers allow {tolerance_s:.0f} s"
    if age_s > 0:
        return Finding(
            Slip.CLOCK,
            f"it was signed {off_s} before this clock ({limit}): it is old, or this clock is fast",
            "to look at a message that arrived earlier, say when: --at 2026-11-21T10:00:00Z",
        )
    message = f"it was signed {off_s} after this clock ({limit}): this clock is slow, or the sender's is fast"
    return Finding(Slip.CLOCK, message, "compare both clocks with a time server")


def _tokens(text: str) -> list[_Token]:
    """Return what could be a signature, well-formed ones first."""
    words, tokens = text.split(" "), []
    for place, found in enumerate(_TOKEN.finditer(text)):
        version, separator, encoded = found[1] or "", found[2] or "", found[3]
        value, encoding = _decoded(encoded)
        syntax = None if f"{version},{encoded}" in words else _syntax(version, separator)
        flaws = tuple(Finding(Slip.SIGNATURE_FORM, sentence) for sentence in (syntax, encoding) if sentence)
        tokens.append(_Token(place, version, value, flaws))
    return sorted(tokens, key=lambda token: len(token.flaws))


def _syntax(version: str, separator: str) -> str:
    if not version:
        return 'the signature has no version before it: a token is "v1," and base64'
    if separator != ",":
        return f'the signature is written "{version}{separator}...": a token is "v1," and base64'
    return "the signatures are not separated by single spaces"


def _decoded(encoded: str) -> tuple[bytes, str | None]:
    if _HEX.fullmatch(encoded):
        return bytes.fromhex(encoded), "the signature is hexadecimal: it must be base64"
    standard = encoded.replace("-", "+").replace("_", "/")
    try:
        value = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b"", "the signature is no base64"
    if standard != encoded:
        return value, "the signature is base64 in the alphabet for URLs: it must be the standard one"
    return value, "the signature lacks the = that base64 ends with" if len(standard) % 4 else None


def _keys(candidates: Sequence[Candidate]) -> tuple[list[_Key], list[Finding]]:
    """Return every way of reading the candidates, and what is wrong with those that are none."""
    keys: list[_Key] = []
    unusable: list[Finding] = []
    for number, candidate in enumerate(candidates):
        text = candidate.text.strip()
        try:
            keys.append(_proper_key(number, text))
        except ValueError as error:
            unusable.append(Finding(Slip.SECRET_UNUSABLE, f"{candidate.name}: {error}"))
        if not text.startswith((ed25519.PUBLIC_PREFIX, ed25519.PRIVATE_PREFIX)):
            keys += _mistaken_keys(number, candidate)
    return keys, unusable


def _proper_key(number: int, text: str) -> _Key:
    if text.startswith(ed25519.PRIVATE_PREFIX):
        return _Key(number, ed25519.VERSION, ed25519.SigningKey.parse(text).public.signed)
    if text.startswith(ed25519.PUBLIC_PREFIX):
        return _Key(number, ed25519.VERSION, ed25519.PublicKey.parse(text).signed)
    return _Key(number, "v1", partial(_made_by, SigningSecret.parse(text).key))


def _mistaken_keys(number: int, candidate: Candidate) -> Iterator[_Key]:
    text = candidate.text.strip()
    encoded = text.removeprefix("whsec_")
    hint = "the key is what follows whsec_, decoded from base64"
    for key, how in (
        (text, "the text of the secret was used as the key, whsec_ included"),
        (encoded, "the text behind whsec_ was used as the key"),
        (f"{text}\n", "the text of the secret was used as the key, with the line break that ends its file"),
    ):
        flaw = Finding(Slip.SECRET_AS_TEXT, f"{candidate.name}: {how}", hint)
        yield _Key(number, "v1", partial(_made_by, key.encode(errors="replace")), flaw)


def _made_by(key: bytes, content: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key, content, hashlib.sha256), signature)


def _layouts(stamps: _Stamps) -> Iterator[tuple[Callable[[bytes], bytes], Finding | None]]:
    """Yield how the id, the time and the body may have been put together."""
    message_id, timestamp = stamps.message_id, stamps.timestamp
    if message_id and timestamp:
        yield partial(_put_together, f"{message_id}.{timestamp}."), None
        if stamps.seconds is not None and timestamp != f"{stamps.seconds:.0f}":
            said = f"{message_id}.{stamps.seconds:.0f}."
            yield partial(_put_together, said), _content("with the time as whole seconds, not as the header says")
        yield partial(_put_together, f"{timestamp}.{message_id}."), _content("with the time before the id")
        yield partial(_put_together, message_id + timestamp), _content("without the dots between its parts")
        yield partial(_put_together, f"{message_id}{timestamp}."), _content("without the first of its dots")
    if timestamp:
        yield partial(_put_together, f"{timestamp}."), _content("without the id")
    if message_id:
        yield partial(_put_together, f"{message_id}."), _content("without the time")
    yield partial(_put_together, ""), _content("of the body alone")


def _put_together(before: str, body: bytes) -> bytes:
    return before.encode(errors="replace") + body


def _content(how: str) -> Finding:
    message = f"the signature was made {how}"
    return Finding(Slip.CONTENT, message, "what is signed is the id, a dot, the timestamp, a dot, and the body")


def _explanation(
    keys: Sequence[_Key], tokens: Sequence[_Token], stamps: _Stamps, body: bytes
) -> tuple[_Key, _Token, list[Finding]] | None:
    """Return by which key, which token and which slips a signature came to be: the fewest that explain it."""
    changed = [(original, _changed(sentence)) for sentence, original in originals(body)]
    ways = list(product(keys, _layouts(stamps), [(body, None), *changed]))
    for most in range(_MOST_SLIPS + 1):
        for key, (put_together, layout), (original, rewriting) in ways:
            slips = [slip for slip in (key.flaw, layout, rewriting) if slip is not None]
            if len(slips) != most:
                continue
            content = put_together(original)
            for token in tokens:
                if token.version in ("", "sha256", key.version) and key.made(content, token.value):
                    return key, token, [*slips, *token.flaws]
    return None


def _changed(sentence: str) -> Finding:
    hint = "verify the bytes as they came, before anything parses them"
    return Finding(Slip.BODY_CHANGED, f"the body is not what was signed: {sentence}", hint)


def _unexplained(
    keys: Sequence[_Key], tokens: Sequence[_Token], named: Mapping[str, str], body: bytes
) -> Iterator[Finding]:
    """Yield what is likely where no slip explains the signature: the secret, or a change that cannot be undone."""
    versions = sorted({key.version for key in keys})
    if not {token.version for token in tokens} & {"", "sha256", *versions}:
        message = f"webhook-signature holds no {' or '.join(versions)} signature, which is what was given a key for"
        yield Finding(Slip.NO_SIGNATURE, message, "v1 takes a secret, whsec_...; v1a takes a public key, whpk_...")
        return
    length = named.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:18]) != len(body):
        yield Finding(Slip.BODY_LENGTH, f"content-length announces {length} bytes, the body has {len(body)}")
    if not is_json(body):
        yield Finding(Slip.BODY_CHANGED, "the body is no JSON, which relay always sends: it was cut off or altered")
    elif is_compact(body) and not has_sorted_keys(body):
        message = "no secret given made this signature, and the body looks untouched: the secret is another one"
        yield Finding(Slip.WRONG_SECRET, message, "compare it with the one that the sender signs with")
    elif has_sorted_keys(body):
        message = "the body's keys are in alphabetical order: it was probably parsed and written again"
        yield Finding(Slip.BODY_CHANGED, message, "verify the bytes as they came, before anything parses them")
    else:
        message = "no secret given made this signature: the secret is another one, or the body was changed"
        yield Finding(Slip.WRONG_SECRET, message, "compare the secret first, then the bytes of the body")


def _by_previous(candidates: Sequence[Candidate], number: int) -> Finding:
    message = f"it is signed by {candidates[number].name}, and not by {candidates[0].name}"
    return Finding(Slip.PREVIOUS_SECRET, message, "a receiver that knows only the latter refuses it")


def _later(place: int) -> Finding:
    message = f"the signature that holds is number {place + 1} in webhook-signature"
    return Finding(Slip.LATER_SIGNATURE, message, "a receiver that reads only the first refuses it")
