import re

import pytest

from authserver.testing.standins import NotAsked, Person, StandIns, choose
from tests.each import each
from tests.standins.asking import NAMES, OPENID, ask, at, authorize_url, openid


def test_the_page_says_who_asks_and_names_the_people(standins: StandIns) -> None:
    for name, stand_in in standins.each.items():
        page = ask(authorize_url(stand_in))[1]
        assert f"<h1>Sign in with {stand_in.label} (stand-in)</h1>" in page, name
        assert stand_in.client_id in page
        assert page.count('<button name="person"') == len(stand_in.people)
        assert ">Cancel</button>" in page
        assert "<script" not in page
        assert "--accent" in page, "the look is the hosted pages'"


def test_what_the_page_shows_is_escaped(standins: StandIns) -> None:
    google = standins.google
    google.people.append(Person(subject='"><script>', first_name="<b>", role="<i>"))
    try:
        page = ask(authorize_url(google))[1]
    finally:
        google.people.pop()
    assert not re.search("<script>|<b>|<i>", page)


@each(
    "changes",
    [
        {"client_id": "unheard-of"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "/callback"},
        {"redirect_uri": "//localhost/callback"},
        {"redirect_uri": "http://example.com/callback"},
        {"redirect_uri": "https://example.com/callback#fragment"},
        {"redirect_uri": "https://example.com/callback#"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://[::1/callback"},
        {"response_mode": "web_message"},
    ],
)
@each("name", NAMES)
def test_a_request_that_cannot_be_answered_gets_an_error_page(
    standins: StandIns, name: str, changes: dict[str, str | None]
) -> None:
    stand_in = standins.each[name]
    url = authorize_url(stand_in, **changes)
    status, page = ask(url)
    assert (status, "cannot do that" in page) == (400, True)
    assert ask(url, {"person": stand_in.people[0].subject})[0] == 400
    with pytest.raises(NotAsked):
        stand_in.authorize(url, stand_in.people[0])


def test_a_person_who_is_not_on_the_page_cannot_be_chosen(standins: StandIns) -> None:
    url = authorize_url(standins.google)
    assert ask(url, {"person": "nobody"})[0] == 400
    with pytest.raises(NotAsked):
        choose(url, Person(subject="nobody"))


@pytest.mark.parametrize("redirect_uri", ["http://127.0.0.1:1/cb?x=1", "http://[::1]:1/cb", "https://example.com/cb"])
def test_the_browser_is_led_to_loopback_and_https(standins: StandIns, redirect_uri: str) -> None:
    callback = choose(authorize_url(standins.google, redirect_uri=redirect_uri), standins.google.people[0])
    assert callback.url.startswith(redirect_uri + ("&" if "?" in redirect_uri else "?") + "code=")


@each(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None, "code_challenge": "x"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_a_wrong_request_is_sent_back_unasked(standins: StandIns, changes: dict[str, str | None], error: str) -> None:
    for stand_in in standins.each.values():
        callback = choose(authorize_url(stand_in, **changes), stand_in.people[0])
        assert (callback.parameters["error"], callback.parameters["state"]) == (error, "the state & more")


DENIED = {
    "facebook": {"error": "access_denied", "error_reason": "user_denied"},
    "apple": {"error": "user_cancelled_authorize"},
    "linkedin": {"error": "user_cancelled_authorize"},
}


@each("name", NAMES)
def test_who_cancels_or_declines_comes_back_with_an_error(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    for person in (None, stand_in.person("declines")):
        parameters = choose(authorize_url(stand_in), person).parameters
        assert DENIED.get(name, {"error": "access_denied"}).items() <= parameters.items()
        assert parameters["state"] == "the state & more"
        assert "code" not in parameters


def test_google_names_itself_in_the_authorization_response(standins: StandIns) -> None:
    for name in OPENID:
        stand_in = openid(standins, name)
        callback = choose(authorize_url(stand_in), stand_in.people[0])
        assert callback.parameters.get("iss") == (stand_in.url if name == "google" else None)
        document = ask(at(stand_in, stand_in.discovery_path))[1]
        promised = document.get("authorization_response_iss_parameter_supported", False)
        assert promised == (name == "google")
