"""What holds for codes: the redirect to the provider and back."""

from typing import TYPE_CHECKING

from authserver.testing.kit.declared import Declared, where_it_takes
from authserver.testing.kit.outcome import CODES, COUNTS, PROFILE, REFUSED, SIGNED, UNAVAILABLE, UPSTREAM, breaks, said
from authserver.testing.kit.server import FAULTS, Fault, Reply

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench

REFUSALS: dict[str, Fault] = {
    "a status 400": lambda good: Reply(b'{"error": "invalid_grant"}', 400),
    "an error with a status 200": lambda good: Reply(b'{"error": "bad_verification_code"}'),  # GitHub's
}


class CodeTests(Declared):
    @where_it_takes("code")
    def test_a_redirect_signs_in(self, provider_bench: "Bench") -> None:
        """The same person as the provider's tokens do."""
        user = provider_bench.redirect.sign_in(provider_bench.all_said).user
        for way in provider_bench.ways:
            if way.sign_in(way.said).user["id"] != user["id"]:
                breaks(f"A redirect ended in another account than a sign-in by {way.name}", PROFILE)

    @where_it_takes("code")
    def test_a_redirect_with_another_state_is_refused(self, provider_bench: "Bench") -> None:
        redirect = provider_bench.redirect
        outcome = redirect.sign_in(provider_bench.all_said, state="of-another-browser")
        if outcome.status != 400 or redirect.token_question in outcome.questions:
            breaks("A redirect that comes back with another state goes on", CODES)

    @where_it_takes("code")
    def test_a_redirect_with_another_nonce_is_refused(self, provider_bench: "Bench") -> None:
        kind = provider_bench.provider.id_token
        if kind and kind.nonce_left_out != self.nonce_left_out:
            breaks(f"The provider says nonce_left_out={kind.nonce_left_out} and the test does not", SIGNED)
        if not provider_bench.redirect.openid or self.nonce_left_out:
            return
        for nonce in ("of another sign-in", None):
            if provider_bench.redirect.sign_in(provider_bench.all_said, nonce=nonce).code != REFUSED:
                breaks(f"A redirect whose id_token has the nonce {nonce!r} signs people in", SIGNED)

    @where_it_takes("code")
    def test_a_code_that_is_refused_signs_nobody_in(self, provider_bench: "Bench") -> None:
        redirect = provider_bench.redirect
        for how, refusal in REFUSALS.items():
            outcome = redirect.sign_in(provider_bench.all_said, {redirect.token_question: refusal})
            if outcome.code != REFUSED:
                breaks(f"A code that the provider refuses with {how} ends in {said(outcome)}", COUNTS)

    @where_it_takes("code")
    def test_a_token_endpoint_that_is_broken_is_unavailable(self, provider_bench: "Bench") -> None:
        redirect = provider_bench.redirect
        for how, fault in FAULTS.items():
            outcome = redirect.sign_in(provider_bench.all_said, {redirect.token_question: fault})
            if outcome.code != UNAVAILABLE:
                breaks(f"{how.capitalize()} as the answer of the token endpoint ends in {said(outcome)}", UPSTREAM)
