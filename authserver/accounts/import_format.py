"""Files of people, line by line: JSON Lines, or CSV with a head. One person a line, so that a line's fault is its own.

A line is read to its limit and no further, whatever the file holds: memory does not grow with it.
"""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import IO, Any

LONGEST_LINE = 16 * 1024
TRUTHS = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
BOOLEANS = ("email_verified", "disabled")

Parse = Callable[[str], dict[str, Any]]


class FormatError(Exception):
    """What is wrong with a file as a whole."""


class LineError(Exception):
    """What is wrong with a line, before its fields are looked at."""


class Lines:
    """The lines of a file that hold something, with their numbers; `advance` is told how many bytes were read."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], object]) -> None:
        self.file = file
        self.advance = advance
        self.number = 0

    def __iter__(self) -> Iterator[bytes | None]:
        """None for a line that is too long."""
        while line := self._next():
            self.number += 1
            too_long = len(line) > LONGEST_LINE
            while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                line = self._next()
            if too_long:
                yield None
            elif line.strip():
                yield line

    def _next(self) -> bytes:
        line = self.file.readline(LONGEST_LINE + 1)
        self.advance(len(line))
        return line


class Seen:
    """The addresses of the file so far, in a temporary file of SQLite's own: memory does not grow with them."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("CREATE TABLE seen (email TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("BEGIN")

    def line_of(self, email: str, line: int) -> int:
        """The first line with this address, which may be this one."""
        added = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (email, line))
        if added.rowcount:
            return line
        first: int = self.database.execute("SELECT line FROM seen WHERE email = ?", (email,)).fetchone()[0]
        return first

    def close(self) -> None:
        self.database.close()


def people(lines: Lines, kind: str, fields: set[str]) -> Iterator[tuple[int, dict[str, Any] | LineError]]:
    """Each line's number, and its fields or what is wrong with it; raises `FormatError` for a CSV file's head."""
    rows = iter(lines)
    parse: Parse = _csv_row(_head(next(rows, b""), fields)) if kind == "csv" else _json_object
    for line in rows:
        try:
            yield lines.number, parse(_text(line, lines.number))
        except LineError as error:
            yield lines.number, error


def _text(line: bytes | None, number: int) -> str:
    if line is None:
        raise LineError(f"The line is longer than {LONGEST_LINE} bytes.")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise LineError("The line is not UTF-8.") from None


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LineError("The line is not a JSON object.")
    return value


def _head(line: bytes | None, fields: set[str]) -> list[str]:
    try:
        head = [name.strip() for name in _cells(_text(line, 1))]
    except LineError as error:
        raise FormatError(f"The first line has to name the columns: {error}") from None
    unknown = [name for name in head if name not in fields]
    if unknown or "email" not in head or len(set(head)) != len(head):
        expected = ", ".join(sorted(fields - {"email"}))
        raise FormatError(f"The first line has to name the columns: email, and each once of {expected}.")
    return head


def _csv_row(head: list[str]) -> Parse:
    """An empty cell counts as left out."""

    def parse(line: str) -> dict[str, Any]:
        cells = _cells(line)
        if len(cells) != len(head):
            raise LineError(f"The line has {len(cells)} cells, the first line has {len(head)}.")
        row: dict[str, Any] = {name: cell for name, cell in zip(head, cells, strict=True) if cell}
        for name in BOOLEANS:
            if name in row:
                row[name] = TRUTHS.get(row[name].strip().lower(), row[name])
        return row

    return parse


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        raise LineError("The line is not CSV, or its quotes go on in the next line.") from None
