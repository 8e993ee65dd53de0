"""S72, S73: an owner and a hijacker do what they like in any order; what one of them planted never enters the other's.

The hijacker may come first, with the owner's e-mail address (pre-hijacking), or later, with a stolen session.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select
from werkzeug.test import TestResponse

from authserver import clock
from authserver.accounts import admin
from authserver.extensions import db
from authserver.models import Identity, OneTimeToken, SigningKey, User
from authserver.passwords.hashing import matches
from authserver.testing.standins import Person, StandIns
from authserver.tokens.one_time import digest
from tests.conftest import MakeApp
from tests.factories import SignedIn
from tests.mails import Arrived, Mails
from tests.providers import conftest
from tests.providers.signing_in import settings_of

pytestmark = pytest.mark.slow

served_standins = conftest.served_standins
standins = conftest.standins

LABELS = {"google": "Google", "facebook": "Facebook", "microsoft": "Microsoft"}
MINE = {
    "owner": ("owner@gmail.com", "owner@second.example"),
    "hijacker": ("hijacker@example.com", "hijacker@gmail.com"),
}
ACTOR = st.sampled_from(sorted(MINE))
ADDRESS = st.sampled_from([MINE["owner"][0], MINE["hijacker"][0]])
PROVIDER = st.sampled_from(sorted(LABELS))
VERIFY, RESET, RECOVER = "/email/verify", "/password/reset", "/account/recover"
A_WHILE = timedelta(minutes=2)
LONGEST = timedelta(days=6)  # within which all that is told can still be disowned


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    week = 7 * 86400  # longer than the machine runs, which is not about freshness
    return make_app(**settings_of(standins), mail_url=mails.url, refresh_token_lifetime=4 * week, fresh_lifetime=week)


@pytest.fixture(autouse=True)
def the_time_is_put_back() -> Iterator[None]:
    yield
    clock.offset = timedelta(0)


@dataclass
class Actor:
    name: str
    sessions: list[SignedIn] = field(default_factory=list)
    inbox: list[Arrived] = field(default_factory=list)

    @property
    def password(self) -> str:
        return f"the {self.name}'s own password"

    def subject(self, provider: str) -> str:
        return f"{self.name} at {provider}"

    def links(self, page: str) -> list[str]:
        """The tokens of the mails that lead to that page, the newest first."""
        return [mail.token for mail in reversed(self.inbox) if "#token=" in mail.text and mail.page.endswith(page)]


class Mailboxes(RuleBasedStateMachine):
    app: Flask
    mails: Mails
    standins: StandIns

    def __init__(self) -> None:
        super().__init__()
        self.client = self.app.test_client()
        self.actors = {name: Actor(name) for name in MINE}
        self.owner, self.hijacker = self.actors["owner"], self.actors["hijacker"]
        self.closed: set[str] = set()  # accounts that the owner has closed to the hijacker
        self.proved: set[str] = set()  # accounts whose mailbox the owner has proved
        self.own_ways: dict[str, set[str]] = defaultdict(set)  # what the owner linked there since
        clock.offset = timedelta(0)
        self.mails.take(self.app)
        with self.app.app_context():
            for table in reversed(db.metadata.sorted_tables):
                if table.name != SigningKey.__tablename__:
                    db.session.execute(delete(table))
            db.session.commit()
            db.session.remove()

    @initialize(first=st.sampled_from(["password", "facebook", "microsoft", "own e-mail address", "owner"]))
    def somebody_comes_first(self, first: str) -> None:
        if first == "password":
            self.sign_up(self.hijacker, MINE["owner"][0])
        elif first in LABELS:
            self.come_by(self.hijacker, first, MINE["owner"][0])
        else:
            who = self.owner if first == "owner" else self.hijacker
            self.sign_up(who, MINE[who.name][0])
        self.mail_arrives()

    # What the two can do. The owner does nothing with anybody else's e-mail address; the hijacker does.

    @rule(address=st.sampled_from(MINE["owner"]))
    def the_owner_signs_up(self, address: str) -> None:
        self.sign_up(self.owner, address)

    @rule(address=ADDRESS)
    def the_hijacker_signs_up(self, address: str) -> None:
        self.sign_up(self.hijacker, address)

    @rule(actor=ACTOR, address=ADDRESS)
    def log_in(self, actor: str, address: str) -> None:
        who = self.actors[actor]
        self.signed_in(who, self.client.post("/api/login/", json={"email": address, "password": who.password}), 401)

    @rule(provider=PROVIDER)
    def the_owner_comes_by_a_provider(self, provider: str) -> None:
        self.come_by(self.owner, provider, MINE["owner"][0])

    @rule(provider=PROVIDER, address=ADDRESS)
    def the_hijacker_comes_by_a_provider(self, provider: str, address: str) -> None:
        self.come_by(self.hijacker, provider, address)

    @precondition(lambda self: self.owner.sessions)
    @rule()
    def a_session_is_stolen(self) -> None:
        stolen = self.owner.sessions[-1]
        self.hijacker.sessions.append(stolen)
        self.closed.discard(stolen.user["id"])

    @precondition(lambda self: self.hijacker.sessions or self.owner.sessions)
    @rule(actor=ACTOR, provider=PROVIDER)
    def link(self, actor: str, provider: str) -> None:
        who = self.actors[actor]
        for session in who.sessions[-1:]:
            body = self.credential(who, provider, MINE[actor][0])
            answer = self.client.post(f"/api/identities/{provider}/", json=body, headers=session.bearer)
            assert answer.status_code in (201, 401, 403, 409), answer.text
            account = session.user["id"]
            if answer.status_code == 201 and actor == "owner" and account in self.proved:
                self.own_ways[account].add(provider)

    @precondition(lambda self: self.hijacker.sessions or self.owner.sessions)
    @rule(actor=ACTOR)
    def unlink_the_newest(self, actor: str) -> None:
        for session in self.actors[actor].sessions[-1:]:
            linked = self.client.get("/api/identities/", headers=session.bearer).get_json()
            if isinstance(linked, list) and linked:
                answer = self.client.delete(f"/api/identities/{linked[-1]['id']}/", headers=session.bearer)
                assert answer.status_code in (204, 403, 409), answer.text
                if answer.status_code == 204 and actor == "owner":
                    self.own_ways[session.user["id"]].discard(linked[-1]["provider"])

    @precondition(lambda self: self.hijacker.sessions or self.owner.sessions)
    @rule(actor=ACTOR)
    def change_password(self, actor: str) -> None:
        who = self.actors[actor]
        for session in who.sessions[-1:]:
            body = {"current_password": who.password, "password": who.password, "password_confirm": who.password}
            answer = self.client.post("/api/password/change/", json=body, headers=session.bearer)
            assert answer.status_code in (204, 400, 401, 403), answer.text

    @precondition(lambda self: self.owner.sessions)
    @rule()
    def the_owner_asks_for_another_address(self) -> None:
        self.ask_for_another_address(self.owner, MINE["owner"][1])

    @precondition(lambda self: self.hijacker.sessions)
    @rule(address=ADDRESS)
    def the_hijacker_asks_for_another_address(self, address: str) -> None:
        self.ask_for_another_address(self.hijacker, address)

    @precondition(lambda self: self.owner.links(VERIFY) or self.hijacker.links(VERIFY))
    @rule(actor=ACTOR, signed_in=st.booleans(), which=st.integers(0, 1))
    def press_confirm(self, actor: str, signed_in: bool, which: int) -> None:
        """Whoever reads a mail may press its button, also one that somebody else caused."""
        who = self.actors[actor]
        for token in who.links(VERIFY)[which : which + 1]:
            account = self.account_of(token)
            headers = who.sessions[-1].bearer if signed_in and who.sessions else {}
            body = {"token": token, "password": who.password}
            answer = self.client.post("/api/email/verify/", json=body, headers=headers)
            assert answer.status_code in (204, 400, 401, 409), answer.text
            if answer.status_code == 204:
                assert account is not None
                assert self.user(account).email_verified
                if actor == "owner":
                    self.proved.add(account)

    @rule(actor=ACTOR)
    def forget_and_reset(self, actor: str) -> None:
        for address in MINE[actor]:
            assert self.client.post("/api/password/forgot/", json={"email": address}).status_code == 202
        self.collect()
        self.press_reset(actor)

    @precondition(lambda self: self.owner.links(RESET) or self.hijacker.links(RESET))
    @rule(actor=ACTOR)
    def press_reset(self, actor: str) -> None:
        who = self.actors[actor]
        for token in who.links(RESET)[:1]:
            account = self.account_of(token)
            body = {"token": token, "password": who.password, "password_confirm": who.password}
            answer = self.client.post("/api/password/reset/", json=body)
            assert answer.status_code in (204, 400), answer.text
            if answer.status_code == 204 and actor == "owner":
                self.collect()
                self.unlink_what_the_mail_lists(account or "")
                self.close(account)

    @precondition(lambda self: self.owner.links(RECOVER) or self.hijacker.links(RECOVER))
    @rule(actor=ACTOR, which=st.integers(0, 3))
    def press_this_was_not_me(self, actor: str, which: int) -> None:
        for token in self.actors[actor].links(RECOVER)[which : which + 1]:
            account = self.account_of(token)
            answer = self.client.post("/api/account/recover/", json={"token": token})
            assert answer.status_code in (204, 400), answer.text
            if answer.status_code == 204 and actor == "owner":
                self.close(account)

    @precondition(lambda self: self.hijacker.sessions or self.owner.sessions)
    @rule(actor=ACTOR)
    def refresh(self, actor: str) -> None:
        for session in self.actors[actor].sessions[-1:]:
            answer = self.client.post("/api/token/refresh/", json={"refresh": session.refresh})
            assert answer.status_code in (200, 401), answer.text

    @precondition(lambda self: self.hijacker.sessions or self.owner.sessions)
    @rule(actor=ACTOR)
    def erase(self, actor: str) -> None:
        for session in self.actors[actor].sessions[-1:]:
            answer = self.client.delete("/api/me/", headers=session.bearer)
            assert answer.status_code in (204, 401, 403), answer.text

    @rule(address=ADDRESS)
    def the_operator_disables_and_enables(self, address: str) -> None:
        with self.app.app_context():
            user = db.session.scalar(select(User).where(User.email == address))
            if user is not None:
                admin.disable(user.id)
                admin.enable(user.id)
            db.session.remove()

    @rule(hours=st.sampled_from([1, 24]))
    def time_passes(self, hours: int) -> None:
        if clock.offset + timedelta(hours=hours) < LONGEST:
            clock.offset += timedelta(hours=hours)

    def weeks_pass(self) -> None:
        """In a story alone: what was told before cannot be disowned any more."""
        clock.offset += timedelta(days=8)

    def sign_up(self, who: Actor, address: str) -> None:
        body = {"email": address, "password": who.password, "password_confirm": who.password}
        self.signed_in(who, self.client.post("/api/signup/", json=body), 409)

    def the_hijacker_logs_in(self) -> None:
        body = {"email": MINE["owner"][0], "password": self.hijacker.password}
        self.signed_in(self.hijacker, self.client.post("/api/login/", json=body))

    def come_by(self, who: Actor, provider: str, address: str) -> None:
        answer = self.client.post(f"/api/auth/{provider}/", json=self.credential(who, provider, address))
        self.signed_in(who, answer, 401, 409)
        if who is self.owner and provider == "google" and answer.status_code == 200:
            self.proved.add(answer.get_json()["user"]["id"])

    def ask_for_another_address(self, who: Actor, address: str) -> None:
        answer = self.client.post("/api/email/change/", json={"email": address}, headers=who.sessions[-1].bearer)
        assert answer.status_code in (202, 401, 403, 409), answer.text

    def unlink_what_the_mail_lists(self, account: str) -> None:
        """The owner removes what is not theirs and was told to them: nothing else may be left to remove."""
        told = next(mail.text for mail in reversed(self.owner.inbox) if "Your password for" in mail.subject)
        foreign = [one for one in self.identities(account) if one.subject.startswith("hijacker")]
        for one in foreign:
            listed = [line for line in told.splitlines() if "sign in to the account too" in line]
            assert listed, f"{one.subject} stays, and the owner is not told"
            assert LABELS[one.provider] in listed[0]
        with self.app.app_context():
            db.session.execute(delete(Identity).where(Identity.id.in_([one.id for one in foreign])))
            db.session.commit()
            db.session.remove()

    # What always holds

    @invariant()
    def mail_arrives(self) -> None:
        """Each step takes people a while: what was done before a mail was not done in the same second."""
        self.collect()
        clock.offset += A_WHILE

    @invariant()
    def what_is_closed_stays_closed(self) -> None:
        for account in self.closed:
            assert self.planted(account) == [], account

    @invariant()
    def the_owner_loses_no_way_in_without_being_told(self) -> None:
        for account, ways in self.own_ways.items():
            if self.exists(account):
                there = {one.provider for one in self.identities(account) if one.subject.startswith("owner")}
                for provider in ways - there:
                    assert self.told_of_loss(LABELS[provider]), f"{provider} is lost, and nobody said so"

    def told_of_loss(self, label: str) -> bool:
        return any(
            (label in mail.subject and "was removed" in mail.subject)
            or any("no longer sign in to the account" in line and label in line for line in mail.text.splitlines())
            for mail in self.owner.inbox
        )

    # What a look into the database and at the mails tells

    def planted(self, account: str) -> list[str]:
        """What lets the hijacker in."""
        if not self.exists(account):
            return []
        user = self.user(account)
        found = [f"identity {one.subject}" for one in self.identities(account) if one.subject.startswith("hijacker")]
        if user.password_hash and matches(user.password_hash, self.hijacker.password):
            found.append("password")
        for session in self.hijacker.sessions:
            counts = self.client.get("/api/me/", headers=session.bearer).status_code == 200
            if counts and session.user["id"] == account:
                found.append("session")
        with self.app.app_context():
            emails = set(db.session.scalars(select(OneTimeToken.email).where(OneTimeToken.user_id == user.id)))
            db.session.remove()
        return found + [f"link mailed to {email}" for email in emails if email in MINE["hijacker"]]

    def close(self, account: str | None) -> None:
        assert account is not None
        self.closed.add(account)
        self.proved.add(account)

    def account_of(self, token: str) -> str | None:
        with self.app.app_context():
            found = db.session.scalar(select(OneTimeToken.user_id).where(OneTimeToken.token_hash == digest(token)))
            db.session.remove()
        return str(found) if found else None

    def exists(self, account: str) -> bool:
        with self.app.app_context():
            there = db.session.get(User, UUID(account)) is not None
            db.session.remove()
        return there

    def user(self, account: str) -> User:
        with self.app.app_context():
            user = db.session.get_one(User, UUID(account))
            db.session.remove()
        return user

    def identities(self, account: str) -> list[Identity]:
        with self.app.app_context():
            rows = list(db.session.scalars(select(Identity).where(Identity.user_id == UUID(account))))
            db.session.remove()
        return rows

    def credential(self, who: Actor, provider: str, address: str) -> dict[str, str]:
        """Google vouches for the mailbox that somebody has there; the others say what they were told."""
        email = MINE[who.name][0 if who.name == "owner" else 1] if provider == "google" else address
        person = Person(subject=who.subject(provider), email=email, email_verified=provider == "google")
        return {"access_token": self.standins.each[provider].token(person)}

    def signed_in(self, who: Actor, answer: TestResponse, *refusals: int) -> None:
        assert answer.status_code in (200, 201, *refusals), answer.text
        if answer.status_code < 300:
            who.sessions.append(SignedIn(**answer.get_json()))

    def collect(self) -> None:
        for mail in self.mails.take(self.app):
            reader = next(name for name, addresses in MINE.items() if mail.recipients[0] in addresses)
            self.actors[reader].inbox.append(mail)


def test_s72_s73_in_any_order_nothing_planted_enters_after_the_owner_closed_the_account(
    app: Flask, mails: Mails, standins: StandIns
) -> None:
    Mailboxes.app, Mailboxes.mails, Mailboxes.standins = app, mails, standins
    run_state_machine_as_test(
        Mailboxes,
        settings=settings(
            max_examples=60,
            stateful_step_count=15,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # at most 15 steps are read as they are: to make them fewer takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


# Each was true of what stood here once: the steps, after which `what_is_closed_stays_closed` was not.
STORIES: dict[str, list[Callable[[Mailboxes], None]]] = {
    "disowned after coming by a provider": [
        lambda machine: machine.come_by(machine.hijacker, "facebook", MINE["owner"][0]),
        lambda machine: machine.link("hijacker", "microsoft"),
        lambda machine: machine.press_this_was_not_me("owner", 0),
    ],
    "disowned late": [
        lambda machine: machine.sign_up(machine.owner, MINE["owner"][0]),
        lambda machine: machine.press_confirm("owner", signed_in=True, which=0),
        lambda machine: machine.a_session_is_stolen(),
        lambda machine: machine.link("hijacker", "microsoft"),
        lambda machine: machine.ask_for_another_address(machine.hijacker, MINE["hijacker"][0]),
        lambda machine: machine.press_this_was_not_me("owner", 0),
    ],
    "confirmed and reset": [
        lambda machine: machine.sign_up(machine.hijacker, MINE["owner"][0]),
        lambda machine: machine.link("hijacker", "microsoft"),
        lambda machine: machine.press_confirm("owner", signed_in=False, which=0),
        lambda machine: machine.link("hijacker", "facebook"),
        lambda machine: machine.forget_and_reset("owner"),
    ],
    "confirmed by provider and reset": [
        lambda machine: machine.come_by(machine.hijacker, "facebook", MINE["owner"][0]),
        lambda machine: machine.press_confirm("owner", signed_in=False, which=0),
        lambda machine: machine.forget_and_reset("owner"),
    ],
    "changed away and disowned": [
        lambda machine: machine.sign_up(machine.hijacker, MINE["owner"][0]),
        lambda machine: machine.link("hijacker", "microsoft"),
        lambda machine: machine.weeks_pass(),
        lambda machine: machine.the_hijacker_logs_in(),
        lambda machine: machine.ask_for_another_address(machine.hijacker, MINE["hijacker"][0]),
        lambda machine: machine.press_confirm("hijacker", signed_in=True, which=0),
        lambda machine: machine.press_this_was_not_me("owner", 0),
        lambda machine: machine.forget_and_reset("owner"),
    ],
    "given the owners address": [
        lambda machine: machine.sign_up(machine.hijacker, MINE["hijacker"][0]),
        lambda machine: machine.link("hijacker", "microsoft"),
        lambda machine: machine.ask_for_another_address(machine.hijacker, MINE["owner"][0]),
        lambda machine: machine.press_confirm("owner", signed_in=False, which=0),
        lambda machine: machine.forget_and_reset("owner"),
    ],
}


@pytest.mark.parametrize("story", STORIES)
def test_s72_s73_what_was_once_found(app: Flask, mails: Mails, standins: StandIns, story: str) -> None:
    Mailboxes.app, Mailboxes.mails, Mailboxes.standins = app, mails, standins
    machine = Mailboxes()
    for step in STORIES[story]:
        step(machine)
        machine.mail_arrives()
        machine.what_is_closed_stays_closed()
        machine.the_owner_loses_no_way_in_without_being_told()
    planted = {session.user["id"] for session in machine.hijacker.sessions}
    assert bool(planted & machine.closed) == (story != "given the owners address"), "else the hijacker's stays theirs"
