"""config.example.toml shows every setting with its default, and loads as it ships."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from relay.config import config_schema, load
from relay.config.schema import ConfigTable
from relay.core.ed25519 import SigningKey

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
PRESETS = ("getimg",)


@pytest.fixture
def everything(tmp_path) -> Path:
    """The example with every optional line switched on, and the files it refers to."""
    (tmp_path / "providers").mkdir()
    for name in ("providers/mine.toml", "getimg-eu.key", "billing-secret", "billing-password"):
        (tmp_path / name).write_text("whsec_" + "A" * 43)
    for name in ("signing-key", "billing-key"):
        (tmp_path / name).write_text(SigningKey.of(bytes(32)).text)
    (tmp_path / "slack-ops").write_text("https://hooks.slack.com/services/T/B/x")
    path = tmp_path / "config.toml"
    path.write_text(re.sub(r"^#(?=\S|  \{)", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    return path


def settings(schema: dict[str, Any], node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key that the JSON Schema knows; `*` stands for a name."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if "additionalProperties" in node and isinstance(node["additionalProperties"], dict):
        yield from settings(schema, node["additionalProperties"], f"{prefix}.*")
    elif "items" in node and "$ref" in node["items"]:
        yield from settings(schema, node["items"], prefix)
    elif "properties" in node:
        for name, below in node["properties"].items():
            yield from settings(schema, below, f"{prefix}.{name}")
    else:
        yield prefix


def present(value: object, prefix: str = "") -> Iterator[str]:
    """Yield every key of a file, in the same notation."""
    named = prefix in (".providers", ".destinations") or re.fullmatch(
        r"\.(providers\.\*\.secrets|destinations\.\*\.headers|routes\.match\.metadata)", prefix
    )
    if isinstance(value, dict):
        yield prefix
        for name, below in value.items():
            yield from present(below, f"{prefix}.{'*' if named else name}")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from present(item, prefix)
    else:
        yield prefix


def test_the_example_loads_as_it_ships():
    """With the one key that it asks for, there is nothing to doubt."""
    config = load(EXAMPLE, presets=PRESETS, env={"GETIMG_API_KEY": "k"})

    assert config.warnings == ()
    assert config.providers["getimg"].secrets["api_key"].read() == "k"


def test_every_optional_line_of_the_example_is_valid(everything, tmp_path):
    """Switched on all at once, there is nothing to doubt either."""
    env = {
        "GETIMG_API_KEY": "k",
        "MINE_ACCOUNT": "a",
        "BILLING_KEY": "k",
        "EGRESS_PROXY": "http://p:1",
        "HEARTBEAT_URL": "https://monitor.example/ping",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    text = everything.read_text().replace("https://api.getimg.ai", "https://eu.example.com")
    everything.write_text(text.replace("sha256:" + "0" * 64, "sha256:" + "1" * 64))

    config = load(everything, presets=PRESETS, env=env)

    assert config.warnings == ()
    assert set(config.providers) == {"getimg", "getimg-eu", "mine"}


def test_the_example_holds_every_setting_of_the_schema(everything):
    """A setting that is added to the schema must be shown to users."""
    schema = config_schema()
    shown = set(present(tomllib.loads(everything.read_text())))

    assert set(settings(schema, schema)) - shown == set()


def test_the_example_shows_the_defaults_that_hold(everything):
    """Every value of a key with a default is that default, so that the page cannot lie."""
    data = tomllib.loads(everything.read_text())
    del (
        data["auth"],
        data["providers"],
        data["destinations"],
        data["routes"],
        data["egress"]["proxy"],
        data["callbacks"]["signing_key"],
        data["heartbeat"]["url"],
    )

    assert ConfigTable.model_validate(data) == ConfigTable()


def test_the_schema_describes_the_file_as_it_is_written():
    """Defaults are text with units, and unknown keys are refused by editors too."""
    schema = config_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["RetryTable"]["properties"]["first"]["default"] == "5s"
    assert schema["$defs"]["ServerTable"]["properties"]["listen"]["default"] == "127.0.0.1:8377"
    assert "default" not in schema["$defs"]["CallbacksTable"]["properties"]["retry"]
    assert schema["$defs"]["StoreTable"]["properties"]["url"]["default"] == "sqlite:///relay.db"


def test_every_table_refuses_unknown_keys():
    """None of the models forgot to inherit the rule."""

    def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for kind in model.__subclasses__():
            yield kind
            yield from below(kind)

    from relay.config.schema import Table

    assert {kind.model_config.get("extra") for kind in below(Table)} == {"forbid"}
