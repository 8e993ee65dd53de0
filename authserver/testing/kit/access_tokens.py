"""What holds for access tokens, which only the provider's server can tell of."""

from typing import TYPE_CHECKING, Any

from authserver.testing.kit.declared import Declared, where_it_takes
from authserver.testing.kit.outcome import AUDIENCE, COUNTS, PROFILE, REFUSED, SERVER, breaks
from authserver.testing.kit.said import Said, found, merged

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench

ODD_TOKENS = ("a&b=c", "a%26b", "a#b", "a?b", "a+b", "../a", 'a"b', "a;b", "@a:b")


class AccessTokenTests(Declared):
    @where_it_takes("access_token")
    def test_the_answers_are_declared_and_asked_for(self, provider_bench: "Bench") -> None:
        """Else other tests might be blind."""
        way = provider_bench.ways[0]
        asked = set(way.sign_in(way.said).questions)
        for question in set(way.questions) - asked:
            breaks(f"{question} is declared in `answers` and was not asked", PROFILE)
        if not found(way.said, self.client_id):
            breaks(
                "None of the `answers` names the application, by `client_id`, that the token was issued to", AUDIENCE
            )
        if not found(way.said, self.subject):
            breaks("None of the `answers` has the `subject`", PROFILE)
        if not self.expired.keys() <= way.said.keys() or not self.expired:
            breaks("`expired` does not say what one of the `answers` becomes for an expired token", COUNTS)
        for question in self.verified:
            if question not in (*way.said, "claims"):
                breaks(f"`verified` names {question}, which is not one of the `answers`", PROFILE)

    @where_it_takes("access_token")
    def test_an_expired_token_is_refused(self, provider_bench: "Bench") -> None:
        way = provider_bench.ways[0]
        expired: Said = merged(way.said, self.expired)
        if way.sign_in(expired).code != REFUSED:
            breaks("A token of which the server says that it has expired signs people in", COUNTS)

    @where_it_takes("access_token")
    def test_a_token_that_the_server_does_not_know_is_refused(self, provider_bench: "Bench") -> None:
        way = provider_bench.ways[0]
        for status in (400, 401, 403, 404):
            unknown: dict[str, Any] = {**way.said, **dict.fromkeys(way.questions, status)}
            if way.sign_in(unknown).code != REFUSED:
                breaks(f"A token for which every answer is a {status} signs people in", COUNTS)

    @where_it_takes("access_token")
    def test_an_odd_token_stays_one_parameter(self, provider_bench: "Bench") -> None:
        way = provider_bench.ways[0]
        for odd in ODD_TOKENS if "token" not in way.said else ():
            try:
                outcome = provider_bench.by_access_token(way.said, token=odd)
            except AssertionError:
                asked = provider_bench.server.asked[-1].question
                breaks(f"The token {odd} became a part of an address, {asked}", SERVER)
            if not all(asked.carries(odd) for asked in outcome.asked):
                breaks(f"The token {odd} did not arrive whole: hand it over by `params`, `form` or `bearer`", SERVER)
