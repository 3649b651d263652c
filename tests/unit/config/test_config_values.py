"""A valid configuration becomes values that need no further reading."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from relay import places
from relay.config import ConfigInvalid, DestinationType, find, load
from relay.core.access import Scope
from relay.core.budget import Rate
from relay.core.observation import OUTCOMES, Status
from relay.core.retry import RetryPolicy


def test_an_empty_file_has_every_default(load_text, tmp_path):
    """The defaults are those of the documentation; that nothing is watched is doubted."""
    config = load_text("")

    assert (config.server.listen.host, config.server.listen.port) == ("127.0.0.1", 8377)
    assert config.server.grace_s == 30
    assert (config.log.level, config.log.format) == ("info", "auto")
    assert config.store.path == tmp_path / "relay.db"
    assert config.auth.tokens == ()
    assert config.callbacks.signing.secret.path == tmp_path / "callback-secret"
    assert not config.callbacks.allow_http
    assert (config.callbacks.allow_networks, config.callbacks.allow_hosts) == ((), ())
    assert (config.egress.proxy, config.egress.direct) == (None, ())
    assert config.callbacks.retry == RetryPolicy(5, 21600, 259200)
    assert (config.providers, config.destinations, config.routes) == ({}, {}, ())
    assert config.schedule.detection_lag_s == 2
    assert config.retention.watches_s == 90 * 86400
    assert [line.splitlines()[0] for line in config.warnings] == [
        f"{tmp_path}/config.toml:1:1: warning: no provider is configured, so there is nothing to watch"
    ]


def test_every_value_is_parsed(load_text, tmp_path):
    """Durations are seconds, rates and networks are values, names are enumerations."""
    (tmp_path / "mine.toml").touch()
    config = load_text(
        f"""
        auth.tokens = [{{ name = "shop", hash = "sha256:{"AB" * 32}", scopes = ["watch", "read"] }}]
        callbacks = {{ allow_http = true, allow_networks = ["127.0.0.0/8", "fd00::1"], retry = {{ first = "1s" }} }}
        [providers.eu]
        preset = "getimg"
        api_key = {{ env = "KEY" }}
        secrets = {{ account = {{ credential = "acct" }} }}
        base_url = "http://127.0.0.1:9000/v1"
        min_interval = "500ms"
        max_interval = "1m30s"
        rate = "90/m"
        concurrency = 4
        detection_lag = "1s"
        typical_duration = "2m"
        deadline = "1d"
        not_found_grace = "0s"
        [providers.mine]
        spec = "mine.toml"
        [destinations.ops]
        type = "discord"
        url = {{ file = "/secrets/discord" }}
        [destinations.hook]
        type = "callback"
        url = "https://x.test/hook"
        raw = true
        retry = {{ max_gap = "1h", give_up_after = "0s" }}
        [[routes]]
        match = {{ status = ["failed", "not_found"], provider = ["eu"] }}
        to = ["ops", "hook"]
        [[routes]]
        to = ["ops"]
        """,
        {"KEY": "k", "CREDENTIALS_DIRECTORY": str(tmp_path)},
    )
    eu, mine = config.providers["eu"], config.providers["mine"]
    ops, hook = config.destinations["ops"], config.destinations["hook"]

    [token] = config.auth.tokens
    assert (token.name, token.digest, token.scopes) == ("shop", "ab" * 32, {Scope.WATCH, Scope.READ})
    assert config.callbacks.allow_http
    assert config.callbacks.allow_networks == (ip_network("127.0.0.0/8"), ip_network("fd00::1/128"))
    assert config.callbacks.retry == RetryPolicy(1, 21600, 259200)
    assert (eu.preset, eu.spec, eu.base_url) == ("getimg", None, "http://127.0.0.1:9000/v1")
    assert (eu.min_interval_s, eu.max_interval_s, eu.rate, eu.concurrency) == (0.5, 90, Rate(90, 60), 4)
    assert (eu.detection_lag_s, eu.typical_duration_s, eu.deadline_s, eu.not_found_grace_s) == (1, 120, 86400, 0)
    assert {name: str(secret.reference) for name, secret in eu.secrets.items()} == {
        "account": 'credential "acct"',
        "api_key": "environment variable KEY",
    }
    assert (mine.preset, mine.spec, mine.rate) == (None, tmp_path / "mine.toml", None)
    assert (ops.type, ops.url.path, ops.signing, ops.raw) == (
        DestinationType.DISCORD,
        Path("/secrets/discord"),
        None,
        False,
    )
    assert (hook.type, hook.url.read(), hook.raw) == (DestinationType.CALLBACK, "https://x.test/hook", True)
    assert hook.signing is config.callbacks.signing
    assert hook.retry == RetryPolicy(5, 3600, 0)
    assert config.routes[0].statuses == {Status.FAILED, Status.NOT_FOUND}
    assert config.routes[0].providers == {"eu"}
    assert [route.to for route in config.routes] == [("ops", "hook"), ("ops",)]
    assert config.routes[1].statuses == frozenset()


@pytest.mark.parametrize("written", ['"http://proxy.internal:3128"', '{ env = "PROXY" }'])
def test_the_way_out_is_a_plain_url_or_a_secret(load_text, written):
    """Only a proxy that wants a password has something to hide."""
    config = load_text(
        f"""
        callbacks.allow_hosts = ["Hooks.Internal.", "*.corp.example"]
        egress = {{ proxy = {written}, direct = ["*.internal"] }}
        """,
        {"PROXY": "http://proxy.internal:3128"},
    )

    assert config.callbacks.allow_hosts == ("hooks.internal", "*.corp.example")
    assert config.egress.proxy.read() == "http://proxy.internal:3128"
    assert config.egress.direct == ("*.internal",)
    assert ("egress.proxy" in [secret.key for secret in config.secrets]) is ("env" in written)


def test_every_outcome_can_be_routed(load_text):
    """The names that a route takes are those of the core."""
    names = ", ".join(f'"{status}"' for status in OUTCOMES)
    text = '[destinations.x]\ntype = "callback"\nurl = "https://x.test"\n'

    config = load_text(f'{text}[[routes]]\nmatch = {{ status = [{names}] }}\nto = ["x"]')

    assert config.routes[0].statuses == set(OUTCOMES)


def test_what_relay_writes_goes_to_the_state_directory(load_text, tmp_path):
    """Under systemd the database and the signing secret are there; other files stay beside the configuration."""
    text = '[providers.getimg]\napi_key = { file = "key" }\n[destinations.x]\ntype = "slack"\nurl = { file = "url" }'
    config = load_text(text, {"STATE_DIRECTORY": "/var/lib/relay:/var/lib/other"})

    assert config.store.path == Path("/var/lib/relay/relay.db")
    assert config.callbacks.signing.secret.path == Path("/var/lib/relay/callback-secret")
    assert config.providers["getimg"].secrets["api_key"].path == tmp_path / "key"
    assert config.destinations["x"].url.path == tmp_path / "url"


@pytest.mark.parametrize("spelling", ["config.toml", "../etc/config.toml"])
def test_the_configuration_of_the_service_has_its_state_without_its_environment(tmp_path, monkeypatch, spelling):
    """An operator's shell knows no $STATE_DIRECTORY, and means the service's database all the same."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(places, "CONFIGURATION", folder / "config.toml")
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    (folder / "config.toml").write_text('[server]\nlisten = "0.0.0.0:8377"\n[providers.getimg]\n')
    asked = []

    config = load(folder / spelling, presets=["getimg"], env={}, holds_tokens=lambda path: asked.append(path) is None)

    assert config.store.path == tmp_path / "state/relay.db"
    assert config.callbacks.signing.secret.path == tmp_path / "state/callback-secret"
    assert asked == [config.store.path]


