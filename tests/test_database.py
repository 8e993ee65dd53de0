"""What every transaction can rely on."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from authserver.extensions import db, writing
from tests.factories import sign_up


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_lock_that_somebody_else_holds_is_waited_for_but_not_for_ever(app: Flask) -> None:
    with app.app_context():
        with writing() as transaction:
            assert transaction.scalar(text("SHOW lock_timeout")) == "5s"
        assert db.session.scalar(text("SHOW lock_timeout")) == "0", "and the connection is as it was"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nothing_is_prepared_on_a_connection(app: Flask, client: FlaskClient) -> None:
    """A pooler such as PgBouncer may give the next transaction to another connection."""
    person = sign_up(client)
    for _ in range(20):
        assert client.get("/api/me/", headers=person.bearer).status_code == 200
    with app.app_context():
        reader = app.extensions["authserver.reader"]
        with reader.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
