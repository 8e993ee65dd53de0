"""What the provider's server may do wrong, and what nobody may read in a log."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

from authserver.testing.kit.application import patience
from authserver.testing.kit.declared import Declared
from authserver.testing.kit.outcome import SECRETS, SERVER, UNAVAILABLE, UPSTREAM, breaks, said
from authserver.testing.kit.said import changed, fields, merged, without
from authserver.testing.kit.server import ELSEWHERE, FAULTS, hang

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench

SHORT = 0.3  # seconds to wait for an answer that does not come


class FaultTests(Declared):
    def test_every_question_is_asked_by_the_server(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for asked in way.sign_in(way.said).asked:
                if asked.headers.get("User-Agent") != "authserver":
                    breaks(f"{asked.question} is asked past the server, by {asked.headers.get('User-Agent')}", SERVER)

    def test_a_broken_answer_is_unavailable(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for question in way.questions:
                for how, fault in FAULTS.items():
                    outcome = way.sign_in(way.said, {question: fault})
                    if f"GET {ELSEWHERE}" in outcome.questions:
                        breaks(f"The redirect that {question} answers is followed", SERVER)
                    if outcome.code != UNAVAILABLE:
                        breaks(f"{how.capitalize()} as the answer of {question} ends in {said(outcome)}", UPSTREAM)

    def test_an_answer_that_does_not_come_is_unavailable(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for question in way.questions:
                with patience(SHORT):
                    outcome = way.sign_in(way.said, {question: hang})
                if outcome.code != UNAVAILABLE:
                    breaks(f"{question} does not answer, which ends in {said(outcome)}", UPSTREAM)

    def test_no_secret_is_in_any_log_line(self, provider_bench: "Bench") -> None:
        with _heard() as text:
            for way in provider_bench.ways:
                way.sign_in(way.said)
                way.sign_in(merged(way.said, {key: one for key, one in self.expired.items() if key in way.said}))
                for place, _ in fields(way.said):
                    way.sign_in(without(way.said, place))
                    way.sign_in(changed(way.said, place, "another"))
                for question in way.questions:
                    for fault in FAULTS.values():
                        way.sign_in(way.said, {question: fault})
            if provider_bench.provider.scopes:
                provider_bench.redirect.sign_in(provider_bench.all_said)
        for line in text.getvalue().splitlines():
            if any(secret in line for secret in provider_bench.secrets):
                breaks(f"A token or the client secret is logged, in a line that begins “{line[:40]}”", SECRETS)


@contextmanager
def _heard() -> Iterator[io.StringIO]:
    """All that is logged, at every level, or printed, which is as good as logged."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(text), redirect_stderr(text):
            yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
