"""What an author declares of a provider."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from authserver.oauth.provider import Provider, ProviderSettings
from authserver.testing.kit.said import Place, Said, filled

CLIENT_ID = "client-id-of-this-application"
CLIENT_SECRET = "client-secret-of-this-application"
SUBJECT = "subject-100001"
EMAIL = "ada@plugin.example"

Test = TypeVar("Test", bound=Callable[..., None])


def where_it_takes(kind: str) -> Callable[[Test], Test]:
    """Marks a test that only a provider of "access_token", "id_token" or "code" has."""

    def mark(test: Test) -> Test:
        test.kind = kind  # type: ignore[attr-defined]
        return test

    return mark


class Declared:
    provider: ClassVar[Callable[..., Provider]]  # staticmethod(my_module.provider)
    options: ClassVar[Mapping[str, str]] = {}  # settings; {upstream} is the address of the server that stands in
    name: ClassVar[str] = "example"
    client_id: ClassVar[str] = CLIENT_ID
    client_secret: ClassVar[str] = CLIENT_SECRET

    # Who signs in: where these stand in the answers, the tests put others.
    subject: ClassVar[str] = SUBJECT  # as the provider's file makes it, so a number is written as text
    email: ClassVar[str] = EMAIL
    first_name: ClassVar[str] = ""
    last_name: ClassVar[str] = ""

    # What the server answers to a good access token, by "METHOD /path"; "token": what the token says, if it is a JWT.
    answers: ClassVar[Mapping[str, Any]] = {}
    # What it answers otherwise of one that has expired: a part of an answer, or a status.
    expired: ClassVar[Mapping[str, Any]] = {}
    # What an id_token says beside iss, aud, iat, exp and nonce.
    claims: ClassVar[Mapping[str, Any]] = {}

    # Where it says that the address is verified, by question or "claims": a key, or the way there, (0, "verified").
    verified: ClassVar[Mapping[str, Any]] = {}
    spelled: ClassVar[tuple[Any, ...]] = (True,)  # as the provider's documents spell it, by type and value

    callback: ClassVar[Mapping[str, str]] = {}  # what comes back with a code
    nonce_left_out: ClassVar[bool] = False  # its documents say that its id_tokens carry no nonce

    def __init_subclass__(cls) -> None:
        """Leaves out the tests of what the provider does not take: None is no test."""
        super().__init_subclass__()
        if not hasattr(cls, "provider"):
            return
        try:
            kinds = kinds_of(cls.made("http://127.0.0.1:9"))
        except Exception:
            return  # each test says so
        for parent in reversed(cls.__mro__[1:]):
            for name, test in vars(parent).items():
                if hasattr(test, "kind"):
                    setattr(cls, name, test if test.kind in kinds else None)

    @classmethod
    def made(cls, upstream: str) -> Provider:
        return cls.provider(
            ProviderSettings(
                name=cls.name,
                client_ids=(cls.client_id,),
                client_secret=cls.client_secret,
                options=cls.options_at(upstream),
            )
        )

    @classmethod
    def options_at(cls, upstream: str) -> dict[str, str]:
        options: dict[str, str] = filled(cls.options, upstream)
        return options

    @classmethod
    def verified_in(cls, said: Said) -> list[Place]:
        ways = {question: way if isinstance(way, tuple) else (way,) for question, way in cls.verified.items()}
        return [(question, *way) for question, way in ways.items() if question in said]

    @classmethod
    def is_spelled(cls, value: Any) -> bool:
        return any((type(value), value) == (type(one), one) for one in cls.spelled)


def kinds_of(provider: Provider) -> set[str]:
    kinds = {
        "access_token": provider.access_token is not None and provider.access_token.issued_to is not None,
        "id_token": provider.id_token is not None,
        "code": bool(provider.scopes),
    }
    return {kind for kind, taken in kinds.items() if taken}
