"""Whatever stands in the file, loading it gives a configuration or a report, and shows no secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.config import ConfigInvalid, load
from relay.tomlscan import Scan

EXAMPLE = (Path(__file__).parents[2] / "config.example.toml").read_bytes()
SECRET = "Zk9-sEcReT"
FULL = f"""\
[server]
listen = "127.0.0.1:8377"
[auth]
tokens = [{{ name = "shop", hash = "{SECRET}", scopes = ["watch"] }}]
[callbacks]
secret = "{SECRET}"
retry = {{ first = "5s", max_gap = "6h" }}
[providers.getimg]
api_key = "{SECRET}"  # {SECRET}
secrets = {{ account = '{SECRET}' }}
rate = "60/m"
[destinations.ops]
type = "slack"
url = "https://hooks.slack.com/{SECRET}"
[[routes]]
match = {{ status = ["failed"] }}
to = ["ops"]
"""

SLOWLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def told(folder: Path, content: bytes, env: Mapping[str, str] | None = None) -> str:
    """Return what loading `content` says; anything but ConfigInvalid goes through."""
    path = folder / "config.toml"
    path.write_bytes(content)
    try:
        return "\n".join(load(path, presets=("getimg",), env=env or {}).warnings)
    except ConfigInvalid as error:
        return error.report or pytest.fail("an empty report")


@SLOWLY
@given(st.binary(max_size=300))
def test_random_bytes_end_in_a_report_at_worst(tmp_path, content):
    """No byte sequence raises anything but ConfigInvalid."""
    told(tmp_path, content)


@SLOWLY
@given(st.integers(0, len(EXAMPLE)), st.binary(max_size=3))
def test_the_example_cut_anywhere_ends_in_a_report_at_worst(tmp_path, end, tail):
    """A half-written file, perhaps with rubbish at its end."""
    told(tmp_path, EXAMPLE[:end] + tail)


@SLOWLY
@given(st.integers(0, len(FULL)), st.integers(0, 6), st.text("\"'[]{}=.,#\n\\ ax3", max_size=4))
def test_no_damage_to_a_file_brings_its_secrets_into_the_report(tmp_path, at, cut, put):
    """A few characters are missing or inserted anywhere: a secret that does not land under another key is hidden."""
    text = FULL[:at] + put + FULL[at + cut :]

    assert SECRET not in told(tmp_path, text.encode())


@SLOWLY
@given(st.binary(max_size=200), st.sampled_from([FULL, EXAMPLE.decode()]), st.integers(0, 400))
def test_any_file_in_conf_d_ends_in_a_report_at_worst(tmp_path, rubbish, text, end):
    """Rubbish, or a part of the configuration again, so that nearly every key clashes."""
    (tmp_path / "conf.d").mkdir(exist_ok=True)
    (tmp_path / "conf.d" / "a.toml").write_bytes(text[:end].encode() + rubbish)
    (tmp_path / "conf.d" / "b.toml").write_text(text[:end])

    assert SECRET not in told(tmp_path, text.encode())


@SLOWLY
@given(st.dictionaries(st.text("ABC_x0", max_size=12).map("RELAY__{}".format), st.text(max_size=20), max_size=4))
def test_any_environment_ends_in_a_report_at_worst(tmp_path, env):
    """Names without parts, values of every kind."""
    told(tmp_path, EXAMPLE, env)


MARKS = st.sampled_from(
    ["[", "]", "{", "}", "=", ",", ".", "#", '"', "'", '"""', "'''", "\\", "\n", "\t", " ", "\u2028"]
)
WORDS = MARKS | st.sampled_from(["a", "server", "listen", "api_key", "[[routes]]", "[server]", '"x"', "1", "{ env = "])


@SLOWLY
@given(st.lists(WORDS, max_size=60))
def test_any_pile_of_tokens_ends_in_a_report_at_worst(tmp_path, words):
    """Closer to TOML than random bytes, and as wrong."""
    told(tmp_path, "".join(words).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["server", "auth", "tokens", "callbacks", "retry", "providers", "destinations", "routes", "match", "to", "secrets"]
)


def toml(value: object) -> str:
    """Return `value` as an inline TOML value; TOML has no null."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
    return str(value).lower() if isinstance(value, bool | int) else '"none"'


@SLOWLY
@given(st.dictionaries(KEYS, st.dictionaries(KEYS | st.text(max_size=3), JSON, max_size=4) | JSON, max_size=4))
def test_values_of_any_kind_in_any_place_end_in_a_report_at_worst(tmp_path, data):
    """Tables where lists belong, lists where text belongs, and so on."""
    told(tmp_path, "\n".join(f"{key} = {toml(value)}" for key, value in data.items()).encode())


@SLOWLY
@given(st.lists(WORDS | st.text(max_size=4), max_size=60).map("".join))
def test_a_scan_keeps_to_the_text(text):
    """Scalars come in order, do not overlap, and every place is within its line."""
    scan = Scan.of(text)
    lines = text.split("\n")

    ends = [0, *(scalar.end for scalar in scan.scalars)]
    assert all(end <= scalar.start < scalar.end <= len(text) for end, scalar in zip(ends, scan.scalars, strict=False))
    for place in scan.places.values():
        assert place.column - 1 + place.length <= len(lines[place.line - 1])


@pytest.mark.parametrize("unit", ["a.", "[", "{a=", '"', "'", "a = [1,\n", "[a]\n", '"""', "\\", "a . "])
def test_repetition_is_refused_or_read(tmp_path, unit):
    """64 KiB of one thing make the scan neither slow nor so deep that it breaks."""
    told(tmp_path, (unit * (64 * 1024 // len(unit))).encode())
