"""What a database does for the statements of an action: how it finds the rows, and how much it reads for that."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import event

from authserver.extensions import db

Statement = tuple[str, Any]
NO_SEQUENTIAL = "SET LOCAL enable_seqscan = off"  # or of a few rows it would read all, whatever index there is
OURS = ("SELECT", "UPDATE", "DELETE", "INSERT")


def statements(app: Flask, action: Callable[[], object]) -> list[Statement]:
    """What the action asks of the database, with the values."""
    asked: list[Statement] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        if statement.startswith(OURS):
            asked.append((statement, parameters))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        action()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked
    return asked


@contextmanager
def postgres(database: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(database)) as connection:
        yield connection
        connection.rollback()


@contextmanager
def sqlite(database: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")


def scans(database: str, asked: list[Statement]) -> list[str]:
    """Those of the statements that read a whole table or index."""
    if database.startswith("sqlite"):
        with sqlite(database) as lite:
            return [
                f"{row[3]}: {statement}"
                for statement, parameters in asked
                for row in lite.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                if row[3].startswith("SCAN ") and row[3] != "SCAN CONSTANT ROW"
            ]
    with postgres(database) as connection:
        connection.execute(NO_SEQUENTIAL)
        found = []
        for statement, parameters in asked:
            for node in _nodes(connection, "EXPLAIN (FORMAT JSON) ", statement, parameters):
                reads_all = "Scan" in node["Node Type"] and "Relation Name" in node
                if reads_all and not {"Index Cond", "Recheck Cond"} & node.keys():
                    found.append(f"{node['Node Type']} of {node['Relation Name']}: {statement}")
    return found


def cost(database: str, asked: list[Statement]) -> int:
    """How much the database does to find the rows: SQLite's steps, PostgreSQL's pages. Nothing is changed."""
    asked = [one for one in asked if not one[0].startswith("INSERT")]  # the row is there by now
    if database.startswith("sqlite"):
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        with sqlite(database) as lite:
            lite.set_progress_handler(step, 1)
            for statement, parameters in asked:
                lite.execute(statement, parameters).fetchall()
        return steps
    with postgres(database) as connection:
        connection.execute(NO_SEQUENTIAL)
        return sum(
            top["Shared Hit Blocks"] + top["Shared Read Blocks"]
            for statement, parameters in asked
            for top in _nodes(connection, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ", statement, parameters)[:1]
        )


def _nodes(connection: psycopg.Connection, explain: Any, statement: str, parameters: Any) -> list[dict[str, Any]]:
    row = connection.execute(explain + statement, parameters).fetchone()
    assert row is not None
    return list(_flat(row[0][0]["Plan"]))


def _flat(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _flat(child)
