"""Providers of id_tokens and codes, each careless in one way, and servers whose own checks are switched off.

Not collected with the others: test_careless.py runs these classes and looks at how they fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from authserver.oauth import grant, id_token, redirect, verify
from authserver.oauth.documents import Documents
from authserver.oauth.provider import (
    Claims,
    Identity,
    IdToken,
    Provider,
    ProviderSettings,
    Refused,
    Unavailable,
    standard_identity,
    unverified_claims,
)
from authserver.testing.kit import EMAIL, SUBJECT, ProviderKit


def example(settings: ProviderSettings, **changes: Any) -> Provider:
    kind = IdToken(issuer=settings.url("ISSUER", "https://id.example.com"), identity=standard_identity)
    kind = replace(kind, **{name: value for name, value in changes.items() if hasattr(kind, name)})
    rest = {name: value for name, value in changes.items() if not hasattr(kind, name)}
    return replace(Provider(label="Example", id_token=kind, scopes=("openid", "email")), **rest)


class Case(ProviderKit):
    caught_by: ClassVar[Mapping[str, str]] = {}  # the test, and what it says
    provider: ClassVar[Callable[..., Provider]] = staticmethod(example)
    options = {"ISSUER": "{upstream}"}
    claims: ClassVar[Mapping[str, Any]] = {"sub": SUBJECT, "email": EMAIL, "email_verified": True}
    verified: ClassVar[Mapping[str, Any]] = {"claims": "email_verified"}


class TestCareful(Case):
    pass


class TestBelievesEveryIssuer(Case):
    provider = staticmethod(lambda settings: example(settings, issuers=lambda claims: [claims["iss"]]))
    caught_by = {"an_id_token_of_another_issuer_is_refused": "whose `iss` is https://issuer.example signs people in"}


class TestSwitchesOffTheNonce(Case):
    provider = staticmethod(lambda settings: example(settings, nonce_left_out=True))
    caught_by = {"a_redirect_with_another_nonce_is_refused": "says nonce_left_out=True and the test does not"}


def by_address(claims: Claims) -> Identity:
    return Identity(subject=claims.get("sub") or claims["email"], email=claims["email"], email_verified=False)


class TestFallsBackToTheAddress(Case):
    provider = staticmethod(lambda settings: example(settings, identity=by_address))
    verified = {}
    caught_by = {"a_field_that_is_missing_signs_in_nobody_else": "without sub of claims ended in another account"}


class TestNamesWithoutLooking(Case):
    """The callback has them with the first sign-in alone."""

    provider = staticmethod(lambda settings: example(settings, names=lambda callback: (callback["user"], "")))
    caught_by = {"a_redirect_signs_in": "A good sign-in ended in 303 provider_token_not_valid"}


class TestLosesTheName(Case):
    claims = {**Case.claims, "given_name": "Ada"}
    provider = staticmethod(lambda settings: example(settings, identity=by_address))
    first_name = "Ada"
    verified = {}
    caught_by = {"the_profile_is_as_declared": "By id_token first_name arrives as '', declared is 'Ada'"}


class TestDeclaresNoSubject(Case):
    claims = {"sub": "x", "email": EMAIL}
    verified = {}
    caught_by = {"the_claims_are_declared": "`claims` does not have the `subject`"}


# What the server checks itself: a kit that did not notice when it fails to would be no proof either.


class TestServerChecksNoSignature(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(id_token, "_verified", lambda token, *others: unverified_claims(token))

    caught_by = {"an_id_token_of_another_signer_is_refused": "signed with another key signs people in"}


class TestServerChecksNoTimes(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(id_token, "_check_times", lambda claims: None)

    caught_by = {"an_id_token_of_another_time_is_refused": "signs people in"}


class TestServerChecksNoNonce(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        check = id_token.check_id_token
        monkeypatch.setattr(verify, "check_id_token", lambda *given: check(*(*given[:5], None)))

    caught_by = {
        "an_id_token_with_another_nonce_is_refused": "whose nonce is 'of another sign-in' signs people in",
        "a_redirect_with_another_nonce_is_refused": "has the nonce 'of another sign-in' signs people in",
    }


class TestServerTakesAnOutageForARefusal(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        get = Documents._get

        def refused(*given: Any, **named: Any) -> Any:
            try:
                return get(*given, **named)
            except Unavailable:
                raise Refused from None

        monkeypatch.setattr(Documents, "_get", refused)

    caught_by = {"keys_that_cannot_be_fetched_are_unavailable": "A status 500 as the answer of GET /.well-known/"}


class TestServerTakesARefusedCodeForAnOutage(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def turned_round(*given: Any) -> Mapping[str, Any]:
            try:
                return grant.tokens_for(*given)
            except Unavailable:
                raise Refused from None
            except Refused:
                raise Unavailable from None

        monkeypatch.setattr(verify, "tokens_for", turned_round)

    caught_by = {
        "a_code_that_is_refused_signs_nobody_in": "refuses with a status 400 ends in provider_unavailable",
        "a_token_endpoint_that_is_broken_is_unavailable": "A status 500 as the answer of the token endpoint ends in",
    }


class TestServerTakesEveryState(Case):
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun: list[redirect.Request] = []
        begin = redirect.begin

        def remembered(name: str, request: redirect.Request) -> redirect.Begun:
            begun.append(request)
            return begin(name, request)

        monkeypatch.setattr(redirect, "begin", remembered)
        monkeypatch.setattr(redirect, "finish", lambda *given: begun[-1])
        monkeypatch.setattr("authserver.oauth.binding.read_cookies", lambda name: ["secret"])

    caught_by = {"a_redirect_with_another_state_is_refused": "that comes back with another state goes on"}
