"""Tokens that are not quite ours."""

import json
from base64 import urlsafe_b64encode
from enum import Enum

import jwt
from flask import Flask

from authserver.tokens.keys import Key, key_ring


class Left(Enum):
    OUT = "out"


OMIT = Left.OUT  # whose name is the same in each worker, as the names of tests have to be


def signing_key(app: Flask) -> Key:
    with app.app_context():
        return key_ring().signing()


def altered(app: Flask, token: str, **claims: object) -> str:
    """The token with other claims (`OMIT` leaves one out), signed by our own key all the same."""
    key = signing_key(app)
    payload = {**jwt.decode(token, options={"verify_signature": False}), **claims}
    payload = {name: value for name, value in payload.items() if value is not OMIT}
    # By PyJWS, for PyJWT refuses to sign some of what a forger would.
    return jwt.api_jws.encode(json.dumps(payload).encode(), key.private, key.algorithm, {"kid": key.kid})


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