def test_the_environment_names_the_state_of_the_service_too(tmp_path, monkeypatch, load_text):
    """Somebody who keeps it elsewhere is not overruled."""
    monkeypatch.setattr(places, "CONFIGURATION", tmp_path / "config.toml")

    assert load_text("", {"STATE_DIRECTORY": "/srv/relay"}).store.path == Path("/srv/relay/relay.db")


def test_an_absolute_store_stays_where_it_is(load_text):
    """Four slashes begin an absolute path, as in SQLAlchemy's URLs."""
    config = load_text('[store]\nurl = "sqlite:////srv/relay.db"', {"STATE_DIRECTORY": "/var/lib/relay"})

    assert config.store.path == Path("/srv/relay.db")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('[providers.getimg]\nbase_url = "http://x.test"', "2:1", "would cross the network unencrypted"),
        (
            '[providers.getimg]\n[destinations.x]\ntype = "callback"\nurl = "https://x.test"',
            "2:2",
            'no route leads to "x"',
        ),
        (
            (
                '[providers.getimg]\n[[routes]]\nmatch = { provider = ["getimgg"] }\nto = ["x"]\n'
                '[destinations]\nx = { type = "callback", url = "https://x.test" }'
            ),
            "3:23",
            'there is no provider "getimgg"',
        ),
        ('[providers.getimg]\napi_key = { env = "ABSENT" }', "2:1", "environment variable ABSENT is not set"),
    ],
)
def test_what_is_legal_but_hardly_meant_is_a_warning(load_text, tmp_path, text, place, message):
    """The configuration loads, and the doubt stands in `warnings` with its place."""
    [warning] = load_text(text).warnings

    assert warning.startswith(f"{tmp_path}/config.toml:{place}: warning: ")
    assert message in warning


