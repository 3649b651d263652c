"""Where the command line looks for the daemon."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.modes import UNPRIVILEGED, heeds_modes

from relay import places
from relay.cli.client import default_url, delivery_path, watch_path
from relay.client import AsyncClient, Client
from relay.config import load
from relay.reaching import checked_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8377", "http://127.0.0.1:8377"),
        ("https://relay.example/base/", "https://relay.example/base"),
        ("localhost:8377", "http://localhost:8377"),
        ("[::1]:8377", "http://[::1]:8377"),
    ],
)
def test_an_address_may_leave_out_its_scheme(text: str, url: str) -> None:
    assert checked_url(text) == url
    assert Client(text).url == AsyncClient(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://relay.example",
        "http://relay.example:99999",
        "http://relay.example:port",
        "http://user:pass@relay.example",
        "http://relay.example?x=1",
        "http://relay.example/a b",
        "http://relay.example/\n",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address like") as refused:
        checked_url(text)
    assert "pass@" not in str(refused.value)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_program_is_told_of_a_wrong_address_at_once(
    client: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_URL", "ftp://relay.example")

    with pytest.raises(ValueError, match=r'"ftp://relay\.example" is not an address like'):
        client()


def test_the_environment_names_the_daemon_before_any_file(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:9000"\n')

    assert default_url({"RELAY_URL": "http://relay.example", "RELAY_CONFIG": str(file)}) == "http://relay.example"
    assert default_url({"RELAY_CONFIG": str(file)}) == "http://127.0.0.1:9000"


@pytest.mark.parametrize("running_at", ["RUNTIME", "STATE"])
def test_the_service_is_found_by_its_socket_from_the_folder_of_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running_at: str
) -> None:
    for name in ("etc", "run", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/config.toml").write_text("")
    monkeypatch.setattr(places, "CONFIGURATION", tmp_path / "etc/config.toml")
    monkeypatch.setattr(places, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    monkeypatch.chdir(tmp_path / "etc")
    path = getattr(places, running_at) / "relay.sock"

    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))
        assert default_url({}) == f"unix:{path}"


@heeds_modes
def test_where_the_service_lets_nobody_in_it_is_asked_at_its_address(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from relay import places; from relay.cli.client import default_url;"
        "here = pathlib.Path(sys.argv[1]); places.CONFIGURATION = here / 'etc/config.toml';"
        "places.STATE = places.RUNTIME = here / 'closed'; print(default_url({}))"
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.toml").write_text("")
    (tmp_path / "closed").mkdir(0o000)
    command = [*UNPRIVILEGED, sys.executable, "-c", code, str(tmp_path)]

    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout]
    (tmp_path / "etc").chmod(0o000)
    found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert found == ["http://127.0.0.1:8377\n"] * 2


def test_the_configuration_of_the_folder_names_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[server]\nlisten = "[::1]:9001"\n')
    monkeypatch.chdir(tmp_path)

    assert default_url({}) == "http://[::1]:9001"


def test_the_command_line_reads_a_configuration_as_the_daemon_does(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    (tmp_path / "conf.d").mkdir()
    config.write_bytes(b'\xef\xbb\xbf# for the caf\xc3\xa9\r\n[server]\r\nlisten = "127.0.0.1:9001"\r\n')
    (tmp_path / "conf.d" / ".20-old.toml").write_text('[server]\nlisten = "127.0.0.1:9002"\n')
    variables = [{}, {"RELAY__SERVER__LISTEN": '"127.0.0.1:9003"'}, {"RELAY__SERVER__LISTEN": "127.0.0.1:9004"}]

    for env in variables:
        listen = load(config, presets=(), env=env).server.listen

        assert default_url({"RELAY_CONFIG": str(config)} | env) == f"http://{listen.host}:{listen.port}"


@pytest.mark.parametrize("text", ["", "[server]\n", "server = 3\n", "[server]\nlisten = 7\n", "not toml", "\x00"])
def test_a_configuration_that_names_no_address_means_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "relay.toml").write_text(text)

    assert default_url({"RELAY_CONFIG": str(tmp_path / "relay.toml")}) == "http://127.0.0.1:8377"


def test_a_configuration_that_cannot_be_read_means_the_default(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_bytes(b"\xff\xfe")

    assert default_url({"RELAY_CONFIG": str(tmp_path / "relay.toml")}) == "http://127.0.0.1:8377"


@pytest.mark.parametrize("name", ["typo.toml", "typo/relay.toml", "file/relay.toml"])
def test_a_configuration_that_is_named_and_not_there_means_no_daemon(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    missing = tmp_path / name
    env = {key: value for key, value in os.environ.items() if key != "RELAY_URL"} | {"RELAY_CONFIG": str(missing)}
    command = [sys.executable, "-m", "relay", "ls"]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith(f"{missing}: error: cannot be read: No")
    assert default_url({"RELAY_CONFIG": str(missing), "RELAY_URL": "http://relay.example"}) == "http://relay.example"


def test_ids_are_quoted_so_that_none_reaches_another_resource() -> None:
    assert watch_path("getimg:a/../b?c#d e") == "/v1/watches/getimg:a%2F..%2Fb%3Fc%23d%20e"
    assert delivery_path("dlv_a/resend") == "/v1/deliveries/dlv_a%2Fresend"
