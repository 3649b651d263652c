"""Writes docs/reference from the code that it describes: `make docs`.

A test compares what stands there with what this says, so that no setting, flag,
metric or error goes undocumented.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from relay.api.openapi import document
from relay.api.operations import OPERATIONS
from relay.api.problems import TYPE_PREFIX, Problem
from relay.cli import cli
from relay.cli.exit_codes import ExitCode
from relay.config import config_schema, toml
from relay.metrics import Metrics

ROOT = Path(__file__).parents[1]
_WRITTEN_BY = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"
_EXIT_CODES = {
    ExitCode.OK: "done; all jobs completed",
    ExitCode.ERROR: "something went wrong, and was told",
    ExitCode.USAGE: "the command was not understood",
    ExitCode.NOT_FOUND: "nothing matched",
    ExitCode.AUTH: "not allowed: no token, or not the right one",
    ExitCode.PENDING: "a job has not ended yet",
    ExitCode.JOB_FAILED: "a job failed",
    ExitCode.JOB_CANCELLED: "a job was cancelled",
    ExitCode.JOB_LOST: "a job expired, was not found, or timed out",
    ExitCode.UNREACHABLE: "no daemon answers",
    ExitCode.CONFIG: "the configuration is wrong",
    ExitCode.TIMED_OUT: "the wait timed out",
    ExitCode.INTERRUPTED: "interrupted",
}


def command_line() -> str:
    """Return the page of the command line: the help of every command, and the exit codes."""
    parts = ["# The command line", _WRITTEN_BY, "## Exit codes", "| code | meaning |\n|---|---|"]
    parts[-1] += "".join(f"\n| {int(code)} | {_EXIT_CODES[code]} |" for code in ExitCode)
    parts.append("Of several jobs, the worst decides: failed, then lost, cancelled, timed out, pending.")
    for path in ((), *_commands(cli)):
        shown = CliRunner().invoke(cli, [*path, "--help"], prog_name="relay", terminal_width=100)
        parts += [f"## {' '.join(('relay', *path))}", f"```text\n{shown.output.rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


def configuration() -> str:
    """Return the page of the configuration: keys and defaults from the schema, meanings from config.example.toml."""
    shown = _example()
    parts = ["# The configuration", _WRITTEN_BY, _PREAMBLE]
    for table, keys in _tables(config_schema()):
        rows = ["| key | default | example | meaning |\n|---|---|---|---|"]
        for key, default in keys.items():
            value, meaning = shown[table, key]
            example = None if value in (default, "[]") else value
            rows.append(f"| `{key}` | {_code(default)} | {_code(example)} | {_cell(meaning)} |")
        parts += [f"## {table}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


_PREAMBLE = """\
TOML, in the file given by `--config`, else `$RELAY_CONFIG`, `./config.toml` or `/etc/relay/config.toml`; merged with
the files `conf.d/*.toml` beside it, and overridden by variables `RELAY__SECTION__KEY`.
[config.example.toml](../../config.example.toml) shows it in one piece; `relay config show` tells the value and origin
of each key, `relay config check` what is wrong, and `relay config schema` is for editors.