def test_plain_http_to_this_machine_is_no_doubt(load_text):
    """A simulator or a proxy on loopback is an ordinary thing."""
    assert load_text('[providers.getimg]\nbase_url = "http://localhost:9000"').warnings == ()


def test_a_byte_order_mark_and_windows_line_ends_are_read(load_text):
    """What editors on Windows write is TOML all the same."""
    assert load_text('\ufeff[log]\r\nlevel = "debug"\r\n[providers.getimg]\r\n').log.level == "debug"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "not UTF-8 text (byte 1)"),
        (b"[server]\n# \xc3", "not UTF-8 text (byte 12)"),
        (b"\x00\x01\x02", "Invalid statement"),
        (b"# " + b"x" * 1024 * 1024, "larger than 1 MiB"),
        (b"x = " + b"[" * 100_000, "error:"),
        (b"x = " + b"9" * 10_000, "error:"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_words(tmp_path, content, message):
    """Binary, huge and endlessly nested files end in a sentence, not in a traceback."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigInvalid) as caught:
        load(path, presets=(), env={})

    assert message in caught.value.report
    assert len(caught.value.report) < 1000


def test_a_path_that_is_no_file_is_refused_in_words(tmp_path):
    """Missing, a folder, a device, a loop of links: each says what it is."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    reasons = {
        tmp_path / "absent": "No such file or directory",
        tmp_path: "is a folder",
        Path("/dev/zero"): "is not a regular file",
        loop: "Too many levels of symbolic links",
        tmp_path / "nul\0": "null",
    }

    for path, reason in reasons.items():
        with pytest.raises(ConfigInvalid, match=reason):
            load(path, presets=(), env={})


def test_the_file_is_looked_for_in_order(tmp_path):
    """The flag, then the variable, then the working folder; what was named is taken at its word."""
    here = tmp_path / "config.toml"
    env = {"RELAY_CONFIG": "/elsewhere.toml"}

    assert find(Path("/flag.toml"), env, tmp_path) == Path("/flag.toml")
    assert find(None, env, tmp_path) == Path("/elsewhere.toml")
    with pytest.raises(ConfigInvalid, match=r"no --config.*RELAY_CONFIG.*config\.toml.*/etc/relay/config\.toml"):
        find(None, {}, tmp_path)
    here.touch()
    assert find(None, {}, tmp_path) == here
