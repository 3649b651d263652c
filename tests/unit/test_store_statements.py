"""Statements for many rows, made from those for one."""

import sqlite3
from unittest.mock import patch

import pytest

from relay.store.sql import queries, repeated
from relay.store.writer import Transaction


def test_a_statement_is_repeated_by_the_rows_of_its_values() -> None:
    statement = "INSERT INTO a (id, state, at) VALUES (:id, 'queued', :at) ON CONFLICT DO NOTHING"

    assert repeated(statement, 1) == (
        "INSERT INTO a (id, state, at) VALUES (?, 'queued', ?) ON CONFLICT DO NOTHING",
        ("id", "at"),
    )
    assert repeated(statement, 3)[0] == (
        "INSERT INTO a (id, state, at) VALUES (?, 'queued', ?), (?, 'queued', ?), (?, 'queued', ?)"
        " ON CONFLICT DO NOTHING"
    )


@pytest.mark.parametrize(("number", "statements"), [(0, 0), (1, 1), (4, 1), (85, 4), (150, 6)])
def test_any_number_of_rows_is_written_by_statements_for_64_16_4_and_1_of_them(number: int, statements: int) -> None:
    database, run = sqlite3.connect(":memory:", isolation_level=None), list[str]()
    database.execute("CREATE TABLE numbers (number INTEGER)")
    database.set_trace_callback(run.append)

    with patch.dict(queries(), {"insert_number": "INSERT INTO numbers (number) VALUES (:number)"}):
        changed = Transaction(database).many("insert_number", ({"number": n} for n in range(number)))

    assert changed == number
    assert len(run) == statements
    assert [n for (n,) in database.execute("SELECT number FROM numbers ORDER BY number")] == list(range(number))
    database.close()
