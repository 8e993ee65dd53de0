"""One table a file. Everything that is a person's carries `user_id` and goes with the user."""

from authserver.models.authorization import Authorization
from authserver.models.event import Event
from authserver.models.identity import Identity
from authserver.models.invitation import Invitation
from authserver.models.mail import Mail
from authserver.models.one_time_token import OneTimeToken
from authserver.models.rate_limit import RateLimit
from authserver.models.session import Session
from authserver.models.signing_key import SigningKey
from authserver.models.user import User

__all__ = [
    "Authorization",
    "Event",
    "Identity",
    "Invitation",
    "Mail",
    "OneTimeToken",
    "RateLimit",
    "Session",
    "SigningKey",
    "User",
]
