"""Every setting can be asked for its value and its origin."""

from relay.config import load, settings_in_force


def test_each_setting_is_shown_with_its_origin_and_without_secrets(tmp_path):
    """What the file says has a line, what it leaves out is a default, and secrets are references or stars."""
    path = tmp_path / "config.toml"
    path.write_text(f"""\
[auth]
tokens = [
  {{ name = "shop", hash = "sha256:{"a" * 64}", scopes = ["read"] }},
]
[callbacks]
retry = {{ first = "1s" }}
[providers.getimg]
api_key = {{ env = "KEY" }}
rate = "90/m"
[destinations.hook]
type = "callback"
url = "https://x.test/t0ken"
[[routes]]
to = ["hook"]
""")

    shown = {
        setting.key: (setting.value, setting.origin.removeprefix(f"{tmp_path}/"))
        for setting in settings_in_force(load(path, presets=("getimg",), env={"KEY": "k"}), env={"KEY": "k"})
    }

    assert shown == {
        "server.listen": ('"127.0.0.1:8377"', "default"),
        "server.socket": ('"relay.sock"', "default"),
        "server.grace": ('"30s"', "default"),
        "server.rate": ('"60000/m"', "default"),
        "log.level": ('"info"', "default"),
        "log.format": ('"auto"', "default"),
        "store.url": ('"sqlite:///relay.db"', "default"),
        "auth.tokens[0].name": ('"shop"', "config.toml:3"),
        "auth.tokens[0].hash": ('"***"', "config.toml:3"),
        "auth.tokens[0].scopes": ('["read"]', "config.toml:3"),
        "callbacks.secret": ('{ file = "callback-secret" }', "default"),
        "callbacks.previous_secrets": ("[]", "default"),
        "callbacks.allow_http": ("false", "default"),
        "callbacks.allow_networks": ("[]", "default"),
        "callbacks.allow_hosts": ("[]", "default"),
        "egress.direct": ("[]", "default"),
        "callbacks.retry.first": ('"1s"', "config.toml:6"),
        "callbacks.retry.max_gap": ('"6h"', "default"),
        "callbacks.retry.give_up_after": ('"72h"', "default"),
        "providers.getimg.api_key": ('{ env = "KEY" }', "config.toml:8"),
        "providers.getimg.rate": ('"90/m"', "config.toml:9"),
        "destinations.hook.type": ('"callback"', "config.toml:11"),
        "destinations.hook.url": ('"***"', "config.toml:12"),
        "destinations.hook.previous_secrets": ("[]", "default"),
        "destinations.hook.payload": ('"full"', "default"),
        "destinations.hook.raw": ("false", "default"),
        "destinations.hook.digest": ('"1m"', "default"),
        "destinations.hook.retry.first": ('"5s"', "default"),
        "destinations.hook.retry.max_gap": ('"6h"', "default"),
        "destinations.hook.retry.give_up_after": ('"72h"', "default"),
        "routes[0].match.status": ("[]", "default"),
        "routes[0].match.provider": ("[]", "default"),
        "routes[0].match.event": ("[]", "default"),
        "routes[0].match.model": ("[]", "default"),
        "routes[0].to": ('["hook"]', "config.toml:14"),
        "schedule.detection_lag": ('"2s"', "default"),
        "retention.watches": ('"90d"', "default"),
        "heartbeat.every": ('"1m"', "default"),
    }


def test_a_key_is_shown_as_it_would_stand_in_a_file(tmp_path):
    """One that TOML takes in quotes only has them, and a provider keeps its settings to itself."""
    path = tmp_path / "config.toml"
    path.write_text("""\
[providers."a.b"]
preset = "getimg"
[providers.a]
preset = "getimg"
[destinations.hook]
type = "callback"
url = "https://x.test/"
[[routes]]
match = { metadata = { "a b" = "c" } }
to = ["hook"]
""")

    shown = settings_in_force(
        load(path, presets=("getimg",), env={}), env={}, inherited=lambda _: ("preset getimg", {"rate": "1/s"})
    )

    assert [setting.key for setting in shown if setting.key.startswith("providers.")] == [
        'providers."a.b".preset',
        'providers."a.b".rate',
        "providers.a.preset",
        "providers.a.rate",
    ]
    assert {setting.value for setting in shown if setting.key == "routes[0].match.metadata"} == {'{ "a b" = "c" }'}