Durations are text with units (`"250ms"`, `"30s"`, `"1h30m"`, `"90d"`).
A secret is a reference: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ credential = "NAME" }`.
`NAME` stands for a name of your own."""


def _tables(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield each table of the file with its keys and, as they would be written, their defaults."""
    for name, node in schema["properties"].items():
        below = node.get("additionalProperties") or node.get("items")
        table = (
            f"[{name}.NAME]" if "additionalProperties" in node else f"[[{name}]]" if "items" in node else f"[{name}]"
        )
        yield table, _keys(schema, _resolved(schema, below or node))
        if name == "routes":
            yield "[routes.match]", _keys(schema, schema["$defs"]["MatchTable"])


def _keys(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, str | None]:
    return {key: _default(schema, value) for key, value in node["properties"].items()}


def _default(schema: dict[str, Any], node: dict[str, Any]) -> str | None:
    if "$ref" in node:
        values = _resolved(schema, node)["properties"]
        inner = {key: part["default"] for key, part in values.items() if part.get("default") is not None}
        return toml(inner) if inner else None
    return toml(node["default"]) if node.get("default") is not None else None


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["$defs"][node["$ref"].rpartition("/")[2]]) if "$ref" in node else node


def _example() -> dict[tuple[str, str], tuple[str, str]]:
    """Return the value and the meaning of each key of the example, of those with a remark the first."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    table = ""
    for line in (ROOT / "config.example.toml").read_text().splitlines():
        if header := re.fullmatch(r"#?(\[+[\w.-]+\]+)(?:\s+#.*)?", line):
            table = re.sub(r"\.[\w-]+", ".NAME", header[1]) if header[1].startswith(("[prov", "[dest")) else header[1]
        elif key := re.fullmatch(r"#?(\w+) = (.*?)(?:\s+# (.*))?", line):
            value = "[…]" if key[2] == "[" else key[2]
            if key[3] or (table, key[1]) not in found:
                found[table, key[1]] = value, key[3] or found.get((table, key[1]), ("", ""))[1]
    return found


def _code(text: str | None) -> str:
    return f"`{_cell(text)}`" if text else ""


def api() -> str:
    """Return the page of the API, from the document that it serves."""
    described = document(OPERATIONS)
    schemas = described["components"]["schemas"]
    parts = ["# The API", _WRITTEN_BY, _API_PREAMBLE]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            needs = operation.get("description", "Needs no token.")
            parts += [f"## {method.upper()} {path}", f"{operation['summary']} {needs}"]
            if operation["parameters"]:
                parts.append(_fields("parameter", ((item["name"], item) for item in operation["parameters"])))
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if body:
                fields = schemas[body["$ref"].rpartition("/")[2]]
                required = set(fields.get("required", ()))
                named = ((name, item | {"required": name in required}) for name, item in fields["properties"].items())
                parts.append(_fields("key of the body", named))
            answers = operation["responses"].items()
            lines = [f"- {code}: {answer['description']}" for code, answer in answers if code < "400"]
            lines.append(f"- errors: {', '.join(code for code, _ in answers if code >= '400')}")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


_API_PREAMBLE = """\
JSON over HTTP; `GET /openapi.json` describes it to programs in full, the shapes of its answers included.
Tokens go into `Authorization: Bearer ...`; where there are none, and on the socket, none is needed.
A token that lacks `admin` sees its own watches only; those of others are 404.
Errors are [problem documents](errors.md).
Lists come in pages: `next_cursor`, where it is not null, is the `cursor` of the next one.
A page of large items ends before its `limit`, at 4 MiB."""


def _fields(title: str, items: Iterable[tuple[str, dict[str, Any]]]) -> str:
    rows = [f"| {title} | | meaning |\n|---|---|---|"]
    for name, item in items:
        needed = "required" if item.get("required") else ""
        rows.append(f"| `{name}` | {needed} | {_cell(item.get('description', ''))} |")
    return "\n".join(rows)


def metrics() -> str:
    """Return the page of the metrics."""
    rows = ["| series | type | labels | meaning |\n|---|---|---|---|"]
    own = [family for family in Metrics().registry.collect() if family.name.startswith("relay_")]
    labels = {metric._name: metric._labelnames for metric in vars(Metrics()).values() if hasattr(metric, "_labelnames")}
    suffixes = {"counter": "_total", "info": "_info"}
    for family in sorted(own, key=lambda family: family.name):
        by = ", ".join(labels.get(family.name, ()))
        name = family.name + suffixes.get(family.type, "")
        rows.append(f"| `{name}` | {family.type} | {by} | {_cell(family.documentation)} |")
    return "\n\n".join(["# The metrics", _WRITTEN_BY, _METRICS_PREAMBLE, "\n".join(rows)]) + "\n"


_METRICS_PREAMBLE = """\
`GET /metrics` answers in Prometheus' text format, to a token that may read where there are tokens.
A histogram is three series: `_bucket`, `_sum` and `_count`.
Those of the process (`process_resident_memory_bytes` and others) come along.
[monitoring/](../monitoring) holds a Grafana dashboard and alert rules."""


def errors() -> str:
    """Return the page of the API's problems."""
    rows = ["| type | status | title |\n|---|---|---|"]
    rows += [f"| `{TYPE_PREFIX}{problem.slug}` | {problem.status} | {problem.title} |" for problem in Problem]
    return "\n\n".join(["# The errors of the API", _WRITTEN_BY, _ERRORS_PREAMBLE, "\n".join(rows)]) + "\n"


_ERRORS_PREAMBLE = """\
Every error is a problem document (RFC 9457, `application/problem+json`): `type`, `title` and `status` as below, and a
`detail` that says what was wrong this time.
Where fields of the request are at fault, `errors` lists each with its `field` and a `message`.
Go by `type`; titles and details are for people."""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "api.md": api,
    "command-line.md": command_line,
    "configuration.md": configuration,
    "metrics.md": metrics,
    "errors.md": errors,
}


def main() -> int:
    """Write every page."""
    for name, page in PAGES.items():
        (ROOT / "docs" / "reference" / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
