"""One rule for a person's name and one for an e-mail address, whichever way they come in."""

import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.body import email_address, name
from authserver.testing.standins import Person, StandIns
from tests.commands import printed
from tests.conftest import MakeApp, Run
from tests.each import each
from tests.factories import PASSWORD, assert_error, log_in, sign_up, signup_body
from tests.pages import Browser
from tests.providers.conftest import served_standins as served_standins
from tests.providers.conftest import standins as standins
from tests.providers.signing_in import settings_of, sign_in

NAMES = [
    "Ada",
    "علی\u200cرضا",  # Persian, with a zero-width non-joiner
    "ක්\u200dෂමා",  # Sinhala, with a zero-width joiner
    "山田\u3000太郎",
    "Ada\u00a0King",
    "👩🏽\u200d💻",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # a flag, of tags
    "O\u2019Brien\u00ad-Smith",
    "\ue000\U0010ffff\U00012345",  # private, no character, and one that Unicode may not know yet
    "<b>Lovelace</b>",
]
TURNS_OR_BREAKS = [
    *"\0\t\n\r\x0b\x1b\x1f\x7f\x80\x85\x9f",
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
]
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff"]


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins))


def test_the_rule_refuses_what_turns_or_breaks_the_text_and_takes_the_rest() -> None:
    for one in NAMES:
        assert name(f" \u3000{one}\u00a0 ") == one
    for character in TURNS_OR_BREAKS + SURROGATES:
        for refused in (f"A{character}b", character, f"Ab{character}", f"{character}Ab"):
            with pytest.raises(ValueError, match="control characters"):
                name(refused)


def test_names_are_taken_alike_by_each_way_in(
    app: Flask, client: FlaskClient, standins: StandIns, run: Run, tmp_path: Path
) -> None:
    browser = Browser(app)
    person = sign_up(client)
    browser.sign_in(person.user["email"])
    people = [{"email": f"i{number}@example.com", "last_name": one} for number, one in enumerate(NAMES)]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, people)))
    assert run("users", "import", "people.jsonl").exit_code == 0
    for number, one in enumerate(NAMES):
        assert sign_up(client, first_name=one).user["first_name"] == one
        assert client.patch("/api/me/", json={"last_name": one}, headers=person.bearer).get_json()["last_name"] == one
        assert browser.post("/account/profile", {"first_name": one, "last_name": ""}).status_code == 303
        assert client.get("/api/me/", headers=person.bearer).get_json()["first_name"] == one
        (imported,) = printed(run("users", "show", f"i{number}@example.com", "--json"))
        assert imported["last_name"] == one
        standin = Person(subject=f"{number}", first_name=one, last_name=one)
        assert sign_in(client, "google", standins.google.token(standin)).user["last_name"] == one
    assert run("users", "create", "c@example.com", "--first-name", NAMES[1], "--no-password").exit_code == 0
    (created,) = printed(run("users", "show", "c@example.com", "--json"))
    assert created["first_name"] == NAMES[1]


def test_names_are_refused_alike_by_each_way_in_and_a_providers_is_dropped(
    app: Flask, client: FlaskClient, standins: StandIns, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(app)
    person = sign_up(client, first_name="Ada")
    browser.sign_in(person.user["email"])
    refused = [f"A{character}canary" for character in TURNS_OR_BREAKS]
    lines = [{"email": f"i{number}@example.com", "last_name": one} for number, one in enumerate(refused)]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, lines)))
    imported = run("users", "import", "people.jsonl")
    assert imported.output.count("last_name: This may not contain control characters.") == len(refused)
    assert "0 imported" in imported.output
    for number, one in enumerate(refused):
        assert_error(
            client.post("/api/signup/", json=signup_body(first_name=one)), 400, "invalid_request", "first_name"
        )
        changed = client.patch("/api/me/", json={"first_name": one}, headers=person.bearer)
        assert_error(changed, 400, "invalid_request", "first_name")
        assert browser.post("/account/profile", {"first_name": one, "last_name": ""}).status_code == 400
        caplog.clear()
        standin = Person(subject=f"{number}", first_name=one, last_name="King")
        user = sign_in(client, "google", standins.google.token(standin)).user
        assert (user["first_name"], user["last_name"]) == ("", "King")
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            "google gave a name that is not allowed here, and it was dropped"
        ]
        assert "canary" not in caplog.text
    created = run("users", "create", "c@example.com", "--first-name", refused[5], "--no-password")
    assert (created.exit_code, "control characters" in created.stderr) == (1, True)
    assert client.get("/api/me/", headers=person.bearer).get_json()["first_name"] == "Ada"


def test_a_provider_that_gives_no_name_or_a_plain_one_is_not_complained_of(
    client: FlaskClient, standins: StandIns, caplog: pytest.LogCaptureFixture
) -> None:
    for number, one in enumerate((None, "", "Ada")):
        sign_in(client, "google", standins.google.token(Person(subject=f"{number}", first_name=one or "")))
    assert "name" not in caplog.text


@each("around", ["  {}", "{} ", "\t{}\t", "\u00a0{}\u3000", "\u2003{}\u202f "])
def test_space_around_an_address_is_no_part_of_it(around: str) -> None:
    assert email_address(around.format("Ada@Example.com")) == "ada@example.com"
    assert email_address(around.format("a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".com"))


def test_space_around_an_address_is_no_part_of_it_whichever_way_it_comes_in(
    app: Flask, client: FlaskClient, standins: StandIns, run: Run, tmp_path: Path
) -> None:
    def spaced(local: str) -> str:
        return f" \u00a0{local}@example.com\t"

    assert sign_up(client, email=spaced("api")).user["email"] == "api@example.com"
    assert log_in(client, spaced("api")).status_code == 200
    form = {"email": spaced("page"), "password": PASSWORD, "password_confirm": PASSWORD}
    assert Browser(app).post("/signup", form).status_code in (200, 303)
    (tmp_path / "people.jsonl").write_text(json.dumps({"email": spaced("import")}))
    (tmp_path / "people.csv").write_text(f"email\n{spaced('csv')}\n")
    for file in ("people.jsonl", "people.csv"):
        assert run("users", "import", file).exit_code == 0
    assert run("users", "create", spaced("command"), "--no-password").exit_code == 0
    person = Person(subject="1", email=spaced("provider"), email_verified=True)
    assert sign_in(client, "google", standins.google.token(person)).user["email"] == "provider@example.com"
    stored = {one["email"] for one in printed(run("users", "list", "--json"))}
    assert stored == {f"{one}@example.com" for one in ("api", "page", "import", "csv", "command", "provider")}
    (invited,) = printed(run("invitations", "create", spaced("invited"), "--json"))
    assert invited["email"] == "invited@example.com"
    assert run("users", "erase", spaced("csv"), "--yes").exit_code == 0


@each("email", ["a@mail.local", "a@b.c.local", "a@home.arpa", "a@mail.home.arpa", "a@mail.internal"])
def test_addresses_of_a_network_of_ones_own_are_taken(email: str) -> None:
    assert email_address(email.upper()) == email


NOT_REACHED = [
    *("a@local", "a@x.arpa", "a@my-home.arpa", "a@myhome.arpa", "a@1.0.0.127.in-addr.arpa", "a@x.invalid", "a@x.onion"),
    *("a@x.localhost", "a@localhost", "a@b.example\n", "\ra@b.example", "a@b.example\u200b", "a @b.example"),
]


@each("email", NOT_REACHED)
def test_addresses_that_no_mail_reaches_are_refused(email: str) -> None:
    with pytest.raises(ValueError, match="valid e-mail address"):
        email_address(email)
