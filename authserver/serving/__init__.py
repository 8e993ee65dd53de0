"""How production is served: gunicorn's configuration, and a worker whose threads never wait for a client's bytes."""
