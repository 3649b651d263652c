"""SQL as it lies in the package: named queries and numbered schema steps."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """Return the statements of queries.sql by name."""
    parts = _NAME.split((files(__package__) / "queries.sql").read_text())
    return {name: text.strip().rstrip(";") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def schema_steps() -> tuple[str, ...]:
    """Return the schema's steps in order; the first makes version 1 out of nothing."""
    folder = files(__package__) / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text() for name in names)
