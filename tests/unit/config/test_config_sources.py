"""Several files and the environment are one configuration, and every value knows where it stands."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from relay.config import Config, ConfigInvalid, load, settings_in_force

PRESETS = ("getimg", "fal")
MAIN = """\
[server]
listen = "127.0.0.1:8377"
[providers.getimg]
api_key = { env = "KEY" }
[[routes]]
to = ["ops"]
[destinations.ops]
type = "slack"
url = { env = "OPS" }
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write config.toml and the files of conf.d."""

    def written(main: str, **more: str) -> Path:
        (tmp_path / "conf.d").mkdir()
        for name, text in more.items():
            (tmp_path / "conf.d" / f"{name}.toml").write_text(text)
        (tmp_path / "config.toml").write_text(main)
        return tmp_path / "config.toml"

    return written


def loaded(path: Path, **env: str) -> Config:
    return load(path, presets=PRESETS, env={"KEY": "k", "OPS": "https://x.test/y"} | env)


def refused(path: Path, **env: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(path, **env)
    return caught.value.report.replace(f"{path.parent}/", "")


def test_tables_are_merged_and_arrays_of_tables_continued(write):
    """A file of conf.d adds a provider, a setting of another one, and a route."""
    config = loaded(
        write(
            MAIN,
            a='[providers.getimg]\nrate = "10/m"\n[[routes]]\nmatch = { status = ["failed"] }\nto = ["ops"]\n',
            b='[providers.fal]\napi_key = { env = "KEY" }\n',
        )
    )

    assert set(config.providers) == {"getimg", "fal"}
    assert config.providers["getimg"].rate is not None
    assert [len(route.statuses) for route in config.routes] == [0, 1]
    assert config.warnings == ()


def test_a_key_that_is_set_twice_is_an_error_that_names_both_places(write):
    """Neither file wins by its name."""
    told = refused(write(MAIN, a='[server]\nlisten = "127.0.0.1:1"\n', b='[server]\ngrace = "1s"\ngrace2 = 1\n'))

    assert told == (
        'conf.d/a.toml:2:1: error: "listen" is set already, in config.toml:2\n'
        '2 | listen = "127.0.0.1:1"\n'
        "  | ^^^^^^\n"
        'conf.d/b.toml:3:1: error: unknown key "grace2"\n'
        "3 | grace2 = *\n"
        '  | ^^^^^^ did you mean "grace"?\n'
        "2 errors"
    )


def test_references_to_secrets_are_not_merged(write):
    """{ env } here and { file } there are two answers to one question."""
    told = refused(write(MAIN, a='[providers.getimg]\napi_key = { file = "key" }\n'))

    assert 'conf.d/a.toml:2:1: error: "api_key" is set already, in config.toml:4' in told


def test_a_mistake_in_a_continued_array_is_told_in_its_own_file(write):
    """The second route of the whole is the first of its file."""
    told = refused(write(MAIN, a='\n\n[[routes]]\nto = ["opps"]\n'))

    assert told.startswith('conf.d/a.toml:4:7: error: there is no destination "opps"\n4 | to = ["opps"]\n')


def test_the_syntax_errors_of_all_files_are_told_together(write):
    """One run of the check is enough."""
    told = refused(write("[server\n", a="x = \n", b="fine = 1\n"))

    assert "config.toml:1:" in told
    assert "conf.d/a.toml:1:" in told


def test_files_of_other_kinds_and_hidden_ones_are_left_out(write, tmp_path):
    """An editor's backup is no configuration."""
    path = write(MAIN, a="")
    (tmp_path / "conf.d" / "a.toml~").write_text("[")
    (tmp_path / "conf.d" / ".b.toml").write_text("[")

    assert loaded(path).routes


def test_a_loop_of_links_in_conf_d_is_refused_in_words(write, tmp_path):
    """A file that is a link to itself, and a folder that is one."""
    path = write(MAIN)
    (tmp_path / "conf.d" / "loop.toml").symlink_to(tmp_path / "conf.d" / "loop.toml")
    assert "conf.d/loop.toml: error: cannot be read: Too many levels of symbolic links" in refused(path)

    (tmp_path / "conf.d" / "loop.toml").unlink()
    (tmp_path / "conf.d").rmdir()
    (tmp_path / "conf.d").symlink_to(tmp_path / "conf.d")
    assert "conf.d: error: cannot be read: Too many levels of symbolic links" in refused(path)


def test_the_environment_has_the_last_word(write):
    """Text as it is, TOML where it is that, and names of tables in capitals."""
    config = loaded(
        write(MAIN.replace("getimg]", 'get-img]\npreset = "getimg"')),
        RELAY__SERVER__LISTEN="127.0.0.1:9999",
        RELAY__CALLBACKS__ALLOW_HTTP="true",
        RELAY__CALLBACKS__ALLOW_NETWORKS='["10.0.0.0/8"]',
        RELAY__PROVIDERS__GET_IMG__API_KEY='{ env = "OTHER" }',
        RELAY__PROVIDERS__FAL__API_KEY='{ env = "KEY" }',
        RELAY_TOKEN="no setting",
        OTHER="o",
    )

    assert config.server.listen.port == 9999
    assert config.callbacks.allow_http
    assert len(config.callbacks.allow_networks) == 1
    assert config.providers["get-img"].secrets["api_key"].read() == "o"
    assert "fal" in config.providers


def test_a_mistake_in_the_environment_names_the_variable_and_not_its_value(write):
    """A key that was put there by mistake stays unseen."""
    told = refused(
        write(MAIN), RELAY__PROVIDERS__GETIMG__API_KEY="sk_secret_value", RELAY__SERVER__LISEN="x", RELAY__ROUTES="3"
    )

    assert "$RELAY__PROVIDERS__GETIMG__API_KEY: error:" in told
    assert '$RELAY__SERVER__LISEN: error: unknown key "lisen" did you mean "listen"?' in told
    assert "$RELAY__ROUTES: error:" in told
    assert "sk_secret_value" not in told


Env = Mapping[str, str]


def test_every_value_is_shown_with_the_place_that_decided_it(write, tmp_path):
    """The file, the file of conf.d, the variable, the preset and the default."""
    path = write(MAIN, a='[providers.getimg]\nrate = "10/m"\n')
    env: Env = {"KEY": "k", "OPS": "https://x.test/y", "RELAY__LOG__LEVEL": "debug"}

    shown = settings_in_force(
        load(path, presets=PRESETS, env=env),
        env=env,
        inherited=lambda _: ("preset getimg", {"rate": "1/s", "deadline": "6h"}),
    )

    origins = {setting.key: setting.origin.replace(f"{tmp_path}/", "") for setting in shown}
    assert origins["server.listen"] == "config.toml:2"
    assert origins["providers.getimg.rate"] == "conf.d/a.toml:2"
    assert origins["log.level"] == "$RELAY__LOG__LEVEL"
    assert origins["providers.getimg.deadline"] == "preset getimg"
    assert origins["server.grace"] == "default"
    assert [setting.key for setting in shown if setting.key.startswith("providers.")] == [
        "providers.getimg.api_key",
        "providers.getimg.rate",
        "providers.getimg.deadline",
    ]
    assert shown[-1].key == "heartbeat.every"
