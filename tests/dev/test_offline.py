"""Offline providers: the stand-ins, asked by the very server that serves them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from authserver.dev.offline import offline_providers
from authserver.dev.people import TAKEN
from authserver.oauth.blueprint import enabled_by_name
from authserver.testing.standins import StandIns, choose
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


@pytest.mark.parametrize("name", NAMES)
def test_each_stand_in_gives_client_tokens_that_sign_in(development: Development, name: str) -> None:
    with development.app.app_context():
        offered = enabled_by_name()[name].client_tokens
    for kind in offered:
        answer = development.sign_in(name, kind, development.client_token(name, kind))
        assert answer.status_code == 200, answer.text


def test_the_stand_ins_people_show_what_can_go_wrong(development: Development) -> None:
    token = development.client_token("google", "access_token", "tokens of another application")
    assert_error(development.sign_in("google", "access_token", token), 401, "provider_token_not_valid")
    token = development.client_token("google", "access_token", "an account's address")
    assert development.offline["google"].person("an account's address").email == TAKEN
    assert_error(development.sign_in("google", "access_token", token), 409, "account_exists")
    token = development.client_token("facebook", "access_token", "no address")
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
