"""What an answer tells of its receiver, and the documented table of it."""

import re
from pathlib import Path

import pytest

from relay.core.etiquette import Sign, sign_of

TABLE = Path(__file__).parents[3] / "docs" / "deliveries.md"


def documented(status: int) -> str:
    """Return what the first row of the table that holds a status says of it, an exact one before a range."""
    rows = re.findall(r"^\| ([\d, -]+) \| (\w+) \|", TABLE.read_text(), re.MULTILINE)
    cells = [(cell.strip(), sign) for statuses, sign in rows for cell in statuses.split(",")]
    for cell, sign in sorted(cells, key=lambda pair: "-" in pair[0]):
        first, _, last = cell.partition("-")
        if int(first) <= status <= int(last or first):
            return sign
    raise AssertionError(f"{status} is in no row")


def test_the_documented_table_is_what_the_code_does() -> None:
    assert {status: str(sign_of(status)) for status in range(100, 600)} == {
        status: documented(status) for status in range(100, 600)
    }


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500, 503])
def test_a_failure_that_asks_to_wait_is_overload_whatever_its_status(status: int) -> None:
    assert sign_of(status, asks_to_wait=True) is Sign.OVERLOADED


@pytest.mark.parametrize(("status", "sign"), [(200, Sign.WORKS), (410, Sign.GONE)])
def test_a_wish_to_wait_changes_neither_success_nor_the_end(status: int, sign: Sign) -> None:
    assert sign_of(status, asks_to_wait=True) is sign
