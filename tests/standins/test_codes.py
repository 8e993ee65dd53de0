from typing import Any

from authserver.testing.standins import StandIns
from authserver.testing.standins.keys import s256
from tests.each import each
from tests.standins.asking import BACK, NAMES, VERIFIER, Clock, authorize_url, exchange

Refusal = tuple[int, dict[str, str]]
GRANT: Refusal = (400, {"error": "invalid_grant"})
NO_CLIENT: Refusal = (401, {"error": "invalid_client"})
BAD_CODE: Refusal = (200, {"error": "bad_verification_code"})
LINKEDIN: Refusal = (400, {"error": "invalid_request"})
REFUSALS: dict[str, dict[str, Refusal]] = {
    "google": {"code": GRANT, "redirect": (400, {"error": "redirect_uri_mismatch"}), "client": NO_CLIENT},
    "microsoft": {"code": GRANT, "redirect": (400, {"error": "invalid_client"}), "client": NO_CLIENT},
    "github": {
        "code": BAD_CODE,
        "redirect": (200, {"error": "redirect_uri_mismatch"}),
        "client": (200, {"error": "incorrect_client_credentials"}),
    },
    "apple": {"code": GRANT, "redirect": GRANT, "client": (400, {"error": "invalid_client"})},
    "gitlab": {"code": GRANT, "redirect": GRANT, "client": NO_CLIENT},
    "discord": {"code": GRANT, "redirect": GRANT, "client": NO_CLIENT},
    "linkedin": {"code": LINKEDIN, "redirect": LINKEDIN, "client": NO_CLIENT},
    "acme": {"code": GRANT, "redirect": GRANT, "client": NO_CLIENT},
}


def assert_refused(name: str, why: str, answer: tuple[int, Any]) -> None:
    status, body = answer
    if name == "facebook":
        assert status == 400
        assert body["error"]["code"] == (1 if why == "client" else 100)
        assert body["error"]["type"] == "OAuthException"
    else:
        expected_status, expected = REFUSALS[name][why]
        assert (status, {"error": body["error"]}) == (expected_status, expected)
    assert "access_token" not in body


@each("name", NAMES)
def test_a_code_is_good_once_soon_and_for_who_asked(standins: StandIns, clock: Clock, name: str) -> None:
    stand_in = standins.each[name]

    def code() -> str:
        return stand_in.authorize(authorize_url(stand_in), stand_in.people[0]).parameters["code"]

    used = code()
    assert "access_token" in exchange(stand_in, used)[1]
    assert_refused(name, "code", exchange(stand_in, used))
    assert_refused(name, "code", exchange(stand_in, "made-up"))
    assert_refused(name, "redirect", exchange(stand_in, code(), redirect_uri=f"{BACK}x"))
    assert_refused(name, "redirect", exchange(stand_in, code(), redirect_uri=None))
    assert_refused(name, "client", exchange(stand_in, code(), client_secret="wrong"))
    assert_refused(name, "client", exchange(stand_in, code(), client_secret=None))
    assert_refused(name, "client", exchange(stand_in, code(), client_id="unheard-of"))
    if stand_in.pkce:
        assert_refused(name, "code", exchange(stand_in, code(), code_verifier="w" * 43))
        assert_refused(name, "code", exchange(stand_in, code(), code_verifier=None))
    late = code()
    clock.time += 60
    try:
        assert_refused(name, "code", exchange(stand_in, late))
    finally:
        clock.time -= 60


@each("name", [name for name in NAMES if name not in ("apple", "linkedin")])
def test_a_verifier_without_a_challenge_and_another_clients_code_are_refused(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    plain = authorize_url(stand_in, code_challenge=None, code_challenge_method=None)
    code = stand_in.authorize(plain, stand_in.people[0]).parameters["code"]
    assert_refused(name, "code", exchange(stand_in, code))
    other, secret = stand_in.other_client_id, stand_in.clients[stand_in.other_client_id]
    code = stand_in.authorize(authorize_url(stand_in), stand_in.people[0]).parameters["code"]
    assert_refused(name, "code", exchange(stand_in, code, client_id=other, client_secret=secret))


@each("name", [name for name in NAMES if name not in ("github", "facebook")])
def test_another_grant_type_is_refused(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    for grant_type in ("password", None):
        assert exchange(stand_in, "x", grant_type=grant_type)[0] == 400


def test_linkedin_refuses_a_verifier_and_ignores_a_challenge(standins: StandIns) -> None:
    linkedin = standins.linkedin
    url = authorize_url(linkedin, code_challenge=s256(VERIFIER), code_challenge_method="S256")
    code = linkedin.authorize(url, linkedin.people[0]).parameters["code"]
    assert_refused("linkedin", "client", exchange(linkedin, code, code_verifier=VERIFIER))
    assert exchange(linkedin, code)[0] == 200
