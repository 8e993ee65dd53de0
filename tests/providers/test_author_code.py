"""What a provider's author writes raises nothing of ours, and is believed only so far as the interface says."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import pytest
from flask import Flask
from flask_jwt_extended.exceptions import NoAuthorizationError
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import NotFound, Unauthorized

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Ask,
    Identity,
    IdToken,
    Issued,
    Provider,
    ProviderFactory,
    Refused,
    unverified_claims,
)
from authserver.oauth.upstream import Upstream
from authserver.settings import SettingsError
from tests.conftest import MakeApp
from tests.each import each
from tests.providers.signing_in import accounts, refuse, refuse_each, rows, shown, sign_in

TOKEN = "a-canary-of-a-token"
Says = Callable[[], Any]


def issued(**changes: Any) -> Issued:
    return Issued(**{"audience": "ours", "subject": "1001", **changes})


def identity(**changes: Any) -> Identity:
    return Identity(**{"subject": "1001", "email": "ada@example.com", "email_verified": True, **changes})


def saying(make_app: MakeApp, providers: Mapping[str, tuple[Says, Says]]) -> Flask:
    """An application with these providers, whose authors' two functions say what they are told to."""

    def factory(says_issued: Says, says_identity: Says) -> ProviderFactory:
        def issued_to(ask: Ask, token: str) -> Any:
            assert token == TOKEN
            return says_issued()

        def identify(accepted: Accepted) -> Any:
            assert (accepted.token, accepted.issued.audience) == (TOKEN, "ours")
            return says_identity()

        kind = AccessToken(issued_to=issued_to, identity=identify)
        return lambda settings: Provider(label="Acme", access_token=kind)

    factories = {name: factory(*says) for name, says in providers.items()}
    return make_app(factories=factories, **{f"providers__{name}__client_id": "ours" for name in providers})


def acme(make_app: MakeApp, says_issued: Says = issued, says_identity: Says = identity) -> Flask:
    return saying(make_app, {"acme": (says_issued, says_identity)})


def always(value: object) -> Says:
    return lambda: value


def never() -> Any:
    pytest.fail("the profile was read")


def raises(error: BaseException) -> Says:
    def say() -> Any:
        raise error

    return say


ERRORS: list[Exception] = [
    KeyError(TOKEN),
    TypeError(f"'NoneType' object is not subscriptable, {TOKEN}"),
    ValueError(TOKEN),
    AttributeError(TOKEN),
    UnicodeDecodeError("utf-8", TOKEN.encode(), 0, 1, TOKEN),
    json.JSONDecodeError("Expecting value", TOKEN, 0),
    StopIteration(TOKEN),
    AssertionError(TOKEN),
    MemoryError(TOKEN),
    Refused("not today"),
    # What the server has handlers of its own for: none may be mistaken for ours.
    jwt.PyJWTError(TOKEN),
    jwt.ExpiredSignatureError(TOKEN),
    NoAuthorizationError(TOKEN),
    NotFound(TOKEN),
    Unauthorized(TOKEN),
    SettingsError(TOKEN),
    OperationalError(TOKEN, {}, Exception(TOKEN)),
    IntegrityError(TOKEN, {}, Exception(TOKEN)),
    ExceptionGroup(TOKEN, [ValueError(TOKEN)]),
]


def recurse() -> Any:
    return recurse()


def test_whatever_author_code_raises_refuses_the_token(make_app: MakeApp) -> None:
    says = {type(error).__name__.lower(): raises(error) for error in ERRORS} | {"recursionerror": recurse}
    first = {f"{name}_first": (say, never) for name, say in says.items()}
    then = {f"{name}_then": (issued, say) for name, say in says.items()}
    app = saying(make_app, {**first, **then})
    refuse_each(app, {name: (name, TOKEN) for name in [*first, *then]})


def test_the_reason_that_an_author_gives_is_in_the_log_and_not_in_the_answer(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    body = refuse(acme(make_app, says_issued=raises(Refused("not today")), says_identity=never), "acme", TOKEN)
    assert "acme token refused: not today" in caplog.text
    assert "not today" not in body["detail"]


def test_what_does_not_say_issued_to_us_is_refused_before_the_profile_is_read(make_app: MakeApp) -> None:
    values = [None, True, "ours", ("ours", "1001"), {"audience": "ours", "subject": "1001"}]
    audiences: list[Any] = [None, "", ["ours"], ("ours",), "OURS", "ours,", "our", b"ours"]
    says = [always(value) for value in [*values, *(issued(audience=audience) for audience in audiences)]]
    app = saying(make_app, {f"p{number}": (say, never) for number, say in enumerate(says)})
    refuse_each(app, {f"{say()}": (f"p{number}", TOKEN) for number, say in enumerate(says)})


ODD_SUBJECTS: list[Any] = ["", None, 1001, 1001.0, True, b"1001", ["1001"], {"id": "1001"}, "a\0b", "a\nb", "\ud800"]


def test_a_subject_or_tenant_that_cannot_be_stored_is_refused_though_both_answers_agree(make_app: MakeApp) -> None:
    pairs: list[dict[str, Any]] = [{"subject": odd} for odd in [*ODD_SUBJECTS, "x" * 256]]
    pairs += [{"tenant": odd} for odd in [*ODD_SUBJECTS[1:], "x" * 256]]  # an empty tenant is the usual one
    says = {f"p{number}": (always(issued(**pair)), always(identity(**pair))) for number, pair in enumerate(pairs)}
    app = saying(make_app, {**says, "acme": (issued, identity)})
    refuse_each(app, {f"{pair}": (f"p{number}", TOKEN) for number, pair in enumerate(pairs)})
    sign_in(app.test_client(), "acme", TOKEN)


def test_s22_another_subject_or_tenant_than_the_checked_one_is_refused(make_app: MakeApp) -> None:
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"subject": "1002"}),
        ({}, {"subject": 1001}),
        ({"subject": 1001}, {}),
        ({"subject": None}, {}),
        ({"subject": 1}, {"subject": True}),
        ({}, {"tenant": "a"}),
        ({"tenant": "a"}, {}),
        ({"tenant": "a"}, {"tenant": "A"}),
        ({"tenant": "a", "subject": "b"}, {"tenant": "b", "subject": "a"}),
    ]
    says = {
        f"p{number}": (always(issued(**one)), always(identity(**other))) for number, (one, other) in enumerate(pairs)
    }
    refuse_each(saying(make_app, says), {f"{pair}": (f"p{number}", TOKEN) for number, pair in enumerate(pairs)})


