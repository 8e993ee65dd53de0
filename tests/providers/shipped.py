"""The shipped providers, made of settings and asked without a server or HTTP."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Claims,
    Identity,
    IdToken,
    Issued,
    Provider,
    ProviderFactory,
    ProviderSettings,
)

NAMES = tuple(sorted(path.stem for path in (Path(__file__).parents[2] / "providers").glob("[a-z]*.py")))
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    pkcs8 = serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
    return text.decode()


NEEDED = {
    "apple": {"TEAM_ID": "TEAM123456", "KEY_ID": "KEY1234567", "PRIVATE_KEY": pem(KEY)},
    "oidc": {"ISSUER": "https://login.example.com"},
}


def settings_of(name: str, **options: str) -> ProviderSettings:
    return ProviderSettings(
        name=name, client_ids=("id", "second"), client_secret="secret", options={**NEEDED.get(name, {}), **options}
    )


def factory(name: str) -> ProviderFactory:
    found: ProviderFactory = import_module(f"providers.{name}").provider
    return found


def made(name: str, **options: str) -> Provider:
    return factory(name)(settings_of(name, **options))


def id_token(name: str, **options: str) -> IdToken:
    kind = made(name, **options).id_token
    assert kind is not None
    return kind


def identified(name: str, claims: Claims, **options: str) -> Identity:
    """Whom the claims of an id_token name."""
    return id_token(name, **options).identity({"sub": "1", **claims})


def issuers(kind: IdToken, claims: Claims) -> set[str]:
    assert kind.issuers is not None
    return set(kind.issuers(claims))


class Answers:
    """An `Ask` that knows its answers by the ends of their addresses and raises those that are exceptions."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {name.replace("__", "/"): answer for name, answer in answers.items()}
        self.asked: list[tuple[str, Any]] = []

    def _answer(self, url: str, sent: Any) -> Any:
        self.asked.append((url, sent))
        (answer,) = (answer for name, answer in self._answers.items() if url.endswith(f"/{name}"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(
        self, url: str, params: Mapping[str, str] | None = None, *, bearer: str = "", basic: tuple[str, str] = ("", "")
    ) -> Any:
        return self._answer(url, params or bearer)

    def post(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        json: Any = None,
        bearer: str = "",
        basic: tuple[str, str] = ("", ""),
    ) -> Any:
        return self._answer(url, (form or json, basic))


def access_token(name: str, **options: str) -> AccessToken:
    kind = made(name, **options).access_token
    assert kind is not None
    return kind


def issued(name: str, ask: Answers, token: str = "token", **options: str) -> Issued | None:
    kind = access_token(name, **options)
    assert kind.issued_to is not None
    return kind.issued_to(ask, token)


def profile(name: str, ask: Answers, tenant: str = "", **options: str) -> Identity:
    """Whom an accepted access token names."""
    accepted = Accepted(token="token", issued=Issued(audience="id", subject="1", tenant=tenant), ask=ask)
    return access_token(name, **options).identity(accepted)
