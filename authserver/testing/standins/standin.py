"""What the stand-ins are built on: applications and people, an authorize page, codes, a token endpoint."""

from urllib.parse import urlsplit

from flask import Blueprint

from authserver.testing.standins.exchanging import Exchanging


class StandIn(Exchanging):
    def blueprint(self) -> Blueprint:
        """Serves the stand-in at the path of its `url`, on whatever application it is registered."""
        blueprint = Blueprint(f"standin_{self.name}", __name__, url_prefix=urlsplit(self.url).path)
        blueprint.add_url_rule(self.authorize_path, "authorize", self.authorize_view, methods=["GET", "POST"])
        blueprint.add_url_rule(self.token_path, "token", self.token_view, methods=self.token_methods)
        return blueprint
