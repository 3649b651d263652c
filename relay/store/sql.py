"""SQL as it lies in the package: named queries and numbered schema steps."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_VALUES = re.compile(r"\bVALUES (\([^()]*\))")
_PARAMETER = re.compile(r":([a-z]\w*)")


@cache
def queries() -> dict[str, str]:
    """Return the statements of queries.sql by name."""
    parts = _NAME.split((files(__package__) / "queries.sql").read_text())
    return {name: text.strip().rstrip(";") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def repeated(statement: str, times: int) -> tuple[str, tuple[str, ...]]:
    """Return a statement with so many rows of VALUES in the place of its one, and the names of what each is made of.

    It takes them by their places, row by row: SQLite changes many rows in one
    step so, where one statement for each would change threads as often.
    """
    found = _VALUES.search(statement)
    assert found is not None, "what is repeated has a row of VALUES, and no other parameters"
    row = _PARAMETER.sub("?", found[1])
    rows = ", ".join([row] * times)
    return f"{statement[: found.start(1)]}{rows}{statement[found.end(1) :]}", tuple(_PARAMETER.findall(found[1]))


@cache
def schema_steps() -> tuple[str, ...]:
    """Return the schema's steps in order; the first makes version 1 out of nothing."""
    folder = files(__package__) / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text() for name in names)
