from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from authserver.emails import outbox
from authserver.events.record import Happened
from authserver.extensions import db
from authserver.models import OneTimeToken
from authserver.settings import SettingsError
from tests.commands import printed, start
from tests.conftest import PUBLIC_URL, MakeApp, Run
from tests.each import each
from tests.factories import NOBODYS_ID, PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body

MAIL = {"mail_url": "smtp://127.0.0.1:1"}
Advance = Callable[[float], None]


def mails(app: Flask) -> list[tuple[str, str, str]]:
    """The mails that wait: kind, address, text."""
    with app.app_context():
        return [(due.kind, due.message.to, due.message.text) for due in outbox.claim_due()]


def refused(run: Run, *arguments: str, **settings: str) -> str:
    """The one sentence of a refusal, which ends with status 1."""
    result = run(*arguments, **settings)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.replace(NO_MAIL, "").splitlines()
    return str(line)


NO_MAIL = "authserver: AUTHSERVER_MAIL_URL is not set: no mail is sent, so nobody can reset a password\n"


def test_users_are_listed_newest_first_and_found_by_address_and_names(client: FlaskClient, run: Run) -> None:
    ada = sign_up(client, first_name="Ada", last_name="Lovelace")
    bob = sign_up(client, email="bob_50%@example.org")
    listed = printed(run("users", "list", "--json"))
    assert [user["id"] for user in listed] == [bob.user["id"], ada.user["id"]]
    assert listed[0] == {**bob.user, "has_password": True, "disabled_at": None}
    for text, found in (("LOVELACE", [ada]), ("50%", [bob]), ("b%b", []), ("example", [bob, ada])):
        listed = printed(run("users", "list", "--json", "--search", text))
        assert [user["id"] for user in listed] == [person.user["id"] for person in found]
    assert len(printed(run("users", "list", "--json", "--limit", "1"))) == 1
    head, first, second = run("users", "list").stdout.splitlines()
    assert head.split() == ["ID", "E-MAIL", "NAME", "STATE", "JOINED"]
    assert bob.user["id"] in first
    assert "Ada Lovelace  unverified" in second
    run("users", "disable", ada.user["id"])
    assert "Ada Lovelace  disabled" in run("users", "list").stdout


def test_a_user_is_shown_by_address_in_any_spelling_and_by_id(client: FlaskClient, run: Run) -> None:
    person = sign_up(client, email="ada@example.com")
    for name in ("Ada@Example.COM", person.user["id"]):
        (shown,) = printed(run("users", "show", name, "--json"))
        assert shown == {**person.user, "has_password": True, "disabled_at": None}
    assert "ada@example.com" in run("users", "show", "ada@example.com").stdout


@each("name", ["nobody@example.com", "nobody", NOBODYS_ID])
@each("command", [("users", verb) for verb in ("show", "disable", "enable", "erase")] + [("sessions", "list")])
def test_who_is_not_here_is_said_in_one_sentence(run: Run, command: tuple[str, str], name: str) -> None:
    assert refused(run, *command, name) == f"authserver: There is no user {name}."


