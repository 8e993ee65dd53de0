from authserver.testing.kit import CLIENT_ID, EMAIL, SUBJECT, ProviderKit

import authserver_example


class TestExample(ProviderKit):
    provider = staticmethod(authserver_example.provider)
    options = {"API_URL": "{upstream}"}
    answers = {
        "POST /introspect": {"active": True, "client_id": CLIENT_ID, "sub": SUBJECT},
        "GET /me": {"id": SUBJECT, "email": EMAIL, "email_confirmed": True, "name": "Ada"},
    }
    expired = {"POST /introspect": {"active": False}}
    verified = {"GET /me": "email_confirmed"}
    first_name = "Ada"
