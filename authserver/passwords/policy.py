"""What may become a password: length and a blocklist, no composition rules (ASVS 5, 6.2; NIST 800-63B-4)."""

from functools import cache
from importlib.resources import files
from unicodedata import normalize

from authserver.errors import invalid
from authserver.extensions import current_settings

MAX_LENGTH = 256


@cache
def common_passwords() -> frozenset[str]:
    """Casefolded; shipped in `common.txt`, one a line."""
    return frozenset(files(__package__).joinpath("common.txt").read_text("utf-8").splitlines())


def check_new_password(password: str, confirmation: str, email: str | None) -> None:
    """Raises `invalid_request` for a password that may not be set."""
    text = normalize("NFC", password)
    shortest = current_settings().password_min_length
    if len(text) < shortest:
        raise invalid("password", f"Use at least {shortest} characters.")
    if len(text) > MAX_LENGTH:
        raise invalid("password", f"Use at most {MAX_LENGTH} characters.")
    if email and text.casefold() == email.casefold():
        raise invalid("password", "Your e-mail address cannot be your password.")
    if text.casefold() in common_passwords():
        raise invalid("password", "This password is too common.")
    if normalize("NFC", confirmation) != text:
        raise invalid("password_confirm", "The two passwords are not the same.")
