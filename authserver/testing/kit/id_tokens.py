"""What holds for id_tokens, which the server checks before the provider's file sees their claims."""

import time
from typing import TYPE_CHECKING, Any

from authserver.testing.kit import openid
from authserver.testing.kit.declared import Declared, where_it_takes
from authserver.testing.kit.outcome import PROFILE, REFUSED, SIGNED, UNAVAILABLE, UPSTREAM, breaks
from authserver.testing.kit.said import Said, found
from authserver.testing.kit.server import FAULTS

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench


class IdTokenTests(Declared):
    @where_it_takes("id_token")
    def test_the_claims_are_declared(self, provider_bench: "Bench") -> None:
        """Else other tests might be blind."""
        if not found({"claims": dict(self.claims)}, self.subject):
            breaks("`claims` does not have the `subject`", PROFILE)

    @where_it_takes("id_token")
    def test_an_id_token_of_another_issuer_is_refused(self, provider_bench: "Bench") -> None:
        kind = provider_bench.provider.id_token
        assert kind
        for issuer in ("https://issuer.example", f"{kind.issuer}x", f"{kind.issuer}.example", None):
            outcome = provider_bench.by_id_token(_with(provider_bench, iss=issuer))
            if outcome.code != REFUSED:
                breaks(f"An id_token whose `iss` is {issuer} signs people in: look at `issuers`", SIGNED)

    @where_it_takes("id_token")
    def test_an_id_token_of_another_signer_is_refused(self, provider_bench: "Bench") -> None:
        for how, key in {"signed with another key": openid.FOREIGN_KEY, "that is not signed": None}.items():
            if provider_bench.by_id_token(_with(provider_bench), key=key).code != REFUSED:
                breaks(f"An id_token {how} signs people in", SIGNED)

    @where_it_takes("id_token")
    def test_an_id_token_of_another_time_is_refused(self, provider_bench: "Bench") -> None:
        now = int(time.time())
        for times in ({"iat": now - 7200, "exp": now - 3600}, {"iat": now + 3600, "exp": now + 7200}, {"exp": None}):
            if provider_bench.by_id_token(_with(provider_bench, **times)).code != REFUSED:
                breaks(f"An id_token whose times are {times} from {now} signs people in", SIGNED)

    @where_it_takes("id_token")
    def test_an_id_token_with_another_nonce_is_refused(self, provider_bench: "Bench") -> None:
        for nonce in ("of another sign-in", None):
            said = _with(provider_bench, nonce=nonce)
            token = provider_bench.id_token(said["claims"])
            if provider_bench.post({"id_token": token, "nonce": "of this sign-in"}, said).code != REFUSED:
                breaks(f"An id_token whose nonce is {nonce!r} signs people in who sent another", SIGNED)

    @where_it_takes("id_token")
    def test_keys_that_cannot_be_fetched_are_unavailable(self, new_provider_bench: "Bench") -> None:
        said = _with(new_provider_bench)
        own = new_provider_bench.server.own
        discovery = next(question for question in own if question.endswith("/openid-configuration"))
        for question in (discovery, f"GET {openid.JWKS}"):  # in this order: a document that was read is kept
            for how, fault in FAULTS.items():
                if new_provider_bench.by_id_token(said, {question: fault}).code != UNAVAILABLE:
                    breaks(f"{how.capitalize()} as the answer of {question} is no 503", UPSTREAM)


def _with(bench: "Bench", **claims: Any) -> Said:
    said = next(way.said for way in bench.ways if way.name == "id_token")
    return {"claims": {**said["claims"], **claims}}