def test_an_account_is_made_with_a_password_from_standard_input(client: FlaskClient, run: Run) -> None:
    names = ("--first-name", "Ada", "--last-name", "Lovelace", "--verified")
    result = run("users", "create", "Ada@Example.com", *names, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    user = log_in(client, "ada@example.com").get_json()["user"]
    assert user["email_verified"] is True
    assert (user["first_name"], user["last_name"]) == ("Ada", "Lovelace")
    assert user["id"] in result.stdout


def test_an_account_is_made_with_a_password_that_is_asked_for_twice_and_not_shown(
    client: FlaskClient, run: Run
) -> None:
    result = run("users", "create", "ada@example.com", stdin=f"{PASSWORD}\n{PASSWORD}\n", signup="closed")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert log_in(client, "ada@example.com").status_code == 200


def test_an_account_without_a_password_gets_a_link_to_set_one(make_app: MakeApp, run: Run) -> None:
    app = make_app(**MAIL)
    result = run("users", "create", "ada@example.com", "--no-password", **MAIL)
    ((kind, to, text),) = mails(app)
    assert (kind, to) == ("reset", "ada@example.com")
    token = text.partition("#token=")[2].split()[0]
    assert token not in result.output
    client = app.test_client()
    answer = client.post("/api/password/reset/", json=signup_body(token=token))
    assert answer.status_code == 204
    assert log_in(client, "ada@example.com").get_json()["user"]["email_verified"] is True


def test_without_mail_an_account_without_a_password_is_made_and_that_is_said(app: Flask, run: Run) -> None:
    assert "No mail can be sent" in run("users", "create", "ada@example.com", "--no-password").stdout
    with app.app_context():
        assert db.session.scalar(select(OneTimeToken)) is None


@each(
    ("password", "reason"),
    [
        (b"short", "at least 8"),
        (b"password123", "too common"),
        (b"ada@example.com", "cannot be your password"),
        (b"nul \0 and so on", "not allowed"),
        (b"latin \xfc and so on", "not allowed"),
        (b"", "at least 8"),
    ],
)
def test_a_password_that_may_not_be_is_refused_and_not_repeated(run: Run, password: bytes, reason: str) -> None:
    result = run("users", "create", "ada@example.com", "--password-stdin", stdin=password + b"\n")
    assert result.exit_code == 1
    assert reason in result.stderr
    assert not password or password not in result.stderr_bytes.replace(b"ada@example.com cannot", b"")
    assert run("users", "show", "ada@example.com").exit_code == 1


def test_an_account_that_is_there_is_not_made_again(client: FlaskClient, run: Run) -> None:
    person = sign_up(client)
    assert "already exists" in refused(run, "users", "create", person.user["email"], "--no-password")
    assert log_in(client, person.user["email"]).status_code == 200


@each(
    "arguments",
    [
        ("users", "create"),
        ("users", "create", "nobody"),
        ("users", "create", "a@example.com", "--password", "x"),
        ("users", "create", "a@example.com", "--password-stdin", "--no-password"),
        ("users", "list", "--limit", "0"),
        ("users", "import", "missing.jsonl"),
        ("users", "import", "-"),
        ("sessions", "end"),
        ("sessions", "end", "--all"),
        ("sessions", "end", "--everybody", "--all"),
        ("sessions", "end", "a@example.com", "--everybody"),
        ("sessions", "end", "a@example.com"),
        ("sessions", "end", "a@example.com", "--all", "--id", NOBODYS_ID),
        ("sessions", "end", "a@example.com", "--id", "1"),
        ("invitations", "create", "a@example.com", "--expires-in", "7"),
        ("invitations", "create", "a@example.com", "--expires-in", "0d"),
        ("invitations", "create", "a@example.com", "--expires-in", "99w"),
        ("events", "--type", "unknown"),
        ("events", "--since", "yesterday"),
        ("events", "--since", "0001-01-01T00:00:00+01:00"),
        ("events", "--since", "1969-12-31T23:59:59Z"),
        ("events", "--since", "9999-12-31"),
        ("nouns",),
    ],
)
def test_a_wrong_use_is_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error:" in result.stderr


def test_a_name_that_is_none_is_refused(run: Run) -> None:
    assert "too long" in refused(run, "users", "create", "a@example.com", "--no-password", "--first-name", "x" * 151)
    assert "control" in refused(run, "users", "create", "a@example.com", "--no-password", "--last-name", "a\nb")


def test_s8_disabling_shuts_out_at_once_and_enabling_revives_no_session(
    app: Flask, client: FlaskClient, run: Run, make_app: MakeApp
) -> None:
    person, other = sign_up(client), sign_up(client)
    email = person.user["email"]
    make_app(**MAIL).test_client().post("/api/password/forgot/", json={"email": email})
    assert run("users", "disable", email).stdout == "Disabled.\n"
    for _ in range(2):
        answer = client.post("/api/token/refresh/", json={"refresh": person.refresh})
        assert_error(answer, 401, "token_not_valid")
        assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
        run("users", "enable", email)
    assert log_in(client, email).status_code == 200
    assert client.get("/api/me/", headers=other.bearer).status_code == 200
    with app.app_context():
        assert db.session.scalar(select(OneTimeToken).where(OneTimeToken.purpose == "reset")) is None


def test_disabling_and_enabling_are_recorded_once_each(client: FlaskClient, run: Run) -> None:
    person = sign_up(client)
    said = [run("users", verb, person.user["id"]).stdout for verb in ("enable", "disable", "disable", "enable")]
    assert said == ["It was not disabled.\n", "Disabled.\n", "It was disabled already.\n", "Enabled.\n"]
    events = printed(run("events", "--user", person.user["email"], "--json"))
    assert [event["type"] for event in events] == ["account_enabled", "account_disabled", "signed_in", "signed_up"]
    assert [event["ip"] for event in events] == [None, None, "127.0.0.1", "127.0.0.1"]


def test_erasing_asks_and_then_leaves_events_that_say_nothing_of_the_person(client: FlaskClient, run: Run) -> None:
    person = sign_up(client)
    assert run("users", "erase", person.user["email"], stdin="n\n").exit_code == 1
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    assert run("users", "erase", person.user["email"], stdin="y\n").stdout == "Erased.\n"
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    events = printed(run("events", "--user", person.user["id"], "--json"))
    assert [event["type"] for event in events] == ["account_erased", "signed_in", "signed_up"]
    assert {(event["ip"], event["user_agent"]) for event in events} == {(None, None)}
    other = sign_up(client)
    assert run("users", "erase", other.user["id"], "--yes").exit_code == 0


def test_sessions_are_listed_and_ended_one_by_one_and_all(client: FlaskClient, run: Run) -> None:
    person, other = sign_up(client), sign_up(client)
    email = person.user["email"]
    second = SignedIn(**log_in(client, email).get_json())
    listed = printed(run("sessions", "list", email, "--json"))
    of_oneself = client.get("/api/sessions/", headers=person.bearer).get_json()
    assert listed == [{key: value for key, value in one.items() if key != "current"} for one in of_oneself]
    assert len(run("sessions", "list", email).stdout.splitlines()) == 3
    assert run("sessions", "end", email, "--id", listed[0]["id"]).stdout == "1 ended.\n"
    assert client.get("/api/me/", headers=second.bearer).status_code == 401
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    assert refused(run, "sessions", "end", email, "--id", listed[0]["id"]) == "authserver: Not found."
    assert refused(run, "sessions", "end", other.user["email"], "--id", listed[1]["id"]) == "authserver: Not found."
    assert run("sessions", "end", email, "--all").stdout == "1 ended.\n"
    assert run("sessions", "end", email, "--all").stdout == "0 ended.\n"
    assert client.get("/api/me/", headers=person.bearer).status_code == 401
    assert client.get("/api/me/", headers=other.bearer).status_code == 200
    kinds = [event["type"] for event in printed(run("events", "--user", email, "--json"))]
    assert kinds[:2] == ["all_sessions_ended", "session_ended"]


def test_events_are_everybodys_newest_first_by_type_time_and_number(
    client: FlaskClient, run: Run, advance: Advance
) -> None:
    first = sign_up(client)
    log_in(client, "nobody@example.com")
    advance(3600)
    second = sign_up(client)
    events = printed(run("events", "--json"))
    assert [event["type"] for event in events[:3]] == ["signed_in", "signed_up", "sign_in_failed"]
    assert [event["user_id"] for event in events[1:4]] == [second.user["id"], None, first.user["id"]]
    assert len(printed(run("events", "--json", "--type", "signed_up"))) == 2
    since = events[1]["created_at"]
    assert printed(run("events", "--json", "--since", since)) == events[:2]
    assert printed(run("events", "--json", "--limit", "1")) == events[:1]
    assert len(run("events", "--user", first.user["email"]).stdout.splitlines()) == 3
    assert printed(run("events", "--json", "--type", Happened.ACCOUNT_ERASED)) == []
    assert refused(run, "events", "--user", "nobody@example.com")


def invited_token(link: str) -> str:
    page, _, token = link.strip().partition("#token=")
    assert page == f"{PUBLIC_URL}/signup"
    return token


def test_an_invitation_works_once_and_for_its_address_only(make_app: MakeApp, run: Run) -> None:
    client = make_app(signup="invited").test_client()
    token = invited_token(run("invitations", "create", "Ada@Example.com").stdout)
    for body in (signup_body(invitation=token), signup_body(email="ada@example.com", invitation=token + "x")):
        assert_error(client.post("/api/signup/", json=body), 403, "signup_not_allowed")
    assert sign_up(client, email="ada@example.com", invitation=token).user["email_verified"] is True
    assert run("users", "erase", "ada@example.com", "--yes").exit_code == 0
    again = signup_body(email="ada@example.com", invitation=token)
    assert_error(client.post("/api/signup/", json=again), 403, "signup_not_allowed")


def test_an_invitation_ends_with_its_time(make_app: MakeApp, run: Run, advance: Advance) -> None:
    client = make_app(signup="invited").test_client()
    tokens = {
        email: invited_token(run("invitations", "create", email, "--expires-in", "2h").stdout)
        for email in ("early@example.com", "late@example.com")
    }
    advance(7190)
    sign_up(client, email="early@example.com", invitation=tokens["early@example.com"])
    advance(20)
    late = signup_body(email="late@example.com", invitation=tokens["late@example.com"])
    assert_error(client.post("/api/signup/", json=late), 403, "signup_not_allowed")
    listed = printed(run("invitations", "list", "--json"))
    assert [(one["email"], one["state"]) for one in listed] == [
        ("late@example.com", "expired"),
        ("early@example.com", "accepted"),
    ]
    assert refused(run, "invitations", "revoke", "late@example.com")


def test_a_revoked_or_replaced_invitation_lets_nobody_in(make_app: MakeApp, run: Run) -> None:
    client = make_app(signup="invited").test_client()
    old, new = (invited_token(run("invitations", "create", "ada@example.com").stdout) for _ in range(2))
    for by in ("email", "id"):
        body = signup_body(email="ada@example.com", invitation=old)
        assert_error(client.post("/api/signup/", json=body), 403, "signup_not_allowed")
        newest = printed(run("invitations", "list", "--json"))[0]
        assert run("invitations", "revoke", newest[by]).stdout == "Revoked.\n"
        assert "no open invitation" in refused(run, "invitations", "revoke", newest[by])
        body = signup_body(email="ada@example.com", invitation=new)
        assert_error(client.post("/api/signup/", json=body), 403, "signup_not_allowed")
        new = invited_token(run("invitations", "create", "ada@example.com").stdout)
    assert sign_up(client, email="ada@example.com", invitation=new)
    states = [line.split()[2] for line in run("invitations", "list").stdout.splitlines()]
    assert states == ["STATE", "accepted", "revoked", "revoked", "revoked"]
    assert new not in run("invitations", "list", "--json").output
    assert (
        refused(run, "invitations", "revoke", "nobody") == "authserver: nobody is neither an id nor an e-mail address."
    )


def test_an_invitation_is_mailed_unless_it_is_not_to_be(make_app: MakeApp, run: Run) -> None:
    app = make_app(**MAIL)
    (silent,) = printed(run("invitations", "create", "a@example.com", "--no-mail", "--json", **MAIL))
    assert (silent["mailed"], mails(app)) == (False, [])
    (loud,) = printed(run("invitations", "create", "b@example.com", "--json", "--expires-in", "3d", **MAIL))
    ((kind, to, text),) = mails(app)
    assert (loud["mailed"], kind, to) == (True, "invitation", "b@example.com")
    assert loud["link"] in text
    assert loud["expires_at"][:10] in text
    (without,) = printed(run("invitations", "create", "c@example.com", "--json"))
    assert (without["mailed"], mails(app)) == (False, [])


def test_closed_sign_up_stays_closed_for_the_invited_and_the_operator_is_told(make_app: MakeApp, run: Run) -> None:
    result = run("invitations", "create", "ada@example.com", signup="closed")
    assert "closed" in result.stderr
    body = signup_body(email="ada@example.com", invitation=invited_token(result.stdout))
    answer = make_app(signup="closed").test_client().post("/api/signup/", json=body)
    assert_error(answer, 403, "signup_not_allowed")


def test_who_is_here_is_not_invited(client: FlaskClient, run: Run) -> None:
    person = sign_up(client)
    assert "already exists" in refused(run, "invitations", "create", person.user["email"])
    assert printed(run("invitations", "list", "--json")) == []


def test_a_database_that_is_not_migrated_is_said(run: Run, tmp_path: Path) -> None:
    result = run("users", "list", database_url=f"sqlite:///{tmp_path}/none.db")
    assert isinstance(result.exception, SettingsError)
    assert "authserver migrate" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "reason"),
    [
        (
            "postgresql://postgres@127.0.0.1:1/none",
            b"/none cannot be used: connection failed",
        ),
        ("mysql://x", b"expected postgresql"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_and_status_3(database: str, reason: bytes) -> None:
    output, errors = (process := start(database, "users", "list")).communicate()
    assert (process.returncode, output) == (3, b"")
    *_, last = errors.splitlines()
    assert reason in last
    assert b"Traceback" not in errors
