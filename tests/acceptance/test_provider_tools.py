"""relay providers, on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.scripted_api import scripted_api

from bench.ports import free_port


def run(*arguments: str, stdin: str = "", group: str = "providers") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "relay", group, *arguments],
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_every_preset_is_listed_and_its_file_passes_the_lint(tmp_path: Path) -> None:
    code, out, _ = run("ls", "--json")
    assert code == 0
    names = [json.loads(line)["name"] for line in out.splitlines()]
    assert {"getimg", "lumenfall", "nanogpt", "nanogpt-unified", "replicate", "fal"} <= set(names)
    assert len(names) >= 24
    for name in ("getimg", "fal"):
        code, text, _ = run("show", name)
        (tmp_path / f"{name}.toml").write_text(text)
        assert run("lint", str(tmp_path / f"{name}.toml"))[0] == 0


def test_a_wrong_file_is_told_with_place_and_suggestion(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'title = "x"\nbase_url = "https://x.example"\n[pol]\npath = "/{id}"\n'
        '[status]\npath = "a..b"\ncompleted = ["done"]\n'
    )

    code, _, err = run("lint", str(tmp_path / "p.toml"))

    assert code == 78
    assert 'p.toml:3:2: error: unknown key "pol"' in err
    assert 'did you mean "poll"?' in err
    assert "p.toml:6:1: error" in err


def test_a_file_without_a_way_to_fail_is_doubted(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'title = "x"\nbase_url = "https://x.example"\n[poll]\npath = "/{id}"\n'
        '[status]\npath = "s"\ncompleted = ["done"]\n'
    )

    code, _, err = run("lint", str(tmp_path / "p.toml"))

    assert code == 0
    assert "nothing ever means failed" in err


@pytest.mark.parametrize(
    ("body", "code", "expected"),
    [
        ('{"status": "pending"}', "200", {"status": "running"}),
        ('{"error": {"code": "not_found", "message": "No."}}', "404", {"kind": "missing"}),
        ("<html>", "200", {"kind": "malformed"}),
    ],
)
def test_a_sample_is_interpreted_offline(body: str, code: str, expected: dict[str, str]) -> None:
    done, out, err = run("test", "getimg", "--body", "-", "--http", code, stdin=body)

    assert done == 0
    assert expected.items() <= json.loads(out).items()
    assert f"HTTP {code}" in err


def test_a_wrong_file_is_told_in_full_whatever_is_done_with_it(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('title = "x"\n')
    (tmp_path / "config.toml").write_text("[nonsense]\n")

    linted = run("lint", str(tmp_path / "p.toml"))
    assert (linted[0], run("test", str(tmp_path / "p.toml"), "--body", "-", stdin="{}")) == (78, linted)

    code, _, err = run("test", "getimg", "--id", "req-1", "--config", str(tmp_path / "config.toml"))
    assert (code, err.splitlines()[:2]) == (
        78,
        [f'{tmp_path}/config.toml:1:2: error: unknown key "nonsense"', "1 | [nonsense]"],
    )


def test_a_provider_that_cannot_be_reached_is_no_wrong_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    (tmp_path / "key").write_text("key-0123456789\n")
    config.write_text(
        f'[providers.getimg]\napi_key = {{ file = "key" }}\nbase_url = "http://127.0.0.1:{free_port()}"\n'
    )

    code, _, err = run("test", "getimg", "--id", "req-1", "--config", str(config))

    assert (code, err.splitlines()[-1]) == (1, "error: connect: Connection refused")


def test_a_token_made_of_a_secret_is_hidden_as_the_secret_is(tmp_path: Path) -> None:
    for name in ("access_key", "secret_key"):
        (tmp_path / name).write_text(f"{name}-0123456789\n")
    with scripted_api() as api:
        config = tmp_path / "config.toml"
        config.write_text(
            f'[providers.kling-jwt]\nbase_url = "{api.url}"\n[providers.kling-jwt.secrets]\n'
            'access_key = { file = "access_key" }\nsecret_key = { file = "secret_key" }\n'
        )
        code, _, err = run("test", "kling-jwt", "--id", "j1", "--param", "kind=text2video", "--config", str(config))

    sent = str(api.asked[0].authorization)
    assert (code, sent.startswith("Bearer ey")) == (0, True)
    assert "> Authorization: Bearer ***" in err
    assert sent.rpartition(".")[2] not in err


def test_a_sample_without_a_status_makes_no_file() -> None:
    code, out, err = run("new", "--from", "-", stdin='{"a": 1}')

    assert (code, out) == (1, "")
    assert "no text under status or state" in err


def test_a_sample_nested_beyond_all_measure_is_refused_in_a_sentence() -> None:
    code, out, err = run("new", "--from", "-", stdin="[" * 100_000)

    assert (code, out) == (1, "")
    assert err.startswith("error: the sample cannot be used: ")


def test_the_schema_is_json_schema() -> None:
    code, out, _ = run("schema", "provider", group="config")

    assert code == 0
    assert {"title", "poll", "status", "outputs"} <= set(json.loads(out)["properties"])
