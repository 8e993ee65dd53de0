"""Stand-ins for the providers' servers, answering as the providers' documents say, on loopback only.

with serve() as standins:
    token = standins.google.token(Person(subject="1", email="ada@gmail.com", email_verified=True))
    ...  # a server started with standins.variables() accepts it at /api/auth/google/
    callback = choose(authorize_url, standins.google.person("verified"))
"""

from authserver.testing.standins.all import StandIns
from authserver.testing.standins.authorization import Callback, NotAsked
from authserver.testing.standins.choosing import choose
from authserver.testing.standins.person import Person
from authserver.testing.standins.serving import serve

__all__ = ["Callback", "NotAsked", "Person", "StandIns", "choose", "serve"]