def test_what_is_no_identity_is_refused(make_app: MakeApp) -> None:
    values = [None, True, "1001", {"subject": "1001"}, issued()]
    says = {f"p{number}": (issued, always(value)) for number, value in enumerate(values)}
    refuse_each(saying(make_app, says), {f"{value}": (f"p{number}", TOKEN) for number, value in enumerate(values)})


def test_what_the_author_passes_on_unchecked_is_stored_only_in_the_right_type(make_app: MakeApp) -> None:
    said: list[Identity] = []
    app = acme(make_app, lambda: issued(subject=said[-1].subject), lambda: said[-1])
    odd: list[Any] = ["true", "True", "1", 1, 1.0, None, [], [True], {"verified": True}, object()]
    for number, value in enumerate(odd):
        said.append(identity(subject=f"{number}", email=f"{number}@example.com", email_verified=value))
        user = sign_in(app.test_client(), "acme", TOKEN).user
        assert (user["email"], user["email_verified"]) == (f"{number}@example.com", False), value
    for number, value in enumerate([7, True, b"ada@example.com", ["ada@example.com"], {"value": "x"}, "", "ada"]):
        said.append(identity(subject=f"x{number}", email=value, first_name=value, last_name=None))
        user = sign_in(app.test_client(), "acme", TOKEN).user
        name = value if isinstance(value, str) else ""
        assert shown(user) == {"email": None, "email_verified": False, "first_name": name, "last_name": ""}, value


def test_tenants_keep_their_subjects_apart(make_app: MakeApp) -> None:
    tenants = iter(("", "a", "b", "", "a", "b"))
    said: dict[str, Any] = {}
    app = acme(make_app, lambda: issued(**said), lambda: identity(email=None, **said))
    ids = []
    for tenant in tenants:
        said["tenant"] = tenant
        ids.append(sign_in(app.test_client(), "acme", TOKEN).user["id"])
    assert ids[:3] == ids[3:]
    assert accounts(app) == 3


def test_a_provider_without_access_tokens_refuses_them(make_app: MakeApp) -> None:
    kind = IdToken(issuer="https://id.example.com", identity=lambda claims: identity())
    app = make_app(
        factories={"acme": lambda settings: Provider(label="Acme", id_token=kind)}, providers__acme__client_id="ours"
    )
    refuse(app, "acme", TOKEN)


def test_two_providers_of_one_kind_are_two(make_app: MakeApp) -> None:
    kind = AccessToken(issued_to=lambda ask, token: issued(), identity=lambda accepted: identity(email=None))
    app = make_app(
        factories=dict.fromkeys(("acme", "acme_2"), lambda settings: Provider(label="Acme", access_token=kind)),
        providers__acme__client_id="ours",
        providers__acme_2__client_id="ours",
    )
    for name in ("acme", "acme_2", "acme"):
        sign_in(app.test_client(), name, TOKEN)
    assert [len(table) for table in rows(app).values()] == [2, 2, 3]


@each(
    "token", ["", "a", "a.b", "a.b.c", "..", "a..c", "a.bm8.c", "a.W10.c", "a.é.c", "a.b.c.d", f"a.{'W1tb' * 4000}.c"]
)
def test_unverified_claims_of_what_is_no_jwt_are_a_value_error(token: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unverified_claims(token)


def test_unverified_claims_are_read_with_nothing_checked() -> None:
    token = jwt.encode({"aud": "ours", "exp": 1}, "a key that nobody knows, of 32 bytes")
    assert unverified_claims(token) == {"aud": "ours", "exp": 1}
    assert unverified_claims(token.rpartition(".")[0] + ".forged")["aud"] == "ours"


def test_no_token_is_shown_by_what_an_author_is_given() -> None:
    """Whoever logs it, or quotes it in a `Refused`, gives nothing away."""
    ask = Upstream().ask()
    assert TOKEN not in repr(Accepted(token=TOKEN, issued=issued(), ask=ask))
