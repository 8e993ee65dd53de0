"""One table a file. Everything that is a person's carries `user_id` and goes with the user."""

from authserver.models.identity import Identity
from authserver.models.session import Session
from authserver.models.signing_key import SigningKey
from authserver.models.user import User

__all__ = ["Identity", "Session", "SigningKey", "User"]
