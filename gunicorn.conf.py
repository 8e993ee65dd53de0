"""Read by gunicorn by itself, from the working directory: the configuration of the package."""

from authserver.serving.config import *  # noqa: F403
