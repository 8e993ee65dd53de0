from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

from authserver.testing.standins import StandIns
from tests.each import each
from tests.standins.asking import OPENID, Clock, ask, at, jwt_claims, openid, tokens, verified

Check = Callable[[StandIns, str], object]


def check_google(standins: StandIns, token: str) -> object:
    return ask(f"{standins.google.url}/tokeninfo", {"access_token": token})[1].get("aud")


def check_facebook(standins: StandIns, token: str) -> object:
    facebook = standins.facebook
    asked = {"input_token": token, "access_token": f"{facebook.client_id}|{facebook.client_secret}"}
    return ask(f"{facebook.url}/v25.0/debug_token?{urlencode(asked)}")[1]["data"].get("app_id")


def check_gitlab(standins: StandIns, token: str) -> object:
    return ask(f"{standins.gitlab.url}/oauth/token/info", bearer=token)[1].get("application", {}).get("uid")


def check_discord(standins: StandIns, token: str) -> object:
    return ask(f"{standins.discord.url}/api/v10/oauth2/@me", bearer=token)[1].get("application", {}).get("id")


def check_linkedin(standins: StandIns, token: str) -> object:
    linkedin = standins.linkedin
    asked = {"client_id": linkedin.client_id, "client_secret": linkedin.client_secret, "token": token}
    answer = ask(f"{linkedin.url}/oauth/v2/introspectToken", asked)[1]
    return answer.get("client_id") if answer["active"] else None


def check_microsoft(standins: StandIns, token: str) -> object:
    assert ask(f"{standins.microsoft.url}/v1.0/me", bearer=token)[0] in (200, 401)
    return jwt_claims(token).get("appid") if token.count(".") == 2 else None


CHECKS: dict[str, Check] = {
    "google": check_google,
    "facebook": check_facebook,
    "gitlab": check_gitlab,
    "discord": check_discord,
    "linkedin": check_linkedin,
    "microsoft": check_microsoft,
}


@each("name", CHECKS)
def test_an_access_token_is_of_the_application_that_it_was_issued_to(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    ours, theirs = (stand_in.person(role) for role in ("verified", "tokens of another"))
    assert CHECKS[name](standins, stand_in.token(ours)) == stand_in.client_id
    assert CHECKS[name](standins, stand_in.token(theirs)) == stand_in.other_client_id
    assert CHECKS[name](standins, tokens(stand_in, ours)["access_token"]) == stand_in.client_id
    assert CHECKS[name](standins, tokens(stand_in, theirs)["access_token"]) == stand_in.other_client_id
    assert CHECKS[name](standins, "made-up") is None


@each("name", OPENID)
def test_another_applications_id_token_comes_for_who_is_there_to_bring_it(standins: StandIns, name: str) -> None:
    stand_in = openid(standins, name)
    person = stand_in.person("tokens of another")
    assert verified(stand_in, tokens(stand_in, person)["id_token"])["aud"] == stand_in.other_client_id
    assert verified(stand_in, stand_in.id_token(person))["aud"] == stand_in.other_client_id


@each("name", ["google", "gitlab", "discord", "linkedin"])
def test_what_is_said_of_a_token_can_be_changed_and_ends_with_it(standins: StandIns, clock: Clock, name: str) -> None:
    stand_in = standins.each[name]
    field = {"google": "aud", "linkedin": "client_id"}.get(name, "application")
    assert CHECKS[name](standins, stand_in.token(stand_in.people[0], **{field: None})) is None
    token = stand_in.token(stand_in.people[0])
    clock.time += stand_in.token_lifetime
    try:
        assert CHECKS[name](standins, token) is None
    finally:
        clock.time -= stand_in.token_lifetime


def test_githubs_check_knows_the_tokens_of_the_application_that_asks(standins: StandIns) -> None:
    github = standins.github
    ada = github.person("verified")
    url = f"{github.url}/api/applications/{github.client_id}/token"
    ours = (github.client_id, github.client_secret)

    def check(token: object, basic: tuple[str, str] = ours) -> tuple[int, Any]:
        return ask(url, body={"access_token": token}, basic=basic)

    status, answer = check(github.token(ada))
    assert status == 200
    assert answer["app"]["client_id"] == github.client_id
    assert answer["user"] == {"id": int(ada.subject), "login": "ada", "type": "User"}
    assert check(github.token(ada, app={"client_id": "else"}))[1]["app"] == {"client_id": "else"}
    assert check(github.token(ada, audience=github.other_client_id))[0] == 404
    assert check(github.token(github.person("tokens of another")))[0] == 404
    assert check("made-up")[0] == 404
    assert check(None)[0] == 422
    assert check(github.token(ada), (github.client_id, "wrong"))[0] == 401
    assert check(github.token(ada), (github.other_client_id, "wrong"))[0] == 404


def test_githubs_addresses_need_their_scope_and_say_which_is_verified(standins: StandIns) -> None:
    github = standins.github
    several = github.token(github.person("only a further"))
    assert ask(f"{github.url}/api/user/emails", bearer=several) == (
        200,
        [
            {"email": "katherine@work.github.example", "primary": False, "verified": True, "visibility": None},
            {"email": "katherine@github.example", "primary": True, "verified": False, "visibility": "private"},
        ],
    )
    assert ask(f"{github.url}/api/user", bearer=several)[1]["email"] is None
    assert ask(f"{github.url}/api/user/emails", bearer=github.token(github.people[0], scope="read:user"))[0] == 404
    assert ask(f"{github.url}/api/user/emails", bearer="made-up")[0] == 401


def test_githubs_token_answer_is_a_form_unless_json_is_asked_for(standins: StandIns) -> None:
    url = at(standins.github, standins.github.token_path)
    asked = {"client_id": standins.github.client_id, "client_secret": standins.github.client_secret, "code": "x"}
    assert parse_qs(ask(url, asked, accept="*/*")[1])["error"] == ["bad_verification_code"]
    assert ask(url, asked)[1]["error"] == "bad_verification_code"


def test_discord_gives_an_address_only_with_its_scope(standins: StandIns) -> None:
    discord = standins.discord
    ada = discord.person("verified")
    url = f"{discord.url}/api/v10/users/@me"
    assert {"id": ada.subject, "email": "ada@discord.example", "verified": True}.items() <= ask(
        url, bearer=discord.token(ada)
    )[1].items()
    assert not {"email", "verified"} & ask(url, bearer=discord.token(ada, scope="identify"))[1].keys()
    assert ask(url, bearer="made-up")[0] == 401


def test_gitlabs_ids_are_numbers_and_names_are_at_userinfo_only(standins: StandIns) -> None:
    gitlab = standins.gitlab
    ada = gitlab.person("verified")
    answer = tokens(gitlab, ada)
    info = ask(f"{gitlab.url}/oauth/token/info", bearer=answer["access_token"])[1]
    assert (info["resource_owner_id"], info["scope"]) == (1, ["openid", "email", "profile"])
    assert "name" not in verified(gitlab, answer["id_token"])
    assert ask(f"{gitlab.url}/oauth/userinfo", bearer=answer["access_token"])[1]["name"] == "Ada Lovelace"
