"""Statements for many rows, made from those for one."""

from relay.store.sql import repeated


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
