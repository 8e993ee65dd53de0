from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone with an account at a provider."""

    subject: str
    email: str | None = None
    email_verified: object = False  # whatever a provider may put there, which is not always a bool
    first_name: str = ""
    last_name: str = ""
    hosted_domain: str | None = None
    tenant: str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
