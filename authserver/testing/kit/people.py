"""Who signs in, and what of the provider's words is believed: by every way that there is."""

from typing import TYPE_CHECKING, Any

from authserver.testing.kit.declared import Declared
from authserver.testing.kit.outcome import (
    ACCOUNT,
    AUDIENCE,
    PROFILE,
    REFUSED,
    SUBJECT,
    UNAVAILABLE,
    VERIFIED,
    Outcome,
    breaks,
)
from authserver.testing.kit.said import Person, Place, Said, changed, fields, found, shown, value_at, without

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench, Way

ODD_SPELLINGS: tuple[Any, ...] = (False, None, "true", "True", "false", "1", 1, 1.0, 0, "yes", "", [], [True], {})
ODD_TYPES: tuple[Any, ...] = (None, True, 7, "odd", [], {})
ODD_SUBJECTS: tuple[Any, ...] = (None, "", [], {})


class PeopleTests(Declared):
    def test_a_person_signs_in_and_is_found_again(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            first, again = way.sign_in(way.said).user, way.sign_in(way.said).user
            if first["id"] != again["id"]:
                breaks(f"The second sign-in by {way.name} ended in another account than the first", ACCOUNT)

    def test_the_profile_is_as_declared(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            person = provider_bench.person()
            said = provider_bench.said_of(way, person)
            user = way.sign_in(said).user
            expected = {
                "email": person.email if found(said, person.email) else None,
                "email_verified": bool(self.verified_in(said)),
                "first_name": self.first_name,
                "last_name": self.last_name,
            }
            for name, value in expected.items():
                if user[name] != value:
                    breaks(f"By {way.name} {name} arrives as {user[name]!r}, declared is {value!r}", PROFILE)

    def test_another_subject_is_another_account(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            one, other = (provider_bench.said_of(way, provider_bench.person()) for _ in range(2))
            if way.sign_in(one).user["id"] == way.sign_in(other).user["id"]:
                breaks(f"Two people of different subjects share an account by {way.name}", ACCOUNT)

    def test_a_new_address_is_still_the_same_account(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            person = provider_bench.person()
            married = Person(person.subject, provider_bench.person().email)
            ids = {way.sign_in(provider_bench.said_of(way, one)).user["id"] for one in (person, married)}
            if len(ids) > 1:
                breaks(f"Whoever changes the address at the provider loses the account, by {way.name}", ACCOUNT)

    def test_two_subjects_in_one_sign_in_are_refused(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            places = found(way.said, self.subject)
            questions = dict.fromkeys(place[0] for place in places)
            for question in questions if len(questions) > 1 and way.name != "code" else ():
                said = _at_each(way.said, [one for one in places if one[0] == question], "subject-of-another-person")
                if way.sign_in(said).code != REFUSED:
                    breaks(f"Another subject in {question} alone is overlooked by {way.name}", SUBJECT)

    def test_a_token_of_another_application_is_refused(self, provider_bench: "Bench") -> None:
        """Before anything of a person's is asked for."""
        for way in provider_bench.ways:
            places = found(way.said, self.client_id)
            for foreign in _foreign(self.client_id) if places else ():
                outcome = way.sign_in(_at_each(way.said, places, foreign))
                if outcome.code != REFUSED:
                    where = " and ".join(map(shown, places))
                    breaks(f"A token of the application {foreign!r} ({where}) signs people in by {way.name}", AUDIENCE)
                personal = {place[0] for who in (self.subject, self.email) for place in found(way.said, who)}
                for question in outcome.questions:
                    if question in personal - {place[0] for place in places}:
                        breaks(f"{question} was asked with a token of another application", AUDIENCE)

    def test_an_address_is_verified_only_as_documented(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for place in self.verified_in(way.said):
                for value in (*self.spelled, *ODD_SPELLINGS):
                    said = changed(provider_bench.said_of(way, provider_bench.person()), place, value)
                    _check_verified(way.sign_in(said), f"{value!r} as {shown(place)}", self.is_spelled(value))
                said = without(provider_bench.said_of(way, provider_bench.person()), place)
                _check_verified(way.sign_in(said), f"no {shown(place)}", False)

    def test_a_field_that_is_missing_signs_in_nobody_else(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for place, _ in fields(way.said):
                person = provider_bench.person()
                said = without(provider_bench.said_of(way, person), _of(place, self, person))
                self._check_sound(provider_bench, way, person, said, f"without {shown(place)}", place)
            person = provider_bench.person()
            said = provider_bench.said_of(way, person)
            for place in found(said, person.subject)[::-1]:
                said = without(said, place)
            if way.sign_in(said).code not in (REFUSED, UNAVAILABLE):
                breaks(f"A sign-in by {way.name} without any subject goes through", ACCOUNT)

    def test_a_field_of_another_type_signs_in_nobody_else(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            tried = {place for who in (self.client_id, self.subject) for place in found(way.said, who)}
            tried |= set(self.verified_in(way.said))
            for place, value in fields(way.said):
                for odd in ODD_TYPES if place not in tried else ():
                    if type(odd) is not type(value):
                        person = provider_bench.person()
                        said = changed(provider_bench.said_of(way, person), _of(place, self, person), odd)
                        self._check_sound(provider_bench, way, person, said, f"with {odd!r} as {shown(place)}", place)

    def test_a_subject_of_another_type_is_refused(self, provider_bench: "Bench") -> None:
        for way in provider_bench.ways:
            for place in found(way.said, self.subject):
                for odd in ODD_SUBJECTS:
                    if way.sign_in(changed(way.said, place, odd)).code not in (REFUSED, UNAVAILABLE):
                        breaks(f"{odd!r} as {shown(place)} is taken for somebody's subject by {way.name}", ACCOUNT)

    def _check_sound(self, bench: "Bench", way: "Way", person: Person, said: Said, how: str, at: Place) -> None:
        """Refused, or the same person, whose address is not verified by accident."""
        outcome = way.sign_in(said)
        if outcome.code in (REFUSED, UNAVAILABLE):
            return
        if outcome.code:
            breaks(f"A sign-in by {way.name} {how} ended in {outcome.status} {outcome.code}", PROFILE)
        if any(at == place[: len(at)] for place in self.verified_in(way.said)):
            _check_verified(outcome, how, False)
        if outcome.user["email_verified"] and outcome.user["email"] != person.email:
            breaks(f"{how.capitalize()} {outcome.user['email']} is a verified address", VERIFIED)
        if way.sign_in(bench.said_of(way, person)).body.get("user", {}).get("id") != outcome.user["id"]:
            breaks(f"A sign-in by {way.name} {how} ended in another account", ACCOUNT)


def _foreign(client_id: str) -> list[Any]:
    return ["another-application", f"{client_id}x", f"x{client_id}", f"{client_id},another", "", None]


def _at_each(said: Said, places: list[Place], to: Any) -> Said:
    """A number stays one."""
    for place in places:
        numeric = type(value_at(said, place)) is int and type(to) is str
        said = changed(said, place, 4_000_000_000_000 if numeric else to)
    return said


def _of(place: Place, declared: Declared, person: Person) -> Place:
    """The same place where the question is about that person."""
    path = (person.subject if part == declared.subject else part for part in place[0].split("/"))
    return ("/".join(path), *place[1:])


def _check_verified(outcome: Outcome, how: str, expected: bool) -> None:
    verified = not outcome.code and outcome.user["email_verified"]
    if expected and not verified:
        breaks(f"With {how} the address is not verified, although `spelled` lists it", VERIFIED)
    if verified and not expected:
        breaks(f"With {how} the address counts as verified", VERIFIED)
