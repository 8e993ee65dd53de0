"""What became of a sign-in, and the sentences for what should not have."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

from authserver.testing.kit.server import Asked

REFUSED, UNAVAILABLE = "provider_token_not_valid", "provider_unavailable"

# What a provider's file may not break; each completes a sentence.
AUDIENCE = "to which application a token was issued is proved before anything else of it is believed"
SUBJECT = "the person whom the token was issued to is the person of the profile"
ACCOUNT = "an account is found by the provider's own id of the person and by nothing else"
VERIFIED = "an address counts as verified only where the provider says so, spelled as it documents"
COUNTS = "a token that does not count signs nobody in"
UPSTREAM = "what the provider's server cannot answer is a 503, so that half an answer is not taken for a whole one"
SERVER = "the server alone asks, through `ask`, with its time-outs and limits"
SECRETS = "no secret is in any log line"
SIGNED = "an id_token counts only if its issuer, signature, time and nonce are right"
CODES = "a redirect ends in the browser that it began in"
PROFILE = "what the provider says of a person arrives as it is declared"


def breaks(what: str, invariant: str) -> NoReturn:
    __tracebackhide__ = True
    raise AssertionError(f"{what}, but {invariant}.")


@dataclass(frozen=True)
class Outcome:
    status: int
    body: dict[str, Any] = field(repr=False)
    asked: tuple[Asked, ...] = ()

    @property
    def code(self) -> str:
        """Of the error; "" where someone was signed in."""
        return "" if self.status == 200 else str(self.body.get("code") or self.body.get("error"))

    @property
    def user(self) -> dict[str, Any]:
        """Who was signed in; an `AssertionError` where nobody was."""
        __tracebackhide__ = True
        if self.code:
            breaks(f"A good sign-in ended in {self.status} {self.code}", PROFILE)
        user: dict[str, Any] = self.body["user"]
        return user

    @property
    def questions(self) -> list[str]:
        return [asked.question for asked in self.asked]


def said(outcome: Outcome) -> str:
    """For a sentence."""
    return outcome.code or "a sign-in"
