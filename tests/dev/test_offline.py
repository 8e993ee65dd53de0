"""Offline providers: the stand-ins, asked by the very server that serves them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from authserver.dev.offline import offline_providers
from authserver.dev.people import TAKEN
from authserver.oauth.blueprint import enabled_by_name
from authserver.testing.standins import Person, StandIns, choose
from tests.dev.conftest import Development
from tests.factories import assert_error
from tests.providers.redirecting import Flow, parameters

URL = "http://localhost:8000"
NAMES = sorted(StandIns(URL).each)
AT_ONCE = 12  # fewer than may wait for one provider


def test_a_provider_of_which_anything_is_set_is_ones_own() -> None:
    assert sorted(offline_providers(URL, {})) == NAMES
    own = {"AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID": "id", "AUTHSERVER_PROVIDERS__GITHUB__BASE_URL": "https://ghe"}
    assert sorted({*offline_providers(URL, own), "google", "github"}) == NAMES
    assert not {"google", "github"} & offline_providers(URL, own).keys()


def outcome(development: Development, name: str, kind: str, person: Person) -> tuple[int, object]:
    """The status, and the refusal's code or whether the e-mail address counts as verified: None where there is none."""
    answer = development.sign_in(name, kind, development.client_token(name, kind, person.role))
    body = answer.get_json()
    if answer.status_code != 200:
        return answer.status_code, body["code"]
    assert body["user"]["email"] == person.email
    return 200, body["user"]["email_verified"] if person.email else None


def promised(role: str) -> tuple[int, object]:
    """What the person's button says will happen."""
    if role.startswith("an account's e-mail address"):
        return 409, "account_exists"
    if role.startswith("tokens of another application"):
        return 401, "provider_token_not_valid"
    if role.startswith("no e-mail address"):
        return 200, None
    return 200, not ("unverified" in role or role.startswith("only a further"))


def test_everybody_at_every_stand_in_signs_in_as_the_button_says(development: Development) -> None:
    """In any order: no two of them share an e-mail address, but for those who come with an account's."""
    with development.app.app_context():
        kinds = {name: enabled_by_name()[name].client_tokens for name in NAMES}
    people = [(name, person) for name, one in development.offline.items() for person in one.people]
    for name, person in people:
        if not person.declines and kinds[name]:
            assert outcome(development, name, kinds[name][-1], person) == promised(person.role), person
    addresses = [person.email for _, person in people if person.email not in (None, TAKEN)]
    assert len(addresses) == len(set(addresses))


def test_the_stand_ins_people_show_what_can_go_wrong(development: Development) -> None:
    token = development.client_token("google", "access_token", "tokens of another application")
    assert_error(development.sign_in("google", "access_token", token), 401, "provider_token_not_valid")
    token = development.client_token("google", "access_token", "an account's e-mail address")
    assert development.offline["google"].person("an account's e-mail address").email == TAKEN
    assert_error(development.sign_in("google", "access_token", token), 409, "account_exists")
    token = development.client_token("facebook", "access_token", "no e-mail address")
    assert development.sign_in("facebook", "access_token", token).get_json()["user"]["email"] is None


@pytest.mark.parametrize("changes", [{"provider": "nobody"}, {"person": "nobody"}, {"kind": "id_token"}])
def test_a_token_that_a_provider_has_not_is_not_found(development: Development, changes: dict[str, str]) -> None:
    body = {"provider": "github", "person": development.offline["github"].people[0].subject, "kind": "access_token"}
    assert_error(development.press("/dev/token", {**body, **changes}), 404, "not_found")


@pytest.mark.parametrize(("name", "seconds"), [("google", 3600), ("microsoft", 3600), ("facebook", 2 * 3600)])
def test_time_passes_for_the_stand_ins_too(development: Development, name: str, seconds: int) -> None:
    old = development.client_token(name, "access_token")
    development.press("/dev/time", {"seconds": seconds})
    assert_error(development.sign_in(name, "access_token", old), 401, "provider_token_not_valid")
    new = development.client_token(name, "access_token")
    assert development.sign_in(name, "access_token", new).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_each_signs_in_by_redirect_however_far_time_was_moved(development: Development, name: str) -> None:
    """Of those that prove who we are by a JWT of ours, whose times the stand-in compares with its own, too."""
    development.press("/dev/time", {"seconds": 86400})
    browser, flow = development.client, Flow(next=f"{development.url}/")
    began = browser.get(f"/api/auth/{name}/login/?{flow.query()}", base_url=development.url)
    came = choose(began.headers["Location"], development.offline[name].person("verified"))
    if came.form:
        back = browser.post(came.url.removeprefix(development.url), data=came.form, base_url=development.url)
    else:
        back = browser.get(came.url.removeprefix(development.url), base_url=development.url)
    assert flow.exchange(browser, parameters(back)["code"]).status_code == 200


def test_a_server_that_asks_itself_for_many_at_once_does_not_wait_for_itself(development: Development) -> None:
    tokens = [development.client_token("google", "access_token") for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda token: development.sign_in("google", "access_token", token), tokens))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
