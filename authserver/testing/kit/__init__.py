"""The kit for authors of providers: declare what the provider's server answers, and inherit the tests.

import authserver_example
from authserver.testing.kit import CLIENT_ID, EMAIL, SUBJECT, ProviderKit

class TestExample(ProviderKit):
    provider = staticmethod(authserver_example.provider)
    options = {"API_URL": "{upstream}"}
    answers = {"POST /introspect": {"client_id": CLIENT_ID, "sub": SUBJECT, "active": True}, ...}

docs/plugins.md leads through it; `declared.py` says what there is to declare.
"""

from authserver.testing.kit.access_tokens import AccessTokenTests
from authserver.testing.kit.codes import CodeTests
from authserver.testing.kit.declared import CLIENT_ID, CLIENT_SECRET, EMAIL, SUBJECT
from authserver.testing.kit.faulty import FaultTests
from authserver.testing.kit.id_tokens import IdTokenTests
from authserver.testing.kit.people import PeopleTests

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "EMAIL", "SUBJECT", "ProviderKit"]


class ProviderKit(PeopleTests, AccessTokenTests, IdTokenTests, CodeTests, FaultTests):
    """To be inherited by a class of tests, `class TestExample(ProviderKit)`; needs pytest."""
