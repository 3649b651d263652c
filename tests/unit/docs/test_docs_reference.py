"""Nothing that users can set, call, count or meet goes undocumented."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from relay.api.operations import OPERATIONS
from relay.api.problems import Problem
from relay.cli import cli
from relay.config import config_schema
from relay.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()


def written(page: str) -> str:
    return (DOCS / "reference" / page).read_text()


@pytest.mark.parametrize("page", sorted(GENERATOR.PAGES))
def test_each_page_says_what_the_code_says(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails, run `make docs`."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    assert written(page) == GENERATOR.PAGES[page]()


def test_every_flag_of_every_command_is_documented() -> None:
    page = written("command-line.md")

    def check(command: click.Command, path: str) -> None:
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        assert section, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert max(parameter.opts, key=len) in section, (path, parameter.opts)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                check(below, f"{path} {name}")

    check(cli, "relay")


def test_every_setting_is_documented_with_a_meaning() -> None:
    page, schema = written("configuration.md"), config_schema()

    def keys(node: dict[str, Any]) -> set[str]:
        inner = node.get("additionalProperties") or node.get("items") or node
        name = inner["$ref"].rpartition("/")[2]
        return set(schema["$defs"][name]["properties"])

    for table, node in schema["properties"].items():
        section = re.search(rf"^## \[+{table}[.\w]*\]+\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, table
        rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*?) \|$", section[1], re.MULTILINE))
        assert keys(node) == set(rows)
        assert all(rows.values()), rows


def test_every_operation_and_whatever_it_takes_is_documented_with_a_meaning() -> None:
    page = written("api.md")

    for operation in OPERATIONS:
        section = page.partition(f"## {operation.method} {operation.path}\n")[2].partition("\n## ")[0]
        named = {*operation.query.model_fields, *(operation.body.model_fields if operation.body else ())}
        rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*?) \|$", section, re.MULTILINE))
        assert named <= rows.keys()
        assert all(rows.values()), rows


def test_every_metric_and_every_problem_is_documented() -> None:
    for family in Metrics().registry.collect():
        if family.name.startswith("relay_"):
            assert f"`{family.name}" in written("metrics.md")
    for problem in Problem:
        assert f"urn:relay:problem:{problem.slug}`" in written("errors.md")


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
