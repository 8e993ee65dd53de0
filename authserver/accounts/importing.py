"""People from another system, in batches of one transaction each: killed at any time and run again, it goes on."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationError
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from authserver.accounts.import_format import LineError, Lines, Seen, people
from authserver.body import Body, Email, Name, Text, sentences
from authserver.clock import now, past
from authserver.extensions import db, new_id, writing
from authserver.models import User
from authserver.passwords.foreign import NO_HASH, objection

BATCH = 1000
LONGEST_HASH = 255  # what models/user.py has room for
LOOKUP = 100  # addresses looked up at once


def _hash(value: str) -> str:
    sentence = objection(value) if len(value) <= LONGEST_HASH else NO_HASH
    if sentence:
        raise ValueError(sentence)
    return value


def _moment(value: object) -> datetime:
    try:
        return past(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("This must be a time from 1970 until now, such as 2020-12-31T23:59:59Z.") from None


class Person(Body):
    """A line of the file. An unknown field is refused: it is likelier a known one that is misspelt."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    email_verified: bool = False
    password_hash: Annotated[Text, AfterValidator(_hash)] | None = None
    first_name: Name = ""
    last_name: Name = ""
    date_joined: Annotated[datetime, BeforeValidator(_moment)] | None = None
    disabled: bool = False


@dataclass
class Summary:
    imported: int = 0
    skipped: int = 0  # who have an account already
    refused: int = 0


def import_people(
    file: IO[bytes],
    kind: str,
    *,
    dry_run: bool,
    refuse: Callable[[int, str], None],
    advance: Callable[[int], object],
) -> Summary:
    """Adds who is not here yet and changes nobody; `refuse` is told a line's number and why, never a value of it."""
    summary = Summary()

    def refused(number: int, reason: str) -> None:
        summary.refused += 1
        refuse(number, reason)

    with closing(Seen()) as seen:
        good = _good(people(Lines(file, advance), kind, set(Person.model_fields)), seen, refused)
        while batch := list(islice(good, BATCH)):
            imported = _count_new(batch) if dry_run else _add(batch)
            summary.imported += imported
            summary.skipped += len(batch) - imported
    return summary


def _good(
    lines: Iterable[tuple[int, dict[str, Any] | LineError]], seen: Seen, refuse: Callable[[int, str], None]
) -> Iterator[Person]:
    for number, fields in lines:
        if isinstance(fields, LineError):
            refuse(number, str(fields))
            continue
        try:
            person = Person.model_validate(fields)
        except ValidationError as error:
            refuse(number, "; ".join(f"{_shown(name)}: {' '.join(said)}" for name, said in sentences(error).items()))
            continue
        first = seen.line_of(person.email, number)
        if first == number:
            yield person
        else:
            refuse(number, f"email: Line {first} has the same address.")


def _shown(name: str) -> str:
    """A field's name, unless it may be something else: what a file holds is not repeated."""
    return name if name.isidentifier() and len(name) <= 40 else "a field"


def _count_new(batch: list[Person]) -> int:
    return len(batch) - sum(_count_taken(batch[start : start + LOOKUP]) for start in range(0, len(batch), LOOKUP))


def _count_taken(some: list[Person]) -> int:
    addresses = [person.email for person in some]
    return db.session.scalar(select(func.count()).where(User.email.in_(addresses))) or 0


def _add(batch: list[Person]) -> int:
    """Adds those of the batch that are not here; returns how many.

    The index decides who is here: a look before would miss who signs up in between. And PostgreSQL, once it keeps one
    plan for it, looks a thousand addresses up by comparing each with every row.
    """
    insert = postgresql.insert(User) if db.engine.dialect.name == "postgresql" else sqlite.insert(User)
    statement = insert.on_conflict_do_nothing(index_elements=[User.email])
    with writing() as transaction:
        connection = transaction.connection()
        added = connection.execute(
            statement, [_row(person) for person in batch], execution_options={"preserve_rowcount": True}
        )
        return added.rowcount


def _row(person: Person) -> dict[str, Any]:
    return {
        "id": new_id(),
        "email": person.email,
        "email_verified": person.email_verified,
        "password_hash": person.password_hash,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "date_joined": person.date_joined or now(),
        "disabled_at": now() if person.disabled else None,
    }
