"""Providers of access tokens whose authors were careless, each in one way, and which tests of the kit notice it.

Not collected with the others: test_careless.py runs these classes and looks at how they fail.
"""

import logging
from collections.abc import Callable, Mapping
from json import loads
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Ask,
    Identity,
    Issued,
    Provider,
    ProviderSettings,
    Refused,
    Unavailable,
    unverified_claims,
)
from authserver.testing.kit import CLIENT_ID, EMAIL, SUBJECT, ProviderKit

INTROSPECT, ME = "POST /introspect", "GET /me"
log = logging.getLogger("careless")


class Careless:
    """An author's two functions as they should be, for others to spoil."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.api = settings.url("API_URL", "https://id.example.com")

    @classmethod
    def provider(cls, settings: ProviderSettings) -> Provider:
        one = cls(settings)
        return Provider(label="Example", access_token=AccessToken(issued_to=one.issued_to, identity=one.identity))

    def introspect(self, ask: Ask, token: str) -> Any:
        return ask.post(f"{self.api}/introspect", {"token": token})

    def issued_to(self, ask: Ask, token: str) -> Issued | None:
        info = self.introspect(ask, token)
        if info["active"] is not True:
            return None
        return Issued(audience=info["client_id"], subject=info["sub"])

    def profile(self, accepted: Accepted) -> Any:
        return accepted.get(f"{self.api}/me")

    def identity(self, accepted: Accepted) -> Identity:
        person = self.profile(accepted)
        email, verified = person.get("email"), person.get("email_confirmed")
        return Identity(subject=person["id"], email=email, email_verified=verified)


class Case(ProviderKit):
    caught_by: ClassVar[Mapping[str, str]] = {}  # the test, and what it says
    options = {"API_URL": "{upstream}"}
    answers: ClassVar[Mapping[str, Any]] = {
        INTROSPECT: {"client_id": CLIENT_ID, "sub": SUBJECT, "active": True},
        ME: {"id": SUBJECT, "email": EMAIL, "email_confirmed": True, "login": "ada"},
    }
    verified: ClassVar[Mapping[str, Any]] = {ME: "email_confirmed"}
    expired: ClassVar[Mapping[str, Any]] = {INTROSPECT: {"active": False}}


def case(author: type[Careless]) -> Callable[..., Provider]:
    return staticmethod(author.provider)


class TestCareful(Case):
    provider = case(Careless)


class TestBelievesEveryApplication(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            return Issued(audience=self.settings.client_ids[0], subject=self.introspect(ask, token)["sub"])

    provider = case(Author)
    caught_by = {"a_token_of_another_application_is_refused": "'another-application' (client_id of POST /introspect)"}


class TestComparesTheApplicationLoosely(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued | None:
            info = self.introspect(ask, token)
            ours = [one for one in self.settings.client_ids if one in info["client_id"]]
            return Issued(audience=ours[0], subject=info["sub"]) if ours else None

    provider = case(Author)
    caught_by = {"a_token_of_another_application_is_refused": f"the application '{CLIENT_ID}x'"}


class TestReadsTheProfileFirst(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued | None:
            ask.get(f"{self.api}/me", bearer=token)
            return super().issued_to(ask, token)

    provider = case(Author)
    caught_by = {
        "a_token_of_another_application_is_refused": "GET /me was asked with a token of another application, but"
    }


class TestCopiesTheSubject(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            email = self.profile(accepted)["email"]
            return Identity(subject=accepted.issued.subject, email=email, email_verified=False)

    provider = case(Author)
    verified = {}
    caught_by = {"two_subjects_in_one_sign_in_are_refused": "Another subject in POST /introspect alone is overlooked"}


class TestTakesTheAddressForTheSubject(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            info = self.introspect(ask, token)
            return Issued(audience=info["client_id"], subject=info["username"])

        def identity(self, accepted: Accepted) -> Identity:
            email = self.profile(accepted)["email"]
            return Identity(subject=email, email=email, email_verified=False)

    provider = case(Author)
    answers = {INTROSPECT: {**Case.answers[INTROSPECT], "username": EMAIL}, ME: Case.answers[ME]}
    verified = {}
    caught_by = {"a_new_address_is_still_the_same_account": "loses the account"}


class TestHasOneSubjectForAll(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            return Issued(audience=self.introspect(ask, token)["client_id"], subject="somebody")

        def identity(self, accepted: Accepted) -> Identity:
            return Identity(subject="somebody", email=self.profile(accepted)["email"], email_verified=False)

    provider = case(Author)
    verified = {}
    caught_by = {"another_subject_is_another_account": "share an account"}


class TestAsksForTheSubjectOnlyOnce(Case):
    """Without one all people are "None"."""

    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            info = self.introspect(ask, token)
            return Issued(audience=info["client_id"], subject=str(info.get("sub")))

        def identity(self, accepted: Accepted) -> Identity:
            return Identity(subject=accepted.issued.subject, email=None, email_verified=False)

    provider = case(Author)
    answers = {INTROSPECT: Case.answers[INTROSPECT]}
    verified = {}
    caught_by = {
        "a_field_that_is_missing_signs_in_nobody_else": "ended in another account, but an account is found by",
        "a_subject_of_another_type_is_refused": "None as sub of POST /introspect is taken for somebody's subject",
    }


class TestTakesTruthForVerified(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            person = self.profile(accepted)
            verified = bool(person["email_confirmed"])
            return Identity(subject=person["id"], email=person["email"], email_verified=verified)

    provider = case(Author)
    caught_by = {"an_address_is_verified_only_as_documented": "'true' as email_confirmed of GET /me"}


class TestTakesSilenceForVerified(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            person = self.profile(accepted)
            verified = person.get("email_confirmed", True)
            return Identity(subject=person["id"], email=person["email"], email_verified=verified)

    provider = case(Author)
    caught_by = {"an_address_is_verified_only_as_documented": "With no email_confirmed of GET /me the address counts"}


class TestVerifiesWhatNobodySaid(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            person = self.profile(accepted)
            return Identity(subject=person["id"], email=person["email"], email_verified=True)

    provider = case(Author)
    verified = {}
    caught_by = {"the_profile_is_as_declared": "email_verified arrives as True, declared is False"}


class TestVerifiesAnAddressOfItsOwn(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            person, given = self.profile(accepted), "@" in str(self.profile(accepted)["email"])
            email = person["email"] if given else f"{person['login']}@users.example.com"
            return Identity(subject=person["id"], email=email, email_verified=person["email_confirmed"] is True)

    provider = case(Author)
    caught_by = {"a_field_of_another_type_signs_in_nobody_else": "ada@users.example.com is a verified address"}


class TestForgetsThatTokensExpire(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            info = self.introspect(ask, token)
            return Issued(audience=info["client_id"], subject=info["sub"])

    provider = case(Author)
    caught_by = {"an_expired_token_is_refused": "has expired signs people in"}


class TestAsksNobody(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            claims = unverified_claims(token)
            return Issued(audience=claims["aud"], subject=claims["sub"])

        def identity(self, accepted: Accepted) -> Identity:
            claims = unverified_claims(accepted.token)
            return Identity(subject=claims["sub"], email=claims["email"], email_verified=False)

    provider = case(Author)
    answers = {"token": {"aud": CLIENT_ID, "sub": SUBJECT, "email": EMAIL}}
    verified = {}
    caught_by = {"a_token_that_the_server_does_not_know_is_refused": "every answer is a 400 signs people in"}


class TestGoesOnWithoutAnAnswer(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            try:
                return super().identity(accepted)
            except (Refused, Unavailable):
                return Identity(subject=accepted.issued.subject, email=None, email_verified=False)

    provider = case(Author)
    caught_by = {
        "a_broken_answer_is_unavailable": "A status 500 as the answer of GET /me ends in a sign-in",
        "an_answer_that_does_not_come_is_unavailable": "GET /me does not answer, which ends in a sign-in",
    }


class TestHasAnHttpClientOfItsOwn(Case):
    class Author(Careless):
        def profile(self, accepted: Accepted) -> Any:
            asked = Request(f"{self.api}/me", headers={"Authorization": f"Bearer {accepted.token}"})
            with urlopen(asked, timeout=5) as answer:
                return loads(answer.read())

    provider = case(Author)
    caught_by = {"every_question_is_asked_by_the_server": "GET /me is asked past the server, by Python-urllib"}


class TestWritesTheTokenIntoAnAddress(Case):
    class Author(Careless):
        def introspect(self, ask: Ask, token: str) -> Any:
            return ask.post(f"{self.api}/introspect?token={token}")

    provider = case(Author)
    caught_by = {"an_odd_token_stays_one_parameter": "The token a&b=c did not arrive whole"}


class TestWritesTheTokenIntoAPath(Case):
    class Author(Careless):
        def introspect(self, ask: Ask, token: str) -> Any:
            return (
                ask.post(f"{self.api}/introspect", {"token": token})
                if "." not in token
                else ask.get(f"{self.api}/{token}")
            )

    provider = case(Author)
    caught_by = {"an_odd_token_stays_one_parameter": "The token ../a became a part of an address, GET /"}


class TestLogsTheToken(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued | None:
            log.debug("asking whose token %s is", token)
            return super().issued_to(ask, token)

    provider = case(Author)
    caught_by = {"no_secret_is_in_any_log_line": "begins “asking whose token"}


class TestQuotesTheTokenInARefusal(Case):
    class Author(Careless):
        def issued_to(self, ask: Ask, token: str) -> Issued:
            issued = super().issued_to(ask, token)
            if issued is None:
                raise Refused(f"not active: {token}")
            return issued

    provider = case(Author)
    caught_by = {"no_secret_is_in_any_log_line": "begins “example token refused"}


class TestPrintsTheSecret(Case):
    class Author(Careless):
        def identity(self, accepted: Accepted) -> Identity:
            print(self.settings.client_ids, self.settings.client_secret)  # noqa: T201
            return super().identity(accepted)

    provider = case(Author)
    caught_by = {"no_secret_is_in_any_log_line": "the client secret is logged"}


# Whose declarations were careless


class TestDeclaresWhatIsNotAsked(Case):
    provider = case(Careless)
    answers = {**Case.answers, "GET /emails": []}
    caught_by = {"the_answers_are_declared_and_asked_for": "GET /emails is declared in `answers` and was not asked"}


class TestDoesNotSayWhatExpires(Case):
    provider = case(Careless)
    expired = {}
    caught_by = {"the_answers_are_declared_and_asked_for": "`expired` does not say"}


class TestDeclaresAnswersWithoutTheApplication(Case):
    provider = case(Careless)
    answers = {**Case.answers, INTROSPECT: {"client_id": "theirs", "sub": SUBJECT, "active": True}}
    caught_by = {"a_person_signs_in_and_is_found_again": "A good sign-in ended in 401 provider_token_not_valid"}


class TestNamesNoUpstream(Case):
    provider = case(Careless)
    options = {}
    caught_by = {"a_person_signs_in_and_is_found_again": "id.example.com was asked, which is not the server that"}


class TestForgetsAQuestion(Case):
    provider = case(Careless)
    answers = {INTROSPECT: Case.answers[INTROSPECT]}
    verified = {}
    caught_by = {"a_person_signs_in_and_is_found_again": "GET /me was asked, and `answers` does not say"}
