"""relay token create."""

import hashlib
import re
import tomllib

import click
import pytest
from click.testing import CliRunner

from relay.cli import cli


@pytest.mark.parametrize("name", ["shop", 'the "big" shop', "店", "\U0001f600", "back\\slash"])
def test_the_line_to_paste_is_toml_that_holds_the_hash_and_not_the_token(name: str) -> None:
    made = CliRunner().invoke(cli, ["token", "create", name, "--for-config", "--scope", "read, watch,read"])

    token = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"rly_[A-Za-z0-9_-]{43}", token)
    assert token not in made.stderr
    line = made.stderr.splitlines()[-1]
    assert tomllib.loads(f"tokens = [\n{line}\n]")["tokens"] == [
        {
            "name": name,
            "hash": "sha256:" + hashlib.sha256(token.encode()).hexdigest(),
            "scopes": ["read", "watch"],
        }
    ]


def test_no_two_tokens_are_the_same() -> None:
    assert len({CliRunner().invoke(cli, ["token", "create", "x", "--for-config"]).stdout for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "arguments",
    [["x", "--scope", "root"], ["x", "--scope", ","], ["a\nb"], [""], ["--for-config"], ["x", "--name", "y"]],
    ids=["unknown", "none", "line", "empty", "nameless", "twice"],
)
def test_what_the_configuration_would_refuse_is_refused_here(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        cli.main(["token", "create", *arguments], standalone_mode=False)
