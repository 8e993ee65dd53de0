"""Who may be chosen on a stand-in's page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone with an account at a provider."""

    subject: str
    email: str | None = None
    email_verified: object = False  # whatever a provider may put there, which is not always a bool
    first_name: str = ""
    last_name: str = ""
    hosted_domain: str | None = None  # Google's
    tenant: str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"  # Microsoft's
    private_email: bool = False  # Apple's: the address is a relay's
    other_emails: tuple[tuple[str, object], ...] = ()  # GitHub's further addresses, and whether each is verified
    # For the redirect flow.
    role: str = ""  # why they are on the page, and by what `StandIn.person` finds them
    other_application: bool = False  # what they are issued is another application's
    declines: bool = False
    # What their id_tokens say otherwise, as at `id_token()`: the nonce of another sign-in, an old `auth_time`.
    claims: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


def usual_people(
    subject: Callable[[int], str], domain: str, taken: str, verified: object = True, remark: str = ""
) -> list[Person]:
    """Returns one of each kind, with e-mail addresses at the provider's own `domain`: no two providers share one.

    `subject` makes a provider's id of a number, `verified` is how it spells that it checked an e-mail address, and
    `remark` says where it keeps that to itself.
    """
    return [
        Person(
            subject=subject(1),
            email=f"ada@{domain}",
            email_verified=verified,
            first_name="Ada",
            last_name="Lovelace",
            role=f"verified e-mail address{remark}",
        ),
        Person(
            subject=subject(2),
            email=f"grace@{domain}",
            email_verified=False,
            first_name="Grace",
            last_name="Hopper",
            role="unverified e-mail address",
        ),
        Person(subject=subject(3), first_name="Edsger", last_name="Dijkstra", role="no e-mail address"),
        Person(
            subject=subject(4),
            email=taken,
            email_verified=False,
            first_name="Mallory",
            role="an account's e-mail address, unverified: refused",
        ),
        Person(
            subject=subject(5),
            email=f"alan@{domain}",
            email_verified=verified,
            first_name="Alan",
            last_name="Turing",
            role="tokens of another application: refused",
            other_application=True,
        ),
        Person(subject=subject(6), first_name="Donald", last_name="Knuth", role="declines", declines=True),
    ]
